//! The ways in which a warehouse can fail, told apart by what the caller can do about them.
//!
//! Not here: which code of a database is which failure (`failing`).

use crate::failing::Kind;
use crate::retention;

/// A warehouse that could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address names no warehouse.
    #[error("{0:?} is no warehouse address: {1}")]
    Address(String, String),
    /// The file that the address names as `sslrootcert` is none of authorities.
    #[error("cannot take authorities from {0} (sslrootcert): {1}")]
    Authorities(String, String),
    /// No answer from the database, or it closed the connection. Retry later.
    #[error("cannot reach the warehouse")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another process holds the lock longer than we wait. Retry later.
    #[error("the warehouse is held by another process: {0}")]
    Busy(String),
    /// All connections of this process are in use for longer than a caller waits. Retry later.
    #[error(
        "all {size} connections of this process to the warehouse are in use, and none came free in \
         {wait:?}"
    )]
    Exhausted {
        /// Connections at most.
        size: usize,
        /// How long one was waited for.
        wait: std::time::Duration,
    },
    /// A statement of this program took longer than it may, or an operator ended it. Retry later.
    #[error("the warehouse is too slow: {0}")]
    Slow(String),
    /// The server answers and takes no writes: its disk is full, it is a standby. Retry later.
    #[error("the server of the warehouse takes no writes: {0}")]
    Unwritable(String),
    /// The file system has no room left.
    #[error("the disk of the warehouse is full")]
    Full,
    /// The file or its folder cannot be written.
    #[error("the warehouse cannot be written: {0}")]
    ReadOnly(String),
    /// Something keeps this user from the file or from a folder on the way to it, so whether there is a
    /// warehouse is not known.
    #[error("cannot get to the warehouse at {path}")]
    Barred {
        /// The file.
        path: String,
        /// What keeps this user from it.
        #[source]
        source: std::io::Error,
    },
    /// The file may be read, and its folder may not be written: in WAL mode SQLite makes files there for
    /// readers too.
    #[error(
        "the warehouse {0} can be neither read nor written: it is an SQLite file in WAL mode, whose readers \
         too must write in its folder, and this user may not write there"
    )]
    FolderReadOnly(String),
    /// The file system failed in another way.
    #[error("the file system of the warehouse failed: {0}")]
    Io(String),
    /// The file is no database, or is damaged. It is never recreated.
    #[error("the warehouse is damaged: {0}")]
    Damaged(String),
    /// The file is gone or empty and its write-ahead log is not: put together again they are whole.
    #[error("the warehouse is without its file: {0}")]
    Headless(String),
    /// The database's user has not the rights that this program needs.
    #[error("the warehouse does not let this user do that: {0}")]
    Denied(String),
    /// A person's own statement took longer than it may.
    #[error("the statement took longer than {0:?}")]
    Patience(std::time::Duration),
    /// SQLite on a network file system loses data.
    #[error("{0} lies on a network file system ({1}), where SQLite loses data")]
    NetworkFileSystem(String, String),
    /// The schema is newer than this program, or was changed by hand.
    #[error("{0}")]
    Schema(String),
    /// A process works in the warehouse, so the schema stays as it is.
    #[error(
        "run {run} is at work ({step}, process {} on {}), so the schema of the warehouse stays as it is",
        .host.process.split(' ').next().unwrap_or(""),
        .host.name.split(' ').next().unwrap_or("")
    )]
    AtWork {
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// Where its process runs.
        host: crate::lease::Host,
    },
    /// The warehouse keeps another site.
    #[error("this warehouse keeps {kept}, not {asked}")]
    Origin {
        /// The origin that it keeps.
        kept: String,
        /// The origin that was asked for.
        asked: String,
    },
    /// Another attempt has taken this step over; nothing was written.
    #[error("another worker has taken this step over (epoch {0}); this one wrote nothing")]
    Fenced(i64),
    /// A run is not in the state that the call is for; nothing was written.
    #[error("run {run} is not {wanted}")]
    RunState {
        /// The run's id.
        run: String,
        /// The state that it should have.
        wanted: &'static str,
    },
    /// A run cannot be derived anew: what it is made of was cleaned up; nothing was written.
    #[error(
        "{} of run {run} were cleaned up{}, so it cannot be derived anew",
        gone(kinds),
        settings(kinds)
    )]
    Cleaned {
        /// The run's id.
        run: String,
        /// What was cleaned up whole; none: it was begun.
        kinds: Vec<retention::Kind>,
    },
    /// A row that the schema does not take: a constraint, a range, a text that is none. The statement
    /// is as it should be, and goes through for other rows.
    #[error("the warehouse refuses a row: {0}")]
    Row(String),
    /// A statement failed in a way that has no name above.
    #[error("the warehouse refused a statement ({statement})")]
    Statement {
        /// The first words of the statement.
        statement: String,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The records of a batch are more than is stored in one row; nothing was written.
    #[error("a batch of {products} products is of {bytes} bytes, more than {most}")]
    LargeBatch {
        /// How many products.
        products: usize,
        /// Bytes of its records.
        bytes: usize,
        /// Bytes that are allowed.
        most: usize,
    },
    /// A backup could not be made, proven or restored, or one was restored meanwhile.
    #[error(transparent)]
    Backup(#[from] crate::backup::BackupError),
    /// A stored value is not of the form that this program writes.
    #[error("a stored value is not as written: {0}")]
    Stored(String),
}

/// What of a run was cleaned up.
fn gone(kinds: &[retention::Kind]) -> String {
    let words: Vec<&str> = kinds
        .iter()
        .map(|kind| match kind {
            retention::Kind::Observations => "looks",
            kind => kind.as_str(),
        })
        .collect();
    match words.as_slice() {
        [] => "parts".into(),
        [but @ .., last] if !but.is_empty() => format!("{} and {last}", but.join(", ")),
        words => words.concat(),
    }
}

/// Which settings say how long that is kept.
fn settings(kinds: &[retention::Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.setting()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(" ({})", names.join(", "))
}

/// What a warehouse answers.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether it is an outage: the same call may go through later without anybody's help.
    pub fn is_transient(&self) -> bool {
        let kind = match self {
            Self::Unreachable(_) => Kind::Lost,
            Self::Busy(_) | Self::Exhausted { .. } => Kind::Held,
            Self::Slow(_) => Kind::Slow,
            Self::Unwritable(_) => Kind::Unwritable,
            _ => return false,
        };
        kind.is_outage()
    }

    pub(crate) fn sqlite(statement: &str, error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        if code == Some(rusqlite::ErrorCode::AuthorizationForStatementDenied) {
            return Self::ReadOnly("only reading statements are answered".into());
        }
        Self::of_kind(Kind::of_code(code), error.to_string(), statement, error)
    }

    /// Whatever keeps a connection from being made: the next one may be.
    pub(crate) fn connect(error: tokio_postgres::Error) -> Self {
        Self::Unreachable(error.into())
    }

    /// A server that accepts and does not answer.
    pub(crate) fn silent(what: &str, limit: std::time::Duration) -> Self {
        let text = format!("no answer in {limit:?} ({what})");
        Self::Unreachable(std::io::Error::new(std::io::ErrorKind::TimedOut, text).into())
    }

    pub(crate) fn postgres(statement: &str, error: tokio_postgres::Error) -> Self {
        let (kind, text) = match error.as_db_error() {
            Some(said) => {
                let text = said.message();
                // A message that names no table is in the server's language.
                let of_row = said.table().is_some() || text.starts_with("index row");
                (Kind::of_state(said.code().code(), of_row), text.into())
            }
            None if is_lost(&error) => (Kind::Lost, String::new()),
            None => (Kind::Bug, String::new()),
        };
        Self::of_kind(kind, text, statement, error)
    }

    fn of_kind(
        kind: Kind,
        text: String,
        statement: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        match kind {
            Kind::Lost => Self::Unreachable(source.into()),
            Kind::Held => Self::Busy(text),
            Kind::Slow => Self::Slow(text),
            Kind::Unwritable => Self::Unwritable(text),
            Kind::Full => Self::Full,
            Kind::ReadOnly => Self::ReadOnly(text),
            Kind::Io => Self::Io(text),
            Kind::Damaged => Self::Damaged(text),
            Kind::Denied => Self::Denied(text),
            Kind::Row => Self::Row(text),
            Kind::Bug => Self::Statement {
                statement: first_words(statement),
                source: source.into(),
            },
        }
    }
}

/// Whether an error without an answer of the server means that the server is lost; the others are
/// mistakes of this program.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    use std::error::Error as _;
    let source = error.source();
    let by_io = source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    error.is_closed() || by_io
}

fn first_words(statement: &str) -> String {
    statement
        .split_whitespace()
        .take(8)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_transient_when_its_kind_is_an_outage() {
        for kind in [
            Kind::Lost,
            Kind::Held,
            Kind::Slow,
            Kind::Unwritable,
            Kind::Full,
            Kind::ReadOnly,
            Kind::Io,
            Kind::Damaged,
            Kind::Denied,
            Kind::Row,
            Kind::Bug,
        ] {
            let error = Error::of_kind(kind, "why".into(), "SELECT", "source");
            assert_eq!(error.is_transient(), kind.is_outage(), "{kind:?}: {error}");
        }
    }
}
