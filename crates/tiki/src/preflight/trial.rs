//! The test run of sections 14 to 17 and 20: a simulated shop in this process and a warehouse in a folder
//! that goes away with it. The warehouse of the settings, Redis and the site are not touched.
//!
//! Not here: what is made of it (`pipeline::preflight::trial`).

use catalog::Instant;
use pipeline::preflight::trial::{CATEGORIES, MANY_PRODUCTS, PRODUCTS, Trial, Tried};
use pipeline::{Clock, Listener, Pipeline, RunReport, RunRequest, chain};
use storefront::Generated;
use tempfile::TempDir;
use warehouse::Warehouse;

use crate::failure::{Failure, Outcome};
use crate::run::OWNER;
use crate::way::{self, Way};
use crate::{Context, open};

/// When the runs of the trial are, in their own time.
const DAY: &str = "2026-01-05T02:00:00.000Z";

/// Between two runs of it.
const MINUTE_MILLIS: i64 = 60_000;

/// The shop: enough products in each of its categories for the large run.
const SHOP: Generated = Generated {
    seed: 7,
    products: 1_200,
    leaf_categories: Some(2),
    pace: storefront::Pace::Real,
    prices: storefront::Prices::Spread,
};

/// What was tried.
#[derive(Debug)]
pub(super) struct Tests {
    pub(super) tried: Tried,
    /// Rows of a proven backup of it.
    pub(super) backup: Result<i64, String>,
}

/// Runs, and removes what it made. An error: somebody asked to stop.
pub(super) async fn all(context: &Context) -> Outcome<Tests> {
    let (tried, backup) = match place() {
        Ok(folder) => {
            let own = alone(context, &folder);
            let tried = runs(&own).await;
            let backup = match &tried {
                Ok(_) => backup(&own).await,
                Err(_) => Err("there was no test run to make one of (section 14)".into()),
            };
            (tried, backup)
        }
        Err(why) => (Err(why.clone()), Err(why)),
    };
    if context.stop.is_said() {
        return Err(pipeline::Error::Interrupted.into());
    }
    Ok(Tests { tried, backup })
}

fn place() -> Result<TempDir, String> {
    let made = tempfile::Builder::new().prefix("tiki-preflight-").tempdir();
    made.map_err(|error| format!("cannot make a temporary folder: {error}"))
}

/// The same settings of how to work, with everything else of its own.
fn alone(context: &Context, folder: &TempDir) -> Context {
    let mut own = context.clone();
    let config = &mut own.config;
    folder.path().clone_into(&mut config.data_dir);
    folder.path().clone_into(&mut config.pipeline.data_dir);
    config.database_url = format!("sqlite:{}", folder.path().join("tiki.db").display());
    config.redis_url = None;
    config.clock = None;
    // The shop is on this machine, and nobody else asks it.
    config.rate = 0.0;
    config.rate_is_default = true;
    config.categories = Vec::new();
    config.exclude = Vec::new();
    config.max_categories = CATEGORIES;
    config.max_products = PRODUCTS;
    "auto".clone_into(&mut config.details);
    "auto".clone_into(&mut config.source);
    own
}

async fn runs(context: &Context) -> Tried {
    let mut in_one = in_a_warehouse(context, &["small", "repeated"]).await?;
    let mut large = context.clone();
    large.config.max_products = MANY_PRODUCTS;
    // In a warehouse of its own: after a small run a large one would look like a site that has changed.
    let file = context.config.data_dir.join("large.db");
    large.config.database_url = format!("sqlite:{}", file.display());
    let mut in_other = in_a_warehouse(&large, &["large"]).await?;
    let missing = || "a report is missing".to_owned();
    Ok(Trial {
        repeated: in_one.reports.pop().ok_or_else(missing)?,
        small: in_one.reports.pop().ok_or_else(missing)?,
        large: in_other.reports.pop().ok_or_else(missing)?,
        order: in_one.order,
    })
}

/// What runs of one warehouse report, and the steps of the first as they began.
struct Runs {
    reports: Vec<RunReport>,
    order: Vec<String>,
}

/// Runs of these ids, a minute between two.
async fn in_a_warehouse(context: &Context, ids: &[&str]) -> Result<Runs, String> {
    let said = |failure: Failure| failure.line();
    let start: Instant = DAY.parse().map_err(|_| "no such day".to_owned())?;
    let warehouse = open::to_write(context, false).await.map_err(said)?;
    let way = Way::to_shop(context, &warehouse, SHOP, start).await;
    let way = way.map_err(said)?;
    let origin = way.origin_id.clone();
    let clock = Clock::simulated(start);
    let (pipeline, shop) = way.pipeline(context, &warehouse, clock, Listener::nobody());
    let mut reports = Vec::new();
    let mut at = start;
    for id in ids {
        pipeline.clock().set(at);
        if let Some(shop) = &shop {
            shop.clock().set(at.millis());
        }
        let request = RunRequest {
            id: (*id).into(),
            owner: OWNER.into(),
            scope: way::scope(context, &origin),
            fresh: true,
            wait: false,
            only_this: true,
        };
        let report = once(&pipeline, &request).await;
        reports.push(report.map_err(|error| format!("the {id} run: {}", chain(&error)))?);
        at = at.plus_millis(MINUTE_MILLIS);
    }
    let order = order(&warehouse, ids.first().unwrap_or(&"")).await;
    let order = order.map_err(|error| chain(&error))?;
    Ok(Runs { reports, order })
}

async fn once(pipeline: &Pipeline, request: &RunRequest) -> pipeline::Result<RunReport> {
    let run = pipeline.begin_run(request).await?;
    pipeline.run(&run).await
}

/// The steps of a run as they began.
async fn order(warehouse: &Warehouse, run: &str) -> warehouse::Result<Vec<String>> {
    let mut steps = warehouse.steps(run).await?;
    steps.sort_by_key(|step| (step.started_at, step.finished_at));
    Ok(steps.into_iter().map(|step| step.step).collect())
}

async fn backup(context: &Context) -> Result<i64, String> {
    let backups = open::backups(context, false).map_err(|failure| failure.line())?;
    let made = backups.create().await.map_err(|error| chain(&error))?;
    let proven = backups.verify(Some(&made.manifest.id)).await;
    let proven = proven.map_err(|error| chain(&error))?;
    let proven = proven.ok_or("the backup is gone again")?;
    Ok(proven.manifest.facts.rows.values().sum())
}
