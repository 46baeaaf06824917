//! The project's own chores: `cargo xtask setup | test | tidy | dependencies | torture | airflow | compose | bench`.
//!
//! Nothing here is shipped, and nothing here knows what the pipeline does: it
//! runs tools and reads source text.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program for developers prints and looks at their machine"
)]

mod airflow;
mod bench;
mod compose;
mod dependencies;
mod failures;
mod setup;
mod test;
mod tidy;
mod torture;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
The project's own chores.

usage: cargo xtask <command>

  setup                    finds or installs what the tests need: Debian packages, Python's into target/python, Airflow into target/airflow,
                           cargo-deny into target/cargo-deny
  test [--quick] [-- ...]  setup, formatting, tidy, clippy, dependencies, every test, documentation
                           --quick: without slow tests, for every commit
                           after --: names and options for the test programs
  tidy [<folder>]          checks the house rules of the source (default: this project)
  dependencies [<folder>]  licences, sources, duplicates and bans of what is built in (deny.toml); asks no network
  torture [...]            the long kill -9 tests, in release; ... goes to the test program
  airflow check [...]      the DAGs in a real Airflow (also a part of test); ...: some of its parts only
  compose check [builder]  the images and Compose files in a Docker engine of its own, as root; builder: only that an image builds the program
  bench <name> [...]       a benchmark; without a name: which there are

exit codes: 0 done, 1 something failed, 2 wrong arguments
";

/// How a chore failed.
#[derive(Debug)]
enum Failure {
    /// Wrong arguments: what, and what to do.
    Usage(String),
    /// The work itself failed: what, why, and what to do.
    Work(String),
    /// The work failed and has already said why.
    Told,
}

type Outcome = Result<(), Failure>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("xtask: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Work(message)) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
        Err(Failure::Told) => ExitCode::FAILURE,
    }
}

fn run(arguments: &[String]) -> Outcome {
    let Some((command, rest)) = arguments.split_first() else {
        return Err(Failure::Usage(format!("which chore?\n\n{HELP}")));
    };
    let own = rest
        .split(|argument| argument == "--")
        .next()
        .unwrap_or_default();
    let asks_help = |list: &[String]| list.iter().any(|word| word == "--help" || word == "-h");
    if asks_help(std::slice::from_ref(command)) || command == "help" || asks_help(own) {
        print!("{HELP}");
        return Ok(());
    }
    match command.as_str() {
        "setup" => none_of(rest, "setup").and_then(|()| setup::run()),
        "test" => test::run(rest, &root()),
        "tidy" => match rest {
            [] => tidy::run(&root()),
            [folder] => tidy::run(Path::new(folder)),
            _ => Err(Failure::Usage("tidy takes one folder at most".to_owned())),
        },
        "dependencies" => match rest {
            [] => dependencies::run(&root()),
            [folder] => dependencies::run(Path::new(folder)),
            _ => Err(Failure::Usage(
                "dependencies takes one folder at most".to_owned(),
            )),
        },
        "torture" => torture::run(rest, &root()),
        "airflow" => airflow::run(rest, &root()),
        "compose" => compose::run(rest, &root()),
        "bench" => bench::run(rest),
        other => Err(Failure::Usage(format!(
            "there is no chore '{other}'\n\n{HELP}"
        ))),
    }
}

fn none_of(arguments: &[String], command: &str) -> Outcome {
    match arguments.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Usage(format!(
            "{command} takes no arguments, not '{first}'"
        ))),
    }
}

/// The project's folder.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    let here = here.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or(here.clone(), Path::to_path_buf)
}
