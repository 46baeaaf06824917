//! The clock of `tiki serve`: starts runs, backups and clean-ups when they are due, as processes of their own
//! that end with this one, and remembers over a restart what it started.
//!
//! Not here: when something is due (`pipeline::Schedule`), what a run does (`run`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalog::Instant;
use dashboard::{Planned, When};
use jiff::Timestamp;
use pipeline::{Clock, Due, Exit, Memory, Schedule};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, Outcome};
use crate::layers::Origin;
use crate::telling::Doing;
use crate::{Context, way};

/// Who owns the runs that are begun here.
pub(crate) const OWNER: &str = "serve";

/// All that it may start.
const JOBS: [&str; 3] = ["run", "backup", "cleanup"];

/// How soon a clock that was set is noticed.
const TICK: Duration = Duration::from_secs(30);

/// How long a process may take to finish its batch at the end; then it is killed.
const CHILD_PATIENCE: Duration = Duration::from_secs(8);

/// Something that is started again and again.
#[derive(Debug)]
pub(crate) struct Job {
    /// One of [`JOBS`].
    name: &'static str,
    schedule: Schedule,
    /// What is started, one after the other while each ends with 0.
    commands: &'static [&'static [&'static str]],
    /// Where what is remembered of it is kept.
    file: PathBuf,
    told: Mutex<Told>,
}

/// What is known of a job.
#[derive(Debug)]
struct Told {
    memory: Memory,
    /// How it ended last, and what is wrong with it.
    note: Option<String>,
}

/// All jobs, and the proof that no other process of this data folder has them.
pub(crate) struct Clockwork {
    context: Context,
    clock: Clock,
    jobs: Vec<Arc<Job>>,
    /// This program by its path, where a newer one may lie by then.
    program: PathBuf,
    _alone: Option<File>,
}

impl Clockwork {
    /// Remembers what was started; `began` is when the ledger's newest run of [`OWNER`] began. Makes
    /// nothing where no schedule is set.
    pub(crate) fn new(context: &Context, began: Option<Instant>) -> Outcome<Self> {
        let (config, clock) = (&context.config, way::clock(context));
        let commands: [&'static [&'static [&'static str]]; JOBS.len()] = [
            &[&["run", "--owner", OWNER]],
            &[&["backup", "create", "--verify"], &["backup", "prune"]],
            &[&["cleanup"]],
        ];
        let crons = [
            &config.schedule,
            &config.backup_schedule,
            &config.cleanup_schedule,
        ];
        let folder = config.data_dir.join(OWNER);
        let mut jobs = Vec::new();
        let mut alone = None;
        for ((name, cron), commands) in JOBS.into_iter().zip(crons).zip(commands) {
            let Some(cron) = cron.clone() else { continue };
            // The ledger tells of runs alone.
            let began = began.filter(|_| name == "run");
            if alone.is_none() {
                alone = Some(take(&folder)?);
            }
            let file = folder.join(format!("{name}.json"));
            let (memory, note) = recall(&file, began, clock.now());
            let zone = config.zone().clone();
            let job = Job {
                name,
                schedule: Schedule { cron, zone },
                commands,
                file,
                told: Mutex::new(Told { memory, note }),
            };
            job.remember(memory)
                .map_err(|error| cannot_remember(&job.file, &error))?;
            jobs.push(Arc::new(job));
        }
        let program = std::env::current_exe()
            .map_err(|error| Failure::machine("cannot tell where this program is", &error))?;
        Ok(Self {
            context: context.clone(),
            clock,
            jobs,
            program,
            _alone: alone,
        })
    }

    /// What is planned, for the page: asked again and again.
    pub(crate) fn plans(&self) -> impl Fn() -> Vec<Planned> + Send + Sync + use<> {
        let (jobs, clock) = (self.jobs.clone(), self.clock.clone());
        move || {
            let planned = JOBS.map(|name| {
                let job = jobs.iter().find(|job| job.name == name);
                job.map_or(Planned::off(name), |job| job.planned(clock.now()))
            });
            planned.to_vec()
        }
    }

    /// Starts what is due until the wish to stop is heard, and then lets it end. To be polled by the
    /// thread that lives longest: its children are killed when it ends.
    pub(crate) async fn go(&self) {
        let job = |index: usize| async move {
            if let Some(job) = self.jobs.get(index) {
                self.keep(job).await;
            }
        };
        tokio::join!(job(0), job(1), job(2));
    }

    async fn keep(&self, job: &Job) {
        let stop = &self.context.stop;
        while !stop.is_said() {
            let now = self.clock.now();
            let memory = job.told().memory.corrected(now);
            let wait = match memory.due(&job.schedule, now) {
                why @ (Due::Now | Due::Again) => {
                    // What is not remembered would begin again after a restart.
                    match job.remember(memory.begun(why, now)) {
                        Ok(()) => {
                            self.work(job).await;
                            Duration::ZERO
                        }
                        Err(error) => {
                            let failure = cannot_remember(&job.file, &error);
                            tracing::error!(job = job.name, error = failure.line(), "not started");
                            job.told().note = Some(failure.line());
                            TICK
                        }
                    }
                }
                Due::At(then) => {
                    let left = then.millis_since(now).max(1).unsigned_abs();
                    Duration::from_millis(left).min(TICK)
                }
                Due::Never => TICK,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.heard() => {}
            }
        }
    }

    /// Runs a job's commands and remembers how that ended.
    async fn work(&self, job: &Job) {
        // A run that was cut off the night before is closed, and all is looked at anew; only one of this night
        // is gone on with.
        let night = job.told().memory.due_at().to_string();
        let anew: &[&str] = match job.name {
            "run" => &["--new-before", &night],
            _ => &[],
        };
        self.context
            .screen
            .say(&format!("{}: it is time", job.name));
        let mut exit = Some(Exit::Done);
        for command in job.commands {
            let (words, owner) = (
                command.join(" "),
                if job.name == "run" { OWNER } else { "" },
            );
            let doing = Doing::now(&words, owner, None);
            exit = match self.child(&[command, anew].concat()) {
                Ok(child) => self.watch(child).await,
                Err(error) => {
                    let name = job.name;
                    self.context
                        .screen
                        .warn(&format!("{name}: cannot be started: {error}"));
                    Some(Exit::Machine)
                }
            };
            if self.context.stop.is_said() {
                break;
            }
            if exit != Some(Exit::Done) {
                if self.tells(job, exit) {
                    let seen = "started by the clock of tiki serve, whose log has what it said";
                    doing.ended(&self.context, exit, seen).await;
                }
                break;
            }
        }
        let memory = job.told().memory.ended(exit, self.clock.now());
        let how = match exit {
            Some(exit) => format!("ended with {}", exit.code()),
            None => "was killed".to_owned(),
        };
        self.context.screen.say(&format!("{}: {how}", job.name));
        if let Err(error) = job.remember(memory) {
            // After a restart it is taken for cut off, which does no harm.
            tracing::error!(job = job.name, %error, "its end cannot be remembered");
            job.told().memory = memory;
        }
        job.told().note = Some(match memory.tries() {
            Some(tries) => format!(
                "{how}; is tried again (time {tries} of {})",
                pipeline::PAUSES.len()
            ),
            None => how,
        });
    }

    /// Whether the clock tells of an end. Most are told by the process itself where that is worth it; who waits
    /// for another tells nothing, so that one never got its turn is told here.
    fn tells(&self, job: &Job, exit: Option<Exit>) -> bool {
        let memory = job.told().memory;
        match exit {
            None | Some(Exit::Machine | Exit::Usage | Exit::Bug) => true,
            Some(Exit::Warehouse) => memory.ended(exit, self.clock.now()).tries().is_none(),
            _ => false,
        }
    }

    /// A process of this program with the settings of this one.
    fn child(&self, arguments: &[&str]) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        command.args(["--parent", &std::process::id().to_string()]);
        if self.context.screen.is_quiet() {
            command.arg("--quiet");
        }
        let resolved = &self.context.resolved;
        if let Some(file) = &resolved.file {
            command.arg("--config").arg(file);
        }
        for effective in &resolved.all {
            if effective.origin == Origin::Flag {
                // A command line is seen by all users of the machine, an environment is not.
                let name = effective.setting.name;
                command.env(name, &effective.text);
                command.env_remove(format!("{name}_FILE"));
            }
        }
        command
            .stdin(Stdio::null())
            // What it says belongs to the log, its results too.
            .stdout(Stdio::from(io::stderr()))
            .stderr(Stdio::inherit())
            // Ctrl-C is for this process, which passes it on once.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    /// Waits for its end; when this process is to stop, lets it finish its batch.
    async fn watch(&self, mut child: Child) -> Option<Exit> {
        let stop = &self.context.stop;
        let status = tokio::select! {
            status = child.wait() => status,
            () = stop.heard() => {
                let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                if let Some(id) = id
                    && let Err(error) = kill_process(id, Signal::INT)
                {
                    tracing::debug!(%error, "it has ended just now");
                }
                if let Ok(status) = timeout(CHILD_PATIENCE, child.wait()).await {
                    status
                } else {
                    self.context.screen.warn("it does not end in time and is killed");
                    drop(child.kill().await);
                    return None;
                }
            }
        };
        let code = status.ok()?.code()?;
        Some(Exit::from_code(code.into()))
    }
}

impl Job {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes it down, so that it is there whole or as it was before, and then believes it.
    fn remember(&self, memory: Memory) -> io::Result<()> {
        let text = serde_json::to_string(&memory).map_err(io::Error::from)?;
        pipeline::write_whole(&self.file, &text)?;
        self.told().memory = memory;
        Ok(())
    }

