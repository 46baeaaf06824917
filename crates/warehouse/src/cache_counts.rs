//! How often the tiers of the page cache had what was wanted, over all processes of a run.
//!
//! Not here: the tiers themselves (`crawl`).

use std::collections::BTreeMap;

use crate::bulk::Columns;
use crate::error::Result;
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;

const COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("tier", "text"),
    ("hits", "bigint"),
    ("misses", "bigint"),
];

const ADD_UP: &str = "ON CONFLICT (run_id, tier) DO UPDATE SET
    hits = cache_counts.hits + excluded.hits, misses = cache_counts.misses + excluded.misses";

impl Warehouse {
    /// Adds hits and misses of some tiers to those of the run.
    pub async fn count_cache(&self, attempt: &Attempt, counts: &[(&str, i64, i64)]) -> Result<()> {
        // One row a tier, in order: no two processes wait for each other's rows.
        let mut tiers: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for (tier, hits, misses) in counts {
            let sum = tiers.entry(tier).or_default();
            *sum = (sum.0 + hits, sum.1 + misses);
        }
        let rows: Vec<_> = tiers
            .into_iter()
            .map(|(tier, (hits, misses))| params![&attempt.run, tier, hits, misses].to_vec())
            .collect();
        let mut tx = self.begin().await?;
        tx.insert("cache_counts", COLUMNS, ADD_UP, &rows).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Tier, hits and misses of a run, in the order of the tiers' names.
    pub async fn cache_counts(&self, run: &str) -> Result<Vec<(String, i64, i64)>> {
        let mut tx = self.read().await?;
        let sql = "SELECT tier, hits, misses FROM cache_counts WHERE run_id = $1 ORDER BY tier";
        let rows = tx.rows(sql, params![run]).await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.int(1)?, row.int(2)?)))
            .collect()
    }
}
