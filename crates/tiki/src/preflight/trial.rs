//! The test run of sections 14 to 17 and 20: a simulated shop in this process and a warehouse in a folder
//! that goes away with it. The warehouse of the settings, Redis and the site are not touched; with `--live`
//! the site is asked in the shop's place, with permits from where all its workers get theirs.
//!
//! Not here: what is made of it (`pipeline::preflight::trial`).

use catalog::Instant;
use std::time::Instant as Moment;

use pipeline::health::PATIENCE;
use pipeline::preflight::trial::{
    CATEGORIES, MANY_PRODUCTS, MOST_LOAD, PRODUCTS, Plainly, Speed, Trial, Tried, load_share,
};
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

/// How often the load is measured at most.
const LOADS: usize = 3;

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
pub(super) async fn all(context: &Context, live: bool) -> Outcome<Tests> {
    let (tried, backup) = match place() {
        Ok(folder) => {
            let own = alone(context, &folder);
            let tried = if live {
                against_the_site(context, &own).await
            } else {
                against_a_shop(&own).await
            };
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

async fn against_a_shop(context: &Context) -> Tried {
    let in_one = in_a_warehouse(context, &["small", "repeated"]).await?;
    trial(in_one, large(context).await?)
}

/// The large run and its products row by row, again while the load was too slow beside them: other work on this
/// machine can only make it seem so. The best counts.
async fn large(context: &Context) -> Result<Speed, String> {
    let file = |name: &str, number| {
        let mut own = context.clone();
        let file = own.config.data_dir.join(format!("{name}-{number}.db"));
        own.config.database_url = format!("sqlite:{}", file.display());
        own.config.max_products = MANY_PRODUCTS;
        own
    };
    let mut best: Option<(f64, Speed)> = None;
    for number in 1..=LOADS {
        // In a warehouse of its own: after a small run a large one would look like a site that has changed.
        let own = file("large", number);
        let mut runs = in_a_warehouse(&own, &["large"]).await?;
        let large = Box::new(runs.reports.pop().ok_or_else(missing)?);
        let plainly = row_by_row(&own, &file("rows", number)).await?;
        let share = load_share(&large, &plainly).unwrap_or(f64::INFINITY);
        if best.as_ref().is_none_or(|(known, _)| share < *known) {
            best = Some((share, Speed::Shop { large, plainly }));
        }
        if share <= MOST_LOAD || plainly.in_memory {
            break;
        }
    }
    best.map(|(_, speed)| speed).ok_or_else(missing)
}

fn missing() -> String {
    "a report is missing".to_owned()
}

fn trial(mut runs: Runs, speed: Speed) -> Tried {
    Ok(Trial {
        repeated: runs.reports.pop().ok_or_else(missing)?,
        small: runs.reports.pop().ok_or_else(missing)?,
        order: runs.order,
        speed,
    })
}

/// The products of a warehouse loaded once more, row by row, into another.
async fn row_by_row(from: &Context, into: &Context) -> Result<Plainly, String> {
    let said = |failure: Failure| failure.line();
    let failed = |error: warehouse::Error| chain(&error);
    let loaded = open::to_write(from, false).await.map_err(said)?;
    let rows = loaded.plain_rows(CATEGORIES * MANY_PRODUCTS).await;
    let rows = rows.map_err(failed)?;
    let empty = open::to_write(into, false).await.map_err(said)?;
    let begun = Moment::now();
    empty.load_plainly(&rows).await.map_err(failed)?;
    Ok(Plainly {
        rows: rows.len(),
        seconds: begun.elapsed().as_secs_f64(),
        in_memory: pipeline::is_in_memory(&into.config.data_dir),
    })
}

/// Two small runs against the site of the settings.
async fn against_the_site(context: &Context, own: &Context) -> Tried {
    let said = |failure: Failure| failure.line();
    let mut own = own.clone();
    own.config.rate = context.config.rate;
    own.config.rate_is_default = context.config.rate_is_default;
    own.config.redis_url.clone_from(&context.config.redis_url);
    own.config.clock = context.config.clock;
    own.config.pipeline.alerts.tells = false;
    let scratch = open::to_write(&own, false).await.map_err(said)?;
    // All workers of the site have one rate: the permits are those of the real warehouse, where there is one.
    let real = open::to_tell(context, PATIENCE).await;
    let real = real.map_err(|error| chain(&error))?;
    let real = real.unwrap_or_else(|| scratch.clone());
    let way = Way::to_site_alone(&own, &scratch, &real).await;
    let way = way.map_err(said)?;
    let origin = way.origin_id.clone();
    let (pipeline, _) = way.pipeline(&own, &scratch, way::clock(&own), Listener::nobody());
    let mut reports = Vec::new();
    for id in ["small", "repeated"] {
        let report = once(&pipeline, &request(&own, id, &origin)).await;
        reports.push(report.map_err(|error| format!("the {id} run: {}", chain(&error)))?);
    }
    let order = order(&scratch, "small").await;
    let order = order.map_err(|error| chain(&error))?;
    let rate = own.config.rate;
    let allowed = (rate > 0.0).then(|| 1.0 / rate);
    trial(Runs { reports, order }, Speed::Site(allowed))
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
        let report = once(&pipeline, &request(context, id, &origin)).await;
        reports.push(report.map_err(|error| format!("the {id} run: {}", chain(&error)))?);
        at = at.plus_millis(MINUTE_MILLIS);
    }
    let order = order(&warehouse, ids.first().unwrap_or(&"")).await;
    let order = order.map_err(|error| chain(&error))?;
    Ok(Runs { reports, order })
}

fn request(context: &Context, id: &str, origin: &str) -> RunRequest {
    RunRequest {
        id: id.into(),
        owner: OWNER.into(),
        scope: way::scope(context, origin),
        fresh: true,
        new_before: None,
        wait: false,
        only_this: true,
    }
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
