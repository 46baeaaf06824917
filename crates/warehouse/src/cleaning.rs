//! Taking old rows away: of closed runs only, run by run, in bounded batches of a transaction each.
//!
//! History and memberships stay for ever. Not here: which runs are old enough (`retention`).

use catalog::Instant;

use crate::cleaner::NO_RUN;
use crate::error::Result;
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;
use crate::retention::{Kind, Retention, closed_before, going, looks_before, seal};
use crate::value::Value;

/// Rows that one transaction deletes at most.
const BATCH: i64 = 5000;

/// Products or pages of a run that one transaction goes through.
const STRETCH: i64 = 500;

/// Tables of a run and their keys.
const OF_LISTINGS: [(&str, &str); 3] = [
    ("listings", "run_id, product_id, category_id"),
    ("listing_pages", "run_id, category_id, slice, page"),
    ("run_categories", "run_id, category_id"),
];
const OF_LEDGER: [(&str, &str); 10] = [
    ("rejections", "id"),
    ("corrections", "run_id, column_name"),
    ("run_products", "run_id, product_id"),
    ("staged_products", "batch"),
    ("shapes", "run_id, source, endpoint, root, field"),
    ("drift", "run_id, source, endpoint, root, field, kind"),
    ("cache_counts", "run_id, tier"),
    ("alerts", "id"),
    ("run_steps", "run_id, step"),
    ("attempts", "epoch"),
];

/// A page of a run that may go: no rejection names it, and a detail only if the product has a newer good
/// one of a run that is closed and whose drift nobody rejected.
const PAGES: &str = "
    SELECT g.id FROM pages g WHERE g.run_id = $1 AND g.id > $2 AND g.id <= $3
        AND NOT EXISTS (SELECT 1 FROM rejections r WHERE r.page_id = g.id)
        AND (g.kind <> 'detail' OR EXISTS (SELECT 1 FROM pages n WHERE n.kind = 'detail'
            AND n.subject = g.subject AND n.fetched_at > g.fetched_at
            AND NOT EXISTS (SELECT 1 FROM rejections b WHERE b.page_id = n.id)
            AND NOT EXISTS (SELECT 1 FROM runs u WHERE u.id = n.run_id
                AND (u.state IN ('open', 'held') OR u.drift = 'rejected'))))";

/// Older details of the same products, of runs that were cleaned up before and kept them as the newest.
const OUTDATED_PAGES: &str = "
    SELECT o.id FROM pages g JOIN pages o ON o.kind = 'detail' AND o.subject = g.subject
        AND o.fetched_at < g.fetched_at
    WHERE g.run_id = $1 AND g.id > $2 AND g.id <= $3 AND g.kind = 'detail'
        AND NOT EXISTS (SELECT 1 FROM rejections b WHERE b.page_id = g.id)
        AND NOT EXISTS (SELECT 1 FROM rejections r WHERE r.page_id = o.id)
        AND NOT EXISTS (SELECT 1 FROM runs u WHERE u.id = g.run_id AND u.drift = 'rejected')
        AND NOT EXISTS (SELECT 1 FROM runs u WHERE u.id = o.run_id AND NOT u.pages_cleaned)";

/// Pages of a run that its own rejections alone have kept. Without those they would count as good, and the
/// good ones before them as outdated.
const REJECTED_PAGES: &str = "
    DELETE FROM pages WHERE id IN (SELECT g.id FROM pages g WHERE g.run_id = $1
        AND EXISTS (SELECT 1 FROM rejections r WHERE r.page_id = g.id AND r.run_id = $1)
        AND NOT EXISTS (SELECT 1 FROM rejections r WHERE r.page_id = g.id AND r.run_id <> $1)
        LIMIT $2)";

/// Looks of a run's products, of whatever run, that may go: a newer one is old enough as well, and
/// tells what this one tells of sales and stock.
const LOOKS: &str = "
    SELECT o.product_id, o.observed_at FROM run_products p
    JOIN observations o ON o.product_id = p.product_id AND o.observed_at < $4
    WHERE p.run_id = $1 AND p.product_id > $2 AND p.product_id <= $3
        AND EXISTS (SELECT 1 FROM observations n WHERE n.product_id = o.product_id
            AND n.observed_at > o.observed_at AND n.observed_at < $4)
        AND (o.sales_count IS NULL OR EXISTS (SELECT 1 FROM observations s
            WHERE s.product_id = o.product_id AND s.observed_at > o.observed_at
                AND s.observed_at < $4 AND s.sales_count IS NOT NULL))
        AND (o.stock_quantity IS NULL OR EXISTS (SELECT 1 FROM observations q
            WHERE q.product_id = o.product_id AND q.observed_at > o.observed_at
                AND q.observed_at < $4 AND q.stock_quantity IS NOT NULL))";

/// So that no look is counted for each of the runs that know its product.
const OF_RUN: &str = "(o.run_id = $1 OR NOT EXISTS (
    SELECT 1 FROM runs u WHERE u.id = o.run_id AND NOT u.looks_cleaned))";

