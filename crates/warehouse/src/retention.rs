//! Taking old rows away: of closed runs only, in bounded batches.
//!
//! History and memberships stay for ever. Not here: how long things are kept (settings).

use catalog::Instant;

use crate::error::Result;
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;

/// Before which instants rows may go.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Looks; the newest look of a product stays.
    pub observations: Instant,
    /// Pages; the newest good page of a product and those of rejections stay.
    pub pages: Instant,
    /// Listings and listing pages.
    pub listings: Instant,
    /// Runs with all that belongs to them.
    pub ledger: Instant,
}

/// Rows that one transaction deletes at most.
const BATCH: i64 = 5000;

const CLOSED: &str = "SELECT id FROM runs WHERE state IN ('done', 'abandoned') AND clock_at < $1";

impl Warehouse {
    /// Deletes what is older than it may be; the number of rows.
    pub async fn clean(&self, attempt: &Attempt, keep: &Retention) -> Result<u64> {
        let mut removed = 0;
        for table in ["listings", "listing_pages", "run_categories"] {
            removed += self.clean_runs(attempt, table, keep.listings).await?;
        }
        for table in ["run_products", "rejections", "run_steps", "attempts"] {
            removed += self.clean_runs(attempt, table, keep.ledger).await?;
        }
        removed += self.clean_pages(attempt, keep.pages).await?;
        removed += self.clean_observations(attempt, keep.observations).await?;
        let sql = "DELETE FROM runs WHERE state IN ('done', 'abandoned') AND clock_at < $1
            AND id <> $2";
        let mut tx = self.begin().await?;
        removed += tx.execute(sql, params![keep.ledger, &attempt.run]).await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(removed)
    }

    async fn clean_runs(&self, attempt: &Attempt, table: &str, before: Instant) -> Result<u64> {
        let key = match table {
            "listings" => "run_id, product_id, category_id",
            "listing_pages" => "run_id, category_id, page",
            "run_categories" => "run_id, category_id",
            "run_products" => "run_id, product_id",
            "run_steps" => "run_id, step",
            "attempts" => "epoch",
            _ => "id",
        };
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (
                SELECT {key} FROM {table} WHERE run_id IN ({CLOSED}) LIMIT $2)"
        );
        self.in_batches(attempt, &sql, before).await
    }

    async fn clean_pages(&self, attempt: &Attempt, before: Instant) -> Result<u64> {
        let sql = "DELETE FROM pages WHERE id IN (
            SELECT g.id FROM pages g WHERE g.fetched_at < $1
                AND g.run_id NOT IN (SELECT id FROM runs WHERE state IN ('open', 'held'))
                AND NOT EXISTS (SELECT 1 FROM rejections r WHERE r.page_id = g.id)
                AND (g.kind <> 'detail' OR EXISTS (SELECT 1 FROM pages n WHERE n.kind = 'detail'
                    AND n.subject = g.subject AND n.fetched_at > g.fetched_at))
            LIMIT $2)";
        self.in_batches(attempt, sql, before).await
    }

    async fn clean_observations(&self, attempt: &Attempt, before: Instant) -> Result<u64> {
        let sql = "DELETE FROM observations WHERE (product_id, observed_at) IN (
            SELECT o.product_id, o.observed_at FROM observations o WHERE o.observed_at < $1
                AND EXISTS (SELECT 1 FROM observations n WHERE n.product_id = o.product_id
                    AND n.observed_at > o.observed_at)
            LIMIT $2)";
        self.in_batches(attempt, sql, before).await
    }

    async fn in_batches(&self, attempt: &Attempt, sql: &str, before: Instant) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut tx = self.begin().await?;
            let count = tx.execute(sql, params![before, BATCH]).await?;
            commit_fenced(tx, attempt.epoch).await?;
            removed += count;
            if count < BATCH as u64 {
                return Ok(removed);
            }
        }
    }
}
