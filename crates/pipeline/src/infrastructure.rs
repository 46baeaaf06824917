//! The step `monitor-infrastructure`: the machine, the database, Redis and containers, and which of their
//! figures are over their limits.
//!
//! A figure that nobody tells is null. A server that is away fails nothing here: what a run needs of it,
//! the other steps wait for.
//!
//! Not here: looking (`preflight::figures`, `containers`, `warehouse`, `crawl`), and the limits, which are
//! those of the checklist (`preflight`) and of the probe (`health`).

use std::time::Duration;

use crawl::{RedisFacts, redis_facts};
use serde_json::{Map, Value, json};
use warehouse::{DatabaseStats, PostgresStats};

use crate::preflight::environment::{self, MOST_BUSY};
use crate::preflight::figures::{self, Busy};
use crate::preflight::servers;
use crate::report::{bounded, keys, round3};
use crate::site::chain;
use crate::steps::Work;
use crate::{Check, Result, State, containers, disk, health};

/// How long Redis may take to say how it is.
const REDIS_PATIENCE: Duration = Duration::from_secs(2);

/// The figures that have a limit, by the names of the lines about them.
pub(crate) const FIGURES: [&str; 5] = [
    "cpu",
    "memory-used",
    "disk",
    "postgres-cache",
    "redis-memory",
];

const MEGABYTE: f64 = 1_048_576.0;

impl Work<'_> {
    /// How the machine and the servers are.
    pub(crate) async fn infrastructure_stats(&self) -> Result<Map<String, Value>> {
        let (products, observations, changes) = self.warehouse().totals_in_brief().await?;
        let (busy, database, redis, containers) = tokio::join!(
            self.busy(),
            self.database_stats(),
            self.redis_facts(),
            self.containers()
        );
        let postgres = match database {
            Some(DatabaseStats::Postgres(stats)) => Some(stats),
            _ => None,
        };
        let over = over_limits(
            busy.as_ref(),
            self.free_disk(),
            postgres.as_ref(),
            redis.as_ref(),
        );
        // Days that are simulated say nothing of the machine on which they are.
        if !self.pipeline.clock().is_simulated() {
            for check in &over {
                self.warn(words(check));
            }
        }
        let stats = json!({
            "system": busy.as_ref().map(|busy| self.system_stats(busy)),
            "docker": containers.map(|rows| bounded(rows, self.settings().list_limit)),
            "postgres": postgres.as_ref().map(postgres_stats),
            "sqlite": match database {
                Some(DatabaseStats::Sqlite(stats)) => json!({
                    "file_bytes": stats.file_bytes,
                    "log_bytes": stats.log_bytes,
                }),
                _ => Value::Null,
            },
            "redis": redis.as_ref().map(redis_stats),
            "warehouse": {
                "address": self.warehouse().address(),
                "products": products,
                "observations": observations,
                "changes": changes,
                "counted_up_to": warehouse::COUNTED,
            },
            "over_limits": over.iter().map(as_row).collect::<Vec<_>>(),
        });
        Ok(keys([("infrastructure_stats", stats)]))
    }

    /// How busy the machine is. Where one look finds it too busy, that may have been one moment of it, so
    /// it is looked at for longer.
    async fn busy(&self) -> Option<Busy> {
        let first = figures::busy(1).await?;
        if first.cpu < MOST_BUSY || self.pipeline.clock().is_simulated() {
            return Some(first);
        }
        figures::busy(figures::SAMPLES).await
    }

    fn system_stats(&self, busy: &Busy) -> Value {
        let space = disk::space(&self.settings().data_dir).ok();
        let used = space.and_then(|space| {
            percent(
                space.total.saturating_sub(space.free) as f64,
                space.total as f64,
            )
        });
        json!({
            "cpu_percent": round3(busy.cpu),
            "cpu_count": busy.cpus,
            "memory_percent": round3(busy.memory),
            "memory_available_mb": busy.memory_available >> 20,
            "disk_usage_percent": used,
        })
    }

    /// What is free on the data folder's disk, beside what must be.
    fn free_disk(&self) -> Check {
        let free = figures::free(&self.settings().data_dir);
        health::room(&free, self.settings().alerts.free_bytes)
    }

    async fn database_stats(&self) -> Option<DatabaseStats> {
        let asked = self.warehouse().database_stats().await;
        asked
            .inspect_err(|error| {
                let why = chain(error);
                self.warn(format!(
                    "the database does not say how it is ({why}): the run needs none of it"
                ));
            })
            .ok()
    }

    async fn redis_facts(&self) -> Option<RedisFacts> {
        let url = self.settings().redis_url.as_deref()?;
        // Whoever needs it has said that it is away.
        redis_facts(url, REDIS_PATIENCE).await.ok()
    }

    async fn containers(&self) -> Option<Vec<Value>> {
        if self.pipeline.clock().is_simulated() {
            return None;
        }
        let settings = self.settings();
        containers::stats(&settings.data_dir, &settings.hidden).await
    }
}

