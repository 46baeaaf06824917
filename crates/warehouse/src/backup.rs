//! Backups: made, listed, proven, restored, thinned out.
//!
//! A backup is a folder below `backups/sqlite` or `backups/postgres` with the data and a manifest of
//! what is in it. Copy and counts are of one snapshot. The folder gets its name when everything in it
//! is on the disk, so what has a name is whole; a proof restores it and counts again.
//!
//! A restored warehouse begins anew: attempts are ended, open runs are abandoned, epochs go on far above
//! all that were ever given, so whoever worked before commits nothing. Alerts that it has not sent are held.
//!
//! Not here: when to make a backup, going back to an older program.

mod aside;
mod error;
mod folder;
mod keep;
mod listed;
mod manifest;
mod postgres;
mod programs;
mod proof;
mod rollback;
mod script;
mod sqlite;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use catalog::Instant;
use jiff::tz::TimeZone;

pub use self::error::BackupError;
pub(crate) use self::error::file;
pub(crate) use self::folder::lock;
pub use self::keep::{KeepBackups, Verdict};
pub use self::listed::{Backup, Listed};
pub use self::manifest::{BackupKind, Facts, Manifest};

use self::folder::{FolderLock, PARTIAL, delete, real, remove, sync};
use self::manifest::FORMAT;
use crate::error::{Error, Result};
use crate::open::Options;

/// Between the epochs of a warehouse and those after a restore: more than were ever given after the
/// backup was made.
const EPOCHS_APART: i64 = 1_000_000;

/// How far a server's clock may be ahead of this machine's in the date of a backup.
const AHEAD_MILLIS: i64 = 3_600_000;

/// Who is at work now.
const LEASED: &str = "SELECT run_id, step FROM attempts
    WHERE state = 'live' AND {leased:lease_until} ORDER BY epoch DESC LIMIT 1";

/// Ends every attempt.
const FENCE: &str = "UPDATE attempts SET state = 'fenced', ended_at = {now} WHERE state = 'live'";

/// Ends every run that nobody can go on with.
const ABANDON: &str =
    "UPDATE runs SET state = 'abandoned', finished_at = {now} WHERE state = 'open'";

/// What was not told by then is old news, and may have been told since.
const HOLD: &str = "UPDATE alert_deliveries SET state = 'held' WHERE state = 'waiting'";

/// Where the backups of a warehouse are, and the warehouse.
pub struct Backups {
    url: String,
    options: Options,
    kind: BackupKind,
    /// Of SQLite: what the name is a link to, if it is one.
    file: PathBuf,
    folder: PathBuf,
    name: &'static str,
    search: Option<OsString>,
}

/// What a restore did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Runs that were open in the backup and are abandoned now.
    pub abandoned: u64,
    /// Where the warehouse that was replaced is kept: a file, or a schema of the same database.
    pub kept: Option<String>,
    /// What lies outside the schema in PostgreSQL and reads what is kept, not what was restored: views,
    /// foreign keys and so on. The first 100.
    pub outside: Vec<String>,
}

/// What became of a backup when they were thinned out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pruned {
    /// The backup.
    pub manifest: Manifest,
    /// What became of it.
    pub verdict: Verdict,
}

