//! The merge: looks become observations, history and the present, in one transaction a batch.
//!
//! A look in time order appends; any other recomputes its product's history from there on. An
//! unchanged look writes one narrow row and, where its listing is newer than the last, the time at
//! which its category showed it.
//!
//! Not here: what follows from a look (`decide`), the SQL of reading and writing the rows
//! (`merge_read`, `merge_write`), what is told of a product beside its values (`present`).

use std::collections::HashMap;

use catalog::Instant;

use crate::arrivals::{self, Arrivals, Kept, PagedLook};
use crate::batches;
use crate::corrections::Corrections;
use crate::decide::{self, Folded, Telling};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced, note_claim};
use crate::merge_read::{self as read, Current};
use crate::merge_write::{self as write, Writes};
use crate::open::Warehouse;
use crate::params;
use crate::present::Present;
use crate::rejections::{self, RejectionToStore};
use crate::retell::{self, Derive, Retold};
use crate::staged::{Broken, Staged};
use crate::turns::Turn;
use crate::tx::Tx;

/// What became of a product in a load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// It was not known before.
    New,
    /// A value, its identity or its details changed.
    Changed,
    /// It was looked at and is as before.
    Unchanged,
    /// The look is not newer than what is known; history was mended where needed.
    Late,
    /// Found gone.
    Gone,
    /// Found gone, but the run does not believe its 404s.
    Unobserved,
    /// The warehouse does not take the record; it is a rejection now.
    Rejected,
}

impl Outcome {
    /// The word for it in `run_outcomes`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Late => "late",
            Self::Gone => "gone",
            Self::Unobserved => "unobserved",
            Self::Rejected => "rejected",
        }
    }
}

/// How a load goes.
#[derive(Clone, Copy, Debug)]
pub struct Merge {
    /// Whether *gone* is believed.
    pub believe_gone: bool,
    /// The run's clock, for `created_at` and `updated_at`.
    pub now: Instant,
}

impl Warehouse {
    /// Loads one batch of staged products. `None`: nothing is left; an empty list: others hold the
    /// rest. Otherwise what became of each. A row that cannot be loaded becomes a rejection and
    /// keeps no other from being loaded.
    pub async fn load_batch(
        &self,
        attempt: &Attempt,
        merge: &Merge,
    ) -> Result<Option<Vec<(i64, Outcome)>>> {
        self.load_deriving(attempt, merge, &|_| None).await
    }

    /// The same. Where a record was derived by higher rules than what is stored, `derive` makes the
    /// product's other records of their kept pages, so that what has no history (name, texts, details)
    /// comes to what a clean load gives; without it what is told meets what was told before.
    pub async fn load_deriving(
        &self,
        attempt: &Attempt,
        merge: &Merge,
        derive: &Derive<'_>,
    ) -> Result<Option<Vec<(i64, Outcome)>>> {
        let mut tx = self.begin_load(attempt).await?;
        let Some(taken) = batches::take(&mut tx, &attempt.run).await? else {
            tx.end().await?;
            return Ok((self.open_rows(attempt).await? > 0).then(Vec::new));
        };
        note_claim(&mut tx, attempt.epoch).await?;
        // The records are read while the database looks for what is known.
        let records = batches::read(taken.ids.clone(), taken.records);
        let mut current = read::current(&mut tx, &taken.ids).await?;
        let (staged, mut broken) = records.await?;
        complete(&mut tx, &staged, &mut current).await?;
        let (staged, unread) = read_records(staged, &current)?;
        broken.extend(unread);
        let how = (merge, derive, &current);
        let (mut outcomes, corrections) =
            merge_all(&mut tx, attempt, how, &staged, &mut broken).await?;
        outcomes.extend(broken.iter().map(|row| (row.product_id, Outcome::Rejected)));
        corrections.write(&mut tx, &attempt.run).await?;
        quarantine(&mut tx, attempt, &taken.ids, broken, merge.now).await?;
        write::outcomes(&mut tx, &attempt.run, taken.number, &outcomes).await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(Some(outcomes))
    }

