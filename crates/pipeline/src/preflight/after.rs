//! After a deployment: what the ledger says of the last 24 hours.
//!
//! Not here: reading it (`warehouse`).

use std::time::Duration;

use catalog::Instant;
use warehouse::{AlertRow, DeliveryState, Run, RunState};

use super::{failed, passed, skipped, warning};
use crate::Check;
use crate::alerts::REPORT;
use crate::check::words;

/// How far back is looked.
pub const WATCHED: Duration = Duration::from_hours(24);
/// Runs that are looked at, at most.
pub const MOST_RUNS: i64 = 1_000;
/// Alerts that are looked at, at most.
pub const MOST_ALERTS: i64 = 1_000;
/// Runs that a line names.
const NAMED: usize = 5;

/// A run, and the step and exit code at which it stopped; `None`: nobody knows, its process was killed.
pub type Stopped = (String, Option<(String, i64)>);

/// What the ledger says.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The database's time.
    pub now: Instant,
    /// The newest runs.
    pub runs: Vec<Run>,
    /// Unfinished runs that nobody works on.
    pub stopped: Vec<Stopped>,
    /// The newest alerts.
    pub alerts: Vec<AlertRow>,
    /// When the last run that ended with 0 did.
    pub last_good: Option<Instant>,
}

/// The lines; `oldest`: the age of the last good run.
pub fn after(seen: &Result<Ledger, String>, oldest: Duration) -> Vec<Check> {
    let ledger = match seen {
        Ok(ledger) => ledger,
        Err(why) => {
            let help = "`tiki health` says more";
            return vec![failed("ledger", why).help(help)];
        }
    };
    let young = |at: Instant| age(ledger.now, at) <= WATCHED;
    let recent = ledger.runs.iter();
    let recent: Vec<&Run> = recent
        .filter(|run| young(run.created_at) || run.finished_at.is_some_and(young))
        .collect();
    vec![
        ran(&recent),
        on_time(&recent),
        failures(&recent, &ledger.stopped),
        alerts(ledger),
        freshness(ledger, oldest),
    ]
}

fn age(now: Instant, then: Instant) -> Duration {
    Duration::from_millis(now.millis_since(then).max(0).unsigned_abs())
}

fn ran(recent: &[&Run]) -> Check {
    let name = "runs";
    let check = match recent.len() {
        0 => failed(name, "none")
            .help("is whatever begins runs at work (Airflow, cron, `tiki serve`)?"),
        count => passed(name, format!("{count} in {}", words(WATCHED))),
    };
    check.limit(format!("one in {}", words(WATCHED)))
}

fn on_time(recent: &[&Run]) -> Check {
    let name = "scheduled-runs";
    if recent.is_empty() {
        return skipped(name, "there were no runs");
    }
    let by_clock = recent.iter().filter(|run| run.owner != "cli").count();
    if by_clock > 0 {
        return passed(
            name,
            format!("{by_clock} of them by Airflow or `tiki serve`"),
        );
    }
    warning(name, "all were begun by hand or cron")
        .help("is the DAG unpaused, or TIKI_SCHEDULE set and `tiki serve` at work?")
}

fn failures(recent: &[&Run], stopped: &[Stopped]) -> Check {
    let name = "failures";
    let stopped = stopped
        .iter()
        .filter(|(id, _)| recent.iter().any(|run| run.id == *id))
        .map(|(id, how)| match how {
            Some((step, code)) => format!("{id} (stopped at {step}, exit code {code})"),
            None => format!("{id} (unfinished, and nobody works on it)"),
        });
    let trouble = |run: &&&Run| match run.state {
        RunState::Held | RunState::Abandoned => true,
        RunState::Open => false,
        RunState::Done => run.exit_code != Some(0),
    };
    let ended = recent.iter().filter(trouble).map(|run| {
        let code = run.exit_code.map(|code| format!(", exit code {code}"));
        format!(
            "{} ({}{})",
            run.id,
            run.state.as_str(),
            code.unwrap_or_default()
        )
    });
    let bad: Vec<String> = ended.chain(stopped).collect();
    if bad.is_empty() {
        return passed(name, "none");
    }
    let seen = bad[..bad.len().min(NAMED)].join("; ");
    failed(name, format!("{} of {}: {seen}", bad.len(), recent.len()))
        .help("`tiki runs show <id>` says why; docs/RUNBOOK.md what to do")
}

/// What was told, and whether it arrived.
fn alerts(ledger: &Ledger) -> Check {
    let name = "alerts";
    let recent = ledger.alerts.iter();
    let recent: Vec<&AlertRow> = recent
        .filter(|alert| alert.kind != REPORT && age(ledger.now, alert.last_at) <= WATCHED)
        .collect();
    let Some(newest) = recent.first() else {
        return passed(name, "none");
    };
    let lost = recent
        .iter()
        .flat_map(|alert| &alert.deliveries)
        .filter(|told| told.state != DeliveryState::Sent && told.tries > 0)
        .count();
    let arrived = match lost {
        0 => String::new(),
        lost => format!("; {lost} did not arrive where they should"),
    };
    let seen = format!("{}, the newest: {}{arrived}", recent.len(), newest.title);
    warning(name, seen).help("`tiki alerts` shows them; docs/RUNBOOK.md, On call, has each kind")
}

fn freshness(ledger: &Ledger, oldest: Duration) -> Check {
    let name = "freshness";
    let check = match ledger.last_good.map(|at| age(ledger.now, at)) {
        None => {
            failed(name, "no run has ended with 0 yet").help("`tiki runs` shows how runs ended")
        }
        Some(age) if age <= oldest => passed(
            name,
            format!("the last good run crawled {} ago", words(age)),
        ),
        Some(age) => failed(
            name,
            format!("the last good run crawled {} ago", words(age)),
        )
        .help("`tiki runs` shows what has run since"),
    };
    check.limit(words(oldest))
}
