//! The four identities of a run, from rows in one snapshot: nothing leaves uncounted.
//!
//! Not here: what happens when one does not hold (`pipeline`).

use crate::completeness;
use crate::error::{Error, Result};
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;
use crate::value::Row;

/// planned = ok + empty + failed + unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pages {
    /// Pages that the run wanted.
    pub planned: i64,
    /// Answered with items.
    pub ok: i64,
    /// Empty, past the end.
    pub empty: i64,
    /// Given up.
    pub failed: i64,
    /// Not asked.
    pub unasked: i64,
}

/// seen = listed + repeats + ads + beyond + malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Items {
    /// Items of all pages.
    pub seen: i64,
    /// Distinct products.
    pub listed: i64,
    /// Seen again, in the same category or in another.
    pub repeats: i64,
    /// Advertisements.
    pub ads: i64,
    /// Beyond the limit of their category.
    pub beyond: i64,
    /// Without an id.
    pub malformed: i64,
}

/// What can become of a product, in the words of the stored counts.
pub const OUTCOMES: [&str; 7] = [
    "new",
    "changed",
    "unchanged",
    "late",
    "gone",
    "rejected",
    "unobserved",
];

/// listed + rechecked = new + changed + unchanged + late + gone + rejected + unobserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Products {
    /// Shown by a listing of this run.
    pub listed: i64,
    /// Followed, not shown, and asked for.
    pub rechecked: i64,
    /// Loaded and not known before.
    pub new: i64,
    /// Loaded, and something changed.
    pub changed: i64,
    /// Loaded, and nothing changed.
    pub unchanged: i64,
    /// Loaded, older than what is known.
    pub late: i64,
    /// Found gone.
    pub gone: i64,
    /// Refused.
    pub rejected: i64,
    /// Neither listed nor answered.
    pub unobserved: i64,
}

/// due = good + gone + rejected + unfetched + deferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Details {
    /// Details that were due, rechecks included.
    pub due: i64,
    /// Answered well.
    pub good: i64,
    /// 404 or 410.
    pub gone: i64,
    /// Answered with a body that no record can be made of.
    pub rejected: i64,
    /// Given up or not asked.
    pub unfetched: i64,
    /// Beyond the budget; first next time.
    pub deferred: i64,
}

/// The counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Identities {
    /// Of listing pages.
    pub pages: Pages,
    /// Of listing items.
    pub items: Items,
    /// Of products.
    pub products: Products,
    /// Of details.
    pub details: Details,
    /// Categories that are not listed whole: a page failed or was not asked, the limit cut, or products
    /// are missing.
    pub incomplete_categories: i64,
}

impl Identities {
    /// Every identity that does not hold, in words with its numbers; empty: all hold.
    pub fn broken(&self) -> Vec<String> {
        let Self {
            pages: p,
            items: i,
            products: r,
            details: d,
            ..
        } = self;
        let sums = [
            (
                "pages planned",
                p.planned,
                p.ok + p.empty + p.failed + p.unasked,
            ),
            (
                "items seen",
                i.seen,
                i.listed + i.repeats + i.ads + i.beyond + i.malformed,
            ),
            ("products listed by items", i.listed, r.listed),
            (
                "products listed and rechecked",
                r.listed + r.rechecked,
                r.new + r.changed + r.unchanged + r.late + r.gone + r.rejected + r.unobserved,
            ),
            (
                "details due",
                d.due,
                d.good + d.gone + d.rejected + d.unfetched + d.deferred,
            ),
        ];
        sums.into_iter()
            .filter(|(_, whole, parts)| whole != parts)
            .map(|(name, whole, parts)| format!("{name}: {whole}, but the parts make {parts}"))
            .collect()
    }
}

impl Warehouse {
    /// Counts a run's rows in one snapshot.
    pub async fn identities(&self, run: &str) -> Result<Identities> {
        let mut tx = self.read().await?;
        let identities = Identities {
            pages: pages(&mut tx, run).await?,
            items: items(&mut tx, run).await?,
            products: products(&mut tx, run).await?,
            details: details(&mut tx, run).await?,
            incomplete_categories: incomplete(&mut tx, run).await?,
        };
        tx.commit().await?;
        Ok(identities)
    }
}

/// The sum over rows for which a condition holds.
fn when(condition: &str) -> String {
    format!("CAST(COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS BIGINT)")
}

