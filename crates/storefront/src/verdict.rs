//! What happens to one request: the rules in force and what they have counted.
//!
//! Not in here: how an answer is spoilt (`spoil.rs`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::faults::{Fault, Faults, Misbehaviour, Only, RouteClass, Throttle};
use crate::query::Parameters;
use crate::throttle::Grudge;

/// A request as the rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) class: RouteClass,
    pub(crate) subject: Option<u64>,
    pub(crate) parameters: &'a Parameters,
}

impl Asked<'_> {
    fn matches(&self, rule: &Fault) -> bool {
        let route = rule.route == RouteClass::Any || rule.route == self.class;
        route
            && match &rule.only {
                None => true,
                Some(Only::Subject { subject }) => self.subject == Some(*subject),
                Some(Only::Parameter { parameter, value }) => {
                    self.parameters.get(parameter) == value.as_deref()
                }
            }
    }
}

/// What happens to one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) what: Option<Misbehaviour>,
    /// How many items have gone from the front of the listing to its end.
    pub(crate) moved: i64,
}

/// The rules in force with their counters; replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct FaultState(RwLock<Arc<InForce>>);

#[derive(Debug, Default)]
struct InForce {
    rules: Vec<(Fault, AtomicU64)>,
    throttle: Option<(Throttle, Mutex<Grudge>)>,
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
        let rules = in_force.rules.iter().map(|(rule, _)| rule.clone());
        Faults {
            rules: rules.collect(),
            throttle: in_force.throttle.as_ref().map(|(throttle, _)| *throttle),
        }
    }

    /// Counts a request and says what happens to it.
    pub(crate) fn next(&self, asked: &Asked<'_>, now: Instant) -> Verdict {
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
            if !asked.matches(rule) {
                continue;
            }
            let count = seen.fetch_add(1, Ordering::SeqCst) + 1;
            if !rule.when.fires(count) {
                continue;
            }
            match &rule.what {
                Misbehaviour::Delay { ms } => verdict.delay += Duration::from_millis(*ms),
                what if verdict.what.is_none() => {
                    if let Misbehaviour::Moving { by } = what {
                        verdict.moved = (count - 1).cast_signed().saturating_mul(i64::from(*by));
                    }
                    verdict.what = Some(what.clone());
                }
                _ => {}
            }
        }
        verdict.delay = verdict.delay.min(Faults::MAX_DELAY);
        verdict
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::When;

    fn rule(route: RouteClass, only: Option<Only>, when: When, what: Misbehaviour) -> Fault {
        Fault {
            route,
            only,
            when,
            what,
        }
    }

    fn state(rules: Vec<Fault>) -> FaultState {
        let state = FaultState::default();
        state.set(&Faults {
            rules,
            throttle: None,
        });
        state
    }

    fn next(state: &FaultState, class: RouteClass, subject: u64, query: &str) -> Verdict {
        let asked = Asked {
            class,
            subject: Some(subject),
            parameters: &Parameters::of(Some(query)),
        };
        state.next(&asked, Instant::now())
    }

    #[test]
    fn a_rule_fires_on_the_requests_it_names() {
        for (when, fired) in [
            (When::Always, vec![1, 2, 3, 4, 5, 6]),
            (When::First(2), vec![1, 2]),
            (When::After(4), vec![5, 6]),
            (When::Every(3), vec![3, 6]),
            (When::Between(2, 4), vec![2, 3, 4]),
        ] {
            let hits: Vec<u64> = (1..=6).filter(|count| when.fires(*count)).collect();
            assert_eq!(hits, fired, "{when:?}");
        }
    }

    #[test]
    fn delays_add_up_and_the_first_fault_that_fires_decides() {
        let always = |route, what| rule(route, None, When::Always, what);
        let state = state(vec![
            always(RouteClass::Any, Misbehaviour::Delay { ms: 5 }),
            always(RouteClass::Listing, Misbehaviour::CutOff),
            always(RouteClass::Detail, Misbehaviour::WrongId),
            always(RouteClass::Any, Misbehaviour::Delay { ms: 7 }),
            always(RouteClass::Any, Misbehaviour::Captcha),
        ]);
        let verdict = next(&state, RouteClass::Detail, 1, "");
        assert_eq!(verdict.delay, Duration::from_millis(12));
        assert_eq!(verdict.what, Some(Misbehaviour::WrongId));
        assert_eq!(
            next(&state, RouteClass::Robots, 1, "").what,
            Some(Misbehaviour::Captcha)
        );
    }

    #[test]
    fn a_rule_neither_spoils_nor_counts_what_it_does_not_look_at() {
        let parameter = |value: Option<&str>| Only::Parameter {
            parameter: "page".to_owned(),
            value: value.map(str::to_owned),
        };
        for (only, hits) in [
            (parameter(Some("3")), [false, true, false, false]),
            (parameter(None), [false, false, true, false]),
            (Only::Subject { subject: 7 }, [false, false, false, true]),
        ] {
            let fault = rule(
                RouteClass::Listing,
                Some(only.clone()),
                When::First(1),
                Misbehaviour::CutOff,
            );
            let state = state(vec![fault]);
            for ((subject, query), hit) in [(1, "page=2"), (1, "page=3"), (1, ""), (7, "page=")]
                .iter()
                .zip(hits)
            {
                let what = next(&state, RouteClass::Listing, *subject, query).what;
                assert_eq!(what.is_some(), hit, "{only:?} {subject} {query}");
            }
        }
    }

    #[test]
    fn a_moving_listing_moves_with_every_request() {
        let moving = Misbehaviour::Moving { by: -3 };
        let state = state(vec![rule(RouteClass::Listing, None, When::Always, moving)]);
        let moved: Vec<i64> = (0..3)
            .map(|_| next(&state, RouteClass::Listing, 1, "").moved)
            .collect();
        assert_eq!(moved, [0, -3, -6]);
    }
}
