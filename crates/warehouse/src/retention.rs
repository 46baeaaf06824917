//! Taking old rows away: of closed runs only, in bounded batches.
//!
//! History and memberships stay for ever. Not here: how long things are kept (settings).

use catalog::Instant;

use crate::error::Result;
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;
use crate::tx::Columns;
use crate::value::Value;

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

/// Products whose old looks are found at once.
const PRODUCTS: i64 = 500;

const CLOSED: &str = "state IN ('done', 'abandoned') AND clock_at < $1 AND id <> $2";

/// Tables of a run and their keys.
const OF_LISTINGS: [(&str, &str); 3] = [
    ("listings", "run_id, product_id, category_id"),
    ("listing_pages", "run_id, category_id, slice, page"),
    ("run_categories", "run_id, category_id"),
];
const OF_LEDGER: [(&str, &str); 9] = [
    ("staged_products", "run_id, product_id"),
    ("run_products", "run_id, product_id"),
    ("rejections", "id"),
    ("corrections", "run_id, column_name"),
    ("shapes", "run_id, source, endpoint, root, field"),
    ("drift", "run_id, source, endpoint, root, field, kind"),
    ("cache_counts", "run_id, tier"),
    ("run_steps", "run_id, step"),
    ("attempts", "epoch"),
];

impl Warehouse {
    /// Deletes what is older than it may be; the number of rows.
    pub async fn clean(&self, attempt: &Attempt, keep: &Retention) -> Result<u64> {
        let mut removed = 0;
        for (table, key) in OF_LISTINGS {
            removed += self.clean_runs(attempt, table, key, keep.listings).await?;
        }
        for (table, key) in OF_LEDGER {
            removed += self.clean_runs(attempt, table, key, keep.ledger).await?;
        }
        removed += self.clean_pages(attempt, keep.pages).await?;
        removed += self.clean_observations(attempt, keep.observations).await?;
        let sql = format!("DELETE FROM runs WHERE {CLOSED}");
        let mut tx = self.begin().await?;
        removed += tx.execute(&sql, params![keep.ledger, &attempt.run]).await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(removed)
    }

    /// One closed run after the other, and only those that have rows left: the cost is that of what
    /// goes, not of what stays.
    async fn clean_runs(
        &self,
        attempt: &Attempt,
        table: &str,
        key: &str,
        before: Instant,
    ) -> Result<u64> {
        let sql = format!(
            "SELECT id FROM runs WHERE {CLOSED}
                AND EXISTS (SELECT 1 FROM {table} t WHERE t.run_id = runs.id) ORDER BY number"
        );
        let mut tx = self.read().await?;
        let rows = tx.rows(&sql, params![before, &attempt.run]).await?;
        tx.commit().await?;
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (
                SELECT {key} FROM {table} WHERE run_id = $1 LIMIT $2)"
        );
        let mut removed = 0;
        for row in rows {
            removed += self.in_batches(attempt, &sql, &row.text(0)?.into()).await?;
        }
        Ok(removed)
    }

    /// By the index of times. Pages that stay whatever their age are met again every time: the newest
    /// of products that are asked no more, and those of rejections.
    async fn clean_pages(&self, attempt: &Attempt, before: Instant) -> Result<u64> {
        let sql = "DELETE FROM pages WHERE id IN (
            SELECT g.id FROM pages g WHERE g.fetched_at < $1
                AND NOT EXISTS (SELECT 1 FROM runs u WHERE u.id = g.run_id
                    AND u.state IN ('open', 'held'))
                AND NOT EXISTS (SELECT 1 FROM rejections r WHERE r.page_id = g.id)
                AND (g.kind <> 'detail' OR EXISTS (SELECT 1 FROM pages n WHERE n.kind = 'detail'
                    AND n.subject = g.subject AND n.fetched_at > g.fetched_at
                    AND NOT EXISTS (SELECT 1 FROM rejections b WHERE b.page_id = n.id)))
            LIMIT $2)";
        self.in_batches(attempt, sql, &before.into()).await
    }

    /// Product by product, one step into the key of each; an index of times would be paid for by
    /// every look.
    async fn clean_observations(&self, attempt: &Attempt, before: Instant) -> Result<u64> {
        let (mut after, mut removed) = (i64::MIN, 0);
        loop {
            let mut tx = self.read().await?;
            let sql = "SELECT id FROM products WHERE id > $1 ORDER BY id LIMIT $2";
            let rows = tx.rows(sql, params![after, PRODUCTS]).await?;
            let ids: Vec<i64> = rows.iter().map(|row| row.int(0)).collect::<Result<_>>()?;
            let Some(last) = ids.last() else {
                tx.commit().await?;
                return Ok(removed);
            };
            after = *last;
            let keys: Vec<Vec<Value>> = ids
                .iter()
                .map(|id| vec![(*id).into(), before.into()])
                .collect();
            let old = tx
                .lookup(
                    &[("id", "bigint"), ("at", "{time}")],
                    "SELECT o.product_id, o.observed_at FROM {keys} JOIN observations o
                        ON o.product_id = d.id AND o.observed_at < d.at
                     WHERE EXISTS (SELECT 1 FROM observations n
                        WHERE n.product_id = d.id AND n.observed_at > o.observed_at)",
                    &keys,
                )
                .await?;
            tx.commit().await?;
            for part in old.chunks(BATCH as usize) {
                let keys: Vec<Vec<Value>> = part
                    .iter()
                    .map(|row| Ok(vec![row.int(0)?.into(), row.time(1)?.into()]))
                    .collect::<Result<_>>()?;
                let columns: &Columns = &[("product_id", "bigint"), ("observed_at", "{time}")];
                let mut tx = self.begin().await?;
                removed += tx.delete("observations", columns, &keys).await?;
                commit_fenced(tx, attempt.epoch).await?;
            }
        }
    }

    async fn in_batches(&self, attempt: &Attempt, sql: &str, of: &Value) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut tx = self.begin().await?;
            let count = tx.execute(sql, &[of.clone(), BATCH.into()]).await?;
            commit_fenced(tx, attempt.epoch).await?;
            removed += count;
            if count < BATCH as u64 {
                return Ok(removed);
            }
        }
    }
}
