//! `tiki cleanup`: what is older than it may be goes, without a run.
//!
//! Not here: what may go (`warehouse`), the order in which it does (`pipeline`), when it is time (`clockwork`).

use pipeline::{Cleaned, CleanedKind, Event, Exit, Listener, Pipeline};
use serde_json::json;

use crate::arguments::CleanupArguments;
use crate::failure::{Failure, Outcome};
use crate::telling::{self, Doing};
use crate::{Context, interrupt, log, open, print, way};

/// `tiki cleanup`; `old_logs` are the log files that went, or would go. A clean-up that fails is told.
pub(crate) async fn cleanup(
    context: &Context,
    arguments: &CleanupArguments,
    old_logs: u64,
) -> Outcome {
    let tells = !arguments.dry_run && !arguments.output.demo;
    let doing = Doing::now("cleanup", "", None);
    let outcome = obey(context, arguments, old_logs).await;
    if let (Err(failure), true) = (&outcome, tells) {
        doing.failed(context, failure).await;
    }
    outcome
}

async fn obey(context: &Context, arguments: &CleanupArguments, old_logs: u64) -> Outcome {
    let (dry_run, demo) = (arguments.dry_run, arguments.output.demo);
    // A clock that stands far ahead would take everything away.
    context.config.check_clock()?;
    let Some(warehouse) = open::ledger(context, demo).await? else {
        return Err(
            Failure::new(Exit::Nothing, "there is nothing to clean up yet")
                .help("`tiki run` fills the warehouse; `tiki config show` says which one it is"),
        );
    };
    let screen = context.screen.clone();
    let listener = Listener::new(move |event| {
        if let Event::Warning(text) = event {
            screen.warn(&text);
        }
    });
    let pipeline = Pipeline::new(
        warehouse,
        None,
        way::clock(context),
        context.config.pipeline.clone(),
        listener,
        context.stop.clone(),
    );
    let cleaned = if dry_run {
        pipeline.would_clean_up().await?
    } else {
        interrupt::listen(context.stop.clone(), context.screen.clone())?;
        let cleaned = pipeline.clean_up().await.map_err(not_now)?;
        if !demo {
            telling::send(context, pipeline.warehouse()).await;
        }
        cleaned
    };
    if old_logs > 0 && !dry_run {
        tracing::info!(files = old_logs, "old log files went");
    }
    show(context, arguments, &cleaned, old_logs)?;
    Ok(Exit::Done)
}

/// Who cleans up already is named, and is no run that `tiki runs` would show.
fn not_now(error: pipeline::Error) -> Failure {
    let held = matches!(error, pipeline::Error::Held(_));
    let failure = Failure::from(error);
    if held {
        failure.without_help()
    } else {
        failure
    }
}

fn show(
    context: &Context,
    arguments: &CleanupArguments,
    cleaned: &Cleaned,
    old_logs: u64,
) -> Outcome<()> {
    let dry_run = arguments.dry_run;
    if arguments.output.json {
        let (went, would_go): (&[_], &[_]) = if dry_run {
            (&[], &cleaned.kinds)
        } else {
            (&cleaned.kinds, &[])
        };
        return print::json(&json!({
            "dry_run": dry_run,
            "removed_count": if dry_run { 0 } else { cleaned.count() + old_logs },
            "temporary_files": cleaned.files,
            "log_files": old_logs,
            "removed": went,
            "would_remove": would_go,
            "kept_this_time": cleaned.kept,
            "warnings": cleaned.warnings,
        }));
    }
    if dry_run {
        let say = |text: &String| context.screen.warn(text);
        cleaned.warnings.iter().for_each(say);
    }
    let kept = cleaned
        .kept
        .iter()
        .map(|kind| cells(kind, "stay this time"));
    let verb = if dry_run { "would go" } else { "went" };
    let cells: Vec<Vec<String>> = kept
        .chain(cleaned.kinds.iter().map(|kind| cells(kind, verb)))
        .collect();
    if !cells.is_empty() {
        let columns = ["kind", "older than", "runs", "what becomes of their rows"];
        print::text(&print::table(&columns, &cells))?;
    }
    let kinds = match cells.len() {
        0 => "no more rows are old enough".to_owned(),
        1 => "1 kind of rows is old enough".to_owned(),
        count => format!("{count} kinds of rows are old enough"),
    };
    let (files, logs) = (
        some(cleaned.files, "temporary file"),
        some(old_logs, "log file"),
    );
    print::line(&format!("{kinds}; {files} and {logs} {verb}"))
}

/// What becomes of a kind of rows.
fn cells(kind: &CleanedKind, verb: &str) -> Vec<String> {
    let rows = match (kind.rows, kind.rows_estimated) {
        (Some(rows), _) => format!("{} {verb}", some(rows, "row")),
        (None, Some(rows)) => format!("about {} {verb}", some(rows, "row")),
        (None, None) => verb.to_owned(),
    };
    let waiting = match kind.waiting_runs {
        0 => String::new(),
        runs => format!(
            "; those of {} go later: younger ones may be derived anew",
            some(runs, "more run")
        ),
    };
    vec![
        kind.kind.to_owned(),
        kind.older_than.clone(),
        kind.runs.to_string(),
        rows + &waiting,
    ]
}

/// A number of something.
fn some(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Removes log files that are too old, or only counts them; how many. Like all that fails of logs, it is
/// told and stops nothing.
pub(crate) fn old_logs(context: &Context, dry_run: bool) -> u64 {
    log::remove_old(&context.config, dry_run).unwrap_or_else(|error| {
        let folder = context.config.data_dir.join(log::FOLDER);
        context.screen.warn_unlogged(&format!(
            "old log files in {} stay: {error}",
            folder.display()
        ));
        0
    })
}
