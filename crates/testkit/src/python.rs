//! Python, a real one, with packages by a lock file of the project.

use std::fs;
use std::path::{Path, PathBuf};

/// The variable that names a Python program to use for [`Python::READERS`] instead of the one that `cargo
/// xtask setup` makes.
pub const PYTHON_VARIABLE: &str = "TIKI_TEST_PYTHON";

/// A virtual environment that `cargo xtask setup` makes in `target`. Nothing is installed by a test.
#[derive(Clone, Copy, Debug)]
pub struct Python {
    folder: &'static str,
    lock: &'static str,
    variable: Option<&'static str>,
    /// Imports something of all its packages.
    pub probe: &'static str,
}

impl Python {
    /// With what analysts read our files with, and peers of benchmarks.
    pub const READERS: Self = Self {
        folder: "target/python",
        lock: "xtask/python-requirements.lock.txt",
        variable: Some(PYTHON_VARIABLE),
        probe: "import duckdb, pandas, psycopg, pyarrow.parquet",
    };

    /// Airflow, of the versions that we deploy.
    pub const AIRFLOW: Self = Self {
        folder: "target/airflow",
        lock: "airflow/requirements.lock.txt",
        variable: None,
        probe: "import airflow.sdk, celery, redis, psycopg2, airflow.providers.fab",
    };

    /// The program: the one that its variable names, else the one that setup made. Panics if there
    /// is none, or if it was made of another lock file.
    pub fn program(self) -> PathBuf {
        let named = self.variable.and_then(std::env::var_os);
        match named {
            Some(path) if !path.is_empty() => path.into(),
            _ => self.find().unwrap_or_else(|| {
                panic!(
                    "no Python for this test: {} is missing or older than its lock file: run \
                     `cargo xtask setup`",
                    self.folder().display()
                )
            }),
        }
    }

    /// The program that setup made, if it has what the lock file says today.
    pub fn find(self) -> Option<PathBuf> {
        let program = self.folder().join("bin/python");
        let wanted = fs::read(self.lock()).ok()?;
        let made_of = fs::read(self.made_of()).ok()?;
        (program.is_file() && made_of == wanted).then_some(program)
    }

    /// Where setup makes it.
    pub fn folder(self) -> PathBuf {
        project().join(self.folder)
    }

    /// The packages, their versions and their hashes.
    pub fn lock(self) -> PathBuf {
        project().join(self.lock)
    }

    /// The copy of the lock file that is written when everything of it is installed.
    pub fn made_of(self) -> PathBuf {
        self.folder().join("made-of.lock.txt")
    }
}

fn project() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
