//! From pages to staged products: what a product's pages say, and the record made of them.
//!
//! Not here: making the record (`catalog`).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use catalog::{Instant, Listing, Product, Seen, Source};

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

const STAGED_COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("product_id", "bigint"),
    ("record", "text"),
    ("gone_at", "{time}"),
    ("listing_page_id", "bigint"),
    ("detail_page_id", "bigint"),
    ("derivation", "bigint"),
    ("withdrawn", "{flag}"),
];

impl Warehouse {
    /// Claims up to `n` products of the run with their pages. `None`: nothing is left; an empty
    /// list: others hold the rest.
    pub async fn next_to_transform(
        &self,
        attempt: &Attempt,
        n: i64,
    ) -> Result<Option<Vec<ToTransform>>> {
        let mut tx = self.begin().await?;
        let mut ids = claim(&mut tx, attempt, n).await?;
        if ids.is_empty() && attempt.reached.swap(0, Ordering::Relaxed) > 0 {
            // What another gave back may lie behind.
            ids = claim(&mut tx, attempt, n).await?;
        }
        if let Some(last) = ids.iter().max() {
            attempt.reached.store(*last, Ordering::Relaxed);
            note_claim(&mut tx, attempt.epoch).await?;
        }
        commit_fenced(tx, attempt.epoch).await?;
        if ids.is_empty() {
            return Ok((self.open_rows(attempt).await? > 0).then(Vec::new));
        }
        let mut tx = self.read().await?;
        let products = with_pages(&mut tx, &run_products(&attempt.run, &ids)).await?;
        tx.commit().await?;
        Ok(Some(products))
    }

    /// Stores a batch of transformed products, the new states and the `shapes` of its details, in
    /// one transaction.
    pub async fn commit_transformed(
        &self,
        attempt: &Attempt,
        batch: &[Transformed],
        shapes: &[ShapeRow],
        now: Instant,
    ) -> Result<()> {
        self.commit_derived(attempt, catalog::DERIVATION, batch, shapes, now)
            .await
    }

