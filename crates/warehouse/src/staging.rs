//! From pages to staged products: what a product's pages say, and the record made of them.
//!
//! Not here: making the record (`catalog`).

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use catalog::{Instant, Listing, Product, Seen, Source};

use crate::batches::{self, Batch, Line};
use crate::bulk::Columns;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced, note_claim};
use crate::open::Warehouse;
use crate::pages::{self, StoredPage};
use crate::params;
use crate::rejections::{self, RejectionToStore};
use crate::shapes::{self, ShapeRow};
use crate::tx::Tx;
use crate::value::{Row, Value};

/// Products of a batch at most.
const MAX_BATCH: i64 = 10_000;

/// A product of a run and what its pages are.
#[derive(Debug)]
pub struct ToTransform {
    /// The run.
    pub run: String,
    /// The product.
    pub product_id: i64,
    /// The first category in walk order that listed it; `None`: a recheck.
    pub listed_in: Option<i64>,
    /// What the listing said, and its page.
    pub listing: Option<(Seen<Listing>, i64)>,
    /// What became of the detail: `none`, `good`, `gone`, `rejected`, `unfetched`, `deferred`.
    pub detail: String,
    /// The detail's page, where one came, good or rejected.
    pub page: Option<StoredPage>,
    /// When the detail answered.
    pub answered_at: Option<Instant>,
}

/// What became of a product.
#[derive(Debug)]
pub enum Transformed {
    /// A record, with the pages that said so; the detail's rejection, if it was refused.
    Staged {
        /// The record.
        product: Box<Product>,
        /// The listing's page.
        listing_page_id: Option<i64>,
        /// The detail's page.
        detail_page_id: Option<i64>,
        /// Why no record could be made of the detail.
        detail_rejected: Option<RejectionToStore>,
    },
    /// A recheck that found the product gone.
    Gone {
        /// The product.
        product_id: i64,
        /// When.
        at: Instant,
    },
    /// No record.
    Rejected {
        /// The product.
        product_id: i64,
        /// Why.
        rejection: RejectionToStore,
    },
    /// Neither a listing nor an answer.
    Unobserved {
        /// The product.
        product_id: i64,
    },
}

/// A batch of products that a worker has claimed.
#[derive(Debug)]
pub struct Claimed {
    /// To be named when they are staged.
    pub batch: Batch,
    /// With their pages; none: others hold the rest.
    pub products: Vec<ToTransform>,
}

impl Transformed {
    fn product_id(&self) -> i64 {
        match self {
            Self::Staged { product, .. } => product.id(),
            Self::Gone { product_id, .. }
            | Self::Rejected { product_id, .. }
            | Self::Unobserved { product_id } => *product_id,
        }
    }
}

/// What became of the products of a batch, in the form in which it is stored. To make it takes a processor and
/// no database.
#[derive(Debug)]
pub struct TransformedBatch {
    batch: Batch,
    derivation: i64,
    /// Products that have a record or are gone, and their records.
    staged: Vec<i64>,
    records: Vec<u8>,
    rejected: Vec<RejectionToStore>,
    bad_details: Vec<i64>,
    refused: Vec<i64>,
    unobserved: Vec<i64>,
}

impl TransformedBatch {
    /// How many products it has.
    pub fn products(&self) -> usize {
        self.batch.ids.len()
    }

    /// Every product of the batch must be told of, once; an error otherwise.
    pub fn new(batch: Batch, transformed: &[Transformed]) -> Result<Self> {
        Self::derived(batch, catalog::DERIVATION, transformed)
    }

