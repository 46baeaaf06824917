//! A warehouse that is lost or held in the middle of a step: it is waited for, and the step goes on in
//! an attempt of its own.
//!
//! Whether the last commit went through is not guessed: its batch and the claim on it are one
//! transaction, so that the next attempt finds either both or neither.
//!
//! Not here: a warehouse that cannot be reached when a step begins (exit 30 at once).

use std::time::{Duration, Instant};

use crate::settings::Settings;
use crate::site::chain;
use crate::steps::{Pipeline, Work};
use crate::{Error, Event};

/// Outages that one step outlives.
const MOST_OUTAGES: u32 = 5;

/// Waits between two tries to reach the warehouse.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The outages of one step.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    count: u32,
}

impl Outages {
    /// Whether there was one.
    pub(crate) fn is_over_one(&self) -> bool {
        self.count > 0
    }

    /// Whether an error is an outage that this step may still outlive.
    pub(crate) fn may_outlive(&mut self, error: &Error, settings: &Settings) -> bool {
        let is_outage = matches!(error, Error::Warehouse(error) if error.is_transient());
        if !is_outage || settings.warehouse_patience.is_zero() {
            return false;
        }
        self.count += 1;
        self.count <= MOST_OUTAGES
    }
}

impl Pipeline {
    /// Waits until the warehouse takes back what an attempt had claimed; false: patience has ended, or
    /// somebody wants to stop.
    pub(crate) async fn outlast(&self, work: &Work<'_>, error: &Error) -> bool {
        let (begun, patience) = (Instant::now(), self.settings().warehouse_patience);
        let seen = chain(error);
        work.warn(format!(
            "{seen}: waiting for it, {} s at most",
            patience.as_secs_f64()
        ));
        let mut wait = FIRST_WAIT;
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() || self.stop().is_said() {
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep(wait.min(left)) => {}
                () = self.stop().heard() => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
            match self
                .warehouse()
                .end_attempt(&work.attempt, Some(&seen))
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
}
