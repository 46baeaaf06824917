//! Records that were refused: why, and the page that said so.
//!
//! Not here: the reasons (`catalog`).

use catalog::{Instant, Rejection};

use crate::bulk::Columns;
use crate::error::Result;
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

    /// How many rejections a run has.
    pub async fn rejection_count(&self, run: &str) -> Result<i64> {
        let mut tx = self.read().await?;
        let sql = "SELECT COUNT(*) FROM rejections WHERE run_id = $1";
        let row = tx.row(sql, params![run]).await?;
        tx.commit().await?;
        row.map_or(Ok(0), |row| row.int(0))
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
