//! What a run will do with each product: the candidates in id order, and the plan made of them.
//!
//! Not here: when a detail is due (`catalog`).

use catalog::Instant;

use crate::bulk::Columns;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// A product that a run listed, or one that is followed and was not listed.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownProduct {
    /// The product.
    pub product_id: i64,
    /// The first category in walk order that listed it; `None`: not listed.
    pub listed_in: Option<i64>,
    /// Of the listing.
    pub fingerprint: Option<i64>,
    /// The offer that was listed.
    pub spid: Option<i64>,
    /// When a detail last answered (*gone* counts), and the listing's fingerprint then.
    pub last_detail: Option<(Instant, Option<i64>)>,
    /// When it was first seen; `None`: only now.
    pub first_seen: Option<Instant>,
    /// The newest run before this one that made a plan had no room for its detail.
    pub deferred: bool,
    /// That run asked for its detail in vain; it counts as a try.
    pub failed: bool,
}

/// What a run will do with a product.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedProduct {
    /// The product.
    pub known: KnownProduct,
    /// Why a detail is due, as a word; `None`: it is not.
    pub reason: Option<&'static str>,
    /// The order among those that are due; the lowest first.
    pub rank: i64,
}

const COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("product_id", "bigint"),
    ("listed_in", "bigint"),
    ("reason", "text"),
    ("rank", "bigint"),
    ("detail", "text"),
    ("spid", "bigint"),
    ("fingerprint", "bigint"),
    ("attempts", "bigint"),
];

/// Products of a run by where they were listed, the first in walk order first.
const LISTED: &str = "SELECT l.product_id, l.category_id, l.fingerprint, l.spid, s.detail_at,
        s.fingerprint, p.created_at, b.detail, b.attempts
    FROM listings l
    JOIN run_categories c ON c.run_id = l.run_id AND c.category_id = l.category_id
    LEFT JOIN product_state s ON s.product_id = l.product_id
    LEFT JOIN products p ON p.id = l.product_id
    LEFT JOIN run_products b ON b.product_id = l.product_id AND b.run_id = $4
    WHERE l.run_id = $1 AND l.product_id > $2 AND l.product_id <= $3 AND NOT l.beyond
    ORDER BY l.product_id, c.walk_order";

impl Warehouse {
    /// Listed products of a run with ids above `after`, in id order, `limit` rows at most.
    pub async fn listed_products(
        &self,
        run: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<KnownProduct>> {
        let mut tx = self.read().await?;
        let before = run_before(&mut tx, run).await?;
        let mut after = after;
        let rows = loop {
            // A stretch of the key first, so that no plan of the database reads them all for it.
            let last = tx
                .row(
                    "SELECT MAX(product_id) FROM (SELECT product_id FROM listings
                        WHERE run_id = $1 AND product_id > $2
                        ORDER BY product_id, category_id LIMIT $3) AS stretch",
                    params![run, after, limit],
                )
                .await?;
            let Some(last) = last.map(|row| row.opt_int(0)).transpose()?.flatten() else {
                break Vec::new();
            };
            let rows = tx.rows(LISTED, params![run, after, last, &before]).await?;
            after = last;
            if !rows.is_empty() {
                break rows;
            }
        };
        tx.commit().await?;
        let mut products: Vec<KnownProduct> = Vec::with_capacity(rows.len());
        for row in &rows {
            let product = known(row)?;
            if products.last().map(|last| last.product_id) != Some(product.product_id) {
                products.push(product);
            }
        }
        Ok(products)
    }

    /// Live products with ids above `after` that a run did not list, in id order, `limit` at most;
    /// none: there are no more. `only_of_taken`: only those that a category which the run takes ever
    /// listed.
    pub async fn unlisted_products(
        &self,
        run: &str,
        after: i64,
        limit: i64,
        only_of_taken: bool,
    ) -> Result<Vec<KnownProduct>> {
        let mut tx = self.read().await?;
        let before = run_before(&mut tx, run).await?;
        let mut after = after;
        let products = loop {
            // A stretch of products first, so that no plan of the database reads them all for it.
            let ids = tx
                .rows(
                    "SELECT id FROM products WHERE id > $1 ORDER BY id LIMIT $2",
                    params![after, limit],
                )
                .await?;
            let ids: Vec<i64> = ids.iter().map(|row| row.int(0)).collect::<Result<_>>()?;
            let Some(last) = ids.last() else {
                break Vec::new();
            };
            after = *last;
            let rows = tx
                .rows(
                    "SELECT p.id, NULL, NULL, NULL, s.detail_at, s.fingerprint, p.created_at, b.detail,
                        b.attempts
                     FROM products p LEFT JOIN product_state s ON s.product_id = p.id
                     LEFT JOIN run_products b ON b.product_id = p.id AND b.run_id = $4
                     WHERE p.id {among:$2} AND p.delisted_at IS NULL AND 0 = (
                        SELECT COUNT(*) FROM listings l WHERE l.run_id = $1
                            AND l.product_id = p.id AND NOT l.beyond)
                        AND ($3 = 0 OR EXISTS (SELECT 1 FROM product_categories m
                            JOIN run_categories c ON c.run_id = $1
                                AND c.category_id = m.category_id
                            WHERE m.product_id = p.id AND c.selected))
                     ORDER BY p.id",
                    &[
                        run.into(),
                        Value::Ids(ids),
                        i64::from(only_of_taken).into(),
                        (&before).into(),
                    ],
                )
                .await?;
            if !rows.is_empty() {
                break rows;
            }
        };
        tx.commit().await?;
        products.iter().map(known).collect()
    }