    /// The same, of records that rules of another number derived: it goes with them.
    pub fn derived(batch: Batch, derivation: i64, transformed: &[Transformed]) -> Result<Self> {
        let told: BTreeSet<i64> = transformed.iter().map(Transformed::product_id).collect();
        if told != batch.ids || transformed.len() != told.len() {
            let text = format!(
                "a batch of {} products with results of others",
                batch.ids.len()
            );
            return Err(Error::Stored(text));
        }
        let (mut rejected, mut bad_details) = (Vec::new(), Vec::new());
        let (mut refused, mut unobserved) = (Vec::new(), Vec::new());
        for product in transformed {
            match product {
                Transformed::Staged {
                    product,
                    detail_rejected,
                    ..
                } => {
                    if let Some(rejection) = detail_rejected {
                        rejected.push(rejection.clone());
                        bad_details.push(product.id());
                    }
                }
                Transformed::Gone { .. } => {}
                Transformed::Rejected {
                    product_id,
                    rejection,
                } => {
                    rejected.push(rejection.clone());
                    refused.push(*product_id);
                }
                Transformed::Unobserved { product_id } => unobserved.push(*product_id),
            }
        }
        let lines: Vec<Line<'_>> = transformed.iter().filter_map(line).collect();
        Ok(Self {
            batch,
            derivation,
            staged: lines.iter().map(|line| line.product_id).collect(),
            records: batches::pack(&lines, derivation)?,
            rejected,
            bad_details,
            refused,
            unobserved,
        })
    }
}

impl Warehouse {
    /// Claims up to `n` products of the run with their pages. `None`: nothing is left.
    pub async fn next_to_transform(&self, attempt: &Attempt, n: i64) -> Result<Option<Claimed>> {
        let mut tx = self.begin().await?;
        let most = n.clamp(1, MAX_BATCH);
        let number = batches::begin(&mut tx, attempt).await?;
        let mut ids = claim(&mut tx, attempt, number, most).await?;
        if ids.is_empty() && attempt.reached.swap(0, Ordering::Relaxed) > 0 {
            // What another gave back may lie behind.
            ids = claim(&mut tx, attempt, number, most).await?;
        }
        let batch = Batch {
            number,
            ids: ids.iter().copied().collect(),
        };
        let Some(last) = ids.iter().max() else {
            tx.end().await?;
            let products = Vec::new();
            let open = self.open_rows(attempt).await? > 0;
            return Ok(open.then_some(Claimed { batch, products }));
        };
        attempt.reached.store(*last, Ordering::Relaxed);
        batches::hold(&mut tx, &batch).await?;
        note_claim(&mut tx, attempt.epoch).await?;
        commit_fenced(tx, attempt.epoch).await?;
        let mut tx = self.read().await?;
        let products = with_pages(&mut tx, &run_products(&attempt.run, &ids)).await?;
        tx.commit().await?;
        Ok(Some(Claimed { batch, products }))
    }

    /// Stages the records of a claimed batch, what became of its other products, and the `shapes` of its
    /// details, in one transaction.
    pub async fn commit_batch(
        &self,
        attempt: &Attempt,
        made: TransformedBatch,
        shapes: &[ShapeRow],
        now: Instant,
    ) -> Result<()> {
        let TransformedBatch {
            batch,
            derivation,
            mut staged,
            mut records,
            rejected,
            bad_details,
            refused,
            unobserved,
        } = made;
        let mut tx = self.begin().await?;
        let run = &attempt.run;
        let withdrawn = withdrawn(&mut tx, attempt, derivation, &refused).await?;
        staged.extend(withdrawn.iter().map(|line| line.product_id));
        records.extend(batches::pack(&withdrawn, derivation)?);
        batches::stage(&mut tx, attempt, &batch, &staged, records).await?;
        set_outcome(&mut tx, run, "rejected", &refused).await?;
        set_outcome(&mut tx, run, "unobserved", &unobserved).await?;
        let products: Vec<i64> = batch.ids.iter().copied().collect();
        let of = (&products[..], &staged[..]);
        rejections::of_transformed(&mut tx, attempt, of, rejected, now).await?;
        reject_details(&mut tx, run, bad_details, refused).await?;
        shapes::add(&mut tx, run, shapes).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// How many products of a run wait to be loaded.
    pub async fn staged_count(&self, run: &str) -> Result<i64> {
        let mut tx = self.read().await?;
        let count = batches::to_load(&mut tx, run).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Products of a run by stage and outcome: stage, outcome, how many.
    pub async fn stage_counts(&self, run: &str) -> Result<Vec<(String, Option<String>, i64)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT stage, outcome, COUNT(*) FROM run_outcomes WHERE run_id = $1
                 GROUP BY stage, outcome ORDER BY stage, outcome",
                params![run],
            )
            .await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.opt_text(1)?, row.int(2)?)))
            .collect()
    }
}

