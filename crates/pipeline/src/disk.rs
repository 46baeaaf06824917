//! Room on the disk of a folder, and small files that are there whole or as they were before.

use std::fs::File;
use std::io;
use std::path::Path;

/// Ends the name of a file that is not written whole yet.
pub(crate) const DRAFT: &str = "new";

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Free for this user.
    pub(crate) free: u64,
    /// All.
    pub(crate) total: u64,
}

/// The file system on which a folder is, or would be made.
pub(crate) fn space(folder: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(nearest(folder)?)?;
    if stat.f_blocks == 0 {
        return Err(io::Error::other("its file system keeps no files"));
    }
    Ok(Space {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// Whether this user may make files in a folder, or make it where it would be. Makes nothing.
pub(crate) fn may_write(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(
        nearest(folder)?,
        Access::WRITE_OK | Access::EXEC_OK,
    )?)
}

/// The folder itself, or the one that is there in which it would be made.
pub fn nearest(folder: &Path) -> io::Result<&Path> {
    for folder in folder.ancestors() {
        match std::fs::metadata(folder) {
            Ok(found) if found.is_dir() => return Ok(folder),
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // A relative path of which nothing is there begins at the current folder.
    Ok(Path::new("."))
}

/// Whether a folder that is there is kept in memory, not on a disk. Not known but on Linux.
#[cfg(target_os = "linux")]
pub fn is_in_memory(folder: &Path) -> bool {
    // Of tmpfs and ramfs, in statfs(2).
    const KINDS: [rustix::fs::FsWord; 2] = [0x0102_1994, 0x8584_58f6];
    rustix::fs::statfs(folder).is_ok_and(|stat| KINDS.contains(&stat.f_type))
}

/// Whether a folder that is there is kept in memory, not on a disk. Not known but on Linux.
#[cfg(not(target_os = "linux"))]
pub fn is_in_memory(_: &Path) -> bool {
    false
}

/// Writes a file so that whoever reads it, also after a crash, finds all of this or what was there before.
/// Only one process writes it at a time.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension(DRAFT);
    std::fs::write(&beside, text)?;
    File::open(&beside)?.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_where_it_would_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = space(folder.path()).expect("a disk");
        let later = space(&folder.path().join("a/b")).expect("a disk");
        assert!(0 < here.free && here.free <= here.total, "{here:?}");
        assert_eq!(later.total, here.total);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_kept_in_memory_is_known() {
        for (folder, expected) in [("/proc", false), ("/sys", false), ("/dev/shm", true)] {
            assert_eq!(is_in_memory(Path::new(folder)), expected, "{folder}");
        }
    }

    #[test]
    fn where_no_folder_can_be_there_is_no_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("a file");
        for wrong in [file.clone(), file.join("a")] {
            let refused = space(&wrong).expect_err("a file in the way");
            assert_eq!(refused.kind(), io::ErrorKind::NotADirectory, "{wrong:?}");
        }
        let refused = space(Path::new("/proc/x")).expect_err("no files");
        assert!(refused.to_string().contains("keeps no files"), "{refused}");
    }
}