    /// Stores a stretch of the plan together with how far the planning has come.
    pub async fn commit_plan(
        &self,
        attempt: &Attempt,
        planned: &[PlannedProduct],
        planned_to: &str,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let rows: Vec<Vec<Value>> = planned
            .iter()
            .map(|product| {
                vec![
                    (&attempt.run).into(),
                    product.known.product_id.into(),
                    product.known.listed_in.into(),
                    product.reason.into(),
                    product.rank.into(),
                    (if product.reason.is_some() {
                        "due"
                    } else {
                        "none"
                    })
                    .into(),
                    product.known.spid.into(),
                    product.known.fingerprint.into(),
                    i64::from(product.known.failed).into(),
                ]
            })
            .collect();
        tx.insert("run_products", COLUMNS, LISTED_AFTER_ALL, &rows)
            .await?;
        tx.execute(
            "UPDATE run_steps SET planned_to = $3 WHERE run_id = $1 AND step = $2",
            params![&attempt.run, &attempt.step, planned_to],
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Ends the planning: where anything is to be rechecked, one listed product is asked besides that is not due,
    /// first and never out of a cache, for no 404 is believed of a site that answered nothing well; what lies
    /// beyond the budget (0: none) is deferred.
    pub async fn end_plan(&self, attempt: &Attempt, budget: i64, planned_to: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(CONTROL, params![&attempt.run]).await?;
        if budget > 0 {
            tx.execute(
                "UPDATE run_products SET detail = 'deferred' WHERE run_id = $1 AND detail = 'due'
                    AND (rank, product_id) >= (SELECT rank, product_id FROM run_products
                        WHERE run_id = $1 AND detail = 'due'
                        ORDER BY rank, product_id LIMIT 1 OFFSET $2)",
                params![&attempt.run, budget],
            )
            .await?;
        }
        let count = tx
            .execute(
                "UPDATE run_steps SET planned_to = $3 WHERE run_id = $1 AND step = $2",
                params![&attempt.run, &attempt.step, planned_to],
            )
            .await?;
        if count != 1 {
            return Err(Error::Fenced(attempt.epoch));
        }
        commit_fenced(tx, attempt.epoch).await
    }
}

/// The listed product that is asked though it is not due: the one whose detail answered well last.
const CONTROL: &str =
    "UPDATE run_products SET detail = 'due', reason = 'control', rank = -1, fingerprint = NULL
     WHERE run_id = $1 AND product_id = (SELECT r.product_id FROM run_products r
            JOIN products p ON p.id = r.product_id AND p.detail_observed_at IS NOT NULL
            WHERE r.run_id = $1 AND r.listed_in IS NOT NULL AND r.detail = 'none'
            ORDER BY p.detail_observed_at DESC, r.product_id LIMIT 1)
        AND EXISTS (SELECT 1 FROM run_products WHERE run_id = $1 AND detail = 'due'
            AND listed_in IS NULL)
        AND NOT EXISTS (SELECT 1 FROM run_products WHERE run_id = $1 AND reason = 'control')";

/// A row that was planned before stays as it is: its detail may have been asked. Only where a listing was
/// asked again and shows by now what was to be rechecked, the product counts as listed.
const LISTED_AFTER_ALL: &str = "ON CONFLICT (run_id, product_id) DO UPDATE SET
    listed_in = excluded.listed_in, spid = excluded.spid, fingerprint = excluded.fingerprint
    WHERE run_products.listed_in IS NULL AND excluded.listed_in IS NOT NULL";

/// The newest run before a run that planned anything; an empty text for the first.
async fn run_before(tx: &mut Tx, run: &str) -> Result<String> {
    let sql = "SELECT b.id FROM runs b JOIN runs r ON r.id = $1 WHERE b.number < r.number
            AND EXISTS (SELECT 1 FROM run_products p WHERE p.run_id = b.id)
        ORDER BY b.number DESC LIMIT 1";
    let row = tx.row(sql, params![run]).await?;
    row.map_or_else(|| Ok(String::new()), |row| row.text(0))
}

fn known(row: &Row) -> Result<KnownProduct> {
    let fingerprint_then = row.opt_int(5)?;
    let (before, tries) = (row.opt_text(7)?, row.opt_int(8)?);
    Ok(KnownProduct {
        product_id: row.int(0)?,
        listed_in: row.opt_int(1)?,
        fingerprint: row.opt_int(2)?,
        spid: row.opt_int(3)?,
        last_detail: row.opt_time(4)?.map(|at| (at, fingerprint_then)),
        first_seen: row.opt_time(6)?,
        deferred: before.as_deref() == Some("deferred"),
        // What was left unasked is told as unfetched too.
        failed: before.as_deref() == Some("unfetched") && tries.is_some_and(|tries| tries > 0),
    })
}
