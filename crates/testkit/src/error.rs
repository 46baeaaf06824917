//! Why a server could not be had.

use std::io;
use std::path::PathBuf;

/// Why a server could not be had; says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its program is not on this machine.
    #[error("{program} is not on this machine and {variable} is not set: run `cargo xtask setup`")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The variable that would name a running server instead.
        variable: &'static str,
    },
    /// A program could not be run, or a file not be written.
    #[error("cannot {what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// The program that ran.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A server was started and does not answer.
    #[error("{program} in {folder} did not answer within {limit_s} s: {output}")]
    Silent {
        /// The server's program.
        program: &'static str,
        /// Its folder, which is gone when the test process is.
        folder: PathBuf,
        /// How long it had, in seconds.
        limit_s: u64,
        /// The end of its log.
        output: String,
    },
}

/// For `map_err`: an I/O error with what was attempted.
pub(crate) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let what = what.into();
    move |source| ServerError::Io { what, source }
}

/// The message of an error and of everything below it, on one line.
pub(crate) fn chain(error: &ServerError) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        text = format!("{text}: {cause}");
        below = cause.source();
    }
    text
}
