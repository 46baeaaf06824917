//! Taking away what is older than it may be: a run's eighth step, or `tiki cleanup`, which needs no run. One
//! of them at a time, and never anything of a run that is not closed.
//!
//! Not here: what may go and how (`warehouse`), log files (`tiki`), backups (`warehouse`).

use catalog::Instant;
use serde::Serialize;
use serde_json::{Map, Value, json};
use warehouse::{Attempt, Due, Host, Kind, Retention};

use crate::alerts::Spool;
use crate::clocks::check_database_clock;
use crate::report::keys;
use crate::steps::Work;
use crate::{Error, Event, Pipeline, Result, process};

const DAY_MILLIS: i64 = 86_400_000;

/// How long after the newest run that crawled to its end its clock is still believed.
const AHEAD_DAYS: i64 = 7;

/// What was cleaned up, or would be.
#[derive(Clone, Debug, Default)]
pub struct Cleaned {
    /// Temporary files: what this program had begun and never gave its name.
    pub files: u64,
    /// Each kind of rows of which some went, or would go, in the order in which they go.
    pub kinds: Vec<CleanedKind>,
    /// Each kind of which all stays this time, for it was never said before what is lost: it is said now.
    pub kept: Vec<CleanedKind>,
    /// What can no longer be done after the next clean-up, said before the first one of a kind.
    pub warnings: Vec<String>,
}

/// What went of a kind of rows.
#[derive(Clone, Debug, Serialize)]
pub struct CleanedKind {
    /// Its word.
    pub kind: &'static str,
    /// What is older may go, UTC.
    pub older_than: String,
    /// Closed runs that are old enough and whose rows go.
    pub runs: u64,
    /// Closed runs that can no longer be derived anew either, but whose rows go later: a younger run that
    /// still can be may need them.
    pub waiting_runs: u64,
    /// Rows that went; `None`: none was to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// About how many rows would go; `None`: they went, or nobody counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_estimated: Option<u64>,
}

impl Cleaned {
    /// Rows and temporary files.
    pub fn count(&self) -> u64 {
        self.files + self.kinds.iter().filter_map(|kind| kind.rows).sum::<u64>()
    }
}

impl Work<'_> {
    /// Takes away what is older than it may be. The first time that there is something of a kind to take, it
    /// is only said what can no longer be done without it; the next time it goes. A wish to stop, or the end of
    /// its time, leaves the batch in hand undone and keeps those before it.
    pub(crate) async fn clean_up(&self) -> Result<Map<String, Value>> {
        let pipeline = self.pipeline;
        let mut cleaned = Cleaned {
            files: pipeline.clean_files(false).await?,
            ..Cleaned::default()
        };
        let other = self.warehouse();
        let other = other.other_cleaner(&self.attempt, process::is_gone).await?;
        if let Some(host) = other {
            self.note(format!("{}, and does it for this run as well", busy(&host)));
        } else {
            let say = |text| self.warn(text);
            self.check_stop()?;
            tokio::select! {
                done = pipeline.clean_rows(&self.attempt, &mut cleaned, say) => done?,
                error = self.told_to_stop() => return Err(error),
            }
        }
        Ok(keys([
            ("removed_count", json!(cleaned.count())),
            ("removed", json!(cleaned.kinds)),
            ("kept_this_time", json!(cleaned.kept)),
        ]))
    }
}

impl Pipeline {
    /// The same for no run. [`Error::Held`] while another process cleans up. A wish to stop leaves the batch
    /// in hand undone and keeps those before it.
    pub async fn clean_up(&self) -> Result<Cleaned> {
        check_database_clock(self.warehouse(), self.clock()).await?;
        let host = process::this_host();
        let begun = self.warehouse().begin_cleaning(&host, process::is_gone);
        let attempt = begun
            .await?
            .map_err(|host| Error::Held(format!("{}: wait for its end", busy(&host))))?;
        let keeper = self.keep_lease(&attempt);
        let cleaning = async {
            let mut cleaned = Cleaned {
                files: self.clean_files(false).await?,
                ..Cleaned::default()
            };
            let say = |text| self.tell(Event::Warning(text));
            self.clean_rows(&attempt, &mut cleaned, say).await?;
            Ok(cleaned)
        };
        let outcome = tokio::select! {
            outcome = cleaning => outcome,
            () = self.stop().heard() => Err(Error::Interrupted),
        };
        keeper.abort();
        let seen = outcome.as_ref().err().map(Error::to_keep);
        let failed = seen.as_ref().map(|(code, text)| (*code, text.as_str()));
        let ended = self.warehouse().end_attempt(&attempt, failed, None).await;
        // What went wrong before matters more than what goes wrong here.
        let cleaned = outcome?;
        ended?;
        Ok(cleaned)
    }

