//! What a product tells beside its values, told anew from all its kept pages.
//!
//! Name, texts and details have no history that could be folded again. So where higher rules replace
//! looks, the product's records of all runs are made again and met one after the other, in the order of
//! their times, as a clean load meets them.
//!
//! Not here: making a record of pages (`pipeline`), how one meets the next (`decide`, `present`).

use std::collections::HashMap;

use catalog::{Instant, Look, Product};

use crate::arrivals::{self, Arrivals, Kept, PagedLook};
use crate::decide::{self, Telling, newest};
use crate::error::Result;
use crate::merge_read::{Before, Current};
use crate::merge_write::{Standing, Writes};
use crate::present::Present;
use crate::staged::{Brief, Staged};
use crate::staging::{self, ToTransform};
use crate::tx::Tx;
use crate::value::{Row, Value};

/// Makes a record of a product's pages in a run; `None`: none can be made.
pub type Derive<'a> = dyn Fn(ToTransform) -> Option<Product> + Send + Sync + 'a;

/// Products whose pages are in memory at once.
const AT_ONCE: usize = 16;

/// What is to be told of a product.
pub(crate) struct Retold {
    pub(crate) present: Present,
    hashes: (i64, Option<i64>),
    content_at: Instant,
    detail_observed_at: Option<Instant>,
    /// The seller who is shown after all.
    seller_id: Option<i64>,
}

impl Retold {
    /// Sets the clocks and hashes of what is told.
    pub(crate) fn stand(&self, standing: &mut Standing, last_change: Instant) {
        standing.hashes = self.hashes;
        standing.content_at = self.content_at;
        standing.detail_observed_at = self.detail_observed_at;
        standing.observed_at = newest([
            Some(last_change),
            Some(self.content_at),
            self.detail_observed_at,
        ]);
    }
}

/// What products of a batch are to tell; no entry: their records cannot be made again. `anew`: those of
/// which something is late, and whether higher rules derived it. `held`: what the warehouse holds of them.
pub(crate) async fn retell(
    tx: &mut Tx,
    run: &str,
    anew: &[(&Staged, bool)],
    held: (&HashMap<i64, Current>, &HashMap<i64, Present>),
    derive: &Derive<'_>,
) -> Result<HashMap<i64, Retold>> {
    let mut retold = HashMap::new();
    for part in anew.chunks(AT_ONCE) {
        let ids: Vec<i64> = part.iter().map(|(row, _)| row.product_id).collect();
        let mut lost = other_runs(tx, run, &ids).await?;
        let keys: Vec<Vec<Value>> = lost
            .keys()
            .map(|(id, run)| vec![run.into(), (*id).into()])
            .collect();
        let mut records: HashMap<i64, Vec<Product>> = HashMap::new();
        for product in staging::with_pages(tx, &keys).await? {
            let key = (product.product_id, product.run.clone());
            // What the listing said is cleaned up before the detail's page is.
            let is_halved = product.listed_in.is_some() && product.listing.is_none();
            let Some(record) = derive(product) else {
                continue;
            };
            if !is_halved && lost.get(&key).is_some_and(|said| said.is_whole(&record)) {
                lost.remove(&key);
            }
            records.entry(key.0).or_default().push(record);
        }
        for (row, is_anew) in part {
            let id = row.product_id;
            let mut records = records.remove(&id).unwrap_or_default();
            records.extend(row.product.clone());
            records.sort_by_key(Product::identity_at);
            let lost = lost.iter().filter(|((lost, _), _)| *lost == id);
            let lost = lost.map(|(_, said)| said.newest).max();
            let newest = records.last().map(Product::identity_at);
            // What is told now may come from a page that is not there any more.
            if lost.is_some() && (!is_anew || lost > newest) {
                continue;
            }
            let Some(mut told) = replay(id, &records)? else {
                continue;
            };
            if let (Some(_), Some(current), Some(kept)) = (lost, held.0.get(&id), held.1.get(&id)) {
                told.keep_of(current, kept);
            }
            retold.insert(id, told);
        }
    }
    Ok(retold)
}

/// What a run's looks of a product are.
struct Said {
    newest: Instant,
    has_detail: bool,
}

impl Said {
    /// Whether a record has all that they say.
    fn is_whole(&self, record: &Product) -> bool {
        !self.has_detail || record.details().is_some()
    }
}

