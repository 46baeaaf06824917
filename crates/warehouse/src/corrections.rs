//! How many rows a run corrected, column by column, because higher rules derived them anew.
//!
//! Counted in the transaction that corrects them, so that the sum over batches and processes is exact.
//! Not here: correcting them (`merge`).

use std::collections::BTreeMap;

use catalog::Values;

use crate::arrivals::Arrivals;
use crate::bulk::Columns;
use crate::error::Result;
use crate::open::Warehouse;
use crate::params;
use crate::present::Present;
use crate::tx::Tx;
use crate::value::Value;

/// What stands for a column where a whole look went away.
const WITHDRAWN: &str = "(look)";

/// Rows by column.
#[derive(Default)]
pub(crate) struct Corrections {
    rows: BTreeMap<&'static str, i64>,
}

/// What the load of a run corrected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrected {
    /// Rows by column: looks of which a value was corrected (the columns of `observations`), products of
    /// which a text or number was (the other columns of `products`).
    pub columns: BTreeMap<String, i64>,
    /// Looks that are no more: no record can be made of their pages.
    pub withdrawn: i64,
}

const COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("column_name", "text"),
    ("corrected", "bigint"),
];

impl Corrections {
    /// Counts what the looks of a product correct.
    pub(crate) fn looks(&mut self, arrivals: &Arrivals) {
        if !arrivals.withdrawn.is_empty() {
            *self.rows.entry(WITHDRAWN).or_default() += arrivals.withdrawn.len() as i64;
        }
        for (look, _) in &arrivals.late {
            let kept = arrivals.stored_at(look.observed_at);
            if let Some(kept) = kept.filter(|kept| kept.derivation < arrivals.derivation) {
                self.values(&kept.look.values, &look.values);
            }
        }
    }

    /// Counts what is told of a product otherwise than before.
    pub(crate) fn told(&mut self, was: Option<&Present>, is: Option<&Present>) {
        let (Some(was), Some(is)) = (was, is) else {
            return;
        };
        let (a, b) = (&was.identity, &is.identity);
        self.count(&[
            ("name", a.name != b.name),
            ("url", a.url != b.url),
            ("image_url", a.image_url != b.image_url),
            ("category_id", a.category_id != b.category_id),
            ("category_path", a.category_path != b.category_path),
            ("brand", a.brand != b.brand),
            ("seller_sku", a.seller_sku != b.seller_sku),
            (
                "seller_is_official",
                a.seller_is_official != b.seller_is_official,
            ),
            ("sku", was.sku != is.sku),
            ("brand_id", was.brand_id != is.brand_id),
            (
                "seller_name",
                was.named_seller_id != is.named_seller_id
                    || was.named_seller_name != is.named_seller_name,
            ),
            ("description", was.description != is.description),
            ("specifications", was.specifications != is.specifications),
            ("images", was.images != is.images),
            ("site_created_on", was.site_created_on != is.site_created_on),
        ]);
    }

    fn values(&mut self, was: &Values, is: &Values) {
        self.count(&[
            ("price", was.price != is.price),
            ("original_price", was.original_price != is.original_price),
            (
                "discount_percent",
                was.discount_percent != is.discount_percent,
            ),
            ("sales_count", was.sales_count != is.sales_count),
            ("rating_average", was.rating_average != is.rating_average),
            ("review_count", was.review_count != is.review_count),
            ("seller_id", was.seller_id != is.seller_id),
            ("spid", was.spid != is.spid),
            ("stock_status", was.stock_status != is.stock_status),
            ("stock_quantity", was.stock_quantity != is.stock_quantity),
        ]);
    }

    fn count(&mut self, columns: &[(&'static str, bool)]) {
        for (column, _) in columns.iter().filter(|(_, differs)| *differs) {
            *self.rows.entry(column).or_default() += 1;
        }
    }

    /// Adds those of another part of the batch.
    pub(crate) fn add(&mut self, other: Self) {
        for (column, count) in other.rows {
            *self.rows.entry(column).or_default() += count;
        }
    }

    /// Adds them to those of the run, once a transaction: all loaders write in one order, so none waits
    /// for another in a circle.
    pub(crate) async fn write(&self, tx: &mut Tx, run: &str) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<Value>> = self
            .rows
            .iter()
            .map(|(column, count)| vec![run.into(), (*column).into(), (*count).into()])
            .collect();
        let tail = "ON CONFLICT (run_id, column_name) DO UPDATE
            SET corrected = corrections.corrected + excluded.corrected";
        tx.insert("corrections", COLUMNS, tail, &rows)
            .await
            .map(drop)
    }
}

impl Warehouse {
    /// What the load of a run corrected of what lower rules had derived.
    pub async fn corrected(&self, run: &str) -> Result<Corrected> {
        let mut tx = self.read().await?;
        let sql = "SELECT column_name, corrected FROM corrections WHERE run_id = $1";
        let rows = tx.rows(sql, params![run]).await?;
        tx.commit().await?;
        let mut corrected = Corrected::default();
        for row in &rows {
            let (column, count) = (row.text(0)?, row.int(1)?);
            if column == WITHDRAWN {
                corrected.withdrawn = count;
            } else {
                corrected.columns.insert(column, count);
            }
        }
        Ok(corrected)
    }
}
