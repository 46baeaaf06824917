//! Which backups are kept: the newest of each of the last days, weeks and months that have one.
//!
//! Not here: deleting the others.

use std::collections::BTreeMap;

use catalog::Instant;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// How many days, weeks and months keep a backup. Only those count that have one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepBackups {
    /// Days.
    pub daily: usize,
    /// Weeks, from Monday on.
    pub weekly: usize,
    /// Months.
    pub monthly: usize,
}

impl Default for KeepBackups {
    fn default() -> Self {
        Self {
            daily: 7,
            weekly: 4,
            monthly: 12,
        }
    }
}

/// What becomes of a backup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Its day's, week's or month's.
    Kept(&'static str),
    /// It would go, but no younger one was verified.
    Needed,
    /// It is dated in the future, by a clock that was wrong.
    Ahead,
    /// It goes.
    Deleted,
}

impl Verdict {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept(why) => why,
            Self::Needed => "no younger verified one",
            Self::Ahead => "dated in the future",
            Self::Deleted => "deleted",
        }
    }
}

/// What a rule is called, how many it keeps, and the day that stands for a day's period.
type Rule = (&'static str, usize, fn(Date) -> Date);

/// What becomes of each backup, given when it was made and whether it is proven; days are those of a
/// time zone. Of a day with several the newest proven one stands for it, else the newest.
pub(super) fn verdicts(
    backups: &[(Instant, bool)],
    keep: KeepBackups,
    zone: &TimeZone,
) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::Deleted; backups.len()];
    let rules: [Rule; 3] = [
        ("monthly", keep.monthly, Date::first_of_month),
        ("weekly", keep.weekly, monday),
        ("daily", keep.daily, |day| day),
    ];
    for (word, count, period) in rules {
        let mut newest: BTreeMap<Date, usize> = BTreeMap::new();
        for (index, (at, proven)) in backups.iter().enumerate() {
            let best = newest.entry(period(day(*at, zone))).or_insert(index);
            if (*proven, *at) > (backups[*best].1, backups[*best].0) {
                *best = index;
            }
        }
        for index in newest.into_values().rev().take(count) {
            verdicts[index] = Verdict::Kept(word);
        }
    }
    let proven = backups.iter().filter(|(_, proven)| *proven);
    let youngest = proven.map(|(at, _)| *at).max();
    for (verdict, (at, _)) in verdicts.iter_mut().zip(backups) {
        if *verdict == Verdict::Deleted && youngest.is_none_or(|youngest| youngest <= *at) {
            *verdict = Verdict::Needed;
        }
    }
    verdicts
}

fn day(at: Instant, zone: &TimeZone) -> Date {
    let stamp = Timestamp::from_millisecond(at.millis()).unwrap_or_default();
    stamp.to_zoned_datetime(zone.clone()).date()
}

fn monday(day: Date) -> Date {
    let back = i64::from(day.weekday().to_monday_zero_offset());
    let span = jiff::Span::new().try_days(back).unwrap_or_default();
    day.checked_sub(span).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        text.parse().expect("an instant")
    }

    fn told(backups: &[(&str, bool)]) -> Vec<&'static str> {
        let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("a zone");
        let backups: Vec<(Instant, bool)> = backups
            .iter()
            .map(|(text, proven)| (at(text), *proven))
            .collect();
        let verdicts = verdicts(&backups, KeepBackups::default(), &zone);
        verdicts.into_iter().map(Verdict::as_str).collect()
    }

    #[test]
    fn a_year_of_days_leaves_seven_days_four_weeks_twelve_months() {
        let first = at("2025-01-01T05:00:00.000Z");
        let days: Vec<(Instant, bool)> = (0..500)
            .map(|day| (first.plus_millis(day * 86_400_000), true))
            .collect();
        let verdicts = verdicts(&days, KeepBackups::default(), &TimeZone::UTC);
        let count = |word| verdicts.iter().filter(|v| v.as_str() == word).count();
        assert_eq!(count("daily"), 7);
        // It ends on a Friday, 2026-05-15: this week's and last week's backups are among the days, this
        // month's too.
        assert_eq!(count("weekly"), 4 - 2);
        assert_eq!(count("monthly"), 12 - 1);
        assert_eq!(count("no younger verified one"), 0);
        let kept = verdicts.iter().filter(|v| **v != Verdict::Deleted).count();
        assert!(kept <= 7 + 4 + 12);
    }

    #[test]
    fn days_are_those_of_the_time_zone() {
        // One day of UTC, two days in Việt Nam.
        let words = told(&[
            ("2026-11-01T16:59:59.999Z", true),
            ("2026-11-01T17:00:00.000Z", true),
        ]);
        assert_eq!(words, ["daily", "daily"]);
        let words = told(&[
            ("2026-11-01T17:00:00.000Z", true),
            ("2026-11-02T16:59:59.999Z", true),
        ]);
        assert_eq!(words, ["deleted", "daily"]);
    }

    #[test]
    fn nothing_goes_without_a_younger_proven_one() {
        let words = told(&[
            ("2026-11-02T01:00:00.000Z", false),
            ("2026-11-02T02:00:00.000Z", false),
            ("2026-11-02T03:00:00.000Z", false),
        ]);
        assert_eq!(
            words,
            [
                "no younger verified one",
                "no younger verified one",
                "daily"
            ]
        );
        // A proven one stands for its day, though a younger one is there.
        let words = told(&[
            ("2026-11-02T01:00:00.000Z", false),
            ("2026-11-02T02:00:00.000Z", true),
            ("2026-11-02T03:00:00.000Z", false),
        ]);
        assert_eq!(words, ["deleted", "daily", "no younger verified one"]);
        assert_eq!(told(&[]), [""; 0]);
    }
}
