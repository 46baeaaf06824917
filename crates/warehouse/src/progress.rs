//! How far a run is, for whoever watches: its frontier by state, what became of its products, what was
//! refused. Of what is open, closed and refused [`COUNTED`] each at most.
//!
//! Not here: the exact counts of its end (`freeze`).

use catalog::Instant;

use crate::error::Result;
use crate::open::Warehouse;
use crate::params;
use crate::read::COUNTED;
use crate::tx::Tx;
use crate::value::Row;

/// Pages of a run that are looked through for young ones, at most.
const YOUNG_PAGES: i64 = 10_000;

/// Reasons of rejections at most; there are fewer.
const MOST_REASONS: i64 = 100;

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What its three crawling steps ask for.
    pub frontier: Vec<Frontier>,
    /// What became of products, and how many.
    pub outcomes: Vec<(String, i64)>,
    /// Why something was refused, and how often.
    pub rejections: Vec<(String, i64)>,
    /// Bodies that were received since the moment that was asked for; up to `YOUNG_PAGES`.
    pub young_pages: i64,
}

/// A part of a step's frontier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    /// The step.
    pub step: &'static str,
    /// [`Frontier::OPEN`], or a word of its table for what is closed.
    pub state: String,
    /// Rows.
    pub rows: i64,
    /// How often these were asked in vain.
    pub retries: i64,
}

impl Frontier {
    /// The states of what is open: free to be asked, not to be asked before a time, and held by a worker
    /// that asks.
    pub const OPEN: [&str; 3] = ["waiting", "later", "claimed"];
}

impl Warehouse {
    /// How far a run is, and how many bodies it received since a moment of its clock.
    pub async fn progress(&self, run: &str, since: Instant) -> Result<Progress> {
        let mut tx = self.read().await?;
        let mut progress = Progress::default();
        for (step, table, state, open) in [
            ("crawl-categories", "run_categories", "state", "pending"),
            ("extract-product-urls", "listing_pages", "state", "pending"),
            ("crawl-product-details", "run_products", "detail", "due"),
        ] {
            let sql = frontier_sql(table, state, open);
            for row in tx.rows(&sql, params![run, COUNTED]).await? {
                progress.frontier.push(Frontier {
                    step,
                    state: row.text(0)?,
                    rows: row.int(1)?,
                    retries: row.int(2)?,
                });
            }
        }
        progress.outcomes = outcomes(&mut tx, run).await?;
        let sql = "SELECT reason, COUNT(*) FROM
                (SELECT reason FROM rejections WHERE run_id = $1 LIMIT $2) AS r
             GROUP BY reason ORDER BY reason LIMIT $3";
        progress.rejections = counts(&tx.rows(sql, params![run, COUNTED, MOST_REASONS]).await?)?;
        let sql = "SELECT COUNT(*) FROM
                (SELECT fetched_at FROM pages WHERE run_id = $1 ORDER BY id DESC LIMIT $2) AS p
             WHERE fetched_at > $3";
        let row = tx.row(sql, params![run, YOUNG_PAGES, since]).await?;
        progress.young_pages = row.map_or(Ok(0), |row| row.int(0))?;
        tx.end().await?;
        Ok(progress)
    }
}

/// A table of work by state; a product whose detail is not due is no work.
fn frontier_sql(table: &str, state: &str, open: &str) -> String {
    format!(
        "SELECT place, COUNT(*), {{int:SUM(attempts)}} FROM
            (SELECT * FROM (SELECT attempts, CASE WHEN claim IS NOT NULL THEN 'claimed'
                    WHEN next_at > {{now}} THEN 'later' ELSE 'waiting' END AS place
                FROM {table} WHERE run_id = $1 AND {state} = '{open}' LIMIT $2) AS o
             UNION ALL
             SELECT * FROM (SELECT attempts, {state} AS place FROM {table}
                WHERE run_id = $1 AND {state} <> '{open}' AND {state} <> 'none' LIMIT $2) AS c) AS t
         GROUP BY place ORDER BY place"
    )
}

/// As `freeze` counts them: what became of a product stands in its own row or, for most of a batch, in the
/// batch's.
async fn outcomes(tx: &mut Tx, run: &str) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT outcome, {int:SUM(products)} FROM (
            SELECT outcome, COUNT(*) AS products FROM
                (SELECT outcome FROM run_products WHERE run_id = $1 AND outcome IS NOT NULL
                    LIMIT $2) AS r
            GROUP BY outcome
            UNION ALL
            SELECT outcome, products FROM staged_products
            WHERE run_id = $1 AND state = 'loaded' AND outcome IS NOT NULL) AS o
         GROUP BY outcome ORDER BY outcome";
    counts(&tx.rows(sql, params![run, COUNTED]).await?)
}

fn counts(rows: &[Row]) -> Result<Vec<(String, i64)>> {
    let of = |row: &Row| Ok((row.text(0)?, row.int(1)?));
    rows.iter().map(of).collect()
}
