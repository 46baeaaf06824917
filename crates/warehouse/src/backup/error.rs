//! The ways in which a backup or a restore can fail.

use std::io;
use std::path::Path;

/// A backup that could not be made, proven or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What was asked for is not done; nothing was changed.
    #[error("{what}")]
    Refused {
        /// What is in the way.
        what: String,
        /// What to do about it.
        help: &'static str,
    },
    /// The backup is not what its manifest says. Another one may be.
    #[error("backup {id} is not as it was made: {why}")]
    Broken {
        /// The backup's id.
        id: String,
        /// What differs.
        why: String,
    },
    /// A file or folder of this machine failed.
    #[error("cannot {what}")]
    File {
        /// What was tried.
        what: String,
        /// What came of it.
        #[source]
        source: io::Error,
    },
    /// A program of PostgreSQL's is missing or failed.
    #[error("{what}")]
    Program {
        /// Which, and what it said.
        what: String,
        /// What to do about it.
        help: String,
    },
    /// Another process is in the way. Retry later.
    #[error("{0}")]
    Held(String),
    /// Another file lies where the warehouse was when this process opened it; nothing was written.
    #[error("{0} was replaced while this process had it open, as a restore does; it wrote nothing")]
    Replaced(String),
}

/// A failed file operation, told with what it was for.
pub(crate) fn file(what: &str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let what = format!("{what} {}", path.display());
    |source| BackupError::File { what, source }
}

impl BackupError {
    /// A folder that cannot be read.
    pub(super) fn from_read(folder: &Path, source: io::Error) -> Self {
        file("read", folder)(source)
    }
}
