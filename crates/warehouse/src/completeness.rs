//! How whole a run listed each of its categories.
//!
//! Not here: making a listing whole (`slices`).

use crate::error::Result;
use crate::open::Warehouse;
use crate::params;
use crate::slices::is_whole;
use crate::tx::Tx;
use crate::value::Row;

/// Why a category is not whole whose listing shows nothing, where the tree announces something.
pub const EMPTY_LISTING: &str = "its listing is empty although the tree announces products";

/// Why a category is not whole whose listing is cut into more than [`crate::MOST_SLICES`] slices.
pub const TOO_MANY_SLICES: &str = "the site says of every part that there is more";

/// How whole a category was listed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Completeness {
    /// The category.
    pub category_id: i64,
    /// Its name; empty when the tree did not tell.
    pub name: String,
    /// Products that the site says it has: the listing where it shows all of them, and some, else the
    /// tree; 0: neither says.
    pub announced: i64,
    /// Distinct products that the run listed of it, those beyond the limit included.
    pub listed: i64,
    /// Announced and not listed.
    pub missing: i64,
    /// Why it is not whole; `None`: it is.
    pub why: Option<String>,
}

impl Warehouse {
    /// How whole a run listed its categories, and which it could not read, in the order of the tree; `limit`
    /// at most.
    pub async fn completeness(&self, run: &str, limit: i64) -> Result<Vec<Completeness>> {
        let mut tx = self.read().await?;
        let all = of_run(&mut tx, run, limit).await?;
        tx.commit().await?;
        Ok(all)
    }
}

/// The same within a snapshot.
pub(crate) async fn of_run(tx: &mut Tx, run: &str, limit: i64) -> Result<Vec<Completeness>> {
    let rows = tx
        .rows(
            "SELECT c.category_id, COALESCE(k.name, ''), c.product_count,
                (SELECT COUNT(*) FROM listings l WHERE l.run_id = c.run_id
                    AND l.category_id = c.category_id),
                (SELECT COUNT(*) FROM listings l WHERE l.run_id = c.run_id
                    AND l.category_id = c.category_id AND l.beyond),
                p.planned, p.failed, p.unasked, p.malformed, p.last_page, p.total, p.sliced, c.state,
                p.endless
             FROM run_categories c
             LEFT JOIN categories k ON k.id = c.category_id
             LEFT JOIN (SELECT category_id, COUNT(*) AS planned,
                    {int:SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END)} AS failed,
                    {int:SUM(CASE WHEN state IN ('unasked', 'pending') THEN 1 ELSE 0 END)} AS unasked,
                    {int:SUM(CASE WHEN slice LIKE '%again' THEN 0 ELSE malformed END)} AS malformed,
                    MAX(CASE WHEN slice = '' THEN last_page END) AS last_page,
                    MAX(CASE WHEN slice = '' THEN total END) AS total,
                    {int:SUM(CASE WHEN slice = '' AND split IN ('slices', 'crowded') THEN 1 ELSE 0 END)}
                        AS sliced,
                    {int:SUM(CASE WHEN split = 'endless' THEN 1 ELSE 0 END)} AS endless
                 FROM listing_pages WHERE run_id = $1 GROUP BY category_id) AS p
                ON p.category_id = c.category_id
             WHERE c.run_id = $1 AND (c.selected OR c.state = 'failed') ORDER BY c.walk_order LIMIT $2",
            params![run, limit],
        )
        .await?;
    rows.iter().map(completeness).collect()
}

fn completeness(row: &Row) -> Result<Completeness> {
    let number = |at: usize| -> Result<i64> { Ok(row.opt_int(at)?.unwrap_or(0)) };
    let (listed, beyond, planned) = (number(3)?, number(4)?, number(5)?);
    let (failed, unasked, malformed) = (number(6)?, number(7)?, number(8)?);
    let (last_page, total, sliced) = (number(9)?, row.opt_int(10)?, number(11)? > 0);
    let announced = match total {
        Some(total) if !sliced && total > 0 => total,
        // The tree knows -1 of a category that it did not tell about.
        _ => number(2)?.max(total.unwrap_or(0)),
    };
    let missing = (announced - listed - malformed).max(0);
    let why = if row.text(12)? == "failed" {
        Some("its children could not be read".to_owned())
    } else if failed + unasked > 0 {
        Some(format!("{failed} pages failed, {unasked} were not asked"))
    } else if number(13)? > 0 {
        Some(TOO_MANY_SLICES.to_owned())
    } else if beyond > 0 || (!sliced && planned < last_page) {
        Some("the limit of products of a category".to_owned())
    } else if is_whole(announced, listed + malformed) {
        None
    } else if total.is_none() {
        Some("the site did not say how many pages there are".to_owned())
    } else if total == Some(0) {
        Some(EMPTY_LISTING.to_owned())
    } else if sliced {
        Some("more at one price than the site shows".to_owned())
    } else {
        Some("items moved while they were listed".to_owned())
    };
    Ok(Completeness {
        category_id: row.int(0)?,
        name: row.text(1)?,
        announced,
        listed,
        missing,
        why,
    })
}
