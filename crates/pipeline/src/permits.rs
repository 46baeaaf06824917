//! The one place that all processes take their permits from: Redis where there is one, else a row of
//! the warehouse.
//!
//! Which of the two grants is written in that row and read with every batch of permits. Whoever
//! cannot reach Redis moves the schedule to the row for everybody; whoever reaches it again moves it
//! back after a while. Either way the new schedule begins after a second of silence, and a grant
//! that took longer than a permit holds is void, so the slots of the two never meet. Where neither
//! answers there is no permit.
//!
//! Not here: waiting for a slot (`crawl`).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crawl::{Grant, PermitError, PermitSource, RedisPermits, SCHEDULE_AHEAD, Taking};
use warehouse::Warehouse;

/// After Redis was lost, the row grants for at least so long.
const BACK_AFTER: Duration = Duration::from_secs(30);

/// The word of the row while Redis grants.
const REDIS: &str = "redis";

/// Permits of one origin.
pub struct SitePermits {
    warehouse: Warehouse,
    origin: String,
    redis: Option<RedisPermits>,
    lost_at: Mutex<Option<Instant>>,
}

impl SitePermits {
    /// Permits from Redis where it is given, else from the warehouse.
    pub fn new(
        warehouse: Warehouse,
        origin: impl Into<String>,
        redis: Option<RedisPermits>,
    ) -> Self {
        Self {
            warehouse,
            origin: origin.into(),
            redis,
            lost_at: Mutex::new(None),
        }
    }

    async fn ask(&self, want: u32, spacing: Duration) -> Result<Grant, PermitError> {
        let begun = Instant::now();
        let Some(redis) = &self.redis else {
            return self.ask_row(want, spacing, begun).await;
        };
        let granting = self.warehouse.permits_granted_by(&self.origin).await;
        let granting = granting
            .map_err(|error| PermitError::source("asking whose turn it is to grant", error))?;
        if granting != REDIS && !self.may_return() {
            return self.ask_row(want, spacing, begun).await;
        }
        match self
            .ask_redis(redis, want, spacing, granting == REDIS)
            .await
        {
            Ok(mut grant) => {
                // The word of the row is as old as this call.
                grant.age = begun.elapsed();
                self.found();
                Ok(grant)
            }
            Err(error) => {
                self.lost(&error);
                self.ask_row(want, spacing, Instant::now()).await
            }
        }
    }

    async fn ask_redis(
        &self,
        redis: &RedisPermits,
        want: u32,
        spacing: Duration,
        granting: bool,
    ) -> Result<Grant, PermitError> {
        if !granting {
            // Emptied first: whoever reads the new word finds a schedule that begins with silence.
            redis.forget().await?;
            let moved = self.warehouse.permits_to_redis(&self.origin).await;
            moved.map_err(|error| PermitError::source("moving the permits to Redis", error))?;
        }
        redis.take(want, spacing).await
    }

    async fn ask_row(
        &self,
        want: u32,
        spacing: Duration,
        begun: Instant,
    ) -> Result<Grant, PermitError> {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
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

    /// Whether Redis may be tried although the row grants.
    fn may_return(&self) -> bool {
        let lost = self.lost_at.lock().unwrap_or_else(PoisonError::into_inner);
        lost.is_none_or(|at| at.elapsed() > BACK_AFTER)
    }

    fn lost(&self, error: &PermitError) {
        let mut lost = self.lost_at.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.is_none() {
            let error = crate::site::chain(error);
            tracing::warn!(error, "Redis is lost; the warehouse grants the permits");
        }
        *lost = Some(Instant::now());
    }

    fn found(&self) {
        let mut lost = self.lost_at.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.take().is_some() {
            tracing::info!("Redis is back and grants the permits");
        }
    }
}

impl PermitSource for SitePermits {
    fn take(&self, want: u32, spacing: Duration) -> Taking<'_> {
        Box::pin(self.ask(want, spacing))
    }
}
