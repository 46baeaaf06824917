//! The row that all processes share at a site: the turns, where there is no Redis, and the pace.
//!
//! The row holds when the next request may go; the database's time decides. No turn is granted
//! twice, earlier than now, or further ahead than the caller says. The pace is changed by one
//! process at a time, each seeing what the one before it wrote.
//!
//! Not here: waiting for the turn, and what makes the pace faster or slower (`crawl`).

use std::time::Instant;

use crate::error::{Error, Result};
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;
use crate::value::Row;

/// A stretch of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitRow {
    /// Turns granted; 0: none is free within the time ahead.
    pub count: u32,
    /// Microseconds from now to the first of them, or to the moment when asking again makes sense.
    pub wait_micros: i64,
    /// When, at the earliest, the clock was read that `wait_micros` counts from.
    pub read_at: Instant,
}

/// How fast an origin is asked by all processes together. Times are the database's, in microseconds
/// since 1970, cut to milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceRow {
    /// The share of the full rate, in thousandths.
    pub share: i64,
    /// When the share was set; 0: never.
    pub share_at_micros: i64,
    /// Nothing is asked before; 0: the breaker has never opened.
    pub open_until_micros: i64,
    /// How long the breaker opened last; 0: nothing is to be mended.
    pub pause_micros: i64,
}

impl PaceRow {
    /// The pace of an origin that was never asked.
    const FULL: Self = Self {
        share: 1000,
        share_at_micros: 0,
        open_until_micros: 0,
        pause_micros: 0,
    };
}

const PACE_COLUMNS: &str = "share, share_at_micros, open_until_micros, pause_micros";

impl Warehouse {
    /// Takes up to `want` turns, `spacing_micros` apart, none later than `ahead_micros` from now. A
    /// row that is new, or whose turns another source granted last, begins after a silence of
    /// `ahead_micros` and a spacing. `most_micros`: the widest spacing that any process may keep; a turn
    /// that another one left to wait for is waited for.
    pub async fn take_permits(
        &self,
        origin: &str,
        want: u32,
        spacing_micros: i64,
        ahead_micros: i64,
        most_micros: i64,
    ) -> Result<PermitRow> {
        let spacing = spacing_micros.max(1);
        let silence = ahead_micros.saturating_add(spacing);
        let mut tx = self.begin().await?;
        let row = locked(&mut tx, origin, "granted_by, next_at_micros").await?;
        // Only now: the lock may have taken its time.
        let read_at = Instant::now();
        let now = now_micros(&mut tx).await?;
        let stored = row.int(1)?;
        // No process leaves a turn so far ahead: the clock was set back, which must not stop the crawl.
        let is_lost = stored > now + ahead_micros.saturating_add(most_micros.max(spacing));
        let next = if row.text(0)? != "warehouse" || is_lost {
            now + silence
        } else {
            stored.max(now)
        };
        let room = now + ahead_micros - next;
        let fits = if room < 0 { 0 } else { room / spacing + 1 };
        let count = i64::from(want.max(1)).min(fits);
        tx.execute(
            "UPDATE permits SET next_at_micros = $2, granted_by = 'warehouse' WHERE origin = $1",
            params![origin, next + count * spacing],
        )
        .await?;
        tx.commit().await?;
        let wait_micros = if count == 0 {
            next - now - ahead_micros
        } else {
            next - now
        };
        Ok(PermitRow {
            count: u32::try_from(count).unwrap_or(0),
            wait_micros,
            read_at,
        })
    }

