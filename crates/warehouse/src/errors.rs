//! What went wrong in the newest runs, counted by what was written down of it, and in one run attempt by
//! attempt.
//!
//! Not here: which of these texts are the same trouble (`pipeline`).

use catalog::Instant;

use crate::cleaner::NO_RUN;
use crate::error::Result;
use crate::lease::Host;
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;
use crate::value::Row;

/// Groups of one kind that are read at most; the newest runs come first.
pub const MOST_GROUPS: i64 = 1000;

/// A step tells only what no attempt at it tells: its own end, or what failed before attempts kept that. Where a
/// run was redone, attempts from before do not speak for the step's new end. An interruption (130) is told while
/// its step is not done, and is no failure after that.
const OF_STEPS: &str = "'exit ' || COALESCE(u.exit_code, 0) || ' in ' || u.step || COALESCE(': ' || u.error, ''),
        COUNT(*), MIN(u.told_at), MAX(u.told_at), CAST(NULL AS BIGINT), MIN(u.error), CAST(NULL AS TEXT)
     FROM (
        SELECT c.id AS id, c.number AS number, a.step AS step, a.exit_code AS exit_code, a.error AS error,
            COALESCE(a.ended_at, a.started_at) AS told_at
        FROM chosen c JOIN attempts a ON a.run_id = c.id
        WHERE a.exit_code NOT IN (0, 130) AND (c.number > 0 OR a.started_at >= COALESCE(c.created_at, a.started_at))
        UNION ALL
        SELECT c.id, c.number, s.step, s.exit_code, s.error, COALESCE(s.finished_at,
            (SELECT MAX(a.ended_at) FROM attempts a WHERE a.run_id = s.run_id AND a.step = s.step
                AND a.started_at >= s.started_at), s.started_at)
        FROM chosen c JOIN run_steps s ON s.run_id = c.id
        WHERE (s.error IS NOT NULL OR COALESCE(s.exit_code, 0) <> 0)
            AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = s.run_id AND a.step = s.step
                AND a.exit_code = s.exit_code AND a.exit_code <> 130
                AND a.started_at >= s.started_at)) u
     GROUP BY u.id, u.number, u.step, u.exit_code, u.error";

/// Of a `tiki cleanup` that was killed nobody says so before the next one begins.
const OF_ATTEMPTS: &str =
    "'its process was killed or lost, or another took over (' || a.step || ')',
        COUNT(*), MIN(COALESCE(a.ended_at, a.started_at)), MAX(COALESCE(a.ended_at, a.started_at)),
        MAX(a.epoch), CAST(NULL AS TEXT), MAX(a.host || '|' || a.process)
     FROM chosen u JOIN attempts a ON a.run_id = u.id
     WHERE (a.state = 'fenced' OR u.number = 0 AND a.state = 'live' AND a.lease_until < {now})
        AND (u.number > 0 OR a.started_at >= COALESCE(u.created_at, a.started_at))
     GROUP BY u.id, u.number, a.step";

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ErrorKind {
    /// An attempt at a step failed, also where the step was done later; or a step ended otherwise than with 0.
    Step,
    /// An attempt was ended by others: its process was killed, lost or outdone.
    Attempt,
    /// A category whose children were given up.
    Category,
    /// A page of a listing that was given up.
    Page,
    /// A detail that was not fetched.
    Detail,
    /// A record or body that is not believed.
    Rejection,
}

impl ErrorKind {
    /// All of them, the gravest first.
    pub const ALL: [Self; 6] = [
        Self::Step,
        Self::Attempt,
        Self::Category,
        Self::Page,
        Self::Detail,
        Self::Rejection,
    ];

    /// The word that people see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Attempt => "attempt",
            Self::Category => "category",
            Self::Page => "page",
            Self::Detail => "detail",
            Self::Rejection => "rejection",
        }
    }

    /// Per run `u` and text: how many, when first and last, an id to begin with, one text as it
    /// is, and one process.
    fn sql(self) -> &'static str {
        match self {
            Self::Step => OF_STEPS,
            Self::Attempt => OF_ATTEMPTS,
            Self::Category => {
                "SUBSTR(c.error, {find:c.error,': '} + 1), COUNT(*), MIN(u.created_at), MAX(u.created_at),
                    MIN(c.category_id), MIN(c.error), CAST(NULL AS TEXT)
                 FROM chosen u JOIN run_categories c ON c.run_id = u.id
                 WHERE c.state = 'failed'
                 GROUP BY u.id, u.number, SUBSTR(c.error, {find:c.error,': '} + 1)"
            }
            Self::Page => {
                "SUBSTR(l.error, {find:l.error,': '} + 1), COUNT(*), MIN(u.created_at), MAX(u.created_at),
                    MIN(l.category_id), MIN(l.error), CAST(NULL AS TEXT)
                 FROM chosen u JOIN listing_pages l ON l.run_id = u.id
                 WHERE l.state = 'failed'
                 GROUP BY u.id, u.number, SUBSTR(l.error, {find:l.error,': '} + 1)"
            }
            Self::Detail => {
                "SUBSTR(p.error, {find:p.error,': '} + 1), COUNT(*), MIN(u.created_at), MAX(u.created_at),
                    MIN(p.product_id), MIN(p.error), CAST(NULL AS TEXT)
                 FROM chosen u JOIN run_products p ON p.run_id = u.id
                 WHERE p.detail = 'unfetched'
                 GROUP BY u.id, u.number, SUBSTR(p.error, {find:p.error,': '} + 1)"
            }
            Self::Rejection => {
                "r.reason || COALESCE(' in ' || r.field, ''), COUNT(*), MIN(r.created_at), MAX(r.created_at),
                    MAX(r.id), MIN(r.seen), CAST(NULL AS TEXT)
                 FROM chosen u JOIN rejections r ON r.run_id = u.id
                 GROUP BY u.id, u.number, r.reason, r.field"
            }
        }
    }
}

