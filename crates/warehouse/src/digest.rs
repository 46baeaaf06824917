//! Digests: two warehouses with the same digest hold the same.
//!
//! Not here: comparing them.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::open::Warehouse;
use crate::tx::Tx;
use crate::value::Value;

/// Rows that are held in memory at once.
const PAGE: i64 = 2000;

/// What a product says, without times.
pub(crate) const PRODUCTS: &str =
    "id, spid, sku, seller_sku, name, url, image_url, category_id, category_path,
    brand_id, brand, seller_id, seller_name, seller_is_official, price, original_price,
    discount_amount, discount_percent, rating_average, review_count, sales_count, stock_status,
    stock_quantity, description, specifications, images, estimated_revenue, price_category,
    popularity_score, value_score, delisted_at IS NULL";

const HISTORY: &str = "product_id, kind, changed, price, original_price, discount_percent,
    sales_count, rating_average, review_count, seller_id, spid, stock_status, previous_price,
    price_change, price_change_percent";

const OBSERVATIONS: &str = "product_id, observed_at, source, gone, price, original_price,
    discount_percent, sales_count, rating_average, review_count, seller_id, spid, stock_status,
    stock_quantity";

impl Warehouse {
    /// SHA-256 over the key-ordered rows of `products`, `observations` and `product_history`,
    /// without the times of loading, run and page ids and derivation.
    pub async fn digest(&self) -> Result<String> {
        let times = "sales_velocity, site_created_on, delisted_at, observed_at, detail_observed_at";
        let history = format!("{HISTORY}, observed_at, sales_velocity");
        let mut hash = Sha256::new();
        let mut tx = self.read().await?;
        add_products(&mut tx, &mut hash, &format!("{PRODUCTS}, {times}")).await?;
        add_looks(&mut tx, &mut hash, "observations", OBSERVATIONS).await?;
        add_looks(&mut tx, &mut hash, "product_history", &history).await?;
        tx.commit().await?;
        Ok(hex(hash))
    }

    /// As [`Warehouse::digest`], for crawls at different times: `products` and `product_history`
    /// without times and `sales_velocity`, history by ordinal.
    pub async fn content_digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut tx = self.read().await?;
        add_products(&mut tx, &mut hash, PRODUCTS).await?;
        add_looks(&mut tx, &mut hash, "product_history", HISTORY).await?;
        tx.commit().await?;
        Ok(hex(hash))
    }
}

async fn add_products(tx: &mut Tx, hash: &mut Sha256, columns: &str) -> Result<()> {
    let sql = format!("SELECT {columns} FROM products WHERE id > $1 ORDER BY id LIMIT $2");
    let mut after = i64::MIN;
    hash.update(b"products\n");
    loop {
        let rows = tx.rows(&sql, &[after.into(), PAGE.into()]).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.int(0)?;
        for row in rows {
            add(hash, &row.into_values()?);
        }
    }
}

/// A table keyed by product and time, in that order.
async fn add_looks(tx: &mut Tx, hash: &mut Sha256, table: &str, columns: &str) -> Result<()> {
    let sql = format!(
        "SELECT {columns}, observed_at FROM {table}
         WHERE (product_id, observed_at) > ($1, $2)
         ORDER BY product_id, observed_at LIMIT $3"
    );
    let mut after: (i64, Value) = (
        i64::MIN,
        Value::Time(catalog::Instant::from_millis(i64::MIN)),
    );
    hash.update(table.as_bytes());
    hash.update(b"\n");
    loop {
        let rows = tx
            .rows(&sql, &[after.0.into(), after.1, PAGE.into()])
            .await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = (last.int(0)?, Value::Null);
        for row in rows {
            let mut values = row.into_values()?;
            after.1 = values.pop().unwrap_or(Value::Null);
            add(hash, &values);
        }
    }
}

/// Both databases write a value the same way here.
fn add(hash: &mut Sha256, row: &[Value]) {
    let mut line = String::new();
    for value in row {
        let written = match value {
            Value::Null => line.write_str("~"),
            Value::Int(int) => write!(line, "{int}"),
            Value::Flag(flag) => write!(line, "{}", u8::from(*flag)),
            Value::Real(real) => write!(line, "{real:?}"),
            Value::Text(text) => write!(line, "{}:{text}", text.len()),
            Value::Time(time) => write!(line, "24:{time}"),
            Value::Bytes(bytes) => write!(line, "{bytes:?}"),
            Value::Ids(ids) => write!(line, "{ids:?}"),
        };
        // Writing into a string cannot fail.
        debug_assert!(written.is_ok());
        line.push('|');
    }
    line.push('\n');
    hash.update(line.as_bytes());
}

fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
