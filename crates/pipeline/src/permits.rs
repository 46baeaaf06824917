//! The one place that all processes take their permits from: Redis where there is one, else a row of
//! the warehouse; and the pace at which they are given, which is kept in that row in any case.
//!
//! Which of the two grants is written in that row and read with every batch of permits. Whoever
//! cannot reach Redis moves the schedule to the row for everybody; whoever reaches it again moves it
//! back after a while. Either way the new schedule begins after a second of silence, and a grant
//! that took longer than a permit holds is void, so the slots of the two never meet. Where neither
//! answers there is no permit.
//!
//! Not here: waiting for a slot, and when to slow down or to pause (`crawl`).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crawl::{
    Breaker, FULL_SHARE, Grant, MOST_SPACING, Pace, PermitError, PermitSource, RedisPermits,
    Report, Reporting, SCHEDULE_AHEAD, Taking,
};
use warehouse::{PaceRow, Warehouse};

/// The row grants for at least so long before a process moves the permits back to Redis. Each move is a
/// second of silence for all, and one of them may be cut off from a Redis that the others reach.
const BACK_AFTER: Duration = Duration::from_secs(30);

/// The word of the row while Redis grants.
const REDIS: &str = "redis";

/// The word of the row while it grants itself.
const WAREHOUSE: &str = "warehouse";

/// Permits of one origin.
pub struct SitePermits {
    warehouse: Warehouse,
    origin: String,
    redis: Option<RedisPermits>,
    /// Since when the row grants, as far as this process has seen.
    away_since: Mutex<Option<Instant>>,
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
            away_since: Mutex::new(None),
        }
    }

    async fn ask(&self, want: u32, spacing: Duration) -> Result<Grant, PermitError> {
        let begun = Instant::now();
        let (row, granting, now) = self
            .warehouse
            .pace(&self.origin)
            .await
            .map_err(|error| PermitError::source("asking whose turn it is to grant", error))?;
        let pace = pace_of(row);
        let spacing = pace.spacing(spacing, now);
        match pace.breaker(now) {
            Breaker::Open { left } => Err(PermitError::Pause(left)),
            Breaker::Closed => self.take_slots(want, spacing, &granting, begun).await,
            Breaker::HalfOpen => {
                // First the slot: a probe without one would keep everybody away for nothing.
                let mut grant = self.take_slots(1, spacing, &granting, begun).await?;
                let granted = Instant::now();
                if grant.count > 0 {
                    if !self.take_probe().await? {
                        return Err(PermitError::Pause(PROBE_PATIENCE));
                    }
                    grant.probe = true;
                    grant.age += granted.elapsed();
                }
                Ok(grant)
            }
        }
    }

    async fn take_slots(
        &self,
        want: u32,
        spacing: Duration,
        granting: &str,
        begun: Instant,
    ) -> Result<Grant, PermitError> {
        let Some(redis) = &self.redis else {
            return self.ask_row(want, spacing).await;
        };
        if granting != REDIS && !self.may_return(granting) {
            return self.ask_row(want, spacing).await;
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
                self.lost(&error, granting);
                self.ask_row(want, spacing).await
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

    async fn ask_row(&self, want: u32, spacing: Duration) -> Result<Grant, PermitError> {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let row = self
            .warehouse
            .take_permits(
                &self.origin,
                want,
                micros(spacing),
                micros(SCHEDULE_AHEAD),
                micros(MOST_SPACING),
            )
            .await
            .map_err(|error| PermitError::source("taking turns in the warehouse", error))?;
        Ok(Grant {
            count: row.count,
            wait: Duration::from_micros(row.wait_micros.unsigned_abs()),
            spacing,
            age: row.read_at.elapsed(),
            probe: false,
        })
    }

    /// Takes the one request that finds out whether the site answers again.
    async fn take_probe(&self) -> Result<bool, PermitError> {
        self.warehouse
            .try_change_pace(&self.origin, |row, now| {
                let mut pace = pace_of(row);
                let free = pace.breaker(now) == Breaker::HalfOpen;
                pace.take_probe(now);
                free.then(|| row_of(pace))
            })
            .await
            .map_err(|error| PermitError::source("asking whether the site may be tried", error))
    }

    async fn note(&self, report: Report) -> Result<(), PermitError> {
        self.warehouse
            .change_pace(&self.origin, move |row, now| {
                let mut pace = pace_of(row);
                pace.apply(report, now);
                row_of(pace)
            })
            .await
            .map(drop)
            .map_err(|error| PermitError::source("telling the others about the pace", error))
    }

    /// Whether Redis may be tried although it does not grant: at once where nobody has granted yet.
    fn may_return(&self, granting: &str) -> bool {
        let mut away = self.away();
        granting.is_empty() || away.get_or_insert_with(Instant::now).elapsed() > BACK_AFTER
    }

    fn lost(&self, error: &PermitError, granting: &str) {
        *self.away() = Some(Instant::now());
        if granting != WAREHOUSE {
            let error = crate::site::chain(error);
            tracing::warn!(error, "Redis is lost; the warehouse grants the permits");
        }
    }

    fn found(&self) {
        if self.away().take().is_some() {
            tracing::info!("Redis is back and grants the permits");
        }
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How soon to ask again while another process tries the site.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn pace_of(row: PaceRow) -> Pace {
    Pace {
        share: u16::try_from(row.share).unwrap_or(FULL_SHARE),
        share_at_micros: row.share_at_micros,
        open_until_micros: row.open_until_micros,
        pause_micros: row.pause_micros,
    }
}

fn row_of(pace: Pace) -> PaceRow {
    PaceRow {
        share: pace.share.into(),
        share_at_micros: pace.share_at_micros,
        open_until_micros: pace.open_until_micros,
        pause_micros: pace.pause_micros,
    }
}

impl PermitSource for SitePermits {
    fn take(&self, want: u32, spacing: Duration) -> Taking<'_> {
        Box::pin(self.ask(want, spacing))
    }

    fn report(&self, report: Report) -> Reporting<'_> {
        Box::pin(self.note(report))
    }
}
