//! `tiki rejections`: records that were refused, and why.

use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::RejectionRow;

use crate::arguments::{RejectionsArguments, RejectionsCommand};
use crate::failure::{Failure, Outcome};
use crate::{Context, open, print};

/// `tiki rejections`.
pub(crate) async fn rejections(context: &Context, arguments: RejectionsArguments) -> Outcome {
    let command = arguments.command.unwrap_or(RejectionsCommand::List {
        run: None,
        reason: None,
        limit: 20,
        output: arguments.output,
    });
    let output = match &command {
        RejectionsCommand::List { output, .. } | RejectionsCommand::Show { output, .. } => *output,
    };
    let Some(warehouse) = open::ledger(context, output.demo).await? else {
        return Err(open::empty(context, output.demo, false).await);
    };
    let (rows, one) = match command {
        RejectionsCommand::List {
            run, reason, limit, ..
        } => (
            warehouse
                .rejections(run.as_deref(), reason.as_deref(), limit)
                .await?,
            false,
        ),
        RejectionsCommand::Show { id, .. } => {
            let row = warehouse.rejection(id).await?;
            let row = row.ok_or_else(|| {
                Failure::usage(format!("there is no rejection {id}"))
                    .help("`tiki rejections` lists them")
            })?;
            (vec![row], true)
        }
    };
    match (output.json, one) {
        (true, true) => print::json(&rows.first().map(as_json))?,
        (true, false) => print::json(&rows.iter().map(as_json).collect::<Vec<_>>())?,
        (false, _) if rows.is_empty() => context.screen.say("nothing was refused"),
        (false, _) => {
            let columns = [
                "id", "run", "step", "product", "reason", "field", "seen", "when",
            ];
            let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
            print::text(&print::table(&columns, &cells))?;
        }
    }
    Ok(Exit::Done)
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
