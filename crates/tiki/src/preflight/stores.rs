//! Warehouse, Redis and backups as sections 8, 9, 12, 18, 20 and 25 look at them. Makes and changes
//! nothing.
//!
//! Not here: what is made of it (`pipeline::preflight::servers`).

use std::time::Duration;

use catalog::Instant;
use pipeline::health::PATIENCE;
use pipeline::preflight::after::{Ledger, MOST_ALERTS, MOST_RUNS};
use pipeline::preflight::servers::{Answered, Backups, Database, Redis};
use pipeline::{Clock, chain};
use tokio::time::timeout;
use warehouse::{RunState, SchemaState, Warehouse};

use crate::failure::warehouse_help;
use crate::{Context, open};

/// An unfinished run without a commit for so long is nobody's, whatever `TIKI_ALERT_STALL` says.
const LONG_QUIET: Duration = Duration::from_mins(30);

/// The warehouse of the settings.
pub(super) async fn database(context: &Context) -> Database {
    let open = open::to_look(context, false, PATIENCE);
    // In a task of its own: a disk that hangs holds the thread that waits for it.
    let task = tokio::spawn(async move {
        match open.await? {
            Some(warehouse) => inspect(&warehouse).await.map(Some),
            None => Ok(None),
        }
    });
    match timeout(PATIENCE * 2, task).await {
        Ok(Ok(Ok(Some(answered)))) => Database::Answered(Box::new(answered)),
        Ok(Ok(Ok(None))) => Database::Absent,
        Ok(Ok(Err(error))) => {
            let help = warehouse_help(&error).map(str::to_owned);
            Database::Failed(chain(&error), help)
        }
        Ok(Err(error)) => Database::Failed(error.to_string(), None),
        Err(_) => Database::Failed(format!("no answer in {:?}", PATIENCE * 2), None),
    }
}

async fn inspect(warehouse: &Warehouse) -> warehouse::Result<Answered> {
    let inventory = warehouse.inventory().await?;
    let schema = warehouse.probe().await?.schema;
    // Somebody may have removed the table by hand.
    let is_there = inventory.tables.iter().any(|name| name == "products");
    let has_products = match schema {
        SchemaState::Current(_) if is_there => warehouse.has_products().await?,
        _ => false,
    };
    Ok(Answered {
        address: warehouse.address().to_owned(),
        is_postgres: warehouse.is_postgres(),
        schema,
        inventory,
        has_products,
    })
}

/// What the ledger of the warehouse says of the last runs.
pub(super) async fn ledger(context: &Context) -> Result<Ledger, String> {
    let open = open::to_look(context, false, PATIENCE);
    let stall = context.config.pipeline.alerts.stall.max(LONG_QUIET);
    let quiet = i64::try_from(stall.as_millis()).unwrap_or(i64::MAX);
    let task = tokio::spawn(async move {
        let Some(warehouse) = open.await? else {
            return Ok(None);
        };
        let probe = warehouse.probe().await?;
        if !matches!(probe.schema, SchemaState::Current(_)) {
            return Ok(None);
        }
        let mut stopped = Vec::new();
        for run in warehouse.unfinished_runs().await? {
            if run.leased || run.state != RunState::Open {
                continue;
            }
            let steps = warehouse.steps(&run.id).await?;
            let failed = steps.into_iter().rev().find(|step| !step.closed);
            let failed = failed.and_then(|step| Some((step.step, step.exit_code?)));
            let is_quiet = probe.time.millis_since(run.last_commit_at) >= quiet;
            if failed.is_some() || is_quiet {
                stopped.push((run.id, failed));
            }
        }
        Ok(Some(Ledger {
            now: probe.time,
            runs: warehouse.runs(MOST_RUNS).await?,
            stopped,
            alerts: warehouse.alerts(MOST_ALERTS).await?,
            last_good: probe.last_good.map(|run| run.crawled_at),
        }))
    });
    match timeout(PATIENCE * 2, task).await {
        Ok(Ok(Ok(Some(ledger)))) => Ok(ledger),
        Ok(Ok(Ok(None))) => Err("there is no warehouse of this program's schema".into()),
        Ok(Ok(Err(error))) => {
            let error: warehouse::Error = error;
            Err(chain(&error))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {:?}", PATIENCE * 2)),
    }
}

/// Redis of the settings.
pub(super) async fn redis(context: &Context) -> Redis {
    let url = context.config.redis_url.as_deref()?;
    let facts = crawl::redis_facts(url, PATIENCE).await;
    Some(facts.map_err(|error| chain(&error)))
}

/// The age of the newest proven backup of the warehouse of the settings.
pub(super) async fn backups(context: &Context) -> Backups {
    let known = open::backups(context, false).map_err(|failure| failure.line())?;
    let any = Instant::from_millis(i64::MAX);
    let find = tokio::task::spawn_blocking(move || known.newest_proven_before(any));
    let found = timeout(PATIENCE, find).await;
    let found = found.map_err(|_| format!("no answer in {PATIENCE:?}"))?;
    let found = found.map_err(|error| error.to_string())?;
    let proven = found.map_err(|error| chain(&error))?;
    let now: Instant = Clock::System.now();
    Ok(proven.map(|backup| {
        let age = now.millis_since(backup.manifest.created()).max(0);
        Duration::from_millis(age.unsigned_abs())
    }))
}
