//! The pages: words, numbers and times for people. They work without JavaScript, and every text from
//! elsewhere is escaped.
//!
//! Not here: where the data come from (`sources`), colours (`style.css`).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;
use warehouse::{Run, RunState};

use crate::sources::{Health, Line, LineState, Listed, Planned, Sources, Trouble, When};

/// `/`.
pub(crate) fn overview(
    sources: &Sources,
    health: &Health,
    runs: Result<&[Listed], &Trouble>,
    now: Timestamp,
) -> Markup {
    let zone = &sources.zone;
    frame(
        "tiki",
        &html! {
            header {
                h1 { "tiki" }
                (verdict(health))
                span.soft { "as of " (time(now, zone)) " (" (zone_name(zone)) ")" }
            }
            h2 { "Health" }
            div.card { (lines(&health.lines)) }
            h2 { "Next" }
            div.card { (plans(&(sources.planned)(), zone)) }
            h2 { "Runs" }
            div.card { (list(runs, zone, now)) }
            footer {
                p { "Warehouse " code { (sources.address) } ", tiki " (sources.version) }
                p {
                    "For machines: " a href="/api/v1/health" { "health" } ", "
                    a href="/api/v1/schedule" { "schedule" } ", "
                    a href="/api/v1/runs" { "runs" } ", " a href="/readyz" { "readyz" } ", "
                    a href="/healthz" { "healthz" } ", "
                    a href="/metrics" { "metrics" } "."
                }
            }
        },
    )
}

/// Any path that is none.
pub(crate) fn nowhere() -> Markup {
    frame(
        "Not found",
        &html! {
            header { h1 { "There is no such page" } }
            p { a href="/" { "To the overview" } }
        },
    )
}

fn frame(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body { main { (body) } }
        }
    }
}

fn verdict(health: &Health) -> Markup {
    let count = |state| {
        let lines = health.lines.iter();
        lines.filter(|line| line.state == state).count()
    };
    let (failed, warnings) = (count(LineState::Failed), count(LineState::Warning));
    let (class, words) = match (failed, warnings) {
        (0, 0) => ("ok", "all is well".to_owned()),
        (0, 1) => ("warning", "works, with a warning".to_owned()),
        (0, _) => ("warning", format!("works, with {warnings} warnings")),
        (1, _) => ("failed", "something failed".to_owned()),
        _ => ("failed", format!("{failed} things failed")),
    };
    html! { span.verdict.(class) { (words) } }
}

fn lines(lines: &[Line]) -> Markup {
    html! {
        table {
            thead { tr { th { "What" } th { "State" } th { "Seen" } th { "Limit" } } }
            tbody {
                @for line in lines {
                    tr {
                        th scope="row" { (line.name) }
                        td.(line.state.as_str()) { (line.state.as_str()) }
                        td {
                            (line.seen)
                            @if let Some(help) = &line.help { div.help { (help) } }
                        }
                        td.soft { (line.limit.as_deref().unwrap_or("")) }
                    }
                }
            }
        }
    }
}

fn plans(planned: &[Planned], zone: &TimeZone) -> Markup {
    if planned.iter().all(|planned| planned.when == When::Off) {
        return html! {
            p { "No clock: nothing begins from here. " code { "TIKI_SCHEDULE" } " says when runs do." }
        };
    }
    html! {
        table {
            thead { tr { th { "What" } th { "When" } th { "Schedule" } th { "Last" } } }
            tbody {
                @for planned in planned {
                    tr {
                        th scope="row" { (planned.what) }
                        @match planned.when {
                            When::Off => td.skipped { "off" },
                            When::At(at) => td.time { (time(at, zone)) },
                            When::AtWork { since } => td.ok { "at work since " (time(since, zone)) },
                        }
                        td { code { (planned.schedule.as_deref().unwrap_or("")) } }
                        td { (planned.note.as_deref().unwrap_or("")) }
                    }
                }
            }
        }
    }
}

fn list(runs: Result<&[Listed], &Trouble>, zone: &TimeZone, now: Timestamp) -> Markup {
    match runs {
        Err(trouble) => html! {
            p.failed { "The runs cannot be shown: " (trouble.what) }
            @if let Some(help) = &trouble.help { p.help { (help) } }
        },
        Ok([]) => html! {
            p { "There are no runs yet. " code { "tiki run" } " begins one." }
        },
        Ok(runs) => html! {
            table {
                thead {
                    tr {
                        th { "Run" } th { "Owner" } th { "State" } th { "Began" }
                        th.number { "Took" } th.number { "Exit" } th { "Products" }
                    }
                }
                tbody { @for listed in runs { (row(listed, zone, now)) } }
            }
        },
    }
}

fn row(listed: &Listed, zone: &TimeZone, now: Timestamp) -> Markup {
    let run = &listed.run;
    let (class, state) = state(run);
    let began = at(run.created_at);
    let ended = run.finished_at.map_or(now, at);
    let seconds = ended.duration_since(began).as_secs().max(0);
    html! {
        tr {
            th scope="row" { a href={ "/api/v1/runs/" (run.id) } { code { (run.id) } } }
            td { (run.owner) }
            td.(class) {
                (state)
                @if let Some(end) = listed.end { div.help { (end) } }
            }
            td.time { (time(began, zone)) }
            td.number { @if run.finished_at.is_some() || run.leased { (length(seconds)) } }
            td.number { @if let Some(code) = run.exit_code { (code) } }
            td { (outcomes(run.totals.as_deref())) }
        }
    }
}

/// The class and the words of a run's state.
fn state(run: &Run) -> (&'static str, &'static str) {
    match (run.state, run.leased) {
        (RunState::Open, true) => ("ok", "at work"),
        (RunState::Open, false) => ("warning", "unfinished"),
        (RunState::Done, _) if run.exit_code == Some(0) => ("ok", "done"),
        (RunState::Done, _) => ("warning", "done, not all well"),
        (RunState::Abandoned, _) => ("warning", "abandoned"),
        (RunState::Held, _) => ("failed", "held by the drift gate"),
    }
}

/// What became of a run's products, as its frozen counts say.
fn outcomes(totals: Option<&str>) -> String {
    let totals: Option<Value> = totals.and_then(|text| serde_json::from_str(text).ok());
    let products = totals.as_ref().and_then(|totals| totals.get("products"));
    let count = |name: &str| products?.get(name)?.as_i64();
    let counts = warehouse::OUTCOMES
        .into_iter()
        .filter_map(|word| Some((word, count(word)?)));
    let always = ["new", "changed", "unchanged"];
    let shown = counts.filter(|(word, count)| *count != 0 || always.contains(word));
    let parts: Vec<String> = shown
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}

fn at(instant: catalog::Instant) -> Timestamp {
    Timestamp::from_millisecond(instant.millis()).unwrap_or_default()
}

fn time(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = at.to_zoned_datetime(zone.clone());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name()
        .map_or_else(|| "local time".to_owned(), str::to_owned)
}

/// Seconds in words.
fn length(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests;
