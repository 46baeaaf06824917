//! The Python packages that tests and benchmarks use, in virtual environments of the project.
//!
//! pip's own settings say where packages come from; the lock file says which, with hashes.

use super::answer_of;
use crate::{Failure, Outcome};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::Python;

/// The system's first: that is the one a missing package can mend.
const PROGRAMS: [&str; 2] = ["/usr/bin/python3", "python3"];
/// Prints its version if it can make a virtual environment and the packages run on it.
const CAN_MAKE: &str = "import ensurepip, platform, sys, venv
sys.exit(1) if sys.version_info < (3, 11) else print(sys.executable, platform.python_version())";
/// The longest that one call of pip may take, in seconds.
const PIP_LIMIT_S: u32 = 900;
const TRIES: u32 = 3;

/// A Python that can make a virtual environment, in words.
pub(super) fn find() -> Option<String> {
    PROGRAMS
        .iter()
        .find_map(|program| answer_of(program, &["-c", CAN_MAKE]))
}

/// Makes the virtual environment of a lock file, unless it is there.
pub(super) fn packages(of: Python) -> Outcome {
    if let Some(program) = of.find()
        && runs(&program, of.probe)
    {
        println!("found    Python packages: {}", program.display());
        return Ok(());
    }
    let folder = of.folder();
    let (lock, made_of) = (of.lock(), of.made_of());
    println!("making   {} of {}", folder.display(), lock.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| failed("remove", &folder, &error))?;
    }
    let make = ["-m", "venv"];
    let base = PROGRAMS
        .iter()
        .find(|program| answer_of(program, &["-c", CAN_MAKE]).is_some())
        .unwrap_or(&PROGRAMS[0]);
    finish(Command::new(base).args(make).arg(&folder))?;
    let program = folder.join("bin/python");
    let mut turn = 1;
    loop {
        let mut pip = Command::new("timeout");
        pip.arg(PIP_LIMIT_S.to_string()).arg(&program);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        pip.args([
            "--require-hashes",
            // The lock file is whole, and pip before 23.1 takes a package with extras for another one.
            "--no-deps",
            "--only-binary",
            ":all:",
            "--requirement",
        ]);
        match finish(pip.arg(&lock)) {
            Ok(()) => break,
            Err(failure) if turn == TRIES => return Err(failure),
            Err(_) => println!("pip install failed, again"),
        }
        turn += 1;
    }
    if !runs(&program, of.probe) {
        let what = format!(
            "{} has its packages and cannot import them: `{} -c '{}'` says why",
            folder.display(),
            program.display(),
            of.probe
        );
        return Err(Failure::Work(what));
    }
    // Last, so that half an environment is made anew.
    fs::copy(&lock, &made_of).map_err(|error| failed("write", &made_of, &error))?;
    println!("made     Python packages: {}", program.display());
    Ok(())
}

fn runs(program: &Path, probe: &str) -> bool {
    answer_of(&program.to_string_lossy(), &["-c", probe]).is_some()
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::Work(format!("cannot {what} {}: {error}", path.display()))
}

/// Runs a command to its end; what it said is in the failure.
fn finish(command: &mut Command) -> Outcome {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed("run", Path::new(&name), &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    let what = format!("{name} {} failed: {}", arguments.join(" "), said.trim());
    Err(Failure::Work(what))
}
