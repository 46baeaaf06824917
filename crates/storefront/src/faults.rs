//! Misbehaviour on request: what the real site was seen to do to crawlers, by knob.
//!
//! Not in here: chance (a fault fires on counted requests, so a test knows which), the counting
//! (`verdict.rs`), and how an answer is spoilt (`spoil.rs`, `stream.rs`).

use std::time::Duration;

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};

/// What goes wrong, in order: for a request the first rule that fires decides; delays add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// At most [`Faults::MAX_RULES`].
    pub rules: Vec<Fault>,
    /// The rate above which the site answers 429; before all rules.
    pub throttle: Option<Throttle>,
}

/// A rate limit that holds a grudge, as the site's does: after a few hundred good calls everything
/// was 429 for minutes, and asking on only prolonged it. The numbers of the real one are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Requests a second that are tolerated, over all routes; at least 1.
    pub per_second: u32,
    /// Requests that may come at once; at least 1.
    pub burst: u32,
    /// How long everything is refused after the last request that was too much, at most
    /// [`Faults::MAX_DELAY`].
    pub sticky_ms: u64,
    /// A limit of another kind, beside the rate: after so many requests that were let pass (since
    /// it was set, or since the last refusing ended, for whichever reason it began) the next one
    /// is too much, however slow. At least 1. A request that a rule spoils counts as let pass.
    #[serde(default)]
    pub after: Option<u64>,
}

impl Throttle {
    fn check(self) -> Result<(), &'static str> {
        if self.per_second == 0 || self.burst == 0 || self.after == Some(0) {
            return Err("a throttle that lets nothing pass");
        }
        if Duration::from_millis(self.sticky_ms) > Faults::MAX_DELAY {
            return Err("a throttle that sticks over 120 s");
        }
        Ok(())
    }
}

impl Faults {
    /// The most rules that can be set.
    pub const MAX_RULES: usize = 64;
    /// The longest [`Misbehaviour::Delay`] and [`Misbehaviour::SlowBody`].
    pub const MAX_DELAY: Duration = Duration::from_mins(2);
    /// The largest [`Misbehaviour::GzipBomb`].
    pub const MAX_GIGABYTES: u32 = 64;
    /// The largest [`Misbehaviour::Huge`].
    pub const MAX_MEGABYTES: u32 = 10_000;
    /// The deepest [`Misbehaviour::DeepJson`].
    pub const MAX_DEPTH: u32 = 1_000_000;
    /// The largest rise of [`Misbehaviour::ChangePrice`], percent.
    pub const MAX_PERCENT: i32 = 1_000;

    /// No misbehaviour at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Faults of one rule.
    pub fn one(route: RouteClass, when: When, what: Misbehaviour) -> Self {
        Self {
            rules: vec![Fault {
                route,
                only: None,
                when,
                what,
            }],
            throttle: None,
        }
    }

    /// Says which bound is broken, if any.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.rules.len() > Self::MAX_RULES {
            return Err("more than 64 rules");
        }
        self.throttle.map_or(Ok(()), Throttle::check)?;
        for rule in &self.rules {
            rule.what.check()?;
            match rule.when {
                When::Every(0) => return Err("every 0th request"),
                When::Between(from, to) if from > to => return Err("between an end and its start"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Requests it looks at. Each rule counts those from 1, from the moment it is set.
    pub route: RouteClass,
    /// Narrows them down; the others are neither spoilt nor counted.
    #[serde(default)]
    pub only: Option<Only>,
    /// Which of them it spoils.
    pub when: When,
    /// How.
    pub what: Misbehaviour,
}

/// Some requests of a route: `{"parameter":"page","value":"3"}` or `{"subject":1000672}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Only {
    /// Those with a query parameter of this value.
    Parameter {
        /// Its name.
        parameter: String,
        /// Its value, decoded; none means that the parameter is absent.
        #[serde(default)]
        value: Option<String>,
    },
    /// Those about one product or category.
    Subject {
        /// The id in the path of a detail or an HTML page, the `category` of a listing, the
        /// `parent_id` of the category API. No other route has a subject.
        subject: u64,
    },
}

/// A group of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteClass {
    /// Every route of the site that can answer well.
    Any,
    /// The category and menu APIs.
    Category,
    /// The listing APIs.
    Listing,
    /// The product APIs.
    Detail,
    /// HTML pages of categories.
    CategoryPage,
    /// HTML pages of products.
    ProductPage,
    /// robots.txt.
    Robots,
    /// Sitemaps.
    Sitemap,
}

