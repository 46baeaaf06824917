//! `tiki runs`: the ledger.
//!
//! Not here: beginning a run (`run`).

use pipeline::{Exit, RunReport, Scope, StepReport};
use serde_json::{Value, json};
use warehouse::{Completeness, FailedAttempt, Identities, Kind, Run, RunState, StepRow, Warehouse};

use crate::arguments::{Output, RunsArguments, RunsCommand};
use crate::failure::{Failure, Outcome};
use crate::run::{self, OWNER, Shown};
use crate::{Context, interrupt, open, print, report};

/// Categories that are shown of a run at most; the site has some 3,000.
const CATEGORIES: i64 = 10_000;

/// Failed attempts that are shown of a run at most.
const FAILED: i64 = 200;

/// `tiki runs`.
pub(crate) async fn runs(context: &Context, arguments: RunsArguments) -> Outcome {
    let command = arguments.command.unwrap_or(RunsCommand::List {
        limit: 20,
        output: arguments.output,
    });
    match command {
        RunsCommand::List { limit, output } => list(context, limit, output).await,
        RunsCommand::Show { id, output } => show(context, id.as_deref(), output).await,
        RunsCommand::Resume { id, output } => resume(context, id.as_deref(), output).await,
        RunsCommand::Close { id, output } => close(context, &id, output).await,
    }
}

