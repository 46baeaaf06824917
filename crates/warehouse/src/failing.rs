//! What a database's own codes mean to a caller: one table for each database.
//!
//! Not here: what a command does about it (`pipeline`: outages and exit codes).

use rusqlite::ErrorCode as Code;

/// The kinds of failure of a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The server or the connection is gone, or takes no (more) connections. An outage.
    Lost,
    /// Somebody else holds a lock for too long, or took the turn. An outage.
    Held,
    /// A statement took longer than it may, or was canceled. An outage.
    Slow,
    /// The server is there and takes no writes: a full disk, a standby, read-only. An outage.
    Unwritable,
    /// The disk of this machine is full.
    Full,
    /// The file or folder cannot be written.
    ReadOnly,
    /// The file system of this machine failed.
    Io,
    /// What is stored is damaged.
    Damaged,
    /// The user of the database may not do this.
    Denied,
    /// The row is refused, others are not.
    Row,
    /// A mistake of this program.
    Bug,
}

/// SQLSTATE, whole or by its class of two characters, and its kind. Whole ones come first; what is in
/// no line is a bug. (<https://www.postgresql.org/docs/current/errcodes-appendix.html>)
const POSTGRES: [(&str, Kind); 26] = [
    ("53100", Kind::Unwritable), // disk_full
    ("25006", Kind::Unwritable), // read_only_sql_transaction
    ("25P03", Kind::Lost),       // idle_in_transaction_session_timeout
    ("25P04", Kind::Slow),       // transaction_timeout
    ("57014", Kind::Slow),       // query_canceled: statement_timeout too
    ("55P03", Kind::Held),       // lock_not_available: lock_timeout
    ("55006", Kind::Held),       // object_in_use
    ("40001", Kind::Held),       // serialization_failure
    ("40P01", Kind::Held),       // deadlock_detected
    ("40003", Kind::Lost),       // statement_completion_unknown
    ("42501", Kind::Denied),     // insufficient_privilege
    ("58030", Kind::Unwritable), // io_error
    ("54000", Kind::Unwritable), // program_limit_exceeded: numbers of transactions run out
    ("XX001", Kind::Damaged),    // data_corrupted
    ("XX002", Kind::Damaged),    // index_corrupted
    ("08", Kind::Lost),          // connection exception
    ("28", Kind::Lost),          // invalid authorization: a password is being changed
    ("3D", Kind::Lost),          // invalid catalog name: the database is being restored
    ("53", Kind::Lost),          // insufficient resources: memory, connections
    ("57", Kind::Lost),          // operator intervention: shutdown, crash, starting up
    ("58", Kind::Lost),          // system error outside of PostgreSQL
    ("22", Kind::Row),           // data exception
    ("23", Kind::Row),           // integrity constraint violation
    ("44", Kind::Row),           // WITH CHECK OPTION violation
    ("P0", Kind::Row),           // RAISE in a trigger
    ("72", Kind::Slow),          // snapshot too old
];

/// SQLite's result code and its kind; what is in no line is a bug. (<https://sqlite.org/rescode.html>)
const SQLITE: [(Code, Kind); 14] = [
    (Code::DatabaseBusy, Kind::Held),
    (Code::DatabaseLocked, Kind::Held),
    (Code::FileLockingProtocolFailed, Kind::Held),
    (Code::DiskFull, Kind::Full),
    (Code::ReadOnly, Kind::ReadOnly),
    (Code::PermissionDenied, Kind::ReadOnly),
    (Code::CannotOpen, Kind::ReadOnly),
    (Code::SystemIoFailure, Kind::Io),
    (Code::OutOfMemory, Kind::Io),
    (Code::DatabaseCorrupt, Kind::Damaged),
    (Code::NotADatabase, Kind::Damaged),
    (Code::ConstraintViolation, Kind::Row),
    (Code::TypeMismatch, Kind::Row),
    (Code::TooBig, Kind::Row),
];

