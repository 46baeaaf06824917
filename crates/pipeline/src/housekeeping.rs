//! The steps after the load: cache, cleaning up, telling.
//!
//! Not here: how the machine and the servers are (`infrastructure`).

use serde_json::{Map, Value, json};
use warehouse::{Due, Kind, Retention};

use crate::report::{keys, round3};
use crate::steps::Work;
use crate::{Error, Result};

const DAY_MILLIS: i64 = 86_400_000;

/// Files that are cleaned up in one run at most.
const MAX_FILES: usize = 100_000;

impl Work<'_> {
    /// What requests the listings and kept pages saved, by tier. A listing that made a detail
    /// unnecessary is a hit of the tier `listing`.
    pub(crate) async fn cache_stats(&self) -> Result<Map<String, Value>> {
        let totals = self.warehouse().identities(&self.run.id).await?;
        let due = totals.details.due - totals.details.deferred;
        let listed = totals.products.listed - self.warehouse().listed_due(&self.run.id).await?;
        let mut tiers = Map::new();
        tiers.insert(
            "listing".to_owned(),
            json!({ "hits": listed, "misses": due }),
        );
        let mut kept = 0;
        for (tier, hits, misses) in self.warehouse().cache_counts(&self.run.id).await? {
            kept += hits;
            tiers.insert(tier, json!({ "hits": hits, "misses": misses }));
        }
        let (saved, asked) = (listed + kept, (due - kept).max(0));
        let all = saved + asked;
        let rate = if all > 0 {
            saved as f64 * 100.0 / all as f64
        } else {
            0.0
        };
        let entries = self.pipeline.shared_entries().await;
        let stats = json!({
            "hits": saved,
            "misses": asked,
            "hit_rate": round3(rate),
            "memory_size": entries.unwrap_or(0),
            "tiers": tiers,
        });
        Ok(keys([("cache_stats", stats)]))
    }

    /// Takes away what is older than it may be. The first run that finds something of a kind to take
    /// only says what can no longer be done without it; the runs after it take it.
    pub(crate) async fn clean_up(&self) -> Result<Map<String, Value>> {
        let keep = self.settings().keep;
        let now = self.pipeline.clock().now();
        let before = |days: i64| now.plus_millis(days.saturating_mul(-DAY_MILLIS));
        let retention = Retention {
            observations: before(keep.observations_days),
            pages: before(keep.pages_days),
            listings: before(keep.listings_days),
            ledger: before(keep.ledger_days),
            // A detail of the shared cache is no older.
            late_millis: self.settings().detail_ttl_millis(),
        };
        let (mut total, mut kinds) = (self.clean_files()?, Vec::new());
        for kind in Kind::ALL {
            let warehouse = self.warehouse();
            let due = warehouse.due_to_clean(&self.attempt, &retention, kind);
            let Some(due) = due.await? else { continue };
            let first = due
                .announced_by
                .as_ref()
                .is_none_or(|run| *run == self.run.id);
            let mut rows = 0;
            if first {
                warehouse.announce_purge(&self.attempt, kind).await?;
                self.warn(first_purge(kind, &due));
            } else {
                rows = warehouse.clean(&self.attempt, &retention, kind).await?;
            }
            total += rows;
            kinds.push(json!({
                "kind": kind.as_str(),
                "older_than": retention.before(kind).to_string(),
                "runs": due.runs,
                "rows": rows,
                "announced": first,
            }));
        }
        Ok(keys([
            ("removed_count", json!(total)),
            ("removed", json!(kinds)),
        ]))
    }

    /// Temporary files of this program's own folder.
    fn clean_files(&self) -> Result<u64> {
        let folder = self.settings().data_dir.join("tmp");
        let failed = |source| Error::Machine {
            what: format!("clean {}", folder.display()),
            source,
        };
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(failed)?,
        };
        let mut removed = 0;
        for entry in entries.take(MAX_FILES) {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_file() {
                std::fs::remove_file(entry.path()).map_err(failed)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Checks that nothing left the run uncounted, freezes the counts and tells.
    pub(crate) async fn notify(&self) -> Result<Map<String, Value>> {
        let totals = self.warehouse().identities(&self.run.id).await?;
        let broken = totals.broken();
        if !broken.is_empty() {
            return Err(Error::Broken(broken));
        }
        let products = totals.products;
        let text = format!(
            "{} products observed: {} new, {} changed, {} unchanged, {} gone, {} rejected",
            products.new + products.changed + products.unchanged + products.late,
            products.new,
            products.changed,
            products.unchanged,
            products.gone,
            products.rejected
        );
        let counts = serde_json::to_value(&totals)
            .map_err(|error| Error::Bug(format!("counts cannot be printed: {error}")))?;
        let rules = &self.settings().alerts;
        // The end of the run, which comes next, writes it to the outbox.
        let sent_to: &[String] = if rules.tells && rules.reports {
            &rules.channels
        } else {
            &[]
        };
        let notification = json!({
            "run_id": self.run.id,
            "text": text,
            "totals": counts,
            "sent_to": sent_to,
        });
        Ok(keys([("notification", notification)]))
    }
}

/// What can no longer be done when rows of a kind are gone.
fn first_purge(kind: Kind, due: &Due) -> String {
    let (setting, lost) = match kind {
        Kind::Listings => (
            "TIKI_KEEP_LISTINGS",
            "can no longer be derived anew (`tiki run --from`, `tiki rejections replay`): their listings \
             go",
        ),
        Kind::Pages => (
            "TIKI_KEEP_PAGES",
            "can no longer be derived anew (`tiki run --from`, `tiki rejections replay`): their pages go, \
             but for the newest good one of a product and those of rejections",
        ),
        Kind::Observations => (
            "TIKI_KEEP_OBSERVATIONS",
            "can no longer be derived anew, and what did not change in them can no longer be seen: their \
             looks go; the history of changes stays",
        ),
        Kind::Ledger => (
            "TIKI_KEEP_LEDGER",
            "can no longer be shown (`tiki runs`) nor derived anew: what they counted and rejected goes, \
             with the pages of their rejections",
        ),
    };
    format!(
        "from the next run on, runs up to {} {lost}; to keep more, raise {setting} before",
        due.youngest
    )
}
