//! The steps after the load: cache, telling.
//!
//! Not here: how the machine and the servers are (`infrastructure`), cleaning up (`cleanup`).

use serde_json::{Map, Value, json};

use crate::report::{keys, round3};
use crate::steps::Work;
use crate::{Error, Result};

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
