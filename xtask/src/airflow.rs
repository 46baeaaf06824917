//! `cargo xtask airflow check`: the DAGs in a real Airflow, by themselves; the checks of their source, and its tests.

use crate::test::{cargo, finish};
use crate::{Failure, Outcome, setup};
use std::path::Path;
use std::process::Command;
use testkit::Python;

pub(crate) fn run(arguments: &[String], root: &Path) -> Outcome {
    let Some(("check", parts)) = arguments
        .split_first()
        .map(|(word, rest)| (word.as_str(), rest))
    else {
        let what = "airflow takes the word check, and names of its parts".to_owned();
        return Err(Failure::Usage(what));
    };
    setup::run()?;
    let mut command = cargo(root);
    command.args(["test", "-p", "tiki", "--test", "airflow", "--"]);
    command.args(parts);
    finish(&mut command)
}

/// Formatting, lints, types and tests of the Python in `airflow/`.
pub(crate) fn sources(root: &Path) -> Outcome {
    let folder = root.join("airflow");
    let with = |arguments: &[&str]| {
        let mut command = Command::new(Python::READERS.program());
        command.arg("-m").args(arguments).current_dir(&folder);
        command
    };
    let airflow = Python::AIRFLOW.program();
    finish(&mut with(&["ruff", "format", "--check", "."]))?;
    finish(&mut with(&["ruff", "check", "."]))?;
    let mut types = with(&["mypy", "--no-incremental", "--python-executable"]);
    finish(types.arg(&airflow).args(["dags", "setup", "tests"]))?;
    let home = tempfile::tempdir()
        .map_err(|error| Failure::Work(format!("no folder for Airflow: {error}")))?;
    let mut tests = Command::new(airflow);
    tests.args(["-m", "unittest", "discover", "--buffer", "-s", "tests"]);
    tests.env("AIRFLOW_HOME", home.path());
    tests.env("PYTHONPATH", "dags");
    tests.env("PYTHONDONTWRITEBYTECODE", "1");
    finish(tests.current_dir(&folder))
}