    /// Loaders of one run never meet in a product, so they work side by side. While another run has
    /// a loader, loads go one after the other: a lock for each product would overflow the server's
    /// table of locks, and row locks would write where an unchanged look writes nothing.
    async fn begin_load(&self, attempt: &Attempt) -> Result<Tx> {
        let mut tx = self.begin().await?;
        if tx.dialect() == Dialect::Sqlite {
            return Ok(tx);
        }
        Turn::Load.share(&mut tx).await?;
        // An attempt is committed before its first batch, so of two runs one sees the other.
        let others = tx
            .row(
                "SELECT 1 FROM attempts WHERE step = $2 AND state = 'live' AND run_id <> $1 LIMIT 1",
                params![&attempt.run, &attempt.step],
            )
            .await?;
        if others.is_none() {
            return Ok(tx);
        }
        tx.end().await?;
        let mut tx = self.begin().await?;
        Turn::Load.take(&mut tx).await?;
        Ok(tx)
    }

    /// Outcomes of a run's products so far: the word and how many.
    pub async fn outcome_counts(&self, run: &str) -> Result<Vec<(String, i64)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT outcome, COUNT(*) FROM run_outcomes
                 WHERE run_id = $1 AND outcome IS NOT NULL GROUP BY outcome",
                params![run],
            )
            .await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.int(1)?)))
            .collect()
    }
}

