//! The ledger: runs, their steps and what became of them.
//!
//! Not here: who may work on a step (`lease`), what a step does (`pipeline`).

use catalog::Instant;

use crate::alerts::{self, NewAlert};
use crate::error::{Error, Result};
use crate::lease::Attempt;
use crate::migrations;
use crate::open::Warehouse;
use crate::params;
use crate::turns::Turn;
use crate::tx::Tx;
use crate::value::Row;

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// Begun and not finished.
    Open,
    /// All steps are closed.
    Done,
    /// Closed before its frontier was asked; what it had fetched is loaded.
    Abandoned,
    /// Stopped by the drift gate; loaded by nobody but `tiki drift accept`.
    Held,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Done, Self::Abandoned, Self::Held];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Abandoned => "abandoned",
            Self::Held => "held",
        }
    }

    fn parse(word: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| Error::Stored(format!("{word:?} is no state of a run")))
    }
}

/// A run about to begin.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// `[A-Za-z0-9._:+-]{1,128}`.
    pub id: String,
    /// `cli`, `serve` or `airflow:<dag>`.
    pub owner: String,
    /// What is crawled, as JSON; frozen.
    pub scope: String,
    /// Two runs with the same key crawl the same.
    pub scope_key: String,
    /// The run's clock when it begins (simulated in a demo).
    pub clock_at: Instant,
}

/// A run of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Counts up over the warehouse's life.
    pub number: i64,
    /// Who began it.
    pub owner: String,
    /// Where it stands.
    pub state: RunState,
    /// What it crawls, as JSON.
    pub scope: String,
    /// See [`NewRun::scope_key`].
    pub scope_key: String,
    /// The run's clock when it began.
    pub clock_at: Instant,
    /// The database's time when it began.
    pub created_at: Instant,
    /// The database's time when it ended.
    pub finished_at: Option<Instant>,
    /// The exit code of its end.
    pub exit_code: Option<i64>,
    /// The counts of its end, as JSON.
    pub totals: Option<String>,
    /// The database's time of its last commit, or of its beginning.
    pub last_commit_at: Instant,
    /// Whether an attempt holds a lease now.
    pub leased: bool,
    /// What a person said of a run that the drift gate had stopped: `accepted` or `rejected`.
    pub drift: Option<String>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    /// The step's name.
    pub step: String,
    /// Closed: nothing of it is pending and nothing claimed.
    pub closed: bool,
    /// The highest attempt so far.
    pub attempt: i64,
    /// The exit code of its end; of one that is open, of the attempt that failed last.
    pub exit_code: Option<i64>,
    /// Its report, as JSON.
    pub report: Option<String>,
    /// What failed last.
    pub error: Option<String>,
    /// How far a step that plans has come.
    pub planned_to: Option<String>,
    /// The database's time.
    pub started_at: Instant,
    /// The database's time.
    pub finished_at: Option<Instant>,
}

const RUN_COLUMNS: &str = "r.id, r.number, r.owner, r.state, r.scope, r.scope_key, r.clock_at,
    r.created_at, r.finished_at, r.exit_code, r.totals,
    COALESCE((SELECT MAX(a.last_commit_at) FROM attempts a WHERE a.run_id = r.id), r.created_at),
    EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = r.id AND a.state = 'live'
        AND {leased:a.lease_until}), r.drift";

const STEP_COLUMNS: &str = "step, state, attempt, exit_code, report, error, planned_to,
    started_at, finished_at";

impl Warehouse {
    /// A run by its id.
    pub async fn run(&self, id: &str) -> Result<Option<Run>> {
        let mut tx = self.read().await?;
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs r WHERE r.id = $1");
        let row = tx.row(&sql, params![id]).await?;
        tx.commit().await?;
        row.map(|row| run(&row)).transpose()
    }

    /// The newest runs first, `limit` at most.
    pub async fn runs(&self, limit: i64) -> Result<Vec<Run>> {
        let mut tx = self.read().await?;
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs r ORDER BY r.number DESC LIMIT $1");
        let rows = tx.rows(&sql, params![limit]).await?;
        tx.commit().await?;
        rows.iter().map(run).collect()
    }

    /// Runs that are open or held, the newest first.
    pub async fn unfinished_runs(&self) -> Result<Vec<Run>> {
        let mut tx = self.read().await?;
        let runs = unfinished(&mut tx).await?;
        tx.commit().await?;
        Ok(runs)
    }