async fn one(tx: &mut Tx, sql: &str, run: &str) -> Result<Row> {
    tx.row(sql, params![run])
        .await?
        .ok_or_else(|| Error::Stored("a count without a row".into()))
}

async fn pages(tx: &mut Tx, run: &str) -> Result<Pages> {
    let sql = format!(
        "SELECT COUNT(*), {}, {}, {}, {} FROM listing_pages WHERE run_id = $1",
        when("state = 'ok'"),
        when("state = 'empty'"),
        when("state = 'failed'"),
        when("state = 'unasked'")
    );
    let row = one(tx, &sql, run).await?;
    Ok(Pages {
        planned: row.int(0)?,
        ok: row.int(1)?,
        empty: row.int(2)?,
        failed: row.int(3)?,
        unasked: row.int(4)?,
    })
}

async fn items(tx: &mut Tx, run: &str) -> Result<Items> {
    let sql = "SELECT CAST(COALESCE(SUM(items), 0) AS BIGINT),
        CAST(COALESCE(SUM(repeats), 0) AS BIGINT), CAST(COALESCE(SUM(ads), 0) AS BIGINT),
        CAST(COALESCE(SUM(malformed), 0) AS BIGINT) FROM listing_pages WHERE run_id = $1";
    let of_pages = one(tx, sql, run).await?;
    let sql = format!(
        "SELECT COUNT(DISTINCT CASE WHEN NOT beyond THEN product_id END), {}, {}
         FROM listings WHERE run_id = $1",
        when("NOT beyond"),
        when("beyond")
    );
    let of_rows = one(tx, &sql, run).await?;
    let (listed, rows) = (of_rows.int(0)?, of_rows.int(1)?);
    Ok(Items {
        seen: of_pages.int(0)?,
        listed,
        repeats: of_pages.int(1)? + rows - listed,
        ads: of_pages.int(2)?,
        beyond: of_rows.int(2)?,
        malformed: of_pages.int(3)?,
    })
}

/// What became of a product stands in its own row or, for most of a batch, in the batch's, with how many they are.
async fn products(tx: &mut Tx, run: &str) -> Result<Products> {
    let sql = format!(
        "SELECT {}, {} FROM run_products WHERE run_id = $1",
        when("listed_in IS NOT NULL"),
        when("listed_in IS NULL")
    );
    let row = one(tx, &sql, run).await?;
    let mut products = Products {
        listed: row.int(0)?,
        rechecked: row.int(1)?,
        ..Products::default()
    };
    for sql in [
        "SELECT outcome, COUNT(*) FROM run_products
         WHERE run_id = $1 AND outcome IS NOT NULL GROUP BY outcome",
        "SELECT outcome, {int:SUM(products)} FROM staged_products
         WHERE run_id = $1 AND state = 'loaded' AND outcome IS NOT NULL GROUP BY outcome",
    ] {
        for row in tx.rows(sql, params![run]).await? {
            let count = match row.text(0)?.as_str() {
                "new" => &mut products.new,
                "changed" => &mut products.changed,
                "unchanged" => &mut products.unchanged,
                "late" => &mut products.late,
                "gone" => &mut products.gone,
                "rejected" => &mut products.rejected,
                "unobserved" => &mut products.unobserved,
                other => return Err(Error::Stored(format!("{other:?} is no outcome"))),
            };
            *count += row.int(1)?;
        }
    }
    Ok(products)
}

async fn details(tx: &mut Tx, run: &str) -> Result<Details> {
    let sql = format!(
        "SELECT {}, {}, {}, {}, {}, {} FROM run_products WHERE run_id = $1",
        when("reason IS NOT NULL"),
        when("detail = 'good'"),
        when("detail = 'gone'"),
        when("detail = 'rejected'"),
        when("detail = 'unfetched'"),
        when("detail = 'deferred'")
    );
    let row = one(tx, &sql, run).await?;
    Ok(Details {
        due: row.int(0)?,
        good: row.int(1)?,
        gone: row.int(2)?,
        rejected: row.int(3)?,
        unfetched: row.int(4)?,
        deferred: row.int(5)?,
    })
}

async fn incomplete(tx: &mut Tx, run: &str) -> Result<i64> {
    let categories = completeness::of_run(tx, run, i64::MAX).await?;
    let incomplete = categories.iter().filter(|category| category.why.is_some());
    Ok(incomplete.count() as i64)
}
