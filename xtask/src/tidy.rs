//! `cargo xtask tidy`: the house rules that a machine can check.
//!
//! What the compiler, rustfmt or clippy can check is left to them.

mod arrows;
mod effects;
mod lexer;
mod shape;
mod source;
mod sql;
mod texts;

use crate::{Failure, Outcome};
use source::Source;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A broken rule at a place: what it is and what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// Below the checked folder.
    path: String,
    line: usize,
    rule: &'static str,
    message: String,
}

/// A text of the project.
struct File {
    /// Below the checked folder, with `/`.
    path: String,
    text: String,
}

/// The words under which things without a subject gather.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

/// Texts above this size are data, not source.
const MAX_FILE_BYTES: u64 = 4 << 20;

pub(crate) fn run(root: &Path) -> Outcome {
    let files = read_all(root)?;
    let mut violations = check(&files);
    violations.sort();
    violations.dedup();
    for Violation {
        path,
        line,
        rule,
        message,
    } in &violations
    {
        println!("{path}:{line}: {rule}: {message}");
    }
    if violations.is_empty() {
        println!("tidy: {} files checked, nothing to mend", files.len());
        return Ok(());
    }
    let what = format!(
        "tidy: {} to mend in {} checked files",
        violations.len(),
        files.len()
    );
    Err(Failure::Work(what))
}

fn check(files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files {
        let named_empty = file.path.split('/').find(|part| {
            let stem = part.split('.').next().unwrap_or(part);
            EMPTY_NAMES.contains(&stem)
        });
        let is_rust = Path::new(&file.path)
            .extension()
            .is_some_and(|extension| extension == "rs");
        if is_rust && let Some(part) = named_empty {
            violations.push(shape::empty_name(&file.path, 1, part));
        }
        texts::check(file, is_rust, &mut violations);
        if is_rust {
            let source = Source::read(&file.path, &file.text);
            shape::check(&source, &file.text, &mut violations);
            effects::check(&source, &mut violations);
            sql::check(&source, &mut violations);
        }
    }
    arrows::check(files, &mut violations);
    violations
}

fn read_all(root: &Path) -> Result<Vec<File>, Failure> {
    let paths = if root.join(".git").exists() {
        tracked(root)?
    } else {
        walk(root)?
    };
    let mut files = Vec::new();
    for path in paths {
        let full = root.join(&path);
        // Deleted but not yet committed, or a link to elsewhere.
        let Ok(metadata) = fs::symlink_metadata(&full) else {
            continue;
        };
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            continue;
        }
        let bytes = fs::read(&full).map_err(|error| unreadable(&full, &error))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File {
                path: path.to_string_lossy().replace('\\', "/"),
                text,
            });
        }
    }
    if files.is_empty() {
        return Err(Failure::Usage(format!(
            "tidy: there are no files in {}",
            root.display()
        )));
    }
    Ok(files)
}

/// What git holds, and what it would take in.
fn tracked(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root);
    command.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let output = command.output();
    let output = output.map_err(|error| Failure::Work(format!("cannot run git: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::Work(format!("git cannot list the files: {said}")));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect())
}

/// Every file of a folder that is no repository, without what is built or hidden.
fn walk(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let entries = fs::read_dir(&full).map_err(|error| unreadable(&full, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&full, &error))?;
            let name = entry.file_name();
            if name == "target" || name.to_string_lossy().starts_with('.') {
                continue;
            }
            let path = folder.join(&name);
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Work(format!("cannot read {}: {error}", path.display()))
}