/// Notes what became of products of a run.
pub(crate) async fn set_outcome(
    tx: &mut Tx,
    run: &str,
    outcome: &'static str,
    ids: &[i64],
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    tx.execute(
        "UPDATE run_products AS t SET outcome = $3 {of run:$1,$2}",
        &[run.into(), Value::Ids(ids.to_vec()), outcome.into()],
    )
    .await
    .map(drop)
}

/// Notes that details were refused: `bad` beside a listing, and those of the `refused` products that
/// have none, for of a recheck there is nothing but its detail.
async fn reject_details(tx: &mut Tx, run: &str, bad: Vec<i64>, refused: Vec<i64>) -> Result<()> {
    for (ids, also) in [(bad, ""), (refused, " AND t.listed_in IS NULL")] {
        if ids.is_empty() {
            continue;
        }
        let sql = format!(
            "UPDATE run_products AS t SET detail = 'rejected'
             {{of run:$1,$2}} AND t.detail = 'good'{also}"
        );
        tx.execute(&sql, &[run.into(), Value::Ids(ids)]).await?;
    }
    Ok(())
}

/// Claims up to `n` products that wait, behind the last one that the attempt claimed. A walk along the
/// key instead of an index of what waits: such an index would be written with every claim.
async fn claim(tx: &mut Tx, attempt: &Attempt, batch: i64, n: i64) -> Result<Vec<i64>> {
    let rows = tx
        .rows(
            "WITH picked AS MATERIALIZED (SELECT run_id, product_id FROM run_products
                WHERE run_id = $1 AND product_id > $4 AND outcome IS NULL AND batch IS NULL
                ORDER BY product_id LIMIT $3 {skip locked})
             UPDATE run_products SET batch = $2 FROM picked
             WHERE run_products.run_id = picked.run_id AND run_products.product_id = picked.product_id
             RETURNING run_products.product_id",
            params![
                &attempt.run,
                batch,
                n,
                attempt.reached.load(Ordering::Relaxed)
            ],
        )
        .await?;
    rows.iter().map(|row| row.int(0)).collect()
}

/// Products without a record of which lower rules had made one: their looks are to go.
async fn withdrawn(
    tx: &mut Tx,
    attempt: &Attempt,
    derivation: i64,
    without_record: &[i64],
) -> Result<Vec<Line<'static>>> {
    if without_record.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx
        .rows(
            "SELECT DISTINCT product_id FROM observations
             WHERE product_id {among:$1} AND run_id = $2 AND derivation < $3",
            &[
                Value::Ids(without_record.to_vec()),
                (&attempt.run).into(),
                derivation.into(),
            ],
        )
        .await?;
    let withdrawn = |row: &Row| -> Result<Line<'static>> {
        Ok(Line {
            product_id: row.int(0)?,
            record: None,
            gone_at: None,
            listing_page_id: None,
            detail_page_id: None,
            withdrawn: true,
        })
    };
    rows.iter().map(withdrawn).collect()
}

fn line(product: &Transformed) -> Option<Line<'_>> {
    match product {
        Transformed::Staged {
            product,
            listing_page_id,
            detail_page_id,
            ..
        } => Some(Line {
            product_id: product.id(),
            record: Some(product),
            gone_at: None,
            listing_page_id: *listing_page_id,
            detail_page_id: *detail_page_id,
            withdrawn: false,
        }),
        Transformed::Gone { product_id, at } => Some(Line {
            product_id: *product_id,
            record: None,
            gone_at: Some(*at),
            listing_page_id: None,
            detail_page_id: None,
            withdrawn: false,
        }),
        Transformed::Rejected { .. } | Transformed::Unobserved { .. } => None,
    }
}

/// The key of a product in a run.
pub(crate) const RUN_PRODUCT: &Columns = &[("run_id", "text"), ("product_id", "bigint")];

