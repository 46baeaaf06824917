//! What a throttle remembers of those who asked.

use std::time::{Duration, Instant};

use crate::faults::Throttle;

/// The memory of one throttle, from the moment it was set.
#[derive(Debug, Default)]
pub(crate) struct Grudge {
    /// When the requests so far are worked off at the tolerated rate.
    worked_off: Option<Instant>,
    refused_until: Option<Instant>,
    /// Let pass since the last refusing ended.
    passed: u64,
}

impl Grudge {
    /// Whether a request that comes `now` is too much.
    pub(crate) fn refuses(&mut self, throttle: &Throttle, now: Instant) -> bool {
        let sticky = Duration::from_millis(throttle.sticky_ms);
        if let Some(until) = self.refused_until {
            if now < until {
                self.refused_until = Some(now + sticky);
                return true;
            }
            self.refused_until = None;
            self.passed = 0;
        }
        let interval = Duration::from_secs(1) / throttle.per_second.max(1);
        let next = self.worked_off.map_or(now, |at| at.max(now)) + interval;
        let too_fast = next > now + interval * throttle.burst.max(1);
        if too_fast || throttle.after.is_some_and(|most| self.passed >= most) {
            self.refused_until = Some(now + sticky);
            return true;
        }
        self.worked_off = Some(next);
        self.passed += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(throttle: &Throttle, asked: &[(u64, bool)]) {
        let start = Instant::now();
        let mut grudge = Grudge::default();
        for (ms, refused) in asked {
            let now = start + Duration::from_millis(*ms);
            assert_eq!(grudge.refuses(throttle, now), *refused, "at {ms} ms");
        }
    }

    #[test]
    fn a_throttle_that_was_overdone_refuses_until_it_is_left_alone() {
        let throttle = Throttle {
            per_second: 10,
            burst: 2,
            sticky_ms: 1_000,
            after: None,
        };
        check(
            &throttle,
            &[
                (0, false),
                (0, false),
                (10, true),     // the third at once
                (900, true),    // still sticky, and prolonged
                (1_800, true),  // prolonged again
                (2_800, false), // a second of silence
                (2_900, false),
                (3_000, false), // at the tolerated rate for ever
                (3_100, false),
            ],
        );
    }

    #[test]
    fn a_throttle_may_also_tire_of_those_who_are_slow() {
        let throttle = Throttle {
            per_second: 10,
            burst: 1,
            sticky_ms: 1_000,
            after: Some(3),
        };
        check(
            &throttle,
            &[
                (0, false),
                (1_000, false),
                (9_000, false),
                (10_000, true), // the fourth
                (10_900, true),
                (11_900, false), // it counts anew
                (11_950, true),  // too fast: the end of this refusing begins a new count too
                (12_950, false),
                (13_950, false),
                (14_950, false),
                (15_950, true),
            ],
        );
    }
}