/// The checklist's lines about the figures that are over their limits.
fn over_limits(
    busy: Option<&Busy>,
    free_disk: Check,
    postgres: Option<&PostgresStats>,
    redis: Option<&RedisFacts>,
) -> Vec<Check> {
    let mut checks = environment::busy(busy);
    checks.push(free_disk);
    checks.extend(postgres.map(|stats| servers::cached((stats.blocks_hit, stats.blocks_read))));
    checks.extend(redis.map(servers::used));
    checks.retain(|check| matches!(check.state, State::Warning | State::Failed));
    checks
}

/// A line as a warning of the run.
fn words(check: &Check) -> String {
    let limit = check.limit.as_deref().unwrap_or("none");
    let help = check.help.as_deref().unwrap_or_default();
    format!("{}: {} (limit: {limit}); {help}", check.name, check.seen)
}

fn as_row(check: &Check) -> Value {
    json!({ "name": check.name, "seen": check.seen, "limit": check.limit })
}

fn postgres_stats(stats: &PostgresStats) -> Value {
    let asked = stats.blocks_hit + stats.blocks_read;
    json!({
        "db_size_bytes": stats.size_bytes,
        "db_size_mb": round3(stats.size_bytes as f64 / MEGABYTE),
        "active_connections": stats.connections,
        "cache_hit_ratio": percent(stats.blocks_hit as f64, asked as f64),
        "commits": stats.commits,
        "rollbacks": stats.rollbacks,
        "blocks_read": stats.blocks_read,
        "blocks_hit": stats.blocks_hit,
        "rows_returned": stats.rows_returned,
        "rows_fetched": stats.rows_fetched,
        "rows_inserted": stats.rows_inserted,
        "rows_updated": stats.rows_updated,
        "rows_deleted": stats.rows_deleted,
    })
}

fn redis_stats(facts: &RedisFacts) -> Value {
    let megabytes = |bytes: Option<u64>| bytes.map(|bytes| round3(bytes as f64 / MEGABYTE));
    let hit_rate = facts.hits.zip(facts.misses).and_then(|(hits, misses)| {
        let asked = hits.saturating_add(misses);
        percent(hits as f64, asked as f64)
    });
    json!({
        "used_memory_mb": megabytes(facts.used),
        "used_memory_peak_mb": megabytes(facts.used_peak),
        "connected_clients": facts.clients,
        "total_connections_received": facts.connections,
        "total_commands_processed": facts.commands,
        "keyspace_hits": facts.hits,
        "keyspace_misses": facts.misses,
        "evicted_keys": facts.evicted,
        "hit_rate": hit_rate,
    })
}

/// A part of a whole in percent; `None` of nothing.
fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| round3(part * 100.0 / whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_its_limit_is_named_with_what_was_seen_and_what_to_do() {
        let gigabyte = 1 << 30;
        let busy = |cpu, memory| Busy {
            cpu,
            memory,
            cpus: 2,
            memory_available: gigabyte,
        };
        let room = |free| health::room(&Ok(free), gigabyte);
        let blocks = |hit, read| PostgresStats {
            size_bytes: 0,
            connections: 1,
            commits: 0,
            rollbacks: 0,
            blocks_read: read,
            blocks_hit: hit,
            rows_returned: 0,
            rows_fetched: 0,
            rows_inserted: 0,
            rows_updated: 0,
            rows_deleted: 0,
        };
        let redis = |used| RedisFacts {
            used: Some(used),
            ..RedisFacts::default()
        };
        let well = over_limits(
            Some(&busy(79.0, 79.0)),
            room(gigabyte),
            Some(&blocks(901, 99)),
            Some(&redis(servers::MOST_REDIS - 1)),
        );
        assert_eq!(well, []);
        assert_eq!(over_limits(None, room(gigabyte), None, None), []);
        let over = over_limits(
            Some(&busy(80.0, 80.0)),
            room(gigabyte - 1),
            Some(&blocks(900, 100)),
            Some(&redis(servers::MOST_REDIS)),
        );
        let names: Vec<_> = over.iter().map(|check| check.name).collect();
        assert_eq!(names, FIGURES);
        let text = words(&over[3]);
        assert!(
            text.starts_with("postgres-cache: 90.0 % (limit: more than 90 %); give PostgreSQL"),
            "{text}"
        );
    }
}