async fn list(context: &Context, limit: i64, output: Output) -> Outcome {
    let runs = match open::ledger(context, output.demo).await? {
        Some(warehouse) => warehouse.runs(limit).await?,
        None => Vec::new(),
    };
    if output.json {
        let rows: Vec<Value> = runs.iter().map(as_json).collect();
        print::json(&rows)?;
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        let text = open::no_runs(context, output.demo).await?;
        context.screen.say(&text);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let columns = [
        "id", "owner", "state", "exit", "clock", "seconds", "products",
    ];
    print::text(&print::table(&columns, &rows))?;
    let flag = open::flag(output.demo);
    context.screen.say_if_cut(
        rows.len(),
        limit,
        &format!("`tiki runs list{flag} --limit`"),
    );
    Ok(Exit::Done)
}

fn row(run: &Run) -> Vec<String> {
    let totals: Option<Value> = run
        .totals
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let products = totals.as_ref().and_then(|totals| {
        let of = |field| totals.get("products")?.get(field)?.as_i64();
        Some(of("listed")? + of("rechecked")?)
    });
    let state = match (run.state, run.leased) {
        (RunState::Open, true) => "at work".to_owned(),
        (RunState::Open, false) => "unfinished".to_owned(),
        (state, _) => state.as_str().to_owned(),
    };
    let seconds = run
        .finished_at
        .map(|end| end.millis_since(run.created_at) as f64 / 1000.0);
    vec![
        run.id.clone(),
        run.owner.clone(),
        state,
        run.exit_code.map_or(String::new(), |code| code.to_string()),
        run.clock_at.to_string(),
        seconds.map_or(String::new(), |seconds| format!("{seconds:.1}")),
        products.map_or(String::new(), |count| count.to_string()),
    ]
}

/// As `--json` prints it in a list.
pub(crate) fn as_json(run: &Run) -> Value {
    let document = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    json!({
        "id": run.id,
        "number": run.number,
        "owner": run.owner,
        "state": run.state.as_str(),
        "at_work": run.leased,
        "exit_code": run.exit_code,
        "clock_at": run.clock_at.to_string(),
        "created_at": run.created_at.to_string(),
        "finished_at": run.finished_at.map(|at| at.to_string()),
        "scope": document(&run.scope),
        "totals": run.totals.as_deref().map_or(Value::Null, document),
    })
}

async fn show(context: &Context, id: Option<&str>, output: Output) -> Outcome {
    let Some(warehouse) = open::ledger(context, output.demo).await? else {
        return Err(open::empty(context, output.demo, false).await);
    };
    let run = match id {
        Some(id) => run::find(&warehouse, id, output.demo).await?,
        None => warehouse.runs(1).await?.into_iter().next().ok_or_else(|| {
            let help = format!("`tiki run{}` begins one", open::flag(output.demo));
            Failure::usage("no runs yet").help(help)
        })?,
    };
    let whole = whole(&warehouse, run).await?;
    if output.json {
        print::json(&whole.as_json())?;
    } else {
        print::text(&whole.as_text(output.demo))?;
    }
    Ok(Exit::Done)
}

/// Reads all that is known of a run.
pub(crate) async fn whole(warehouse: &Warehouse, run: Run) -> Outcome<Whole> {
    let id = &run.id;
    let steps = warehouse.steps(id).await?;
    let reports = steps
        .iter()
        .map(|row| serde_json::from_str(row.report.as_deref()?).ok())
        .collect();
    Ok(Whole {
        steps,
        reports,
        totals: warehouse.identities(id).await?,
        categories: warehouse.completeness(id, CATEGORIES).await?,
        failed: warehouse.failed_attempts(id, FAILED).await?,
        cleaned: warehouse.cleaned(id).await?,
        run,
    })
}

/// All that is known of a run.
pub(crate) struct Whole {
    run: Run,
    steps: Vec<StepRow>,
    /// In the order of the steps.
    reports: Vec<Option<StepReport>>,
    totals: Identities,
    categories: Vec<Completeness>,
    /// The newest [`FAILED`], the oldest of them first.
    failed: Vec<FailedAttempt>,
    cleaned: Vec<Kind>,
}

impl Whole {
    /// As `--json` prints it.
    pub(crate) fn as_json(&self) -> Value {
        let mut whole = as_json(&self.run);
        let of = |(row, report): (&StepRow, &Option<StepReport>)| {
            json!({
                "step": row.step,
                "closed": row.closed,
                "attempt": row.attempt,
                "started_at": row.started_at.to_string(),
                "finished_at": row.finished_at.map(|at| at.to_string()),
                "error": row.error,
                "report": report,
            })
        };
        let list: Vec<Value> = self.steps.iter().zip(&self.reports).map(of).collect();
        if let Some(object) = whole.as_object_mut() {
            object.insert("steps".into(), list.into());
            object.insert("counts".into(), json!(self.totals));
            object.insert("categories".into(), json!(self.categories));
            let failed: Vec<Value> = self.failed.iter().map(failed_as_json).collect();
            object.insert("failed_attempts".into(), failed.into());
            let cleaned: Vec<&str> = self.cleaned.iter().map(|kind| kind.as_str()).collect();
            object.insert("cleaned".into(), json!(cleaned));
        }
        whole
    }

    fn as_text(&self, demo: bool) -> String {
        let columns = [
            "id", "owner", "state", "exit", "clock", "seconds", "products",
        ];
        let scope = Scope::from_json(&self.run.scope)
            .map(|scope| scope.to_json())
            .unwrap_or_default();
        let mut text = print::table(&columns, &[row(&self.run)]);
        text += &format!(
            "\nscope     {scope}\n\n{}",
            report::counts(&self.totals, "")
        );
        text += &report::cleaned(&self.cleaned);
        text.push('\n');
        let both = self.steps.iter().zip(&self.reports);
        let rows: Vec<Vec<String>> = both.clone().map(step_cells).collect();
        text += &print::table(&["step", "state", "attempt", "seconds", "what"], &rows);
        for (row, report) in both {
            for warning in report.iter().flat_map(|report| &report.warnings) {
                text += &format!("warning of {}: {warning}\n", row.step);
            }
        }
        if self.run.state == RunState::Held {
            let (id, flag) = (&self.run.id, open::flag(demo));
            text += &format!("held: `tiki drift show {id}{flag}` says why, and what can be done\n");
        }
        text += &report::failed_attempts(&self.failed);
        if self.failed.len() as i64 == FAILED {
            text += &format!("these are the newest {FAILED}\n");
        }
        text + &report::categories(&self.categories)
    }
}

fn failed_as_json(attempt: &FailedAttempt) -> Value {
    let (process, machine) = pipeline::id_and_machine(&attempt.host);
    json!({
        "step": attempt.step,
        "shard": attempt.shard,
        "attempt": attempt.attempt,
        "ended_at": attempt.ended_at.to_string(),
        "state": if attempt.exit_code.is_some() { "failed" } else { "fenced" },
        "exit_code": attempt.exit_code,
        "error": attempt.error,
        "host": machine,
        "process": process,
    })
}

fn step_cells((row, report): (&StepRow, &Option<StepReport>)) -> Vec<String> {
    let what = match (report, &row.error) {
        (Some(report), _) => report::key_numbers(report),
        (None, Some(error)) => error.clone(),
        (None, None) => String::new(),
    };
    let state = if row.closed { "done" } else { "open" };
    let seconds = report
        .as_ref()
        .map_or(String::new(), |r| format!("{:.1}", r.seconds));
    vec![
        row.step.clone(),
        state.into(),
        row.attempt.to_string(),
        seconds,
        what,
    ]
}

async fn resume(context: &Context, id: Option<&str>, output: Output) -> Outcome {
    let nothing = || {
        Failure::new(Exit::Nothing, "there is no unfinished run to go on with").help(format!(
            "`tiki run{}` begins a new one",
            open::flag(output.demo)
        ))
    };
    if open::ledger(context, output.demo).await?.is_none() {
        return Err(nothing());
    }
    let warehouse = open::to_write(context, output.demo).await?;
    let run = if let Some(id) = id {
        resumable(&warehouse, id, output.demo).await?
    } else {
        let unfinished = warehouse.unfinished_runs().await?;
        let mine = |run: &Run| run.state == RunState::Open && run.owner == OWNER;
        unfinished.into_iter().find(mine).ok_or_else(nothing)?
    };
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    run::say_where(context, output.demo);
    context
        .screen
        .say(&format!("going on with run {} ({})", run.id, run.owner));
    let (pipeline, progress, _shop) =
        run::pipeline_for(context, &warehouse, &run, output.demo, true).await?;
    let shown = Shown {
        demo: output.demo,
        json: output.json,
    };
    run::finish(context, &pipeline, &run, &progress, shown).await
}

/// A run that this command may go on with. Owners go on with their own.
async fn resumable(warehouse: &Warehouse, id: &str, demo: bool) -> Outcome<Run> {
    let run = run::find(warehouse, id, demo).await?;
    if run.state != RunState::Open {
        return Err(not_open(&run, demo));
    }
    if run.owner != OWNER {
        return Err(
            Failure::usage(format!("run {id} belongs to {}", run.owner)).help(format!(
                "its owner goes on with it; or close it with: tiki runs close {id}{}",
                open::flag(demo)
            )),
        );
    }
    Ok(run)
}

/// Of a run that has ended, or that drift has stopped: nobody goes on with it or closes it.
fn not_open(run: &Run, demo: bool) -> Failure {
    let (id, flag) = (&run.id, open::flag(demo));
    if run.state == RunState::Held {
        return Failure::usage(format!("run {id} is held")).help(format!(
            "`tiki drift show {id}{flag}` says why; load it all the same with `tiki drift accept \
             {id}{flag}`, or give it up with `tiki drift reject {id}{flag}`"
        ));
    }
    Failure::usage(format!("run {id} is {} already", run.state.as_str())).help(format!(
        "redo it from a step on with: tiki run --from transform-products --run {id}{flag}"
    ))
}

async fn close(context: &Context, id: &str, output: Output) -> Outcome {
    let report = end_by_hand(context, id, output, ByHand::Close).await?;
    Ok(Exit::from_code(report.exit_code))
}

/// How a person ends a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ByHand {
    /// What it fetched is loaded.
    Close,
    /// Nothing of it is loaded, because drift had stopped it.
    Reject,
}

