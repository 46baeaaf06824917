//! Python, a real one, with the packages that analysts read our files with.

use std::fs;
use std::path::{Path, PathBuf};

/// The variable that names a Python program to use instead of the one that `cargo xtask setup` makes.
pub const PYTHON_VARIABLE: &str = "TIKI_TEST_PYTHON";

/// A Python with the packages of `xtask/python-requirements.lock.txt`.
///
/// It is a virtual environment in `target/python`, made by `cargo xtask setup`. Nothing is
/// installed by a test.
#[derive(Debug)]
pub struct Python;

impl Python {
    /// The program: the one that [`PYTHON_VARIABLE`] names, else the one that setup made. Panics
    /// if there is none, or if it was made of another lock file.
    pub fn program() -> PathBuf {
        match std::env::var_os(PYTHON_VARIABLE) {
            Some(path) if !path.is_empty() => path.into(),
            _ => Self::find().unwrap_or_else(|| {
                panic!(
                    "no Python for this test: {} is missing or older than its lock file, and \
                     {PYTHON_VARIABLE} is not set: run `cargo xtask setup`",
                    Self::folder().display()
                )
            }),
        }
    }

    /// The program that setup made, if it has what the lock file says today.
    pub fn find() -> Option<PathBuf> {
        let program = Self::folder().join("bin/python");
        let wanted = fs::read(Self::lock()).ok()?;
        let made_of = fs::read(Self::made_of()).ok()?;
        (program.is_file() && made_of == wanted).then_some(program)
    }

    /// Where setup makes it.
    pub fn folder() -> PathBuf {
        project().join("target/python")
    }

    /// The packages, their versions and their hashes.
    pub fn lock() -> PathBuf {
        project().join("xtask/python-requirements.lock.txt")
    }

    /// The copy of the lock file that is written when everything of it is installed.
    pub fn made_of() -> PathBuf {
        Self::folder().join("made-of.lock.txt")
    }
}

fn project() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
