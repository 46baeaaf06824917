//! A warehouse of its own for each trial, and the shop that all of them ask.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use storefront::{Content, Generated, Pace, Storefront};
use testkit::Postgres;

/// The instant of every run.
pub(crate) const CLOCK: &str = "2026-10-31T19:00:00.000Z";

/// A shop whose clock stands still.
pub(crate) async fn shop(latency: Duration) -> Storefront {
    Storefront::start(storefront::Settings {
        content: Content::Generated(Generated {
            seed: 7,
            products: 300,
            leaf_categories: None,
            pace: Pace::Lively,
            prices: storefront::Prices::Spread,
        }),
        clock: storefront::Clock::frozen_at(
            CLOCK
                .parse::<catalog::Instant>()
                .expect("an instant")
                .millis(),
        ),
        latency,
        ..storefront::Settings::default()
    })
    .await
    .expect("a storefront")
}

/// The name of a warehouse.
pub(crate) fn store(postgres: bool) -> &'static str {
    if postgres { "postgres" } else { "sqlite" }
}

/// A fresh warehouse: its folder and, for PostgreSQL, its address.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) database: Option<String>,
    server: Option<&'static Postgres>,
}

/// A server that does not wait for its disk: for faults that are not the server's, and as many databases
/// as there are trials.
pub(crate) fn hasty() -> &'static Postgres {
    static HASTY: OnceLock<Postgres> = OnceLock::new();
    HASTY.get_or_init(|| {
        let server = Postgres::start();
        for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
            server.admin(&format!("alter system set {setting} = off"));
        }
        server.admin("select pg_reload_conf()");
        server
    })
}

impl Home {
    pub(crate) fn new(postgres: bool) -> Self {
        Self::on(postgres.then(Postgres::shared))
    }

    /// In a database of a server, else in a file.
    pub(crate) fn on(server: Option<&'static Postgres>) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            database: server.map(Postgres::fresh_database),
            server,
        }
    }

    /// A warehouse of its own with the same in it, while nobody is at work in this one.
    pub(crate) fn copy(&self) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let copy = Self {
            folder: tempfile::tempdir().expect("a folder"),
            database: self.database.as_ref().map(|url| format!("{url}_{count}")),
            server: self.server,
        };
        let name = |url: &String| url.rsplit('/').next().unwrap_or_default().to_owned();
        if let (Some(server), Some(of), Some(to)) = (self.server, &self.database, &copy.database) {
            let (of, to) = (name(of), name(to));
            server.admin(&format!("create database {to} template {of}"));
            return copy;
        }
        let files = [&self.folder, &copy.folder].map(|folder| folder.path().join("data"));
        std::fs::create_dir(&files[1]).expect("a folder");
        assert!(!files[0].join("tiki.db-wal").exists(), "it is at work");
        let [of, to] = files.map(|folder| folder.join("tiki.db"));
        std::fs::copy(of, to).expect("a copy");
        copy
    }

    pub(crate) fn tiki(&self, origin: &str, arguments: &[&str]) -> Command {
        command(
            self.folder.path(),
            self.database.as_deref(),
            origin,
            arguments,
        )
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let (Some(server), Some(database)) = (self.server, &self.database) {
            server.drop_database(database);
        }
    }
}

fn command(folder: &Path, database: Option<&str>, origin: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiki"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIKI_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .current_dir(folder)
        .env("TIKI_ORIGIN", origin)
        .env("TIKI_CLOCK", CLOCK)
        .env("TIKI_RATE_LIMIT", "0")
        .env("TIKI_MAX_CATEGORIES", "3")
        .env("TIKI_MAX_PRODUCTS_PER_CATEGORY", "30")
        .env("TIKI_BATCH", "20");
    if let Some(database) = database {
        command.env("TIKI_DATABASE_URL", database);
    }
    command
}

/// What a command that must succeed printed.
pub(crate) fn finish(mut command: Command) -> String {
    let output = command.output().expect("tiki");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    out
}
