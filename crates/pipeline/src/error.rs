//! Why a run or step could not end well. Each kind has one exit code.

use std::time::Duration;

use crate::Exit;

/// A run or step that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The warehouse failed.
    #[error("the warehouse did not do its part")]
    Warehouse(#[from] warehouse::Error),
    /// The site refuses us, or cannot be reached.
    #[error("the site refuses or cannot be reached: {seen}")]
    Refused {
        /// What was seen.
        seen: String,
        /// How long it is to be left alone.
        retry_after: Duration,
    },
    /// What the site sends has changed its shape; the run is held, and nothing of it is loaded.
    #[error("run {run} is held: what the site sends has changed its shape ({})", .seen.join("; "))]
    Drift {
        /// The run.
        run: String,
        /// What changed, the gravest first.
        seen: Vec<String>,
    },
    /// Another process works on this step or run.
    #[error("{0}")]
    Held(String),
    /// The clocks of this machine and of the database or the site differ too much.
    #[error("the clock of this machine is {minutes} minutes away from the {whose}'s: set it right")]
    Clock {
        /// How far.
        minutes: i64,
        /// `database` or `site`.
        whose: &'static str,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file or folder of this machine failed.
    #[error("cannot {what}")]
    Machine {
        /// What was tried.
        what: String,
        /// What came of it.
        #[source]
        source: std::io::Error,
    },
    /// Stopped by a person or by the machine going down; the work is kept.
    #[error("interrupted; the work so far is kept")]
    Interrupted,
    /// The step ran out of time.
    #[error("the step took longer than its time limit of {0} s; the work so far is kept")]
    Overtime(u64),
    /// The counts of a run do not add up.
    #[error("the counts of the run do not add up: {}", .0.join("; "))]
    Broken(Vec<String>),
    /// A part of this program broke its promise.
    #[error("{0}")]
    Bug(String),
}

/// What a step answers.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The exit code of the command that met it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Warehouse(error) => warehouse_exit(error),
            Self::Held(_) => Exit::Warehouse,
            Self::Refused { .. } => Exit::Refused,
            Self::Drift { .. } => Exit::Drift,
            Self::Clock { .. } | Self::Usage(_) => Exit::Usage,
            Self::Machine { .. } | Self::Overtime(_) => Exit::Machine,
            Self::Interrupted => Exit::Interrupted,
            Self::Broken(_) | Self::Bug(_) => Exit::Bug,
        }
    }
}

/// The exit code of a command that a warehouse failed.
fn warehouse_exit(error: &warehouse::Error) -> Exit {
    use warehouse::Error as W;
    match error {
        W::Unreachable(_) | W::Busy(_) | W::Fenced(_) => Exit::Warehouse,
        W::Address(..)
        | W::Schema(_)
        | W::Origin { .. }
        | W::NetworkFileSystem(..)
        | W::RunState { .. }
        | W::Forbidden(_)
        | W::Patience(_) => Exit::Usage,
        W::Full | W::ReadOnly(_) | W::Damaged(_) => Exit::Machine,
        W::Statement { .. } | W::Row(_) | W::Stored(_) => Exit::Bug,
    }
}
