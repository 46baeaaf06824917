//! `tiki rollback airflow`: from one of the two DAGs to the other.
//!
//! What runs ends first, or is ended; then the one is paused, then the other unpaused. So the two are never
//! both at work, and whoever is interrupted between two of these goes on with the same command.
//!
//! Not here: how Airflow is asked (`crate::airflow`).

use std::time::{Duration, Instant};

use pipeline::preflight::airflow::{DAG, ROLLBACK_DAG};
use pipeline::{Exit, RunReport};
use serde_json::{Value, json};
use warehouse::{Run, RunState, Warehouse};

use crate::airflow::{Api, Trouble};
use crate::arguments::RollbackAirflow;
use crate::failure::{Failure, Outcome};
use crate::value::show_span;
use crate::{Context, interrupt, open, print, runs};

/// Between two looks at what is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How often a wait is told of.
const BETWEEN_WORDS: Duration = Duration::from_mins(1);

/// DAG runs that are asked for at once; the next look sees more.
const RUNS: usize = 100;

/// `tiki rollback airflow`.
pub(super) async fn switch(context: &Context, arguments: &RollbackAirflow) -> Outcome {
    let (from, to) = if arguments.undo {
        (ROLLBACK_DAG, DAG)
    } else {
        (DAG, ROLLBACK_DAG)
    };
    let url = context.config.airflow_url.clone().ok_or_else(|| {
        Failure::usage("TIKI_AIRFLOW_URL is not set").help(
            "write it as http://127.0.0.1:8080, with TIKI_AIRFLOW_USER and TIKI_AIRFLOW_PASSWORD",
        )
    })?;
    let mut api = Api::new(url)?;
    api.log_in(&context.config.airflow_login).await?;
    let way = Way {
        context,
        api,
        from,
        to,
        until: Instant::now() + arguments.wait,
        wait: arguments.wait,
    };
    let was = way.look().await?;
    let runs = way.runs().await?;
    if arguments.dry_run {
        tell_plan(&way, arguments, was, &runs)?;
        return Ok(Exit::Done);
    }
    // A warehouse that cannot be reached is told before anything is changed.
    let ledger = if arguments.close {
        open::ledger(context, false).await?
    } else {
        None
    };
    let said = "stopping; the same command goes on (Ctrl-C again ends at once)";
    interrupt::listen_saying(context.stop.clone(), context.screen.clone(), said)?;
    let mut done = Done::default();
    if arguments.close {
        way.end_and_pause(ledger.as_ref(), &mut done).await?;
    } else {
        way.wait_and_pause().await?;
    }
    let is = way.begin().await.map_err(|failure| way.half(failure))?;
    tell(&way, arguments, &done, was, is)?;
    Ok(Exit::Done)
}

/// Whether each of the two is paused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Paused {
    from: bool,
    to: bool,
}

/// What was ended on the way.
#[derive(Debug, Default)]
struct Done {
    /// DAG runs that were marked failed.
    ended: Vec<String>,
    /// Runs of the ledger that were closed.
    closed: Vec<RunReport>,
}

/// From one DAG to another.
struct Way<'a> {
    context: &'a Context,
    api: Api,
    from: &'static str,
    to: &'static str,
    until: Instant,
    wait: Duration,
}