/// Merges rows; where the database refuses some, in halves down to the single row, which is added to
/// `broken`. For `n` rows that is fewer than 2 `n` tries.
async fn merge_all(
    tx: &mut Tx,
    attempt: &Attempt,
    how: How<'_>,
    staged: &[Staged],
    broken: &mut Vec<Broken>,
) -> Result<(Vec<(i64, Outcome)>, Corrections)> {
    let mut outcomes = Vec::with_capacity(staged.len());
    let mut corrections = Corrections::default();
    let mut parts = vec![staged];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        tx.batch("SAVEPOINT part").await?;
        match merge_part(tx, attempt, how, part).await {
            Ok((merged, corrected)) => {
                tx.batch("RELEASE SAVEPOINT part").await?;
                outcomes.extend(merged);
                corrections.add(corrected);
            }
            Err(Error::Row(said)) => {
                tx.batch("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
                    .await?;
                if let [row] = part {
                    broken.push(row.refused(&said));
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok((outcomes, corrections))
}

async fn merge_part(
    tx: &mut Tx,
    attempt: &Attempt,
    (merge, derive, current): How<'_>,
    staged: &[Staged],
) -> Result<(Vec<(i64, Outcome)>, Corrections)> {
    let folded = fold_all(tx, (attempt, merge), staged, current).await?;
    let present = read_told(tx, staged, &folded, current).await?;
    // What is late or derived anew may have told what a later record did not tell again.
    let may_differ = |(row, folded): (&Staged, &Option<Folded>)| {
        let folded = folded.as_ref()?;
        let told = row.gone_at.is_none() && present.contains_key(&row.product_id);
        (told && (folded.is_anew() || folded.is_late())).then(|| folded.is_anew())
    };
    let rows = staged.iter().zip(&folded);
    let anew: Vec<(&Staged, bool)> = rows
        .filter_map(|row| Some((row.0, may_differ(row)?)))
        .collect();
    let held = Held {
        retold: retell::retell(tx, &attempt.run, &anew, (current, &present), derive).await?,
        current,
        present,
    };
    let (writes, outcomes) = decide_all(merge, staged, folded, &held)?;
    write::write(tx, attempt, &writes, merge.now).await?;
    // Who was not listed is in no further category; a withdrawn record may have been of another one.
    let (listed, others): (Vec<&Staged>, Vec<&Staged>) = staged
        .iter()
        .partition(|row| row.is_listed() || row.withdrawn);
    let ids = |rows: Vec<&Staged>| rows.iter().map(|row| row.product_id).collect();
    write::memberships(tx, &attempt.run, ids(listed), ids(others)).await?;
    Ok((outcomes, writes.corrections))
}

/// Reads what a look that is newer and says nothing new does not need: since when history and sales are as they
/// are.
async fn complete(
    tx: &mut Tx,
    staged: &[Staged],
    current: &mut HashMap<i64, Current>,
) -> Result<()> {
    let (mut changes, mut sales) = (Vec::new(), Vec::new());
    for row in staged {
        let Some(held) = current.get(&row.product_id) else {
            continue;
        };
        let is_late = row.is_late(held);
        if is_late {
            changes.push(row.product_id);
        }
        if is_late || row.sells_other_than(held) {
            sales.push(row.product_id);
        }
    }
    for (id, at) in read::last_changes(tx, &changes).await? {
        if let Some(held) = current.get_mut(&id) {
            held.last_change = at;
        }
    }
    for (id, at) in read::sales_said(tx, &sales).await? {
        if let Some(held) = current.get_mut(&id) {
            held.known.sales_said_at = Some(at);
        }
    }
    Ok(())
}

/// Reads the records that may tell something, half of them in a thread of its own. Those that cannot be read are
/// broken.
fn read_records(
    mut staged: Vec<Staged>,
    current: &HashMap<i64, Current>,
) -> Result<(Vec<Staged>, Vec<Broken>)> {
    let read = |mut rows: Vec<Staged>| {
        let mut broken = Vec::new();
        rows.retain_mut(|row| {
            if row.product.is_some() || !row.may_tell(current.get(&row.product_id)) {
                return true;
            }
            let read = row.read();
            if let Err(rejection) = read {
                broken.push(row.broken(rejection));
                return false;
            }
            true
        });
        (rows, broken)
    };
    let rest = staged.split_off(staged.len() / 2);
    let ((mut staged, mut broken), rest) = std::thread::scope(|scope| {
        let rest = scope.spawn(|| read(rest));
        (read(staged), rest.join())
    });
    let died = |_| Error::Stored("a thread that reads records died".into());
    let (rest, broken_rest) = rest.map_err(died)?;
    staged.extend(rest);
    broken.extend(broken_rest);
    Ok((staged, broken))
}

/// How a batch is merged, and what the warehouse holds of its products.
type How<'a> = (&'a Merge, &'a Derive<'a>, &'a HashMap<i64, Current>);

/// What the warehouse holds of the products of a batch, and what is to be told of those that were
/// derived anew.
struct Held<'a> {
    current: &'a HashMap<i64, Current>,
    present: HashMap<i64, Present>,
    retold: HashMap<i64, Retold>,
}

/// Keeps rows that cannot be loaded, with their reasons and pages.
async fn quarantine(
    tx: &mut Tx,
    attempt: &Attempt,
    products: &[i64],
    broken: Vec<Broken>,
    now: Instant,
) -> Result<()> {
    let kept = |row: Broken| RejectionToStore {
        product_id: Some(row.product_id),
        category_id: None,
        page_id: row.page_id,
        rejection: row.rejection,
    };
    let found: Vec<RejectionToStore> = broken.into_iter().map(kept).collect();
    rejections::of_loaded(tx, attempt, products, found, now).await
}

/// Whether the row is a 404 that the run does not believe, or without a record and of a product that
/// was never loaded, so that nothing of it can go.
fn is_ignored(merge: &Merge, row: &Staged, current: &HashMap<i64, Current>) -> bool {
    let gone = row.brief.is_none() && !row.withdrawn;
    let unknown = !current.contains_key(&row.product_id);
    (gone && !merge.believe_gone) || (row.brief.is_none() && unknown)
}

/// A row and its looks; of one that is ignored there are none to fold.
type Arriving<'a> = (&'a Staged, Option<Vec<PagedLook>>);

/// Folds the looks of rows into what is known, each in the place of its row; ignored ones come to nothing.
async fn fold_all(
    tx: &mut Tx,
    (attempt, merge): (&Attempt, &Merge),
    staged: &[Staged],
    current: &HashMap<i64, Current>,
) -> Result<Vec<Option<Folded>>> {
    let looks = |row| (!is_ignored(merge, row, current)).then(|| row.looks());
    let looks: Vec<Arriving<'_>> = staged.iter().map(|row| (row, looks(row))).collect();
    let mut stored = read_stored(tx, &attempt.run, &looks, current).await?;
    let arrivals = looks.into_iter().map(|(row, looks)| {
        let id = row.product_id;
        let stored = stored.remove(&id).unwrap_or_default();
        Some(Arrivals::of(
            looks?,
            row.derivation,
            current.get(&id),
            stored,
        ))
    });
    let arrivals: Vec<Option<Arrivals>> = arrivals.collect();
    let rewound = staged.iter().zip(&arrivals).filter_map(|(row, arrivals)| {
        let rewind_to = arrivals.as_ref()?.rewind_to()?;
        Some((row.product_id, rewind_to))
    });
    let rewound: Vec<(i64, Instant)> = rewound.collect();
    let before = read::before(tx, &rewound).await?;
    let fold = |(row, arrivals): (&Staged, Option<Arrivals>)| {
        let id = row.product_id;
        let fold = |arrivals| decide::fold(id, arrivals, current.get(&id), before.get(&id));
        arrivals.map(fold).transpose()
    };
    staged.iter().zip(arrivals).map(fold).collect()
}

/// The stored looks from the oldest arrival that is not newer on. Where the run's own looks were derived
/// by lower rules, also from the first of those on.
async fn read_stored(
    tx: &mut Tx,
    run: &str,
    looks: &[Arriving<'_>],
    current: &HashMap<i64, Current>,
) -> Result<HashMap<i64, Vec<Kept>>> {
    let late: HashMap<i64, Instant> = looks
        .iter()
        .filter_map(|(row, looks)| {
            let id = row.product_id;
            Some((
                id,
                arrivals::oldest_late(looks.as_ref()?, current.get(&id))?,
            ))
        })
        .collect();
    let from: Vec<(i64, Instant)> = late.iter().map(|(id, at)| (*id, *at)).collect();
    let mut stored = read::looks_from(tx, run, &from).await?;
    let is_anew = |row: &Staged| {
        let stored = stored.get(&row.product_id);
        row.withdrawn || stored.is_some_and(|stored| arrivals::is_anew(stored, row.derivation))
    };
    let anew: Vec<i64> = looks
        .iter()
        .filter(|(row, looks)| looks.is_some() && is_anew(row))
        .map(|(row, _)| row.product_id)
        .collect();
    if !anew.is_empty() {
        let mut first = read::first_of_run(tx, run, &anew).await?;
        first.retain(|(id, at)| late.get(id).is_none_or(|late| at < late));
        stored.extend(read::looks_from(tx, run, &first).await?);
    }
    Ok(stored)
}

/// What is told now of the products that a batch may tell something new of.
async fn read_told(
    tx: &mut Tx,
    staged: &[Staged],
    folded: &[Option<Folded>],
    current: &HashMap<i64, Current>,
) -> Result<HashMap<i64, Present>> {
    let may_tell = |(row, folded): &(&Staged, &Option<Folded>)| {
        let known = current.get(&row.product_id);
        match (&row.brief, folded, known) {
            (Some(brief), Some(folded), Some(known)) => folded.tells(brief, known),
            (None, Some(_), Some(_)) => row.withdrawn,
            _ => false,
        }
    };
    let told = staged.iter().zip(folded).filter(may_tell);
    let told: Vec<i64> = told.map(|(row, _)| row.product_id).collect();
    read::present(tx, &told).await
}

fn decide_all(
    merge: &Merge,
    staged: &[Staged],
    folded: Vec<Option<Folded>>,
    held: &Held<'_>,
) -> Result<(Writes, Vec<(i64, Outcome)>)> {
    let (mut writes, now) = (Writes::default(), merge.now);
    let mut outcomes = Vec::with_capacity(staged.len());
    for (row, folded) in staged.iter().zip(folded) {
        let id = row.product_id;
        let (kept, retold) = (held.present.get(&id), held.retold.get(&id));
        let outcome = match (folded, &row.brief, held.current.get(&id)) {
            (None, ..) if row.withdrawn => Outcome::Rejected,
            (None, ..) | (_, None, None) => Outcome::Unobserved,
            (Some(folded), _, Some(_)) if folded.nothing_left => {
                decide::decide_vanished(id, &folded, &mut writes)
            }
            (Some(folded), None, Some(current)) if row.withdrawn => {
                decide::decide_withdrawn(id, folded, current, (kept, retold), now, &mut writes)
            }
            (Some(folded), None, Some(current)) => {
                decide::decide_gone(id, folded, current, now, &mut writes)
            }
            (Some(folded), Some(brief), None) => {
                let said = (brief, row.record()?);
                decide::decide_new(said, folded, now, &mut writes)
            }
            (Some(folded), Some(brief), Some(current)) => {
                let met = kept.map(|kept| Ok::<_, Error>((kept, row.record()?)));
                let telling = Telling {
                    met: met.transpose()?,
                    retold,
                };
                decide::decide_known((id, brief), folded, current, &telling, now, &mut writes)
            }
        };
        outcomes.push((id, outcome));
    }
    Ok((writes, outcomes))
}
