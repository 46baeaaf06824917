//! The ways in which a warehouse can fail, told apart by what the caller can do about them.

/// A warehouse that could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address names no warehouse.
    #[error("{0:?} is no warehouse address: {1}")]
    Address(String, String),
    /// No answer from the database, or it closed the connection. Retry later.
    #[error("cannot reach the warehouse")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another process holds the lock longer than we wait. Retry later.
    #[error("the warehouse is held by another process: {0}")]
    Busy(String),
    /// The file system has no room left.
    #[error("the disk of the warehouse is full")]
    Full,
    /// The file or its folder cannot be written.
    #[error("the warehouse cannot be written: {0}")]
    ReadOnly(String),
    /// The user of the database may not do that.
    #[error("the database's user may not do that: {0}")]
    Forbidden(String),
    /// The file is no database, or is damaged. It is never recreated.
    #[error("the warehouse file is damaged: {0}")]
    Damaged(String),
    /// A person's own statement took longer than it may.
    #[error("the statement took longer than {0:?}")]
    Patience(std::time::Duration),
    /// SQLite on a network file system loses data.
    #[error("{0} lies on a network file system ({1}), where SQLite loses data")]
    NetworkFileSystem(String, String),
    /// The schema is newer than this program, or was changed by hand.
    #[error("{0}")]
    Schema(String),
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
    /// A stored value is not of the form that this program writes.
    #[error("a stored value is not as written: {0}")]
    Stored(String),
}

/// What a warehouse answers.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the same call may go through later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_))
    }

    pub(crate) fn sqlite(statement: &str, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy(text),
            Some(Code::DiskFull) => Self::Full,
            Some(Code::ReadOnly | Code::PermissionDenied | Code::CannotOpen) => {
                Self::ReadOnly(text)
            }
            Some(Code::AuthorizationForStatementDenied) => {
                Self::ReadOnly("only reading statements are answered".into())
            }
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Damaged(text),
            Some(Code::ConstraintViolation | Code::TypeMismatch | Code::TooBig) => Self::Row(text),
            _ => Self::Statement {
                statement: first_words(statement),
                source: error.into(),
            },
        }
    }

    /// Whatever keeps a connection from being made: the next one may be.
    pub(crate) fn connect(error: tokio_postgres::Error) -> Self {
        Self::Unreachable(error.into())
    }

    pub(crate) fn postgres(statement: &str, error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return if is_lost(&error) {
                Self::Unreachable(error.into())
            } else {
                Self::refused(statement, error)
            };
        };
        let text = said.message().to_owned();
        let state = said.code().code();
        match (&state[..2], state) {
            (_, "53100") => Self::Full,
            (_, "25006") => Self::ReadOnly(text),
            (_, "42501") => Self::Forbidden(text),
            // Canceled: the time limit of statements, or of waiting for a lock.
            (_, "57014" | "55P03" | "40001" | "40P01") => Self::Busy(text),
            ("08" | "57" | "53", _) => Self::Unreachable(error.into()),
            // Data exceptions and integrity constraints.
            ("22" | "23", _) => Self::Row(text),
            _ => Self::refused(statement, error),
        }
    }

    fn refused(statement: &str, error: tokio_postgres::Error) -> Self {
        Self::Statement {
            statement: first_words(statement),
            source: error.into(),
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
