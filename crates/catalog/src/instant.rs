//! Points in time and calendar days as arguments. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A point in time: UTC, truncated to milliseconds, between the years 1 and 9999 (up to its last day but one).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(i64);

/// A text that is no instant of the form `YYYY-MM-DDTHH:MM:SS.sssZ`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant (YYYY-MM-DDTHH:MM:SS.sssZ)")]
pub struct InstantError(String);

const MIN_MILLIS: i64 = -62_135_596_800_000;
const MAX_MILLIS: i64 = 253_402_207_199_999;

impl Instant {
    /// Milliseconds since 1970-01-01T00:00:00Z; values outside the years 1 to 9999 are cut to them.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(MIN_MILLIS, MAX_MILLIS))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// This instant moved by a number of milliseconds (negative: back).
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this (negative when `earlier` is later).
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The calendar day in a time zone.
    pub fn day(self, zone: &TimeZone) -> Day {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        Day(stamp.to_zoned_datetime(zone.clone()).date())
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(86_400_000));
        let millis = self.0.rem_euclid(86_400_000);
        let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
        let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
        // SQLite keeps instants as texts, several a row: by `write!` they were 8 % of a first day's load, so 1 %.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let places = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19, 20..23];
        let numbers = [year, month, day, hours, minutes, seconds, millis];
        for (place, mut number) in places.into_iter().zip(numbers) {
            for digit in text[place].iter_mut().rev() {
                *digit += (number % 10) as u8;
                number /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Instant {
    type Err = InstantError;

    fn from_str(text: &str) -> Result<Self, InstantError> {
        let bad = || InstantError(text.chars().take(40).collect());
        if text.len() > 40 || !text.ends_with('Z') {
            return Err(bad());
        }
        let stamp: jiff::Timestamp = text.parse().map_err(|_| bad())?;
        let millis = stamp.as_millisecond();
        // Truncated towards the past, also before 1970.
        let floor = millis - i64::from(stamp.subsec_nanosecond() % 1_000_000 < 0);
        Ok(Self::from_millis(floor))
    }
}

/// A calendar day, `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(Date);

impl Day {
    /// The day that lies `days` before this one; the first day there is when that is out of range.
    #[must_use]
    pub fn minus_days(self, days: i64) -> Self {
        let span = jiff::Span::new()
            .try_days(days.clamp(0, 3_000_000))
            .unwrap_or_default();
        Self(self.0.checked_sub(span).unwrap_or(Date::MIN))
    }

    /// The instant at which `hour` o'clock of this day strikes in a time zone.
    pub fn at_hour(self, hour: i8, zone: &TimeZone) -> Instant {
        let at = self.0.at(hour.clamp(0, 23), 0, 0, 0);
        let stamp = zone
            .to_ambiguous_zoned_datetime(at)
            .compatible()
            .map(|z| z.timestamp());
        Instant::from_millis(stamp.unwrap_or_default().as_millisecond())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = InstantError;

    fn from_str(text: &str) -> Result<Self, InstantError> {
        let bad = || InstantError(text.chars().take(40).collect());
        if text.len() != 10 {
            return Err(bad());
        }
        text.parse().map(Self).map_err(|_| bad())
    }
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant's public algorithm).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_prints_and_parses_to_itself() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_540_454_123, "2026-11-24T17:14:14.123Z"),
            (MAX_MILLIS, "9999-12-30T21:59:59.999Z"),
            (MIN_MILLIS, "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Instant::from_millis(millis).to_string(), text);
            assert_eq!(text.parse::<Instant>().unwrap().millis(), millis);
        }
        for bad in [
            "",
            "yesterday",
            "2026-11-24 17:14:14",
            "2026-13-01T00:00:00.000Z",
        ] {
            assert!(bad.parse::<Instant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_belongs_to_its_time_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(7));
        let late: Instant = "2026-11-24T17:14:14.123Z".parse().unwrap();
        assert_eq!(late.day(&zone).to_string(), "2026-11-25");
        assert_eq!(late.day(&TimeZone::UTC).to_string(), "2026-11-24");
        let day: Day = "2026-11-25".parse().unwrap();
        assert_eq!(
            day.at_hour(2, &zone).to_string(),
            "2026-11-24T19:00:00.000Z"
        );
        assert_eq!(day.minus_days(30).to_string(), "2026-10-26");
    }
}