/// The other runs that have looks of some products in which something is said.
async fn other_runs(tx: &mut Tx, run: &str, ids: &[i64]) -> Result<HashMap<(i64, String), Said>> {
    let rows = tx
        .rows(
            "SELECT product_id, run_id, MAX(observed_at),
                CAST(MAX(CASE WHEN source IN ('detail', 'detail-html') THEN 1 ELSE 0 END) AS BIGINT)
             FROM observations WHERE product_id {among:$1} AND run_id <> $2 AND NOT gone
             GROUP BY product_id, run_id",
            &[Value::Ids(ids.to_vec()), run.into()],
        )
        .await?;
    let said = |row: &Row| -> Result<((i64, String), Said)> {
        let said = Said {
            newest: row.time(2)?,
            has_detail: row.int(3)? == 1,
        };
        Ok(((row.int(0)?, row.text(1)?), said))
    };
    rows.iter().map(said).collect()
}

impl Retold {
    /// Pages of which nothing can be read any more may have said what the others do not.
    fn keep_of(&mut self, current: &Current, kept: &Present) {
        self.present.fill(kept);
        if self.seller_id == current.known.values.seller_id {
            self.present.fill_seller(kept);
        }
        if self.present == *kept {
            self.content_at = self.content_at.min(current.content_at);
            self.detail_observed_at = match (self.detail_observed_at, current.detail_observed_at) {
                (Some(told), Some(kept)) => Some(told.min(kept)),
                (told, kept) => told.or(kept),
            };
        } else {
            self.detail_observed_at = self.detail_observed_at.or(current.detail_observed_at);
        }
        self.hashes.1 = self.hashes.1.or(current.hashes.1);
    }
}

/// Loads records one after the other in memory.
fn replay(id: i64, records: &[Product]) -> Result<Option<Retold>> {
    let mut looks: Vec<Look> = Vec::new();
    let mut held: Option<(Current, Present)> = None;
    for product in records {
        let arriving = product.looks().iter().map(|look| (look.clone(), None));
        let arriving: Vec<PagedLook> = arriving.collect();
        let current = held.as_ref().map(|(current, _)| current);
        let from = arrivals::oldest_late(&arriving, current);
        let stored = from.map_or_else(Vec::new, |from| stored_from(&looks, from));
        let arrivals = Arrivals::of(arriving, 0, current, stored);
        let before = arrivals.rewind_to().and_then(|from| before(&looks, from));
        let folded = decide::fold(id, arrivals, current, before.as_ref())?;
        let (mut writes, now) = (Writes::default(), product.identity_at());
        let brief = Brief::of(product);
        match &held {
            None => decide::decide_new((&brief, product), folded, now, &mut writes),
            Some((current, kept)) => {
                let telling = Telling {
                    met: folded.tells(&brief, current).then_some((kept, product)),
                    retold: None,
                };
                let said = (id, &brief);
                decide::decide_known(said, folded, current, &telling, now, &mut writes)
            }
        };
        let late = std::mem::take(&mut writes.late);
        for (_, look, ..) in late.into_iter().chain(std::mem::take(&mut writes.appended)) {
            looks.retain(|kept| kept.observed_at != look.observed_at);
            looks.push(look);
        }
        looks.sort_by_key(|look| look.observed_at);
        held = after(&looks, writes, held);
    }
    Ok(held.map(|(current, present)| Retold {
        present,
        hashes: current.hashes,
        content_at: current.content_at,
        detail_observed_at: current.detail_observed_at,
        seller_id: current.known.values.seller_id,
    }))
}

fn stored_from(looks: &[Look], from: Instant) -> Vec<Kept> {
    let late = looks.iter().filter(|look| look.observed_at >= from);
    late.map(|look| Kept {
        look: look.clone(),
        derivation: 0,
        own: false,
    })
    .collect()
}

fn before(looks: &[Look], at: Instant) -> Option<Before> {
    let (known, history) = catalog::fold(looks.iter().filter(|look| look.observed_at < at));
    Some(Before {
        known: known?,
        last_change: history.last()?.observed_at,
    })
}

/// What is held after a record.
fn after(
    looks: &[Look],
    mut writes: Writes,
    held: Option<(Current, Present)>,
) -> Option<(Current, Present)> {
    let (known, history) = catalog::fold(looks);
    let (known, last_change) = (known?, history.last()?.observed_at);
    let whole = writes.new.pop().or_else(|| writes.whole.pop());
    let (standing, present) = match (whole, writes.standing.pop(), held) {
        (Some((standing, present)), ..) | (None, Some(standing), Some((_, present))) => {
            (standing, present)
        }
        (None, None, Some((current, present))) => {
            let current = Current {
                newest_look: known.observed_at,
                known,
                last_change,
                ..current
            };
            return Some((current, present));
        }
        (None, _, None) => return None,
    };
    let current = Current {
        newest_look: known.observed_at,
        known,
        last_change,
        hashes: standing.hashes,
        content_at: standing.content_at,
        observed_at: standing.observed_at,
        detail_observed_at: standing.detail_observed_at,
        delisted_at: standing.delisted_at,
        updated_at: standing.updated_at,
    };
    Some((current, present))
}
