//! `tiki step`: one step of a run, the task of an Airflow. Its report is the last line of standard
//! output.
//!
//! Not here: what a step does (`pipeline`).

use pipeline::{Clock, Error, Exit, Pipeline, RunRequest, Step, StepReport, StepRequest};
use serde_json::json;

use crate::arguments::StepArguments;
use crate::failure::{Failure, Outcome};
use crate::progress::{Follow, Progress};
use crate::way::{self, Way};
use crate::{Context, interrupt, open, print};

/// `tiki step`.
pub(crate) async fn step(context: &Context, arguments: StepArguments) -> Outcome {
    let (Some(step), Some(run)) = (arguments.name, arguments.run.clone()) else {
        return list(arguments.json);
    };
    check_owner(&arguments.owner)?;
    let warehouse = open::to_write(context, false).await?;
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    let way = if step.asks_the_site() {
        Way::to_site(context, &warehouse).await
    } else {
        Way::unasked(context, &warehouse)
    };
    let way = match way {
        Ok(way) => way,
        Err(failure) => {
            tell_failure(step, &run, &failure, None)?;
            return Err(failure);
        }
    };
    let scope = way::scope(context, &way.origin_id);
    let progress = Progress::new(context.screen.clone(), Follow::Steps);
    let (pipeline, _) = way.pipeline(
        context,
        &warehouse,
        way::clock(context),
        progress.listener(),
    );
    let begin = RunRequest {
        id: run.clone(),
        owner: arguments.owner.clone(),
        scope,
        fresh: false,
        wait: false,
        only_this: true,
    };
    let done = work(&pipeline, step, begin, &arguments).await;
    progress.clear();
    match done {
        Ok(report) => {
            print::line(&report.to_json())?;
            Ok(report.exit())
        }
        Err(error) => {
            let retry_at = match &error {
                Error::Refused { retry_after, .. } => {
                    let millis = i64::try_from(retry_after.as_millis()).unwrap_or(i64::MAX);
                    Some(Clock::System.now().plus_millis(millis).to_string().into())
                }
                _ => None,
            };
            let failure = Failure::from(error);
            tell_failure(step, &run, &failure, retry_at)?;
            Err(failure)
        }
    }
}

async fn work(
    pipeline: &Pipeline,
    step: Step,
    begin: RunRequest,
    arguments: &StepArguments,
) -> Result<StepReport, Error> {
    let run = begin.id.clone();
    if step == Step::CrawlCategories {
        pipeline.begin_run(&begin).await?;
    }
    let request = StepRequest {
        run,
        step,
        attempt: arguments.attempt,
        shard: arguments.shard,
        join: arguments.join,
        timeout: arguments.timeout,
    };
    pipeline.step(&request).await
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

fn check_owner(owner: &str) -> Outcome<()> {
    let airflow = owner
        .strip_prefix("airflow:")
        .is_some_and(|dag| !dag.is_empty());
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
