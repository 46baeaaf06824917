//! What cannot work is refused with words, before anything runs.

use std::fs;

use crate::checks::Checks;
use crate::docker::{Compose, Docker};
use crate::stack::Stack;

pub(crate) fn check(docker: &Docker, stack: &mut Stack, checks: &mut Checks) {
    let env = stack.folder.join(".env");
    fs::copy(stack.folder.join(".env.example"), &env).expect("a copy");
    for compose in [Compose::One, Compose::Two] {
        stack.compose = compose;
        let (well, text) = stack.compose(&["up", "-d"]);
        let named = text.contains(" is empty, see .env.example");
        checks.holds(
            &format!("Compose {compose:?} refuses the example's values"),
            !well && named,
            text,
        );
    }
    fs::remove_file(env).expect("to remove it");
    let (well, text) = stack.make_env();
    checks.holds("make-env.sh makes .env", well, text);
    let again = crate::docker::said(
        std::process::Command::new("airflow/setup/make-env.sh").current_dir(&stack.folder),
    );
    let kept = !again.0 && again.1.contains("there is a .env already");
    checks.holds("and never makes it anew", kept, again.1);
    let script = stack.folder.join("airflow/setup/postgres-init.sh");
    let mount = format!(
        "{}:/docker-entrypoint-initdb.d/tiki.sh:ro",
        script.display()
    );
    let weak = [
        "run",
        "--rm",
        "-e",
        "POSTGRES_USER=postgres",
        "-e",
        "POSTGRES_PASSWORD=short",
        "-v",
        &mount,
    ];
    let (well, text) = docker.try_run(&[&weak[..], &["postgres:15-bookworm"]].concat());
    let named = text.contains("POSTGRES_PASSWORD in .env must be 12 or more");
    checks.holds(
        "PostgreSQL's first script refuses a short password",
        !well && named,
        text,
    );
}

/// The same of the script of the image, where that is there.
pub(crate) fn init(docker: &Docker, checks: &mut Checks) {
    let secret = "AIRFLOW_DB_PASSWORD=it's";
    let image = "tiki-data-pipeline-airflow";
    let init = [
        "run",
        "--rm",
        "-e",
        secret,
        image,
        "bash",
        "/opt/airflow/setup/init.sh",
    ];
    let (well, text) = docker.try_run(&init);
    let named = text.contains("AIRFLOW_DB_PASSWORD in .env must be 12 or more");
    checks.holds(
        "airflow-init refuses a password that breaks an address",
        !well && named,
        text,
    );
}
