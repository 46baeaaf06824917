//! What people ask for: products, their history, categories.
//!
//! Not here: a person's own statement (`select`), whole tables (`export`).

use crate::error::Result;
use crate::export::{is_of_below, with_below};
use crate::open::Warehouse;
use crate::params;
use crate::value::{Row, Value};

/// Up to where rows are counted for a report.
pub const COUNTED: i64 = 100_000;

/// An answer: columns and rows of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// Names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
}

const PRODUCT: &[&str] = &[
    "id",
    "spid",
    "sku",
    "seller_sku",
    "name",
    "url",
    "image_url",
    "category_id",
    "category_path",
    "brand_id",
    "brand",
    "seller_id",
    "seller_name",
    "seller_is_official",
    "price",
    "original_price",
    "discount_amount",
    "discount_percent",
    "rating_average",
    "review_count",
    "sales_count",
    "stock_status",
    "stock_quantity",
    "description",
    "specifications",
    "images",
    "estimated_revenue",
    "price_category",
    "popularity_score",
    "value_score",
    "sales_velocity",
    "site_created_on",
    "delisted_at",
    "observed_at",
    "detail_observed_at",
    "created_at",
    "updated_at",
];

const FOUND: &[&str] = &[
    "id",
    "name",
    "price",
    "discount_percent",
    "sales_count",
    "rating_average",
    "brand",
];

const HISTORY: &[&str] = &[
    "observed_at",
    "kind",
    "price",
    "original_price",
    "discount_percent",
    "price_change",
    "price_change_percent",
    "sales_count",
    "rating_average",
    "review_count",
    "seller_id",
    "stock_status",
    "changed",
];

const CATEGORY: &[&str] = &[
    "id",
    "parent_id",
    "level",
    "name",
    "is_leaf",
    "product_count",
    "url",
];

/// Words of a search that count: a whole name may be pasted.
const MOST_WORDS: usize = 50;

impl Warehouse {
    /// Products that are live or not, best sellers first: those whose name holds every word of
    /// `text` (accents do not matter; the first 50 words), in a category and all below it where one
    /// is given.
    pub async fn search_products(
        &self,
        text: &str,
        category: Option<i64>,
        limit: i64,
    ) -> Result<Records> {
        let words: Vec<String> = catalog::search_key(text)
            .split_whitespace()
            .take(MOST_WORDS)
            .map(str::to_owned)
            .collect();
        let mut params: Vec<Value> = vec![limit.into()];
        let (mut with, mut wanted) = (String::new(), vec!["1 = 1".to_owned()]);
        if let Some(id) = category {
            params.push(id.into());
            with = with_below("{int:$2}");
            wanted.push(is_of_below("id"));
        }
        for word in words {
            params.push(word.into());
            wanted.push(format!("{{find:search_name,${}}} > 0", params.len()));
        }
        let sql = format!(
            "{with}SELECT {} FROM products WHERE {}
             ORDER BY COALESCE(sales_count, 0) DESC, id LIMIT $1",
            FOUND.join(", "),
            wanted.join(" AND ")
        );
        self.records(FOUND, &sql, &params).await
    }

    /// One product, every column.
    pub async fn product(&self, id: i64) -> Result<Records> {
        let sql = format!("SELECT {} FROM products WHERE id = $1", PRODUCT.join(", "));
        self.records(PRODUCT, &sql, params![id]).await
    }

    /// Whether any product is, or was listed, in a category itself.
    pub async fn has_products_in(&self, category: i64) -> Result<bool> {
        let mut tx = self.answer().await?;
        let sql = "SELECT 1 FROM products WHERE category_id = $1
            UNION ALL SELECT 1 FROM product_categories WHERE category_id = $1 LIMIT 1";
        let row = tx.row(sql, params![category]).await?;
        tx.commit().await?;
        Ok(row.is_some())
    }

    /// Products with ids above `after`, in id order, every column.
    pub async fn products_after(&self, after: i64, limit: i64) -> Result<Records> {
        let sql = format!(
            "SELECT {} FROM products WHERE id > $1 ORDER BY id LIMIT $2",
            PRODUCT.join(", ")
        );
        self.records(PRODUCT, &sql, params![after, limit]).await
    }

    /// A product's changes, the newest `limit`, in time order.
    pub async fn product_history(&self, id: i64, limit: i64) -> Result<Records> {
        let columns = HISTORY.join(", ");
        let sql = format!(
            "SELECT {columns} FROM (SELECT {columns} FROM product_history WHERE product_id = $1
                ORDER BY observed_at DESC LIMIT $2) AS newest ORDER BY observed_at"
        );
        self.records(HISTORY, &sql, params![id, limit]).await
    }

    /// All categories, parents before children.
    pub async fn categories(&self, limit: i64) -> Result<Records> {
        let sql = format!(
            "SELECT {} FROM categories ORDER BY path LIMIT $1",
            CATEGORY.join(", ")
        );
        self.records(CATEGORY, &sql, params![limit]).await
    }

    /// Products, observations and changes that the warehouse holds. Reads them all.
    pub async fn totals(&self) -> Result<(i64, i64, i64)> {
        self.three_counts(i64::MAX).await
    }

    /// The same, each up to [`COUNTED`]: what costs the same however many there are.
    pub async fn totals_in_brief(&self) -> Result<(i64, i64, i64)> {
        self.three_counts(COUNTED).await
    }

    async fn three_counts(&self, limit: i64) -> Result<(i64, i64, i64)> {
        let mut tx = self.answer().await?;
        let count = |table: &str| {
            format!("(SELECT COUNT(*) FROM (SELECT 1 FROM {table} LIMIT $1) AS some_{table})")
        };
        let counts = ["products", "observations", "product_history"].map(count);
        let sql = format!("SELECT {}", counts.join(", "));
        let row = tx.row(&sql, params![limit]).await?;
        tx.commit().await?;
        row.map_or(Ok((0, 0, 0)), |row| {
            Ok((row.int(0)?, row.int(1)?, row.int(2)?))
        })
    }

    /// Whether any product is known.
    pub async fn has_products(&self) -> Result<bool> {
        let mut tx = self.answer().await?;
        let row = tx.row("SELECT 1 FROM products LIMIT 1", &[]).await?;
        tx.commit().await?;
        Ok(row.is_some())
    }

    /// For an example: of some products that the newest run changed, the one with the most changes of
    /// its price.
    pub async fn most_changed(&self) -> Result<Option<i64>> {
        let mut tx = self.read().await?;
        let sql = "SELECT h.product_id FROM (SELECT product_id FROM run_outcomes
                WHERE run_id = (SELECT id FROM runs ORDER BY number DESC LIMIT 1)
                    AND outcome = 'changed' ORDER BY product_id LIMIT 100) AS c
            JOIN product_history h ON h.product_id = c.product_id
            WHERE h.price_change IS NOT NULL
            GROUP BY h.product_id ORDER BY COUNT(*) DESC, h.product_id LIMIT 1";
        let row = tx.row(sql, &[]).await?;
        tx.commit().await?;
        row.map(|row| row.int(0)).transpose()
    }

    async fn records(
        &self,
        columns: &'static [&'static str],
        sql: &str,
        params: &[Value],
    ) -> Result<Records> {
        let mut tx = self.answer().await?;
        let rows = tx.rows(sql, params).await?;
        tx.commit().await?;
        let rows = rows.into_iter().map(Row::into_values);
        let rows = rows.collect::<Result<_>>()?;
        Ok(Records {
            columns: columns.to_vec(),
            rows,
        })
    }
}
