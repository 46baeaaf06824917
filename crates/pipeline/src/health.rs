//! How a pipeline is, as a probe sees it: facts that are looked at without leaving a trace, and what is
//! made of them.
//!
//! Not here: opening the warehouse and showing the report (`tiki`), mending anything. The site is not
//! asked: how it felt last is known from its pace.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crawl::{Breaker, FULL_SHARE, Pace, ping_redis};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use warehouse::{Probe, SchemaState, Warehouse};

use crate::check::words;
pub use crate::check::{Check, State};
use crate::clocks::{CLOCK_MINUTES, check_distance, side};
use crate::error::warehouse_exit;
use crate::permits::pace_of;
use crate::site::chain;
use crate::{Clock, Exit, disk};

/// How long a probe waits for each thing that it looks at; they are looked at together.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The warehouse's address without secrets.
    pub address: String,
    /// The origin whose pace is looked at.
    pub origin: String,
    /// `redis://…`, where there is one.
    pub redis_url: Option<String>,
    /// Folders that need room.
    pub folders: Vec<PathBuf>,
    /// The machine's clock.
    pub clock: Clock,
    /// How long each thing may take ([`PATIENCE`]).
    pub patience: Duration,
}

/// What was seen.
#[derive(Debug)]
pub struct Facts {
    warehouse: Seen,
    /// How long Redis took, or what went wrong; `None`: there is none.
    redis: Option<Result<Duration, String>>,
    /// Bytes free where there are fewest, or why nothing can be written.
    free: Result<u64, String>,
}

/// What was seen of the warehouse.
#[derive(Debug)]
enum Seen {
    /// It was not made yet.
    Absent,
    Failed(warehouse::Error),
    Answered(Box<Answered>),
}

#[derive(Debug)]
struct Answered {
    took: Duration,
    probe: Probe,
    /// How far this machine's clock is ahead; `None`: there is but one clock, or a simulated one.
    ahead_millis: Option<i64>,
    /// The pace, and the database's time in microseconds.
    pace: Option<(Pace, i64)>,
}

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Age of the last run that ended with 0.
    pub run_age: Duration,
    /// Bytes that must be free.
    pub free_bytes: u64,
}

/// The report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Its lines, always the same ones in the same order.
    pub checks: Vec<Check>,
}

impl Health {
    /// That of the first line that failed.
    pub fn exit(&self) -> Exit {
        let mut failed = self.checks.iter();
        let failed = failed.find(|check| check.state == State::Failed);
        failed.map_or(Exit::Done, |check| check.exit)
    }
}

/// Looks. `open` opens the warehouse to be looked at only, or says that it was not made yet.
pub async fn look(
    open: impl Future<Output = warehouse::Result<Option<Warehouse>>> + Send + 'static,
    asked: &Asked,
) -> Facts {
    let (origin, clock, folders) = (
        asked.origin.clone(),
        asked.clock.clone(),
        asked.folders.clone(),
    );
    // In tasks of their own: a disk that hangs holds the thread that waits for it.
    let warehouse = tokio::spawn(async move {
        see(open, &origin, &clock)
            .await
            .unwrap_or_else(Seen::Failed)
    });
    let free = tokio::task::spawn_blocking(move || {
        may_write(&folders).and_then(|()| least_free(&folders))
    });
    let (warehouse, redis, free) = tokio::join!(
        in_time(warehouse, asked.patience),
        ping(asked.redis_url.as_deref(), asked.patience),
        in_time(free, asked.patience)
    );
    Facts {
        warehouse: warehouse
            .unwrap_or_else(|why| Seen::Failed(warehouse::Error::Unreachable(why.into()))),
        redis,
        free: free.unwrap_or_else(Err),
    }
}

/// What a task brings, unless it takes too long.
pub(crate) async fn in_time<T>(mut task: JoinHandle<T>, patience: Duration) -> Result<T, String> {
    if let Ok(done) = timeout(patience, &mut task).await {
        return done.map_err(|error| error.to_string());
    }
    task.abort();
    Err(format!("no answer in {patience:?}"))
}