    /// When the newest run of an owner began, by its own clock.
    pub async fn last_begun(&self, owner: &str) -> Result<Option<Instant>> {
        let mut tx = self.read().await?;
        let sql = "SELECT MAX(clock_at) FROM runs WHERE owner = $1";
        let row = tx.row(sql, params![owner]).await?;
        tx.commit().await?;
        row.map_or(Ok(None), |row| row.opt_time(0))
    }

    /// When the newest run that crawled to its end began, by its own clock, which it had compared with the site's.
    pub async fn last_crawled(&self) -> Result<Option<Instant>> {
        let mut tx = self.read().await?;
        let sql = "SELECT MAX(clock_at) FROM runs WHERE state = 'done' AND exit_code IN (0, 10)";
        let row = tx.row(sql, &[]).await?;
        tx.commit().await?;
        row.map_or(Ok(None), |row| row.opt_time(0))
    }

    /// Held runs, the newest first, `limit` at most.
    pub async fn held_runs(&self, limit: i64) -> Result<Vec<Run>> {
        let mut tx = self.read().await?;
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs r WHERE r.state = 'held'
             ORDER BY r.number DESC LIMIT $1"
        );
        let rows = tx.rows(&sql, params![limit]).await?;
        tx.commit().await?;
        rows.iter().map(run).collect()
    }

    /// Creates a run unless another is open or this one exists; that one is answered then and nothing
    /// is made. A held run keeps no other from beginning.
    pub async fn create_run(&self, new: &NewRun) -> Result<std::result::Result<Run, Box<Run>>> {
        let mut tx = self.begin().await?;
        Turn::Run.take(&mut tx).await?;
        migrations::refuse_newer(&mut tx).await?;
        let sql = format!(
            "SELECT {RUN_COLUMNS} FROM runs r WHERE r.state = 'open' OR r.id = $1
             ORDER BY r.number DESC LIMIT 1"
        );
        if let Some(row) = tx.row(&sql, params![&new.id]).await? {
            tx.end().await?;
            return Ok(Err(Box::new(run(&row)?)));
        }
        // Of two workers beside each other one may have been killed while the other ended the step.
        tx.execute(
            "UPDATE attempts SET state = 'fenced', ended_at = {now} WHERE state = 'live'
                AND NOT {leased:lease_until}
                AND run_id IN (SELECT id FROM runs WHERE state IN ('done', 'abandoned'))",
            &[],
        )
        .await?;
        tx.execute(
            "INSERT INTO runs (id, number, owner, state, scope, scope_key, clock_at, created_at)
             VALUES ($1, (SELECT COALESCE(MAX(number), 0) + 1 FROM runs), $2, 'open', $3, $4, $5,
                {now})",
            params![
                &new.id,
                &new.owner,
                &new.scope,
                &new.scope_key,
                new.clock_at
            ],
        )
        .await?;
        let sql = format!("SELECT {RUN_COLUMNS} FROM runs r WHERE r.id = $1");
        let row = tx.row(&sql, params![&new.id]).await?;
        tx.commit().await?;
        let row = row.ok_or_else(|| Error::Stored("a run that was just made".into()))?;
        Ok(Ok(run(&row)?))
    }

    /// Whether a run with a higher number than this ([`Run::number`]) has ended by itself.
    pub async fn is_overtaken(&self, number: i64) -> Result<bool> {
        let mut tx = self.read().await?;
        let sql = "SELECT 1 FROM runs WHERE number > $1 AND state = 'done' LIMIT 1";
        let row = tx.row(sql, params![number]).await?;
        tx.end().await?;
        Ok(row.is_some())
    }

    /// Whether nobody works on a run because a step of it has ended well, or none has begun yet.
    pub async fn is_between_steps(&self, id: &str) -> Result<bool> {
        let mut tx = self.read().await?;
        let sql = "SELECT state = 'ended' AND exit_code IS NULL FROM attempts WHERE run_id = $1
             ORDER BY epoch DESC LIMIT 1";
        let row = tx.row(sql, params![id]).await?;
        tx.end().await?;
        row.map_or(Ok(true), |row| row.flag(0))
    }

    /// Ends a run: nothing of it is open any more. A held run stays as it is; one whose drift was
    /// rejected is ended by this with its counts. What is to be told of the end is written with it.
    pub async fn finish_run(
        &self,
        id: &str,
        state: RunState,
        exit_code: i64,
        totals: &str,
        alert: Option<&NewAlert>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let ended = tx
            .execute(
                "UPDATE runs SET state = $2, exit_code = $3, totals = $4, finished_at = {now}
                 WHERE id = $1 AND state NOT IN ('done', 'held')",
                params![id, state.as_str(), exit_code, totals],
            )
            .await?;
        if let Some(alert) = alert.filter(|_| ended == 1) {
            alerts::tell_end(&mut tx, alert, id).await?;
        }
        tx.commit().await
    }

    /// The steps of a run that have begun, in the order of their beginning.
    pub async fn steps(&self, run: &str) -> Result<Vec<StepRow>> {
        let mut tx = self.read().await?;
        let sql = format!(
            "SELECT {STEP_COLUMNS} FROM run_steps WHERE run_id = $1 ORDER BY started_at, step"
        );
        let rows = tx.rows(&sql, params![run]).await?;
        tx.commit().await?;
        rows.iter().map(step_row).collect()
    }

    /// One step of a run, if it has begun.
    pub async fn step(&self, run: &str, step: &str) -> Result<Option<StepRow>> {
        let mut tx = self.read().await?;
        let sql = format!("SELECT {STEP_COLUMNS} FROM run_steps WHERE run_id = $1 AND step = $2");
        let row = tx.row(&sql, params![run, step]).await?;
        tx.commit().await?;
        row.map(|row| step_row(&row)).transpose()
    }

    /// How long was worked on the attempt's step so far: on what its counts tell. A crawl that is redone
    /// keeps what it had, and the time that it took; any other step begins anew.
    pub async fn worked(&self, attempt: &Attempt) -> Result<Worked> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT a.started_at, CASE WHEN a.epoch = $3 THEN {now}
                    WHEN a.state = 'ended' THEN a.ended_at ELSE a.last_commit_at END,
                    a.first_claim_at, a.last_commit_at
                 FROM attempts a JOIN run_steps s ON s.run_id = a.run_id AND s.step = a.step
                 WHERE a.run_id = $1 AND a.step = $2 AND (a.started_at >= s.started_at OR a.step IN (
                    'crawl-categories', 'extract-product-urls', 'crawl-product-details'))
                 ORDER BY a.epoch",
                params![&attempt.run, &attempt.step, attempt.epoch],
            )
            .await?;
        tx.commit().await?;
        let (mut live, mut claimed) = (Vec::new(), Vec::new());
        for row in rows {
            live.extend(row.opt_time(0)?.zip(row.opt_time(1)?));
            claimed.extend(row.opt_time(2)?.zip(row.opt_time(3)?));
        }
        Ok(Worked {
            seconds: covered(live),
            claimed: (!claimed.is_empty()).then(|| covered(claimed)),
        })
    }
}

