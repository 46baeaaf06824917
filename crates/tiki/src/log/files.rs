//! Files of log lines in `<data folder>/logs`: each process its own, a new one each day and at a size; old
//! ones go when one is begun.
//!
//! A file has one writer, so no process waits for another, a network file system will do, and a process that
//! is killed leaves at most its own last line torn. Whatever fails here is told once and stops nothing.
//!
//! Not here: what stands in a line (`log`).

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalog::Day;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use pipeline::Clock;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;
use serde_json::{Map, Value};

use crate::config::{Config, Logs};
use crate::screen::Screen;

/// The folder below the data folder.
pub(crate) const FOLDER: &str = "logs";

/// What every name of a file ends with; no other file is ever removed.
const ENDING: &str = ".jsonl";

/// A file is at most such a part of all.
const FILES_OF_ALL: u64 = 10;

/// How the folder is opened: itself, not where a link leads.
const AS_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Entries of the folder that are looked at.
const MAX_ENTRIES: usize = 100_000;

/// Lines that wait for a data folder.
const MAX_EARLY: usize = 1_000;

/// Processes of one number that begin a file in one second, in containers that share a folder.
const MAX_NAMESAKES: u32 = 100;

/// After a failure a file is tried again so much later.
const PAUSE: Duration = Duration::from_mins(1);

/// The files of this process.
pub(super) struct Files {
    data_dir: PathBuf,
    logs: Logs,
    command: &'static str,
    screen: Screen,
    now: Mutex<Now>,
}

/// Where this process is.
#[derive(Default)]
struct Now {
    open: Option<Open>,
    /// Since when nothing can be written.
    failed_at: Option<Instant>,
    was_told: bool,
    /// Lines that could not be written and were not counted in a file yet.
    lost: u64,
    /// The number of the next file.
    number: u32,
    /// Lines from before there is a data folder.
    early: Vec<Map<String, Value>>,
}

struct Open {
    file: File,
    bytes: u64,
    day: Day,
}

impl Files {
    /// None is made before there is a line.
    pub(super) fn new(config: &Config, command: &'static str, screen: Screen) -> Self {
        Self {
            data_dir: config.data_dir.clone(),
            logs: config.logs.clone(),
            command,
            screen,
            now: Mutex::default(),
        }
    }

    /// Writes an object as a line. A command that makes no data folder leaves no log either.
    pub(super) fn write(&self, line: &Map<String, Value>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.open.is_none() && !self.data_dir.is_dir() {
            if now.early.len() < MAX_EARLY {
                now.early.push(line.clone());
            } else {
                now.lost += 1;
            }
            return;
        }
        let lines = std::mem::take(&mut now.early);
        for line in lines.iter().chain([line]) {
            if now.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
                now.lost += 1;
            } else if let Err(error) = self.try_write(&mut now, line) {
                self.failed(&mut now, &error);
            }
        }
    }

    fn failed(&self, now: &mut Now, error: &io::Error) {
        now.open = None;
        now.failed_at = Some(Instant::now());
        now.lost += 1;
        if !std::mem::replace(&mut now.was_told, true) {
            let folder = self.data_dir.join(FOLDER);
            self.screen.warn_unlogged(&format!(
                "no log is written to {}: {error}; the work goes on without",
                folder.display()
            ));
        }
    }

    fn try_write(&self, now: &mut Now, line: &Map<String, Value>) -> io::Result<()> {
        let mut text = if now.lost > 0 {
            let mut line = line.clone();
            line.insert("lines_lost_before".into(), now.lost.into());
            serde_json::to_string(&line)?
        } else {
            serde_json::to_string(line)?
        };
        text.push('\n');
        let today = Clock::System.now().day(&TimeZone::UTC);
        let bytes = text.len() as u64;
        let fits = |open: &Open| open.day == today && open.bytes + bytes <= file_bytes(&self.logs);
        let mut open = match now.open.take().filter(fits) {
            Some(open) => open,
            None => Open {
                file: self.begin(&mut now.number)?,
                bytes: 0,
                day: today,
            },
        };
        // One call: a process that is killed has written all of it or the beginning.
        open.file.write_all(text.as_bytes())?;
        open.bytes += bytes;
        now.open = Some(open);
        (now.failed_at, now.lost) = (None, 0);
        Ok(())
    }

    /// Begins a file, after the old ones are gone. No symbolic link is followed on the way from the data
    /// folder on.
    fn begin(&self, number: &mut u32) -> io::Result<File> {
        let path = self.data_dir.join(FOLDER);
        let folder = open_folder(&path)?;
        remove_from(&folder, &self.logs, false)?;
        let at = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let name = format!("{at}-{}-{}", self.command, std::process::id());
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..MAX_NAMESAKES {
            // By their names, the files of a process stand in their order.
            let file = format!("{name}-{number:04}{ENDING}");
            *number += 1;
            match openat(&folder, file, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => {}
                opened => return Ok(opened?.into()),
            }
        }
        Err(Errno::EXIST.into())
    }
}

