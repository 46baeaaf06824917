//! The rows that a merge reads and writes.
//!
//! Not here: what they should be (`merge`).

use std::collections::HashMap;

use catalog::{Change, Identity, Instant, Known, Look, Product, Source, Values, compute};

use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::lease::Attempt;
use crate::merge::{Outcome, ValuesOnly, Whole, Writes};
use crate::params;
use crate::present::Present;
use crate::tx::{Columns, Tx};
use crate::value::{Row, Value};

/// A product that waits to be loaded.
pub(crate) struct Staged {
    pub(crate) product_id: i64,
    pub(crate) product: Option<Product>,
    pub(crate) gone_at: Option<Instant>,
    listing_page_id: Option<i64>,
    detail_page_id: Option<i64>,
}

impl Staged {
    pub(crate) fn page_of(&self, source: Source) -> Option<i64> {
        match source {
            Source::Listing | Source::ListingHtml => self.listing_page_id,
            Source::Detail | Source::DetailHtml => self.detail_page_id,
        }
    }
}

/// What the warehouse holds of a product, in brief.
pub(crate) struct Current {
    pub(crate) known: Known,
    pub(crate) newest_look: Instant,
    pub(crate) last_change: Instant,
    pub(crate) hashes: (i64, Option<i64>),
    pub(crate) content_at: Instant,
    pub(crate) detail_observed_at: Option<Instant>,
    pub(crate) delisted_at: Option<Instant>,
    pub(crate) named_seller_id: Option<i64>,
    pub(crate) named_seller_name: Option<String>,
    pub(crate) seller_is_official: Option<bool>,
}

