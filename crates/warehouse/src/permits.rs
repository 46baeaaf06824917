//! The row from which all processes take their turns at the site, where there is no Redis.
//!
//! The row holds when the next request may go; the database's time decides. No turn is granted
//! twice, earlier than now, or further ahead than the caller says.
//!
//! Not here: waiting for the turn (`crawl`).

use crate::error::{Error, Result};
use crate::open::Warehouse;
use crate::params;

/// A stretch of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitRow {
    /// Turns granted; 0: none is free within the time ahead.
    pub count: u32,
    /// Microseconds from now to the first of them, or to the moment when asking again makes sense.
    pub wait_micros: i64,
}

impl Warehouse {
    /// Takes up to `want` turns, `spacing_micros` apart, none later than `ahead_micros` from now. A
    /// row that is new, or whose turns another source granted last, begins after a silence of
    /// `ahead_micros` and a spacing.
    pub async fn take_permits(
        &self,
        origin: &str,
        want: u32,
        spacing_micros: i64,
        ahead_micros: i64,
    ) -> Result<PermitRow> {
        let spacing = spacing_micros.max(1);
        let silence = ahead_micros.saturating_add(spacing);
        let mut tx = self.begin().await?;
        tx.execute(
            "INSERT INTO permits (origin, granted_by, next_at_micros) VALUES ($1, '', 0)
             ON CONFLICT DO NOTHING",
            params![origin],
        )
        .await?;
        let sql = "SELECT next_at_micros, granted_by FROM permits WHERE origin = $1 {for update}";
        let row = tx.row(sql, params![origin]).await?;
        let row = row.ok_or_else(|| Error::Stored("the permit row vanished".into()))?;
        // Read only now: the lock may have taken its time.
        let now = tx.row("SELECT {now}", &[]).await?;
        let now = now
            .ok_or_else(|| Error::Stored("no time".into()))?
            .time(0)?
            .millis()
            * 1000;
        let begins_anew = row.text(1)? != "warehouse";
        let stored = if begins_anew {
            now + silence
        } else {
            row.int(0)?
        };
        // A clock that was set back must not stop the crawl for longer than the silence.
        let next = stored.clamp(now, now + silence);
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
        })
    }
}

impl Warehouse {
    /// Who granted an origin's last turns: `warehouse`, `redis`, or nobody yet (empty).
    pub async fn permits_granted_by(&self, origin: &str) -> Result<String> {
        let mut tx = self.read().await?;
        let sql = "SELECT granted_by FROM permits WHERE origin = $1";
        let row = tx.row(sql, params![origin]).await?;
        tx.commit().await?;
        row.map_or_else(|| Ok(String::new()), |row| row.text(0))
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
