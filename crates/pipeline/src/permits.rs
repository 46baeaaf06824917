//! Permits from a row of the warehouse, where there is no Redis.

use std::time::{Duration, Instant};

use crawl::{Grant, PermitError, PermitSource, SCHEDULE_AHEAD, Taking};
use warehouse::Warehouse;

/// The row of one origin.
#[derive(Clone, Debug)]
pub struct WarehousePermits {
    warehouse: Warehouse,
    origin: String,
}

impl WarehousePermits {
    /// The row of an origin.
    pub fn new(warehouse: Warehouse, origin: impl Into<String>) -> Self {
        Self {
            warehouse,
            origin: origin.into(),
        }
    }

    async fn ask(&self, want: u32, spacing: Duration) -> Result<Grant, PermitError> {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let begun = Instant::now();
        let row = self
            .warehouse
            .take_permits(&self.origin, want, micros(spacing), micros(SCHEDULE_AHEAD))
            .await
            .map_err(|error| PermitError::source("taking turns in the warehouse", error))?;
        Ok(Grant {
            count: row.count,
            wait: Duration::from_micros(row.wait_micros.unsigned_abs()),
            spacing,
            age: begun.elapsed(),
        })
    }
}

impl PermitSource for WarehousePermits {
    fn take(&self, want: u32, spacing: Duration) -> Taking<'_> {
        Box::pin(self.ask(want, spacing))
    }
}