/// Takes a batch; the rows stay locked until the transaction ends.
pub(crate) async fn take(tx: &mut Tx, run: &str, n: i64) -> Result<Vec<Staged>> {
    let rows = tx
        .rows(
            "SELECT product_id, record, gone_at, listing_page_id, detail_page_id
             FROM staged_products WHERE run_id = $1 ORDER BY product_id LIMIT $2 {skip locked}",
            params![run, n],
        )
        .await?;
    let read = |row: &Row| -> Result<Staged> {
        let product = match row.opt_text(1)? {
            Some(record) => Some(Product::from_json(&record).map_err(|rejection| {
                Error::Stored(format!("staged product {:?}: {rejection}", row.int(0)))
            })?),
            None => None,
        };
        Ok(Staged {
            product_id: row.int(0)?,
            product,
            gone_at: row.opt_time(2)?,
            listing_page_id: row.opt_int(3)?,
            detail_page_id: row.opt_int(4)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Locks products in id order, known or not, so that loaders never wait in a circle. SQLite has one
/// writer anyway.
pub(crate) async fn lock(tx: &mut Tx, ids: &[i64]) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let sql = "SELECT COUNT(pg_advisory_xact_lock(id)::text)
            FROM (SELECT UNNEST($1::bigint[]) AS id) AS d";
        tx.rows(sql, &[Value::Ids(ids)]).await?;
    }
    Ok(())
}

/// What the warehouse holds of some products.
pub(crate) async fn current(tx: &mut Tx, ids: &[i64]) -> Result<HashMap<i64, Current>> {
    let rows = tx
        .rows(
            "SELECT p.id, p.price, p.original_price, p.discount_percent, p.sales_count,
                p.rating_average, p.review_count, p.seller_id, p.spid, p.stock_status,
                p.stock_quantity, p.sales_velocity, p.delisted_at, p.identity_hash, p.details_hash,
                p.content_at, p.detail_observed_at, p.named_seller_id, p.named_seller_name,
                p.seller_is_official,
                (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = p.id),
                (SELECT MAX(h.observed_at) FROM product_history h WHERE h.product_id = p.id),
                (SELECT MAX(o.observed_at) FROM observations o
                    WHERE o.product_id = p.id AND o.sales_count IS NOT NULL)
             FROM products p WHERE p.id {among:$1}",
            &[Value::Ids(ids.to_vec())],
        )
        .await?;
    let read = |row: &Row| -> Result<(i64, Current)> {
        let delisted_at = row.opt_time(12)?;
        let newest_look = row
            .opt_time(20)?
            .unwrap_or_else(|| Instant::from_millis(i64::MIN));
        let known = Known {
            observed_at: newest_look,
            values: values(row, 1)?,
            gone: delisted_at.is_some(),
            sales_said_at: row.opt_time(22)?,
            sales_velocity: row.opt_real(11)?,
        };
        let current = Current {
            known,
            newest_look,
            last_change: row.opt_time(21)?.unwrap_or(newest_look),
            hashes: (row.int(13)?, row.opt_int(14)?),
            content_at: row.time(15)?,
            detail_observed_at: row.opt_time(16)?,
            delisted_at,
            named_seller_id: row.opt_int(17)?,
            named_seller_name: row.opt_text(18)?,
            seller_is_official: row.opt_flag(19)?,
        };
        Ok((row.int(0)?, current))
    };
    rows.iter().map(read).collect()
}

/// Ten columns from `at` on, in the order of [`VALUE_COLUMNS`].
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

/// What is told of a product now.
pub(crate) async fn present(tx: &mut Tx, id: i64) -> Result<Present> {
    let row = tx
        .row(
            "SELECT name, url, image_url, category_id, category_path, brand, seller_sku,
                seller_is_official, sku, brand_id, named_seller_id, named_seller_name, description,
                specifications, images, site_created_on FROM products WHERE id = $1",
            params![id],
        )
        .await?;
    let row = row.ok_or_else(|| Error::Stored(format!("product {id} vanished")))?;
    Ok(Present {
        identity: Identity {
            name: row.text(0)?,
            url: row.text(1)?,
            image_url: row.opt_text(2)?,
            category_id: row.opt_int(3)?,
            category_path: row.opt_text(4)?,
            brand: row.opt_text(5)?,
            seller_sku: row.opt_text(6)?,
            seller_is_official: row.opt_flag(7)?,
        },
        sku: row.opt_text(8)?,
        brand_id: row.opt_int(9)?,
        named_seller_id: row.opt_int(10)?,
        named_seller_name: row.opt_text(11)?,
        description: row.opt_text(12)?,
        specifications: row.opt_text(13)?,
        images: row.opt_text(14)?,
        site_created_on: row.opt_text(15)?,
    })
}

/// Whether a detail of the product was seen after an instant.
pub(crate) async fn has_later_detail(tx: &mut Tx, id: i64, at: Instant) -> Result<bool> {
    let row = tx
        .row(
            "SELECT 1 FROM observations WHERE product_id = $1 AND observed_at > $2
                AND source IN ('detail', 'detail-html') AND NOT gone LIMIT 1",
            params![id, at],
        )
        .await?;
    Ok(row.is_some())
}

/// A product's looks from an instant on, in time order.
pub(crate) async fn looks_from(tx: &mut Tx, id: i64, from: Instant) -> Result<Vec<Look>> {
    let rows = tx
        .rows(
            "SELECT observed_at, source, gone, price, original_price, discount_percent, sales_count,
                rating_average, review_count, seller_id, spid, stock_status, stock_quantity
             FROM observations WHERE product_id = $1 AND observed_at >= $2 ORDER BY observed_at",
            params![id, from],
        )
        .await?;
    let read = |row: &Row| -> Result<Look> {
        let word = row.text(1)?;
        Ok(Look {
            observed_at: row.time(0)?,
            source: Source::parse(&word)
                .ok_or_else(|| Error::Stored(format!("{word:?} is no source")))?,
            gone: row.flag(2)?,
            values: values(row, 3)?,
        })
    };
    rows.iter().map(read).collect()
}

/// What was known of a product just before an instant, and when that last changed.
pub(crate) async fn known_before(
    tx: &mut Tx,
    id: i64,
    at: Instant,
) -> Result<Option<(Known, Instant)>> {
    let row = tx
        .row(
            "SELECT h.observed_at, h.price, h.original_price, h.discount_percent, h.sales_count,
                h.rating_average, h.review_count, h.seller_id, h.spid, h.stock_status,
                (SELECT o.stock_quantity FROM observations o WHERE o.product_id = $1
                    AND o.observed_at < $2 AND o.stock_quantity IS NOT NULL
                    ORDER BY o.observed_at DESC LIMIT 1),
                h.sales_velocity, h.changed,
                (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = $1
                    AND o.observed_at < $2 AND o.sales_count IS NOT NULL),
                (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = $1
                    AND o.observed_at < $2)
             FROM product_history h WHERE h.product_id = $1 AND h.observed_at < $2
             ORDER BY h.observed_at DESC LIMIT 1",
            params![id, at],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let changed_at = row.time(0)?;
    let known = Known {
        observed_at: row.opt_time(14)?.unwrap_or(changed_at),
        values: values(&row, 1)?,
        gone: row.text(12)?.split(',').any(|kind| kind == "delisted"),
        sales_said_at: row.opt_time(13)?,
        sales_velocity: row.opt_real(11)?,
    };
    Ok(Some((known, changed_at)))
}

const VALUE_COLUMNS: &Columns = &[
    ("price", "bigint"),
    ("original_price", "bigint"),
    ("discount_percent", "bigint"),
    ("sales_count", "bigint"),
    ("rating_average", "{real}"),
    ("review_count", "bigint"),
    ("seller_id", "bigint"),
    ("spid", "bigint"),
    ("stock_status", "text"),
    ("stock_quantity", "bigint"),
];

fn value_cells(values: &Values) -> Vec<Value> {
    vec![
        values.price.into(),
        values.original_price.into(),
        values.discount_percent.into(),
        values.sales_count.into(),
        values.rating_average.into(),
        values.review_count.into(),
        values.seller_id.into(),
        values.spid.into(),
        values.stock_status.as_ref().into(),
        values.stock_quantity.into(),
    ]
}

const COMPUTED_COLUMNS: &Columns = &[
    ("discount_amount", "bigint"),
    ("estimated_revenue", "bigint"),
    ("price_category", "text"),
    ("popularity_score", "{real}"),
    ("value_score", "{real}"),
    ("sales_velocity", "{real}"),
];

fn computed_cells(known: &Known) -> Vec<Value> {
    let computed = compute(&known.values);
    vec![
        computed.discount_amount.into(),
        computed.estimated_revenue.into(),
        computed.price_category.into(),
        computed.popularity_score.into(),
        computed.value_score.into(),
        known.sales_velocity.into(),
    ]
}

/// Writes what a merge decided.
pub(crate) async fn write(
    tx: &mut Tx,
    attempt: &Attempt,
    writes: &Writes,
    now: Instant,
) -> Result<()> {
    write_observations(tx, &attempt.run, writes).await?;
    for (id, from) in &writes.dropped {
        let sql = "DELETE FROM product_history WHERE product_id = $1 AND observed_at >= $2";
        tx.execute(sql, params![*id, *from]).await?;
    }
    write_history(tx, writes).await?;
    write_whole(tx, &writes.whole, now).await?;
    write_values(tx, &writes.values, now).await
}

async fn write_observations(tx: &mut Tx, run: &str, writes: &Writes) -> Result<()> {
    let mut columns = vec![
        ("product_id", "bigint"),
        ("observed_at", "{time}"),
        ("source", "text"),
        ("gone", "{flag}"),
        ("run_id", "text"),
        ("page_id", "bigint"),
        ("derivation", "bigint"),
    ];
    columns.extend(VALUE_COLUMNS);
    let rows: Vec<Vec<Value>> = writes
        .observations
        .iter()
        .map(|(id, look, page)| {
            let mut row = vec![
                (*id).into(),
                look.observed_at.into(),
                look.source.as_str().into(),
                look.gone.into(),
                run.into(),
                (*page).into(),
                catalog::DERIVATION.into(),
            ];
            row.extend(value_cells(&look.values));
            row
        })
        .collect();
    let set: Vec<String> = columns[2..]
        .iter()
        .map(|(name, _)| format!("{name} = excluded.{name}"))
        .collect();
    let tail = format!(
        "ON CONFLICT (product_id, observed_at) DO UPDATE SET {}",
        set.join(", ")
    );
    tx.insert("observations", &columns, &tail, &rows)
        .await
        .map(drop)
}

async fn write_history(tx: &mut Tx, writes: &Writes) -> Result<()> {
    let mut columns = vec![
        ("product_id", "bigint"),
        ("observed_at", "{time}"),
        ("kind", "text"),
        ("changed", "text"),
        ("previous_price", "bigint"),
        ("price_change", "bigint"),
        ("price_change_percent", "{real}"),
        ("sales_velocity", "{real}"),
    ];
    columns.extend(&VALUE_COLUMNS[..9]);
    let rows: Vec<Vec<Value>> = writes
        .history
        .iter()
        .map(|(id, change)| history_row(*id, change))
        .collect();
    tx.insert("product_history", &columns, "", &rows)
        .await
        .map(drop)
}

fn history_row(id: i64, change: &Change) -> Vec<Value> {
    let changed: Vec<&str> = change.changed.iter().map(|kind| kind.as_str()).collect();
    let mut row = vec![
        id.into(),
        change.observed_at.into(),
        change.kind.as_str().into(),
        changed.join(",").into(),
        change.previous_price.into(),
        change.price_change.into(),
        change.price_change_percent.into(),
        change.sales_velocity.into(),
    ];
    row.extend(value_cells(&change.values).into_iter().take(9));
    row
}

fn whole_columns() -> Vec<(&'static str, &'static str)> {
    let mut columns = vec![
        ("id", "bigint"),
        ("created_at", "{time}"),
        ("updated_at", "{time}"),
        ("name", "text"),
        ("search_name", "text"),
        ("url", "text"),
        ("image_url", "text"),
        ("category_id", "bigint"),
        ("category_path", "text"),
        ("brand", "text"),
        ("seller_sku", "text"),
        ("seller_is_official", "{flag}"),
        ("sku", "text"),
        ("brand_id", "bigint"),
        ("seller_name", "text"),
        ("named_seller_id", "bigint"),
        ("named_seller_name", "text"),
        ("description", "text"),
        ("specifications", "{json}"),
        ("images", "{json}"),
        ("site_created_on", "text"),
        ("identity_hash", "bigint"),
        ("details_hash", "bigint"),
        ("content_at", "{time}"),
        ("observed_at", "{time}"),
        ("detail_observed_at", "{time}"),
        ("delisted_at", "{time}"),
    ];
    columns.extend(VALUE_COLUMNS);
    columns.extend(COMPUTED_COLUMNS);
    columns
}

async fn write_whole(tx: &mut Tx, whole: &[Whole], now: Instant) -> Result<()> {
    let columns = whole_columns();
    let set: Vec<String> = columns[3..]
        .iter()
        .map(|(name, _)| format!("{name} = excluded.{name}"))
        .collect();
    let tail = format!("ON CONFLICT (id) DO UPDATE SET {}", set.join(", "));
    // `updated_at` moves only when content does: the two kinds of rows differ in that alone.
    for moves in [true, false] {
        let rows: Vec<Vec<Value>> = whole
            .iter()
            .filter(|row| row.updated_at.is_some() == moves)
            .map(|row| whole_row(row, now))
            .collect();
        let moved = if moves {
            ", updated_at = excluded.updated_at"
        } else {
            ""
        };
        tx.insert("products", &columns, &format!("{tail}{moved}"), &rows)
            .await?;
    }
    Ok(())
}

fn whole_row(row: &Whole, now: Instant) -> Vec<Value> {
    let (present, identity) = (&row.present, &row.present.identity);
    let named =
        present.named_seller_id.is_some() && present.named_seller_id == row.known.values.seller_id;
    let mut cells = vec![
        row.id.into(),
        now.into(),
        now.into(),
        (&identity.name).into(),
        catalog::search_key(&identity.name).into(),
        (&identity.url).into(),
        identity.image_url.as_ref().into(),
        identity.category_id.into(),
        identity.category_path.as_ref().into(),
        identity.brand.as_ref().into(),
        identity.seller_sku.as_ref().into(),
        identity.seller_is_official.into(),
        present.sku.as_ref().into(),
        present.brand_id.into(),
        present.named_seller_name.as_ref().filter(|_| named).into(),
        present.named_seller_id.into(),
        present.named_seller_name.as_ref().into(),
        present.description.as_ref().into(),
        present.specifications.as_ref().into(),
        present.images.as_ref().into(),
        present.site_created_on.as_ref().into(),
        row.hashes.0.into(),
        row.hashes.1.into(),
        row.content_at.into(),
        row.observed_at.into(),
        row.detail_observed_at.into(),
        row.delisted_at.into(),
    ];
    cells.extend(value_cells(&row.known.values));
    cells.extend(computed_cells(&row.known));
    cells
}

async fn write_values(tx: &mut Tx, values: &[ValuesOnly], now: Instant) -> Result<()> {
    let mut columns = vec![
        ("id", "bigint"),
        ("seller_name", "text"),
        ("seller_is_official", "{flag}"),
        ("observed_at", "{time}"),
        ("delisted_at", "{time}"),
        ("updated_at", "{time}"),
    ];
    columns.extend(VALUE_COLUMNS);
    columns.extend(COMPUTED_COLUMNS);
    let rows: Vec<Vec<Value>> = values
        .iter()
        .map(|row| {
            let mut cells = vec![
                row.id.into(),
                row.seller_name.as_ref().into(),
                row.seller_is_official.into(),
                row.observed_at.into(),
                row.delisted_at.into(),
                now.into(),
            ];
            cells.extend(value_cells(&row.known.values));
            cells.extend(computed_cells(&row.known));
            cells
        })
        .collect();
    tx.update("products", &columns, 1, &rows).await.map(drop)
}

/// Where the run listed the products: every category, not only the one whose values count.
pub(crate) async fn memberships(tx: &mut Tx, run: &str, ids: &[i64]) -> Result<()> {
    tx.execute(
        "INSERT INTO product_categories (product_id, category_id, first_seen_at, last_seen_at,
            position, is_primary)
         SELECT l.product_id, l.category_id, l.observed_at, l.observed_at,
            (l.page - 1) * 40 + l.position + 1, COALESCE(l.category_id = p.category_id, {no})
         FROM listings l JOIN products p ON p.id = l.product_id
         WHERE l.run_id = $1 AND l.product_id {among:$2} AND NOT l.beyond
         ON CONFLICT (product_id, category_id) DO UPDATE SET last_seen_at = excluded.last_seen_at,
            position = excluded.position, is_primary = excluded.is_primary
         WHERE excluded.last_seen_at > product_categories.last_seen_at",
        &[run.into(), Value::Ids(ids.to_vec())],
    )
    .await
    .map(drop)
}

/// Notes what became of each product and takes the staged rows away.
pub(crate) async fn finish(tx: &mut Tx, run: &str, outcomes: &[(i64, Outcome)]) -> Result<()> {
    let columns: &Columns = &[
        ("run_id", "text"),
        ("product_id", "bigint"),
        ("stage", "text"),
        ("outcome", "text"),
    ];
    let rows: Vec<Vec<Value>> = outcomes
        .iter()
        .map(|(id, outcome)| {
            vec![
                run.into(),
                (*id).into(),
                "done".into(),
                outcome.as_str().into(),
            ]
        })
        .collect();
    tx.update("run_products", columns, 2, &rows).await?;
    let ids = Value::Ids(outcomes.iter().map(|(id, _)| *id).collect());
    let sql = "DELETE FROM staged_products WHERE run_id = $1 AND product_id {among:$2}";
    tx.execute(sql, &[run.into(), ids]).await.map(drop)
}