    /// The same, of records that rules of another number derived: `derivation` goes with them.
    pub async fn commit_derived(
        &self,
        attempt: &Attempt,
        derivation: i64,
        batch: &[Transformed],
        shapes: &[ShapeRow],
        now: Instant,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let (mut staged, mut states) = (Vec::new(), States::default());
        let (mut rejected, mut bad_details, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut without_record = Vec::new();
        for product in batch {
            let (id, stage, outcome) = match product {
                Transformed::Staged {
                    product,
                    detail_rejected,
                    ..
                } => {
                    if let Some(rejection) = detail_rejected {
                        rejected.push(rejection.clone());
                        bad_details.push(product.id());
                    }
                    (product.id(), "staged", None)
                }
                Transformed::Gone { product_id, .. } => (*product_id, "staged", None),
                Transformed::Rejected {
                    product_id,
                    rejection,
                } => {
                    rejected.push(rejection.clone());
                    refused.push(*product_id);
                    without_record.push(*product_id);
                    (*product_id, "done", Some("rejected"))
                }
                Transformed::Unobserved { product_id } => (*product_id, "done", Some("unobserved")),
            };
            staged.extend(staged_row(&attempt.run, derivation, product));
            states.entry((stage, outcome)).or_default().push(id);
        }
        set_states(&mut tx, attempt, states).await?;
        staged.extend(withdrawn_rows(&mut tx, attempt, derivation, without_record).await?);
        tx.append("staged_products", STAGED_COLUMNS, &staged)
            .await?;
        reject_details(&mut tx, &attempt.run, bad_details, refused).await?;
        rejections::insert(&mut tx, &attempt.run, &attempt.step, &rejected, now).await?;
        shapes::add(&mut tx, &attempt.run, shapes).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// How many products of a run wait to be loaded.
    pub async fn staged_count(&self, run: &str) -> Result<i64> {
        let mut tx = self.read().await?;
        let sql = "SELECT COUNT(*) FROM staged_products WHERE run_id = $1";
        let row = tx.row(sql, params![run]).await?;
        tx.commit().await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// Products of a run by stage and outcome: stage, outcome, how many.
    pub async fn stage_counts(&self, run: &str) -> Result<Vec<(String, Option<String>, i64)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT stage, outcome, COUNT(*) FROM run_products WHERE run_id = $1
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

/// The new states of products: stage and outcome, and who has them.
type States = BTreeMap<(&'static str, Option<&'static str>), Vec<i64>>;

/// Sets them, if all the products are still claimed by the attempt.
async fn set_states(tx: &mut Tx, attempt: &Attempt, states: States) -> Result<()> {
    for ((stage, outcome), ids) in states {
        let wanted = ids.len() as u64;
        let set = tx
            .execute(
                "UPDATE run_products AS t SET stage = $4, outcome = $5
                 {of run:$1,$2} AND t.claim = $3",
                &[
                    (&attempt.run).into(),
                    Value::Ids(ids),
                    attempt.epoch.into(),
                    stage.into(),
                    outcome.into(),
                ],
            )
            .await?;
        if set != wanted {
            return Err(Error::Fenced(attempt.epoch));
        }
    }
    Ok(())
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
/// key instead of an index of what waits: such an index would be written with every change of a stage.
async fn claim(tx: &mut Tx, attempt: &Attempt, n: i64) -> Result<Vec<i64>> {
    let rows = tx
        .rows(
            "WITH picked AS MATERIALIZED (SELECT run_id, product_id FROM run_products
                WHERE run_id = $1 AND product_id > $4 AND stage = 'waiting' AND claim IS NULL
                ORDER BY product_id LIMIT $3 {skip locked})
             UPDATE run_products SET claim = $2 FROM picked
             WHERE run_products.run_id = picked.run_id AND run_products.product_id = picked.product_id
             RETURNING run_products.product_id",
            params![
                &attempt.run,
                attempt.epoch,
                n,
                attempt.reached.load(Ordering::Relaxed)
            ],
        )
        .await?;
    rows.iter().map(|row| row.int(0)).collect()
}

/// Products without a record of which lower rules had made one: their looks are to go.
async fn withdrawn_rows(
    tx: &mut Tx,
    attempt: &Attempt,
    derivation: i64,
    without_record: Vec<i64>,
) -> Result<Vec<Vec<Value>>> {
    if without_record.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx
        .rows(
            "SELECT DISTINCT product_id FROM observations
             WHERE product_id {among:$1} AND run_id = $2 AND derivation < $3",
            &[
                Value::Ids(without_record),
                (&attempt.run).into(),
                derivation.into(),
            ],
        )
        .await?;
    let withdrawn = |row: &Row| -> Result<Vec<Value>> {
        Ok(vec![
            (&attempt.run).into(),
            row.int(0)?.into(),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            derivation.into(),
            true.into(),
        ])
    };
    rows.iter().map(withdrawn).collect()
}

fn staged_row(run: &str, derivation: i64, product: &Transformed) -> Option<Vec<Value>> {
    match product {
        Transformed::Staged {
            product,
            listing_page_id,
            detail_page_id,
            ..
        } => Some(vec![
            run.into(),
            product.id().into(),
            product.to_json().into(),
            Value::Null,
            (*listing_page_id).into(),
            (*detail_page_id).into(),
            derivation.into(),
            false.into(),
        ]),
        Transformed::Gone { product_id, at } => Some(vec![
            run.into(),
            (*product_id).into(),
            Value::Null,
            (*at).into(),
            Value::Null,
            Value::Null,
            derivation.into(),
            false.into(),
        ]),
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
    rows.iter()
        .map(|row| Ok(((row.int(0)?, row.text(6)?), pages::stored(row, 1)?)))
        .collect()
}
