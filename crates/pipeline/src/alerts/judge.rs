//! What is worth telling, and how bad it is: pure functions of what is known.

use catalog::FindingKind;
use catalog::Instant;
use serde_json::{Map, Value, json};
use warehouse::{DriftRow, Identities, NewAlert, Run, RunState};

use super::{Details, Notice, Rules, Severity, kind};
use crate::report::round3;
use crate::runs::is_id;
use crate::{Exit, Step};

/// Earlier runs among which the median is taken, and how many there must be.
pub(crate) const PAST_RUNS: i64 = 10;
const LEAST_PAST: usize = 3;

/// A run that ends.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) run: &'a Run,
    pub(crate) state: RunState,
    pub(crate) exit: Exit,
    pub(crate) totals: Identities,
    /// Listed products of the runs before, of the same scope.
    pub(crate) past_listed: Vec<i64>,
    /// Which step the site refused, and in which words; of a run that went on and ends with that.
    pub(crate) refused: Option<String>,
    /// Products a second.
    pub(crate) rate: Option<f64>,
    /// Percent of requests that were saved.
    pub(crate) hit_rate: Option<f64>,
    /// How its pages differ from those of earlier runs.
    pub(crate) drift: Vec<DriftRow>,
    /// When the last good run ended.
    pub(crate) last_good: Option<Instant>,
    /// The database's time.
    pub(crate) now: Instant,
    /// Of the data folder's disk.
    pub(crate) free_bytes: Option<u64>,
}

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Failed<'a> {
    pub(crate) run: &'a Run,
    pub(crate) step: Step,
    pub(crate) exit: Exit,
    pub(crate) seen: &'a str,
}

/// A command that could not end well.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// Its words, such as `run`, `backup create` or `cleanup`.
    pub words: &'a str,
    /// Whose runs it works on; empty: nobody's.
    pub owner: &'a str,
    /// The run that it was to work on, where it is known.
    pub run: Option<&'a str>,
    /// What it ended with; `None`: it was killed.
    pub exit: Option<Exit>,
    /// What was wrong.
    pub seen: &'a str,
}

struct Finding {
    kind: String,
    severity: Severity,
    text: String,
}

