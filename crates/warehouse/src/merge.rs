//! The merge: looks become observations, history and the present, in one transaction a batch.
//!
//! A look in time order appends; any other recomputes its product's history from there on. An
//! unchanged look writes one narrow row and touches nothing else. The decisions are `catalog`'s;
//! here they meet what the warehouse holds.
//!
//! Not here: the SQL of reading and writing the rows (`merge_rows`), what is told of a product
//! beside its values (`present`).

use catalog::{Change, Instant, Known, Look, Product, Source, Values};

use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced, note_claim};
use crate::merge_rows::{self as rows, Current, Staged};
use crate::open::Warehouse;
use crate::params;
use crate::present::{self, Present};
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
}

impl Outcome {
    /// The word stored in `run_products.outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Late => "late",
            Self::Gone => "gone",
            Self::Unobserved => "unobserved",
        }
    }
}

/// How a load goes.
#[derive(Clone, Copy, Debug)]
pub struct Merge {
    /// Rows a batch.
    pub batch: i64,
    /// Whether *gone* is believed.
    pub believe_gone: bool,
    /// The run's clock, for `created_at` and `updated_at`.
    pub now: Instant,
}

/// What a batch will write.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) observations: Vec<(i64, Look, Option<i64>)>,
    /// Products whose history is dropped from an instant on.
    pub(crate) dropped: Vec<(i64, Instant)>,
    pub(crate) history: Vec<(i64, Change)>,
    /// Whole rows: new products, and those that are told something new of.
    pub(crate) whole: Vec<Whole>,
    /// Rows of which only values changed.
    pub(crate) values: Vec<ValuesOnly>,
}

/// A row of `products`, all of it.
pub(crate) struct Whole {
    pub(crate) id: i64,
    pub(crate) present: Present,
    pub(crate) known: Known,
    pub(crate) hashes: (i64, Option<i64>),
    pub(crate) content_at: Instant,
    pub(crate) observed_at: Instant,
    pub(crate) detail_observed_at: Option<Instant>,
    pub(crate) delisted_at: Option<Instant>,
    /// `None`: nothing that people see has changed.
    pub(crate) updated_at: Option<Instant>,
}

/// The columns of `products` that follow from looks alone.
pub(crate) struct ValuesOnly {
    pub(crate) id: i64,
    pub(crate) known: Known,
    pub(crate) seller_name: Option<String>,
    pub(crate) seller_is_official: Option<bool>,
    pub(crate) observed_at: Instant,
    pub(crate) delisted_at: Option<Instant>,
}

impl Warehouse {
    /// Loads one batch of staged products. `None`: nothing is left; an empty list: others hold the
    /// rest. Otherwise what became of each.
    pub async fn load_batch(
        &self,
        attempt: &Attempt,
        merge: &Merge,
    ) -> Result<Option<Vec<(i64, Outcome)>>> {
        let mut tx = self.begin().await?;
        let staged = rows::take(&mut tx, &attempt.run, merge.batch).await?;
        if staged.is_empty() {
            tx.commit().await?;
            return Ok((self.open_rows(attempt).await? > 0).then(Vec::new));
        }
        note_claim(&mut tx, attempt.epoch).await?;
        let ids: Vec<i64> = staged.iter().map(|row| row.product_id).collect();
        rows::lock(&mut tx, &ids).await?;
        let mut current = rows::current(&mut tx, &ids).await?;
        let mut writes = Writes::default();
        let mut outcomes = Vec::with_capacity(staged.len());
        for row in &staged {
            let known = current.remove(&row.product_id);
            let outcome = load_one(&mut tx, &mut writes, merge, row, known).await?;
            outcomes.push((row.product_id, outcome));
        }
        rows::write(&mut tx, attempt, &writes, merge.now).await?;
        rows::memberships(&mut tx, &attempt.run, &ids).await?;
        rows::finish(&mut tx, &attempt.run, &outcomes).await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(Some(outcomes))
    }

    /// Outcomes of a run's products so far: the word and how many.
    pub async fn outcome_counts(&self, run: &str) -> Result<Vec<(String, i64)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT outcome, COUNT(*) FROM run_products
                 WHERE run_id = $1 AND outcome IS NOT NULL GROUP BY outcome",
                params![run],
            )
            .await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.int(1)?)))
            .collect()
    }

    /// What a run's 404s are judged by: good answers of listed products, rechecked products found
    /// gone, and known products that it listed or rechecked.
    pub async fn gone_evidence(&self, run: &str) -> Result<(i64, i64, i64)> {
        let mut tx = self.read().await?;
        let row = tx
            .row(
                "SELECT
                    (SELECT COUNT(*) FROM run_products WHERE run_id = $1 AND listed_in IS NOT NULL
                        AND detail = 'good'),
                    (SELECT COUNT(*) FROM run_products WHERE run_id = $1 AND detail = 'gone'
                        AND listed_in IS NULL),
                    (SELECT COUNT(*) FROM run_products r JOIN products p ON p.id = r.product_id
                        WHERE r.run_id = $1)",
                params![run],
            )
            .await?;
        tx.commit().await?;
        let row = row.ok_or_else(|| Error::Stored("no counts".into()))?;
        Ok((row.int(0)?, row.int(1)?, row.int(2)?))
    }
}

