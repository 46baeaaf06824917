//! Running one step: may it run, who else is at it, what became of it.
//!
//! Not here: what a step does (its own module), a whole run (`runs`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crawl::Robots;
use warehouse::{Attempt, AttemptRequest, NewAlert, Run, RunState, Warehouse};

use crate::clocks::check_database_clock;
use crate::outage::{Outages, is_outage};
use crate::report::round3;
use crate::{
    Clock, Error, Event, Exit, Listener, Result, Scope, Settings, Site, Step, StepReport,
    StepRequest, Stop, alerts, process, spans,
};

/// How often a lease is prolonged; a third of its length.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Everything that steps need.
#[derive(Clone)]
pub struct Pipeline {
    warehouse: Warehouse,
    site: Option<Arc<Site>>,
    clock: Clock,
    settings: Settings,
    listener: Listener,
    stop: Stop,
}

/// A step at work.
pub(crate) struct Work<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) run: &'a Run,
    pub(crate) scope: &'a Scope,
    pub(crate) attempt: Attempt,
    deadline: Option<(Instant, Duration)>,
    /// See [`StepRequest::goes_on`].
    goes_on: bool,
    warnings: Mutex<Vec<String>>,
    /// Whether something was done.
    moved: AtomicBool,
}

/// What stands before the work on a step.
enum Way {
    /// Nothing: the run, and what it crawls.
    Open(Box<(Run, Scope)>),
    /// It has ended.
    Ended(Box<StepReport>),
}

impl Pipeline {
    /// A pipeline; `site` is `None` for commands that ask nothing.
    pub fn new(
        warehouse: Warehouse,
        site: Option<Site>,
        clock: Clock,
        settings: Settings,
        listener: Listener,
        stop: Stop,
    ) -> Self {
        Self {
            warehouse,
            site: site.map(Arc::new),
            clock,
            settings,
            listener,
            stop,
        }
    }

