//! The embedded warehouse: one file, one writer at a time, as many readers as wanted.
//!
//! Not here: SQL of our own tables.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::OwnedMutexGuard;

use crate::error::{Error, Result};

/// Before it, a WAL reset with several connections could corrupt the file.
const OLDEST_SQLITE: i32 = 3_051_003;
const IDLE_CONNECTIONS: usize = 4;
const STATEMENT_CACHE: usize = 128;

/// File systems (magic number, name) on which SQLite's locks do not hold.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 8] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x0BD0_0BD0, "Lustre"),
];

/// The connections of one process to one file.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    path: PathBuf,
    busy: Duration,
    idle: Arc<Mutex<Vec<Connection>>>,
    writer: Arc<tokio::sync::Mutex<()>>,
}

/// A connection on loan.
#[derive(Debug)]
pub(crate) struct Loan {
    connection: Option<Connection>,
    pool: Pool,
    /// Held by the one transaction of this process that writes.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Pool {
    /// Opens the file, creating it where there is none.
    pub(crate) fn open(path: &Path, busy: Duration) -> Result<Self> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(Error::Schema(format!(
                "SQLite {} is older than 3.51.3, which can lose data with several connections",
                rusqlite::version()
            )));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::ReadOnly(format!("cannot make {}: {error}", folder.display()))
            })?;
            refuse_network(folder)?;
        }
        let pool = Self {
            path: path.to_owned(),
            busy,
            idle: Arc::default(),
            writer: Arc::default(),
        };
        let first = pool.connect()?;
        pool.give_back(first);
        Ok(pool)
    }

    fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let fail = |error| Error::sqlite("open the file", error);
        let connection = Connection::open_with_flags(&self.path, flags).map_err(fail)?;
        connection.busy_timeout(self.busy).map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;
                 PRAGMA journal_size_limit = 67108864;",
            )
            .map_err(fail)?;
        Ok(connection)
    }

    /// A connection for reading (`write` false) or the process's one turn to write.
    pub(crate) async fn lend(&self, write: bool) -> Result<Loan> {
        let turn = if write {
            Some(Arc::clone(&self.writer).lock_owned().await)
        } else {
            None
        };
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect()?,
        };
        Ok(Loan {
            connection: Some(connection),
            pool: self.clone(),
            _turn: turn,
        })
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(connection);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Loan {
    pub(crate) fn connection(&self) -> Result<&Connection> {
        self.connection
            .as_ref()
            .ok_or_else(|| Error::Stored("a connection used after return".into()))
    }
}

impl Loan {
    pub(crate) fn connection_mut(&mut self) -> Result<&mut Connection> {
        self.connection
            .as_mut()
            .ok_or_else(|| Error::Stored("a connection used after return".into()))
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && (connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok())
        {
            self.pool.give_back(connection);
        }
    }
}

fn refuse_network(folder: &Path) -> Result<()> {
    let Ok(stat) = rustix::fs::statfs(folder) else {
        return Ok(());
    };
    #[allow(
        clippy::unnecessary_cast,
        reason = "the field's type differs between targets"
    )]
    let magic = stat.f_type as i64;
    match NETWORK_FILE_SYSTEMS
        .iter()
        .find(|(number, _)| *number == magic)
    {
        Some((_, name)) => Err(Error::NetworkFileSystem(
            folder.display().to_string(),
            (*name).into(),
        )),
        None => Ok(()),
    }
}