/// Which of the counted requests are spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All.
    Always,
    /// The first n.
    First(u64),
    /// All but the first n.
    After(u64),
    /// Every nth: n, 2n, 3n …; at least 1.
    Every(u64),
    /// From the first of these to the second, both included.
    Between(u64, u64),
}

impl When {
    pub(crate) fn fires(self, count: u64) -> bool {
        match self {
            Self::Always => true,
            Self::First(n) => count <= n,
            Self::After(n) => count > n,
            Self::Every(n) => n > 0 && count.is_multiple_of(n),
            Self::Between(from, to) => (from..=to).contains(&count),
        }
    }
}

/// How an answer is spoilt. Which of these the site does was seen by public crawlers; the bodies
/// and headers are invented unless said otherwise.
///
/// What changes fields changes JSON answers and what an HTML page holds as the site's state
/// (`__NEXT_DATA__`: the product of a product page, the listing of a category page); the other
/// words of the page stay. Where the good answer has nothing to spoil, it goes out as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Misbehaviour {
    /// Answer this status with a small body (403: an empty one, as seen).
    Status {
        /// 200 to 599.
        code: u16,
        /// A `Retry-After` header of so many seconds. The real site was never seen to send one.
        #[serde(default)]
        retry_after_s: Option<u32>,
    },
    /// 200 with the JavaScript challenge page; the markers `_wafchallengeid`, `waf-jschallenge`
    /// and "Please wait" are the real ones.
    Challenge,
    /// 200 with a CAPTCHA page; the marker `TTGCaptcha` is the real one.
    Captcha,
    /// 200 with a page of HTML that is neither data nor a challenge, as of a server that stumbled. Invented.
    ErrorPage,
    /// 200 with `{"error":{"code":…}}`, the shape seen at the seller API.
    ErrorObject {
        /// The code inside the object.
        code: u16,
    },
    /// The good body as gzip, cut in half, with a length that fits.
    TruncatedGzip,
    /// The connection is closed in the middle of the body.
    CutOff,
    /// The good body with another `id`; bodies without one stay good.
    WrongId,
    /// Schema drift: a field is gone from the product, or from each item of a list.
    DropField {
        /// Its name, at the top of the product or item.
        field: String,
    },
    /// Schema drift: a field has another name.
    RenameField {
        /// The old name.
        field: String,
        /// The new name.
        to: String,
    },
    /// Schema drift: a field is text where it was something else, and a list where it was text.
    RetypeField {
        /// Its name.
        field: String,
    },
    /// Schema drift: a field is gone from some products or items. Which ones follows from their
    /// ids alone, so it is the same ones in every answer; those without an id keep the field.
    DropShare {
        /// Its name.
        field: String,
        /// How many of a hundred, 1 to 100.
        percent: u8,
    },
    /// Schema drift: a field is gone from the top of the body, `paging` say; of lists too.
    DropTop {
        /// Its name.
        field: String,
    },
    /// Each category has one child, which is no leaf: a tree without end.
    EndlessTree,
    /// The `data` of a listing or of categories is empty; the rest, paging too, is not.
    EmptyData,
    /// The same, and the paging says that there is nothing.
    EmptyListing,
    /// A product (no list) has another price than the listings say. What follows from the price
    /// follows: discount, the current seller's price, the selected variant's price; the original
    /// price rises where it would be lower.
    ChangePrice {
        /// By how much, percent: -99 to [`Faults::MAX_PERCENT`], not 0. At least by 1 đồng.
        percent: i32,
    },
    /// A listing that moves while it is listed: with every request that the rule counts, items go
    /// from its front to its end, so that some are met twice and some not at all. The first one
    /// sees it as it is, the total stays.
    Moving {
        /// Items a request; negative: from the end to the front.
        by: i32,
    },
    /// The good answer with a `Date` of 1994, as a copy that a cache kept and that does not tell its `Age`.
    OldDate,
    /// An empty 200.
    EmptyBody,
    /// The good body called `text/html`.
    WrongContentType,
    /// A redirect to the home page of this storefront.
    RedirectHome,
    /// A redirect.
    RedirectTo {
        /// The `Location`, as it stands: whatever a header can hold.
        to: String,
    },
    /// A redirect to the same path and query.
    RedirectLoop,
    /// Wait before the answer, then go on with the next rule.
    Delay {
        /// Milliseconds, at most [`Faults::MAX_DELAY`].
        ms: u64,
    },
    /// The headers of the good answer come at once, its body in ten pieces, each after a tenth of
    /// the time.
    SlowBody {
        /// Milliseconds, at most [`Faults::MAX_DELAY`].
        ms: u64,
    },
    /// The headers of the good answer come at once, its body at this pace until the client has
    /// had enough.
    Trickle {
        /// At least 1.
        bytes_per_second: u32,
    },
    /// Gzip, whether it is taken or not: about 1 MB of it for each gigabyte of spaces with a
    /// JSON object after them. One member, no `Content-Length`.
    GzipBomb {
        /// Unpacked, in 1,000,000,000 bytes, 1 to [`Faults::MAX_GIGABYTES`].
        gigabytes: u32,
    },
    /// A plain JSON object of that size, without `Content-Length`.
    Huge {
        /// In 1,000,000 bytes, 1 to [`Faults::MAX_MEGABYTES`].
        megabytes: u32,
    },
    /// JSON: an object with lists in lists in lists.
    DeepJson {
        /// Levels, the object included, 1 to [`Faults::MAX_DEPTH`].
        depth: u32,
    },
    /// The connection is reset (RST) before anything is answered. It has no status in the counts.
    Reset,
}

