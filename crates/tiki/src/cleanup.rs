//! `tiki cleanup`: what is older than it may be goes, without a run.
//!
//! Not here: what may go (`warehouse`), the order in which it does (`pipeline`), when it is time (`clockwork`).

use pipeline::{Cleaned, Event, Exit, Listener, Pipeline};
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
        let cleaned = pipeline.clean_up().await?;
        if !demo {
            telling::send(context, pipeline.warehouse()).await;
        }
        cleaned
    };
    show(context, arguments, &cleaned, old_logs)?;
    Ok(Exit::Done)
}

fn show(
    context: &Context,
    arguments: &CleanupArguments,
    cleaned: &Cleaned,
    old_logs: u64,
) -> Outcome<()> {
    let dry_run = arguments.dry_run;
    if arguments.output.json {
        return print::json(&json!({
            "dry_run": dry_run,
            "removed_count": if dry_run { 0 } else { cleaned.count() + old_logs },
            "temporary_files": cleaned.files,
            "log_files": old_logs,
            "removed": cleaned.kinds,
            "warnings": cleaned.warnings,
        }));
    }
    if dry_run {
        let say = |text: &String| context.screen.warn(text);
        cleaned.warnings.iter().for_each(say);
    }
    let cells = cleaned.kinds.iter().map(|kind| {
        let what = match kind.rows {
            _ if kind.announced => "stay this time".to_owned(),
            Some(rows) => format!("{rows} rows went"),
            None => "would go".to_owned(),
        };
        vec![
            kind.kind.to_owned(),
            kind.older_than.clone(),
            kind.runs.to_string(),
            what,
        ]
    });
    let cells: Vec<Vec<String>> = cells.collect();
    if !cells.is_empty() {
        let columns = ["kind", "older than", "runs", "what becomes of them"];
        print::text(&print::table(&columns, &cells))?;
    }
    let verb = if dry_run { "would go" } else { "went" };
    print::line(&format!(
        "{} kinds of rows are old enough; {} temporary files and {old_logs} log files {verb}",
        cleaned.kinds.len(),
        cleaned.files,
    ))
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