async fn see(
    open: impl Future<Output = warehouse::Result<Option<Warehouse>>>,
    origin: &str,
    clock: &Clock,
) -> warehouse::Result<Seen> {
    let begun = Instant::now();
    let Some(warehouse) = open.await? else {
        return Ok(Seen::Absent);
    };
    let before = clock.now();
    let probe = warehouse.probe().await?;
    let after = clock.now();
    let took = begun.elapsed();
    let ahead_millis = (warehouse.is_postgres() && !clock.is_simulated()).then(|| {
        // The database told its time somewhere between the two.
        match probe.time {
            time if time < before => before.millis_since(time),
            time if time > after => after.millis_since(time),
            _ => 0,
        }
    });
    let pace = if matches!(probe.schema, SchemaState::Current(_)) {
        let (row, _, now) = warehouse.pace(origin).await?;
        Some((pace_of(row), now))
    } else {
        None
    };
    Ok(Seen::Answered(Box::new(Answered {
        took,
        probe,
        ahead_millis,
        pace,
    })))
}

async fn ping(url: Option<&str>, patience: Duration) -> Option<Result<Duration, String>> {
    let begun = Instant::now();
    let answer = ping_redis(url?, patience).await;
    Some(
        answer
            .map(|()| begun.elapsed())
            .map_err(|error| chain(&error)),
    )
}

fn may_write(folders: &[PathBuf]) -> Result<(), String> {
    folders.iter().try_for_each(|folder| {
        let refused = |error| format!("{} may not be written: {error}", folder.display());
        disk::may_write(folder).map_err(refused)
    })
}

/// Bytes free where there are fewest.
pub(crate) fn least_free(folders: &[PathBuf]) -> Result<u64, String> {
    let mut least = u64::MAX;
    for folder in folders {
        let space = disk::space(folder);
        let space = space.map_err(|error| format!("{}: {error}", folder.display()))?;
        least = least.min(space.free);
    }
    Ok(least)
}

/// What is made of the facts. `help` says what to do about an error of the warehouse.
pub fn judge(
    facts: &Facts,
    asked: &Asked,
    limits: &Limits,
    help: impl Fn(&warehouse::Error) -> Option<String>,
) -> Health {
    let answered = match &facts.warehouse {
        Seen::Answered(answered) => Ok(&**answered),
        Seen::Absent => Err("there is no warehouse yet"),
        Seen::Failed(_) => Err("the warehouse did not answer"),
    };
    let current = answered.and_then(|answered| match answered.probe.schema {
        SchemaState::Current(_) => Ok(answered),
        _ => Err("the schema is not this program's"),
    });
    let or_skipped = |check: Result<Check, &'static str>, name| {
        check.unwrap_or_else(|why| Check::new(name, State::Skipped, why))
    };
    Health {
        checks: vec![
            warehouse(&facts.warehouse, asked, help),
            or_skipped(answered.map(|seen| schema(&seen.probe.schema)), "schema"),
            or_skipped(answered.map(|seen| clock(seen.ahead_millis)), "clock"),
            redis(facts.redis.as_ref(), asked.patience),
            room(&facts.free, limits.free_bytes),
            or_skipped(
                current.map(|seen| last_run(&seen.probe, limits.run_age)),
                "last-run",
            ),
            or_skipped(current.map(pace), "pace"),
        ],
    }
}

fn warehouse(
    seen: &Seen,
    asked: &Asked,
    help: impl Fn(&warehouse::Error) -> Option<String>,
) -> Check {
    let (name, address) = ("warehouse", &asked.address);
    let check = match seen {
        Seen::Absent => Check::new(name, State::Warning, format!("{address} is not there yet"))
            .help("`tiki run` makes it"),
        Seen::Failed(error) => Check {
            help: help(error),
            ..Check::failed(name, warehouse_exit(error), chain(error))
        },
        Seen::Answered(answered) => {
            let seen = format!("{address} answered in {}", words(answered.took));
            Check::new(name, State::Ok, seen)
        }
    };
    check.limit(words(asked.patience))
}

fn schema(state: &SchemaState) -> Check {
    let name = "schema";
    let check = match state {
        SchemaState::Absent => Check::new(name, State::Warning, "there are no tables yet")
            .help("`tiki run` makes them, and so does `tiki migrate`"),
        SchemaState::Current(newest) => Check::new(name, State::Ok, newest),
        SchemaState::Older(older) => {
            let seen = format!("{older}, which is older than this program's");
            Check::failed(name, Exit::Usage, seen)
                .help("`tiki migrate` brings it up to date, and so does the next `tiki run`")
        }
        SchemaState::Foreign(why) => Check::failed(name, Exit::Usage, why)
            .help("nothing in the warehouse is wrong: run the tiki that belongs to it"),
    };
    let newest = warehouse::schema_steps(true);
    check.limit(newest.last().map_or("", |step| step.name))
}

