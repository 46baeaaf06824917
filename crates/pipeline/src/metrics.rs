//! How the pipeline is, for Prometheus: read from the warehouse, for crawling is done by other processes.
//!
//! Most metrics are of the newest run and begin anew with the next one, so they are gauges. Their labels are
//! words of ours: no id, no name and no address is one.
//!
//! Not here: the site, which is not asked; serving it (`dashboard`); what is too much
//! (`deploy/prometheus/tiki.rules.yml`).

mod exposition;
mod table;

use std::path::PathBuf;
use std::time::{Duration, Instant as Moment};

use catalog::{FindingKind, Instant};
use crawl::{Breaker, FULL_SHARE, Pace};
use serde_json::Value;
use warehouse::{
    DriftRow, ErrorRow, Frontier, OUTCOMES, Progress, Run, RunState, SchemaState, Warehouse,
};

use self::exposition::Exposition;
pub use self::table::{Kind, METRICS, Metric, markdown};
use crate::errors::{failure_words, failures};
use crate::health::{in_time, least_free};
use crate::infrastructure::FIGURES;
use crate::permits::pace_of;
use crate::{Clock, Step, StepReport};

/// How long the warehouse, and the disk, may take to be read.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// Over how long the rate of a crawl is taken.
const YOUNG: Duration = Duration::from_mins(1);

/// Held runs that are counted, at most.
const MOST_HELD: i64 = 100;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The program's version.
    pub version: &'static str,
    /// The origin whose pace is looked at.
    pub origin: String,
    /// Seconds between two requests; 0: the rate is off.
    pub rate: f64,
    /// Folders that need room.
    pub folders: Vec<PathBuf>,
    /// Bytes that must be free on the disk of each.
    pub free_bytes: u64,
    /// The runs' clock.
    pub clock: Clock,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Told {
    /// In the text format of Prometheus, version 0.0.4.
    pub text: String,
    /// Whether the warehouse answered.
    pub is_up: bool,
}

/// What the warehouse says.
struct Seen {
    took: Duration,
    last_good: Option<Instant>,
    held: usize,
    /// Products, looks, changes.
    rows: (i64, i64, i64),
    pace: Pace,
    /// The database's time, microseconds.
    now_micros: i64,
    newest: Option<Newest>,
}

/// Of the newest run.
struct Newest {
    run: Run,
    steps: Vec<StepSeen>,
    progress: Progress,
    /// Tier, hits, misses.
    cache: Vec<(String, i64, i64)>,
    drift: Vec<DriftRow>,
    errors: Vec<ErrorRow>,
}

struct StepSeen {
    name: String,
    seconds: f64,
    exit_code: Option<i64>,
    report: Option<StepReport>,
}

/// Looks, and tells what was seen. `open` opens the warehouse to be looked at only, or says that it was not
/// made yet.
pub async fn look(
    open: impl Future<Output = warehouse::Result<Option<Warehouse>>> + Send + 'static,
    asked: &Asked,
) -> Told {
    let (origin, folders) = (asked.origin.clone(), asked.folders.clone());
    let young = i64::try_from(YOUNG.as_millis()).unwrap_or(i64::MAX);
    let since = asked.clock.now().plus_millis(-young);
    // In tasks of their own: a disk that hangs holds the thread that waits for it.
    let read = tokio::spawn(async move { see(open, &origin, since).await });
    let free = tokio::task::spawn_blocking(move || least_free(&folders));
    let (read, free) = tokio::join!(in_time(read, PATIENCE), in_time(free, PATIENCE));
    let seen = match read {
        Ok(Ok(seen)) => seen,
        // `tiki health` says why; here it is a number.
        Ok(Err(_)) | Err(_) => None,
    };
    let mut made = Exposition::default();
    made.put("tiki_build_info", &[asked.version], 1.0);
    made.put("tiki_up", &[], one_if(seen.is_some()));
    let free = free.unwrap_or_else(Err).ok();
    made.put_known("tiki_disk_free_bytes", &[], free.map(|bytes| bytes as f64));
    made.put("tiki_disk_free_limit_bytes", &[], asked.free_bytes as f64);
    if let Some(seen) = &seen {
        of_warehouse(&mut made, seen);
        of_pace(&mut made, seen, asked.rate);
        if let Some(newest) = &seen.newest {
            of_run(&mut made, newest);
            of_work(&mut made, newest);
            of_reports(&mut made, newest);
        }
    }
    Told {
        text: made.text(),
        is_up: seen.is_some(),
    }
}

