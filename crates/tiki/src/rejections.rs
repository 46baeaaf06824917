//! `tiki rejections`: records that were refused, why, and trying them again.

use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::{RejectionRow, Warehouse};

use crate::arguments::{Output, RejectionsArguments, RejectionsCommand};
use crate::failure::{Failure, Outcome};
use crate::{Context, interrupt, open, print, run};

/// `tiki rejections`.
pub(crate) async fn rejections(context: &Context, arguments: RejectionsArguments) -> Outcome {
    let command = arguments.command.unwrap_or(RejectionsCommand::List {
        run: None,
        reason: None,
        limit: 20,
        output: arguments.output,
    });
    match command {
        RejectionsCommand::List {
            run,
            reason,
            limit,
            output,
        } => {
            let warehouse = ledger(context, output).await?;
            if let Some(id) = &run {
                run::find(&warehouse, id, output.demo).await?;
            }
            let rows = warehouse.rejections(run.as_deref(), reason.as_deref(), limit);
            show(context, &rows.await?, output)
        }
        RejectionsCommand::Show { id, output } => {
            let row = ledger(context, output).await?.rejection(id).await?;
            let row = row.ok_or_else(|| {
                Failure::usage(format!("there is no rejection {id}"))
                    .help("`tiki rejections` lists them")
            })?;
            if output.json {
                print::json(&as_json(&row))?;
                return Ok(Exit::Done);
            }
            show(context, &[row], output)
        }
        RejectionsCommand::Replay {
            run,
            reason,
            id,
            output,
        } => {
            let wanted = (run.as_deref(), reason.as_deref(), id);
            replay(context, wanted, output).await
        }
    }
}

async fn ledger(context: &Context, output: Output) -> Outcome<Warehouse> {
    match open::ledger(context, output.demo).await? {
        Some(warehouse) => Ok(warehouse),
        None => Err(open::empty(context, output.demo, false).await),
    }
}

fn show(context: &Context, rows: &[RejectionRow], output: Output) -> Outcome {
    if output.json {
        print::json(&rows.iter().map(as_json).collect::<Vec<_>>())?;
    } else if rows.is_empty() {
        context.screen.say("nothing was refused");
    } else {
        let columns = [
            "id", "run", "step", "product", "reason", "field", "seen", "when",
        ];
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        print::text(&print::table(&columns, &cells))?;
    }
    Ok(Exit::Done)
}

/// Derives the runs of some rejections anew, the oldest first, and tells how many are left of each. Ends
/// with the first exit code that is not 0.
async fn replay(
    context: &Context,
    (id, reason, rejection): (Option<&str>, Option<&str>, Option<i64>),
    output: Output,
) -> Outcome {
    let warehouse = open::to_write(context, output.demo).await?;
    if let Some(id) = id {
        run::find(&warehouse, id, output.demo).await?;
    }
    let runs = warehouse.runs_to_replay(id, reason, rejection).await?;
    if runs.is_empty() {
        context
            .screen
            .say("no finished run that is still kept whole has such a rejection of a product: nothing to do");
        return Ok(Exit::Nothing);
    }
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    let (mut exit, mut told) = (Exit::Done, Vec::new());
    for id in runs {
        let (before, newest) = warehouse.rejection_count(&id, i64::MAX).await?;
        let code = run::derive_anew(context, &warehouse, &id, output.demo).await?;
        let (after, _) = warehouse.rejection_count(&id, i64::MAX).await?;
        let (left, _) = warehouse.rejection_count(&id, newest).await?;
        let (mended, new) = (before - left, after - left);
        if exit == Exit::Done {
            exit = code;
        }
        if !output.json {
            let mended = match mended {
                0 => "none was mended".to_owned(),
                count => format!("{count} mended"),
            };
            let new = match new {
                0 => String::new(),
                count => format!(", {count} new"),
            };
            print::line(&format!(
                "run {id}: {before} rejections before, {after} now: {mended}{new}"
            ))?;
        }
        told.push(json!({
            "run_id": id,
            "before": before,
            "after": after,
            "mended": mended,
            "new": new,
            "exit_code": code.code(),
        }));
    }
    if output.json {
        print::json(&told)?;
    }
    Ok(exit)
}

fn cells(row: &RejectionRow) -> Vec<String> {
    vec![
        row.id.to_string(),
        row.run_id.clone(),
        row.step.clone(),
        row.product_id.map_or(String::new(), |id| id.to_string()),
        row.reason.clone(),
        row.field.clone().unwrap_or_default(),
        row.seen.clone(),
        row.created_at.to_string(),
    ]
}

fn as_json(row: &RejectionRow) -> Value {
    json!({
        "id": row.id,
        "run_id": row.run_id,
        "step": row.step,
        "product_id": row.product_id,
        "page_id": row.page_id,
        "reason": row.reason,
        "field": row.field,
        "seen": row.seen,
        "created_at": row.created_at.to_string(),
    })
}