    /// What it would do now, and about how many rows that is. Changes nothing. A run whose other rows are still
    /// there may go from the ledger as well, and its looks may have to stay.
    pub async fn would_clean_up(&self) -> Result<Cleaned> {
        let mut cleaned = Cleaned {
            files: self.clean_files(true).await?,
            ..Cleaned::default()
        };
        let retention = self.retention().await?;
        for kind in Kind::ALL {
            let due = self.warehouse().due_to_clean(None, &retention, kind);
            let Some(due) = due.await? else { continue };
            let rows = self.warehouse().rows_to_clean(&retention, kind).await?;
            let estimated = CleanedKind {
                rows_estimated: Some(rows),
                ..CleanedKind::of(kind, &retention, &due)
            };
            cleaned.note(kind, &due, estimated);
        }
        Ok(cleaned)
    }

    /// Says at once what is announced, whatever comes after, and logs what went.
    async fn clean_rows(
        &self,
        attempt: &Attempt,
        cleaned: &mut Cleaned,
        say: impl Fn(String),
    ) -> Result<()> {
        let (warehouse, retention) = (self.warehouse(), self.retention().await?);
        for kind in Kind::ALL {
            let due = warehouse.due_to_clean(Some(attempt), &retention, kind);
            let Some(due) = due.await? else { continue };
            let mut done = CleanedKind::of(kind, &retention, &due);
            if due.is_first {
                warehouse.announce_purge(attempt, kind).await?;
                say(first_purge(kind, &due));
            } else {
                let rows = warehouse.clean(attempt, &retention, kind).await?;
                let (older_than, runs) = (&done.older_than, done.runs);
                tracing::info!(kind = done.kind, rows, runs, older_than, "old rows went");
                done.rows = Some(rows);
            }
            cleaned.note(kind, &due, done);
        }
        Ok(())
    }

    /// Ages are counted from now, but from no later than [`AHEAD_DAYS`] after the newest run that crawled to its end: a
    /// clock that is far ahead, and has nobody to compare it with, would take everything away.
    async fn retention(&self) -> Result<Retention> {
        let (keep, now) = (self.settings().keep, self.clock().now());
        let crawled = self.warehouse().last_crawled().await?;
        let believed = crawled.map(|at| at.plus_millis(AHEAD_DAYS * DAY_MILLIS));
        let now = believed.map_or(now, |believed| now.min(believed));
        let before = |days: i64| -> Instant { now.plus_millis(days.saturating_mul(-DAY_MILLIS)) };
        Ok(Retention {
            observations: before(keep.observations_days),
            pages: before(keep.pages_days),
            listings: before(keep.listings_days),
            ledger: before(keep.ledger_days),
            // A detail of the shared cache is no older.
            late_millis: self.settings().detail_ttl_millis(),
        })
    }

    /// Removes files that this program had begun when it was killed, or only counts them: nothing else, for
    /// the data folder may hold files of others.
    async fn clean_files(&self, dry_run: bool) -> Result<u64> {
        let folder = Spool::folder(&self.settings().data_dir);
        let removed = Spool::clean(&folder, dry_run).await;
        let removed = removed.map_err(|source| Error::Machine {
            what: format!("clean {}", folder.display()),
            source,
        })?;
        if removed > 0 && !dry_run {
            tracing::info!(files = removed, "temporary files went");
        }
        Ok(removed)
    }
}

impl Cleaned {
    fn note(&mut self, kind: Kind, due: &Due, told: CleanedKind) {
        if due.is_first {
            self.warnings.push(first_purge(kind, due));
            self.kept.push(told);
        } else {
            self.kinds.push(told);
        }
    }
}

impl CleanedKind {
    /// Of which nothing went yet.
    fn of(kind: Kind, retention: &Retention, due: &Due) -> Self {
        Self {
            kind: kind.as_str(),
            older_than: retention.before(kind).to_string(),
            runs: due.runs,
            waiting_runs: due.waiting,
            rows: None,
            rows_estimated: None,
        }
    }
}

fn busy(host: &Host) -> String {
    format!("another process ({}) cleans up now", process::shown(host))
}

/// What can no longer be done when rows of a kind are gone.
fn first_purge(kind: Kind, due: &Due) -> String {
    let lost = match kind {
        Kind::Listings => {
            "can no longer be derived anew (`tiki run --from`, `tiki rejections replay`): their listings \
             go"
        }
        Kind::Pages => {
            "can no longer be derived anew (`tiki run --from`, `tiki rejections replay`): their pages go, \
             but for the newest good one of a product and those of rejections"
        }
        Kind::Observations => {
            "can no longer be derived anew, and what did not change in them can no longer be seen: their \
             looks go; the history of changes stays"
        }
        Kind::Ledger => {
            "can no longer be shown (`tiki runs`) nor derived anew: what they counted and rejected goes, \
             with the pages of their rejections"
        }
    };
    let setting = kind.setting();
    format!(
        "from the next run or `tiki cleanup` on, runs up to {} {lost}; to keep more, raise {setting} before",
        due.youngest
    )
}