/// `None`: there is no warehouse of this program's schema.
async fn see(
    open: impl Future<Output = warehouse::Result<Option<Warehouse>>>,
    origin: &str,
    since: Instant,
) -> warehouse::Result<Option<Seen>> {
    let begun = Moment::now();
    let Some(warehouse) = open.await? else {
        return Ok(None);
    };
    let probe = warehouse.probe().await?;
    if !matches!(probe.schema, SchemaState::Current(_)) {
        return Ok(None);
    }
    let (row, _, now_micros) = warehouse.pace(origin).await?;
    let newest = match warehouse.runs(1).await?.pop() {
        Some(run) => Some(see_run(&warehouse, run, probe.time, since).await?),
        None => None,
    };
    Ok(Some(Seen {
        last_good: probe.last_good.map(|good| good.crawled_at),
        held: warehouse.held_runs(MOST_HELD).await?.len(),
        rows: warehouse.totals_in_brief().await?,
        pace: pace_of(row),
        now_micros,
        newest,
        took: begun.elapsed(),
    }))
}

async fn see_run(
    warehouse: &Warehouse,
    run: Run,
    now: Instant,
    since: Instant,
) -> warehouse::Result<Newest> {
    let steps = warehouse.steps(&run.id).await?;
    let steps = steps.into_iter().map(|row| {
        let report: Option<StepReport> = row
            .report
            .filter(|_| row.closed)
            .and_then(|text| serde_json::from_str(&text).ok());
        let open = crate::report::seconds(row.started_at, now);
        StepSeen {
            name: row.step,
            seconds: report.as_ref().map_or(open, |report| report.seconds),
            exit_code: row.exit_code,
            report,
        }
    });
    Ok(Newest {
        steps: steps.collect(),
        progress: warehouse.progress(&run.id, since).await?,
        cache: warehouse.cache_counts(&run.id).await?,
        drift: warehouse.drift(&run.id).await?,
        errors: warehouse.errors(Some(&run.id), None, 1).await?,
        run,
    })
}

fn of_warehouse(made: &mut Exposition, seen: &Seen) {
    made.put("tiki_warehouse_read_seconds", &[], seen.took.as_secs_f64());
    let (products, looks, changes) = seen.rows;
    for (table, rows) in [
        ("products", products),
        ("observations", looks),
        ("product_history", changes),
    ] {
        made.put("tiki_warehouse_rows", &[table], rows as f64);
    }
    let begun = seen.newest.as_ref().map_or(0, |newest| newest.run.number);
    made.put("tiki_runs_begun_total", &[], begun as f64);
    made.put("tiki_runs_held", &[], seen.held as f64);
    let last = seen.last_good.map(timestamp);
    made.put_known("tiki_last_good_run_timestamp_seconds", &[], last);
}

fn of_pace(made: &mut Exposition, seen: &Seen, rate: f64) {
    let share = f64::from(seen.pace.share(seen.now_micros)) / f64::from(FULL_SHARE);
    let (state, left) = match seen.pace.breaker(seen.now_micros) {
        Breaker::Closed => ("closed", Duration::ZERO),
        Breaker::Open { left } => ("open", left),
        Breaker::HalfOpen => ("half-open", Duration::ZERO),
    };
    if rate > 0.0 {
        let limit = 1.0 / rate;
        let allowed = if state == "open" { 0.0 } else { limit * share };
        made.put("tiki_crawl_limit_requests_per_second", &[], limit);
        made.put("tiki_crawl_allowed_requests_per_second", &[], allowed);
    }
    made.put("tiki_crawl_share_ratio", &[], share);
    let young = seen
        .newest
        .as_ref()
        .map_or(0, |newest| newest.progress.young_pages);
    let pages = young as f64 / YOUNG.as_secs_f64();
    made.put("tiki_crawl_pages_per_second", &[], pages);
    made.put_one_of(
        "tiki_breaker_state",
        &["closed", "open", "half-open"],
        state,
    );
    made.put("tiki_breaker_open_seconds", &[], left.as_secs_f64());
}