impl Way<'_> {
    /// Looks whether the DAGs are paused. Refused where the one to begin is not there or could not begin.
    async fn look(&self) -> Outcome<Paused> {
        let from = self.dag(self.from).await?;
        let to = self.dag(self.to).await?;
        let is = |dag: &Value, field: &str| dag[field].as_bool() == Some(true);
        if is(&to, "has_import_errors") || is(&to, "is_stale") {
            let why = if is(&to, "has_import_errors") {
                "its file cannot be imported"
            } else {
                "its file is gone from Airflow's folder of DAGs"
            };
            return Err(Failure::usage(format!("{} cannot be begun", self.to))
                .why(why)
                .help("`airflow dags list-import-errors` says more; put the files of the release in their place"));
        }
        Ok(Paused {
            from: is(&from, "is_paused"),
            to: is(&to, "is_paused"),
        })
    }

    async fn dag(&self, id: &str) -> Outcome<Value> {
        let dag = self.api.thing(&format!("/dags/{id}")).await?;
        dag.filter(|dag| dag["is_paused"].is_boolean())
            .ok_or_else(|| {
                Failure::usage(format!("there is no {id} in Airflow")).help(
                    "is airflow/dags in Airflow's folder of DAGs, and its dag-processor at work?",
                )
            })
    }

    /// DAG runs of the one to pause that have not ended, the oldest first.
    async fn runs(&self) -> Outcome<Vec<String>> {
        let path = format!(
            "/dags/{}/dagRuns?state=running&state=queued&order_by=id&limit={RUNS}",
            self.from
        );
        let found = self.api.thing(&path).await?.unwrap_or_default();
        let runs = found["dag_runs"].as_array().ok_or_else(|| {
            Failure::from(Trouble::Refused(format!("{path} answered no list of runs")))
        })?;
        let ids = runs.iter().filter_map(|run| run["dag_run_id"].as_str());
        Ok(ids.map(str::to_owned).collect())
    }

    async fn set_paused(&self, dag: &str, paused: bool) -> Outcome<()> {
        let path = format!("/dags/{dag}");
        let fields = json!({ "is_paused": paused });
        let is = self.api.change(&path, &fields).await?;
        if is["is_paused"].as_bool() == Some(paused) {
            return Ok(());
        }
        let what = format!("{path} stays as it was");
        Err(Trouble::Refused(what).into())
    }

    /// Waits until nothing of the one runs, and pauses it then.
    async fn wait_and_pause(&self) -> Outcome<()> {
        let mut words = Words::default();
        loop {
            let paused = self.look().await?.from;
            let runs = self.runs().await?;
            match (paused, runs.first()) {
                (true, None) => return Ok(()),
                (true, Some(run)) => return Err(self.stuck(run)),
                (false, None) => {
                    self.set_paused(self.from, true).await?;
                    // One that began in the same moment would never end.
                    if !self.runs().await?.is_empty() {
                        self.set_paused(self.from, false).await?;
                    }
                }
                (false, Some(run)) => {
                    let what = format!("DAG run {run} of {}", self.from);
                    self.wait(&what, &mut words).await?;
                }
            }
        }
    }

    fn stuck(&self, run: &str) -> Failure {
        let from = self.from;
        Failure::new(Exit::Warehouse, format!("{from} is paused, and its DAG run {run} has not ended"))
            .why("Airflow begins no task of a DAG that is paused")
            .help(format!(
                "end it with --close, or let it end first: airflow dags unpause {from}, and this command again"
            ))
    }

    /// Pauses the one, marks failed what runs of it, and closes its run in the ledger once nobody works on it.
    async fn end_and_pause(&self, ledger: Option<&Warehouse>, done: &mut Done) -> Outcome<()> {
        self.set_paused(self.from, true).await?;
        let ended = self.end_runs(ledger, done).await;
        ended.map_err(|failure| self.half(failure))
    }

    async fn end_runs(&self, ledger: Option<&Warehouse>, done: &mut Done) -> Outcome<()> {
        let mut words = Words::default();
        loop {
            let runs = self.runs().await?;
            if runs.is_empty() {
                break;
            }
            for run in runs {
                let path = format!("/dags/{}/dagRuns/{}", self.from, escaped(&run));
                self.api
                    .change(&path, &json!({ "state": "failed" }))
                    .await?;
                if !done.ended.contains(&run) {
                    done.ended.push(run);
                }
            }
            self.wait("the end of DAG runs that were marked failed", &mut words)
                .await?;
        }
        let Some(ledger) = ledger else { return Ok(()) };
        while let Some(run) = self.unfinished(ledger).await? {
            if run.leased {
                let what = format!("run {} of the ledger, which is at work", run.id);
                self.wait(&what, &mut words).await?;
            } else {
                done.closed.push(runs::close_run(self.context, &run).await?);
            }
        }
        Ok(())
    }

    /// The run of the one DAG that keeps others out.
    async fn unfinished(&self, ledger: &Warehouse) -> Outcome<Option<Run>> {
        let owner = format!("airflow:{}", self.from);
        let mut runs = ledger.unfinished_runs().await?.into_iter();
        Ok(runs.find(|run| run.owner == owner && run.state == RunState::Open))
    }

    /// Unpauses the other, and looks at both.
    async fn begin(&self) -> Outcome<Paused> {
        if self.context.stop.is_said() {
            return Err(pipeline::Error::Interrupted.into());
        }
        if self.look().await?.to {
            self.set_paused(self.to, false).await?;
        }
        let is = self.look().await?;
        if is
            == (Paused {
                from: true,
                to: false,
            })
        {
            return Ok(is);
        }
        Err(Failure::new(
            Exit::Warehouse,
            format!(
                "somebody else pauses or unpauses {} or {} at the same time",
                self.from, self.to
            ),
        )
        .help("settle who does, then try the same command again"))
    }

    /// A failure after the one was paused and before the other was unpaused.
    fn half(&self, failure: Failure) -> Failure {
        failure.why(format!(
            "{} is paused by now, {} is not unpaused yet: the same command goes on",
            self.from, self.to
        ))
    }

    /// Until the next look.
    async fn wait(&self, what: &str, words: &mut Words) -> Outcome<()> {
        if Instant::now() >= self.until {
            let wait = show_span(self.wait);
            return Err(
                Failure::new(Exit::Warehouse, format!("waited {wait} in vain for {what}"))
                    .help("wait longer (--wait 2h), or end it (--close)"),
            );
        }
        words.say(self.context, what);
        tokio::select! {
            () = tokio::time::sleep(BETWEEN_LOOKS) => Ok(()),
            () = self.context.stop.heard() => Err(pipeline::Error::Interrupted.into()),
        }
    }
}