fn clock(ahead_millis: Option<i64>) -> Check {
    let name = "clock";
    let Some(ahead) = ahead_millis else {
        return Check::new(name, State::Skipped, "the warehouse has no other clock");
    };
    let away = words(Duration::from_millis(ahead.unsigned_abs()));
    let check = if check_distance(ahead, CLOCK_MINUTES, "database").is_ok() {
        Check::new(name, State::Ok, format!("{away} away from the database's"))
    } else {
        let seen = format!("this machine is {away} {} the database", side(ahead));
        Check::failed(name, Exit::Usage, seen)
            .help("set the clocks right (timedatectl, an NTP client): no run begins before")
    };
    check.limit(format!("{CLOCK_MINUTES} min"))
}

fn redis(seen: Option<&Result<Duration, String>>, patience: Duration) -> Check {
    let name = "redis";
    let check = match seen {
        None => return Check::new(name, State::Skipped, "TIKI_REDIS_URL is not set"),
        Some(Ok(took)) => {
            Check::new(name, State::Ok, format!("answered PING in {}", words(*took)))
        }
        Some(Err(why)) => Check::failed(name, Exit::Warehouse, why).help(
            "is Redis up, and are host, port, password and database in TIKI_REDIS_URL right? Until then \
             runs take their permits from the warehouse",
        ),
    };
    check.limit(words(patience))
}

/// What is free on a disk, and what must be, in bytes.
pub(crate) fn room(free: &Result<u64, String>, least: u64) -> Check {
    let name = "disk";
    let megabytes = |bytes: u64| format!("{} MB", bytes >> 20);
    let check = match free {
        Err(why) => Check::failed(name, Exit::Machine, why).help(
            "the data folder must be a folder that this user may write, on a disk that can be read \
                 (TIKI_DATA_DIR)",
        ),
        Ok(free) if *free >= least => {
            Check::new(name, State::Ok, format!("{} free", megabytes(*free)))
        }
        Ok(free) => Check::failed(name, Exit::Machine, format!("{} free", megabytes(*free)))
            .help("free some room, or move the data folder (TIKI_DATA_DIR)"),
    };
    check.limit(megabytes(least))
}

fn last_run(probe: &Probe, oldest: Duration) -> Check {
    let name = "last-run";
    let check = match &probe.last_good {
        None => Check::new(name, State::Warning, "no run has ended with 0 yet")
            .help("`tiki runs` shows how runs ended; `tiki run` begins one"),
        Some(run) => {
            let age = probe.time.millis_since(run.crawled_at).max(0);
            let age = Duration::from_millis(age.unsigned_abs());
            let seen = format!("{} ended well; it crawled {} ago", run.id, words(age));
            if age <= oldest {
                Check::new(name, State::Ok, seen)
            } else {
                Check::new(name, State::Warning, seen).help(
                    "`tiki runs` shows what has run since; is whatever begins runs at work (cron, \
                     Airflow)?",
                )
            }
        }
    };
    check.limit(words(oldest))
}

fn pace(answered: &Answered) -> Check {
    let name = "pace";
    let Some((pace, now)) = &answered.pace else {
        return Check::new(name, State::Skipped, "nobody looked at it");
    };
    match pace.breaker(*now) {
        Breaker::Open { left } => {
            let seen = format!(
                "the site refused; it is left alone for another {}",
                words(left)
            );
            Check::new(name, State::Warning, seen)
                .help("wait; if this repeats, ask more slowly (TIKI_RATE_LIMIT)")
        }
        Breaker::HalfOpen => Check::new(
            name,
            State::Ok,
            "the site refused last; the next request finds out whether it still does",
        ),
        Breaker::Closed => {
            let percent = u32::from(pace.share(*now)) * 100 / u32::from(FULL_SHARE);
            Check::new(name, State::Ok, format!("{percent} % of the rate"))
        }
    }
}

#[cfg(test)]
mod tests;
