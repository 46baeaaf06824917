//! Which backups a folder holds. A link in it is none: what is proven, restored or deleted lies in the folder itself.
//!
//! Not here: where the folder is, which may well be behind a link of its owner's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{BackupError, file};
use super::folder::PARTIAL;
use super::manifest::{MANIFEST, Manifest};

/// A backup that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// What it holds.
    pub manifest: Manifest,
    /// Where it is.
    pub folder: PathBuf,
    /// Its data is there in the size that the manifest says.
    pub is_complete: bool,
}

/// The backups of a folder, the oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// Those that can be read.
    pub backups: Vec<Backup>,
    /// Those that cannot: name, and why.
    pub unreadable: Vec<(String, String)>,
}

/// The backups of a folder whose names begin with `<name>-`. Changes nothing.
pub(super) fn list(folder: &Path, name: &str) -> Result<Listed, BackupError> {
    let mut listed = Listed::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listed),
        Err(error) => return Err(BackupError::from_read(folder, error)),
    };
    let begins = format!("{name}-");
    for entry in entries {
        let entry = entry.map_err(file("read", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(file("read", &entry.path()))?;
        let may_be_one = kind.is_dir() || kind.is_symlink();
        if !may_be_one || !name.starts_with(&begins) || name.ends_with(PARTIAL) {
            continue;
        }
        match read(entry.path()) {
            Ok(backup) => listed.backups.push(backup),
            Err(why) => listed.unreadable.push((name, why)),
        }
    }
    listed
        .backups
        .sort_by_key(|backup| (backup.manifest.created(), backup.manifest.id.clone()));
    listed.unreadable.sort();
    Ok(listed)
}

/// The backup in a folder; why there is none.
fn read(folder: PathBuf) -> Result<Backup, String> {
    own(&folder, "it")?;
    own(&folder.join(MANIFEST), MANIFEST)?;
    let manifest = Manifest::read(&folder).map_err(|why| format!("{MANIFEST}: {why}"))?;
    let data = folder.join(&manifest.file);
    own(&data, &manifest.file)?;
    let size = fs::metadata(data).map(|data| data.len());
    let is_complete = size.is_ok_and(|size| size == manifest.bytes);
    Ok(Backup {
        manifest,
        folder,
        is_complete,
    })
}

/// Refuses a link. What is not there is told of by whoever reads it.
fn own(path: &Path, what: &str) -> Result<(), String> {
    let found = fs::symlink_metadata(path);
    if found.is_ok_and(|found| found.is_symlink()) {
        return Err(format!("{what} is a link, and no link is followed here"));
    }
    Ok(())
}
