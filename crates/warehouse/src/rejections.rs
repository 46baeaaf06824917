//! Records that were refused: why, and the page that said so.
//!
//! Not here: the reasons (`catalog`).

use catalog::{Instant, Rejection};

use crate::bulk::Columns;
use crate::error::Result;
use crate::lease::Attempt;
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// A rejection to keep.
#[derive(Clone, Debug)]
pub struct RejectionToStore {
    /// The product, where the body named one.
    pub product_id: Option<i64>,
    /// The category whose listing said so.
    pub category_id: Option<i64>,
    /// The page that said so.
    pub page_id: Option<i64>,
    /// Why.
    pub rejection: Rejection,
}

/// A rejection that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectionRow {
    /// Its id.
    pub id: i64,
    /// The run.
    pub run_id: String,
    /// The step that refused.
    pub step: String,
    /// The product, where the body named one.
    pub product_id: Option<i64>,
    /// The page that said so.
    pub page_id: Option<i64>,
    /// Why, as a word.
    pub reason: String,
    /// Which field.
    pub field: Option<String>,
    /// What was seen, 200 characters at most.
    pub seen: String,
    /// When.
    pub created_at: Instant,
}

const COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("step", "text"),
    ("product_id", "bigint"),
    ("category_id", "bigint"),
    ("page_id", "bigint"),
    ("reason", "text"),
    ("field", "text"),
    ("seen", "text"),
    ("created_at", "{time}"),
];

pub(crate) async fn insert(
    tx: &mut Tx,
    run: &str,
    step: &str,
    rejections: &[RejectionToStore],
    now: Instant,
) -> Result<()> {
    let rows: Vec<Vec<Value>> = rejections
        .iter()
        .map(|kept| {
            vec![
                run.into(),
                step.into(),
                kept.product_id.into(),
                kept.category_id.into(),
                kept.page_id.into(),
                kept.rejection.reason.as_str().into(),
                kept.rejection.field.as_ref().into(),
                (&kept.rejection.seen).into(),
                now.into(),
            ]
        })
        .collect();
    tx.insert("rejections", COLUMNS, "", &rows).await.map(drop)
}

/// A product's rejections of these steps come from its pages alone, so they are judged anew with them.
const JUDGED: &str = "product_id IS NOT NULL
    AND step IN ('crawl-product-details', 'transform-products', 'load-products')";

/// Where a run is derived anew: its rejections stay until their products are judged again. Of a run that was
/// never derived all products are new to the step, which keeps none of before.
pub(crate) async fn judge_anew(tx: &mut Tx, run: &str) -> Result<()> {
    let sql = format!(
        "DELETE FROM rejections WHERE run_id = $1 AND {JUDGED} AND NOT EXISTS (
            SELECT 1 FROM attempts WHERE run_id = $1 AND step = 'transform-products')"
    );
    tx.execute(&sql, params![run]).await.map(drop)
}

/// Keeps why products of a batch were refused while they were transformed; `staged` are those that are to be
/// loaded. Of a run that is derived anew, what is refused again stays as it was, and what is not goes.
pub(crate) async fn of_transformed(
    tx: &mut Tx,
    attempt: &Attempt,
    (products, staged): (&[i64], &[i64]),
    found: Vec<RejectionToStore>,
    now: Instant,
) -> Result<()> {
    let run = &attempt.run;
    let mut again = Again::new(found);
    // What was said of a product beside the refusal of its detail stays as long as that does.
    let mut beside = Vec::new();
    for row in judged(tx, run, products).await? {
        match row.step.as_str() {
            LOAD => again.keep_if(&row, staged.contains(&row.product_id)),
            // It was refused when it came, and is not judged here.
            CRAWL if row.is_of_its_crawl => {}
            _ if again.holds(&row) => {}
            _ if row.page_id.is_none() => beside.push(row),
            _ => again.gone.push(row.id),
        }
    }
    for row in beside {
        let still = again.of_details.contains(&row.product_id);
        again.keep_if(&row, still);
    }
    again.write(tx, attempt, now).await
}

/// Keeps why products of a batch could not be loaded; likewise.
pub(crate) async fn of_loaded(
    tx: &mut Tx,
    attempt: &Attempt,
    products: &[i64],
    found: Vec<RejectionToStore>,
    now: Instant,
) -> Result<()> {
    let mut again = Again::new(found);
    for row in judged(tx, &attempt.run, products).await? {
        if row.step == LOAD && !again.holds(&row) {
            again.gone.push(row.id);
        }
    }
    again.write(tx, attempt, now).await
}

const CRAWL: &str = "crawl-product-details";
const LOAD: &str = "load-products";

/// A rejection of before.
struct Judged {
    id: i64,
    step: String,
    product_id: i64,
    page_id: Option<i64>,
    reason: String,
    field: Option<String>,
    /// The detail that the run has was refused as it came; not one that was asked for before it.
    is_of_its_crawl: bool,
}