    /// Where the records are.
    pub fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }

    /// The run's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How it works.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The wish to stop.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(crate) fn tell(&self, event: Event) {
        self.listener.tell(event);
    }

    pub(crate) fn site(&self) -> Result<Arc<Site>> {
        self.site
            .clone()
            .ok_or_else(|| Error::Bug("a step that asks the site without one".into()))
    }

    /// What robots.txt allows. While its `Crawl-delay` passes the wish to stop is heard.
    pub(crate) async fn robots(&self) -> Result<Arc<Robots>> {
        let site = self.site()?;
        tokio::select! {
            robots = site.robots() => robots,
            () = self.stop().heard() => Err(Error::Interrupted),
        }
    }

    /// Entries of the shared cache of pages; `None` without one, or while it cannot be asked.
    pub(crate) async fn shared_entries(&self) -> Option<u64> {
        self.site.as_ref()?.pages()?.entries().await
    }

    /// Runs one step of a run that exists, and reports. A step that has ended reports again. A
    /// warehouse that is lost on the way is waited for.
    pub async fn step(&self, request: &StepRequest) -> Result<StepReport> {
        spans::of_step(request, Box::pin(self.step_in_span(request))).await
    }

    async fn step_in_span(&self, request: &StepRequest) -> Result<StepReport> {
        let way = self
            .patiently(async |again| self.way_to(request, again).await)
            .await?;
        let (run, scope) = match way {
            Way::Open(of) => *of,
            Way::Ended(report) => return Ok(*report),
        };
        self.tell(Event::StepBegun(request.step));
        let report = self.attempt(&run, &scope, request).await?;
        self.tell(Event::StepEnded(Box::new(report.clone())));
        Ok(report)
    }

    /// Looks whether a step may be worked on, and closes what was left open before it.
    async fn way_to(&self, request: &StepRequest, again: bool) -> Result<Way> {
        let run = self.warehouse.run(&request.run).await?;
        let mut run = run.ok_or_else(|| Error::NoRun(request.run.clone()))?;
        let scope = Scope::from_json(&run.scope)
            .ok_or_else(|| Error::Bug(format!("the scope of run {} cannot be read", run.id)))?;
        if let Some(owner) = request.owner.as_ref().filter(|owner| **owner != run.owner) {
            return Err(Error::Usage(format!(
                "run {} belongs to {}, not to {owner}",
                run.id, run.owner
            )));
        }
        if let Some(report) = self.ended(&run, request.step).await? {
            let derives = [Step::TransformProducts, Step::LoadProducts].contains(&request.step);
            if !(request.again && derives) {
                return Ok(Way::Ended(Box::new(report)));
            }
            run = self.redo(&run.id, request.step).await?;
        }
        if run.state == RunState::Held {
            return Err(self.held(&run).await?);
        }
        if run.state != RunState::Open {
            return Err(Error::Usage(format!(
                "run {} is {}: a new run begins with crawl-categories, and \
                 `tiki run --from <step> --run {}` redoes this one from its stored pages",
                run.id,
                run.state.as_str(),
                run.id
            )));
        }
        check_database_clock(&self.warehouse, &self.clock).await?;
        self.close_earlier(&run, &scope, request.step, again)
            .await?;
        Ok(Way::Open(Box::new((run, scope))))
    }

    /// The report of a step that has ended.
    pub(crate) async fn ended(&self, run: &Run, step: Step) -> Result<Option<StepReport>> {
        let Some(row) = self.warehouse.step(&run.id, step.name()).await? else {
            return Ok(None);
        };
        let Some(text) = row.report.filter(|_| row.closed) else {
            return Ok(None);
        };
        let mut report: StepReport = serde_json::from_str(&text)
            .map_err(|error| Error::Bug(format!("a stored report cannot be read: {error}")))?;
        report.already_done = true;
        report.hint = Some(format!(
            "this step has ended; redo it with: tiki run --from {} --run {}",
            step.name(),
            run.id
        ));
        Ok(Some(report))
    }

    /// Closes steps before this one that were left open (a refusal that nobody tried again): what
    /// they did not ask is counted so. Steps that ask nothing are simply run.
    async fn close_earlier(&self, run: &Run, scope: &Scope, step: Step, again: bool) -> Result<()> {
        // What the site refused is refused for the steps that come after it too.
        let mut before = Exit::Done;
        for earlier in Step::ALL.into_iter().take_while(|earlier| *earlier < step) {
            if let Some(report) = self.ended(run, earlier).await? {
                before = report.exit();
                continue;
            }
            let request = StepRequest::new(&run.id, earlier);
            if !earlier.asks_the_site() {
                self.attempt(run, scope, &request).await?;
                continue;
            }
            let row = self.warehouse.step(&run.id, earlier.name()).await?;
            let work = self.begin(run, scope, &request, again).await?;
            let exit = match row.and_then(|row| Some((row.error?, row.exit_code))) {
                Some((seen, code)) => {
                    work.note(format!("it was not tried again after: {seen}"));
                    code.map_or(Exit::Done, Exit::from_code)
                }
                None if before == Exit::Refused => before,
                None => Exit::Done,
            };
            before = exit;
            let done = self.settle(&work, earlier, exit).await;
            self.end(&work, done.as_ref().err()).await?;
            done?;
        }
        Ok(())
    }

    /// Begins an attempt; `again`: an earlier one of this process may have begun without its knowing.
    async fn begin<'a>(
        &'a self,
        run: &'a Run,
        scope: &'a Scope,
        request: &StepRequest,
        again: bool,
    ) -> Result<Work<'a>> {
        let wish = AttemptRequest {
            run: run.id.clone(),
            step: request.step.name().into(),
            shard: request.shard,
            attempt: request.attempt,
            join: request.join,
            host: process::this_host(),
        };
        let lost = |process: &str| again && process == wish.host.process;
        let is_dead = |process: &str| lost(process) || process::is_dead(process);
        match self.warehouse.begin_attempt(&wish, is_dead).await? {
            Ok(attempt) => Ok(Work {
                pipeline: self,
                run,
                scope,
                attempt,
                deadline: request.timeout.map(|limit| (Instant::now() + limit, limit)),
                goes_on: request.goes_on,
                warnings: Mutex::default(),
                moved: AtomicBool::default(),
            }),
            Err(host) => Err(Error::Held(format!(
                "another process ({}) works on {} of run {}: wait for its end, or end it",
                process::shown(&host),
                request.step.name(),
                run.id
            ))),
        }
    }

    async fn attempt(&self, run: &Run, scope: &Scope, request: &StepRequest) -> Result<StepReport> {
        let mut outages = Outages::default();
        let mut notes = Vec::new();
        loop {
            let had_any = outages.any();
            let work = self
                .patiently(async |again| self.begin(run, scope, request, again || had_any).await)
                .await?;
            notes.drain(..).for_each(|text| work.note(text));
            let keeper = self.keep_lease(&work.attempt);
            let outcome = Box::pin(self.work(&work, request)).await;
            keeper.abort();
            if let Err(error) = &outcome
                && is_outage(error)
            {
                if work.moved.load(Ordering::Relaxed) {
                    outages.is_over();
                }
                if !outages.may_outlive(error, self.settings())
                    || !self.outlast(&work, error, &outages).await
                {
                    // One try: else the lease ends by itself, or with this process.
                    let (code, seen) = error.to_keep();
                    let failed = Some((code, seen.as_str()));
                    let alert = work.alert(request.step, error);
                    let ended = self
                        .warehouse
                        .end_attempt(&work.attempt, failed, alert.as_ref());
                    drop(ended.await);
                    return outcome;
                }
                // The answer that it was closed may be all that was lost.
                let ended = self
                    .patiently(async |_| self.ended(run, request.step).await)
                    .await?;
                if let Some(report) = ended {
                    return Ok(StepReport {
                        already_done: false,
                        hint: None,
                        ..report
                    });
                }
                notes = work.take_warnings();
                continue;
            }
            self.end(&work, outcome.as_ref().err()).await?;
            return outcome;
        }
    }

    async fn work(&self, work: &Work<'_>, request: &StepRequest) -> Result<StepReport> {
        if request.step.asks_the_site()
            && let Some(at) = self.warehouse().drift_rejected_at().await?
        {
            self.site()?.distrust_before(at);
        }
        let exit = match request.step {
            Step::CrawlCategories => work.crawl_categories().await?,
            Step::ExtractProductUrls => work.extract_product_urls().await?,
            Step::CrawlProductDetails => work.crawl_product_details().await?,
            Step::TransformProducts => work.transform_products().await?,
            Step::LoadProducts => work.load_products().await?,
            _ => Exit::Done,
        };
        self.settle(work, request.step, exit).await
    }

    /// Closes a step's frontier, makes its report from rows and closes the step with it.
    async fn settle(&self, work: &Work<'_>, step: Step, exit: Exit) -> Result<StepReport> {
        let keys = match step {
            Step::CrawlCategories => work.settle_categories().await?,
            Step::ExtractProductUrls => work.settle_listing().await?,
            Step::CrawlProductDetails => work.settle_details().await?,
            Step::TransformProducts => work.transform_report().await?,
            Step::LoadProducts => work.load_report().await?,
            Step::GetCacheStats => work.cache_stats().await?,
            Step::MonitorInfrastructure => work.infrastructure_stats().await?,
            Step::CleanupTempFiles => work.clean_up().await?,
            Step::SendNotification => work.notify().await?,
        };
        let mut report = StepReport::new(step, &work.run.id, keys);
        report.warnings = work.take_warnings();
        report.exit_code = exit.code().into();
        report.seconds = round3(self.warehouse.worked(&work.attempt).await?.seconds);
        let code = report.exit_code;
        if !self
            .warehouse
            .close_step(&work.attempt, code, &report.to_json())
            .await?
        {
            return Err(Error::Held(format!(
                "{} of run {} is still worked on by another process",
                step.name(),
                work.run.id
            )));
        }
        Ok(report)
    }

    /// Gives a step back. What went wrong before matters more than what goes wrong here.
    async fn end(&self, work: &Work<'_>, error: Option<&Error>) -> Result<()> {
        let seen = error.map(Error::to_keep);
        let failed = seen.as_ref().map(|(code, text)| (*code, text.as_str()));
        let step = Step::parse(&work.attempt.step);
        let alert = error
            .zip(step)
            .and_then(|(error, step)| work.alert(step, error));
        let ended = self
            .patiently(async |_| {
                let ended = self
                    .warehouse
                    .end_attempt(&work.attempt, failed, alert.as_ref());
                Ok(ended.await?)
            })
            .await;
        match (error, ended) {
            (None, Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Prolongs the lease until it is aborted. When another has taken over, the next commit says so.
    pub(crate) fn keep_lease(&self, attempt: &Attempt) -> tokio::task::JoinHandle<()> {
        let (warehouse, attempt) = (self.warehouse.clone(), attempt.clone());
        let keep = async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                if let Err(error) = warehouse.heartbeat(&attempt).await {
                    tracing::warn!(step = attempt.step, %error, "cannot prolong the lease");
                }
            }
        };
        tokio::spawn(tracing::Instrument::in_current_span(keep))
    }
}

