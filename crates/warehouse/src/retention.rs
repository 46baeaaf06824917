//! What may be cleaned up: which closed runs are old enough, of which kinds of rows.
//!
//! Cleaning goes from run to run. A run is old enough for a kind when all that it fetched is older than
//! the kind is kept, and each run is cleaned once for each kind: what stays of it is not met again. So
//! the cost is that of what goes, not of what is stored, and no row pays for an index of times.
//!
//! A run of which anything was cleaned up is *sealed*: it cannot be derived anew. That keeps history
//! right: a look that comes late folds it anew from its own time on, and needs every look since. Late
//! looks come from open runs and from runs that are derived anew, so looks stay while a run that is
//! not sealed is as old as they.
//!
//! Not here: deleting rows (`cleaning`), how long things are kept (settings).

use std::collections::HashSet;

use catalog::Instant;

use crate::cleaner::NO_RUN;
use crate::error::Result;
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;

/// Before which instants rows may go, of closed runs only.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Looks. Of those of a product that are older, the newest stays, and the newest that say its sales
    /// and its stock: what its history does not tell.
    pub observations: Instant,
    /// Pages; the newest good page of a product and those of rejections stay.
    pub pages: Instant,
    /// Listings, listing pages and the walk of the tree.
    pub listings: Instant,
    /// Runs with all that belongs to them, once their other rows are cleaned up.
    pub ledger: Instant,
    /// How much older than the run that brings it a look may be, milliseconds.
    pub late_millis: i64,
}

/// Rows that are kept equally long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What the categories showed.
    Listings,
    /// Bodies.
    Pages,
    /// Looks.
    Observations,
    /// Runs and their counts.
    Ledger,
}

impl Kind {
    /// All of them, in the order in which they are cleaned up.
    pub const ALL: [Self; 4] = [
        Self::Listings,
        Self::Pages,
        Self::Observations,
        Self::Ledger,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listings => "listings",
            Self::Pages => "pages",
            Self::Observations => "observations",
            Self::Ledger => "ledger",
        }
    }

    /// The setting that says for how long it is kept.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Listings => "TIKI_KEEP_LISTINGS",
            Self::Pages => "TIKI_KEEP_PAGES",
            Self::Observations => "TIKI_KEEP_OBSERVATIONS",
            Self::Ledger => "TIKI_KEEP_LEDGER",
        }
    }

    /// Which closed runs were not cleaned up yet.
    fn left(self) -> &'static str {
        match self {
            Self::Listings => "NOT listings_cleaned",
            Self::Pages => "NOT pages_cleaned",
            Self::Observations => "NOT looks_cleaned",
            Self::Ledger => "listings_cleaned AND pages_cleaned AND looks_cleaned",
        }
    }

    /// Under which key the warehouse remembers that the first purge was announced.
    fn key(self) -> String {
        format!("first_purge_{}", self.as_str())
    }
}

impl Retention {
    /// Before which instant rows of a kind may go.
    pub fn before(&self, kind: Kind) -> Instant {
        match kind {
            Kind::Listings => self.listings,
            Kind::Pages => self.pages,
            Kind::Observations => self.observations,
            Kind::Ledger => self.ledger,
        }
    }
}

/// Closed runs whose rows of a kind are old enough and were not cleaned up yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// How many runs' rows go now.
    pub runs: u64,
    /// How many are sealed now, and their looks go later: a younger run that is not sealed may need them.
    pub waiting: u64,
    /// The beginning of the youngest of them.
    pub youngest: Instant,
    /// Whether the first purge of this kind is still to be announced, or was by the same run.
    pub is_first: bool,
}

impl Warehouse {
    /// What of a kind could be cleaned up now, if anything, by an attempt, or by a `tiki cleanup` to come.
    /// Nothing is due when all that is old enough is sealed already and only waits.
    pub async fn due_to_clean(
        &self,
        attempt: Option<&Attempt>,
        keep: &Retention,
        kind: Kind,
    ) -> Result<Option<Due>> {
        let run = attempt.map_or(NO_RUN, |attempt| attempt.run.as_str());
        let mut tx = self.read().await?;
        let runs = closed_before(&mut tx, kind, keep.before(kind), run).await?;
        let going = going(&mut tx, &runs, keep, kind).await?.len();
        let sql = "SELECT value FROM warehouse_info WHERE key = $1";
        let announced = tx.row(sql, params![kind.key()]).await?;
        tx.commit().await?;
        if going == 0 && runs.iter().all(|run| run.sealed) {
            return Ok(None);
        }
        let Some(youngest) = runs.iter().map(|run| run.clock_at).max() else {
            return Ok(None);
        };
        let announced_by = announced.map(|row| row.text(0)).transpose()?;
        Ok(Some(Due {
            runs: going as u64,
            waiting: (runs.len() - going) as u64,
            youngest,
            // A step that is tried again is the same cleaning, a second `tiki cleanup` is another.
            is_first: announced_by.is_none_or(|by| by == run && run != NO_RUN),
        }))
    }

