//! The Compose files and the images, in a Docker engine of their own: `cargo xtask compose check`. Each check prints
//! what it saw, and the last line is the sum.
//!
//! The images get the program that is built already; with the word `builder`, nothing but the stage of `Dockerfile`
//! that builds it is checked.
//!
//! Not here: the DAGs themselves (`tests/airflow`).
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for developers that prints what it saw"
)]

#[allow(dead_code, reason = "the other check uses all of it")]
#[path = "../airflow/api.rs"]
mod api;
#[path = "../airflow/calendar.rs"]
mod calendar;
mod checklist;
#[path = "../airflow/checks.rs"]
mod checks;
mod docker;
mod images;
mod kills;
mod refusals;
mod stack;

use std::process::ExitCode;

use crate::checks::Checks;
use crate::docker::{Compose, Docker};
use crate::stack::{BUILD, Stack};

fn main() -> ExitCode {
    // `cargo test` runs every test program; this one takes root, Docker and a quarter of an hour.
    if !std::env::args().skip(1).any(|word| word == "check") {
        println!("compose check: not asked for");
        return ExitCode::SUCCESS;
    }
    let of_source = std::env::args().any(|word| word == "builder");
    let mut checks = Checks::new("compose check");
    let docker = Docker::start();
    docker.add_compose_two();
    checks.say("the Docker engine is up");
    images::bases(&docker);
    checks.say("the base images are made");
    if of_source {
        let (well, text) = images::of_source(&docker);
        checks.holds(
            "the program is built of its source",
            well && text.starts_with("tiki "),
            text,
        );
        return checks.sum();
    }
    images::program(&docker);
    let mut stack = Stack::copy(&docker);
    refusals::check(&docker, &mut stack, &mut checks);
    for compose in [Compose::One, Compose::Two] {
        stack.compose = compose;
        let (_, version) = stack.compose(&["version", "--short"]);
        checks.say(&format!("Compose {}", version.trim()));
        if compose == Compose::One {
            let (well, text) = stack.compose(&["-f", BUILD, "up", "-d", "--build"]);
            checks.holds("up -d --build", well, text);
            stack.wait_healthy();
            let (well, text) = stack.compose(&["up", "-d"]);
            checks.holds("up -d once more", well, text);
            stack.wait_healthy();
            checks.holds("every service is healthy", true, "");
        } else {
            let (well, text) = stack.compose(&["-f", BUILD, "build"]);
            checks.holds("build", well, text);
            refusals::init(&docker, &mut checks);
            checklist::check(&stack, &mut checks);
            kills::bounds(&stack, &mut checks);
            kills::full_cache(&stack, &mut checks);
            kills::check(&stack, &mut checks);
            checklist::another_run(&stack, &mut checks);
            kills::secrets(&stack, &mut checks);
        }
        down(&stack, &mut checks);
    }
    checks.sum()
}

/// `down -v` leaves nothing of the project.
fn down(stack: &Stack, checks: &mut Checks) {
    let (well, text) = stack.compose(&["down", "-v"]);
    checks.holds("down -v", well, text);
    let label = "label=com.docker.compose.project=tiki-data-pipeline";
    for kind in [
        &["ps", "-aq"][..],
        &["volume", "ls", "-q"],
        &["network", "ls", "-q"],
    ] {
        let left = stack.docker.run(&[kind, &["--filter", label]].concat());
        checks.equal(
            &format!("nothing is left ({})", kind[0]),
            left,
            String::new(),
        );
    }
}
