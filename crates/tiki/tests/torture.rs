//! `kill -9` during each of the nine steps, then the same command: the digest of an undisturbed run.
//!
//! The storefront's clock and the run's stand still, so the digests are of the same instant.
//! `cargo xtask torture` kills twenty times in each step and warehouse, the tests of every day twice;
//! it also runs a day of 100,000 products, where they run one of 20,000.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "clears the environment of the program under test and tells of its kills"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use storefront::{Content, Generated, Pace, Storefront};
use testkit::{ChildGuard, Postgres};

const STEPS: [&str; 9] = [
    "crawl-categories",
    "extract-product-urls",
    "crawl-product-details",
    "transform-products",
    "load-products",
    "get-cache-stats",
    "monitor-infrastructure",
    "cleanup-temp-files",
    "send-notification",
];

const CLOCK: &str = "2026-10-31T19:00:00.000Z";

/// A fresh warehouse: its folder and, for PostgreSQL, its address.
struct Home {
    folder: tempfile::TempDir,
    database: Option<String>,
}

impl Home {
    fn new(postgres: bool) -> Self {
        let database = postgres.then(|| Postgres::shared().fresh_database());
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            database,
        }
    }

    fn tiki(&self, origin: &str, arguments: &[&str]) -> Command {
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
        if let Some(database) = &self.database {
            Postgres::shared().drop_database(database);
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

fn finish(mut command: Command) -> String {
    let output = command.output().expect("tiki");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    out
}

/// How long each step of an undisturbed run takes, and the digest that it leaves.
struct Undisturbed {
    digest: String,
    lasts: Vec<Duration>,
}

fn undisturbed(origin: &str, postgres: bool) -> Undisturbed {
    let home = Home::new(postgres);
    let mut child = home
        .tiki(origin, &["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tiki");
    let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let mut begun = vec![None; STEPS.len()];
    for line in lines {
        let line = line.expect("a line");
        if let Some(n) = STEPS
            .iter()
            .position(|step| line.contains(&format!("{step} begins")))
        {
            begun[n] = Some(Instant::now());
        }
    }
    let end = Instant::now();
    assert!(child.wait().expect("tiki").success());
    let begun: Vec<Instant> = begun
        .into_iter()
        .map(|at| at.expect("every step begins"))
        .collect();
    let lasts = (0..STEPS.len())
        .map(|n| {
            begun
                .get(n + 1)
                .copied()
                .unwrap_or(end)
                .duration_since(begun[n])
        })
        .collect();
    Undisturbed {
        digest: finish(home.tiki(origin, &["digest"])),
        lasts,
    }
}

/// Kills a run after a share of a step; whether the step was still open then.
fn kill_in(origin: &str, home: &Home, step: &str, after: Duration) -> bool {
    let child = home
        .tiki(origin, &["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tiki");
    let mut child = ChildGuard::new(child);
    let stderr = child.child().stderr.take().expect("stderr");
    let sign = format!("{step} begins");
    for line in BufReader::new(stderr).lines() {
        if line.expect("a line").contains(&sign) {
            break;
        }
    }
    // The moment of the kill is the experiment, not a wait for something.
    std::thread::sleep(after);
    child.kill().expect("a kill");
    let ledger = finish(home.tiki(origin, &["runs", "show", "--json", &newest(origin, home)]));
    let ledger: serde_json::Value = serde_json::from_str(&ledger).expect("JSON");
    let steps = ledger["steps"].as_array().cloned().unwrap_or_default();
    let ended = steps
        .iter()
        .any(|row| row["step"] == step && row["closed"] == true);
    !ended
}

fn newest(origin: &str, home: &Home) -> String {
    let runs = finish(home.tiki(origin, &["runs", "--json"]));
    let runs: serde_json::Value = serde_json::from_str(&runs).expect("JSON");
    runs[0]["id"].as_str().expect("an id").to_owned()
}

async fn torture(times: u32) {
    let front = Storefront::start(storefront::Settings {
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
        latency: Duration::from_millis(2),
        ..storefront::Settings::default()
    })
    .await
    .expect("a storefront");
    let origin = front.base_url();
    let work = move || {
        for postgres in [false, true] {
            let store = if postgres { "postgres" } else { "sqlite" };
            let reference = undisturbed(&origin, postgres);
            for (step, lasts) in STEPS.iter().zip(&reference.lasts) {
                let mut open = 0;
                for time in 0..times {
                    let home = Home::new(postgres);
                    let share = f64::from(time) / f64::from(times);
                    open += u32::from(kill_in(&origin, &home, step, lasts.mul_f64(share)));
                    finish(home.tiki(&origin, &["run"]));
                    let digest = finish(home.tiki(&origin, &["digest"]));
                    assert_eq!(digest, reference.digest, "{store}, {step}, kill {time}");
                }
                println!("{store} {step}: {times} kills, {open} while it was open, same digest");
                assert!(open > 0, "no kill fell into {step} ({store})");
            }
        }
    };
    tokio::task::spawn_blocking(work)
        .await
        .expect("the torture");
    assert_eq!(front.counts().disallowed, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: kills a run in each step of both warehouses"]
async fn a_kill_in_any_step_changes_nothing() {
    torture(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "torture: twenty kills in each step of both warehouses"]
async fn torture_kills_in_every_step() {
    torture(20).await;
}

/// Runs a day of so many products without limits in both warehouses.
fn large_day(products: u32) {
    for postgres in [false, true] {
        let home = Home::new(postgres);
        let products = products.to_string();
        let arguments = [
            "run",
            "--demo",
            "--demo-days",
            "1",
            "--demo-products",
            &products,
        ];
        let mut command = home.tiki("http://127.0.0.1:1", &arguments);
        command
            .env_remove("TIKI_ORIGIN")
            .env_remove("TIKI_CLOCK")
            .env_remove("TIKI_BATCH")
            .env("TIKI_MAX_CATEGORIES", "0")
            .env("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = ChildGuard::spawn(&mut command).expect("tiki");
        let status = format!("/proc/{}/status", child.id());
        let stderr = child.child().stderr.take().expect("stderr");
        let mut peak_kb: u64 = 0;
        // Its lines are the moments to look: one every five seconds at least.
        for line in BufReader::new(stderr).lines() {
            line.expect("a line");
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            peak_kb = kb.unwrap_or(0).max(peak_kb);
        }
        assert_eq!(child.child().wait().expect("its end").code(), Some(0));
        let store = if postgres { "postgres" } else { "sqlite" };
        println!(
            "{store}: a day of {products} products peaks at {} MB",
            peak_kb / 1024
        );
        assert!((10_000..200_000).contains(&peak_kb), "{peak_kb} kB");
    }
}

#[test]
#[ignore = "slow: 20,000 products in both warehouses"]
fn a_large_day_holds_little_in_memory() {
    large_day(20_000);
}

#[test]
#[ignore = "torture: 100,000 products in both warehouses"]
fn torture_a_large_day_holds_little_in_memory() {
    large_day(100_000);
}
