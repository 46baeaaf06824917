//! A warehouse that is lost, held, full or read-only in the middle of a step: it is waited for, and the
//! step goes on in an attempt of its own.
//!
//! Whether the last commit went through is not guessed. Its batch and the claim on it are one
//! transaction, which holds the row of its attempt. To end that attempt is to wait for that row: so a
//! COMMIT that is still on its way arrives before, or is refused by the server, and the next attempt
//! finds both the batch and its new state or neither.
//!
//! Not here: which failure is an outage (`warehouse`), a warehouse that cannot be reached when a
//! command opens it (exit 30 at once).

use std::time::{Duration, Instant};

use crate::settings::Settings;
use crate::site::chain;
use crate::steps::{Pipeline, Work};
use crate::{Error, Event, Result};

/// Outages that one step outlives.
const MOST_OUTAGES: u32 = 5;

/// Waits between two tries to reach the warehouse.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The outages of one step. Each is bounded by the patience, from its first failure until something
/// was done again.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    count: u32,
    since: Option<Instant>,
}

impl Outages {
    /// Whether there was one.
    pub(crate) fn any(&self) -> bool {
        self.count > 0
    }

    /// Whether an error is an outage that this step may still outlive.
    pub(crate) fn may_outlive(&mut self, error: &Error, settings: &Settings) -> bool {
        if !is_outage(error) || settings.warehouse_patience.is_zero() {
            return false;
        }
        let begun = *self.since.get_or_insert_with(|| {
            self.count += 1;
            Instant::now()
        });
        self.count <= MOST_OUTAGES && begun.elapsed() < settings.warehouse_patience
    }

    /// Something was done since: what fails next is another outage.
    pub(crate) fn is_over(&mut self) {
        self.since = None;
    }

    /// How much patience is left.
    fn left(&self, settings: &Settings) -> Duration {
        let spent = self.since.map_or(Duration::ZERO, |begun| begun.elapsed());
        settings.warehouse_patience.saturating_sub(spent)
    }
}

/// Whether the warehouse may do later what it did not do now.
pub(crate) fn is_outage(error: &Error) -> bool {
    matches!(error, Error::Warehouse(error) if error.is_transient())
}

impl Pipeline {
    /// Calls the warehouse until it answers, within the patience. The call may have been done already
    /// when it is made again (its answer may be all that was lost), so it is one that may be repeated;
    /// it is told whether it is.
    pub(crate) async fn patiently<T>(
        &self,
        mut call: impl AsyncFnMut(bool) -> Result<T>,
    ) -> Result<T> {
        let mut outages = Outages::default();
        let mut wait = FIRST_WAIT;
        loop {
            // Boxed: calls lie in calls, and their futures would be one type.
            let error = match Box::pin(call(outages.any())).await {
                Ok(answer) => {
                    if outages.any() {
                        self.tell(Event::Warning("the warehouse answers again".to_owned()));
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let is_first = !outages.any();
            if !outages.may_outlive(&error, self.settings()) || self.stop().is_said() {
                return Err(error);
            }
            if is_first {
                self.tell(Event::Warning(self.waiting(&error)));
            }
            self.pause(&mut wait, outages.left(self.settings())).await;
        }
    }

    /// Waits until the warehouse takes back what an attempt had claimed; false: patience has ended, or
    /// somebody wants to stop.
    pub(crate) async fn outlast(&self, work: &Work<'_>, error: &Error, outages: &Outages) -> bool {
        work.warn(self.waiting(error));
        let (code, seen) = error.to_keep();
        let failed = Some((code, seen.as_str()));
        let mut wait = FIRST_WAIT;
        loop {
            let left = outages.left(self.settings());
            if left.is_zero() || self.stop().is_said() {
                return false;
            }
            self.pause(&mut wait, left).await;
            match self
                .warehouse()
                .end_attempt(&work.attempt, failed, None)
                .await
            {
                Ok(()) => {
                    self.tell(Event::Warning("the warehouse answers again".to_owned()));
                    return true;
                }
                Err(error) if error.is_transient() => {}
                Err(_) => return false,
            }
        }
    }

    fn waiting(&self, error: &Error) -> String {
        let patience = self.settings().warehouse_patience.as_secs_f64();
        format!("{}: waiting for it, {patience} s at most", chain(error))
    }

    /// Waits, longer each time, but not past what is left or a wish to stop.
    async fn pause(&self, wait: &mut Duration, left: Duration) {
        tokio::select! {
            () = tokio::time::sleep((*wait).min(left)) => {}
            () = self.stop().heard() => {}
        }
        *wait = (*wait * 2).min(LONGEST_WAIT);
    }
}