/// The rejections of some products of a run that is derived anew; none of any other run, of which nothing
/// was judged before.
async fn judged(tx: &mut Tx, run: &str, products: &[i64]) -> Result<Vec<Judged>> {
    let sql = "SELECT 1 FROM attempts a JOIN run_steps s ON s.run_id = a.run_id AND s.step = a.step
        WHERE a.run_id = $1 AND a.step = 'transform-products' AND a.started_at < s.started_at LIMIT 1";
    if products.is_empty() || tx.row(sql, params![run]).await?.is_none() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT r.id, r.step, r.product_id, r.page_id, r.reason, r.field, p.detail, p.page_id
         FROM (SELECT * FROM rejections WHERE run_id = $1 AND {JUDGED} AND product_id {{among:$2}}) AS r
         JOIN run_products p ON p.run_id = r.run_id AND p.product_id = r.product_id ORDER BY r.id"
    );
    let params = [run.into(), Value::Ids(products.to_vec())];
    let rows = tx.rows(&sql, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(Judged {
                id: row.int(0)?,
                step: row.text(1)?,
                product_id: row.int(2)?,
                page_id: row.opt_int(3)?,
                reason: row.text(4)?,
                field: row.opt_text(5)?,
                is_of_its_crawl: row.text(6)? == "rejected" && row.opt_int(7)? == row.opt_int(3)?,
            })
        })
        .collect()
}

/// What was found of a batch, without what is kept already.
struct Again {
    found: Vec<RejectionToStore>,
    /// Kept, but for another reason now.
    changed: Vec<(i64, RejectionToStore)>,
    /// Products whose details are refused again.
    of_details: Vec<i64>,
    gone: Vec<i64>,
}

impl Again {
    fn new(found: Vec<RejectionToStore>) -> Self {
        Self {
            found,
            changed: Vec::new(),
            of_details: Vec::new(),
            gone: Vec::new(),
        }
    }

    fn keep_if(&mut self, row: &Judged, kept: bool) {
        if !kept {
            self.gone.push(row.id);
        }
    }

    /// Whether a rejection of before was found again, of the same page; it is not found anew then.
    fn holds(&mut self, row: &Judged) -> bool {
        let same = |found: &RejectionToStore| {
            found.product_id == Some(row.product_id) && found.page_id == row.page_id
        };
        let Some(place) = self.found.iter().position(same) else {
            return false;
        };
        let found = self.found.swap_remove(place);
        let why = &found.rejection;
        if why.reason.as_str() != row.reason || why.field != row.field {
            self.changed.push((row.id, found));
        }
        if row.step == CRAWL {
            self.of_details.push(row.product_id);
        }
        true
    }

    async fn write(self, tx: &mut Tx, attempt: &Attempt, now: Instant) -> Result<()> {
        for (id, found) in &self.changed {
            let why = &found.rejection;
            tx.execute(
                "UPDATE rejections SET reason = $2, field = $3, seen = $4 WHERE id = $1",
                params![*id, why.reason.as_str(), why.field.as_ref(), &why.seen],
            )
            .await?;
        }
        if !self.gone.is_empty() {
            let sql = "DELETE FROM rejections WHERE id {among:$1}";
            tx.execute(sql, &[Value::Ids(self.gone)]).await?;
        }
        insert(tx, &attempt.run, &attempt.step, &self.found, now).await
    }
}

impl Warehouse {
    /// Rejections, the newest first, `limit` at most; of one run or reason where given.
    pub async fn rejections(
        &self,
        run: Option<&str>,
        reason: Option<&str>,
        limit: i64,
    ) -> Result<Vec<RejectionRow>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT id, run_id, step, product_id, page_id, reason, field, seen, created_at
                 FROM rejections
                 WHERE run_id = COALESCE($1, run_id) AND reason = COALESCE($2, reason)
                 ORDER BY id DESC LIMIT $3",
                params![run, reason, limit],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(rejection).collect()
    }

    /// Finished runs with rejections of products, the oldest first: those that deriving the run anew may
    /// mend, and of which nothing was cleaned up yet. Of one run, reason or id where given.
    pub async fn runs_to_replay(
        &self,
        run: Option<&str>,
        reason: Option<&str>,
        id: Option<i64>,
    ) -> Result<Vec<String>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT u.id FROM runs u WHERE u.finished_at IS NOT NULL AND u.sealed_at IS NULL AND EXISTS (
                    SELECT 1 FROM rejections r WHERE r.run_id = u.id AND r.product_id IS NOT NULL
                        AND r.step IN ('crawl-product-details', 'transform-products', 'load-products')
                        AND r.run_id = COALESCE($1, r.run_id) AND r.reason = COALESCE($2, r.reason)
                        AND r.id = COALESCE($3, r.id))
                 ORDER BY u.number",
                params![run, reason, id],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// How many rejections a run has whose ids are `newest` at most, and the highest of these ids.
    pub async fn rejection_count(&self, run: &str, newest: i64) -> Result<(i64, i64)> {
        let mut tx = self.read().await?;
        let sql =
            "SELECT COUNT(*), COALESCE(MAX(id), 0) FROM rejections WHERE run_id = $1 AND id <= $2";
        let row = tx.row(sql, params![run, newest]).await?;
        tx.commit().await?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
    }

    /// A rejection by its id.
    pub async fn rejection(&self, id: i64) -> Result<Option<RejectionRow>> {
        let mut tx = self.read().await?;
        let row = tx
            .row(
                "SELECT id, run_id, step, product_id, page_id, reason, field, seen, created_at
                 FROM rejections WHERE id = $1",
                params![id],
            )
            .await?;
        tx.commit().await?;
        row.map(|row| rejection(&row)).transpose()
    }
}

fn rejection(row: &Row) -> Result<RejectionRow> {
    Ok(RejectionRow {
        id: row.int(0)?,
        run_id: row.text(1)?,
        step: row.text(2)?,
        product_id: row.opt_int(3)?,
        page_id: row.opt_int(4)?,
        reason: row.text(5)?,
        field: row.opt_text(6)?,
        seen: row.text(7)?,
        created_at: row.time(8)?,
    })
}
