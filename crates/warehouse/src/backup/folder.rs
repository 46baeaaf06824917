//! The folder of backups: one folder each, which has its final name only when all of it is on the
//! disk. What ends in `.partial` was left by somebody who was killed, and goes when the next one comes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::error::{BackupError, file};

/// How long a command waits for another one of the same folder.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the name of what is not finished.
pub(super) const PARTIAL: &str = ".partial";

/// The right to change a folder, for as long as it lives.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Makes the folder, waits for its lock, and removes what a killed command left in it.
pub(super) fn take(folder: &Path) -> Result<FolderLock, BackupError> {
    fs::create_dir_all(folder).map_err(file("make", folder))?;
    let lock = lock(folder, true, PATIENCE)?;
    let lock = lock.ok_or_else(|| {
        BackupError::Held(format!(
            "another backup command is at work in {}",
            folder.display()
        ))
    })?;
    let entries = fs::read_dir(folder).map_err(file("read", folder))?;
    for entry in entries {
        let path = entry.map_err(file("read", folder))?.path();
        if path.to_string_lossy().ends_with(PARTIAL) {
            remove(&path)?;
        }
    }
    Ok(FolderLock { _file: lock })
}

/// A lock on a folder itself, alone or shared; `None` when others hold it for longer than `patience`.
pub(crate) fn lock(
    folder: &Path,
    alone: bool,
    patience: Duration,
) -> Result<Option<File>, BackupError> {
    let opened = File::open(folder).map_err(file("open", folder))?;
    let begun = Instant::now();
    loop {
        let taken = if alone {
            opened.try_lock()
        } else {
            opened.try_lock_shared()
        };
        match taken {
            Ok(()) => return Ok(Some(opened)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(file("lock", folder)(error)),
        }
    }
}

/// Removes a file or a folder with all in it.
pub(super) fn remove(path: &Path) -> Result<(), BackupError> {
    let done = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a finished backup: what is left of it on the way is no backup any more.
pub(super) fn delete(folder: &Path) -> Result<(), BackupError> {
    let gone = PathBuf::from(format!("{}{PARTIAL}", folder.display()));
    fs::rename(folder, &gone).map_err(file("remove", folder))?;
    if let Some(parent) = folder.parent() {
        sync(parent)?;
    }
    remove(&gone)
}

/// Makes names in a folder last.
pub(super) fn sync(folder: &Path) -> Result<(), BackupError> {
    let done = File::open(folder).and_then(|folder| folder.sync_all());
    done.map_err(file("sync", folder))
}

/// Counts and hashes what goes through.
#[derive(Debug)]
pub(super) struct Hashed<T> {
    pub(super) inner: T,
    pub(super) bytes: u64,
    hash: Sha256,
}

impl<T> Hashed<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            bytes: 0,
            hash: Sha256::new(),
        }
    }

    /// The SHA-256 of all of it, in hexadecimal.
    pub(super) fn sha256(self) -> String {
        let digest = self.hash.finalize();
        digest
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn note(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.note(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.note(&bytes[..count]);
        Ok(count)
    }
}

/// Where a file is, or was, behind all links: it may be lost, which is when its backups are needed.
pub(super) fn real(path: &Path) -> PathBuf {
    let whole = || {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let target = fs::read_link(path).map_or_else(|_| path.to_owned(), |to| folder.join(to));
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(target.file_name()?))
    };
    let found = fs::canonicalize(path).ok().or_else(whole);
    found.unwrap_or_else(|| path.to_owned())
}
