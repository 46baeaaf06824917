//! What is built in besides our own, against deny.toml: licences, sources, duplicates, what may not be in it.
//!
//! Not here: advisories, which cannot be known without a network (docs/SECURITY.md).

use crate::test::{cargo, finish};
use crate::{Failure, Outcome, root};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The release of cargo-deny that deny.toml is written for.
const VERSION: &str = "0.20.2";
const TRIES: u32 = 3;

/// Where it is, below the project's folder.
fn folder(root: &Path) -> PathBuf {
    root.join("target/cargo-deny")
}

fn program(root: &Path) -> PathBuf {
    folder(root).join("bin/cargo-deny")
}

/// Builds cargo-deny into `target`, unless it is there: two to three minutes on two cores that do nothing else.
pub(crate) fn install(root: &Path) -> Outcome {
    if is_there(root) {
        println!("found    cargo-deny {VERSION}: {}", program(root).display());
        return Ok(());
    }
    println!("making   {}", program(root).display());
    for turn in 1.. {
        let mut install = cargo(root);
        install.args(["install", "--quiet", "--locked", "--force", "cargo-deny"]);
        install.args(["--version", VERSION, "--root"]);
        match finish(install.arg(folder(root))) {
            Ok(()) => break,
            Err(failure) if turn == TRIES => return Err(failure),
            Err(_) => println!("cargo install failed, again"),
        }
    }
    Ok(())
}

fn is_there(root: &Path) -> bool {
    let asked = Command::new(program(root))
        .arg("--version")
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|said| {
        String::from_utf8_lossy(&said.stdout).trim() == format!("cargo-deny {VERSION}")
    })
}

/// Checks a workspace by its own deny.toml. Asks no network: the crates are here since they were compiled. A warning fails,
/// too: a line of deny.toml that nothing needs any more is one.
pub(crate) fn run(workspace: &Path) -> Outcome {
    let mut deny = Command::new(program(&root()));
    deny.current_dir(workspace)
        .args(["--offline", "--locked", "check"]);
    deny.args(["-D", "warnings", "bans", "licenses", "sources"]);
    finish(&mut deny).map_err(|failure| match failure {
        Failure::Work(what) => Failure::Work(format!(
            "{what}: change what is built in, or deny.toml with a reason"
        )),
        other => other,
    })
}
