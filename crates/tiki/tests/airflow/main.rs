//! The DAGs in a real Airflow: `cargo xtask airflow check`. One Airflow serves all checks, one after the
//! other; each prints what it saw, and the last line is the sum.
//!
//! Not here: what a step does, which the program's own tests hold.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for developers that prints what it saw, and children must not see our own settings"
)]

mod api;
mod backups;
mod basics;
mod calendar;
mod checks;
mod codes;
mod days;
mod figures;
mod home;
mod kills;
mod processes;
mod rollback;
mod secrets;
mod servers;
mod shape;
mod spread;
mod wrong;

use std::process::ExitCode;

use crate::checks::Checks;
use crate::servers::Airflow;

type Part = fn(&mut Airflow, &mut Checks);

const PARTS: [(&str, Part); 11] = [
    ("basics", basics::check),
    ("days", days::check),
    ("wrong", wrong::check),
    ("codes", codes::check),
    ("kills", kills::check),
    ("rollback", rollback::check),
    ("backups", backups::check),
    ("spread", spread::check),
    ("shape", shape::check),
    ("figures", figures::check),
    ("stay", stay),
];

/// These run only where they are asked for.
const ASKED_FOR: [&str; 2] = ["figures", "stay"];

fn main() -> ExitCode {
    // `cargo test` hands its own arguments to every test program.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = words.windows(2).any(|pair| pair == ["--skip", "slow_"]);
    let mut asked = Vec::new();
    let mut before = "";
    for word in &words {
        if !word.starts_with('-') && before != "--skip" {
            asked.push(word.as_str());
        }
        before = word;
    }
    let chosen: Vec<&str> = PARTS
        .map(|(name, _)| name)
        .into_iter()
        .filter(|name| asked.contains(name))
        .collect();
    let others = chosen.is_empty() && !asked.is_empty();
    if quick || others || words.iter().any(|word| word == "--list") {
        println!("airflow check: not asked for");
        return ExitCode::SUCCESS;
    }
    let mut checks = Checks::new("airflow check");
    let mut airflow = Airflow::start();
    let watch = secrets::watch_command_lines();
    checks.say(&format!("Airflow is up at {}", airflow.base));
    for (name, part) in PARTS {
        // The others go on from what the first has set.
        let by_itself = chosen.is_empty() && !ASKED_FOR.contains(&name);
        if name == "basics" || by_itself || chosen.contains(&name) {
            part(&mut airflow, &mut checks);
        }
    }
    secrets::check(&airflow, watch, &mut checks);
    drop(airflow);
    checks.sum()
}

/// Leaves it up, to be looked at in a browser.
fn stay(airflow: &mut Airflow, checks: &mut Checks) {
    let (name, password) = home::LOGIN;
    checks.say(&format!(
        "look at {} as {name} with the password {password}; Enter ends it",
        airflow.base
    ));
    let mut line = String::new();
    drop(std::io::stdin().read_line(&mut line));
}
