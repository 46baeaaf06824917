//! A line of a report on how things are: `tiki health` and `tiki preflight` speak the same words.
//!
//! Not here: what is looked at (`health`, `preflight`).

use std::time::Duration;

use serde::Serialize;

use crate::Exit;

/// Where a line stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and a person should look.
    Warning,
    /// It does not work.
    Failed,
    /// Not looked at.
    Skipped,
}

impl State {
    /// The word that people see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen, in words.
    pub seen: String,
    /// What it is compared with, in words.
    pub limit: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// The exit code that it asks for.
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Check {
    /// A line without limit and help.
    pub fn new(name: &'static str, state: State, seen: impl Into<String>) -> Self {
        Self {
            name,
            state,
            seen: seen.into(),
            limit: None,
            help: None,
            exit: Exit::Done,
        }
    }

    /// A line that asks for an exit code.
    pub fn failed(name: &'static str, exit: Exit, seen: impl Into<String>) -> Self {
        Self {
            exit,
            ..Self::new(name, State::Failed, seen)
        }
    }

    /// With what it is compared with.
    #[must_use]
    pub fn limit(self, limit: impl Into<String>) -> Self {
        Self {
            limit: Some(limit.into()),
            ..self
        }
    }

    /// With what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

/// A length of time in words.
pub(crate) fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
