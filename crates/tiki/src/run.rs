//! `tiki run`: the whole pipeline against the site of the settings, or a run redone.
//!
//! Not here: the demo (`demo`), one step (`step`).

use pipeline::{Exit, Pipeline, RunReport, RunRequest, Step};
use warehouse::{Run, Warehouse};

use crate::arguments::RunArguments;
use crate::failure::{Failure, Outcome};
use crate::progress::{Follow, Progress};
use crate::step::check_owner;
use crate::telling::{self, Doing};
use crate::way::{self, Way};
use crate::{Context, estimate, interrupt, next, open, print, report};

/// Who begins runs from the command line.
pub(crate) const OWNER: &str = "cli";

/// `tiki run`.
pub(crate) async fn run(context: &Context, arguments: &RunArguments) -> Outcome {
    let demo = arguments.demo;
    let owner = arguments.owner.as_deref().unwrap_or(OWNER);
    check_owner(owner)?;
    say_where(context, demo);
    let doing = Doing::now("run", owner, arguments.run.as_deref());
    let outcome = work(context, arguments, owner).await;
    if let (Err(failure), false) = (&outcome, demo) {
        doing.failed(context, failure).await;
    }
    outcome
}

async fn work(context: &Context, arguments: &RunArguments, owner: &str) -> Outcome {
    let demo = arguments.demo;
    let warehouse = open::to_write(context, demo).await?;
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    if let (Some(from), Some(id)) = (arguments.from, &arguments.run) {
        return redo(context, &warehouse, (id, from), demo, arguments.json).await;
    }
    let way = Way::to_site(context, &warehouse).await?;
    let request = RunRequest {
        id: new_id(owner),
        owner: owner.into(),
        scope: way::scope(context, &way.origin_id),
        fresh: arguments.new,
        new_before: arguments.new_before,
        wait: arguments.wait,
        only_this: false,
    };
    if !context.config.origin.is_loopback() {
        let plan = estimate::of(context, Some(&warehouse), &request.scope).await?;
        context.screen.say(&plan.first_line());
    }
    let progress = Progress::new(context.screen.clone(), Follow::Steps);
    let (pipeline, _shop) = way.pipeline(
        context,
        &warehouse,
        way::clock(context),
        progress.listener(),
    );
    let run = pipeline.begin_run(&request).await?;
    finish(
        context,
        &pipeline,
        &run,
        &progress,
        Shown {
            demo,
            json: arguments.json,
        },
    )
    .await
}

/// How a run's end is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// It is the demo's.
    pub(crate) demo: bool,
    /// As JSON.
    pub(crate) json: bool,
}

/// Runs what is left of a run, and shows its report and what to try next.
pub(crate) async fn finish(
    context: &Context,
    pipeline: &Pipeline,
    run: &Run,
    progress: &Progress,
    shown: Shown,
) -> Outcome {
    let done = pipeline.run(run).await;
    progress.clear();
    let outcome = match done {
        Ok(report) => show(context, pipeline, &report, shown).await,
        Err(error) => Err(error.into()),
    };
    if !shown.demo {
        telling::send(context, pipeline.warehouse()).await;
    }
    outcome
}

async fn show(context: &Context, pipeline: &Pipeline, report: &RunReport, shown: Shown) -> Outcome {
    if shown.json {
        print::json(report)?;
    } else {
        print::text(&report::people(report, shown.demo))?;
        next::show(context, pipeline.warehouse(), shown.demo).await?;
    }
    Ok(Exit::from_code(report.exit_code))
}

async fn redo(
    context: &Context,
    warehouse: &Warehouse,
    (id, from): (&str, Step),
    demo: bool,
    json: bool,
) -> Outcome {
    let run = find(warehouse, id, demo).await?;
    let (pipeline, progress, _shop) =
        pipeline_for(context, warehouse, &run, demo, from.asks_the_site()).await?;
    let run = pipeline.redo(id, from).await?;
    finish(context, &pipeline, &run, &progress, Shown { demo, json }).await
}

/// Derives a finished run anew from its stored pages, without showing its report.
pub(crate) async fn derive_anew(
    context: &Context,
    warehouse: &Warehouse,
    id: &str,
    demo: bool,
) -> Outcome<Exit> {
    let run = find(warehouse, id, demo).await?;
    let (pipeline, progress, _shop) = pipeline_for(context, warehouse, &run, demo, false).await?;
    let run = pipeline.redo(id, Step::TransformProducts).await?;
    let done = pipeline.run(&run).await;
    progress.clear();
    Ok(Exit::from_code(done?.exit_code))
}

/// A run that must exist.
pub(crate) async fn find(warehouse: &Warehouse, id: &str, demo: bool) -> Outcome<Run> {
    warehouse.run(id).await?.ok_or_else(|| {
        let shown: String = id.chars().take(128).collect();
        Failure::usage(format!("there is no run {shown:?}"))
            .help(format!("`tiki runs{}` lists them", open::flag(demo)))
    })
}

/// A pipeline that goes on with a run: of the demo, its shop is opened again on the run's day.
pub(crate) async fn pipeline_for(
    context: &Context,
    warehouse: &Warehouse,
    run: &Run,
    demo: bool,
    asks: bool,
) -> Outcome<(Pipeline, Progress, Option<storefront::Storefront>)> {
    let origin = pipeline::Scope::from_json(&run.scope).map(|scope| scope.origin);
    let progress = Progress::new(context.screen.clone(), Follow::Steps);
    let products = origin
        .as_deref()
        .and_then(way::demo_products)
        .filter(|_| demo);
    let (way, clock) = match products {
        Some(products) => (
            Way::to_demo(context, warehouse, products, run.clock_at).await?,
            pipeline::Clock::simulated(run.clock_at),
        ),
        None if asks => (Way::to_site(context, warehouse).await?, way::clock(context)),
        None => (Way::unasked(context, warehouse)?, way::clock(context)),
    };
    let (pipeline, shop) = way.pipeline(context, warehouse, clock, progress.listener());
    Ok((pipeline, progress, shop))
}

/// Says where everything is.
pub(crate) fn say_where(context: &Context, demo: bool) {
    let config = &context.config;
    context
        .screen
        .say(&format!("data folder: {}", config.data_dir.display()));
    let warehouse = match (demo, config.database_url.starts_with("postgres")) {
        (true, true) => format!("{} (schema demo)", config.database_url),
        (true, false) => format!("sqlite:{}", config.data_dir.join("demo.db").display()),
        (false, _) => config.database_url.clone(),
    };
    context.screen.say(&format!("warehouse:   {warehouse}"));
}

/// `<owner>-<UTC time>-<four hex digits>`.
fn new_id(owner: &str) -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let chance = RandomState::new().build_hasher().finish() & 0xffff;
    format!(
        "{owner}-{}-{chance:04x}",
        jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S")
    )
}