/// Rows of [`RUN_PRODUCT`].
pub(crate) fn run_products(run: &str, ids: &[i64]) -> Vec<Vec<Value>> {
    ids.iter()
        .map(|id| vec![run.into(), (*id).into()])
        .collect()
}

/// Products of runs with their pages; `keys`: rows of [`RUN_PRODUCT`].
pub(crate) async fn with_pages(tx: &mut Tx, keys: &[Vec<Value>]) -> Result<Vec<ToTransform>> {
    let mut products = products_of(tx, keys).await?;
    let mut pages = pages_of(tx, keys).await?;
    for product in &mut products {
        let key = (product.product_id, std::mem::take(&mut product.run));
        product.page = pages.remove(&key);
        product.run = key.1;
    }
    Ok(products)
}

async fn products_of(tx: &mut Tx, keys: &[Vec<Value>]) -> Result<Vec<ToTransform>> {
    let rows = tx
        .lookup(
            RUN_PRODUCT,
            "SELECT p.product_id, p.listed_in, p.detail, p.answered_at, l.page_id, l.source,
                l.observed_at, l.url, l.spid, l.name, l.image_url, l.brand, l.seller_sku,
                l.seller_id, l.seller_is_official, l.category_path, l.price, l.original_price,
                l.discount_percent, l.sales_count, l.rating_average, l.review_count, p.run_id
             FROM {keys} JOIN run_products p
                ON p.run_id = d.run_id AND p.product_id = d.product_id
             LEFT JOIN listings l ON l.run_id = p.run_id AND l.product_id = p.product_id
                AND l.category_id = p.listed_in
             ORDER BY p.product_id",
            keys,
        )
        .await?;
    rows.iter().map(to_transform).collect()
}

fn to_transform(row: &Row) -> Result<ToTransform> {
    let product_id = row.int(0)?;
    let listing = match row.opt_int(4)? {
        Some(page_id) => Some((listing(row, product_id)?, page_id)),
        None => None,
    };
    Ok(ToTransform {
        run: row.text(22)?,
        product_id,
        listed_in: row.opt_int(1)?,
        listing,
        detail: row.text(2)?,
        page: None,
        answered_at: row.opt_time(3)?,
    })
}

fn listing(row: &Row, product_id: i64) -> Result<Seen<Listing>> {
    let value = Listing {
        product_id,
        spid: row.opt_int(8)?,
        url: row.text(7)?,
        name: row.text(9)?,
        image_url: row.opt_text(10)?,
        brand: row.opt_text(11)?,
        seller_sku: row.opt_text(12)?,
        seller_id: row.opt_int(13)?,
        seller_is_official: row.opt_flag(14)?,
        category_path: row.opt_text(15)?,
        price: row.opt_int(16)?,
        original_price: row.opt_int(17)?,
        discount_percent: row.opt_int(18)?,
        sales_count: row.opt_int(19)?,
        rating_average: row.opt_real(20)?,
        review_count: row.opt_int(21)?,
    };
    let source = Source::parse(&row.text(5)?).unwrap_or(Source::Listing);
    Ok(Seen {
        value,
        at: row.time(6)?,
        source,
    })
}

/// By product and run.
async fn pages_of(tx: &mut Tx, keys: &[Vec<Value>]) -> Result<HashMap<(i64, String), StoredPage>> {
    let rows = tx
        .lookup(
            RUN_PRODUCT,
            "SELECT p.product_id, g.id, g.source, g.encoding, g.body, g.fetched_at, p.run_id
             FROM {keys} JOIN run_products p
                ON p.run_id = d.run_id AND p.product_id = d.product_id
             JOIN pages g ON g.id = p.page_id
             WHERE p.detail IN ('good', 'rejected')",
            keys,
        )
        .await?;
    let mut pages = HashMap::with_capacity(rows.len());
    // Each row goes once its body is copied.
    for row in rows {
        pages.insert((row.int(0)?, row.text(6)?), pages::stored(&row, 1)?);
    }
    Ok(pages)
}
