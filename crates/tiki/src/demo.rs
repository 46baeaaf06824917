//! `tiki run --demo`: a simulated shop in this process, and one run for each day up to today.
//!
//! Not here: the shop (`storefront`), a run (`pipeline`).

use catalog::{Day, Instant};
use pipeline::{Clock, Exit, Pipeline, RunReport, RunRequest};
use storefront::Storefront;
use warehouse::{RunState, Warehouse};

use crate::arguments::RunArguments;
use crate::failure::Outcome;
use crate::progress::{Follow, Progress, days_bar};
use crate::run::{OWNER, say_where};
use crate::way::{self, Way};
use crate::{Context, interrupt, next, open, print, report};

/// The hour of a simulated day at which its run begins.
const HOUR: i8 = 2;

/// A day further on, when today has been run before.
const MINUTE_MILLIS: i64 = 60_000;

/// A run to do: its id and its instant.
type Task = (String, Instant);

/// `tiki run --demo`.
pub(crate) async fn run(context: &Context, arguments: &RunArguments) -> Outcome {
    say_where(context, true);
    let warehouse = open::to_write(context, true).await?;
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    let zone = context.config.zone();
    let today = context
        .config
        .clock
        .unwrap_or_else(|| Clock::System.now())
        .day(zone);
    let first = today
        .minus_days(arguments.demo_days - 1)
        .at_hour(HOUR, zone);
    let way = Way::to_demo(context, &warehouse, arguments.demo_products, first).await?;
    let scope = way::scope(context, &way.origin_id);
    let (tasks, left_out) = tasks(context, &warehouse, today, arguments.demo_days).await?;
    let days = arguments.demo_days;
    let left = i64::try_from(tasks.len()).unwrap_or(i64::MAX);
    let more = if left > days {
        ", and what was left unfinished before"
    } else {
        ""
    };
    context.screen.say(&format!(
        "demo:        {} simulated products, {} of {days} days to run{more}",
        arguments.demo_products,
        left.min(days)
    ));
    if left_out > 0 {
        context.screen.say(&format!(
            "note:        earlier days ({left_out}) are left out, as the demo has later ones; to have all \
             {days} begin anew: {}, or choose another --data-dir",
            open::to_begin_demo_anew(context)
        ));
    }
    let progress = Progress::new(context.screen.clone(), Follow::Days);
    let clock = Clock::simulated(first);
    let (pipeline, shop) = way.pipeline(context, &warehouse, clock, progress.listener());
    let mut demo = Demo {
        context,
        pipeline,
        shop,
        progress,
        exit: Exit::Done,
    };
    let requests = tasks.into_iter().map(|(id, at)| {
        let request = RunRequest {
            id,
            owner: OWNER.into(),
            scope: scope.clone(),
            fresh: false,
            new_before: None,
            wait: arguments.wait,
            only_this: true,
        };
        (request, at)
    });
    let report = demo.days(&requests.collect::<Vec<_>>()).await?;
    match report {
        Some(report) if arguments.json => print::json(&report)?,
        Some(report) => {
            print::text(&report::people(&report, true))?;
            next::show(context, &warehouse, true).await?;
        }
        None => {}
    }
    Ok(demo.exit)
}

/// The days to run, those left unfinished first; when there are none, today again. And how many days are
/// left out: those before one that was run, on which that day's products would be found gone.
async fn tasks(
    context: &Context,
    warehouse: &Warehouse,
    today: Day,
    days: i64,
) -> Outcome<(Vec<Task>, usize)> {
    let zone = context.config.zone();
    let mut tasks: Vec<Task> = Vec::new();
    for run in warehouse.unfinished_runs().await? {
        if run.id.starts_with("demo-") && run.state == RunState::Open {
            tasks.push((run.id, run.clock_at));
        }
    }
    let (mut new, mut left_out) = (Vec::new(), 0);
    for back in (0..days).rev() {
        let day = today.minus_days(back);
        let id = format!("demo-{day}");
        if warehouse.run(&id).await?.is_none() {
            new.push((id, day.at_hour(HOUR, zone)));
        } else {
            left_out += new.len();
            new.clear();
        }
    }
    tasks.extend(new);
    let mut again = 2;
    while tasks.is_empty() {
        let id = format!("demo-{today}-{again}");
        if warehouse.run(&id).await?.is_none() {
            let at = today
                .at_hour(HOUR, zone)
                .plus_millis((again - 1) * MINUTE_MILLIS);
            tasks.push((id, at));
        }
        again += 1;
    }
    Ok((tasks, left_out))
}

struct Demo<'a> {
    context: &'a Context,
    pipeline: Pipeline,
    shop: Option<Storefront>,
    progress: Progress,
    exit: Exit,
}

impl Demo<'_> {
    /// Runs days; the last one's report.
    async fn days(&mut self, requests: &[(RunRequest, Instant)]) -> Outcome<Option<RunReport>> {
        let bar = days_bar(&self.context.screen, requests.len() as u64);
        let mut last = None;
        for (index, (request, at)) in requests.iter().enumerate() {
            if index + 1 == requests.len() {
                self.progress.follow(Follow::Steps);
            }
            let done = self.day(request, *at).await;
            if done.is_err() {
                self.progress.clear();
                if let Some(bar) = &bar {
                    bar.finish_and_clear();
                }
            }
            let report = done?;
            self.exit = self.exit.worse(Exit::from_code(report.exit_code));
            self.context.screen.say(&line(&request.id, &report));
            if let Some(bar) = &bar {
                bar.inc(1);
            }
            last = Some(report);
        }
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        Ok(last)
    }

    async fn day(&self, request: &RunRequest, at: Instant) -> Outcome<RunReport> {
        if let Some(shop) = &self.shop {
            shop.clock().set(at.millis());
        }
        self.pipeline.clock().set(at);
        let run = self.pipeline.begin_run(request).await?;
        if run.state != RunState::Open {
            return Ok(self.pipeline.report(&run.id).await?);
        }
        Ok(self.pipeline.run(&run).await?)
    }
}

fn line(id: &str, report: &RunReport) -> String {
    let products = report.totals.products;
    // A day that comes after later ones, and no other, has any.
    let late = if products.late == 0 {
        String::new()
    } else {
        format!(" {:>4} late,", products.late)
    };
    format!(
        "{:<12} {:>5} products: {:>4} new, {:>4} changed, {:>4} unchanged,{late} {:>3} gone; {:>4} details \
         asked; {:>4.1} s",
        id.trim_start_matches("demo-"),
        products.listed + products.rechecked,
        products.new,
        products.changed,
        products.unchanged,
        products.gone,
        report.totals.details.due - report.totals.details.deferred,
        report.seconds
    )
}
