//! What a backup holds, written beside it when it is whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use catalog::Instant;
use serde::{Deserialize, Serialize};

use super::error::{BackupError, file};
use super::folder::{remove, sync};

/// The file's name in a backup's folder.
pub(super) const MANIFEST: &str = "manifest.json";

/// Of this form of manifest; another one is not read.
pub(super) const FORMAT: u32 = 1;

/// A manifest is small: a few dozen tables.
const MAX_BYTES: u64 = 1 << 20;

/// Which database a backup is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// A file of SQLite, compressed by gzip.
    Sqlite,
    /// A schema of PostgreSQL, in the custom format of `pg_dump`.
    Postgres,
}

impl BackupKind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// The name of the file with the data.
    pub(super) fn data(self) -> &'static str {
        match self {
            Self::Sqlite => "warehouse.db.gz",
            Self::Postgres => "warehouse.dump",
        }
    }
}

/// What is counted in a warehouse: of a backup at its making, of a restored one at its proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// The newest schema step (`schema_migrations`).
    pub schema_version: String,
    /// The time of the newest look; `None`: no looks.
    pub newest_observation: Option<String>,
    /// Rows of every table.
    pub rows: BTreeMap<String, i64>,
}

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the manifest's own form.
    pub format: u32,
    /// The name of the backup's folder.
    pub id: String,
    /// Of which database.
    pub kind: BackupKind,
    /// Where the warehouse was, without secrets.
    pub warehouse: String,
    /// The schema in PostgreSQL.
    pub schema: Option<String>,
    /// The database's time of the snapshot.
    pub created_at: String,
    /// Which program made it.
    pub made_by: String,
    /// The file with the data.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// The size of the SQLite file in it.
    pub content_bytes: Option<u64>,
    /// What was counted in the same snapshot.
    #[serde(flatten)]
    pub facts: Facts,
    /// When a restored copy was last found to hold all this (the machine's time); `None`: not yet.
    pub verified_at: Option<String>,
}

impl Manifest {
    /// The database's time of the snapshot.
    pub fn created(&self) -> Instant {
        // Read and checked once, in `read`.
        self.created_at.parse().unwrap_or(Instant::from_millis(0))
    }

    /// Refuses what a newer program made.
    pub(super) fn check_schema(&self) -> crate::Result<()> {
        let (id, version) = (&self.id, &self.facts.schema_version);
        if crate::migrations::is_known(version) {
            return Ok(());
        }
        Err(crate::Error::Schema(format!(
            "backup {id} has the schema {version}, which is newer than this program: use a newer tiki"
        )))
    }

    /// Reads the manifest of a backup's folder; why it is none.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let mut text = String::new();
        let file = File::open(folder.join(MANIFEST)).map_err(|error| error.to_string())?;
        let read = file.take(MAX_BYTES).read_to_string(&mut text);
        read.map_err(|error| error.to_string())?;
        let manifest: Self = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if manifest.format != FORMAT {
            return Err(format!("its format {} is not known", manifest.format));
        }
        if Some(manifest.id.as_str()) != folder.file_name().and_then(|name| name.to_str()) {
            return Err(format!("it is of backup {:?}", manifest.id));
        }
        if manifest.file != manifest.kind.data() {
            return Err(format!("it names the file {:?}", manifest.file));
        }
        let created: Result<Instant, _> = manifest.created_at.parse();
        created.map_err(|error| error.to_string())?;
        Ok(manifest)
    }

    /// Writes the manifest, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let path = folder.join(MANIFEST);
        let beside = folder.join("manifest.json.partial");
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        let text = text.map_err(file("write", &path))?;
        // Whatever lies there is not written into.
        remove(&beside)?;
        let written = File::create_new(&beside).and_then(|mut out| {
            out.write_all(&text)?;
            out.sync_all()
        });
        written.map_err(file("write", &beside))?;
        std::fs::rename(&beside, &path).map_err(file("write", &path))?;
        sync(folder)
    }
}
