//! The row from which all processes take their turns at the site, where there is no Redis.
//!
//! The row holds when the next request may go; the database's time decides.
//!
//! Not here: waiting for the turn (`crawl`).

use crate::error::{Error, Result};
use crate::open::Warehouse;
use crate::params;

/// A stretch of turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitRow {
    /// Turns granted.
    pub count: u32,
    /// Microseconds from now to the first of them.
    pub wait_micros: i64,
}

/// Before its first grant a source is silent for so long, so that it cannot meet another's grants.
const SILENCE_MICROS: i64 = 1_000_000;

impl Warehouse {
    /// Takes up to `want` turns, `spacing_micros` apart; `burst_micros` of unused time is kept.
    pub async fn take_permits(
        &self,
        origin: &str,
        want: u32,
        spacing_micros: i64,
        burst_micros: i64,
    ) -> Result<PermitRow> {
        let mut tx = self.begin().await?;
        let now = tx.row("SELECT {now}", &[]).await?;
        let now = now
            .ok_or_else(|| Error::Stored("no time".into()))?
            .time(0)?
            .millis()
            * 1000;
        tx.execute(
            "INSERT INTO permits (origin, granted_by, next_at_micros) VALUES ($1, 'warehouse', $2)
             ON CONFLICT DO NOTHING",
            params![origin, now],
        )
        .await?;
        let sql = "SELECT next_at_micros, granted_by FROM permits WHERE origin = $1 {for update}";
        let row = tx.row(sql, params![origin]).await?;
        let row = row.ok_or_else(|| Error::Stored("the permit row vanished".into()))?;
        let changed_hands = row.text(1)? != "warehouse";
        let earliest = if changed_hands {
            now + SILENCE_MICROS
        } else {
            now - burst_micros
        };
        // A clock that was set back must not stop the crawl for long.
        let next = row
            .int(0)?
            .min(now + 10 * SILENCE_MICROS.max(spacing_micros))
            .max(earliest);
        tx.execute(
            "UPDATE permits SET next_at_micros = $2, granted_by = 'warehouse' WHERE origin = $1",
            params![origin, next + i64::from(want) * spacing_micros],
        )
        .await?;
        tx.commit().await?;
        Ok(PermitRow {
            count: want,
            wait_micros: (next - now).max(0),
        })
    }
}