/// Errors of one run with the same text.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRow {
    /// What went wrong.
    pub kind: ErrorKind,
    /// In which run; [`NO_RUN`]: in a `tiki cleanup`.
    pub run: String,
    /// What was written down of it, without what it was about; none: it was not asked.
    pub text: Option<String>,
    /// How many.
    pub count: i64,
    /// When first; of what has no time of its own, when its run began.
    pub first: Instant,
    /// When last.
    pub last: Instant,
    /// The category, product, rejection or attempt that is the example.
    pub subject: Option<i64>,
    /// One text whole: of a rejection what was seen.
    pub example: Option<String>,
    /// Of attempts one of their processes.
    pub host: Option<Host>,
}

/// An attempt of a run that failed, or that others ended.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// The step's name.
    pub step: String,
    /// Which of several workers.
    pub shard: i64,
    /// Its number.
    pub attempt: i64,
    /// When it ended.
    pub ended_at: Instant,
    /// The exit code of what failed; `None`: its process was killed or lost, or another took over.
    pub exit_code: Option<i64>,
    /// What failed.
    pub error: Option<String>,
    /// Where its worker ran.
    pub host: Host,
}

impl Warehouse {
    /// The attempts of a run that failed or that others ended, in the order in which they began: the newest
    /// `limit` of them.
    pub async fn failed_attempts(&self, run: &str, limit: i64) -> Result<Vec<FailedAttempt>> {
        let mut tx = self.read().await?;
        let sql = "SELECT step, shard, attempt, COALESCE(ended_at, started_at), exit_code, error, host, process
            FROM attempts WHERE run_id = $1 AND (state = 'fenced' OR exit_code <> 0)
            ORDER BY epoch DESC LIMIT $2";
        let rows = tx.rows(sql, params![run, limit]).await?;
        tx.commit().await?;
        let read = |row: &Row| {
            Ok(FailedAttempt {
                step: row.text(0)?,
                shard: row.int(1)?,
                attempt: row.int(2)?,
                ended_at: row.time(3)?,
                exit_code: row.opt_int(4)?,
                error: row.opt_text(5)?,
                host: Host {
                    name: row.text(6)?,
                    process: row.text(7)?,
                },
            })
        };
        rows.iter().rev().map(read).collect()
    }

    /// What went wrong in one run, or in the newest `runs`, or in those since an instant (`runs` at most);
    /// the newest first, [`MOST_GROUPS`] of a kind at most. Clean-ups without a run that failed since then are
    /// among them, where no run is named.
    pub async fn errors(
        &self,
        run: Option<&str>,
        since: Option<Instant>,
        runs: i64,
    ) -> Result<Vec<ErrorRow>> {
        let mut tx = self.read().await?;
        let mut found = Vec::new();
        for kind in ErrorKind::ALL {
            found.extend(of_kind(&mut tx, kind, (run, since, runs)).await?);
        }
        tx.commit().await?;
        Ok(found)
    }
}

async fn of_kind(
    tx: &mut Tx,
    kind: ErrorKind,
    (run, since, runs): (Option<&str>, Option<Instant>, i64),
) -> Result<Vec<ErrorRow>> {
    let sql = format!(
        "WITH listed AS (
            SELECT id, number, created_at FROM runs
            WHERE id = COALESCE($1, id) AND created_at >= COALESCE($2, created_at)
            ORDER BY number DESC LIMIT $3),
         oldest AS (SELECT MIN(created_at) AS begun_at FROM listed),
         chosen AS (
            SELECT id, number, created_at FROM listed
            UNION ALL SELECT '{NO_RUN}', 0, COALESCE($2, oldest.begun_at) FROM oldest
            WHERE COALESCE($1, '{NO_RUN}') = '{NO_RUN}')
         SELECT u.id, {} ORDER BY u.number DESC, COUNT(*) DESC LIMIT $4",
        kind.sql()
    );
    let rows = tx
        .rows(&sql, params![run, since, runs, MOST_GROUPS])
        .await?;
    let read = |row: &Row| {
        Ok(ErrorRow {
            kind,
            run: row.text(0)?,
            text: row.opt_text(1)?,
            count: row.int(2)?,
            first: row.time(3)?,
            last: row.time(4)?,
            subject: row.opt_int(5)?,
            example: row.opt_text(6)?,
            host: row.opt_text(7)?.as_deref().map(host),
        })
    };
    rows.iter().map(read).collect()
}

/// A host and a process as one text.
fn host(text: &str) -> Host {
    let (name, process) = text.rsplit_once('|').unwrap_or((text, ""));
    Host {
        name: name.into(),
        process: process.into(),
    }
}
