//! Whole runs: beginning, going on, closing, reporting.
//!
//! Not here: one step (`steps`).

use std::time::Duration;

use catalog::Instant;
use serde_json::Value;
use warehouse::{Identities, NewAlert, NewRun, Run, RunState};

use crate::report::seconds;
use crate::{
    Error, Event, Exit, Pipeline, Result, RunReport, Scope, Step, StepReport, StepRequest, alerts,
    disk, spans,
};

/// A run without a commit for so long is not active any more.
const ACTIVE_MILLIS: i64 = 30 * 60_000;

/// A run that was idle for so long is not gone on with.
const IDLE_MILLIS: i64 = 20 * 3_600_000;

/// Between two steps nobody holds a lease; whoever waits does not take that for the end.
const BETWEEN_STEPS_MILLIS: i64 = 10_000;

/// How often a waiting run looks whether its turn has come.
const TURN: Duration = Duration::from_secs(5);

/// The wish to run everything.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The id of a run that begins now.
    pub id: String,
    /// `cli`, `serve` or `airflow:<dag>`.
    pub owner: String,
    /// What to crawl.
    pub scope: Scope,
    /// Do not go on with an unfinished run.
    pub fresh: bool,
    /// Nor with one that began before this, by the run's clock.
    pub new_before: Option<Instant>,
    /// Wait until another run ends.
    pub wait: bool,
    /// Go on with the run of exactly this id and no other (a step of Airflow, a day of a demo).
    pub only_this: bool,
}

impl Pipeline {
    /// Begins a run, or goes on with an unfinished one of the same scope and owner. Says which in a
    /// note.
    pub async fn begin_run(&self, request: &RunRequest) -> Result<Run> {
        check_id(&request.id)?;
        let mut said = false;
        loop {
            let known = if request.only_this {
                self.patiently_find(&request.id).await?
            } else {
                None
            };
            if let Some(run) = known.filter(|run| run.state != RunState::Open) {
                return Ok(run);
            }
            let new = NewRun {
                id: request.id.clone(),
                owner: request.owner.clone(),
                scope: request.scope.to_json(),
                scope_key: request.scope.to_json(),
                clock_at: self.clock().now(),
            };
            let made = self.patiently(async |again| {
                let made = self.warehouse().create_run(&new).await?;
                let now = self.warehouse().time().await?;
                Ok(match made {
                    // It had been made, and only the answer was lost.
                    Err(other) if again && other.id == new.id => (Ok(*other), now),
                    made => (made, now),
                })
            });
            let (idle, other) = match made.await? {
                (Ok(run), _) => return Ok(run),
                (Err(other), now) => (now.millis_since(other.last_commit_at), other),
            };
            let same = if request.only_this {
                other.id == request.id
            } else {
                other.owner == new.owner && other.scope_key == new.scope_key
            };
            let fresh = self.is_fresh_beside(request, &other).await?;
            let at_work = other.leased || idle < BETWEEN_STEPS_MILLIS;
            if same && !fresh && idle < IDLE_MILLIS && !(request.wait && at_work) {
                self.tell(Event::Note(format!(
                    "going on with run {} ({})",
                    other.id, other.owner
                )));
                return Ok(*other);
            }
            let left = same && fresh && !self.is_between_steps(&other, idle).await?;
            if !other.leased && (idle >= ACTIVE_MILLIS || left) {
                self.tell(Event::Note(format!(
                    "closing run {}, which nobody finished",
                    other.id
                )));
                self.close_for_another(&other.id).await?;
                continue;
            }
            let why = format!(
                "run {} of {} is at work or was {} min ago",
                other.id,
                other.owner,
                idle / 60_000
            );
            if !request.wait {
                return Err(Error::Held(format!(
                    "{why}: wait for it (--wait), or close it (tiki runs close {})",
                    other.id
                )));
            }
            self.wait_a_turn(&why, &mut said).await?;
        }
    }

    /// Whether a request does not go on with an unfinished run. One that is redone and was left is behind what newer
    /// runs brought: today's looks are not its.
    async fn is_fresh_beside(&self, request: &RunRequest, other: &Run) -> Result<bool> {
        if request.fresh || request.new_before.is_some_and(|at| other.clock_at < at) {
            return Ok(true);
        }
        if request.only_this {
            return Ok(false);
        }
        self.patiently(async |_| Ok(self.warehouse().is_overtaken(other.number).await?))
            .await
    }

    /// Whether a run that nobody holds may be at work all the same, about to begin its next step.
    async fn is_between_steps(&self, run: &Run, idle: i64) -> Result<bool> {
        if idle >= BETWEEN_STEPS_MILLIS {
            return Ok(false);
        }
        self.patiently(async |_| Ok(self.warehouse().is_between_steps(&run.id).await?))
            .await
    }

