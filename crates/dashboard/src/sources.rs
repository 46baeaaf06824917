//! What is shown, as it is handed over.

use std::fmt;
use std::pin::Pin;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use warehouse::Run;

/// The end of asking.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something that can be asked again and again, by many at once.
pub type Asking<Q, A> = Box<dyn Fn(Q) -> Answer<A> + Send + Sync>;

/// Where everything that is shown comes from. No text of it holds secrets.
pub struct Sources {
    /// How the pipeline is.
    pub health: Asking<(), Health>,
    /// The newest runs first, at most so many.
    pub runs: Asking<i64, Result<Vec<Listed>, Trouble>>,
    /// All that is known of a run, by its id; `None`: there is no such run.
    pub run: Asking<String, Result<Option<Value>, Trouble>>,
    /// The same for Prometheus, in its text format, version 0.0.4.
    pub metrics: Asking<(), String>,
    /// What will begin by itself.
    pub planned: Box<dyn Fn() -> Vec<Planned> + Send + Sync>,
    /// The warehouse's address.
    pub address: String,
    /// The time zone in which times are told to people.
    pub zone: TimeZone,
    /// The program's version.
    pub version: &'static str,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("address", &self.address)
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

/// How the pipeline is.
#[derive(Clone, Debug)]
pub struct Health {
    /// Nothing failed.
    pub is_ready: bool,
    /// The same for machines.
    pub json: Value,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of it.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: LineState,
    /// What was seen.
    pub seen: String,
    /// What it is compared with.
    pub limit: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

/// How a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineState {
    /// As it should be.
    Ok,
    /// A person should look.
    Warning,
    /// It does not work.
    Failed,
    /// Not looked at.
    Skipped,
}

impl LineState {
    /// The word that people see, which is also the class in the style sheet.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A run in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The run.
    pub run: Run,
    /// What its exit code means.
    pub end: Option<&'static str>,
    /// The same for machines.
    pub json: Value,
}

/// Something that begins by itself.
#[derive(Clone, Debug)]
pub struct Planned {
    /// `run`, `backup` or `cleanup`.
    pub what: &'static str,
    /// When it begins.
    pub when: When,
    /// The cron expression.
    pub schedule: Option<String>,
    /// How it ended last.
    pub note: Option<String>,
}

/// When something begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Never by itself.
    Off,
    /// Then.
    At(Timestamp),
    /// It has begun.
    AtWork {
        /// When.
        since: Timestamp,
    },
}

impl Planned {
    /// Something that does not begin by itself.
    pub fn off(what: &'static str) -> Self {
        Self {
            what,
            when: When::Off,
            schedule: None,
            note: None,
        }
    }

    /// For machines.
    pub(crate) fn as_json(&self) -> Value {
        let (state, at, since) = match self.when {
            When::Off => ("off", None, None),
            When::At(at) => ("waiting", Some(at), None),
            When::AtWork { since } => ("at work", None, Some(since)),
        };
        json!({
            "what": self.what,
            "state": state,
            "at": at.map(|at| at.to_string()),
            "since": since.map(|since| since.to_string()),
            "schedule": self.schedule,
            "note": self.note,
        })
    }
}

/// Why something cannot be shown.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What failed and why.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
}
