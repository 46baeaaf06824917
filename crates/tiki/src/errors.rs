//! `tiki errors`: what went wrong in the newest runs, by class, with an example of each.
//!
//! Not here: which texts are one class (`pipeline`), rejections one by one (`rejections`).

use catalog::Instant;
use pipeline::{ErrorClass, Exit, shortened, shown_process};
use serde_json::{Value, json};
use warehouse::{ErrorKind, ErrorRow, MOST_GROUPS, NO_RUN, Warehouse};

use crate::arguments::ErrorsArguments;
use crate::export::instant;
use crate::failure::Outcome;
use crate::{Context, open, print, run};

/// Runs that are looked at where nobody says which.
const RUNS: i64 = 20;

/// Runs that are looked at most.
const MOST_RUNS: i64 = 1000;

/// Characters of a class in the table.
const CLASS_CHARS: usize = 100;

/// Characters of an example.
const EXAMPLE_CHARS: usize = 250;

/// `tiki errors`.
pub(crate) async fn errors(context: &Context, arguments: &ErrorsArguments) -> Outcome {
    let output = arguments.output;
    let since = arguments.since.as_deref();
    let since = since.map(|text| instant(context, text)).transpose()?;
    let runs = if since.is_some() { MOST_RUNS } else { RUNS };
    let run = arguments.run.as_deref();
    let (rows, looked_at) = match open::ledger(context, output.demo).await? {
        None => (Vec::new(), LookedAt::NoRuns),
        Some(warehouse) => {
            if let Some(id) = run {
                run::find(&warehouse, id, output.demo).await?;
            }
            let rows = warehouse.errors(run, since, runs).await?;
            (rows, looked_at(&warehouse, run, since, runs).await?)
        }
    };
    if let Some(kind) = cut(&rows) {
        context.screen.warn(&format!(
            "of kind {} only the newest {MOST_GROUPS} are counted: --run or --since count fewer runs",
            kind.as_str()
        ));
    }
    let mut classes = pipeline::error_classes(rows);
    let all = classes.len();
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    classes.truncate(limit);
    if output.json {
        let rows: Vec<Value> = classes
            .iter()
            .map(|class| as_json(class, output.demo))
            .collect();
        print::json(&rows)?;
    } else if classes.is_empty() {
        let text = match looked_at {
            LookedAt::NoRuns => open::no_runs(context, output.demo).await?,
            LookedAt::All(which) => format!("nothing went wrong in {which}"),
            LookedAt::Newest(_) => format!("nothing went wrong in the newest {runs} runs"),
        };
        context.screen.say(&text);
    } else {
        print::text(&as_text(&classes, output.demo))?;
        if let LookedAt::Newest(more) = looked_at {
            let text = format!("in the newest {runs} runs; {more}");
            context.screen.say(&text);
        }
    }
    if all > limit {
        context.screen.warn(&format!(
            "only {limit} of {all} classes are shown: --limit {all} shows them all"
        ));
    }
    Ok(Exit::Done)
}

/// Which runs were looked at.
enum LookedAt {
    /// There are none.
    NoRuns,
    /// All that were asked for.
    All(&'static str),
    /// The newest of more; how to see others.
    Newest(&'static str),
}

async fn looked_at(
    warehouse: &Warehouse,
    run: Option<&str>,
    since: Option<Instant>,
    most: i64,
) -> Outcome<LookedAt> {
    if run.is_some() {
        return Ok(LookedAt::All("this run"));
    }
    let newest = warehouse.runs(most + 1).await?;
    let asked = newest
        .iter()
        .filter(|run| since.is_none_or(|since| run.created_at >= since));
    let is_cut = asked.count() as i64 > most;
    Ok(match (newest.is_empty(), is_cut, since) {
        (true, ..) => LookedAt::NoRuns,
        (_, false, _) => LookedAt::All("these runs"),
        (_, true, None) => LookedAt::Newest("--since counts those since a day, --run one"),
        (_, true, Some(_)) => LookedAt::Newest("--run counts one"),
    })
}

/// A kind of which there may be more than was read.
fn cut(rows: &[ErrorRow]) -> Option<ErrorKind> {
    let count = |kind: ErrorKind| rows.iter().filter(|row| row.kind == kind).count() as i64;
    let mut all = ErrorKind::ALL.into_iter();
    all.find(|kind| count(*kind) >= MOST_GROUPS)
}

fn as_text(classes: &[ErrorClass], demo: bool) -> String {
    let cells = |class: &ErrorClass| {
        vec![
            class.count.to_string(),
            class.kind.as_str().to_owned(),
            shortened(&class.class, CLASS_CHARS),
            class.runs.to_string(),
            class.first.to_string(),
            class.last.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = classes.iter().map(cells).collect();
    let columns = ["count", "what", "class", "runs", "first", "last"];
    let mut text = print::table(&columns, &rows);
    text += "\nFor example:\n";
    for class in classes {
        let example = shortened(&example(class), EXAMPLE_CHARS);
        text += &format!("  {example}\n    {}\n", look_further(class, demo));
    }
    text
}

/// One case: what it was about and what was seen.
fn example(class: &ErrorClass) -> String {
    let row = &class.newest;
    let seen = row.example.as_deref().or(row.text.as_deref());
    let seen = seen.unwrap_or("not asked");
    let run = match row.run.as_str() {
        NO_RUN => format!("`{NO_RUN}`"),
        run => format!("run {run}"),
    };
    match (class.kind, row.subject) {
        (ErrorKind::Attempt, _) => {
            let process = row.host.as_ref().map(shown_process).unwrap_or_default();
            format!("process {process} in {run}")
        }
        (ErrorKind::Step, _) | (_, None) => format!("{run}: {seen}"),
        (ErrorKind::Category | ErrorKind::Page, Some(id)) => format!("category {id}: {seen}"),
        (ErrorKind::Detail, Some(id)) => format!("product {id}: {seen}"),
        (ErrorKind::Rejection, Some(id)) => format!("rejection {id}: saw {seen:?}"),
    }
}

/// The command that shows more of it.
fn look_further(class: &ErrorClass, demo: bool) -> String {
    let demo = open::flag(demo);
    match (class.kind, class.newest.subject) {
        (ErrorKind::Rejection, Some(id)) => format!("tiki rejections show {id}{demo}"),
        _ if class.newest.run == NO_RUN => format!("{NO_RUN} --dry-run{demo}"),
        _ => format!("tiki runs show {}{demo}", class.newest.run),
    }
}

fn as_json(class: &ErrorClass, demo: bool) -> Value {
    json!({
        "kind": class.kind.as_str(),
        "class": class.class,
        "count": class.count,
        "runs": class.runs,
        "first_at": class.first.to_string(),
        "last_at": class.last.to_string(),
        "newest_run": class.newest.run,
        "example": example(class),
        "command": look_further(class, demo),
    })
}