/// When a wait was told of last, and for what.
#[derive(Default)]
struct Words(Option<(String, Instant)>);

impl Words {
    fn say(&mut self, context: &Context, what: &str) {
        let again = |(said, at): &(String, Instant)| said != what || at.elapsed() >= BETWEEN_WORDS;
        if self.0.as_ref().is_none_or(again) {
            context.screen.say(&format!("waiting for {what}"));
            self.0 = Some((what.to_owned(), Instant::now()));
        }
    }
}

/// A run's id within a path: `+` and `:` stand in it.
fn escaped(id: &str) -> String {
    let mut text = String::new();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(byte.into());
        } else {
            text += &format!("%{byte:02X}");
        }
    }
    text
}

fn word(paused: bool) -> &'static str {
    if paused { "paused" } else { "unpaused" }
}

fn tell_plan(
    way: &Way<'_>,
    arguments: &RollbackAirflow,
    was: Paused,
    runs: &[String],
) -> Outcome<()> {
    if arguments.json {
        return print::json(&json!({
            "dry_run": true,
            "at_work": runs,
            "dags": [
                { "dag": way.from, "was_paused": was.from, "is_paused": was.from },
                { "dag": way.to, "was_paused": was.to, "is_paused": was.to },
            ],
        }));
    }
    let rows = [
        vec![way.from.into(), word(was.from).into(), word(true).into()],
        vec![way.to.into(), word(was.to).into(), word(false).into()],
    ];
    let mut text = print::table(&["dag", "is", "would be"], &rows);
    let fate = match (arguments.close, was.from) {
        (true, _) => "would be marked failed, and its run closed",
        (false, true) => {
            "cannot end while its DAG is paused: end it with --close, or unpause the DAG first"
        }
        (false, false) => "would be waited for",
    };
    for run in runs {
        text += &format!("DAG run {run} {fate}\n");
    }
    print::text(&text)
}

fn tell(
    way: &Way<'_>,
    arguments: &RollbackAirflow,
    done: &Done,
    was: Paused,
    is: Paused,
) -> Outcome<()> {
    let changed = was != is || !done.ended.is_empty() || !done.closed.is_empty();
    if arguments.json {
        return print::json(&json!({
            "dry_run": false,
            "changed": changed,
            "dags": [
                { "dag": way.from, "was_paused": was.from, "is_paused": is.from },
                { "dag": way.to, "was_paused": was.to, "is_paused": is.to },
            ],
            "ended": done.ended,
            "closed": done.closed.iter().map(|report| {
                json!({ "run": report.run_id, "exit_code": report.exit_code })
            }).collect::<Vec<_>>(),
        }));
    }
    let rows = [
        vec![way.from.into(), word(was.from).into(), word(is.from).into()],
        vec![way.to.into(), word(was.to).into(), word(is.to).into()],
    ];
    let mut text = print::table(&["dag", "was", "is"], &rows);
    for run in &done.ended {
        text += &format!("DAG run {run} was marked failed\n");
    }
    for report in &done.closed {
        text += &format!(
            "run {} was closed, exit code {}\n",
            report.run_id, report.exit_code
        );
    }
    text += match (changed, arguments.undo) {
        (false, _) => "it was so already\n",
        (true, false) => "forward again: tiki rollback airflow --undo\n",
        (true, true) => "",
    };
    print::text(&text)
}