    fn planned(&self, now: Instant) -> Planned {
        let told = self.told();
        let at =
            |instant: Instant| Timestamp::from_millisecond(instant.millis()).unwrap_or_default();
        let when = if told.memory.is_at_work() {
            When::AtWork {
                since: at(told.memory.since()),
            }
        } else {
            match told.memory.corrected(now).due(&self.schedule, now) {
                Due::Now | Due::Again => When::At(at(now)),
                Due::At(then) => When::At(at(then)),
                Due::Never => When::Off,
            }
        };
        Planned {
            what: self.name,
            when,
            schedule: Some(self.schedule.cron.to_string()),
            note: told.note.clone(),
        }
    }
}

/// The folder of what is remembered, made if need be, for this process alone.
fn take(folder: &Path) -> Outcome<File> {
    let failed = |error| cannot_remember(folder, &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::new(
            Exit::Warehouse,
            "another `tiki serve` of this data folder starts runs, backups and clean-ups already",
        )
        .help(
            "end it, or let this one only show: TIKI_SCHEDULE=off, TIKI_BACKUP_SCHEDULE=off, and no \
             TIKI_CLEANUP_SCHEDULE",
        )),
    }
}

/// What is remembered of a job, and what is wrong with that.
fn recall(file: &Path, began: Option<Instant>, now: Instant) -> (Memory, Option<String>) {
    let anew = Memory::new(began.unwrap_or(now));
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (anew, None),
        Err(error) => return (anew, Some(forgotten(file, &error))),
    };
    match serde_json::from_str::<Memory>(&text) {
        Ok(memory) => (memory.knowing(began).woken(now), None),
        Err(error) => (anew, Some(forgotten(file, &error))),
    }
}

fn forgotten(file: &Path, error: &dyn std::error::Error) -> String {
    format!("what {} held is forgotten: {error}", file.display())
}

fn cannot_remember(place: &Path, error: &io::Error) -> Failure {
    Failure::machine(
        format!("cannot remember in {} what was started", place.display()),
        error,
    )
}
