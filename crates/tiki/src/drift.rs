//! `tiki drift`: what of the site's answers changed its shape, and what becomes of a run that it stopped.
//!
//! Not here: finding it (`catalog`), stopping the run (`pipeline`).

use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::{DriftRow, Run, RunState, Warehouse};

use crate::arguments::{DriftArguments, DriftCommand, Output};
use crate::failure::Outcome;
use crate::run::{self, Shown};
use crate::runs::{self, ByHand};
use crate::{Context, interrupt, open, print};

/// Runs among which the newest is looked for.
const NEWEST: i64 = 1;

/// `tiki drift`.
pub(crate) async fn drift(context: &Context, arguments: DriftArguments) -> Outcome {
    let command = arguments.command.unwrap_or(DriftCommand::Show {
        run: None,
        output: arguments.output,
    });
    match command {
        DriftCommand::Show { run, output } => show(context, run.as_deref(), output).await,
        DriftCommand::Accept { run, output } => accept(context, &run, output).await,
        DriftCommand::Reject { run, output } => reject(context, &run, output).await,
    }
}

async fn show(context: &Context, id: Option<&str>, output: Output) -> Outcome {
    let Some(warehouse) = open::ledger(context, output.demo).await? else {
        return Err(open::empty(context, output.demo, false).await);
    };
    let Some(run) = wanted(&warehouse, id, output.demo).await? else {
        let text = open::no_runs(context, output.demo).await?;
        context.screen.say(&text);
        return Ok(Exit::Done);
    };
    let rows = warehouse.drift(&run.id).await?;
    if output.json {
        let findings: Vec<Value> = rows.iter().map(as_json).collect();
        print::json(&json!({
            "run_id": run.id,
            "state": run.state.as_str(),
            "findings": findings,
        }))?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        let text = format!("run {}: nothing changed its shape\n", run.id);
        print::text(&text)?;
        return Ok(Exit::Done);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let columns = [
        "source", "endpoint", "root", "field", "what", "was", "is", "of", "stops",
    ];
    let mut text = format!("run {} is {}\n", run.id, run.state.as_str());
    text += &print::table(&columns, &cells);
    if run.state == RunState::Held {
        text += &format!(
            "load it all the same: tiki drift accept {id}{flag}\n\
             give it up:           tiki drift reject {id}{flag}\n",
            id = run.id,
            flag = open::flag(output.demo)
        );
    }
    print::text(&text)?;
    Ok(Exit::Done)
}

/// The run that is meant: by its id, else the newest that is held, else the newest.
async fn wanted(warehouse: &Warehouse, id: Option<&str>, demo: bool) -> Outcome<Option<Run>> {
    if let Some(id) = id {
        return run::find(warehouse, id, demo).await.map(Some);
    }
    let held = warehouse.held_runs(NEWEST).await?;
    if let Some(run) = held.into_iter().next() {
        return Ok(Some(run));
    }
    Ok(warehouse.runs(NEWEST).await?.into_iter().next())
}

fn cells(row: &DriftRow) -> Vec<String> {
    vec![
        row.source.clone(),
        row.endpoint.clone(),
        row.root.to_string(),
        row.field.clone(),
        row.kind.clone(),
        figure(row, row.was),
        figure(row, row.now_is),
        row.sample.to_string(),
        if row.stops { "yes" } else { "no" }.to_owned(),
    ]
}

/// A share in percent; of a range the typical number.
fn figure(row: &DriftRow, value: f64) -> String {
    if row.kind == "range" {
        format!("{value:.0}")
    } else {
        format!("{:.1} %", value * 100.0)
    }
}

fn as_json(row: &DriftRow) -> Value {
    json!({
        "source": row.source,
        "endpoint": row.endpoint,
        "root": row.root,
        "field": row.field,
        "kind": row.kind,
        "was": row.was,
        "is": row.now_is,
        "sample": row.sample,
        "stops": row.stops,
    })
}

async fn accept(context: &Context, id: &str, output: Output) -> Outcome {
    if open::ledger(context, output.demo).await?.is_none() {
        return Err(open::empty(context, output.demo, false).await);
    }
    let warehouse = open::to_write(context, output.demo).await?;
    let run = run::find(&warehouse, id, output.demo).await?;
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    let (pipeline, progress, _shop) =
        run::pipeline_for(context, &warehouse, &run, output.demo, false).await?;
    let run = pipeline.accept_drift(id).await?;
    let shown = Shown {
        demo: output.demo,
        json: output.json,
    };
    run::finish(context, &pipeline, &run, &progress, shown).await
}

async fn reject(context: &Context, id: &str, output: Output) -> Outcome {
    runs::end_by_hand(context, id, output, ByHand::Reject).await?;
    // The run ended with 11; this command did what it was told.
    Ok(Exit::Done)
}