async fn load_one(
    tx: &mut Tx,
    writes: &mut Writes,
    merge: &Merge,
    row: &Staged,
    current: Option<Current>,
) -> Result<Outcome> {
    let id = row.product_id;
    if let Some(at) = row.gone_at {
        // A product that was never loaded cannot be delisted.
        let Some(current) = current.filter(|_| merge.believe_gone) else {
            return Ok(Outcome::Unobserved);
        };
        let values = Values::default();
        let look = Look {
            observed_at: at,
            source: Source::Detail,
            gone: true,
            values,
        };
        let folded = fold_looks(tx, writes, id, Some(&current), &[(look, None)]).await?;
        if let (Some(known), true) = (&folded.known, folded.changed()) {
            writes
                .values
                .push(values_only(id, known, &current, &folded, None));
        }
        return Ok(Outcome::Gone);
    }
    let product = row.product.as_ref();
    let product = product.ok_or_else(|| Error::Stored(format!("staged product {id} is empty")))?;
    load_product(tx, writes, merge, row, product, current).await
}

async fn load_product(
    tx: &mut Tx,
    writes: &mut Writes,
    merge: &Merge,
    row: &Staged,
    product: &Product,
    current: Option<Current>,
) -> Result<Outcome> {
    let id = product.id();
    let looks: Vec<(Look, Option<i64>)> = product
        .looks()
        .iter()
        .map(|look| (look.clone(), row.page_of(look.source)))
        .collect();
    let folded = fold_looks(tx, writes, id, current.as_ref(), &looks).await?;
    let known = folded.known.clone();
    let known = known.ok_or_else(|| Error::Stored(format!("product {id} without a look")))?;
    let hashes = (
        present::identity_hash(product.identity()),
        product.details().map(present::details_hash),
    );
    let Some(current) = current else {
        writes.whole.push(Whole {
            id,
            present: Present::of(product),
            delisted_at: None,
            observed_at: folded.observed_at(product.identity_at()),
            content_at: product.identity_at(),
            detail_observed_at: product.details().map(|details| details.observed_at),
            updated_at: Some(merge.now),
            known,
            hashes,
        });
        return Ok(Outcome::New);
    };
    let told = hashes.0 != current.hashes.0
        || (product.details().is_some() && hashes.1 != current.hashes.1);
    let mut content_changed = false;
    if told {
        content_changed = tell(tx, writes, merge, product, &current, &folded, hashes).await?;
    } else if folded.changed() {
        let official = product.identity().seller_is_official;
        writes
            .values
            .push(values_only(id, &known, &current, &folded, official));
    }
    Ok(
        match (folded.appended > 0, content_changed || folded.changed()) {
            (false, _) => Outcome::Late,
            (true, true) => Outcome::Changed,
            (true, false) => Outcome::Unchanged,
        },
    )
}

/// Identity or details say something else than last time; whether that changes the row.
async fn tell(
    tx: &mut Tx,
    writes: &mut Writes,
    merge: &Merge,
    product: &Product,
    current: &Current,
    folded: &Folded,
    hashes: (i64, Option<i64>),
) -> Result<bool> {
    let id = product.id();
    let Some(known) = folded.known.clone() else {
        return Ok(false);
    };
    let stored = rows::present(tx, id).await?;
    let newest_of_all = folded.appended > 0;
    let details_newer = match product.details() {
        Some(details) => !rows::has_later_detail(tx, id, details.observed_at).await?,
        None => false,
    };
    let seller_changed = current.known.values.seller_id != known.values.seller_id;
    let present = stored.meet(product, newest_of_all, details_newer, seller_changed);
    let differs = present != stored;
    let content_at = if differs && newest_of_all {
        product.identity_at()
    } else {
        current.content_at
    };
    let detail_observed_at = match product.details() {
        Some(details) if details_newer && stored.details_differ(&present) => {
            Some(details.observed_at)
        }
        Some(details) => current.detail_observed_at.or(Some(details.observed_at)),
        None => current.detail_observed_at,
    };
    writes.whole.push(Whole {
        id,
        hashes: (
            if newest_of_all {
                hashes.0
            } else {
                current.hashes.0
            },
            if details_newer {
                hashes.1.or(current.hashes.1)
            } else {
                current.hashes.1
            },
        ),
        delisted_at: folded.delisted_at(current),
        observed_at: folded.observed_at(content_at),
        content_at,
        detail_observed_at,
        updated_at: (differs || folded.changed()).then_some(merge.now),
        present,
        known,
    });
    Ok(differs)
}

