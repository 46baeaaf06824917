//! When something is due: a cron expression in a time zone, what is remembered of the starts so far, and
//! what follows for now. Pure: the clock is an argument.
//!
//! Not here: starting anything, remembering it over a restart (`tiki`).

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use catalog::Instant;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDateTime, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde::{Deserialize, Serialize};

use crate::Exit;

/// How long to wait before something is tried again that the site or the warehouse refused, or that was
/// cut off; as often as there are pauses.
pub const PAUSES: [Duration; 3] = [
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(45),
];

/// A start that is remembered for a later time than so long from now is a mistake of the clock, and the
/// next one is counted from now. One that is nearer keeps a clock that was set back from starting twice.
const FUTURE_MILLIS: i64 = 24 * 3_600_000;

/// A cron expression of five fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cron(Box<croner::Cron>);

impl Cron {
    /// Reads minute, hour, day of the month, month and day of the week, or `@daily` and its like;
    /// otherwise what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text).map_err(|error| error.to_string())?;
        let begin = Wall(Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC));
        cron.find_next_occurrence(&begin, false)
            .map_err(|_| "it names a day that never comes".to_owned())?;
        Ok(Self(Box::new(cron)))
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A cron expression in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The expression.
    pub cron: Cron,
    /// In which its times are meant.
    pub zone: TimeZone,
}

impl Schedule {
    /// The first time after an instant. A time that a clock set forward leaves out comes right after the
    /// gap, and one that a clock set back repeats comes once.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        let from = Timestamp::from_millisecond(after.millis()).ok()?;
        let from = Wall(from.to_zoned_datetime(self.zone.clone()));
        let next = self.cron.0.find_next_occurrence(&from, false).ok()?;
        let millis = next.0.timestamp().as_millisecond();
        Some(Instant::from_millis(millis))
    }
}

/// What is remembered of the starts so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// When the schedule was first looked at, or something began last: milliseconds since 1970.
    since_millis: i64,
    /// Something is at work, or was when it was last heard of.
    at_work: bool,
    /// How often it was tried again since it was due.
    tries: usize,
    /// When it is tried again: milliseconds since 1970.
    again_millis: Option<i64>,
    /// When its time had come, before it was tried again: milliseconds since 1970.
    #[serde(default)]
    due_millis: i64,
}

/// What follows for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Now, because its time has come or has passed.
    Now,
    /// Now, because it is to be tried again.
    Again,
    /// Then.
    At(Instant),
    /// Never.
    Never,
}

impl Memory {
    /// Nothing has begun yet: what is due before now is nobody's loss, so the first start is the next
    /// time of the schedule.
    pub fn new(now: Instant) -> Self {
        Self {
            since_millis: now.millis(),
            at_work: false,
            tries: 0,
            again_millis: None,
            due_millis: 0,
        }
    }

    /// Something began elsewhere as well, as far as a ledger tells.
    #[must_use]
    pub fn knowing(self, began: Option<Instant>) -> Self {
        let began = began.map_or(i64::MIN, Instant::millis);
        Self {
            since_millis: self.since_millis.max(began),
            ..self
        }
    }

    /// What is left of it when the clock turns out to have been far ahead. To be called before [`Memory::due`].
    #[must_use]
    pub fn corrected(self, now: Instant) -> Self {
        let is_mistake = self.since_millis > now.millis().saturating_add(FUTURE_MILLIS);
        let since_millis = if is_mistake {
            now.millis()
        } else {
            self.since_millis
        };
        let latest = later(now, PAUSES[PAUSES.len() - 1]).millis();
        Self {
            since_millis,
            again_millis: self.again_millis.map(|again| again.min(latest)),
            due_millis: self.due_millis.min(now.millis()),
            ..self
        }
    }

    /// What follows. However many times of the schedule have passed, they make one start.
    pub fn due(&self, schedule: &Schedule, now: Instant) -> Due {
        let next = schedule.next_after(Instant::from_millis(self.since_millis));
        if next.is_some_and(|next| next <= now) {
            return Due::Now;
        }
        let again = self.again_millis.map(Instant::from_millis);
        match (again, next) {
            (Some(again), _) if again <= now => Due::Again,
            (Some(again), Some(next)) => Due::At(again.min(next)),
            (Some(at), None) | (None, Some(at)) => Due::At(at),
            (None, None) => Due::Never,
        }
    }

    /// It begins now, for this reason.
    #[must_use]
    pub fn begun(self, why: Due, now: Instant) -> Self {
        Self {
            since_millis: now.millis(),
            at_work: true,
            tries: if why == Due::Again { self.tries } else { 0 },
            again_millis: None,
            due_millis: match why {
                Due::Again => self.due_millis,
                _ => now.millis(),
            },
        }
    }

    /// It has ended; `None`: nobody knows how, because whoever watched it ended first.
    #[must_use]
    pub fn ended(self, exit: Option<Exit>, now: Instant) -> Self {
        let mends = matches!(
            exit,
            None | Some(Exit::Refused | Exit::Warehouse | Exit::Interrupted)
        );
        let pause = PAUSES.get(self.tries).filter(|_| mends);
        Self {
            at_work: false,
            tries: self.tries + usize::from(pause.is_some()),
            again_millis: pause.map(|pause| later(now, *pause).millis()),
            ..self
        }
    }

    /// After a restart: what was at work then was cut off.
    #[must_use]
    pub fn woken(self, now: Instant) -> Self {
        if self.at_work {
            self.ended(None, now)
        } else {
            self
        }
    }

    /// When its time came last; tries after that belong to it.
    pub fn due_at(&self) -> Instant {
        Instant::from_millis(self.due_millis)
    }

    /// When it began last, or was first looked at.
    pub fn since(&self) -> Instant {
        Instant::from_millis(self.since_millis)
    }

    /// Whether something is at work.
    pub fn is_at_work(&self) -> bool {
        self.at_work
    }

    /// How often it was tried again, if it is to be.
    pub fn tries(&self) -> Option<usize> {
        self.again_millis.map(|_| self.tries)
    }
}

fn later(now: Instant, pause: Duration) -> Instant {
    now.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

/// A time on the wall of a zone, as the cron library wants it.
#[derive(Clone, Debug)]
struct Wall(ZonedDateTime);

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        let at = self.0.datetime();
        let (year, month, day) = (at.year().into(), at.month() as u32, at.day() as u32);
        let (hour, minute, second) = (at.hour() as u32, at.minute() as u32, at.second() as u32);
        // Whatever jiff shows is a date and a time.
        CivilDateTime::from_ymd_hms_opt(year, month, day, hour, minute, second)
            .expect("a date and a time")
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(
            self.0
                .weekday()
                .to_sunday_zero_offset()
                .unsigned_abs()
                .into(),
        )
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let at = DateTime::new(
            year,
            civil.month() as i8,
            civil.day() as i8,
            civil.hour() as i8,
            civil.minute() as i8,
            civil.second() as i8,
            0,
        );
        let at = at.map_err(|_| CronError::InvalidDate)?;
        let wrong = |_| CronError::InvalidTime;
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(at);
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => {
                Resolution::Single(Self(ambiguous.unambiguous().map_err(wrong)?))
            }
            AmbiguousOffset::Fold { .. } => Resolution::Ambiguous(
                Self(ambiguous.clone().earlier().map_err(wrong)?),
                Self(ambiguous.later().map_err(wrong)?),
            ),
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let added = self.0.checked_add(SignedDuration::from_secs(seconds));
        added.ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests;
