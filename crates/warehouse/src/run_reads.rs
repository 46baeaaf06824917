//! What the steps' reports and decisions ask about a run, and redoing one.
//!
//! Not here: the four identities (`freeze`).

use std::collections::HashSet;

use catalog::Instant;

use crate::drift::in_state;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;
use crate::rejections;
use crate::retention::{Kind, cleaned};
use crate::tx::Tx;
use crate::value::Value;

/// What a run's 404s are judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoneCounts {
    /// Details that answered well about when the last 404 came.
    pub controls: i64,
    /// Details that answered 404 or 410.
    pub gone: i64,
    /// Products that were known before, among those that the run listed and rechecked.
    pub known: i64,
}

/// How long before a 404 a detail may have answered well to speak for the site.
const CONTROL_MILLIS: i64 = 3_600_000;

/// What a run must be to be opened again.
const REDONE: &str =
    "one that may be redone (a held one waits for `tiki drift accept` or `tiki drift reject`)";

/// What is asked of a run's details when they are asked anew: not what another run has asked since, and of the
/// 404s those that nobody believed.
const DETAILS_ANEW: &str =
    "UPDATE run_products SET detail = 'due', attempts = 0, next_at = NULL, claim = NULL
     WHERE run_id = $1 AND detail IN ('unfetched', 'deferred', 'rejected', 'gone')
        AND NOT EXISTS (SELECT 1 FROM product_state s JOIN runs u ON u.id = $1
            WHERE s.product_id = run_products.product_id
                AND (s.detail_at > COALESCE(run_products.answered_at, u.clock_at)
                    OR run_products.detail = 'gone' AND s.detail_at = run_products.answered_at))";

impl Warehouse {
    /// What a run's 404s are judged by. What the run itself has loaded changes nothing of it, so a run that
    /// is loaded anew is judged as it was.
    pub async fn gone_counts(&self, run: &str) -> Result<GoneCounts> {
        Ok(GoneCounts {
            controls: self.controls(run).await?,
            gone: self
                .count(
                    "SELECT COUNT(*) FROM run_products WHERE run_id = $1 AND detail = 'gone'",
                    run,
                )
                .await?,
            known: self
                .count(
                    "SELECT COUNT(*) FROM runs JOIN run_products r ON r.run_id = runs.id
                     JOIN products p ON p.id = r.product_id AND p.created_at < runs.clock_at
                     WHERE runs.id = $1",
                    run,
                )
                .await?,
        })
    }

