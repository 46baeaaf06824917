//! The run's clock: the machine's, or one that is set by hand so that days can be simulated.
//!
//! Not here: the database's clock, by which leases are judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use catalog::Instant;

/// A clock; clones show the same time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// One that stands still until it is set: milliseconds since 1970.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at an instant.
    pub fn simulated(at: Instant) -> Self {
        Self::Simulated(Arc::new(AtomicI64::new(at.millis())))
    }

    /// What it shows.
    pub fn now(&self) -> Instant {
        match self {
            Self::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Instant::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Simulated(millis) => Instant::from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Sets a simulated clock; the machine's stays as it is.
    pub fn set(&self, at: Instant) {
        if let Self::Simulated(millis) = self {
            millis.store(at.millis(), Ordering::SeqCst);
        }
    }

    /// Whether days are simulated.
    pub fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }
}
