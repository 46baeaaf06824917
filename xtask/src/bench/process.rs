//! A process on one core, and what it used.
//!
//! Not here: which processes (the benchmarks).

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use testkit::ChildGuard;

/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Ticks of `/proc/<pid>/stat` a second: the same on every Linux that we support.
const TICKS: f64 = 100.0;

/// What a process that ended well had used, and said.
#[derive(Debug)]
pub(super) struct Used {
    /// User and system, all threads, to a hundredth of a second.
    pub(super) cpu_seconds: f64,
    /// The most memory that was in use at once, kB.
    pub(super) peak_kb: u64,
    /// Standard output.
    pub(super) said: String,
}

/// A command that runs on one core only, without the settings of whoever runs the benchmark.
pub(super) fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    without_settings(command)
}

/// A command without the settings of whoever runs the benchmark.
pub(super) fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIKI_") {
            command.env_remove(name);
        }
    }
    command
}

/// Puts every thread of this process on one core; what it starts later begins there too.
pub(super) fn pin_this(core: usize) -> Result<(), String> {
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--pid", "--cpu-list", &core.to_string()]);
    let done = command.arg(std::process::id().to_string()).output();
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        )),
        Err(error) => Err(format!("taskset (package util-linux): {error}")),
    }
}

/// Runs a command with some input to its end.
pub(super) fn measure(command: &mut Command, input: &str) -> Result<Used, String> {
    let shown = format!("{command:?}");
    run(command, input).map_err(|error| format!("{shown}: {error}"))
}

fn run(command: &mut Command, input: &str) -> io::Result<Used> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut guard = ChildGuard::spawn(command.stderr(Stdio::piped()))?;
    let child = guard.child();
    let (id, stdin) = (child.id(), child.stdin.take());
    let said = read_all(child.stdout.take());
    let complained = read_all(child.stderr.take());
    if let Some(mut stdin) = stdin {
        stdin.write_all(input.as_bytes())?;
    }
    let mut peak_kb = 0;
    // A process that has ended keeps its times until it is waited for, but not its memory.
    let ticks = loop {
        peak_kb = peak_kb.max(memory_kb(id).unwrap_or(0));
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let stat = Stat::parse(&stat).ok_or_else(|| io::Error::other("no such stat"))?;
        if stat.ended {
            break stat.ticks;
        }
        thread::sleep(LOOK);
    };
    let status = guard.child().wait()?;
    let (said, complained) = (said.join(), complained.join());
    if !status.success() {
        let why = complained.unwrap_or_default();
        return Err(io::Error::other(format!("{status}\n{why}")));
    }
    Ok(Used {
        cpu_seconds: ticks as f64 / TICKS,
        peak_kb,
        said: said.unwrap_or_default(),
    })
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            // What cannot be read is missed by whoever needs it.
            drop(pipe.read_to_end(&mut text));
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn memory_kb(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The few words of `/proc/<pid>/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// No thread of it is left.
    ended: bool,
    /// User and system.
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name before may hold spaces and brackets; its own bracket is the last.
        let (_, rest) = text.rsplit_once(')')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        Some(Self {
            ended: *words.first()? == "Z" && number(17)? <= 1,
            ticks: number(11)? + number(12)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_read_behind_any_name() {
        let rest = "1 1 1 0 -1 4194560 9 0 0 0 70 25 3 4 20 0";
        for (name, state, threads, ended) in [
            ("tiki", "S", 3, false),
            ("tiki", "Z", 1, true),
            ("tiki", "Z", 2, false),
            ("a) Z 1 (b", "R", 1, false),
        ] {
            let text = format!("12 ({name}) {state} {rest} {threads} 0 100 0 0");
            let stat = Stat { ended, ticks: 95 };
            assert_eq!(Stat::parse(&text), Some(stat), "{text}");
        }
        assert_eq!(Stat::parse("12 tiki S"), None);
    }

    #[test]
    fn a_process_is_measured_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "read word; echo got $word"]);
        let used = measure(&mut command, "it\n").expect("sh");
        assert_eq!(used.said, "got it\n");
        assert!(used.peak_kb > 0 && used.cpu_seconds < 1.0, "{used:?}");
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo bad >&2; exit 3"]);
        let error = measure(&mut failing, "").expect_err("exit 3");
        assert!(error.contains("bad"), "{error}");
    }
}