/// What is told of a run that ends.
pub(crate) fn ended(facts: &Ended<'_>, rules: &Rules) -> Option<Notice> {
    if !rules.tells {
        return None;
    }
    let mut found = Vec::new();
    let told = rules.exits.contains(&facts.exit.code().into());
    if told && facts.exit != Exit::Done {
        found.push(Finding {
            kind: format!("exit-{}", facts.exit.code()),
            severity: severity(facts.exit),
            text: facts.exit.words().to_owned(),
        });
    }
    match facts.state {
        RunState::Done => found.extend(figures(facts, rules)),
        // Whoever closes or gives up a run knows that it is not whole; what he cannot know is a bug.
        _ if facts.exit != Exit::Bug => return None,
        _ => {}
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let run = facts.run;
    let title = match found.first() {
        Some(first) => format!("run {} ({}): {}", run.id, run.owner, first.text),
        None if rules.reports && facts.exit == Exit::Done => {
            format!("run {} ({}) ended well", run.id, run.owner)
        }
        None => return None,
    };
    let products = &facts.totals.products;
    let counts = format!(
        "{} listed, {} new, {} changed, {} unchanged, {} gone, {} rejected, {} unobserved",
        products.listed,
        products.new,
        products.changed,
        products.unchanged,
        products.gone,
        products.rejected,
        products.unobserved
    );
    let severity = found.first().map_or(Severity::Info, |first| first.severity);
    let kinds = if found.is_empty() {
        // Every run has a report of its own.
        vec![kind::REPORT.to_owned(), run.id.clone()]
    } else {
        found.iter().map(|finding| finding.kind.clone()).collect()
    };
    let rest = found.into_iter().skip(1).map(|finding| finding.text);
    Some(Notice {
        kinds,
        severity,
        run: Some(run.id.clone()),
        subject: run.owner.clone(),
        title,
        details: Details {
            lines: facts
                .refused
                .iter()
                .cloned()
                .chain(rest)
                .chain([counts])
                .collect(),
            since: Some(run.created_at.to_string()),
            numbers: numbers(facts),
            command: format!("tiki runs show {}", run.id),
        },
    })
}

/// What is told of a step that failed.
pub(crate) fn failed(facts: &Failed<'_>, rules: &Rules) -> Option<Notice> {
    let code = facts.exit.code();
    if !rules.tells || !rules.exits.contains(&code.into()) {
        return None;
    }
    let run = facts.run;
    Some(Notice {
        kinds: vec![format!("exit-{code}")],
        severity: severity(facts.exit),
        run: Some(run.id.clone()),
        subject: run.owner.clone(),
        title: format!(
            "run {} ({}): {} ended with {code}: {}",
            run.id,
            run.owner,
            facts.step.name(),
            facts.exit.words()
        ),
        details: Details {
            lines: vec![facts.seen.to_owned()],
            since: Some(run.created_at.to_string()),
            numbers: [("exit_code".to_owned(), json!(code))]
                .into_iter()
                .collect(),
            command: format!("tiki runs show {}", run.id),
        },
    })
}

/// What is told of a command that failed where no step could tell of it.
pub fn command_failed(command: &Command<'_>, rules: &Rules) -> Option<NewAlert> {
    let is_run = !command.owner.is_empty();
    let (chore, done, look) = match command.words {
        "cleanup" => (kind::CLEANUP, "a clean-up", "tiki cleanup --dry-run"),
        _ => (kind::BACKUP, "a backup", "tiki backup list"),
    };
    let (kind, how, severity) = match command.exit {
        None => (
            kind::KILLED.to_owned(),
            "was killed".to_owned(),
            Severity::Critical,
        ),
        Some(exit) if !rules.exits.contains(&exit.code().into()) => return None,
        Some(exit) => {
            let code = exit.code();
            // A backup that is missing is no less missing for another reason.
            let kind = if is_run {
                format!("exit-{code}")
            } else {
                chore.to_owned()
            };
            (
                kind,
                format!("ended with {code}: {}", exit.words()),
                severity(exit),
            )
        }
    };
    if !rules.tells {
        return None;
    }
    let what = match (command.run, is_run) {
        (Some(run), _) => format!("run {run} ({})", command.owner),
        (None, true) => format!("a run ({})", command.owner),
        (None, false) => done.to_owned(),
    };
    // Of what is nobody's, each command is a trouble of its own.
    let subject = match command.exit {
        None if !is_run => command.words,
        _ => command.owner,
    };
    Some(rules.alert(Notice {
        kinds: vec![kind],
        severity,
        run: command.run.filter(|run| is_id(run)).map(str::to_owned),
        subject: subject.to_owned(),
        title: format!("{what}: tiki {} {how}", command.words),
        details: Details {
            lines: vec![command.seen.to_owned()],
            since: None,
            numbers: Map::new(),
            command: if is_run { "tiki health" } else { look }.to_owned(),
        },
    }))
}

/// What is told of a run that the drift gate stops.
pub(crate) fn held(run: &Run, seen: &[String], rules: &Rules) -> Option<Notice> {
    let code = Exit::Drift.code();
    if !rules.tells || !rules.exits.contains(&code.into()) {
        return None;
    }
    Some(Notice {
        kinds: vec![format!("exit-{code}")],
        severity: severity(Exit::Drift),
        run: Some(run.id.clone()),
        subject: run.owner.clone(),
        title: format!(
            "run {} ({}) is held: {}",
            run.id,
            run.owner,
            Exit::Drift.words()
        ),
        details: Details {
            lines: seen.to_vec(),
            since: Some(run.created_at.to_string()),
            numbers: [("findings".to_owned(), json!(seen.len()))]
                .into_iter()
                .collect(),
            command: format!("tiki drift show {}", run.id),
        },
    })
}

/// Figures of a run that are past their limits.
fn figures(facts: &Ended<'_>, rules: &Rules) -> Vec<Finding> {
    let mut found = of_products(facts, rules);
    if let Some(rate) = facts.rate.filter(|rate| *rate < rules.rate) {
        let text = format!("{rate} products a second (limit {})", rules.rate);
        found.push(warning(kind::RATE, text));
    }
    if let Some(rate) = facts.hit_rate.filter(|rate| *rate < rules.hit_rate) {
        let text = format!(
            "{rate} % of the requests were saved (limit {} %)",
            rules.hit_rate
        );
        found.push(warning(kind::HIT_RATE, text));
    }
    found.extend(coverage(&facts.drift, rules.coverage_points));
    if let Some(free) = facts.free_bytes.filter(|free| *free < rules.free_bytes) {
        let (free, limit) = (free >> 20, rules.free_bytes >> 20);
        let text = format!("{free} MB are free on the disk (limit {limit})");
        found.push(Finding {
            severity: Severity::Critical,
            ..warning(kind::DISK, text)
        });
    }
    if let Some(last) = facts.last_good.filter(|_| facts.exit != Exit::Done) {
        let age = facts.now.millis_since(last).max(0).unsigned_abs();
        if u128::from(age) > rules.run_age.as_millis() {
            let text = format!("the last good run ended {} h ago", age / 3_600_000);
            found.push(warning(kind::FRESHNESS, text));
        }
    }
    found
}

/// Fields that come less often than before. What stops a run is told by the gate that stops it.
fn coverage(drift: &[DriftRow], limit: f64) -> Option<Finding> {
    let fell = |row: &DriftRow| {
        let of_presence = matches!(
            FindingKind::parse(&row.kind),
            Some(FindingKind::Vanished | FindingKind::Presence)
        );
        of_presence && (row.was - row.now_is) * 100.0 > limit
    };
    let fields: Vec<String> = drift
        .iter()
        .filter(|row| fell(row))
        .map(|row| {
            let percent = |share: f64| round3(share * 100.0);
            format!(
                "{} of {} {} → {} %",
                row.field,
                row.endpoint,
                percent(row.was),
                percent(row.now_is)
            )
        })
        .collect();
    (!fields.is_empty()).then(|| {
        let text = format!(
            "fields come more than {limit} points less often: {}",
            fields.join(", ")
        );
        warning(kind::COVERAGE, text)
    })
}

/// Those of its products and details.
fn of_products(facts: &Ended<'_>, rules: &Rules) -> Vec<Finding> {
    let (products, details) = (&facts.totals.products, &facts.totals.details);
    let mut found = Vec::new();
    let rejected = percent(products.rejected, products.listed + products.rechecked);
    if rejected > rules.rejected_percent {
        let limit = rules.rejected_percent;
        let text = format!("{rejected} % of the products were rejected (limit {limit} %)");
        found.push(warning(kind::REJECTED, text));
    }
    let unfetched = percent(details.unfetched, details.due - details.deferred);
    if unfetched > rules.unfetched_percent {
        let limit = rules.unfetched_percent;
        let text = format!("{unfetched} % of the details got no answer (limit {limit} %)");
        found.push(warning(kind::UNFETCHED, text));
    }
    if let Some(median) = median(&facts.past_listed) {
        let share = percent(products.listed, median);
        if share < rules.items_percent {
            let text = format!(
                "{} products listed, {share} % of the {median} that are usual (limit {} %)",
                products.listed, rules.items_percent
            );
            found.push(warning(kind::ITEMS, text));
        }
    }
    found
}

fn warning(kind: &str, text: String) -> Finding {
    Finding {
        kind: kind.to_owned(),
        severity: Severity::Warning,
        text,
    }
}

fn numbers(facts: &Ended<'_>) -> Map<String, Value> {
    let (products, details) = (&facts.totals.products, &facts.totals.details);
    let mut all = Map::new();
    all.insert("exit_code".into(), json!(facts.exit.code()));
    all.insert("listed".into(), json!(products.listed));
    all.insert("rejected".into(), json!(products.rejected));
    all.insert("details_due".into(), json!(details.due));
    all.insert("details_unfetched".into(), json!(details.unfetched));
    for (name, value) in [("rate", facts.rate), ("hit_rate", facts.hit_rate)] {
        if let Some(value) = value {
            all.insert(name.into(), json!(value));
        }
    }
    all
}

fn percent(part: i64, whole: i64) -> f64 {
    round3(part as f64 * 100.0 / whole.max(1) as f64)
}

/// The middle one; `None` of too few.
fn median(numbers: &[i64]) -> Option<i64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    (sorted.len() >= LEAST_PAST).then(|| sorted[sorted.len() / 2])
}

fn severity(exit: Exit) -> Severity {
    match exit {
        Exit::Done | Exit::Nothing => Severity::Info,
        Exit::Quality | Exit::Refused | Exit::Interrupted => Severity::Warning,
        _ => Severity::Critical,
    }
}
