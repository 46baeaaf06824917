//! Whether the clocks of this machine, of the database and of the site agree.
//!
//! Not here: the run's own clock (`clock`).

use std::sync::{Mutex, PoisonError};

use crawl::Answer;

use crate::{Clock, Error, Result};

/// The clocks may differ so much, in minutes.
pub(crate) const CLOCK_MINUTES: i64 = 5;

/// So many answers of the site in a row that agree are believed of the time. One may be a copy of an older
/// answer that does not say so.
const AGREEING: u32 = 3;

/// What the site's answers say of the time.
#[derive(Debug, Default)]
pub(crate) struct SiteClock {
    /// The newest answer that was off: how far this machine is ahead of it, in milliseconds, and how many
    /// in a row agree with it.
    off: Mutex<Option<(i64, u32)>>,
}

impl SiteClock {
    /// Compares the site's clock with the run's.
    pub(crate) fn check(&self, answer: &Answer, clock: &Clock) -> Result<()> {
        let (Answer::Good(page) | Answer::Gone { page, .. }) = answer;
        let Some(date) = page.site_date else {
            return Ok(());
        };
        // A simulated clock stands still while the site's may not; both are of one day.
        let patience = if clock.is_simulated() {
            24 * 60
        } else {
            CLOCK_MINUTES
        };
        self.note(clock.now().millis_since(date), patience)
    }

    fn note(&self, ahead_millis: i64, patience_minutes: i64) -> Result<()> {
        let mut off = self.off.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(error) = check_distance(ahead_millis, patience_minutes, "site") else {
            *off = None;
            return Ok(());
        };
        let before = off.filter(|(before, _)| {
            let apart = ahead_millis.saturating_sub(*before);
            check_distance(apart, CLOCK_MINUTES, "site").is_ok()
        });
        let agreeing = before.map_or(0, |(_, agreeing)| agreeing) + 1;
        *off = Some((ahead_millis, agreeing));
        if agreeing < AGREEING {
            return Ok(());
        }
        Err(error)
    }
}

/// Compares the database's clock with the machine's.
pub(crate) async fn check_database_clock(
    warehouse: &warehouse::Warehouse,
    clock: &Clock,
) -> Result<()> {
    if clock.is_simulated() {
        return Ok(());
    }
    let away = clock.now().millis_since(warehouse.time().await?);
    check_distance(away, CLOCK_MINUTES, "database")
}

pub(crate) fn check_distance(
    away_millis: i64,
    patience_minutes: i64,
    whose: &'static str,
) -> Result<()> {
    if away_millis.abs() <= patience_minutes * 60_000 {
        return Ok(());
    }
    let minutes = away_millis / 60_000;
    Err(Error::Clock { minutes, whose })
}

/// On which side of another clock one is that is so far ahead of it.
pub(crate) fn side(ahead: i64) -> &'static str {
    if ahead > 0 { "ahead of" } else { "behind" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_in_a_row_that_agree_are_believed_of_the_time() {
        for (minutes, believed) in [
            (vec![60], false),
            (vec![60, 60], false),
            (vec![60, 61, 60], true),
            (vec![-60, -60, -60, -60], true),
            (vec![60, 60, 0, 60, 60], false),
            (vec![60, 0, 60, 0, 60, 0], false),
            // Copies of different ages.
            (vec![60, 70, 80, 90, 200], false),
            (vec![60, -60, 60, -60], false),
        ] {
            let clock = SiteClock::default();
            let said = minutes
                .iter()
                .map(|ahead| clock.note(ahead * 60_000, CLOCK_MINUTES));
            let refused = said.filter(Result::is_err).count() > 0;
            assert_eq!(refused, believed, "{minutes:?}");
        }
    }

    #[test]
    fn five_minutes_are_the_most_to_the_millisecond() {
        for (away, fits) in [
            (0, true),
            (300_000, true),
            (300_001, false),
            (-300_001, false),
        ] {
            let checked = check_distance(away, CLOCK_MINUTES, "site");
            assert_eq!(checked.is_ok(), fits, "{away}");
        }
    }

    #[test]
    fn a_clock_that_is_off_says_to_which_side() {
        for (minutes, said) in [
            (1292, "1292 minutes ahead of the database's"),
            (-1292, "1292 minutes behind the database's"),
        ] {
            let checked = check_distance(minutes * 60_000, CLOCK_MINUTES, "database");
            let error = checked.expect_err("far").to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