impl fmt::Debug for Backups {
    // The address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backups")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Whether a backup's file is the one that its manifest was written for.
fn is_as_made(backup: &Backup) -> std::result::Result<bool, BackupError> {
    let path = backup.folder.join(&backup.manifest.file);
    let opened = std::fs::File::open(&path).map_err(file("read", &path))?;
    let mut hashed = folder::Hashed::new(opened);
    std::io::copy(&mut hashed, &mut std::io::sink()).map_err(file("read", &path))?;
    Ok(hashed.sha256() == backup.manifest.sha256)
}

impl Backups {
    /// Of the warehouse at an address, below a data folder. `name` begins every id (`tiki`, `demo`);
    /// `search` is where PostgreSQL's programs are looked for, written as `PATH` is.
    pub fn new(
        url: &str,
        options: Options,
        data_dir: &Path,
        name: &'static str,
        search: Option<OsString>,
    ) -> Result<Self> {
        let kind = if url.starts_with("sqlite:") {
            BackupKind::Sqlite
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            BackupKind::Postgres
        } else {
            // Nothing of it is shown: what is no address may be a password.
            let why = "begin it with sqlite: or postgres://";
            return Err(Error::Address("…".into(), why.into()));
        };
        let path = url.strip_prefix("sqlite:").unwrap_or_default();
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        Ok(Self {
            file: real(path),
            url: url.to_owned(),
            options,
            kind,
            folder: data_dir.join("backups").join(kind.as_str()),
            name,
            search,
        })
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a backup, while others may write.
    pub async fn create(&self) -> Result<Backup> {
        if self.kind == BackupKind::Sqlite && !self.is_there()? {
            return Err(BackupError::Refused {
                what: format!("there is no warehouse at {}", self.warehouse()),
                help: "`tiki config show` says which one is used; `tiki run` fills it",
            }
            .into());
        }
        let _lock = self.lock()?;
        let draft = self.folder.join(format!("new{PARTIAL}"));
        std::fs::create_dir(&draft).map_err(file("make", &draft))?;
        let made = self.fill(&draft).await;
        if made.is_err() {
            // What failed says more than that its remains could not be removed.
            drop(remove(&draft));
        }
        made
    }

    async fn fill(&self, draft: &Path) -> Result<Backup> {
        let data = draft.join(self.kind.data());
        let mut manifest = Manifest {
            format: FORMAT,
            id: String::new(),
            kind: self.kind,
            warehouse: self.warehouse(),
            schema: None,
            created_at: String::new(),
            made_by: concat!("tiki ", env!("CARGO_PKG_VERSION")).into(),
            file: self.kind.data().into(),
            bytes: 0,
            sha256: String::new(),
            content_bytes: None,
            facts: Facts {
                schema_version: String::new(),
                newest_observation: None,
                rows: std::collections::BTreeMap::new(),
            },
            verified_at: None,
        };
        match self.kind {
            BackupKind::Sqlite => {
                let copy =
                    blocking(|| sqlite::create(self.path(), self.options.busy, draft, &data))?;
                manifest.facts = copy.facts;
                manifest.created_at = copy.created_at;
                (manifest.bytes, manifest.sha256) = (copy.bytes, copy.sha256);
                manifest.content_bytes = Some(copy.content_bytes);
            }
            BackupKind::Postgres => {
                let dump = self.server()?.dump(&data, self.search.as_deref()).await?;
                manifest.facts = dump.facts;
                manifest.created_at = dump.created_at;
                (manifest.bytes, manifest.sha256) = (dump.bytes, dump.sha256);
                manifest.schema = Some(self.options.schema.clone());
                manifest.made_by = format!("{}, {}", manifest.made_by, dump.program);
            }
        }
        manifest.id = format!("{}-{}", self.name, stamp(&manifest.created_at));
        let folder = self.folder.join(&manifest.id);
        manifest.write(draft)?;
        std::fs::rename(draft, &folder).map_err(file("name", &folder))?;
        sync(&self.folder)?;
        Ok(Backup {
            manifest,
            folder,
            is_complete: true,
        })
    }

    /// The backups of this warehouse's folder, the oldest first. Changes nothing.
    pub fn list(&self) -> Result<Listed> {
        Ok(listed::list(&self.folder, self.name)?)
    }

    /// Whether a backup is of this warehouse: of this address, for a folder may be shared or have been moved.
    pub fn is_own(&self, backup: &Backup) -> bool {
        backup.manifest.warehouse == self.warehouse()
    }

    /// Puts a backup in the place of the warehouse. One that holds anything is replaced only with
    /// `force`, and none in which somebody is at work.
    pub async fn restore(&self, id: &str, force: bool) -> Result<(Backup, Restored)> {
        let _lock = self.lock()?;
        let backup = self.find(Some(id))?.ok_or_else(|| self.nothing(id))?;
        backup.manifest.check_schema()?;
        let data = self.data(&backup)?;
        let restored = match self.kind {
            BackupKind::Sqlite => {
                if !force {
                    sqlite::refuse_headless(self.path())?;
                    if self.is_there()? {
                        return Err(overwrite(&self.warehouse()).into());
                    }
                }
                let busy = self.options.busy;
                blocking(|| sqlite::restore(self.path(), busy, &data, &backup.manifest))?
            }
            BackupKind::Postgres => {
                let server = self.server()?;
                server
                    .restore(&backup.manifest, &data, self.search.as_deref(), force)
                    .await?
            }
        };
        Ok((backup, restored))
    }

    /// Thins the backups of this warehouse out, or tells (`dry`) what would become of each. Nothing is
    /// deleted that no younger verified one stands for, whose file is still as it was when it was made; one that is
    /// dated in the future stands for none.
    pub fn prune(&self, keep: KeepBackups, zone: &TimeZone, dry: bool) -> Result<Vec<Pruned>> {
        let _lock = if dry { None } else { Some(self.lock()?) };
        let mut backups = self.list()?.backups;
        backups.retain(|backup| self.is_own(backup));
        let latest = latest()?;
        let dated = backups.partition_point(|backup| backup.manifest.created() <= latest);
        let mut known: Vec<_> = backups[..dated]
            .iter()
            .map(|backup| {
                let proven = backup.is_complete && backup.manifest.verified_at.is_some();
                (backup.manifest.created(), proven)
            })
            .collect();
        let mut verdicts = keep::verdicts(&known, keep, zone);
        // The youngest proven one is what the others are deleted for.
        while verdicts.contains(&Verdict::Deleted)
            && let Some(last) = known.iter().rposition(|(_, proven)| *proven)
            && !is_as_made(&backups[last])?
        {
            known[last].1 = false;
            verdicts = keep::verdicts(&known, keep, zone);
        }
        // For those of the future nothing goes, and whether they are old is not known.
        verdicts.resize(backups.len(), Verdict::Ahead);
        let mut pruned = Vec::new();
        for (backup, verdict) in backups.into_iter().zip(verdicts) {
            if verdict == Verdict::Deleted && !dry {
                delete(&backup.folder)?;
            }
            pruned.push(Pruned {
                manifest: backup.manifest,
                verdict,
            });
        }
        Ok(pruned)
    }

    fn lock(&self) -> std::result::Result<FolderLock, BackupError> {
        blocking(|| {
            let lock = folder::take(&self.folder)?;
            if self.kind == BackupKind::Sqlite {
                sqlite::sweep(self.path())?;
            }
            Ok(lock)
        })
    }

    /// A backup by its id, or the newest of this warehouse; if that one cannot be read, no older one stands
    /// for it. One that was dated by a clock ahead of ours is not the newest for ever.
    fn find(&self, id: Option<&str>) -> Result<Option<Backup>> {
        let mut listed = self.list()?;
        let Some(id) = id else {
            listed.backups.retain(|backup| self.is_own(backup));
            let latest = latest()?;
            let dated = |backup: &Backup| backup.manifest.created() <= latest;
            let mut backups = listed.backups.into_iter();
            let newest = backups.clone().rfind(dated).or_else(|| backups.next_back());
            let known = newest.as_ref().map(|backup| backup.manifest.id.as_str());
            // The moment of a backup is in its name; what has none is no backup, a link to the newest say.
            let begins = format!("{}-", self.name);
            let has_moment = |name: &str| {
                let rest = name.strip_prefix(&begins);
                rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            let mut unreadable = listed.unreadable.into_iter();
            return match unreadable.rfind(|(name, _)| has_moment(name)) {
                Some((id, why)) if known.is_none_or(|known| known < id.as_str()) => {
                    Err(BackupError::Broken { id, why }.into())
                }
                _ => Ok(newest),
            };
        };
        let mut backups = listed.backups.into_iter();
        if let Some(found) = backups.find(|backup| backup.manifest.id == id) {
            return Ok(Some(found));
        }
        let mut unreadable = listed.unreadable.into_iter();
        match unreadable.find(|(name, _)| name == id) {
            Some((id, why)) => Err(BackupError::Broken { id, why }.into()),
            None => Err(self.nothing(id).into()),
        }
    }

    /// The file of a backup that can be of use here.
    fn data(&self, backup: &Backup) -> std::result::Result<PathBuf, BackupError> {
        let manifest = &backup.manifest;
        let broken = |why: &str| BackupError::Broken {
            id: manifest.id.clone(),
            why: why.into(),
        };
        if manifest.kind != self.kind {
            return Err(broken("it is of another kind of database than its folder"));
        }
        if self.kind == BackupKind::Postgres
            && manifest.schema.as_deref() != Some(&self.options.schema)
        {
            return Err(broken("it is of another schema"));
        }
        if !backup.is_complete {
            return Err(broken("its data is missing or has another size"));
        }
        Ok(backup.folder.join(&manifest.file))
    }

    fn nothing(&self, id: &str) -> BackupError {
        let shown: String = id.chars().take(100).collect();
        BackupError::Refused {
            what: format!("there is no backup {shown:?}"),
            help: match self.name {
                "demo" => "`tiki backup list --demo` shows them",
                _ => "`tiki backup list` shows them",
            },
        }
    }

    fn server(&self) -> Result<postgres::Server> {
        postgres::Server::new(&self.url, &self.options)
    }

    /// The file, for SQLite.
    fn path(&self) -> &Path {
        &self.file
    }

    /// Whether there is a file. That one cannot be looked at does not say so.
    fn is_there(&self) -> Result<bool> {
        let path = self.path();
        path.try_exists().map_err(|source| Error::Barred {
            path: path.display().to_string(),
            source,
        })
    }

    /// The address without secrets, and the schema where it is not the usual one.
    fn warehouse(&self) -> String {
        match self.kind {
            BackupKind::Sqlite => format!("sqlite:{}", self.path().display()),
            BackupKind::Postgres => {
                let address = crate::address::without_password(&self.url);
                match self.options.schema.as_str() {
                    "public" => address,
                    schema => format!("{address} (schema {schema})"),
                }
            }
        }
    }
}

/// What is dated after it was dated by a clock ahead of ours.
fn latest() -> Result<Instant> {
    let now = Instant::from_str(&sqlite::machine_time()?);
    Ok(now.map_or(Instant::from_millis(i64::MAX), |now| {
        now.plus_millis(AHEAD_MILLIS)
    }))
}

/// An instant as a part of a name.
fn stamp(instant: &str) -> String {
    instant.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn overwrite(place: &str) -> BackupError {
    BackupError::Refused {
        what: format!("there is a warehouse at {place}"),
        help: "--force puts the backup in its place; the warehouse of today is kept beside it",
    }
}

fn at_work(run: &str, step: &str) -> BackupError {
    BackupError::Held(format!(
        "run {run} is at work in this warehouse (step {step}): end it first, or wait until its lease is over"
    ))
}

/// Files are read and written in the calling thread; the runtime is told, so that other tasks move on.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