/// Removes files that are too old, and the oldest until there is room for one more, or only counts them; how
/// many. Where there is no folder there are none.
pub(crate) fn remove_old(config: &Config, dry_run: bool) -> io::Result<u64> {
    let path = config.data_dir.join(FOLDER);
    match openat(CWD, &path, AS_FOLDER, Mode::empty()) {
        Ok(folder) => remove_from(&folder, &config.logs, dry_run),
        Err(Errno::NOENT) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn remove_from(folder: &OwnedFd, logs: &Logs, dry_run: bool) -> io::Result<u64> {
    let mut files = list(folder)?;
    files.sort();
    let oldest = Timestamp::now().as_second() - logs.days * 86_400;
    let room = logs.bytes - file_bytes(logs);
    let mut all: u64 = files.iter().map(|file| file.bytes).sum();
    let mut removed = 0;
    for file in files {
        if file.changed >= oldest && all <= room {
            break;
        }
        if !dry_run {
            match unlinkat(folder, &file.name, AtFlags::empty()) {
                // Another process is at it as well.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        all -= file.bytes;
        removed += 1;
    }
    Ok(removed)
}

/// A line that is longer has a file of its own.
fn file_bytes(logs: &Logs) -> u64 {
    logs.bytes / FILES_OF_ALL
}

/// The folder, made if need be, for its owner alone.
fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    match mkdirat(CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(openat(CWD, path, AS_FOLDER, Mode::empty())?)
}

/// A file of logs; the oldest is the least.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Old {
    /// Seconds since 1970.
    changed: i64,
    name: CString,
    bytes: u64,
}

fn list(folder: &OwnedFd) -> io::Result<Vec<Old>> {
    let mut files = Vec::new();
    for entry in Dir::read_from(folder)?.take(MAX_ENTRIES) {
        let name = entry?.file_name().to_owned();
        if !name.to_bytes().ends_with(ENDING.as_bytes()) {
            continue;
        }
        let seen = match statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            seen => seen?,
        };
        if FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile {
            files.push(Old {
                changed: seen.st_mtime,
                bytes: u64::try_from(seen.st_size).unwrap_or(0),
                name,
            });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_full_disk_costs_lines_and_says_how_many() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files {
            data_dir: folder.path().to_owned(),
            logs: Logs {
                filter: String::new(),
                days: 1,
                bytes: 1 << 20,
            },
            command: "run",
            screen: Screen::new(true, false),
            now: Mutex::new(Now {
                open: Some(Open {
                    file: File::options().write(true).open("/dev/full").unwrap(),
                    bytes: 0,
                    day: Clock::System.now().day(&TimeZone::UTC),
                }),
                ..Now::default()
            }),
        };
        let line = json!({ "message": "x" });
        let line = line.as_object().unwrap();
        files.write(line);
        files.write(line);
        let logs = folder.path().join(FOLDER);
        assert!(!logs.exists(), "nothing is tried at once again");
        {
            let mut now = files.now.lock().unwrap();
            assert!(now.was_told && now.lost == 2);
            now.failed_at = Instant::now().checked_sub(PAUSE);
        }
        files.write(line);
        files.write(line);
        let file = std::fs::read_dir(logs).unwrap().next().unwrap().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let expected = "{\"lines_lost_before\":2,\"message\":\"x\"}\n{\"message\":\"x\"}\n";
        assert_eq!(text, expected);
    }
}