    /// Details that the site answered well when the last 404 came: in this run and not out of a cache, not more
    /// than an hour before it, and where the crawl was redone and 404s came of that, since then. What a site
    /// answered yesterday says nothing of today's 404s.
    async fn controls(&self, run: &str) -> Result<i64> {
        let mut tx = self.read().await?;
        let sql = "SELECT MAX(p.answered_at), u.clock_at, s.started_at FROM runs u
                JOIN run_products p ON p.run_id = u.id AND p.detail = 'gone'
                LEFT JOIN run_steps s ON s.run_id = u.id AND s.step = 'crawl-product-details'
                    AND EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = u.id AND a.step = s.step
                        AND a.started_at < s.started_at)
             WHERE u.id = $1 GROUP BY u.clock_at, s.started_at";
        let mut since = Instant::from_millis(0);
        if let Some(row) = tx.row(sql, params![run]).await?
            && let Some(newest) = row.opt_time(0)?
        {
            let hour_before = newest.plus_millis(-CONTROL_MILLIS);
            let redone = row.opt_time(2)?.filter(|began| *began <= newest);
            since = hour_before
                .max(row.time(1)?)
                .max(redone.unwrap_or(hour_before));
        }
        let sql = "SELECT COUNT(*) FROM run_products WHERE run_id = $1 AND detail = 'good'
                AND answered_at >= $2";
        let row = tx.row(sql, params![run, since]).await?;
        tx.commit().await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// Forgets that a run's details were answered with 404 or 410: nobody believes it, so the next
    /// plan must not rely on it.
    pub async fn doubt_gone(&self, attempt: &Attempt) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "DELETE FROM product_state WHERE (product_id, detail_at) IN (
                SELECT product_id, answered_at FROM run_products
                WHERE run_id = $1 AND detail = 'gone' AND answered_at IS NOT NULL)",
            params![&attempt.run],
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Rechecks of a run that the site answered.
    pub async fn answered_rechecks(&self, run: &str) -> Result<i64> {
        self.count(
            "SELECT COUNT(*) FROM run_products WHERE run_id = $1 AND listed_in IS NULL
                AND detail IN ('good', 'gone', 'rejected')",
            run,
        )
        .await
    }

    /// Listed products of a run whose detail was due and not deferred.
    pub async fn listed_due(&self, run: &str) -> Result<i64> {
        self.count(
            "SELECT COUNT(*) FROM run_products WHERE run_id = $1 AND listed_in IS NOT NULL
                AND reason IS NOT NULL AND detail <> 'deferred'",
            run,
        )
        .await
    }

    /// Products of a run and what became of their details, `limit` at most.
    pub async fn crawled(&self, run: &str, limit: i64) -> Result<Vec<(i64, String)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT product_id, detail FROM run_products WHERE run_id = $1
                 ORDER BY product_id LIMIT $2",
                params![run, limit],
            )
            .await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.int(0)?, row.text(1)?)))
            .collect()
    }

    /// Products that a run listed and their names, `limit` at most.
    pub async fn listed_names(&self, run: &str, limit: i64) -> Result<Vec<(i64, String)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT p.product_id, COALESCE(MIN(l.name), '') FROM
                    (SELECT run_id, product_id FROM run_products WHERE run_id = $1
                        AND listed_in IS NOT NULL ORDER BY product_id LIMIT $2) AS p
                 JOIN listings l ON l.run_id = p.run_id AND l.product_id = p.product_id
                 GROUP BY p.product_id ORDER BY p.product_id",
                params![run, limit],
            )
            .await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.int(0)?, row.text(1)?)))
            .collect()
    }

    /// Ids of the categories without children, `limit` at most.
    pub async fn leaves(&self, limit: i64) -> Result<HashSet<i64>> {
        let mut tx = self.read().await?;
        let sql = "SELECT id FROM categories WHERE is_leaf ORDER BY id LIMIT $1";
        let rows = tx.rows(sql, params![limit]).await?;
        tx.commit().await?;
        rows.iter().map(|row| row.int(0)).collect()
    }

    /// Opens a run again from a step on (`steps`: that one and those after it). What failed or was
    /// not asked is asked again; from `transform-products` on, everything is derived anew from the
    /// stored pages, also from bodies that were refused. A held run is refused
    /// ([`Error::RunState`]), and one of which anything was cleaned up ([`Error::Cleaned`]); that a person had rejected
    /// its drift is forgotten, for the drift is judged anew.
    pub async fn redo(&self, run: &str, from: &str, steps: &[&str]) -> Result<()> {
        self.end_all(run).await?;
        let mut tx = self.begin().await?;
        let count = tx
            .execute(
                "UPDATE runs SET state = 'open', finished_at = NULL, exit_code = NULL,
                    drift = CASE WHEN drift = 'accepted' THEN drift END
                 WHERE id = $1 AND state <> 'held'",
                params![run],
            )
            .await?;
        in_state(count, run, REDONE)?;
        still_whole(&mut tx, run).await?;
        fence_all(&mut tx, run).await?;
        let crawls = [
            "crawl-categories",
            "extract-product-urls",
            "crawl-product-details",
        ];
        let depth = crawls
            .iter()
            .position(|step| *step == from)
            .unwrap_or(crawls.len());
        let resets: [&[&str]; 4] = [
            &[
                "UPDATE run_categories SET state = 'pending', attempts = 0, next_at = NULL,
                claim = NULL WHERE run_id = $1 AND state IN ('failed', 'skipped')",
            ],
            &[
                "UPDATE listing_pages SET state = 'pending', attempts = 0, next_at = NULL,
                claim = NULL WHERE run_id = $1 AND state IN ('failed', 'unasked')",
            ],
            &[DETAILS_ANEW],
            &[
                "UPDATE run_products SET outcome = NULL, batch = NULL, claim = NULL,
                    detail = CASE WHEN detail = 'rejected' AND page_id IS NOT NULL THEN 'good'
                        ELSE detail END
                    WHERE run_id = $1",
                "DELETE FROM staged_products WHERE run_id = $1",
                "DELETE FROM corrections WHERE run_id = $1",
                "DELETE FROM shapes WHERE run_id = $1 AND endpoint = 'detail'",
                "DELETE FROM drift WHERE run_id = $1 AND NOT EXISTS (
                    SELECT 1 FROM runs WHERE id = $1 AND drift = 'accepted')",
            ],
        ];
        for sql in resets.iter().skip(depth).flat_map(|group| group.iter()) {
            tx.execute(sql, params![run]).await?;
        }
        rejections::judge_anew(&mut tx, run).await?;
        for step in steps
            .iter()
            .chain(["transform-products", "load-products"].iter())
        {
            let sql = "DELETE FROM run_steps WHERE run_id = $1 AND step = $2";
            tx.execute(sql, params![run, *step]).await?;
        }
        tx.commit().await
    }

    /// Ends whoever works on a run that may be opened again, before a lock is taken that it may wait for.
    async fn end_all(&self, run: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = "SELECT 1 FROM runs WHERE id = $1 AND state <> 'held'";
        let found = tx.row(sql, params![run]).await?;
        in_state(found.map_or(0, |_| 1), run, REDONE)?;
        still_whole(&mut tx, run).await?;
        fence_all(&mut tx, run).await?;
        tx.commit().await
    }

    async fn count(&self, sql: &str, run: &str) -> Result<i64> {
        let mut tx = self.read().await?;
        let row = tx.row(sql, &[Value::from(run)]).await?;
        tx.commit().await?;
        row.map_or(Ok(0), |row| row.int(0))
    }
}

/// Whoever still works on a run must not write into what is made anew.
async fn fence_all(tx: &mut Tx, run: &str) -> Result<()> {
    tx.execute(
        "UPDATE attempts SET state = 'fenced', ended_at = {now}
         WHERE run_id = $1 AND state = 'live'",
        params![run],
    )
    .await
    .map(drop)
}

/// Without its listings or pages a run would be derived to less than it was, and without the looks since
/// then its history.
async fn still_whole(tx: &mut Tx, run: &str) -> Result<()> {
    let refused = |kinds| Error::Cleaned {
        run: run.into(),
        kinds,
    };
    let sql = "SELECT 1 FROM runs WHERE id = $1 AND sealed_at IS NOT NULL";
    if tx.row(sql, params![run]).await?.is_some() {
        return Err(refused(cleaned(tx, run).await?));
    }
    // One that was cleaned before runs were sealed.
    let sql = "SELECT 1 FROM run_products p WHERE p.run_id = $1 AND p.listed_in IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM listings l WHERE l.run_id = p.run_id
                AND l.product_id = p.product_id AND l.category_id = p.listed_in)
         LIMIT 1";
    match tx.row(sql, params![run]).await? {
        Some(_) => Err(refused(vec![Kind::Listings])),
        None => Ok(()),
    }
}