impl Misbehaviour {
    fn check(&self) -> Result<(), &'static str> {
        let too_long = |ms: u64| Duration::from_millis(ms) > Faults::MAX_DELAY;
        match self {
            Self::Status { code, .. } if !(200..=599).contains(code) => {
                Err("a status code outside 200..=599")
            }
            Self::Delay { ms } | Self::SlowBody { ms } if too_long(*ms) => {
                Err("a delay over 120 s")
            }
            Self::Trickle {
                bytes_per_second: 0,
            } => Err("a trickle of nothing"),
            Self::GzipBomb { gigabytes } if !(1..=Faults::MAX_GIGABYTES).contains(gigabytes) => {
                Err("a bomb outside 1..=64 GB")
            }
            Self::Huge { megabytes } if !(1..=Faults::MAX_MEGABYTES).contains(megabytes) => {
                Err("a body outside 1..=10000 MB")
            }
            Self::DeepJson { depth } if !(1..=Faults::MAX_DEPTH).contains(depth) => {
                Err("a depth outside 1..=1000000")
            }
            Self::DropShare { percent, .. } if !(1..=100).contains(percent) => {
                Err("a share outside 1..=100 percent")
            }
            Self::ChangePrice { percent }
                if *percent == 0 || !(-99..=Faults::MAX_PERCENT).contains(percent) =>
            {
                Err("a change of price outside -99..=1000 percent, or of 0")
            }
            Self::RedirectTo { to } if HeaderValue::from_str(to).is_err() => {
                Err("a Location that no header can hold")
            }
            _ => Ok(()),
        }
    }

    /// Whether the body is still on its way long after the answer began.
    pub(crate) fn is_streamed(&self) -> bool {
        matches!(
            self,
            Self::SlowBody { .. }
                | Self::Trickle { .. }
                | Self::GzipBomb { .. }
                | Self::Huge { .. }
        )
    }
}