fn values_only(
    id: i64,
    known: &Known,
    current: &Current,
    folded: &Folded,
    said_official: Option<bool>,
) -> ValuesOnly {
    let same_seller = known.values.seller_id == current.known.values.seller_id;
    let named =
        current.named_seller_id.is_some() && current.named_seller_id == known.values.seller_id;
    ValuesOnly {
        id,
        known: known.clone(),
        seller_name: if named {
            current.named_seller_name.clone()
        } else {
            None
        },
        seller_is_official: if same_seller {
            said_official.or(current.seller_is_official)
        } else {
            said_official
        },
        observed_at: folded.observed_at(current.content_at),
        delisted_at: folded.delisted_at(current),
    }
}

/// What a product's looks come to.
pub(crate) struct Folded {
    known: Option<Known>,
    /// The newest row of history, old or new.
    last_change: Option<Instant>,
    /// When the product was last found gone, if this batch found it so.
    delisted_at: Option<Instant>,
    /// Looks that were newer than all before.
    appended: usize,
    /// Rows of history were written.
    wrote: bool,
}

impl Folded {
    fn changed(&self) -> bool {
        self.wrote
    }

    /// The look that last changed the product: its values, or what is told of it.
    fn observed_at(&self, content_at: Instant) -> Instant {
        self.last_change
            .map_or(content_at, |changed| changed.max(content_at))
    }

    fn delisted_at(&self, current: &Current) -> Option<Instant> {
        let gone = self.known.as_ref().is_some_and(|known| known.gone);
        if gone {
            self.delisted_at.or(current.delisted_at)
        } else {
            None
        }
    }

    fn take(&mut self, writes: &mut Writes, id: i64, look: &Look) {
        let was_gone = self.known.as_ref().is_some_and(|known| known.gone);
        let (after, change) = catalog::step(self.known.as_ref(), look);
        if after.gone && !was_gone {
            self.delisted_at = Some(look.observed_at);
        }
        if let Some(change) = change {
            self.last_change = Some(change.observed_at);
            self.wrote = true;
            writes.history.push((id, change));
        }
        self.known = Some(after);
    }
}

/// Folds looks, which are in time order, into what is known.
async fn fold_looks(
    tx: &mut Tx,
    writes: &mut Writes,
    id: i64,
    current: Option<&Current>,
    looks: &[(Look, Option<i64>)],
) -> Result<Folded> {
    let mut newest = current.map(|current| current.newest_look);
    let mut folded = Folded {
        known: current.map(|current| current.known.clone()),
        last_change: current.map(|current| current.last_change),
        delisted_at: None,
        appended: 0,
        wrote: false,
    };
    let mut late = Vec::new();
    for (look, page) in looks {
        if newest.is_some_and(|newest| look.observed_at <= newest) {
            late.push((look.clone(), *page));
            continue;
        }
        newest = Some(look.observed_at);
        folded.appended += 1;
        folded.take(writes, id, look);
        writes.observations.push((id, look.clone(), *page));
    }
    if !late.is_empty() {
        rewind(tx, writes, id, &mut folded, late).await?;
    }
    Ok(folded)
}

/// Takes looks in that are not newer than what is known: the same key again changes nothing unless
/// a heavier source meets a lighter one; otherwise history is folded anew from there on.
async fn rewind(
    tx: &mut Tx,
    writes: &mut Writes,
    id: i64,
    folded: &mut Folded,
    late: Vec<(Look, Option<i64>)>,
) -> Result<()> {
    let Some(oldest) = late.iter().map(|(look, _)| look.observed_at).min() else {
        return Ok(());
    };
    let mut looks = rows::looks_from(tx, id, oldest).await?;
    let mut fresh = Vec::new();
    for (look, page) in late {
        match looks
            .iter_mut()
            .find(|kept| kept.observed_at == look.observed_at)
        {
            Some(kept) if kept.source >= look.source || kept.gone => continue,
            Some(kept) => *kept = look.clone(),
            None => looks.push(look.clone()),
        }
        fresh.push((look, page));
    }
    let Some(from) = fresh.iter().map(|(look, _)| look.observed_at).min() else {
        return Ok(());
    };
    // What this batch appends is not stored yet.
    let appended = writes.observations.iter().filter(|(of, ..)| *of == id);
    looks.extend(appended.map(|(_, look, _)| look.clone()));
    looks.retain(|look| look.observed_at >= from);
    looks.sort_by_key(|look| look.observed_at);
    writes.history.retain(|(of, _)| *of != id);
    let before = rows::known_before(tx, id, from).await?;
    folded.last_change = before.as_ref().map(|(_, changed_at)| *changed_at);
    folded.known = before.map(|(known, _)| known);
    for look in &looks {
        folded.take(writes, id, look);
    }
    folded.wrote = true;
    writes.dropped.push((id, from));
    writes
        .observations
        .extend(fresh.into_iter().map(|(look, page)| (id, look, page)));
    Ok(())
}
