//! The embedded warehouse: one file, one writer at a time, as many readers as wanted.
//!
//! Not here: SQL of our own tables.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, OpenFlags, StatementStatus};
use rustix::fs::Access;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::backup::{self, BackupError};
use crate::error::{Error, Result};
use crate::network::refuse_network;
use crate::open::Options;

/// Before it, a WAL reset with several connections could corrupt the file.
const OLDEST_SQLITE: i32 = 3_051_003;
const IDLE_CONNECTIONS: usize = 4;
const STATEMENT_CACHE: usize = 128;

/// Of a new file; an old one keeps its own.
const PAGE_BYTES: u32 = 8192;

/// The connections of one process to one file.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    path: PathBuf,
    busy: Duration,
    /// How long a caller waits for a connection, and how many there are at most.
    wait: Duration,
    size: usize,
    only_looks: bool,
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
    writer: Arc<tokio::sync::Mutex<()>>,
    /// Which file it was when it was opened first: device and number.
    file: Arc<OnceLock<(u64, u64)>>,
}

/// Held while a file is opened, shared, and alone while a restore puts another file in its place:
/// whoever opened the one and its log by the name of the other would damage both.
pub(crate) fn opening(path: &Path, alone: bool, patience: Duration) -> Result<File> {
    // The name may be a link to another place.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let lock = backup::lock(folder_of(&path), alone, patience)?;
    lock.ok_or_else(|| {
        let who = if alone {
            "another process opens it"
        } else {
            "a backup is being restored in its place"
        };
        Error::Busy(who.into())
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A connection on loan.
#[derive(Debug)]
pub(crate) struct Loan {
    /// Nobody else ever waits for it: the lock lets the futures that hold a loan move between threads.
    connection: Option<Mutex<Connection>>,
    pool: Pool,
    _place: OwnedSemaphorePermit,
    /// Held by the one transaction of this process that writes.
    turn: Option<OwnedMutexGuard<()>>,
}

impl Pool {
    /// Opens the file, creating it where there is none unless it is only looked at.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self> {
        check_version(rusqlite::version_number(), rusqlite::version())?;
        let folder = folder_of(path);
        if !options.only_looks {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::ReadOnly(format!("cannot make {}: {error}", folder.display()))
            })?;
        }
        // The file may be a link to another place.
        refuse_network(if path.exists() { path } else { folder })?;
        refuse_headless(path)?;
        let pool = Self {
            path: path.to_owned(),
            busy: options.busy,
            wait: options.limits.wait,
            size: options.limits.max_connections,
            only_looks: options.only_looks,
            free: Arc::new(Semaphore::new(options.limits.max_connections)),
            idle: Arc::default(),
            writer: Arc::default(),
            file: Arc::default(),
        };
        let first = pool.connect()?;
        pool.give_back(first, false);
        Ok(pool)
    }

    fn connect(&self) -> Result<Connection> {
        let access = if self.only_looks {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        };
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let fail = |error| self.named(Error::sqlite("open the file", error));
        let _opening = opening(&self.path, false, self.busy)?;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(fail)?;
        connection.busy_timeout(self.busy).map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        if self.only_looks {
            first_look(&connection).map_err(fail)?;
            self.is_in_place()?;
            return Ok(connection);
        }
        // Of a file that is not there yet; pages hold a body of the usual size, or two.
        let page_size = format!("PRAGMA page_size = {PAGE_BYTES}");
        connection.execute_batch(&page_size).map_err(fail)?;
        let mode = self.journal_mode(&connection)?;
        if mode != "wal" {
            return Err(Error::ReadOnly(format!(
                "{} stays in journal mode {mode}, which is not WAL",
                self.path.display()
            )));
        }
        connection
            .execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;
                 PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 2000;",
            )
            .map_err(fail)?;
        self.is_in_place()?;
        Ok(connection)
    }

    /// Whether the file is still the one that was opened first. A restore puts another in its place,
    /// and what is written to the old one then is lost.
    fn is_in_place(&self) -> Result<()> {
        let file = std::fs::metadata(&self.path).map(|file| (file.dev(), file.ino()));
        match file {
            Ok(file) if *self.file.get_or_init(|| file) == file => Ok(()),
            _ => Err(BackupError::Replaced(self.path.display().to_string()).into()),
        }
    }

    /// Turns the write-ahead log on. SQLite does not wait here for another process that opens the
    /// same new file, so we do.
    fn journal_mode(&self, connection: &Connection) -> Result<String> {
        let begun = Instant::now();
        loop {
            let answer = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
            match answer.map_err(|e| self.named(Error::sqlite("PRAGMA journal_mode", e))) {
                Err(Error::Busy(_)) if begun.elapsed() < self.busy => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                answer => return answer,
            }
        }
    }

    /// A connection that cannot write, not even by a statement that a person wrote.
    pub(crate) fn read_only(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let fail = |error| self.named(Error::sqlite("open the file to read", error));
        let _opening = opening(&self.path, false, self.busy)?;
        let mut connection = Connection::open_with_flags(&self.path, flags).map_err(fail)?;
        connection.busy_timeout(self.busy).map_err(fail)?;
        first_look(&connection).map_err(fail)?;
        self.is_in_place()?;
        connection
            .authorizer(Some(|context: AuthContext<'_>| match context.action {
                AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
                    Authorization::Allow
                }
                AuthAction::Function { function_name } if function_name != "load_extension" => {
                    Authorization::Allow
                }
                _ => Authorization::Deny,
            }))
            .map_err(fail)?;
        Ok(connection)
    }

    /// Says of which file a failure speaks.
    fn named(&self, error: Error) -> Error {
        let with = |text: String| format!("{}: {text}", self.path.display());
        match error {
            Error::ReadOnly(text) => self.barrier().unwrap_or(Error::ReadOnly(with(text))),
            Error::Io(text) => Error::Io(with(text)),
            Error::Damaged(text) => Error::Damaged(with(text)),
            other => other,
        }
    }

    /// What keeps this user from a file that SQLite could not open, where that is known: SQLite itself tells
    /// rights, folders and its own files apart by no code.
    fn barrier(&self) -> Option<Error> {
        let path = self.path.display().to_string();
        // Asked, not opened: closing it would end the locks that SQLite has on it for this process.
        match rustix::fs::access(&self.path, Access::READ_OK).map_err(std::io::Error::from) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => Some(Error::Barred { path, source }),
            Ok(()) => {
                let file = std::fs::canonicalize(&self.path).ok()?;
                let may_write = rustix::fs::access(folder_of(&file), Access::WRITE_OK);
                may_write.err().map(|_| Error::FolderReadOnly(path))
            }
        }
    }

    /// A connection for reading (`write` false) or the process's one turn to write.
    pub(crate) async fn lend(&self, write: bool) -> Result<Loan> {
        let turn = if write {
            Some(self.turn().await?)
        } else {
            None
        };
        let place = Arc::clone(&self.free).acquire_owned();
        let Ok(Ok(place)) = timeout(self.wait, place).await else {
            let (size, wait) = (self.size, self.wait);
            return Err(Error::Exhausted { size, wait });
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
            connection: Some(Mutex::new(connection)),
            pool: self.clone(),
            _place: place,
            turn,
        })
    }

    /// The turn of this process to write. Whoever has it may wait for another process first, and then
    /// works.
    async fn turn(&self) -> Result<OwnedMutexGuard<()>> {
        let limit = self.busy.saturating_mul(2);
        let turn = Arc::clone(&self.writer).lock_owned();
        timeout(limit, turn).await.map_err(|_| {
            Error::Busy(format!(
                "another transaction of this process writes for longer than {limit:?}"
            ))
        })
    }

    /// What is given back last is lent first, with the pages that it holds: that is for whoever wrote. Those of
    /// one that has only read are of no use once another writes; they go, and it waits behind the others.
    fn give_back(&self, connection: Connection, has_written: bool) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() == IDLE_CONNECTIONS {
            idle.remove(0);
        }
        if has_written || idle.is_empty() {
            idle.push(connection);
        } else if connection.release_memory().is_ok() {
            idle.insert(0, connection);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Loan {
    pub(crate) fn connection(&self) -> Result<MutexGuard<'_, Connection>> {
        let returned = || Error::Stored("a connection used after return".into());
        let connection = self.connection.as_ref().ok_or_else(returned)?;
        Ok(connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`Pool::is_in_place`]; in a transaction that writes the answer holds to its end, because a
    /// restore waits for it.
    pub(crate) fn is_in_place(&self) -> Result<()> {
        self.pool.is_in_place()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let connection =
            connection.map(|lock| lock.into_inner().unwrap_or_else(PoisonError::into_inner));
        if let Some(connection) = connection
            && (connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok())
        {
            self.pool.give_back(connection, self.turn.is_some());
        }
    }
}

/// Traces what a statement cost SQLite: steps of its machine, and rows that it went through without an
/// index. PostgreSQL keeps such counts itself.
pub(crate) fn tell_cost(statement: &rusqlite::Statement<'_>, text: &str) {
    if tracing::enabled!(target: "warehouse::sql", tracing::Level::TRACE) {
        let steps = statement.reset_status(StatementStatus::VmStep);
        let scanned = statement.reset_status(StatementStatus::FullscanStep);
        tracing::trace!(target: "warehouse::sql", text, steps, scanned);
    }
}

/// Opens the log too, and tells what is wrong with the file.
fn first_look(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA schema_version", [], |_| Ok(()))
}

fn check_version(number: i32, version: &str) -> Result<()> {
    if number >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(Error::Schema(format!(
        "SQLite {version} is older than 3.51.3, which can lose data with several connections"
    )))
}

/// Refuses a file that is not there, or empty, while its write-ahead log is: SQLite would begin a new
/// file and delete the log, and with it what was committed last.
fn refuse_headless(path: &Path) -> Result<()> {
    headless(path).map_or(Ok(()), |why| Err(Error::Headless(why)))
}

/// Whether a file is gone or empty, and its log holds rows all the same, in words. Whoever opens it makes SQLite
/// delete the log.
pub(crate) fn headless(path: &Path) -> Option<String> {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = Path::new(&log);
    (bytes(path) == 0 && bytes(log) > 0).then(|| {
        let (path, log) = (path.display(), log.display());
        format!("{path} is gone or empty, and {log} still holds rows of it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sqlite_that_loses_data_is_refused() {
        assert!(check_version(3_051_002, "3.51.2").is_err());
        check_version(rusqlite::version_number(), rusqlite::version()).expect("ours is newer");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_exhausted_pool_says_so_and_a_turn_to_write_has_an_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            limits: crate::PoolLimits {
                max_connections: 2,
                wait: Duration::from_millis(50),
                ..crate::PoolLimits::default()
            },
            busy: Duration::from_millis(20),
            ..Options::default()
        };
        let pool = Pool::open(&folder.path().join("tiki.db"), &options).expect("a file");
        let writer = pool.lend(true).await.expect("a turn");
        let refused = pool.lend(true).await;
        assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
        let reader = pool.lend(false).await.expect("a connection");
        let refused = pool.lend(false).await;
        assert!(
            matches!(refused, Err(Error::Exhausted { size: 2, .. })),
            "{refused:?}"
        );
        drop((writer, reader));
        pool.lend(true).await.expect("both came back");
    }

    #[test]
    fn no_reader_opens_a_file_in_the_middle_of_a_restore() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            busy: Duration::from_millis(20),
            ..Options::default()
        };
        let path = folder.path().join("tiki.db");
        let pool = Pool::open(&path, &options).expect("a file");
        drop(pool.read_only().expect("a reader"));
        let alone = opening(&path, true, options.busy).expect("a restore");
        let refused = pool.read_only();
        assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
        drop(alone);
        let other = folder.path().join("other.db");
        drop(Pool::open(&other, &options).expect("another file"));
        std::fs::rename(&other, &path).expect("in its place");
        let refused = pool.read_only();
        let replaced = matches!(refused, Err(Error::Backup(BackupError::Replaced(_))));
        assert!(replaced, "{refused:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_wrote_is_lent_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            busy: Duration::from_millis(20),
            ..Options::default()
        };
        let pool = Pool::open(&folder.path().join("tiki.db"), &options).expect("a file");
        let (writer, reader) = (pool.lend(true).await, pool.lend(false).await);
        let (writer, reader) = (writer.expect("a turn"), reader.expect("a connection"));
        let on = |loan: &Loan, sql: &str| {
            let connection = loan.connection().expect("lent");
            connection.execute_batch(sql)
        };
        on(&writer, "CREATE TEMP TABLE mine (id)").expect("a table of this connection");
        drop(writer);
        drop(reader);
        let first = pool.lend(false).await.expect("a connection");
        on(&first, "INSERT INTO mine VALUES (1)").expect("the one that wrote");
        let second = pool.lend(false).await.expect("a connection");
        on(&second, "INSERT INTO mine VALUES (1)").expect_err("the one that read");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_is_named_and_nothing_is_half_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("tiki.db").display());
        let warehouse = crate::Warehouse::open(&url, &Options::default())
            .await
            .expect("open");
        warehouse.migrate("public").await.expect("migrate");
        let set = |pages: &str| {
            let crate::open::Store::Sqlite(pool) = &warehouse.store else {
                panic!("an SQLite warehouse")
            };
            // The pool has this one connection, so the writer gets it too.
            let idle = pool.idle.lock().expect("one thread");
            assert_eq!(idle.len(), 1);
            let sql = format!("PRAGMA max_page_count = {pages}");
            idle[0]
                .query_row(&sql, [], |row| row.get::<_, i64>(0))
                .expect("a pragma")
        };
        set("1");
        let mut run = crate::NewRun {
            id: "r1".into(),
            owner: "cli".into(),
            scope: format!("{{\"filler\":\"{}\"}}", "x".repeat(100_000)),
            scope_key: "k".into(),
            clock_at: catalog::Instant::from_millis(0),
        };
        let refused = warehouse.create_run(&run).await;
        assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
        set("1000000");
        assert!(warehouse.run("r1").await.expect("a read").is_none());
        run.scope = "{}".into();
        warehouse
            .create_run(&run)
            .await
            .expect("room again")
            .expect("a new run");
    }
}
