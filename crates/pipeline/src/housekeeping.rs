//! The four steps after the load: cache, machine, cleaning up, telling.

use serde_json::{Map, Value, json};
use sysinfo::{Disks, System};
use warehouse::Retention;

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

    /// How the machine is.
    pub(crate) async fn infrastructure_stats(&self) -> Result<Map<String, Value>> {
        let (products, observations, changes) = self.warehouse().totals().await?;
        let stats = json!({
            "system": self.system_stats().await,
            "warehouse": {
                "address": self.warehouse().address(),
                "products": products,
                "observations": observations,
                "changes": changes,
            },
        });
        Ok(keys([("infrastructure_stats", stats)]))
    }

    /// Figures of this machine; null where the system does not tell.
    async fn system_stats(&self) -> Value {
        let Ok(mut system) = System::new() else {
            return Value::Null;
        };
        system.refresh_memory();
        system.refresh_cpu_usage();
        tokio::time::sleep(sysinfo::MINIMUM_CPU_UPDATE_INTERVAL).await;
        system.refresh_cpu_usage();
        let total = system.total_memory();
        let used = total.saturating_sub(system.available_memory());
        json!({
            "cpu_percent": round3(f64::from(system.global_cpu_usage())),
            "cpu_count": system.cpus().len(),
            "memory_percent": share(used, total),
            "memory_available_mb": system.available_memory() / 1_048_576,
            "disk_usage_percent": self.disk_usage(),
        })
    }

    /// How full the disk of the data folder is, in percent.
    fn disk_usage(&self) -> Option<f64> {
        let folder = self.settings().data_dir.canonicalize().ok()?;
        let disks = Disks::new_with_refreshed_list().ok()?;
        let disk = disks
            .into_iter()
            .filter(|disk| folder.starts_with(disk.mount_point()))
            .max_by_key(|disk| disk.mount_point().as_os_str().len())?;
        let total = disk.total_space();
        share(total.saturating_sub(disk.available_space()), total)
    }

    /// Takes away what is older than it may be.
    pub(crate) async fn clean_up(&self) -> Result<Map<String, Value>> {
        let keep = self.settings().keep;
        let now = self.pipeline.clock().now();
        let before = |days: i64| now.plus_millis(days.saturating_mul(-DAY_MILLIS));
        let retention = Retention {
            observations: before(keep.observations_days),
            pages: before(keep.pages_days),
            listings: before(keep.listings_days),
            ledger: before(keep.ledger_days),
        };
        let rows = self.warehouse().clean(&self.attempt, &retention).await?;
        let files = self.clean_files()?;
        Ok(keys([("removed_count", json!(rows + files))]))
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
        let notification = json!({
            "run_id": self.run.id,
            "text": text,
            "totals": counts,
            "sent_to": [],
        });
        Ok(keys([("notification", notification)]))
    }
}

/// A part of a whole in percent; `None` of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| round3(part as f64 * 100.0 / whole as f64))
}
