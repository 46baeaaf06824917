//! The site as the steps see it: a client, and robots.txt read once a day.
//!
//! Not here: what to ask (the steps), what an error means (`fetch`).

use std::sync::Arc;
use std::time::Instant;

use crawl::{Answer, Ask, Client, FetchError, ROBOTS_FRESH, Robots};
use tokio::sync::Mutex;

use crate::{Clock, Error, Result};

/// The clocks may differ so much, in minutes.
const CLOCK_MINUTES: i64 = 5;

/// The way to the site.
pub struct Site {
    client: Client,
    robots: Mutex<Option<(Arc<Robots>, Instant)>>,
}

impl Site {
    /// The site behind a client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            robots: Mutex::new(None),
        }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the site allows; read when there is none, and again every day.
    pub async fn robots(&self) -> Result<Arc<Robots>> {
        let mut kept = self.robots.lock().await;
        if let Some((robots, read)) = kept.as_ref()
            && read.elapsed() < ROBOTS_FRESH
        {
            return Ok(Arc::clone(robots));
        }
        let robots = self
            .client
            .read_robots()
            .await
            .map_err(|error| Error::Refused {
                seen: chain(&error),
                retry_after: crate::fetch::REFUSED_FOR,
            })?;
        let robots = Arc::new(robots);
        *kept = Some((Arc::clone(&robots), Instant::now()));
        Ok(robots)
    }

    /// One request.
    pub(crate) async fn ask(&self, ask: &Ask, robots: &Robots) -> Answered {
        self.client.fetch(ask, robots).await
    }
}

/// What came of a request.
pub(crate) type Answered = std::result::Result<Answer, FetchError>;

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

fn check_distance(away_millis: i64, patience_minutes: i64, whose: &'static str) -> Result<()> {
    if away_millis.abs() <= patience_minutes * 60_000 {
        return Ok(());
    }
    let minutes = away_millis / 60_000;
    Err(Error::Clock { minutes, whose })
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
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
}