    /// An origin's pace, who granted its last turns (`warehouse`, `redis`, or nobody yet: empty), and
    /// the database's time in microseconds since 1970. An origin that was never asked has the full
    /// pace.
    pub async fn pace(&self, origin: &str) -> Result<(PaceRow, String, i64)> {
        let mut tx = self.read().await?;
        let sql = format!(
            "SELECT {{now}}, granted_by, {PACE_COLUMNS} FROM (SELECT 1 AS one) AS d
             LEFT JOIN permits ON origin = $1"
        );
        let row = tx.row(&sql, params![origin]).await?;
        tx.commit().await?;
        let row = row.ok_or_else(|| Error::Stored("no time".into()))?;
        let now = row.time(0)?.millis() * 1000;
        let Some(granted_by) = row.opt_text(1)? else {
            return Ok((PaceRow::FULL, String::new(), now));
        };
        Ok((pace(&row, 2)?, granted_by, now))
    }

    /// Changes an origin's pace; the new one. `change` is told the pace and the database's time, in
    /// microseconds since 1970, while no other process can change it.
    pub async fn change_pace(
        &self,
        origin: &str,
        change: impl FnOnce(PaceRow, i64) -> PaceRow + Send,
    ) -> Result<PaceRow> {
        let mut tx = self.begin().await?;
        let row = locked(&mut tx, origin, PACE_COLUMNS).await?;
        let now = now_micros(&mut tx).await?;
        let next = change(pace(&row, 0)?, now);
        store_pace(&mut tx, origin, next).await?;
        tx.commit().await?;
        Ok(next)
    }

    /// As [`Warehouse::change_pace`], for what only one of many may do (the probe): `None` leaves
    /// the pace as it is. Whether it was changed.
    pub async fn try_change_pace(
        &self,
        origin: &str,
        change: impl FnOnce(PaceRow, i64) -> Option<PaceRow> + Send,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let row = locked(&mut tx, origin, PACE_COLUMNS).await?;
        let now = now_micros(&mut tx).await?;
        let Some(next) = change(pace(&row, 0)?, now) else {
            tx.end().await?;
            return Ok(false);
        };
        store_pace(&mut tx, origin, next).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Says that from now on Redis grants an origin's turns. [`Warehouse::take_permits`] takes it back.
    pub async fn permits_to_redis(&self, origin: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "INSERT INTO permits (origin, granted_by, next_at_micros) VALUES ($1, 'redis', 0)
             ON CONFLICT (origin) DO UPDATE SET granted_by = 'redis', next_at_micros = 0",
            params![origin],
        )
        .await?;
        tx.commit().await
    }
}

/// Columns of an origin's row, made where there is none; locked until the end of the transaction.
async fn locked(tx: &mut Tx, origin: &str, columns: &str) -> Result<Row> {
    tx.execute(
        "INSERT INTO permits (origin, granted_by, next_at_micros) VALUES ($1, '', 0)
         ON CONFLICT DO NOTHING",
        params![origin],
    )
    .await?;
    let sql = format!("SELECT {columns} FROM permits WHERE origin = $1 {{for update}}");
    let row = tx.row(&sql, params![origin]).await?;
    row.ok_or_else(|| Error::Stored("the permit row vanished".into()))
}

/// The database's time. To be read after the lock, which may have taken its time.
async fn now_micros(tx: &mut Tx) -> Result<i64> {
    let now = tx.row("SELECT {now}", &[]).await?;
    let now = now.ok_or_else(|| Error::Stored("no time".into()))?;
    Ok(now.time(0)?.millis() * 1000)
}

async fn store_pace(tx: &mut Tx, origin: &str, pace: PaceRow) -> Result<()> {
    tx.execute(
        "UPDATE permits SET share = $2, share_at_micros = $3, open_until_micros = $4,
            pause_micros = $5 WHERE origin = $1",
        params![
            origin,
            pace.share,
            pace.share_at_micros,
            pace.open_until_micros,
            pace.pause_micros
        ],
    )
    .await
    .map(drop)
}

/// A pace from [`PACE_COLUMNS`], the first of which is at `from`.
fn pace(row: &Row, from: usize) -> Result<PaceRow> {
    Ok(PaceRow {
        share: row.int(from)?,
        share_at_micros: row.int(from + 1)?,
        open_until_micros: row.int(from + 2)?,
        pause_micros: row.int(from + 3)?,
    })
}
