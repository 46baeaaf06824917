//! Who may work on a step: attempts with epochs and leases.
//!
//! An epoch grows with every attempt. A batch commits only in a transaction that finds its own
//! attempt alive ([`commit_fenced`]); whoever takes a step over ends the other attempt first, under
//! the same row lock, so one of the two sees the other. Leases are compared with the database's
//! time; one that ends more than a minute later than any can was written by a clock that has been set back since, and
//! is over.
//!
//! Locks are taken in one order: the step's row, then rows of a frontier, then an attempt's. So whoever ends another
//! attempt commits that before it takes its claims, which that one's transaction may hold; to be killed in between
//! loses nothing, since the next who looks finds the claims of a dead attempt.
//!
//! Not here: what the rows of a frontier are.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::alerts::{self, NewAlert};
use crate::batches;
use crate::error::{Error, Result};
use crate::ledger::RunState;
use crate::migrations;
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;

/// A worker that is silent for so long may be replaced, in seconds.
pub(crate) const LEASE_SECONDS: i64 = 30;

const TRANSFORM: &str = "transform-products";
const LOAD: &str = "load-products";

/// Where a worker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// The process, in words that no other process of the machine ever had.
    pub process: String,
}

/// The wish to work on a step.
#[derive(Clone, Debug)]
pub struct AttemptRequest {
    /// The run's id.
    pub run: String,
    /// The step's name.
    pub step: String,
    /// Which of several workers.
    pub shard: i64,
    /// The number of the attempt: a higher one ends a lower one at once. `None`: the next one,
    /// but only when nobody is at work.
    pub attempt: Option<i64>,
    /// One more worker beside others.
    pub join: bool,
    /// Where the worker runs.
    pub host: Host,
}

/// The right to work on a step.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The run's id.
    pub run: String,
    /// The step's name.
    pub step: String,
    /// Grows with every attempt in the warehouse.
    pub epoch: i64,
    /// The last key that a claim of it took: where the next one looks first.
    pub(crate) reached: Arc<AtomicI64>,
}

