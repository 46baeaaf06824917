//! `tiki step`: one step of a run, the task of an Airflow. Its report is the last line of standard
//! output.
//!
//! Not here: what a step does (`pipeline`).

use std::time::Duration;

use pipeline::{Clock, Error, Exit, Pipeline, RunRequest, Scope, Step, StepReport, StepRequest};
use serde_json::json;
use warehouse::Warehouse;

use crate::arguments::{StepArguments, TimeLimit};
use crate::failure::{Failure, Outcome};
use crate::progress::{Follow, Progress};
use crate::run::OWNER;
use crate::telling::{self, Doing};
use crate::way::{self, Way};
use crate::{Context, estimate, interrupt, open, print};

/// The shortest limit of a step that is limited by its plan.
const SHORTEST_LIMIT: Duration = Duration::from_hours(1);
/// Where a plan says nothing of how long it takes.
const UNPLANNED_LIMIT: Duration = Duration::from_hours(24);

/// `tiki step`.
pub(crate) async fn step(context: &Context, arguments: StepArguments) -> Outcome {
    let (Some(step), Some(run)) = (arguments.name, arguments.run.clone()) else {
        return list(arguments.json);
    };
    arguments.owner.as_deref().map_or(Ok(()), check_owner)?;
    let words = format!("step {}", step.name());
    let owner = arguments.owner.clone().unwrap_or_else(|| OWNER.into());
    let doing = Doing::now(&words, &owner, Some(&run));
    let outcome = go(context, arguments, (step, &run)).await;
    if let Err(failure) = &outcome {
        doing.failed(context, failure).await;
    }
    outcome
}

async fn go(context: &Context, arguments: StepArguments, (step, run): (Step, &str)) -> Outcome {
    let warehouse = open::to_write(context, false).await?;
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    let ready = ready(context, &warehouse, (run, step), arguments.timeout).await;
    let (way, scope, timeout) = match ready {
        Ok(ready) => ready,
        Err(failure) => {
            tell_failure(step, run, &failure, None)?;
            return Err(failure);
        }
    };
    let progress = Progress::new(context.screen.clone(), Follow::Steps);
    let (pipeline, _) = way.pipeline(
        context,
        &warehouse,
        way::clock(context),
        progress.listener(),
    );
    let request = StepRequest {
        run: run.to_owned(),
        step,
        attempt: arguments.attempt,
        shard: arguments.shard,
        join: arguments.join,
        timeout,
        owner: arguments.owner.clone(),
        again: arguments.again,
        goes_on: false,
    };
    let done = work(&pipeline, request, scope).await;
    progress.clear();
    let outcome = tell(step, run, done);
    telling::send(context, &warehouse).await;
    outcome
}

/// The last line of standard output.
fn tell(step: Step, run: &str, done: Result<StepReport, Error>) -> Outcome {
    match done {
        Ok(report) => {
            print::json(&report)?;
            Ok(report.exit())
        }
        Err(error) => {
            let retry_at = error.retry_after().map(|wait| {
                let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                Clock::System.now().plus_millis(millis).to_string().into()
            });
            let failure = Failure::from(error);
            tell_failure(step, run, &failure, retry_at)?;
            Err(failure)
        }
    }
}

/// What a step works with: the site, what is crawled of it, how long it may take.
async fn ready(
    context: &Context,
    warehouse: &Warehouse,
    (run, step): (&str, Step),
    limit: Option<TimeLimit>,
) -> Outcome<(Way, Scope, Option<Duration>)> {
    let way = if step.asks_the_site() {
        Way::to_site(context, warehouse).await?
    } else {
        Way::unasked(context, warehouse)?
    };
    let scope = way::scope(context, &way.origin_id);
    let timeout = time_limit(context, warehouse, &scope, (run, step), limit).await?;
    Ok((way, scope, timeout))
}

async fn work(
    pipeline: &Pipeline,
    request: StepRequest,
    scope: Scope,
) -> Result<StepReport, Error> {
    if request.step == Step::CrawlCategories {
        let begin = RunRequest {
            id: request.run.clone(),
            owner: request.owner.clone().unwrap_or_else(|| OWNER.into()),
            scope,
            fresh: false,
            new_before: None,
            wait: false,
            only_this: true,
        };
        pipeline.begin_run(&begin).await?;
    }
    let report = pipeline.step(&request).await?;
    if request.step == Step::SendNotification {
        pipeline.end_run(&request.run).await?;
    }
    Ok(report)
}

/// How long a step may take.
async fn time_limit(
    context: &Context,
    warehouse: &Warehouse,
    scope: &Scope,
    (run, step): (&str, Step),
    limit: Option<TimeLimit>,
) -> Outcome<Option<Duration>> {
    match limit {
        None => return Ok(None),
        Some(TimeLimit::Span(span)) => return Ok(Some(span)),
        Some(TimeLimit::Plan) if !step.asks_the_site() => return Ok(Some(SHORTEST_LIMIT)),
        Some(TimeLimit::Plan) => {}
    }
    let plan = estimate::of(context, Some(warehouse), scope).await?;
    let mut requests = plan.requests;
    if step == Step::CrawlProductDetails && scope.details != "never" {
        // What was listed is known by now, and each of them may be due.
        let products = warehouse.identities(run).await?.products;
        let listed = products.listed + products.rechecked;
        requests = Some(listed.max(plan.details.unwrap_or(0)));
    }
    let Some(requests) = requests.and_then(|requests| u32::try_from(requests).ok()) else {
        return Ok(Some(UNPLANNED_LIMIT));
    };
    let spacing = Duration::from_secs_f64(plan.seconds_per_request);
    let expected = spacing.saturating_mul(requests);
    Ok(Some(expected.saturating_mul(3).max(SHORTEST_LIMIT)))
}

/// The last line of a step that failed.
fn tell_failure(
    step: Step,
    run: &str,
    failure: &Failure,
    retry_at: Option<serde_json::Value>,
) -> Outcome<()> {
    let mut report = json!({
        "step": step.name(),
        "run_id": run,
        "exit_code": failure.exit.code(),
        "error": failure.line(),
    });
    if let (Some(at), Some(object)) = (retry_at, report.as_object_mut()) {
        object.insert("retry_at".into(), at);
    }
    print::json(&report)
}

/// Refuses a name that is no owner of runs.
pub(crate) fn check_owner(owner: &str) -> Outcome<()> {
    // As long as Airflow lets a DAG's id be; an index holds it.
    let fits =
        |dag: &str| (1..=250).contains(&dag.chars().count()) && !dag.contains(char::is_control);
    let airflow = owner.strip_prefix("airflow:").is_some_and(fits);
    if airflow || owner == "cli" || owner == "serve" {
        return Ok(());
    }
    let shown: String = owner.chars().take(80).collect();
    Err(Failure::usage(format!("{shown:?} is no owner of a run"))
        .help("write cli, serve or airflow:<dag>"))
}

fn list(as_json: bool) -> Outcome {
    if as_json {
        let steps: Vec<_> = Step::ALL
            .iter()
            .map(|step| {
                json!({ "name": step.name(), "task_id": step.task_id(), "keys": step.keys() })
            })
            .collect();
        print::json(&steps)?;
    } else {
        let rows: Vec<Vec<String>> = Step::ALL
            .iter()
            .map(|step| {
                vec![
                    step.name().into(),
                    step.task_id().into(),
                    step.keys().join(", "),
                ]
            })
            .collect();
        print::text(&print::table(
            &["step", "Airflow task id", "keys of its report"],
            &rows,
        ))?;
    }
    Ok(Exit::Done)
}