    /// What of a run was cleaned up.
    pub async fn cleaned(&self, run: &str) -> Result<Vec<Kind>> {
        let mut tx = self.read().await?;
        let kinds = cleaned(&mut tx, run).await?;
        tx.commit().await?;
        Ok(kinds)
    }

    /// Remembers that the attempt's run has announced the first purge of a kind.
    pub async fn announce_purge(&self, attempt: &Attempt, kind: Kind) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "INSERT INTO warehouse_info (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            params![kind.key(), &attempt.run],
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await
    }
}

/// What of a run was cleaned up.
pub(crate) async fn cleaned(tx: &mut Tx, run: &str) -> Result<Vec<Kind>> {
    let sql = "SELECT listings_cleaned, pages_cleaned, looks_cleaned FROM runs WHERE id = $1";
    let Some(row) = tx.row(sql, params![run]).await? else {
        return Ok(Vec::new());
    };
    let mut kinds = Vec::new();
    for (column, kind) in [Kind::Listings, Kind::Pages, Kind::Observations]
        .into_iter()
        .enumerate()
    {
        if row.flag(column)? {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// A closed run.
pub(crate) struct Closed {
    pub(crate) id: String,
    clock_at: Instant,
    /// No later than when it fetched its last.
    ended_at: Instant,
    sealed: bool,
}

/// Closed runs with rows of a kind left that fetched nothing at `before` or later, the oldest first;
/// not the one that cleans.
pub(crate) async fn closed_before(
    tx: &mut Tx,
    kind: Kind,
    before: Instant,
    cleaning: &str,
) -> Result<Vec<Closed>> {
    let sql = format!(
        "SELECT id, clock_at, created_at, finished_at, sealed_at FROM runs
         WHERE state IN ('done', 'abandoned') AND {} AND clock_at < $1 AND id <> $2
         ORDER BY number",
        kind.left()
    );
    let mut closed = Vec::new();
    for row in tx.rows(&sql, params![before, cleaning]).await? {
        let (clock_at, created_at) = (row.time(1)?, row.time(2)?);
        // The run's clock may be a simulated one; how long it took is told by the database's.
        let took = row
            .opt_time(3)?
            .map_or(0, |end| end.millis_since(created_at));
        let ended_at = clock_at.plus_millis(took.max(0));
        if ended_at < before {
            closed.push(Closed {
                id: row.text(0)?,
                clock_at,
                ended_at,
                sealed: row.opt_time(4)?.is_some(),
            });
        }
    }
    Ok(closed)
}

/// Those of some runs that are old enough whose rows go once all of them are sealed.
pub(crate) async fn going<'a>(
    tx: &mut Tx,
    runs: &'a [Closed],
    keep: &Retention,
    kind: Kind,
) -> Result<Vec<&'a Closed>> {
    let before = match kind {
        Kind::Observations => looks_before(tx, keep, runs).await?,
        _ => keep.before(kind),
    };
    Ok(runs.iter().filter(|run| run.ended_at < before).collect())
}

/// Before which instant looks may go once some runs are sealed: not those that a late look might need.
pub(crate) async fn looks_before(
    tx: &mut Tx,
    keep: &Retention,
    sealed: &[Closed],
) -> Result<Instant> {
    let sql = "SELECT id, clock_at FROM runs WHERE sealed_at IS NULL ORDER BY clock_at, id";
    let sealed: HashSet<&str> = sealed.iter().map(|run| run.id.as_str()).collect();
    let mut oldest = None;
    for row in tx.rows(sql, &[]).await? {
        if !sealed.contains(row.text(0)?.as_str()) {
            oldest = Some(row.time(1)?);
            break;
        }
    }
    Ok(oldest.map_or(keep.observations, |oldest| {
        oldest
            .plus_millis(keep.late_millis.saturating_neg())
            .min(keep.observations)
    }))
}

/// Seals a run for good; whether it is closed, so that its rows may go.
pub(crate) async fn seal(warehouse: &Warehouse, attempt: &Attempt, run: &str) -> Result<bool> {
    let mut tx = warehouse.begin().await?;
    let count = tx
        .execute(
            "UPDATE runs SET sealed_at = COALESCE(sealed_at, {now})
             WHERE id = $1 AND state IN ('done', 'abandoned')",
            params![run],
        )
        .await?;
    commit_fenced(tx, attempt.epoch).await?;
    Ok(count == 1)
}
