//! Misbehaviour on request: what the real site was seen to do to crawlers, by knob.
//!
//! Not in here: chance. A fault fires on counted requests, so a test knows which.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What goes wrong, in order: for a request the first rule that fires decides; delays add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// At most [`Faults::MAX_RULES`].
    pub rules: Vec<Fault>,
}

impl Faults {
    /// The most rules that can be set.
    pub const MAX_RULES: usize = 64;
    /// The longest [`Misbehaviour::Delay`].
    pub const MAX_DELAY: Duration = Duration::from_secs(120);

    /// No misbehaviour at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Faults of one rule.
    pub fn one(route: RouteClass, when: When, what: Misbehaviour) -> Self {
        Self {
            rules: vec![Fault { route, when, what }],
        }
    }

    /// Says which bound is broken, if any.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.rules.len() > Self::MAX_RULES {
            return Err("more than 64 rules");
        }
        for rule in &self.rules {
            match rule.what {
                Misbehaviour::Status { code, .. } if !(200..=599).contains(&code) => {
                    return Err("a status code outside 200..=599");
                }
                Misbehaviour::Delay { ms } if Duration::from_millis(ms) > Self::MAX_DELAY => {
                    return Err("a delay over 120 s");
                }
                _ => {}
            }
            if rule.when == When::Every(0) {
                return Err("every 0th request");
            }
        }
        Ok(())
    }
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Requests it looks at. Each rule counts those from 1, from the moment it is set.
    pub route: RouteClass,
    /// Which of them it spoils.
    pub when: When,
    /// How.
    pub what: Misbehaviour,
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
}

impl When {
    fn fires(self, count: u64) -> bool {
        match self {
            Self::Always => true,
            Self::First(n) => count <= n,
            Self::After(n) => count > n,
            Self::Every(n) => n > 0 && count.is_multiple_of(n),
        }
    }
}

/// How an answer is spoilt. Which of these the site does was seen by public crawlers; the bodies
/// and headers are invented unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// 200 with `{"error":{"code":…}}`, the shape seen at the seller API.
    ErrorObject {
        /// The code inside the object.
        code: u16,
    },
    /// The good body as gzip, cut in half, with a length that fits.
    TruncatedGzip,
    /// The connection is closed in the middle of the body.
    CutOff,
    /// The good JSON body with another `id`; bodies without one stay good.
    WrongId,
    /// The good body called `text/html`.
    WrongContentType,
    /// A redirect to the home page of this storefront.
    RedirectHome,
    /// Wait before the answer, then go on with the next rule.
    Delay {
        /// Milliseconds, at most [`Faults::MAX_DELAY`].
        ms: u64,
    },
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) what: Option<Misbehaviour>,
}

/// The rules in force with their counters; replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct FaultState(RwLock<Arc<Vec<(Fault, AtomicU64)>>>);

impl FaultState {
    /// Replaces all rules and starts their counting anew.
    pub(crate) fn set(&self, faults: &Faults) {
        let rules = faults
            .rules
            .iter()
            .map(|rule| (*rule, AtomicU64::new(0)))
            .collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub(crate) fn get(&self) -> Faults {
        Faults {
            rules: self.rules().iter().map(|(rule, _)| *rule).collect(),
        }
    }

    /// Counts a request of `class` and says what happens to it.
    pub(crate) fn next(&self, class: RouteClass) -> Verdict {
        let mut verdict = Verdict::default();
        for (rule, seen) in self.rules().iter() {
            if rule.route != RouteClass::Any && rule.route != class {
                continue;
            }
            let count = seen.fetch_add(1, Ordering::SeqCst) + 1;
            if !rule.when.fires(count) {
                continue;
            }
            match rule.what {
                Misbehaviour::Delay { ms } => verdict.delay += Duration::from_millis(ms),
                what => {
                    verdict.what.get_or_insert(what);
                }
            }
        }
        verdict.delay = verdict.delay.min(Faults::MAX_DELAY);
        verdict
    }

    fn rules(&self) -> Arc<Vec<(Fault, AtomicU64)>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fires_on_the_requests_it_names() {
        for (when, fired) in [
            (When::Always, vec![1, 2, 3, 4, 5, 6]),
            (When::First(2), vec![1, 2]),
            (When::After(4), vec![5, 6]),
            (When::Every(3), vec![3, 6]),
        ] {
            let hits: Vec<u64> = (1..=6).filter(|count| when.fires(*count)).collect();
            assert_eq!(hits, fired, "{when:?}");
        }
    }

    #[test]
    fn delays_add_up_and_the_first_fault_that_fires_decides() {
        let rule = |route, what| Fault {
            route,
            when: When::Always,
            what,
        };
        let state = FaultState::default();
        state.set(&Faults {
            rules: vec![
                rule(RouteClass::Any, Misbehaviour::Delay { ms: 5 }),
                rule(RouteClass::Listing, Misbehaviour::CutOff),
                rule(RouteClass::Detail, Misbehaviour::WrongId),
                rule(RouteClass::Any, Misbehaviour::Delay { ms: 7 }),
                rule(RouteClass::Any, Misbehaviour::Captcha),
            ],
        });
        let verdict = state.next(RouteClass::Detail);
        assert_eq!(verdict.delay, Duration::from_millis(12));
        assert_eq!(verdict.what, Some(Misbehaviour::WrongId));
        assert_eq!(
            state.next(RouteClass::Robots).what,
            Some(Misbehaviour::Captcha)
        );
    }
}
