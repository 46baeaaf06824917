//! `cargo xtask bench growth`: what a day costs when a million looks are stored, and when ten million are.
//!
//! The same day of 2,000 listed products, one in ten at a new price, is brought to both warehouses of
//! either kind by the real steps: `transform-products`, `load-products`, `cleanup-temp-files` (with the
//! two steps before it) and `send-notification`, each a process of its own. Every day one run of the
//! past becomes old enough to go. Then a person reads.
//!
//! Not here: what is stored (`crates/warehouse/examples/fill_warehouse.rs`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::process::{measure, without_settings};
use super::{build, median};
use crate::{Failure, Outcome, root};

/// Products and looks of each: a million looks, and ten million.
const SIZES: [(u64, u64); 2] = [(20_000, 50), (100_000, 100)];

/// The first days say what will be cleaned up, clean up what lies there, and warm up.
const DAYS: u64 = 7;
const UNMEASURED_DAYS: u64 = 2;

const READS: usize = 5;

/// Time at the large warehouse in that at the small one.
const MOST_RATIO: f64 = 1.5;

const STEPS: [&str; 4] = [
    "transform-products",
    "load-products",
    "cleanup-temp-files",
    "send-notification",
];

/// Of what people read; a search reads the name of every product, so it grows with the catalogue.
const SEARCH: &str = "products search";

/// A name and seconds.
type Timed = (&'static str, f64);

pub(super) fn run(arguments: &[String]) -> Outcome {
    if let Some(other) = arguments.first() {
        let what = format!("bench growth takes no arguments, not '{other}'");
        return Err(Failure::Usage(what));
    }
    let (tiki, fill) = build::with_example(&root(), "warehouse", "fill_warehouse")?;
    let mut exceeded = Vec::new();
    for postgres in [false, true] {
        let kind = if postgres { "postgres" } else { "sqlite" };
        let mut columns = Vec::new();
        for size in SIZES {
            let place = Place::new(&tiki, &fill, postgres).map_err(Failure::Work)?;
            columns.push(place.measure(size).map_err(Failure::Work)?);
        }
        println!("\n{kind:<22} {:>9} {:>9}  ratio", "1 million", "10 million");
        for ((name, small), (_, large)) in columns[0].iter().zip(&columns[1]) {
            let ratio = large / small;
            println!("{name:<22} {small:>8.3}s {large:>8.3}s  {ratio:>5.2}");
            if ratio > MOST_RATIO && *name != SEARCH && !STEPS.contains(name) {
                exceeded.push(format!("{kind}: {name} takes {ratio:.2} times as long"));
            }
        }
    }
    if exceeded.is_empty() {
        println!("\nnothing takes more than {MOST_RATIO} times as long (the search is not bound)");
        return Ok(());
    }
    Err(Failure::Work(exceeded.join("\n")))
}

/// Where one warehouse is.
struct Place<'a> {
    tiki: &'a Path,
    fill: &'a Path,
    folder: tempfile::TempDir,
    server: Option<testkit::Postgres>,
    url: String,
}

impl<'a> Place<'a> {
    fn new(tiki: &'a PathBuf, fill: &'a Path, postgres: bool) -> Result<Self, String> {
        // Beside the programs, where fsync reaches a disk; a folder for temporary files may be memory.
        let beside = tiki.parent().unwrap_or(Path::new("."));
        let folder = tempfile::tempdir_in(beside).map_err(|error| error.to_string())?;
        let server = postgres.then(testkit::Postgres::start);
        let url = match &server {
            Some(server) => server.fresh_database(),
            None => format!("sqlite:{}", folder.path().join("tiki.db").display()),
        };
        Ok(Self {
            tiki,
            fill,
            folder,
            server,
            url,
        })
    }

    /// Medians: each step, the whole day, and what people read.
    fn measure(&self, (products, looks): (u64, u64)) -> Result<Vec<Timed>, String> {
        let begun = Instant::now();
        self.filled(&["past", &products.to_string(), &looks.to_string()])?;
        let server = if self.server.is_some() {
            "postgres"
        } else {
            "sqlite"
        };
        let seconds = begun.elapsed().as_secs();
        println!("{server}: filled with {products} products of {looks} looks in {seconds} s");
        let mut steps: Vec<Vec<f64>> = vec![Vec::new(); STEPS.len()];
        let mut days = Vec::new();
        for day in 0..DAYS {
            self.filled(&["day", &day.to_string()])?;
            let mut whole = 0.0;
            for (step, times) in STEPS.iter().zip(&mut steps) {
                let run = format!("day{day}");
                let seconds = self.timed(day, &["step", step, "--run", &run])?;
                whole += seconds;
                if day >= UNMEASURED_DAYS {
                    times.push(seconds);
                }
            }
            if day >= UNMEASURED_DAYS {
                days.push(whole);
            }
        }
        let mut all: Vec<Timed> = STEPS
            .into_iter()
            .zip(steps.into_iter().map(|times| median(times.into_iter())))
            .collect();
        all.push(("the day", median(days.into_iter())));
        let id = (products / 2).to_string();
        for (name, words) in [
            ("products show", ["products", "show", &id]),
            ("products history", ["products", "history", &id]),
            (SEARCH, ["products", "search", &id]),
        ] {
            let times: Result<Vec<f64>, String> =
                (0..READS).map(|_| self.timed(DAYS, &words)).collect();
            all.push((name, median(times?.into_iter())));
        }
        Ok(all)
    }

    fn filled(&self, words: &[&str]) -> Result<(), String> {
        let mut fill = without_settings(Command::new(self.fill));
        fill.arg(&self.url).args(words);
        measure(&mut fill, "").map(drop)
    }

    /// Seconds of a command of the program at noon of a day.
    fn timed(&self, day: u64, words: &[&str]) -> Result<f64, String> {
        let mut tiki = without_settings(Command::new(self.tiki));
        tiki.args(words).arg("--data-dir").arg(self.folder.path());
        tiki.envs([
            ("TIKI_DATABASE_URL", self.url.as_str()),
            ("TIKI_ORIGIN", "http://127.0.0.1:1"),
            ("TIKI_RATE_LIMIT", "0"),
            (
                "TIKI_CLOCK",
                &format!("2026-10-{:02}T12:00:00.000Z", 7 + day),
            ),
        ]);
        let begun = Instant::now();
        measure(&mut tiki, "")?;
        Ok(begun.elapsed().as_secs_f64())
    }
}