/// Seconds at work on a step, over all its workers: no pause between two attempts counts, and what several
/// do at once counts once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worked {
    /// From each attempt's beginning to its end; of one that was lost, to its last commit.
    pub seconds: f64,
    /// From each attempt's first claim to its last commit; `None`: nothing was claimed.
    pub claimed: Option<f64>,
}

/// Seconds that lie in at least one of some spans.
fn covered(mut spans: Vec<(Instant, Instant)>) -> f64 {
    spans.sort();
    let (mut millis, mut reached) = (0, None);
    for (from, to) in spans {
        let from = reached.map_or(from, |reached| from.max(reached));
        millis += to.millis_since(from).max(0);
        reached = Some(to.max(from));
    }
    millis as f64 / 1000.0
}

async fn unfinished(tx: &mut Tx) -> Result<Vec<Run>> {
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM runs r WHERE r.state IN ('open', 'held') ORDER BY r.number DESC"
    );
    tx.rows(&sql, &[]).await?.iter().map(run).collect()
}

fn run(row: &Row) -> Result<Run> {
    Ok(Run {
        id: row.text(0)?,
        number: row.int(1)?,
        owner: row.text(2)?,
        state: RunState::parse(&row.text(3)?)?,
        scope: row.text(4)?,
        scope_key: row.text(5)?,
        clock_at: row.time(6)?,
        created_at: row.time(7)?,
        finished_at: row.opt_time(8)?,
        exit_code: row.opt_int(9)?,
        totals: row.opt_text(10)?,
        last_commit_at: row.time(11)?,
        leased: row.flag(12)?,
        drift: row.opt_text(13)?,
    })
}

fn step_row(row: &Row) -> Result<StepRow> {
    Ok(StepRow {
        step: row.text(0)?,
        closed: row.text(1)? == "closed",
        attempt: row.int(2)?,
        exit_code: row.opt_int(3)?,
        report: row.opt_text(4)?,
        error: row.opt_text(5)?,
        planned_to: row.opt_text(6)?,
        started_at: row.time(7)?,
        finished_at: row.opt_time(8)?,
    })
}