const PAGE_STRETCH: &str = "SELECT MAX(id) FROM (SELECT id FROM pages WHERE run_id = $1 AND id > $2
    ORDER BY id LIMIT $3) AS stretch";
const LOOK_STRETCH: &str = "SELECT MAX(product_id) FROM (SELECT product_id FROM run_products
    WHERE run_id = $1 AND product_id > $2 ORDER BY product_id LIMIT $3) AS stretch";

/// Alerts of no run, and of one that is not in the ledger, which end with their own age.
const OTHER_ALERTS: &str = "SELECT a.id FROM alerts a WHERE a.first_at < $1
    AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = a.run_id) ORDER BY a.first_at, a.id LIMIT $2";

impl Warehouse {
    /// Deletes what of a kind is older than it may be; the number of rows. Whoever calls it for several
    /// kinds does so in the order of [`Kind::ALL`].
    pub async fn clean(&self, attempt: &Attempt, keep: &Retention, kind: Kind) -> Result<u64> {
        let mut tx = self.read().await?;
        let runs = closed_before(&mut tx, kind, keep.before(kind), &attempt.run).await?;
        tx.commit().await?;
        let mut closed = Vec::with_capacity(runs.len());
        for run in runs {
            if seal(self, attempt, &run.id).await? {
                closed.push(run.id);
            }
        }
        let mut removed = 0;
        if kind == Kind::Observations {
            let mut tx = self.read().await?;
            let before = looks_before(&mut tx, keep, &[]).await?;
            let ready = closed_before(&mut tx, kind, before, &attempt.run).await?;
            tx.commit().await?;
            for run in ready.iter().filter(|run| closed.contains(&run.id)) {
                removed += self.clean_looks(attempt, &run.id, before).await?;
                self.mark(attempt, &run.id, "looks_cleaned").await?;
            }
            return Ok(removed);
        }
        for run in closed {
            match kind {
                Kind::Listings => {
                    removed += self.clean_tables(attempt, &run, &OF_LISTINGS).await?;
                    self.mark(attempt, &run, "listings_cleaned").await?;
                }
                Kind::Pages => {
                    removed += self.clean_pages(attempt, &run).await?;
                    self.mark(attempt, &run, "pages_cleaned").await?;
                }
                Kind::Ledger | Kind::Observations => {
                    removed += self.clean_ledger(attempt, &run).await?;
                }
            }
        }
        if kind == Kind::Ledger {
            removed += self.clean_other_alerts(attempt, keep.before(kind)).await?;
        }
        Ok(removed)
    }

    async fn clean_other_alerts(&self, attempt: &Attempt, before: Instant) -> Result<u64> {
        let told = format!("DELETE FROM alert_deliveries WHERE alert_id IN ({OTHER_ALERTS})");
        let alerts = format!("DELETE FROM alerts WHERE id IN ({OTHER_ALERTS})");
        let mut removed = 0;
        loop {
            let mut tx = self.begin().await?;
            let params = params![before, BATCH];
            removed += tx.execute(&told, params).await?;
            let count = tx.execute(&alerts, params).await?;
            commit_fenced(tx, attempt.epoch).await?;
            removed += count;
            if count < BATCH as u64 {
                return Ok(removed);
            }
        }
    }

    /// Remembers that a run was cleaned up for a kind.
    async fn mark(&self, attempt: &Attempt, run: &str, column: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = format!("UPDATE runs SET {column} = {{yes}} WHERE id = $1");
        tx.execute(&sql, params![run]).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    async fn clean_tables(
        &self,
        attempt: &Attempt,
        run: &str,
        tables: &[(&str, &str)],
    ) -> Result<u64> {
        let mut removed = 0;
        for (table, key) in tables {
            let sql = format!(
                "DELETE FROM {table} WHERE ({key}) IN (
                    SELECT {key} FROM {table} WHERE run_id = $1 LIMIT $2)"
            );
            removed += self.in_batches(attempt, &sql, params![run, BATCH]).await?;
        }
        Ok(removed)
    }

