//! `cargo xtask torture`: the tests that kill processes again and again, and those of manners under every
//! fault.

use crate::test::{Servers, cargo};
use crate::{Failure, Outcome, setup};
use std::path::Path;

pub(crate) fn run(arguments: &[String], root: &Path) -> Outcome {
    if !root.join("crates/tiki/tests/torture/main.rs").is_file() {
        let what = "there is no torture test yet: it belongs in crates/tiki/tests/torture/main.rs";
        return Err(Failure::Usage(what.to_owned()));
    }
    setup::run()?;
    let servers = Servers::start()?;
    let forwarded: Vec<&String> = arguments.iter().filter(|word| *word != "--").collect();
    let mut command = cargo(root);
    servers.hand_to(&mut command);
    command.args(["test", "--release", "-p", "tiki"]);
    for tests in ["torture", "cleaning", "polite", "program"] {
        command.args(["--test", tests]);
    }
    command.args(["--", "--ignored", "--nocapture"]);
    if forwarded.iter().all(|word| word.starts_with('-')) {
        command.arg("torture_");
    }
    command.args(forwarded);
    let status = command.status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::Told),
        Err(error) => Err(Failure::Work(format!("cannot run cargo: {error}"))),
    }
}
