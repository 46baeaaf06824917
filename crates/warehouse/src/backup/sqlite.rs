//! Backup and restore of the SQLite file.
//!
//! A restored file takes the place of the old one by one `rename`, at a moment when the old one's
//! write-ahead log is empty, nobody can write to it (we hold its write lock) and none of our processes
//! is in the middle of opening it (we hold the folder's lock; see [`crate::sqlite`]). So there is no
//! moment without a warehouse, and none in which a log lies beside a file that it is not of. Whoever
//! has the old file open finds another one in its place after the beginning of its next transaction,
//! and stops.
//!
//! Not here: which backup, and whether it may replace what is there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind as Kind, Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::{BackupError, file};
use super::folder::{Hashed, remove, sync};
use super::manifest::{Facts, Manifest};
use super::{EPOCHS_APART, Restored};
use crate::dialect::Dialect;
use crate::error::{Error, Result};

/// Bytes that are read or written at a time.
const CHUNK: usize = 1 << 20;

/// How often the log is emptied while others write, before we give up.
const CHECKPOINTS: u32 = 50;

/// The data of a new backup.
pub(super) struct Copy {
    pub(super) facts: Facts,
    pub(super) created_at: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) content_bytes: u64,
}

/// Copies a warehouse into `folder`: SQLite's own online copy, which is of one moment whoever writes
/// meanwhile, counted and then compressed.
pub(super) fn create(path: &Path, busy: Duration, folder: &Path, data: &Path) -> Result<Copy> {
    let plain = folder.join("warehouse.db");
    let (facts, created_at) = copy(path, busy, &plain)?;
    let mut from = File::open(&plain).map_err(file("read", &plain))?;
    let content_bytes = from.metadata().map_err(file("read", &plain))?.len();
    let out = File::create(data).map_err(file("write", data))?;
    // Most of it are bodies, which are compressed already.
    let mut out = GzEncoder::new(Hashed::new(out), Compression::fast());
    pour(&mut from, &mut out).map_err(file("write", data))?;
    let out = out.finish().map_err(file("write", data))?;
    out.inner.sync_all().map_err(file("write", data))?;
    remove(&plain)?;
    Ok(Copy {
        facts,
        created_at,
        bytes: out.bytes,
        sha256: out.sha256(),
        content_bytes,
    })
}

fn copy(path: &Path, busy: Duration, plain: &Path) -> Result<(Facts, String)> {
    let fail = |error| Error::sqlite("copy the warehouse", error);
    let opening = crate::sqlite::opening(path, false, busy)?;
    let from = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, busy).map_err(fail)?;
    // The first read opens the log; from here on the file is ours to read.
    let version = |c: &Connection| c.query_row("PRAGMA schema_version", [], |_| Ok(()));
    version(&from).map_err(fail)?;
    drop(opening);
    let mut to = Connection::open(plain).map_err(fail)?;
    to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        .map_err(fail)?;
    let begun = Instant::now();
    let backup = Backup::new(&from, &mut to).map_err(fail)?;
    loop {
        match backup.step(-1).map_err(fail)? {
            StepResult::Done => break,
            _ if begun.elapsed() < busy => std::thread::sleep(Duration::from_millis(50)),
            _ => return Err(Error::Busy("its file is locked".into())),
        }
    }
    drop(backup);
    // The copy stands alone: its header asks for no log beside it.
    to.execute_batch("PRAGMA journal_mode = DELETE")
        .map_err(fail)?;
    let told = (facts(&to)?, now(&to)?);
    to.close().map_err(|(_, error)| fail(error))?;
    Ok(told)
}

fn open(path: &Path, how: OpenFlags, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, how | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy)?;
    Ok(connection)
}

fn pour(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..count])?;
        total += count as u64;
    }
}

