//! Whether the clocks of this machine, of the database and of the site agree.
//!
//! Not here: the run's own clock (`clock`).

use crawl::Answer;

use crate::{Clock, Error, Result};

/// The clocks may differ so much, in minutes.
pub(crate) const CLOCK_MINUTES: i64 = 5;

/// Compares the site's clock with the run's.
pub(crate) fn check_clock(answer: &Answer, clock: &Clock) -> Result<()> {
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
    check_distance(clock.now().millis_since(date), patience, "site")
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