impl Warehouse {
    /// Begins an attempt; `Err` names the process that is at work. `is_dead` tells whether a
    /// process of this host is gone (or is the asking one, whose earlier attempt nobody works on).
    /// Nobody works on a held run ([`Error::RunState`]).
    pub async fn begin_attempt(
        &self,
        wish: &AttemptRequest,
        is_dead: impl Fn(&str) -> bool,
    ) -> Result<std::result::Result<Attempt, Host>> {
        let mut tx = self.begin().await?;
        migrations::refuse_newer(&mut tx).await?;
        // Locked, so that the run is not held in between.
        let sql = "SELECT state FROM runs WHERE id = $1 {for share}";
        let state = tx.row(sql, params![&wish.run]).await?;
        if state.map(|row| row.text(0)).transpose()?.as_deref() == Some(RunState::Held.as_str()) {
            return Err(Error::RunState {
                run: wish.run.clone(),
                wanted: "open",
            });
        }
        tx.execute(
            "INSERT INTO run_steps (run_id, step, state, attempt, started_at)
             VALUES ($1, $2, 'open', 0, {now}) ON CONFLICT DO NOTHING",
            params![&wish.run, &wish.step],
        )
        .await?;
        let sql = "SELECT attempt FROM run_steps WHERE run_id = $1 AND step = $2 {for update}";
        let row = tx.row(sql, params![&wish.run, &wish.step]).await?;
        let highest = row.map_or(Ok(0), |row| row.int(0))?;
        let attempt = wish.attempt.unwrap_or(highest + 1);
        if let Some(busy) = end_others(&mut tx, wish, attempt, is_dead).await? {
            tx.end().await?;
            return Ok(Err(busy));
        }
        tx.execute(
            "UPDATE run_steps SET attempt = $3 WHERE run_id = $1 AND step = $2 AND attempt < $3",
            params![&wish.run, &wish.step, attempt],
        )
        .await?;
        let row = tx
            .row(
                "INSERT INTO attempts (run_id, step, shard, attempt, host, process, state,
                    lease_until, started_at)
                 VALUES ($1, $2, $3, $4, $5, $6, 'live', {later:$7}, {now}) RETURNING epoch",
                params![
                    &wish.run,
                    &wish.step,
                    wish.shard,
                    attempt,
                    &wish.host.name,
                    &wish.host.process,
                    LEASE_SECONDS,
                ],
            )
            .await?;
        let attempt = Attempt {
            run: wish.run.clone(),
            step: wish.step.clone(),
            epoch: row.map_or(Ok(0), |row| row.int(0))?,
            reached: Arc::default(),
        };
        tx.commit().await?;
        self.release_dead(&attempt).await?;
        Ok(Ok(attempt))
    }

    /// Gives back what the dead attempts of a step had claimed.
    async fn release_dead(&self, attempt: &Attempt) -> Result<()> {
        let mut tx = self.begin().await?;
        release_dead(&mut tx, &attempt.run, &attempt.step).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Prolongs the lease; [`Error::Fenced`] when another has taken over.
    pub async fn heartbeat(&self, attempt: &Attempt) -> Result<()> {
        let mut tx = self.begin().await?;
        let count = tx
            .execute(
                "UPDATE attempts SET lease_until = {later:$2} WHERE epoch = $1 AND state = 'live'",
                params![attempt.epoch, LEASE_SECONDS],
            )
            .await?;
        tx.commit().await?;
        if count == 1 {
            Ok(())
        } else {
            Err(Error::Fenced(attempt.epoch))
        }
    }

    /// Ends an attempt and gives back what it had claimed; with the exit code and the words of what failed,
    /// and what is to be told of that. The attempt keeps them; its step only until another has ended.
    pub async fn end_attempt(
        &self,
        attempt: &Attempt,
        failed: Option<(i64, &str)>,
        alert: Option<&NewAlert>,
    ) -> Result<()> {
        let (exit_code, error) = failed.unzip();
        let mut tx = self.begin().await?;
        lock_step(&mut tx, attempt).await?;
        let was_live = tx
            .execute(
                "UPDATE attempts SET state = 'ended', ended_at = {now}, exit_code = $2, error = $3
                 WHERE epoch = $1 AND state = 'live'",
                params![attempt.epoch, exit_code, error],
            )
            .await?;
        // Who was fenced has nothing to say about the step any more.
        if was_live == 1 {
            tx.execute(
                "UPDATE run_steps SET error = $3, exit_code = $4
                 WHERE run_id = $1 AND step = $2 AND state = 'open'",
                params![&attempt.run, &attempt.step, error, exit_code],
            )
            .await?;
        }
        release_dead(&mut tx, &attempt.run, &attempt.step).await?;
        if let Some(alert) = alert.filter(|_| was_live == 1) {
            alerts::tell(&mut tx, alert).await?;
        }
        tx.commit().await
    }

    /// Ends attempts whose lease is over and gives back what they had claimed; for a worker that
    /// finds nothing to claim while others still hold rows.
    pub async fn reap(&self, attempt: &Attempt) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "UPDATE attempts SET state = 'fenced', ended_at = {now}
             WHERE run_id = $1 AND step = $2 AND state = 'live'
                AND NOT {leased:lease_until} AND epoch <> $3",
            params![&attempt.run, &attempt.step, attempt.epoch],
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await?;
        self.release_dead(attempt).await
    }

    /// Rows of the step that are pending or claimed by anybody.
    pub async fn open_rows(&self, attempt: &Attempt) -> Result<i64> {
        let mut tx = self.read().await?;
        let count = open_rows(&mut tx, &attempt.run, &attempt.step).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Closes a step unless something of it is pending or claimed; whether it is closed now.
    pub async fn close_step(
        &self,
        attempt: &Attempt,
        exit_code: i64,
        report: &str,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        lock_step(&mut tx, attempt).await?;
        if open_rows(&mut tx, &attempt.run, &attempt.step).await? > 0 {
            tx.end().await?;
            return Ok(false);
        }
        tx.execute(
            "UPDATE run_steps SET state = 'closed', exit_code = $3, report = $4, error = NULL,
                finished_at = {now} WHERE run_id = $1 AND step = $2 AND state = 'open'",
            params![&attempt.run, &attempt.step, exit_code, report],
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(true)
    }
}

/// Keeps the row of an attempt's step until the transaction ends.
async fn lock_step(tx: &mut Tx, attempt: &Attempt) -> Result<()> {
    let sql = "SELECT state FROM run_steps WHERE run_id = $1 AND step = $2 {for update}";
    let found = tx.row(sql, params![&attempt.run, &attempt.step]).await;
    found.map(drop)
}

/// Ends the attempts that must not go on beside the wished one; the one that may, if any.
async fn end_others(
    tx: &mut Tx,
    wish: &AttemptRequest,
    attempt: i64,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<Host>> {
    let rows = tx
        .rows(
            "SELECT epoch, shard, attempt, host, process,
                NOT {leased:lease_until} FROM attempts
             WHERE run_id = $1 AND step = $2 AND state = 'live'",
            params![&wish.run, &wish.step],
        )
        .await?;
    for row in rows {
        let host = Host {
            name: row.text(3)?,
            process: row.text(4)?,
        };
        let dead = host.name == wish.host.name && is_dead(&host.process);
        let same_shard = wish.attempt.is_some() && row.int(1)? == wish.shard;
        let outdone = same_shard && row.int(2)? < attempt;
        let late = same_shard && row.int(2)? > attempt;
        if dead || outdone || row.flag(5)? {
            tx.execute(
                "UPDATE attempts SET state = 'fenced', ended_at = {now} WHERE epoch = $1",
                params![row.int(0)?],
            )
            .await?;
        } else if !wish.join || late {
            return Ok(Some(host));
        }
    }
    Ok(None)
}

/// The frontier of each crawling step: table, and what is still open of it. The steps after them go by
/// batches; a load claims nothing: it holds its batch until its commit.
fn frontier(step: &str) -> Option<(&'static str, &'static str)> {
    Some(match step {
        "crawl-categories" => ("run_categories", "state = 'pending'"),
        "extract-product-urls" => ("listing_pages", "state = 'pending'"),
        "crawl-product-details" => ("run_products", "detail = 'due'"),
        _ => return None,
    })
}

async fn open_rows(tx: &mut Tx, run: &str, step: &str) -> Result<i64> {
    match step {
        TRANSFORM => return batches::to_transform(tx, run).await,
        LOAD => return batches::to_load(tx, run).await,
        _ => {}
    }
    let Some((table, open)) = frontier(step) else {
        return Ok(0);
    };
    let sql = format!("SELECT COUNT(*) FROM {table} WHERE run_id = $1 AND {open}");
    tx.row(&sql, params![run])
        .await?
        .map_or(Ok(0), |row| row.int(0))
}

async fn release_dead(tx: &mut Tx, run: &str, step: &str) -> Result<()> {
    if step == TRANSFORM {
        return batches::release_dead(tx, run).await;
    }
    let Some((table, open)) = frontier(step) else {
        return Ok(());
    };
    let sql = format!(
        "UPDATE {table} SET claim = NULL WHERE run_id = $1 AND {open} AND claim IS NOT NULL
            AND claim NOT IN (SELECT epoch FROM attempts WHERE run_id = $1 AND state = 'live')"
    );
    tx.execute(&sql, params![run]).await.map(drop)
}

/// Whether the one row that an attempt had claimed was still its own.
pub(crate) fn held(count: u64, attempt: &Attempt) -> Result<()> {
    if count == 1 {
        Ok(())
    } else {
        Err(Error::Fenced(attempt.epoch))
    }
}

/// Notes that an attempt has claimed something.
pub(crate) async fn note_claim(tx: &mut Tx, epoch: i64) -> Result<()> {
    tx.execute(
        "UPDATE attempts SET first_claim_at = {now} WHERE epoch = $1 AND first_claim_at IS NULL",
        params![epoch],
    )
    .await
    .map(drop)
}

/// Commits only if the attempt is alive and the schema is none that this program does not know; the
/// attempt's row stays locked until the commit, so nobody can end it or migrate in between.
pub(crate) async fn commit_fenced(mut tx: Tx, epoch: i64) -> Result<()> {
    let sql = format!(
        "UPDATE attempts SET last_commit_at = {{now}}, lease_until = {{later:$2}}
         WHERE epoch = $1 AND state = 'live' AND {} $3",
        migrations::IS_KNOWN
    );
    let params = params![epoch, LEASE_SECONDS, migrations::known()];
    if tx.execute(&sql, params).await? != 1 {
        migrations::refuse_newer(&mut tx).await?;
        return Err(Error::Fenced(epoch));
    }
    tx.commit().await
}