fn now(connection: &Connection) -> Result<String> {
    let sql = Dialect::Sqlite.translate("SELECT {now}");
    let answer = connection.query_row(&sql, [], |row| row.get(0));
    answer.map_err(|error| Error::sqlite(&sql, error))
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'
        ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

/// What is in a warehouse.
fn facts(connection: &Connection) -> Result<Facts> {
    let fail = |error| Error::sqlite("count the rows", error);
    let names = tables(connection).map_err(fail)?;
    if !names.iter().any(|name| name == "schema_migrations") {
        return Err(no_warehouse().into());
    }
    let mut rows = BTreeMap::new();
    for name in names {
        let sql = format!("SELECT COUNT(*) FROM \"{}\"", name.replace('"', "\"\""));
        let count = connection.query_row(&sql, [], |row| row.get(0));
        rows.insert(name, count.map_err(fail)?);
    }
    let ask = |sql: &str| connection.query_row(sql, [], |row| row.get(0));
    let version: Option<String> = ask("SELECT MAX(name) FROM schema_migrations").map_err(fail)?;
    Ok(Facts {
        schema_version: version.ok_or_else(no_warehouse)?,
        newest_observation: ask("SELECT MAX(observed_at) FROM observations").map_err(fail)?,
        rows,
    })
}

fn no_warehouse() -> BackupError {
    BackupError::Refused {
        what: "the database has no tables of a warehouse".into(),
        help: "fill it first (`tiki run`), or look with `tiki config show` whether it is the right one",
    }
}

/// Unpacks a backup to `target`, with nothing of another file beside it, and finds everything in it
/// that its manifest says.
pub(super) fn unpack(data: &Path, manifest: &Manifest, target: &Path) -> Result<()> {
    let broken = |why: String| BackupError::Broken {
        id: manifest.id.clone(),
        why,
    };
    for beside in ["", "-wal", "-shm", "-journal"] {
        remove(&with(target, beside))?;
    }
    let from = File::open(data).map_err(file("read", data))?;
    let mut from = GzDecoder::new(Hashed::new(from));
    let mut out = File::create(target).map_err(file("write", target))?;
    // What is in it may be larger than was said.
    let most = manifest.content_bytes.unwrap_or(0);
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(broken(format!("it cannot be unpacked ({error})")).into()),
        };
        total += count as u64;
        if total > most {
            break;
        }
        let written = out.write_all(&buffer[..count]);
        written.map_err(file("write", target))?;
    }
    let mut rest = from.into_inner();
    pour(&mut rest, &mut io::sink()).map_err(file("read", data))?;
    if total != most || rest.bytes != manifest.bytes || rest.sha256() != manifest.sha256 {
        return Err(broken("its size or checksum is another".into()).into());
    }
    out.sync_all().map_err(file("write", target))?;
    drop(out);
    let fail = |error| Error::sqlite("read the unpacked backup", error);
    let unpacked = open(target, OpenFlags::SQLITE_OPEN_READ_WRITE, Duration::ZERO).map_err(fail)?;
    let sql = "PRAGMA integrity_check(1)";
    let found: String = unpacked
        .query_row(sql, [], |row| row.get(0))
        .map_err(|error| broken(error.to_string()))?;
    if found != "ok" {
        return Err(broken(found).into());
    }
    super::proof::same(manifest, &facts(&unpacked)?)?;
    unpacked.close().map_err(|(_, error)| fail(error))
}

/// A path with something at its end.
fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Where a backup is unpacked beside the warehouse that it will replace.
fn beside(path: &Path) -> PathBuf {
    with(path, ".restoring")
}

/// Removes what a killed restore left beside the warehouse: the unpacked backup, and the old file's
/// second name if it is still in its place.
pub(super) fn sweep(path: &Path) -> std::result::Result<(), BackupError> {
    for end in ["", "-wal", "-shm", "-journal"] {
        remove(&with(&beside(path), end))?;
    }
    let (Ok(own), Some(folder)) = (fs::metadata(path), path.parent()) else {
        return Ok(());
    };
    let kept = with(path, ".before-restore-");
    for entry in fs::read_dir(folder).map_err(file("read", folder))? {
        let other = entry.map_err(file("read", folder))?.path();
        let is_kept = other
            .to_string_lossy()
            .starts_with(&*kept.to_string_lossy());
        let same = |other: fs::Metadata| (other.dev(), other.ino()) == (own.dev(), own.ino());
        if is_kept && fs::symlink_metadata(&other).is_ok_and(same) {
            remove(&other)?;
        }
    }
    Ok(())
}

/// Refuses a place where only the log of a warehouse is left: the file may still be found.
pub(super) fn refuse_headless(path: &Path) -> std::result::Result<(), BackupError> {
    match crate::sqlite::headless(path) {
        None => Ok(()),
        Some(what) => Err(BackupError::Refused {
            what,
            help: "put the file back beside its log, if it was moved; else --force puts the backup in its \
                place, and keeps the log beside it",
        }),
    }
}

