//! What of a run differs from the runs before it, and runs that are held for it.
//!
//! A held run is not open: nobody works on it and another run may begin beside it. A person accepts
//! its drift, and it is open again, or rejects it, and nothing of it is loaded.
//!
//! Not here: finding a drift (`catalog`), deciding that a run is held (`pipeline`).

use catalog::Instant;

use crate::alerts::{self, NewAlert};
use crate::bulk::Columns;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;
use crate::value::Row;

/// One field that differs from the runs before.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftRow {
    /// How it came: `api` or `html`.
    pub source: String,
    /// What it is: `listing` or `detail`.
    pub endpoint: String,
    /// The root category of the objects; 0: not known.
    pub root: i64,
    /// The site's name of the field.
    pub field: String,
    /// What changed, as a word of `catalog`.
    pub kind: String,
    /// What it was: a share from 0 to 1, or a mean of ln(1 + |n|).
    pub was: f64,
    /// What it is, in the same measure.
    pub now_is: f64,
    /// Objects of this run.
    pub sample: i64,
    /// Whether it stops the load.
    pub stops: bool,
}

const COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("source", "text"),
    ("endpoint", "text"),
    ("root", "bigint"),
    ("field", "text"),
    ("kind", "text"),
    ("was", "{real}"),
    ("now_is", "{real}"),
    ("sample", "bigint"),
    ("stops", "{flag}"),
];

impl Warehouse {
    /// Keeps what differs in a run, in place of what was kept of it before. No two of the rows have
    /// the same source, endpoint, root, field and kind.
    pub async fn store_drift(&self, attempt: &Attempt, rows: &[DriftRow]) -> Result<()> {
        let mut tx = self.begin().await?;
        // Two workers of one step may find the same at the same time.
        let sql = "SELECT id FROM runs WHERE id = $1 {for update}";
        tx.row(sql, params![&attempt.run]).await?;
        let sql = "DELETE FROM drift WHERE run_id = $1";
        tx.execute(sql, params![&attempt.run]).await?;
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                params![
                    &attempt.run,
                    &row.source,
                    &row.endpoint,
                    row.root,
                    &row.field,
                    &row.kind,
                    row.was,
                    row.now_is,
                    row.sample,
                    row.stops,
                ]
                .to_vec()
            })
            .collect();
        tx.insert("drift", COLUMNS, "", &rows).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// What differs in a run, in the order of the keys.
    pub async fn drift(&self, run: &str) -> Result<Vec<DriftRow>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT source, endpoint, root, field, kind, was, now_is, sample, stops FROM drift
                 WHERE run_id = $1 ORDER BY source, endpoint, root, field, kind",
                params![run],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(drift_row).collect()
    }

    /// Holds the attempt's run: nothing more is written to it until a person has decided. All
    /// attempts of the run end, this one too, which keeps the exit code and the words of why.
    /// [`Error::RunState`] when the run is not open. What is to be told of it is written with it.
    pub async fn hold_run(
        &self,
        attempt: &Attempt,
        (exit_code, why): (i64, &str),
        alert: Option<&NewAlert>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let count = tx
            .execute(
                "UPDATE runs SET state = 'held', exit_code = $2 WHERE id = $1 AND state = 'open'",
                params![&attempt.run, exit_code],
            )
            .await?;
        in_state(count, &attempt.run, "open")?;
        tx.execute(
            "UPDATE attempts SET state = 'fenced', ended_at = {now}
             WHERE run_id = $1 AND state = 'live' AND epoch <> $2",
            params![&attempt.run, attempt.epoch],
        )
        .await?;
        let count = tx
            .execute(
                "UPDATE attempts SET state = 'ended', ended_at = {now}, last_commit_at = {now},
                    exit_code = $2, error = $3
                 WHERE epoch = $1 AND state = 'live'",
                params![attempt.epoch, exit_code, why],
            )
            .await?;
        if count != 1 {
            return Err(Error::Fenced(attempt.epoch));
        }
        if let Some(alert) = alert {
            alerts::tell(&mut tx, alert).await?;
        }
        tx.commit().await
    }

    /// Opens a held run again, to be loaded: from it on the site is as this run says.
    /// [`Error::RunState`] when it is not held.
    pub async fn accept_drift(&self, run: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let count = tx
            .execute(
                "UPDATE runs SET state = 'open', exit_code = NULL, drift = 'accepted'
                 WHERE id = $1 AND state = 'held'",
                params![run],
            )
            .await?;
        in_state(count, run, "held")?;
        tx.commit().await
    }

    /// Whether nothing of a run was derived or loaded since it was held with this exit code.
    pub async fn is_untouched_since_held(&self, run: &str, exit_code: i64) -> Result<bool> {
        let mut tx = self.read().await?;
        let sql = "SELECT 1 FROM attempts h WHERE h.run_id = $1 AND h.exit_code = $2
                AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = h.run_id
                    AND a.started_at > h.ended_at AND a.first_claim_at IS NOT NULL)
             LIMIT 1";
        let row = tx.row(sql, params![run, exit_code]).await?;
        tx.end().await?;
        Ok(row.is_some())
    }

    /// When a person last closed a held run without loading it: what was fetched before may have its shape.
    pub async fn drift_rejected_at(&self) -> Result<Option<Instant>> {
        let mut tx = self.read().await?;
        let sql = "SELECT MAX(finished_at) FROM runs WHERE drift = 'rejected'";
        let row = tx.row(sql, params![]).await?;
        tx.end().await?;
        row.map_or(Ok(None), |row| row.opt_time(0))
    }

    /// Closes a held run without loading it: what was staged is dropped, and its products count as
    /// unobserved; their details will be asked for again. The caller freezes its counts with
    /// [`Warehouse::finish_run`]: until then it has none, nor those of an earlier end.
    /// [`Error::RunState`] when it is not held.
    pub async fn reject_drift(&self, run: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let count = tx
            .execute(
                "UPDATE runs SET state = 'abandoned', drift = 'rejected', totals = NULL,
                    finished_at = {now}
                 WHERE id = $1 AND state = 'held'",
                params![run],
            )
            .await?;
        in_state(count, run, "held")?;
        let left = [
            "DELETE FROM staged_products WHERE run_id = $1",
            "UPDATE run_products SET outcome = 'unobserved', claim = NULL
             WHERE run_id = $1 AND outcome IS NULL",
            // What the details said is not believed, so no plan may rely on their having been asked.
            "DELETE FROM product_state WHERE (product_id, detail_at) IN (
                SELECT product_id, answered_at FROM run_products
                WHERE run_id = $1 AND answered_at IS NOT NULL)",
        ];
        for sql in left {
            tx.execute(sql, params![run]).await?;
        }
        tx.commit().await
    }
}

/// Whether the one run that a statement was for was in the state that it wanted.
pub(crate) fn in_state(count: u64, run: &str, wanted: &'static str) -> Result<()> {
    if count == 1 {
        return Ok(());
    }
    Err(Error::RunState {
        run: run.into(),
        wanted,
    })
}

fn drift_row(row: &Row) -> Result<DriftRow> {
    Ok(DriftRow {
        source: row.text(0)?,
        endpoint: row.text(1)?,
        root: row.int(2)?,
        field: row.text(3)?,
        kind: row.text(4)?,
        was: row.real(5)?,
        now_is: row.real(6)?,
        sample: row.int(7)?,
        stops: row.flag(8)?,
    })
}
