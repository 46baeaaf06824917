//! The words of an alert as each channel takes them. Texts of the site may stand in them, so nothing of a
//! text may do anything but be read.

use catalog::one_line;
use serde_json::{Map, Value, json};
use warehouse::AlertRow;

use super::Details;

/// Characters of a line at most.
pub(crate) const LINE_CHARS: usize = 400;
/// Lines at most.
pub(crate) const MAX_LINES: usize = 20;

/// Slack refuses longer texts in a block.
const SLACK_CHARS: usize = 2900;
/// Discord refuses longer messages.
const DISCORD_CHARS: usize = 1900;

/// What an alert says, a line each.
pub(crate) fn lines(alert: &AlertRow) -> Vec<String> {
    let details = details(alert);
    let mut all = vec![format!("[{}] {}", alert.severity, alert.title)];
    all.extend(details.lines);
    if let Some(since) = details.since {
        all.push(format!("since: {since}"));
    }
    if alert.seen > 1 {
        all.push(format!(
            "seen {} times, last at {}",
            alert.seen, alert.last_at
        ));
    }
    if !details.numbers.is_empty() {
        let figures: Vec<String> = details
            .numbers
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        all.push(figures.join(", "));
    }
    all.push(format!("look further: {}", details.command));
    all.push(format!("alert {}", alert.id));
    all.iter().map(|line| one_line(line, LINE_CHARS)).collect()
}

/// What was stored beside the title; what cannot be read is left out.
pub(crate) fn details(alert: &AlertRow) -> Details {
    serde_json::from_str(&alert.details).unwrap_or_default()
}

/// The body of a generic webhook.
pub(crate) fn webhook(alert: &AlertRow) -> Value {
    let details = details(alert);
    json!({
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "title": alert.title,
        "text": lines(alert).join("\n"),
        "run_id": alert.run,
        "since": details.since,
        "first_at": alert.first_at.to_string(),
        "last_at": alert.last_at.to_string(),
        "seen": alert.seen,
        "numbers": details.numbers,
        "command": details.command,
    })
}

/// The body of Slack's incoming webhook: a block of plain text, in which nothing is a mention or a mark.
pub(crate) fn slack(alert: &AlertRow) -> Value {
    let text = slack_escaped(&lines(alert).join("\n"));
    let title = slack_escaped(&format!("[{}] {}", alert.severity, alert.title));
    json!({
        // What a notification shows.
        "text": cut(&title, SLACK_CHARS),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": [{ "type": "section",
            "text": { "type": "plain_text", "text": cut(&text, SLACK_CHARS), "emoji": false } }],
    })
}

/// The body of Discord's webhook: no mention is one, no mark is one, no address is shown as a page.
pub(crate) fn discord(alert: &AlertRow) -> Value {
    const SUPPRESS_EMBEDS: i64 = 4;
    let text = discord_escaped(&lines(alert).join("\n"));
    let mut body = Map::new();
    body.insert("content".into(), cut(&text, DISCORD_CHARS).into());
    body.insert("allowed_mentions".into(), json!({ "parse": [] }));
    body.insert("flags".into(), SUPPRESS_EMBEDS.into());
    Value::Object(body)
}

/// Slack's three characters that begin something, and no `@` that a client could take for a mention.
pub(crate) fn slack_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("@\u{2060}"),
            c => out.push(c),
        }
    }
    out
}

/// Markdown's characters with a backslash, and no `@` that is a mention.
pub(crate) fn discord_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '@' => out.push_str("@\u{2060}"),
            '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '#' | '[' | ']' | '(' | ')' | '-' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// No longer than the other side takes. An escape that is cut in two is harmless: what it escaped is cut too.
fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