/// Ends a run without a request and shows its report.
pub(crate) async fn end_by_hand(
    context: &Context,
    id: &str,
    output: Output,
    how: ByHand,
) -> Outcome<RunReport> {
    if open::ledger(context, output.demo).await?.is_none() {
        return Err(open::empty(context, output.demo, false).await);
    }
    let warehouse = open::to_write(context, output.demo).await?;
    let run = run::find(&warehouse, id, output.demo).await?;
    let report = ended(context, &warehouse, &run, output.demo, how).await?;
    if output.json {
        print::json(&report)?;
    } else {
        print::text(&report::people(&report, output.demo))?;
    }
    Ok(report)
}

/// Closes a run of the warehouse as `tiki runs close` does, without showing its report.
pub(crate) async fn close_run(context: &Context, run: &Run) -> Outcome<RunReport> {
    let warehouse = open::to_write(context, false).await?;
    ended(context, &warehouse, run, false, ByHand::Close).await
}

async fn ended(
    context: &Context,
    warehouse: &Warehouse,
    run: &Run,
    demo: bool,
    how: ByHand,
) -> Outcome<RunReport> {
    if matches!(how, ByHand::Close) && run.state != RunState::Open {
        return Err(not_open(run, demo));
    }
    let (pipeline, progress, _shop) =
        run::pipeline_for(context, warehouse, run, demo, false).await?;
    let done = match how {
        ByHand::Close => pipeline.close_run(&run.id).await,
        ByHand::Reject => pipeline.reject_drift(&run.id).await,
    };
    progress.clear();
    Ok(done?)
}