impl Kind {
    /// Of a SQLSTATE that PostgreSQL answered; `of_row`: of a row, by what else it said. By 54000 it means a text that
    /// is too long for its index, and that it takes no writes any more.
    pub(crate) fn of_state(state: &str, of_row: bool) -> Self {
        if of_row && state == "54000" {
            return Self::Row;
        }
        let found = POSTGRES.iter().find(|(code, _)| state.starts_with(code));
        found.map_or(Self::Bug, |(_, kind)| *kind)
    }

    /// Of a result code of SQLite.
    pub(crate) fn of_code(code: Option<Code>) -> Self {
        let found = SQLITE.iter().find(|(known, _)| Some(*known) == code);
        found.map_or(Self::Bug, |(_, kind)| *kind)
    }

    /// Whether the same call may go through later without anybody's help here. The other kinds need
    /// a person, or are no failure of the warehouse.
    pub(crate) fn is_outage(self) -> bool {
        matches!(
            self,
            Self::Lost | Self::Held | Self::Slow | Self::Unwritable
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_told_from_bugs() {
        for (state, kind) in [
            ("57P01", Kind::Lost), // the server is shut down
            ("57P02", Kind::Lost), // another process of it crashed
            ("57P03", Kind::Lost), // it starts up
            ("53300", Kind::Lost), // it takes no more connections
            ("53200", Kind::Lost),
            ("08006", Kind::Lost),
            ("25P03", Kind::Lost),
            ("28P01", Kind::Lost),
            ("53100", Kind::Unwritable),
            ("25006", Kind::Unwritable),
            ("58030", Kind::Unwritable),
            ("57014", Kind::Slow),
            ("72000", Kind::Slow),
            ("54000", Kind::Unwritable),
            ("55P03", Kind::Held),
            ("40P01", Kind::Held),
        ] {
            assert_eq!(Kind::of_state(state, false), kind, "{state}");
            assert!(kind.is_outage(), "{state}");
        }
        assert_eq!(Kind::of_state("54000", true), Kind::Row);
        for (state, kind) in [
            ("22021", Kind::Row), // a text that the encoding does not have
            ("23514", Kind::Row),
            ("P0001", Kind::Row), // a trigger of somebody's own
            ("42501", Kind::Denied),
            ("XX001", Kind::Damaged),
            ("25P02", Kind::Bug), // a statement after one that failed
            ("42P01", Kind::Bug), // no such table
            ("42601", Kind::Bug), // syntax
            ("0A000", Kind::Bug),
            ("XX000", Kind::Bug),
            ("", Kind::Bug),
        ] {
            assert_eq!(Kind::of_state(state, false), kind, "{state}");
            assert!(!kind.is_outage(), "{state}");
        }
        for (code, kind, outage) in [
            (Code::DatabaseBusy, Kind::Held, true),
            (Code::DatabaseLocked, Kind::Held, true),
            (Code::DiskFull, Kind::Full, false),
            (Code::ReadOnly, Kind::ReadOnly, false),
            (Code::SystemIoFailure, Kind::Io, false),
            (Code::DatabaseCorrupt, Kind::Damaged, false),
            (Code::NotADatabase, Kind::Damaged, false),
            (Code::ConstraintViolation, Kind::Row, false),
            (Code::ApiMisuse, Kind::Bug, false),
            (Code::Unknown, Kind::Bug, false),
        ] {
            assert_eq!(Kind::of_code(Some(code)), kind, "{code:?}");
            assert_eq!(kind.is_outage(), outage, "{code:?}");
        }
        assert_eq!(Kind::of_code(None), Kind::Bug);
    }

    #[test]
    fn a_whole_state_stands_before_its_class() {
        for (at, (state, _)) in POSTGRES.iter().enumerate() {
            let earlier = &POSTGRES[..at];
            assert!(
                earlier.iter().all(|(code, _)| !state.starts_with(code)),
                "{state} is never reached"
            );
        }
    }
}
