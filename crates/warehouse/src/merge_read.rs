//! The rows that a merge reads: what the warehouse holds of the products of a batch.
//!
//! Not here: the batch (`batches`), what follows from it (`decide`), the rows that are written (`merge_write`).

use std::collections::HashMap;

use catalog::{Identity, Instant, Known, Look, Source, Values};

use crate::arrivals::Kept;
use crate::bulk::Columns;
use crate::error::{Error, Result};
use crate::present::Present;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// What the warehouse holds of a product, in brief.
pub(crate) struct Current {
    pub(crate) known: Known,
    pub(crate) newest_look: Instant,
    /// The newest row of history; where it was not asked for ([`last_changes`]) `observed_at`, which is that or
    /// newer and, like that, not newer than `newest_look`.
    pub(crate) last_change: Instant,
    /// Of identity and details.
    pub(crate) hashes: (i64, Option<i64>),
    pub(crate) content_at: Instant,
    pub(crate) observed_at: Instant,
    pub(crate) detail_observed_at: Option<Instant>,
    pub(crate) delisted_at: Option<Instant>,
    pub(crate) updated_at: Instant,
}

/// What was known of a product just before an instant.
pub(crate) struct Before {
    pub(crate) known: Known,
    pub(crate) last_change: Instant,
}

/// What the warehouse holds of some products, without what [`last_changes`] and [`sales_said`] tell.
pub(crate) async fn current(tx: &mut Tx, ids: &[i64]) -> Result<HashMap<i64, Current>> {
    let sql = "SELECT p.id, p.price, p.original_price, p.discount_percent, p.sales_count,
            p.rating_average, p.review_count, p.seller_id, p.spid, p.stock_status,
            p.stock_quantity, p.sales_velocity, p.delisted_at, p.identity_hash, p.details_hash,
            p.content_at, p.observed_at, p.detail_observed_at, p.updated_at,
            (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = p.id)
         FROM products p WHERE p.id {among:$1}";
    let read = tx.read_of(sql, ids, read_current).await?;
    Ok(read.into_iter().collect())
}

fn read_current(row: &Row) -> Result<(i64, Current)> {
    let id = row.int(0)?;
    let delisted_at = row.opt_time(12)?;
    let newest_look = row.opt_time(19)?;
    let newest_look = newest_look.ok_or_else(|| without(id, "observations"))?;
    let observed_at = row.time(16)?;
    let known = Known {
        observed_at: newest_look,
        values: values(row, 1)?,
        gone: delisted_at.is_some(),
        sales_said_at: None,
        sales_velocity: row.opt_real(11)?,
    };
    let current = Current {
        known,
        newest_look,
        last_change: observed_at,
        hashes: (row.int(13)?, row.opt_int(14)?),
        content_at: row.time(15)?,
        observed_at,
        detail_observed_at: row.opt_time(17)?,
        delisted_at,
        updated_at: row.time(18)?,
    };
    Ok((id, current))
}

/// Keeps rows by their products. A map that grew row by row would move them all again and again.
fn by_id<T>(rows: impl ExactSizeIterator<Item = Result<(i64, T)>>) -> Result<HashMap<i64, T>> {
    let mut by_id = HashMap::with_capacity(rows.len());
    for row in rows {
        let (id, row) = row?;
        by_id.insert(id, row);
    }
    Ok(by_id)
}

fn without(id: i64, what: &str) -> Error {
    Error::Stored(format!("product {id} has no row in {what}"))
}

/// The newest change of each of some products.
pub(crate) async fn last_changes(tx: &mut Tx, ids: &[i64]) -> Result<Vec<(i64, Instant)>> {
    let rows = newest(
        tx,
        ids,
        "SELECT p.id, (SELECT MAX(h.observed_at) FROM product_history h WHERE h.product_id = p.id)
         FROM products p WHERE p.id {among:$1}",
    )
    .await?;
    let found = |(id, at): (i64, Option<Instant>)| {
        Ok((id, at.ok_or_else(|| without(id, "product_history"))?))
    };
    rows.into_iter().map(found).collect()
}

/// When a look last told the sales of each of some products.
pub(crate) async fn sales_said(tx: &mut Tx, ids: &[i64]) -> Result<Vec<(i64, Instant)>> {
    let rows = newest(
        tx,
        ids,
        "SELECT p.id, (SELECT MAX(o.observed_at) FROM observations o
            WHERE o.product_id = p.id AND o.sales_count IS NOT NULL)
         FROM products p WHERE p.id {among:$1}",
    )
    .await?;
    let found = |(id, at): (i64, Option<Instant>)| Some((id, at?));
    Ok(rows.into_iter().filter_map(found).collect())
}

async fn newest(tx: &mut Tx, ids: &[i64], sql: &str) -> Result<Vec<(i64, Option<Instant>)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx.rows(sql, &[Value::Ids(ids.to_vec())]).await?;
    rows.iter()
        .map(|row| Ok((row.int(0)?, row.opt_time(1)?)))
        .collect()
}

/// Ten columns from `at` on, in the order of `merge_write::VALUE_COLUMNS`.
fn values(row: &Row, at: usize) -> Result<Values> {
    Ok(Values {
        price: row.opt_int(at)?,
        original_price: row.opt_int(at + 1)?,
        discount_percent: row.opt_int(at + 2)?,
        sales_count: row.opt_int(at + 3)?,
        rating_average: row.opt_real(at + 4)?,
        review_count: row.opt_int(at + 5)?,
        seller_id: row.opt_int(at + 6)?,
        spid: row.opt_int(at + 7)?,
        stock_status: row.opt_text(at + 8)?,
        stock_quantity: row.opt_int(at + 9)?,
    })
}

