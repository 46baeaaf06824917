//! `cargo xtask test`: everything that must hold before a commit.
//!
//! Every stage runs even after one failed, so that one run tells all; the last lines of a failed one say which
//! tests failed and why, for often nobody sees more of it.

use crate::failures::Failures;
use crate::{Failure, Outcome, airflow, dependencies, setup, tidy};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use testkit::{POSTGRES_VARIABLE, Postgres, REDIS_VARIABLE, Redis, ServerError};

/// Tests of this name are for `cargo xtask torture` alone.
const TORTURE: &str = "torture_";
/// Tests of this name are left out by `--quick`, as are `#[ignore]`d ones.
const SLOW: &str = "slow_";

pub(crate) fn run(arguments: &[String], root: &Path) -> Outcome {
    let options = Options::parse(arguments)?;
    let begun = Instant::now();
    let mut stages = Stages::default();
    let mut failures = Failures::default();
    stages.run("setup", setup::run);
    if stages.failed() {
        return stages.close(begun, &failures);
    }
    stages.run("formatting", || {
        finish(cargo(root).args(["fmt", "--all", "--check"]))
    });
    stages.run("tidy", || tidy::run(root));
    stages.run("clippy", || {
        let mut clippy = cargo(root);
        finish(clippy.args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    stages.run("dependencies", || dependencies::run(root));
    stages.run("Python of airflow/", || airflow::sources(root));
    stages.run("tests", || tests(root, &options, &mut failures));
    stages.run("documentation examples", || {
        let mut examples = cargo(root);
        examples.args(["test", "--workspace", "--no-fail-fast", "--doc"]);
        finish_tests(&mut examples, &mut failures)
    });
    stages.run("documentation", || {
        let mut doc = cargo(root);
        finish(
            doc.env("RUSTDOCFLAGS", "-D warnings")
                .args(["doc", "--no-deps", "--workspace"]),
        )
    });
    stages.close(begun, &failures)
}

struct Options {
    quick: bool,
    /// For the test programs.
    extra: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let end = arguments.iter().position(|argument| argument == "--");
        let (own, extra) = arguments.split_at(end.unwrap_or(arguments.len()));
        if let Some(other) = own.iter().find(|argument| *argument != "--quick") {
            let what =
                format!("test takes --quick and, after --, arguments for the tests; not '{other}'");
            return Err(Failure::Usage(what));
        }
        Ok(Self {
            quick: !own.is_empty(),
            extra: extra.iter().skip(1).cloned().collect(),
        })
    }
}

fn tests(root: &Path, options: &Options, failures: &mut Failures) -> Outcome {
    let servers = Servers::start()?;
    let mut command = cargo(root);
    servers.hand_to(&mut command);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        // Tests wait for servers and processes of their own: more than a few at a time only
        // make each other slow enough to fail.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        command.env("RUST_TEST_THREADS", cores.clamp(2, 8).to_string());
    }
    command.args([
        "test",
        "--workspace",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
        "--",
    ]);
    command.args(["--skip", TORTURE]);
    command.args(if options.quick {
        &["--skip", SLOW][..]
    } else {
        &["--include-ignored"]
    });
    finish_tests(command.args(&options.extra), failures)
}

/// The servers that all test processes of a run share; they end with this value.
pub(crate) struct Servers {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
}

impl Servers {
    /// Starts those that the environment does not already name.
    pub(crate) fn start() -> Result<Self, Failure> {
        fn unless_named<S>(
            variable: &str,
            start: fn() -> Result<S, ServerError>,
        ) -> Result<Option<S>, Failure> {
            if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
                return Ok(None);
            }
            start().map(Some).map_err(|error| no_server(&error))
        }
        let postgres = unless_named(POSTGRES_VARIABLE, Postgres::try_start)?;
        let redis = unless_named(REDIS_VARIABLE, Redis::try_start)?;
        Ok(Self { postgres, redis })
    }

    pub(crate) fn hand_to(&self, command: &mut Command) {
        if let Some(server) = &self.postgres {
            command.env(POSTGRES_VARIABLE, server.admin_url());
        }
        if let Some(server) = &self.redis {
            command.env(REDIS_VARIABLE, server.url(0));
        }
    }
}

fn no_server(error: &ServerError) -> Failure {
    let mut text = format!("no server for the tests: {error}");
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        text = format!("{text}: {cause}");
        below = cause.source();
    }
    Failure::Work(text)
}

