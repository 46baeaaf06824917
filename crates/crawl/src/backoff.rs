//! How long to wait before a second try. Whether there is one is said by `error`; counting tries is
//! the caller's.

use std::time::Duration;

/// Exponential backoff with full jitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// The longest wait after the first failure; it doubles with each further one.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after failure number `attempt` (from 1): `random`, a number of 0 to 1, times the
    /// longest wait of that attempt.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let longest = self.base.saturating_mul(1 << doublings).min(self.cap);
        // NaN is no chance at all: the whole wait.
        let share = if random.is_nan() {
            1.0
        } else {
            random.clamp(0.0, 1.0)
        };
        Duration::try_from_secs_f64(longest.as_secs_f64() * share).unwrap_or(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_doubles_up_to_its_cap() {
        let backoff = Backoff {
            base: Duration::from_secs(1),
            cap: Duration::from_mins(1),
        };
        for (attempt, random, seconds) in [
            (0, 1.0, 1.0),
            (1, 1.0, 1.0),
            (2, 1.0, 2.0),
            (3, 0.5, 2.0),
            (6, 1.0, 32.0),
            (7, 1.0, 60.0),
            (u32::MAX, 1.0, 60.0),
            (5, 0.0, 0.0),
            (1, 7.0, 1.0),
            (1, -1.0, 0.0),
            (1, f64::NAN, 1.0),
        ] {
            assert_eq!(
                backoff.delay(attempt, random),
                Duration::from_secs_f64(seconds)
            );
        }
        let huge = Backoff {
            base: Duration::MAX,
            cap: Duration::MAX,
        };
        assert_eq!(huge.delay(9, 0.0), Duration::ZERO);
        assert_eq!(huge.delay(9, 1.0), Duration::MAX);
    }
}
