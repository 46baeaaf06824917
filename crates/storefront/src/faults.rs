//! Misbehaviour on request: what the real site was seen to do to crawlers, by knob.
//!
//! Not in here: chance. A fault fires on counted requests, so a test knows which.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

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
}

impl Faults {
    /// The most rules that can be set.
    pub const MAX_RULES: usize = 64;
    /// The longest [`Misbehaviour::Delay`].
    pub const MAX_DELAY: Duration = Duration::from_mins(2);

    /// No misbehaviour at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Faults of one rule.
    pub fn one(route: RouteClass, when: When, what: Misbehaviour) -> Self {
        Self {
            rules: vec![Fault { route, when, what }],
            throttle: None,
        }
    }

    /// Says which bound is broken, if any.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.rules.len() > Self::MAX_RULES {
            return Err("more than 64 rules");
        }
        if let Some(Throttle {
            per_second,
            burst,
            sticky_ms,
        }) = self.throttle
        {
            if per_second == 0 || burst == 0 {
                return Err("a throttle that lets nothing pass");
            }
            if Duration::from_millis(sticky_ms) > Self::MAX_DELAY {
                return Err("a throttle that sticks over 120 s");
            }
        }
        for rule in &self.rules {
            match &rule.what {
                Misbehaviour::Status { code, .. } if !(200..=599).contains(code) => {
                    return Err("a status code outside 200..=599");
                }
                Misbehaviour::Delay { ms } if Duration::from_millis(*ms) > Self::MAX_DELAY => {
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// An empty 200.
    EmptyBody,
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) what: Option<Misbehaviour>,
}

/// The rules in force with their counters; replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct FaultState(RwLock<Arc<InForce>>);

#[derive(Debug, Default)]
struct InForce {
    rules: Vec<(Fault, AtomicU64)>,
    throttle: Option<(Throttle, Mutex<Grudge>)>,
}

/// What the throttle remembers.
#[derive(Debug, Default)]
struct Grudge {
    /// When the requests so far are worked off at the tolerated rate.
    worked_off: Option<Instant>,
    refused_until: Option<Instant>,
}

impl FaultState {
    /// Replaces all rules and starts their counting anew.
    pub(crate) fn set(&self, faults: &Faults) {
        let rules = faults
            .rules
            .iter()
            .map(|rule| (rule.clone(), AtomicU64::new(0)))
            .collect();
        let throttle = faults.throttle.map(|throttle| (throttle, Mutex::default()));
        let in_force = Arc::new(InForce { rules, throttle });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = in_force;
    }

    pub(crate) fn get(&self) -> Faults {
        let in_force = self.in_force();
        Faults {
            rules: in_force
                .rules
                .iter()
                .map(|(rule, _)| rule.clone())
                .collect(),
            throttle: in_force.throttle.as_ref().map(|(throttle, _)| *throttle),
        }
    }

    /// Counts a request of `class` and says what happens to it.
    pub(crate) fn next(&self, class: RouteClass, now: Instant) -> Verdict {
        let in_force = self.in_force();
        let mut verdict = Verdict::default();
        if let Some((throttle, grudge)) = &in_force.throttle {
            let mut grudge = grudge.lock().unwrap_or_else(PoisonError::into_inner);
            if grudge.refuses(throttle, now) {
                verdict.what = Some(Misbehaviour::Status {
                    code: 429,
                    retry_after_s: None,
                });
            }
        }
        for (rule, seen) in &in_force.rules {
            if rule.route != RouteClass::Any && rule.route != class {
                continue;
            }
            let count = seen.fetch_add(1, Ordering::SeqCst) + 1;
            if !rule.when.fires(count) {
                continue;
            }
            match &rule.what {
                Misbehaviour::Delay { ms } => verdict.delay += Duration::from_millis(*ms),
                what => {
                    verdict.what.get_or_insert_with(|| what.clone());
                }
            }
        }
        verdict.delay = verdict.delay.min(Faults::MAX_DELAY);
        verdict
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Grudge {
    fn refuses(&mut self, throttle: &Throttle, now: Instant) -> bool {
        let sticky = Duration::from_millis(throttle.sticky_ms);
        if self.refused_until.is_some_and(|until| now < until) {
            self.refused_until = Some(now + sticky);
            return true;
        }
        let interval = Duration::from_secs(1) / throttle.per_second.max(1);
        let next = self.worked_off.map_or(now, |at| at.max(now)) + interval;
        if next > now + interval * throttle.burst.max(1) {
            self.refused_until = Some(now + sticky);
            return true;
        }
        self.worked_off = Some(next);
        false
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
            throttle: None,
        });
        let verdict = state.next(RouteClass::Detail, Instant::now());
        assert_eq!(verdict.delay, Duration::from_millis(12));
        assert_eq!(verdict.what, Some(Misbehaviour::WrongId));
        assert_eq!(
            state.next(RouteClass::Robots, Instant::now()).what,
            Some(Misbehaviour::Captcha)
        );
    }

    #[test]
    fn a_throttle_that_was_overdone_refuses_until_it_is_left_alone() {
        let throttle = Throttle {
            per_second: 10,
            burst: 2,
            sticky_ms: 1_000,
        };
        let start = Instant::now();
        let mut grudge = Grudge::default();
        for (ms, refused) in [
            (0, false),
            (0, false),
            (10, true),     // the third at once
            (900, true),    // still sticky, and prolonged
            (1_800, true),  // prolonged again
            (2_800, false), // a second of silence
            (2_900, false),
            (3_000, false), // at the tolerated rate for ever
            (3_100, false),
        ] {
            let now = start + Duration::from_millis(ms);
            assert_eq!(grudge.refuses(&throttle, now), refused, "at {ms} ms");
        }
    }
}