/// The cargo that runs us, in the project's folder.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // What cargo told this program about itself would make it build others anew.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end; its output passes through.
pub(crate) fn finish(command: &mut Command) -> Outcome {
    let status = command.status();
    ended(command, status)
}

/// Runs a command of tests to its end; its output passes through, and what failed is kept.
fn finish_tests(command: &mut Command, failures: &mut Failures) -> Outcome {
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return ended(command, Err(error)),
    };
    if let Some(output) = child.stdout.take() {
        pass_on(&lines_of(output), failures, || {
            !matches!(child.try_wait(), Ok(None))
        });
    }
    let status = child.wait();
    ended(command, status)
}

/// The lines of an output, read beside whoever waits for them.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            let more = output.read_until(b'\n', &mut line);
            if !more.is_ok_and(|read| read > 0) || sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Prints each line as it comes. It ends with the output, or when the command has ended and nothing came for a
/// second: a server that a test left behind may hold the output open for ever.
fn pass_on(
    lines: &Receiver<Vec<u8>>,
    failures: &mut Failures,
    mut has_ended: impl FnMut() -> bool,
) {
    let mut ended = false;
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                print!("{line}");
                failures.take(line.trim_end());
            }
            Err(RecvTimeoutError::Timeout) if !ended => ended = has_ended(),
            Err(_) => return,
        }
    }
}

fn ended(command: &Command, status: std::io::Result<ExitStatus>) -> Outcome {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Work(format!("{} ({status})", shown(command)))),
        Err(error) => Err(Failure::Work(format!(
            "cannot run {}: {error}",
            shown(command)
        ))),
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    arguments.fold(name.to_string_lossy().into_owned(), |text, argument| {
        format!("{text} {argument}")
    })
}

#[derive(Default)]
struct Stages {
    done: Vec<(&'static str, Duration, bool)>,
}

impl Stages {
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> Outcome) {
        println!("==> {name}");
        let begun = Instant::now();
        let outcome = work();
        let took = begun.elapsed();
        if let Err(Failure::Work(message) | Failure::Usage(message)) = &outcome {
            eprintln!("xtask: {name}: {message}");
        }
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        println!("<== {name} {word} in {:.1} s", took.as_secs_f64());
        self.done.push((name, took, outcome.is_ok()));
    }

    fn failed(&self) -> bool {
        self.done.iter().any(|(_, _, passed)| !passed)
    }

    fn close(&self, begun: Instant, failures: &Failures) -> Outcome {
        println!();
        for line in failures.told() {
            println!("{line}");
        }
        for (name, took, passed) in &self.done {
            let word = if *passed { "passed" } else { "FAILED" };
            println!("  {word}  {:>7.1} s  {name}", took.as_secs_f64());
        }
        let total = begun.elapsed().as_secs_f64();
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|(_, _, passed)| !passed)
            .map(|(name, ..)| *name)
            .collect();
        if failed.is_empty() {
            println!(
                "xtask test: all {} stages passed in {total:.1} s",
                self.done.len()
            );
            return Ok(());
        }
        println!("xtask test: failed in {total:.1} s: {}", failed.join(", "));
        Err(Failure::Told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> (Outcome, String) {
        let mut failures = Failures::default();
        let outcome = finish_tests(Command::new("sh").args(["-c", script]), &mut failures);
        (outcome, failures.told().join("\n"))
    }

    #[test]
    fn what_failed_is_kept_and_the_command_fails() {
        let (outcome, told) = sh("echo 'test a::b ... FAILED'; printf 'no newline'; exit 101");
        assert!(matches!(outcome, Err(Failure::Work(what)) if what.contains("101")));
        assert_eq!(told, "failed tests: a::b");
        let (outcome, told) = sh("echo 'test a::b ... ok'");
        assert!(outcome.is_ok());
        assert_eq!(told, "");
    }

    #[test]
    fn a_process_left_behind_keeps_nobody_waiting() {
        let begun = Instant::now();
        let (outcome, told) = sh("sleep 60 2>/dev/null & echo \"test $! ... FAILED\"");
        assert!(outcome.is_ok());
        let left = told.trim().rsplit(' ').next().expect("its number");
        let ended = Command::new("kill").arg(left).status();
        assert!(ended.expect("kill").success(), "{told}");
        assert!(begun.elapsed() < Duration::from_secs(50));
    }
}
