//! A file that takes its name when it is whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A file beside the one that is wanted; gone again unless it is renamed. After a `kill -9` it stays,
/// and its name ends with `.part`.
pub(crate) struct Beside {
    wanted: PathBuf,
    part: PathBuf,
}

impl Beside {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        super::may_be_replaced(path)?;
        // Of a link the file that it leads to is replaced.
        let wanted = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mut name = wanted.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        Ok(Self {
            wanted,
            part: name.into(),
        })
    }

    pub(crate) fn create(&self) -> io::Result<File> {
        let create = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).open(&self.part)
        };
        match create() {
            // Left by a process that had our number and is no more.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::remove_file(&self.part)?;
                create()
            }
            made => made,
        }
    }

    /// Gives the file its name, to last.
    pub(crate) fn rename(self) -> io::Result<()> {
        std::fs::rename(&self.part, &self.wanted)?;
        let folder = match self.wanted.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After the renaming there is nothing left to remove.
        drop(std::fs::remove_file(&self.part));
    }
}