fn of_run(made: &mut Exposition, newest: &Newest) {
    let run = &newest.run;
    made.put(
        "tiki_run_begun_timestamp_seconds",
        &[],
        timestamp(run.created_at),
    );
    let ended = run.finished_at.map(timestamp);
    made.put_known("tiki_run_ended_timestamp_seconds", &[], ended);
    let written = timestamp(run.last_commit_at);
    made.put("tiki_run_last_commit_timestamp_seconds", &[], written);
    made.put("tiki_run_at_work", &[], one_if(run.leased));
    let states = RunState::ALL.map(RunState::as_str);
    made.put_one_of("tiki_run_state", &states, run.state.as_str());
    let code = run.exit_code.map(|code| code as f64);
    made.put_known("tiki_run_exit_code", &[], code);
    for step in &newest.steps {
        made.put("tiki_run_step_seconds", &[&step.name], step.seconds);
        let code = step.exit_code.map(|code| code as f64);
        made.put_known("tiki_run_step_exit_code", &[&step.name], code);
    }
}

/// What it asks for, and what became of that.
fn of_work(made: &mut Exposition, newest: &Newest) {
    let progress = &newest.progress;
    for step in Step::ALL.into_iter().filter(|step| step.asks_the_site()) {
        let name = step.name();
        let parts = progress.frontier.iter().filter(|part| part.step == name);
        let parts: Vec<&Frontier> = parts.collect();
        for part in &parts {
            made.put("tiki_run_frontier", &[name, &part.state], part.rows as f64);
        }
        for state in Frontier::OPEN {
            if parts.iter().all(|part| part.state != state) {
                made.put("tiki_run_frontier", &[name, state], 0.0);
            }
        }
        let retries: i64 = parts.iter().map(|part| part.retries).sum();
        made.put("tiki_run_retries", &[name], retries as f64);
    }
    let failed = failures(&newest.errors);
    made.put_counts("tiki_run_failures", &failure_words(), failed);
    made.put_counts("tiki_run_products", &OUTCOMES, borrowed(&progress.outcomes));
    made.put_counts("tiki_run_rejections", &[], borrowed(&progress.rejections));
    let kinds = FindingKind::ALL.map(FindingKind::as_str);
    let of = |kind: &'static str| {
        let rows = newest.drift.iter().filter(|row| row.kind == kind);
        (kind, rows.count() as i64)
    };
    made.put_counts("tiki_run_drift", &[], kinds.map(of));
}

/// What its steps report at their end.
fn of_reports(made: &mut Exposition, newest: &Newest) {
    let report = |step: Step| {
        let found = newest.steps.iter().find(|seen| seen.name == step.name());
        found.and_then(|seen| seen.report.as_ref())
    };
    let crawled = report(Step::CrawlProductDetails);
    let rate = crawled.and_then(|report| report.number("crawl_stats", "rate"));
    made.put_known("tiki_run_crawled_products_per_second", &[], rate);
    let tiers = report(Step::GetCacheStats).map(tiers);
    for (tier, hits, misses) in tiers.as_ref().unwrap_or(&newest.cache) {
        made.put("tiki_run_cache_hits", &[tier], *hits as f64);
        made.put("tiki_run_cache_misses", &[tier], *misses as f64);
    }
    let looked = report(Step::MonitorInfrastructure);
    let stats = looked.and_then(|report| report.keys.get("infrastructure_stats"));
    if let Some(over) = stats.and_then(|stats| stats.get("over_limits")?.as_array()) {
        for figure in FIGURES {
            let is_over = over.iter().any(|row| row["name"] == figure);
            made.put("tiki_run_over_limits", &[figure], one_if(is_over));
        }
    }
}

/// Tier, hits and misses as `get-cache-stats` reports them.
fn tiers(report: &StepReport) -> Vec<(String, i64, i64)> {
    let stats = report
        .keys
        .get("cache_stats")
        .and_then(|stats| stats.get("tiers"));
    let Some(tiers) = stats.and_then(Value::as_object) else {
        return Vec::new();
    };
    let count = |of: &Value, name| of.get(name).and_then(Value::as_i64).unwrap_or(0);
    tiers
        .iter()
        .map(|(tier, of)| (tier.clone(), count(of, "hits"), count(of, "misses")))
        .collect()
}

fn borrowed(counts: &[(String, i64)]) -> impl Iterator<Item = (&str, i64)> {
    counts.iter().map(|(word, count)| (word.as_str(), *count))
}

fn timestamp(at: Instant) -> f64 {
    at.millis() as f64 / 1000.0
}

fn one_if(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
