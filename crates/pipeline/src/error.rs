//! Why a run or step could not end well. Each kind has one exit code.

use std::time::Duration;

use crawl::ProxyTrouble;

use crate::Exit;
use crate::clocks::side;
use crate::site::chain;

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
    /// The proxy through which the site is asked leads nowhere.
    #[error("the proxy {proxy} (TIKI_PROXY) does not lead to the site: {trouble}")]
    Proxy {
        /// Which one, without user and password.
        proxy: String,
        /// What it did instead.
        trouble: ProxyTrouble,
        /// How long to wait before the next try.
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
    #[error(
        "the clock of this machine is {} minutes {} the {whose}'s: set it right",
        minutes.abs(), side(*.minutes)
    )]
    Clock {
        /// How far ahead of it; behind it: below 0.
        minutes: i64,
        /// `database` or `site`.
        whose: &'static str,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The run of a step was never begun: what should have begun it has told why.
    #[error("there is no run {0:?}: `tiki runs` lists them, `crawl-categories` begins one")]
    NoRun(String),
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
    /// For how long the site is left alone that refuses or cannot be reached; `None`: it is another error.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Proxy { retry_after, .. } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }

    /// As the ledger keeps it: the exit code, and what was seen.
    pub(crate) fn to_keep(&self) -> (i64, String) {
        (self.exit().code().into(), chain(self))
    }

    /// The exit code of the command that met it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Warehouse(error) => warehouse_exit(error),
            Self::Held(_) => Exit::Warehouse,
            Self::Refused { .. } | Self::Proxy { .. } => Exit::Refused,
            Self::Drift { .. } => Exit::Drift,
            Self::Clock { .. } | Self::Usage(_) | Self::NoRun(_) => Exit::Usage,
            Self::Machine { .. } | Self::Overtime(_) => Exit::Machine,
            Self::Interrupted => Exit::Interrupted,
            Self::Broken(_) | Self::Bug(_) => Exit::Bug,
        }
    }
}

/// The exit code of a command that a warehouse failed.
pub(crate) fn warehouse_exit(error: &warehouse::Error) -> Exit {
    use warehouse::{BackupError as B, Error as W};
    if error.is_transient() {
        return Exit::Warehouse;
    }
    match error {
        W::Fenced(_) | W::AtWork { .. } | W::Backup(B::Held(_) | B::Replaced(_)) => Exit::Warehouse,
        W::Address(..)
        | W::Authorities(..)
        | W::Schema(_)
        | W::Origin { .. }
        | W::NetworkFileSystem(..)
        | W::RunState { .. }
        | W::Cleaned { .. }
        | W::Denied(_)
        | W::Patience(_)
        | W::LargeBatch { .. }
        | W::Backup(B::Refused { .. }) => Exit::Usage,
        W::Full
        | W::ReadOnly(_)
        | W::Barred { .. }
        | W::FolderReadOnly(_)
        | W::Io(_)
        | W::Damaged(_)
        | W::Headless(_)
        | W::Backup(B::Broken { .. } | B::File { .. } | B::Program { .. }) => Exit::Machine,
        // The first five were told apart above.
        W::Unreachable(_)
        | W::Busy(_)
        | W::Exhausted { .. }
        | W::Slow(_)
        | W::Unwritable(_)
        | W::Statement { .. }
        | W::Row(_)
        | W::Stored(_) => Exit::Bug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warehouse_that_may_come_back_is_30_and_a_broken_promise_70() {
        use warehouse::Error as W;
        let text = || String::from("why");
        for (error, exit) in [
            (W::Unreachable("gone".into()), Exit::Warehouse),
            (W::Busy(text()), Exit::Warehouse),
            (
                W::Exhausted {
                    size: 2,
                    wait: Duration::from_secs(1),
                },
                Exit::Warehouse,
            ),
            (W::Slow(text()), Exit::Warehouse),
            (W::Unwritable(text()), Exit::Warehouse),
            (W::Fenced(7), Exit::Warehouse),
            (W::Full, Exit::Machine),
            (W::ReadOnly(text()), Exit::Machine),
            (W::FolderReadOnly(text()), Exit::Machine),
            (
                W::Barred {
                    path: text(),
                    source: std::io::ErrorKind::PermissionDenied.into(),
                },
                Exit::Machine,
            ),
            (W::Io(text()), Exit::Machine),
            (W::Damaged(text()), Exit::Machine),
            (W::Headless(text()), Exit::Machine),
            (W::Denied(text()), Exit::Usage),
            (W::Schema(text()), Exit::Usage),
            (W::Authorities(text(), text()), Exit::Usage),
            (W::Row(text()), Exit::Bug),
            (W::Stored(text()), Exit::Bug),
        ] {
            assert_eq!(warehouse_exit(&error), exit, "{error}");
        }
    }
}
