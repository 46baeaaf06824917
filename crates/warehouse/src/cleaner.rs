//! Who cleans up: one at a time, the step of a run or `tiki cleanup`, which has an attempt of no run.
//!
//! Not here: what may go (`retention`), deleting it (`cleaning`).

use std::sync::Arc;

use crate::error::Result;
use crate::lease::{Attempt, Host, LEASE_SECONDS};
use crate::migrations;
use crate::open::Warehouse;
use crate::params;
use crate::turns::Turn;
use crate::tx::Tx;

/// The step that cleans up.
const STEP: &str = "cleanup-temp-files";

/// What an attempt of no run has in the place of its run. No run can be called so.
pub const NO_RUN: &str = "tiki cleanup";

impl Warehouse {
    /// Begins to clean up for no run; `Err` names the process that cleans up already, for a run or for
    /// none. `is_dead` tells whether a process is known to be gone. To be ended by
    /// [`Warehouse::end_attempt`].
    pub async fn begin_cleaning(
        &self,
        host: &Host,
        is_dead: impl Fn(&Host) -> bool,
    ) -> Result<std::result::Result<Attempt, Host>> {
        let mut tx = self.begin().await?;
        migrations::refuse_newer(&mut tx).await?;
        Turn::Cleaning.take(&mut tx).await?;
        if let Some(busy) = at_work(&mut tx, None, is_dead).await? {
            tx.end().await?;
            return Ok(Err(busy));
        }
        // Whoever slept through its lease finds itself outdone, or its row gone, and stops.
        tx.execute(
            "UPDATE attempts SET state = 'fenced', ended_at = {now} WHERE run_id = $1 AND state = 'live'",
            params![NO_RUN],
        )
        .await?;
        // No run's end takes them away. The newest that failed is told by `tiki errors`.
        tx.execute(
            "DELETE FROM attempts WHERE run_id = $1 AND epoch <> COALESCE((
                SELECT MAX(a.epoch) FROM attempts a WHERE a.run_id = $1
                    AND (a.state = 'fenced' OR a.exit_code NOT IN (0, 130))), 0)",
            params![NO_RUN],
        )
        .await?;
        let row = tx
            .row(
                "INSERT INTO attempts (run_id, step, shard, attempt, host, process, state,
                    lease_until, started_at)
                 VALUES ($1, $2, 0, 1, $3, $4, 'live', {later:$5}, {now}) RETURNING epoch",
                params![NO_RUN, STEP, &host.name, &host.process, LEASE_SECONDS],
            )
            .await?;
        let epoch = row.map_or(Ok(0), |row| row.int(0))?;
        tx.commit().await?;
        Ok(Ok(Attempt {
            run: NO_RUN.into(),
            step: STEP.into(),
            epoch,
            reached: Arc::default(),
        }))
    }

    /// Who cleans up beside an attempt that has begun. Of two that begin at once one sees the other.
    pub async fn other_cleaner(
        &self,
        attempt: &Attempt,
        is_dead: impl Fn(&Host) -> bool,
    ) -> Result<Option<Host>> {
        let mut tx = self.begin().await?;
        Turn::Cleaning.take(&mut tx).await?;
        let busy = at_work(&mut tx, Some(attempt), is_dead).await?;
        tx.end().await?;
        Ok(busy)
    }
}

/// Who cleans up, but for the workers of an attempt's own run.
async fn at_work(
    tx: &mut Tx,
    but: Option<&Attempt>,
    is_dead: impl Fn(&Host) -> bool,
) -> Result<Option<Host>> {
    let own = but.map_or("", |attempt| attempt.run.as_str());
    let sql = "SELECT host, process FROM attempts
        WHERE step = $1 AND state = 'live' AND {leased:lease_until} AND run_id <> $2 ORDER BY epoch";
    for row in tx.rows(sql, params![STEP, own]).await? {
        let host = Host {
            name: row.text(0)?,
            process: row.text(1)?,
        };
        if !is_dead(&host) {
            return Ok(Some(host));
        }
    }
    Ok(None)
}