    /// Closes a run that another one may begin. What it fetched may have another shape: then it is held, told of,
    /// and in nobody's way.
    async fn close_for_another(&self, id: &str) -> Result<()> {
        match self.close_run(id).await {
            Ok(_) | Err(Error::Drift { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits for the next look whether another run has ended; says so the first time.
    async fn wait_a_turn(&self, why: &str, said: &mut bool) -> Result<()> {
        if !std::mem::replace(said, true) {
            self.tell(Event::Note(format!("{why}: waiting for its end")));
        }
        tokio::select! {
            () = tokio::time::sleep(TURN) => Ok(()),
            () = self.stop().heard() => Err(Error::Interrupted),
        }
    }

    /// Runs all nine steps. A site that refuses does not keep what was listed from being loaded.
    pub async fn run(&self, run: &Run) -> Result<RunReport> {
        spans::of_run(&run.id, Box::pin(self.run_in_span(run))).await
    }

    async fn run_in_span(&self, run: &Run) -> Result<RunReport> {
        let mut refused = false;
        for step in Step::ALL {
            if refused && step.asks_the_site() {
                // A site that refuses is not asked again; the next step counts what was not asked.
                continue;
            }
            let request = StepRequest {
                // Without a tree nothing is known and nothing can be loaded: the run stays open.
                goes_on: step.asks_the_site() && step != Step::CrawlCategories,
                ..StepRequest::new(&run.id, step)
            };
            match self.step(&request).await {
                Ok(_) => {}
                Err(error) if error.retry_after().is_some() && request.goes_on => {
                    refused = true;
                    self.tell(Event::Warning(format!(
                        "{error}; what was listed is loaded all the same, and the rest can be \
                         asked later: tiki run --from {} --run {}",
                        step.name(),
                        run.id
                    )));
                }
                Err(error) => return Err(error),
            }
        }
        self.end_run(&run.id).await
    }

    /// Ends a run whose nine steps have ended, with the worst of their exit codes.
    pub async fn end_run(&self, id: &str) -> Result<RunReport> {
        let run = self.patiently_find(id).await?;
        let run = run.ok_or_else(|| Error::Usage(format!("there is no run {id:?}")))?;
        let rows = self
            .patiently(async |_| Ok(self.warehouse().steps(id).await?))
            .await?;
        let codes = rows.iter().filter_map(|row| row.exit_code);
        let exit = codes.fold(Exit::Done, |exit, code| exit.worse(Exit::from_code(code)));
        self.finish(&run, RunState::Done, exit).await
    }

    /// Closes a run by hand: what it fetched is loaded, what it did not ask is counted so.
    pub async fn close_run(&self, id: &str) -> Result<RunReport> {
        let run = self.warehouse().run(id).await?;
        let run = run.ok_or_else(|| Error::Usage(format!("there is no run {id:?}")))?;
        if run.state != RunState::Open {
            return Err(Error::Usage(format!(
                "run {id} is {} already",
                run.state.as_str()
            )));
        }
        // Whoever is still at work on a step is found there; a process that was killed is not.
        let last = StepRequest::new(id, Step::SendNotification);
        let exit = match self.step(&last).await {
            Ok(_) => Exit::Done,
            // Else no other run could begin: what is known of this one stays, and so does its error.
            Err(Error::Broken(seen)) => {
                let seen = seen.join("; ");
                self.tell(Event::Warning(format!(
                    "the counts of run {id} do not add up: {seen}"
                )));
                Exit::Bug
            }
            Err(error) => return Err(error),
        };
        self.finish(&run, RunState::Abandoned, exit).await
    }

    /// Redoes a run from a step on. From a step that asks the site nothing, only one that has asked all it wants:
    /// else its nine steps would go on with asking.
    pub async fn redo(&self, id: &str, from: Step) -> Result<Run> {
        let run = self.warehouse().run(id).await?;
        let run = run.ok_or_else(|| Error::Usage(format!("there is no run {id:?}")))?;
        if run.leased {
            return Err(Error::Held(format!(
                "run {id} is at work; end its process first"
            )));
        }
        if !from.asks_the_site() {
            self.has_crawled(id).await?;
        }
        let names: Vec<&str> = Step::ALL
            .into_iter()
            .filter(|step| *step >= from)
            .map(Step::name)
            .collect();
        self.warehouse().redo(id, from.name(), &names).await?;
        let run = self.warehouse().run(id).await?;
        run.ok_or_else(|| Error::Bug(format!("run {id} vanished")))
    }

    /// Whether each step of a run that asks the site has ended; else an error that says what can be done.
    async fn has_crawled(&self, id: &str) -> Result<()> {
        let rows = self.warehouse().steps(id).await?;
        let open = Step::ALL.into_iter().find(|step| {
            let ended = rows.iter().any(|row| row.step == step.name() && row.closed);
            step.asks_the_site() && !ended
        });
        let Some(open) = open else { return Ok(()) };
        Err(Error::Usage(format!(
            "run {id} has not ended {}: go on with it (tiki run), redo it from there (tiki run --from {0} \
             --run {id}), or close it (tiki runs close {id})",
            open.name()
        )))
    }

    /// Ends a run: its counts are frozen in the ledger.
    pub(crate) async fn finish(&self, run: &Run, state: RunState, exit: Exit) -> Result<RunReport> {
        self.patiently(async |_| {
            let totals = self.warehouse().identities(&run.id).await?;
            let text = serde_json::to_string(&totals)
                .map_err(|error| Error::Bug(format!("counts cannot be printed: {error}")))?;
            let code = exit.code().into();
            let alert = self.alert(run, state, exit, &totals).await?;
            let ended = self
                .warehouse()
                .finish_run(&run.id, state, code, &text, alert.as_ref());
            Ok(ended.await?)
        })
        .await?;
        self.patiently(async |_| self.report(&run.id).await).await
    }

    /// What is told of a run that ends.
    async fn alert(
        &self,
        run: &Run,
        state: RunState,
        exit: Exit,
        totals: &Identities,
    ) -> Result<Option<NewAlert>> {
        let (warehouse, rules) = (self.warehouse(), &self.settings().alerts);
        if !rules.tells {
            return Ok(None);
        }
        let past = warehouse.past_totals(&run.id, &run.scope_key, alerts::PAST_RUNS);
        let listed = |text: &String| {
            let totals: Value = serde_json::from_str(text).ok()?;
            totals["products"]["listed"].as_i64()
        };
        let past_listed = past.await?.iter().filter_map(listed).collect();
        let probe = warehouse.probe().await?;
        let reports = self.report(&run.id).await?.steps;
        let number = |step: Step, key: &str, field: &str| {
            let report = reports.iter().find(|report| report.step == step.name());
            report.and_then(|report| report.number(key, field))
        };
        let refused = reports
            .iter()
            .find(|report| report.exit() == Exit::Refused && exit == Exit::Refused);
        let refused =
            refused.and_then(|report| Some((report.step.clone(), report.warnings.first()?)));
        let space = disk::space(&self.settings().data_dir).ok();
        let drift = warehouse.drift(&run.id).await?;
        let ended = alerts::Ended {
            run,
            state,
            exit,
            totals: totals.clone(),
            past_listed,
            refused: refused.map(|(step, seen)| format!("{step}: {seen}")),
            rate: number(Step::CrawlProductDetails, "crawl_stats", "rate"),
            hit_rate: number(Step::GetCacheStats, "cache_stats", "hit_rate"),
            drift,
            last_good: probe.last_good.map(|good| good.crawled_at),
            now: probe.time,
            free_bytes: space.map(|space| space.free),
        };
        Ok(alerts::ended(&ended, rules).map(|notice| rules.alert(notice)))
    }

    async fn patiently_find(&self, id: &str) -> Result<Option<Run>> {
        self.patiently(async |_| Ok(self.warehouse().run(id).await?))
            .await
    }

    /// What a run did.
    pub async fn report(&self, id: &str) -> Result<RunReport> {
        let run = self.warehouse().run(id).await?;
        let run = run.ok_or_else(|| Error::Usage(format!("there is no run {id:?}")))?;
        let rows = self.warehouse().steps(id).await?;
        let mut steps: Vec<StepReport> = rows
            .iter()
            .filter_map(|row| serde_json::from_str(row.report.as_deref()?).ok())
            .collect();
        steps.sort_by_key(|report| Step::parse(&report.step));
        let first = rows.iter().map(|row| row.started_at).min();
        let last = rows.iter().filter_map(|row| row.finished_at).max();
        Ok(RunReport {
            run_id: run.id,
            exit_code: run.exit_code.unwrap_or(0),
            clock_at: run.clock_at.to_string(),
            seconds: first
                .zip(last)
                .map_or(0.0, |(first, last)| seconds(first, last)),
            totals: self.warehouse().identities(id).await?,
            steps,
        })
    }
}

/// Whether a run may be called so.
pub(crate) fn is_id(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:+-".contains(c);
    (1..=128).contains(&id.len()) && id.chars().all(fits)
}

/// An id is 1 to 128 characters of `A-Z a-z 0-9 . _ : + -`.
fn check_id(id: &str) -> Result<()> {
    if is_id(id) {
        return Ok(());
    }
    let shown: String = id.chars().take(40).collect();
    Err(Error::Usage(format!(
        "{} is no id of a run: 1 to 128 characters of A-Z a-z 0-9 . _ : + -",
        Value::String(shown)
    )))
}