impl Work<'_> {
    pub(crate) fn warehouse(&self) -> &Warehouse {
        &self.pipeline.warehouse
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.pipeline.settings
    }

    /// What is told of its failing.
    fn alert(&self, step: Step, error: &Error) -> Option<NewAlert> {
        if self.goes_on && error.retry_after().is_some() {
            return None;
        }
        let seen = crate::site::chain(error);
        let failed = alerts::Failed {
            run: self.run,
            step,
            exit: error.exit(),
            seen: &seen,
        };
        let rules = &self.settings().alerts;
        alerts::failed(&failed, rules).map(|notice| rules.alert(notice))
    }

    /// Whether to stop before the next batch.
    pub(crate) fn check_stop(&self) -> Result<()> {
        if self.pipeline.stop.is_said() {
            return Err(Error::Interrupted);
        }
        match self.deadline {
            Some((end, limit)) if Instant::now() > end => Err(Error::Overtime(limit.as_secs())),
            _ => Ok(()),
        }
    }

    /// Waits until it is to stop; why.
    pub(crate) async fn told_to_stop(&self) -> Error {
        let overtime = async {
            let Some((end, limit)) = self.deadline else {
                return std::future::pending().await;
            };
            tokio::time::sleep_until(end.into()).await;
            Error::Overtime(limit.as_secs())
        };
        tokio::select! {
            () = self.pipeline.stop.heard() => Error::Interrupted,
            error = overtime => error,
        }
    }

    /// Tells of something that went wrong and was survived, now and in the step's report.
    pub(crate) fn warn(&self, text: String) {
        self.pipeline.tell(Event::Warning(text.clone()));
        self.note(text);
    }

    /// The same in the report alone.
    pub(crate) fn note(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(text);
    }

    fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *warnings)
    }

    pub(crate) fn progress(&self, step: Step, done: u64, total: u64) {
        self.moved.fetch_or(done > 0, Ordering::Relaxed);
        self.pipeline.tell(Event::Progress { step, done, total });
    }

    /// Waits a moment for others who hold the rest, and takes over what the dead have left.
    pub(crate) async fn idle(&self) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(crate::fetch::IDLE) => {}
            () = self.pipeline.stop.heard() => {}
        }
        self.check_stop()?;
        Ok(self.warehouse().reap(&self.attempt).await?)
    }
}