    async fn clean_ledger(&self, attempt: &Attempt, run: &str) -> Result<u64> {
        let (rejections, rest) = OF_LEDGER.split_at(1);
        let sql = REJECTED_PAGES;
        let mut removed = self.in_batches(attempt, sql, params![run, BATCH]).await?;
        removed += self.clean_tables(attempt, run, rejections).await?;
        removed += self.clean_pages(attempt, run).await?;
        let told = "DELETE FROM alert_deliveries WHERE (alert_id, channel) IN (
            SELECT d.alert_id, d.channel FROM alerts a JOIN alert_deliveries d ON d.alert_id = a.id
            WHERE a.run_id = $1 LIMIT $2)";
        removed += self.in_batches(attempt, told, params![run, BATCH]).await?;
        removed += self.clean_tables(attempt, run, rest).await?;
        let mut tx = self.begin().await?;
        let sql = "DELETE FROM runs WHERE id = $1";
        removed += tx.execute(sql, params![run]).await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(removed)
    }

    async fn clean_pages(&self, attempt: &Attempt, run: &str) -> Result<u64> {
        let (mut after, mut removed) = (i64::MIN, 0);
        while let Some(last) = self.end_of(PAGE_STRETCH, run, after).await? {
            let mut tx = self.begin().await?;
            for old in [OUTDATED_PAGES, PAGES] {
                let sql = format!("DELETE FROM pages WHERE id IN ({old})");
                removed += tx.execute(&sql, params![run, after, last]).await?;
            }
            commit_fenced(tx, attempt.epoch).await?;
            after = last;
        }
        Ok(removed)
    }

    async fn clean_looks(&self, attempt: &Attempt, run: &str, before: Instant) -> Result<u64> {
        let sql = format!(
            "DELETE FROM observations WHERE (product_id, observed_at) IN ({LOOKS} LIMIT $5)"
        );
        let (mut after, mut removed) = (i64::MIN, 0);
        while let Some(last) = self.end_of(LOOK_STRETCH, run, after).await? {
            let params = params![run, after, last, before, BATCH];
            removed += self.in_batches(attempt, &sql, params).await?;
            after = last;
        }
        Ok(removed)
    }

    /// How many rows [`Warehouse::clean`] would delete, about: what several runs have in common may be
    /// counted for each, and rows that go with those of another kind are not. Costs what would go.
    pub async fn rows_to_clean(&self, keep: &Retention, kind: Kind) -> Result<u64> {
        let mut tx = self.read().await?;
        let runs = closed_before(&mut tx, kind, keep.before(kind), NO_RUN).await?;
        let before = looks_before(&mut tx, keep, &runs).await?;
        let going = going(&mut tx, &runs, keep, kind).await?;
        tx.commit().await?;
        let mut rows = 0;
        for run in going.iter().map(|run| run.id.as_str()) {
            rows += match kind {
                Kind::Listings => self.count_tables(run, &OF_LISTINGS).await?,
                Kind::Pages => self.count_pages(run).await?,
                Kind::Observations => self.count_looks(run, before).await?,
                Kind::Ledger => {
                    let told = "SELECT COUNT(*) FROM alerts a
                        JOIN alert_deliveries d ON d.alert_id = a.id WHERE a.run_id = $1";
                    // And the run itself.
                    1 + self.how_many(told, params![run]).await?
                        + self.count_tables(run, &OF_LEDGER).await?
                        + self.count_pages(run).await?
                }
            };
        }
        Ok(rows)
    }

    async fn count_tables(&self, run: &str, tables: &[(&str, &str)]) -> Result<u64> {
        let mut rows = 0;
        for (table, _) in tables {
            let sql = format!("SELECT COUNT(*) FROM {table} WHERE run_id = $1");
            rows += self.how_many(&sql, params![run]).await?;
        }
        Ok(rows)
    }

    async fn count_pages(&self, run: &str) -> Result<u64> {
        let (mut after, mut rows) = (i64::MIN, 0);
        while let Some(last) = self.end_of(PAGE_STRETCH, run, after).await? {
            for old in [OUTDATED_PAGES, PAGES] {
                let sql = format!("SELECT COUNT(*) FROM ({old}) AS old");
                rows += self.how_many(&sql, params![run, after, last]).await?;
            }
            after = last;
        }
        Ok(rows)
    }

    async fn count_looks(&self, run: &str, before: Instant) -> Result<u64> {
        let sql = format!("SELECT COUNT(*) FROM ({LOOKS} AND {OF_RUN}) AS old");
        let (mut after, mut rows) = (i64::MIN, 0);
        while let Some(last) = self.end_of(LOOK_STRETCH, run, after).await? {
            rows += self
                .how_many(&sql, params![run, after, last, before])
                .await?;
            after = last;
        }
        Ok(rows)
    }

    async fn how_many(&self, sql: &str, params: &[Value]) -> Result<u64> {
        let mut tx = self.read().await?;
        let row = tx.row(sql, params).await?;
        tx.commit().await?;
        let count = row.map_or(Ok(0), |row| row.int(0))?;
        Ok(count.max(0).unsigned_abs())
    }

    /// The last key of the next stretch of a run's rows; `None`: there are no more.
    async fn end_of(&self, sql: &str, run: &str, after: i64) -> Result<Option<i64>> {
        let mut tx = self.read().await?;
        let row = tx.row(sql, params![run, after, STRETCH]).await?;
        tx.commit().await?;
        row.map_or(Ok(None), |row| row.opt_int(0))
    }

    /// Repeats a statement that deletes [`BATCH`] rows at most, until it finds fewer.
    async fn in_batches(&self, attempt: &Attempt, sql: &str, params: &[Value]) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut tx = self.begin().await?;
            let count = tx.execute(sql, params).await?;
            commit_fenced(tx, attempt.epoch).await?;
            removed += count;
            if count < BATCH as u64 {
                return Ok(removed);
            }
        }
    }
}
