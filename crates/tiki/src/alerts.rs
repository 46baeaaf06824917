//! `tiki alerts`: what was told, a test of the channels, telling again.
//!
//! Not here: telling without being asked (`telling`), how it is sent (`pipeline::alerts`).

use std::time::Duration;

use catalog::{Instant, one_line};
use pipeline::alerts::{PAUSES, test_alert};
use pipeline::{Clock, Exit};
use serde_json::{Value, json};
use warehouse::{AlertRow, DeliveryRow, DeliveryState};

use crate::arguments::{AlertsArguments, AlertsCommand, Output};
use crate::failure::{Failure, Outcome};
use crate::telling::sender;
use crate::{Context, open, print};

/// How long it may take where a person waits for it.
const BY_HAND: Duration = Duration::from_secs(15);

/// Characters of an error or title in a table.
const SHOWN_CHARS: usize = 120;

/// `tiki alerts`.
pub(crate) async fn alerts(context: &Context, arguments: AlertsArguments) -> Outcome {
    let command = arguments.command.unwrap_or(AlertsCommand::List {
        limit: 20,
        output: arguments.output,
    });
    match command {
        AlertsCommand::List { limit, output } => list(context, limit, output).await,
        AlertsCommand::Test { json } => test(context, json).await,
        AlertsCommand::Retry { id, json } => retry(context, &id, json).await,
    }
}

async fn list(context: &Context, limit: i64, output: Output) -> Outcome {
    let rows = match open::ledger(context, output.demo).await? {
        Some(warehouse) => warehouse.alerts(limit).await?,
        None => Vec::new(),
    };
    if output.json {
        print::json(&rows.iter().map(as_json).collect::<Vec<_>>())?;
    } else if rows.is_empty() {
        context.screen.say("no alerts");
    } else {
        print::text(&as_text(&rows))?;
        context
            .screen
            .say_if_cut(rows.len(), limit, "`tiki alerts list --limit`");
    }
    Ok(Exit::Done)
}

async fn test(context: &Context, as_json: bool) -> Outcome {
    let rows = try_channels(context).await?;
    if rows.is_empty() {
        return Err(Failure::new(Exit::Nothing, "no channel of alerts is set").help(
            "set TIKI_ALERT_SMTP_URL and TIKI_ALERT_MAIL_TO, TIKI_ALERT_SLACK_URL, TIKI_ALERT_DISCORD_URL \
             or TIKI_ALERT_WEBHOOK_URL; an address also by a file, by the same name with _FILE",
        ));
    }
    let failed = rows.iter().any(|(_, error)| error.is_some());
    if as_json {
        let row = |(name, error): &(&str, Option<String>)| json!({ "channel": name, "sent": error.is_none(), "error": error });
        print::json(&rows.iter().map(row).collect::<Vec<_>>())?;
    } else {
        let row = |(name, error): &(&str, Option<String>)| {
            let how = error.clone().unwrap_or_else(|| "sent".to_owned());
            vec![(*name).to_owned(), how]
        };
        let cells: Vec<_> = rows.iter().map(row).collect();
        print::text(&print::table(&["channel", "how it went"], &cells))?;
    }
    Ok(if failed { Exit::Machine } else { Exit::Done })
}

/// Sends a test message to each channel that is set; what went wrong, by the channels' names.
pub(crate) async fn try_channels(
    context: &Context,
) -> Outcome<Vec<(&'static str, Option<String>)>> {
    let sender = sender(context)?;
    let alert = test_alert(Clock::System.now());
    let mut rows = Vec::new();
    for channel in sender.channels() {
        let sent = sender.send(channel, &alert, BY_HAND).await;
        rows.push((channel.name(), sent.err()));
    }
    Ok(rows)
}

async fn retry(context: &Context, id: &str, json: bool) -> Outcome {
    let unknown = || {
        Failure::usage(format!("there is no alert {:?}", one_line(id, SHOWN_CHARS)))
            .help("`tiki alerts` lists them")
    };
    if open::ledger(context, false).await?.is_none() {
        return Err(unknown());
    }
    let warehouse = open::to_write(context, false).await?;
    let sender = sender(context)?;
    let channels = &context.config.pipeline.alerts.channels;
    if !warehouse.retry_alert(id, channels).await? {
        return Err(unknown());
    }
    sender.post_due(&warehouse, BY_HAND).await?;
    let Some(row) = warehouse.alert(id).await? else {
        return Err(unknown());
    };
    if json {
        print::json(&as_json(&row))?;
    } else {
        print::text(&as_text(std::slice::from_ref(&row)))?;
    }
    let unsent = |delivery: &DeliveryRow| delivery.state != DeliveryState::Sent;
    Ok(if row.deliveries.iter().any(unsent) {
        Exit::Machine
    } else {
        Exit::Done
    })
}

fn as_text(rows: &[AlertRow]) -> String {
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let told: Vec<String> = row.deliveries.iter().map(in_words).collect();
            vec![
                row.id.clone(),
                row.first_at.to_string(),
                row.severity.clone(),
                row.seen.to_string(),
                one_line(&row.title, SHOWN_CHARS),
                if told.is_empty() {
                    "nobody".to_owned()
                } else {
                    told.join("; ")
                },
            ]
        })
        .collect();
    print::table(&["id", "when", "how bad", "seen", "what", "told"], &cells)
}

/// Where a delivery stands.
fn in_words(row: &DeliveryRow) -> String {
    let error = row.error.as_deref().unwrap_or_default();
    let error = one_line(error, SHOWN_CHARS);
    match row.state {
        DeliveryState::Sent => format!("{} sent", row.channel),
        DeliveryState::Waiting if row.tries == 0 => format!("{} waiting", row.channel),
        DeliveryState::Waiting => format!(
            "{} waiting (try {} of {}: {error})",
            row.channel,
            row.tries,
            PAUSES.len() + 1
        ),
        DeliveryState::Held => format!("{} held (of a restored backup)", row.channel),
        DeliveryState::Failed => {
            format!(
                "{} given up after {} tries: {error}",
                row.channel, row.tries
            )
        }
    }
}

fn as_json(row: &AlertRow) -> Value {
    let instant = |at: Option<Instant>| at.map(|at| at.to_string());
    let deliveries: Vec<Value> = row
        .deliveries
        .iter()
        .map(|delivery| {
            let waits = delivery.state == DeliveryState::Waiting;
            json!({
                "channel": delivery.channel,
                "state": delivery.state.as_str(),
                "tries": delivery.tries,
                "next_at": instant(Some(delivery.next_at).filter(|_| waits)),
                "sent_at": instant(delivery.sent_at),
                "error": delivery.error,
            })
        })
        .collect();
    json!({
        "id": row.id,
        "kind": row.kind,
        "severity": row.severity,
        "run_id": row.run,
        "title": row.title,
        "details": serde_json::from_str(&row.details).unwrap_or(Value::Null),
        "seen": row.seen,
        "first_at": row.first_at.to_string(),
        "last_at": row.last_at.to_string(),
        "deliveries": deliveries,
    })
}
