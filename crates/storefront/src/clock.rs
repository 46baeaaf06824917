//! The site's own clock. Days are those of Asia/Ho_Chi_Minh, which has been UTC+7 without
//! daylight saving time since 1975.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const DAY_MS: i64 = 86_400_000;
const ZONE_MS: i64 = 7 * 3_600_000;
/// 9999-12-30T00:00:00Z, the last day whose `Date` header can be written.
const LAST_MS: i64 = 253_402_128_000_000;
/// Not a time: the clock follows the system.
const SYSTEM: i64 = i64::MIN;

/// A shared handle on the site's time: clones move together, also while the site is serving.
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock that stands still at `millis_since_epoch` (UTC, held to the years 1970 to 9999).
    pub fn frozen_at(millis_since_epoch: i64) -> Self {
        Self(Arc::new(AtomicI64::new(
            millis_since_epoch.clamp(0, LAST_MS),
        )))
    }

    /// A clock that stands still at noon of `day`, counted as in [`Clock::day`].
    pub fn frozen_at_day(day: i64) -> Self {
        Self::frozen_at(noon_of(day))
    }

    /// The clock of this machine.
    pub fn system() -> Self {
        Self(Arc::new(AtomicI64::new(SYSTEM)))
    }

    /// Moves the clock to `millis` (UTC since the epoch, held to 1970..9999) and stops it there.
    pub fn set(&self, millis: i64) {
        self.0.store(millis.clamp(0, LAST_MS), Ordering::SeqCst);
    }

    /// Moves the clock to noon (Vietnamese time) of `day` and stops it there.
    pub fn set_day(&self, day: i64) {
        self.set(noon_of(day));
    }

    /// Milliseconds since the epoch, UTC.
    pub fn millis(&self) -> i64 {
        match self.0.load(Ordering::SeqCst) {
            SYSTEM => jiff::Timestamp::now().as_millisecond().clamp(0, LAST_MS),
            millis => millis,
        }
    }

    /// Whole days since 1970-01-01 in Vietnam.
    pub fn day(&self) -> i64 {
        (self.millis() + ZONE_MS).div_euclid(DAY_MS)
    }
}

fn noon_of(day: i64) -> i64 {
    day.saturating_mul(DAY_MS)
        .saturating_add(DAY_MS / 2 - ZONE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vietnamese_day_begins_at_17_utc() {
        for (millis, day) in [
            (0, 0),
            (DAY_MS - ZONE_MS - 1, 0),
            (DAY_MS - ZONE_MS, 1),
            (i64::MAX, LAST_MS / DAY_MS),
            (i64::MIN + 1, 0),
        ] {
            assert_eq!(Clock::frozen_at(millis).day(), day, "{millis}");
        }
    }

    #[test]
    fn clones_of_a_clock_move_together() {
        let clock = Clock::system();
        let other = clock.clone();
        clock.set_day(20_500);
        assert_eq!(other.day(), 20_500);
        assert_eq!(other.millis(), clock.millis());
    }
}