/// What is told of some products now.
pub(crate) async fn present(tx: &mut Tx, ids: &[i64]) -> Result<HashMap<i64, Present>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx
        .rows(
            "SELECT id, name, url, image_url, category_id, category_path, brand, seller_sku,
                seller_is_official, sku, brand_id, named_seller_id, named_seller_name, description,
                specifications, images, site_created_on FROM products WHERE id {among:$1}",
            &[Value::Ids(ids.to_vec())],
        )
        .await?;
    let read = |row: &Row| -> Result<(i64, Present)> {
        let present = Present {
            identity: Identity {
                name: row.text(1)?,
                url: row.text(2)?,
                image_url: row.opt_text(3)?,
                category_id: row.opt_int(4)?,
                category_path: row.opt_text(5)?,
                brand: row.opt_text(6)?,
                seller_sku: row.opt_text(7)?,
                seller_is_official: row.opt_flag(8)?,
            },
            sku: row.opt_text(9)?,
            brand_id: row.opt_int(10)?,
            named_seller_id: row.opt_int(11)?,
            named_seller_name: row.opt_text(12)?,
            description: row.opt_text(13)?,
            specifications: row.opt_text(14)?,
            images: row.opt_text(15)?,
            site_created_on: row.opt_text(16)?,
        };
        Ok((row.int(0)?, present))
    };
    by_id(rows.iter().map(read))
}

const FROM_INSTANT: &Columns = &[("id", "bigint"), ("at", "{time}")];

fn keys(of: &[(i64, Instant)]) -> Vec<Vec<Value>> {
    of.iter()
        .map(|(id, at)| vec![(*id).into(), (*at).into()])
        .collect()
}

/// Looks of products, each from an instant on, in time order.
pub(crate) async fn looks_from(
    tx: &mut Tx,
    run: &str,
    from: &[(i64, Instant)],
) -> Result<HashMap<i64, Vec<Kept>>> {
    let rows = tx
        .lookup(
            FROM_INSTANT,
            "SELECT d.id, o.observed_at, o.source, o.gone, o.price, o.original_price,
                o.discount_percent, o.sales_count, o.rating_average, o.review_count, o.seller_id,
                o.spid, o.stock_status, o.stock_quantity, o.derivation, o.run_id
             FROM {keys} JOIN observations o ON o.product_id = d.id AND o.observed_at >= d.at
             ORDER BY d.id, o.observed_at",
            &keys(from),
        )
        .await?;
    let mut looks: HashMap<i64, Vec<Kept>> = HashMap::with_capacity(from.len());
    for row in &rows {
        let word = row.text(2)?;
        let look = Look {
            observed_at: row.time(1)?,
            source: Source::parse(&word)
                .ok_or_else(|| Error::Stored(format!("{word:?} is no source")))?,
            gone: row.flag(3)?,
            values: values(row, 4)?,
        };
        looks.entry(row.int(0)?).or_default().push(Kept {
            look,
            derivation: row.int(14)?,
            own: row.text(15)? == run,
        });
    }
    Ok(looks)
}

/// The first look that a run has of each of some products.
pub(crate) async fn first_of_run(
    tx: &mut Tx,
    run: &str,
    ids: &[i64],
) -> Result<Vec<(i64, Instant)>> {
    let rows = tx
        .rows(
            "SELECT product_id, MIN(observed_at) FROM observations
             WHERE product_id {among:$1} AND run_id = $2 GROUP BY product_id",
            &[Value::Ids(ids.to_vec()), run.into()],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.int(0)?, row.time(1)?)))
        .collect()
}

/// What was known of products just before an instant; no entry: nothing.
pub(crate) async fn before(tx: &mut Tx, from: &[(i64, Instant)]) -> Result<HashMap<i64, Before>> {
    let rows = tx
        .lookup(
            FROM_INSTANT,
            "SELECT d.id, h.price, h.original_price, h.discount_percent, h.sales_count,
                h.rating_average, h.review_count, h.seller_id, h.spid, h.stock_status,
                (SELECT o.stock_quantity FROM observations o WHERE o.product_id = d.id
                    AND o.observed_at < d.at AND o.stock_quantity IS NOT NULL
                    ORDER BY o.observed_at DESC LIMIT 1),
                h.sales_velocity, h.changed, h.observed_at,
                (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = d.id
                    AND o.observed_at < d.at AND o.sales_count IS NOT NULL),
                (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = d.id
                    AND o.observed_at < d.at)
             FROM {keys} JOIN product_history h ON h.product_id = d.id AND h.observed_at =
                (SELECT MAX(e.observed_at) FROM product_history e
                 WHERE e.product_id = d.id AND e.observed_at < d.at)",
            &keys(from),
        )
        .await?;
    let read = |row: &Row| -> Result<(i64, Before)> {
        let last_change = row.time(13)?;
        let known = Known {
            observed_at: row.opt_time(15)?.unwrap_or(last_change),
            values: values(row, 1)?,
            gone: row.text(12)?.split(',').any(|kind| kind == "delisted"),
            sales_said_at: row.opt_time(14)?,
            sales_velocity: row.opt_real(11)?,
        };
        Ok((row.int(0)?, Before { known, last_change }))
    };
    rows.iter().map(read).collect()
}