/// Puts a backup in the place of the warehouse at `path`.
pub(super) fn restore(
    path: &Path,
    busy: Duration,
    data: &Path,
    manifest: &Manifest,
) -> Result<Restored> {
    // Early, before the work of unpacking; asked again when nobody can write any more.
    if let Some(old) = old(path, busy)? {
        readable(old.refuse_leases())?;
    }
    let new = unpack_beside(path, data, manifest)?;
    put(path, busy, &new)
}

/// Unpacks a backup beside the warehouse at `path`: where it is.
pub(super) fn unpack_beside(path: &Path, data: &Path, manifest: &Manifest) -> Result<PathBuf> {
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(file("make", folder))?;
    let new = beside(path);
    if let Err(error) = unpack(data, manifest, &new) {
        // What could not be unpacked is of no use to anybody.
        drop(remove(&new));
        return Err(error);
    }
    Ok(new)
}

/// Puts what was unpacked beside the warehouse at `path` in its place.
pub(super) fn put(path: &Path, busy: Duration, new: &Path) -> Result<Restored> {
    let _alone = crate::sqlite::opening(path, true, busy)?;
    let old = old(path, busy)?;
    let ended = old.as_ref().map(|old| readable(old.end_attempts()));
    let floor = ended.transpose()?.flatten();
    let abandoned = begin_anew(new, floor.unwrap_or(0))?;
    if let (Some(old), Some(_)) = (&old, floor) {
        old.quiet(path)?;
    }
    let kept = swap(path, new, folder_of(path), floor.is_some())?;
    Ok(Restored {
        abandoned,
        kept,
        outside: Vec::new(),
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// The one moment: before it the old warehouse is in place, after it the new one.
fn swap(path: &Path, new: &Path, folder: &Path, sound: bool) -> Result<Option<String>> {
    let mut kept = None;
    let stamp = super::stamp(&machine_time()?);
    let name = with(path, &format!(".before-restore-{stamp}"));
    if crate::sqlite::headless(path).is_some() {
        // An empty file beside it would make SQLite delete it once more.
        let log = with(&name, "-wal");
        fs::hard_link(with(path, "-wal"), &log).map_err(file("keep", &log))?;
        kept = Some(log.display().to_string());
    } else if path.try_exists().map_err(file("look at", path))? {
        fs::hard_link(path, &name).map_err(file("keep", path))?;
        if !sound && with(path, "-wal").exists() {
            // Of a damaged file the log may hold what the file does not.
            let log = with(&name, "-wal");
            fs::hard_link(with(path, "-wal"), &log).map_err(file("keep", &log))?;
        }
        kept = Some(name.display().to_string());
    }
    give(new, path, folder)?;
    for end in ["-wal", "-shm", "-journal"] {
        remove(&with(path, end))?;
    }
    sync(folder)?;
    fs::rename(new, path).map_err(file("replace", path))?;
    sync(folder)?;
    Ok(kept)
}

/// Whoever could read and write the file in the place can read and write the one that takes it. Where there is
/// none, the owner is the folder's: root restores for whoever runs the program.
fn give(new: &Path, path: &Path, folder: &Path) -> std::result::Result<(), BackupError> {
    let old = fs::metadata(path).ok();
    let like = match &old {
        Some(old) => old.clone(),
        None => fs::metadata(folder).map_err(file("look at", folder))?,
    };
    let own = fs::metadata(new).map_err(file("look at", new))?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        match chown(new, Some(like.uid()), Some(like.gid())) {
            // Nobody but root may give one away, and to no user that a container does not know.
            Err(error) if !matches!(error.kind(), Kind::PermissionDenied | Kind::InvalidInput) => {
                return Err(file("give an owner to", new)(error));
            }
            _ => {}
        }
    }
    match old {
        Some(old) => {
            fs::set_permissions(new, old.permissions()).map_err(file("give rights to", new))
        }
        None => Ok(()),
    }
}

/// This machine's time.
pub(super) fn machine_time() -> Result<String> {
    let connection = Connection::open_in_memory();
    now(&connection.map_err(|error| Error::sqlite("tell the time", error))?)
}

/// The warehouse that is to be replaced.
struct Old(Connection);

/// A damaged warehouse cannot be asked; it is what a backup is for.
fn readable<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(Error::Damaged(_)) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Opens the old warehouse; `None`: there is none, or it cannot be read, so it cannot be asked either.
fn old(path: &Path, busy: Duration) -> Result<Option<Old>> {
    let is_there = path.try_exists().map_err(file("look at", path))?;
    if !is_there || crate::sqlite::headless(path).is_some() {
        return Ok(None);
    }
    let fail = |error| Error::sqlite("open the file", error);
    let opened = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy).map_err(fail)?;
    match tables(&opened).map_err(fail) {
        Ok(names) if names.iter().any(|name| name == "attempts") => Ok(Some(Old(opened))),
        Ok(_) | Err(Error::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Old {
    /// Somebody at work is not to lose what he does.
    fn refuse_leases(&self) -> Result<()> {
        let sql = Dialect::Sqlite.translate(super::LEASED);
        let mut statement = self.0.prepare(&sql).map_err(|e| Error::sqlite(&sql, e))?;
        let mut rows = statement.query([]).map_err(|e| Error::sqlite(&sql, e))?;
        let found = rows.next().map_err(|e| Error::sqlite(&sql, e))?;
        let told =
            found.map(|row| Ok::<(String, String), rusqlite::Error>((row.get(0)?, row.get(1)?)));
        match told.transpose().map_err(|e| Error::sqlite(&sql, e))? {
            Some((run, step)) => Err(super::at_work(&run, &step).into()),
            None => Ok(()),
        }
    }

    /// Ends every attempt, unless one of them is at work; the highest epoch that was ever given.
    fn end_attempts(&self) -> Result<i64> {
        let fail = |error| Error::sqlite("end the attempts", error);
        self.0.execute_batch("BEGIN IMMEDIATE").map_err(fail)?;
        self.refuse_leases()?;
        let sql = Dialect::Sqlite.translate(super::FENCE);
        self.0.execute_batch(&sql).map_err(fail)?;
        let highest = highest(&self.0).map_err(fail)?;
        self.0.execute_batch("COMMIT").map_err(fail)?;
        Ok(highest)
    }

    /// Takes the write lock for good, with everything in the file and nothing in its log.
    fn quiet(&self, path: &Path) -> Result<()> {
        let fail = |error| Error::sqlite("empty the write-ahead log", error);
        for _ in 0..CHECKPOINTS {
            let emptied = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy: i64 = self
                .0
                .query_row(emptied, [], |row| row.get(0))
                .map_err(fail)?;
            if busy != 0 {
                break;
            }
            self.0.execute_batch("BEGIN IMMEDIATE").map_err(fail)?;
            self.refuse_leases()?;
            if fs::metadata(with(path, "-wal")).map_or(0, |log| log.len()) == 0 {
                return Ok(());
            }
            // Somebody wrote in between.
            self.0.execute_batch("ROLLBACK").map_err(fail)?;
        }
        Err(BackupError::Held(format!(
            "another process reads or writes {} without an end",
            path.display()
        ))
        .into())
    }
}

fn highest(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'attempts'";
    connection.query_row(sql, [], |row| row.get(0))
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1)";
    connection.query_row(sql, [name], |row| row.get(0))
}

/// Makes an unpacked backup a warehouse that begins anew: no attempt of it lives, none of its runs is
/// open, and no epoch that was ever given comes again. The number of runs that were open.
fn begin_anew(new: &Path, floor: i64) -> Result<u64> {
    let fail = |error| Error::sqlite("begin anew", error);
    let connection = open(new, OpenFlags::SQLITE_OPEN_READ_WRITE, Duration::ZERO).map_err(fail)?;
    if !has_table(&connection, "attempts").map_err(fail)? {
        // Of the oldest schema, which knew no runs.
        return Ok(0);
    }
    connection
        .execute_batch("PRAGMA synchronous = FULL; BEGIN IMMEDIATE")
        .map_err(fail)?;
    let sql = Dialect::Sqlite.translate(super::FENCE);
    connection.execute_batch(&sql).map_err(fail)?;
    let sql = Dialect::Sqlite.translate(super::ABANDON);
    let abandoned = connection.execute(&sql, []).map_err(fail)?;
    if has_table(&connection, "alert_deliveries").map_err(fail)? {
        connection.execute_batch(super::HOLD).map_err(fail)?;
    }
    let next = highest(&connection).map_err(fail)?.max(floor) + EPOCHS_APART;
    let set = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'attempts'";
    if connection.execute(set, [next]).map_err(fail)? == 0 {
        let add = "INSERT INTO sqlite_sequence (name, seq) VALUES ('attempts', ?1)";
        connection.execute(add, [next]).map_err(fail)?;
    }
    connection.execute_batch("COMMIT").map_err(fail)?;
    connection.close().map_err(|(_, error)| fail(error))?;
    let done = File::open(new).and_then(|file| file.sync_all());
    done.map_err(file("sync", new))?;
    Ok(abandoned as u64)
}
