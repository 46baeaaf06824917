//! `tiki rejections`: records that were refused, why, and trying them again.

use catalog::{BodyError, BodyLimits};
use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::{RejectionRow, StoredPage, Warehouse};

use crate::arguments::{Output, RejectionsArguments, RejectionsCommand};
use crate::failure::{Failure, Outcome};
use crate::{Context, interrupt, open, print, run};

/// Characters of a body that are shown to people; JSON has all.
const BODY_CHARS: usize = 100_000;

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
            let rows = rows.await?;
            show(context, &rows, output)?;
            if !output.json {
                let how = format!("`tiki rejections list{} --limit`", open::flag(output.demo));
                context.screen.say_if_cut(rows.len(), limit, &how);
            }
            Ok(Exit::Done)
        }
        RejectionsCommand::Show { id, output } => one(context, id, output).await,
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

/// A rejection and the body that was refused.
async fn one(context: &Context, id: i64, output: Output) -> Outcome {
    let warehouse = ledger(context, output).await?;
    let row = warehouse.rejection(id).await?.ok_or_else(|| {
        let demo = open::flag(output.demo);
        Failure::usage(format!("there is no rejection {id}"))
            .help(format!("`tiki rejections{demo}` lists them"))
    })?;
    let page = match row.page_id {
        Some(id) => warehouse.page(id).await?,
        None => None,
    };
    let body = page.as_ref().map(body);
    if output.json {
        let mut value = as_json(&row);
        value["page"] = page.zip(body).map_or(Value::Null, |(page, body)| {
            json!({
                "source": page.source,
                "fetched_at": page.fetched_at.to_string(),
                "body": body.as_ref().ok(),
                "unreadable": body.as_ref().err().map(ToString::to_string),
            })
        });
        print::json(&value)?;
        return Ok(Exit::Done);
    }
    show(context, std::slice::from_ref(&row), output)?;
    match (page, body) {
        (Some(page), Some(Ok(body))) => {
            let shown: String = body.chars().take(BODY_CHARS).collect();
            let rest = if shown.len() < body.len() {
                format!("\nthe first {BODY_CHARS} characters; --json has all\n")
            } else {
                "\n".into()
            };
            let (source, at) = (page.source, page.fetched_at);
            print::text(&format!("\nits page, by {source} at {at}:\n{shown}{rest}"))?;
        }
        (_, Some(Err(error))) => print::line(&format!("\nits page cannot be read: {error}"))?,
        _ if row.page_id.is_none() => print::line("\nno page is kept with it")?,
        _ => print::line("\nits page is not kept any more (TIKI_KEEP_PAGES)")?,
    }
    Ok(Exit::Done)
}

/// A page's body, unpacked.
fn body(page: &StoredPage) -> Result<String, BodyError> {
    // Nobody reads into it here.
    let limits = BodyLimits {
        max_depth: usize::MAX,
        ..BodyLimits::default()
    };
    let body = catalog::read_body(&page.body, page.encoding, &limits)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
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
