//! `cargo xtask bench crawl`: what `crawl-product-details` costs, beside a bare client.
//!
//! The site has one core, the asking process the other. Each round asks the same details of three sites,
//! by the step and by the bare client (`crates/crawl/examples/bare_client.rs`): of the simulated shop,
//! which makes every detail anew, and of its replay, which answers at once or after a latency. What is
//! compared is the median over the rounds.
//!
//! The bound of CPU holds at the shop, where both clients wait for the site as they do in life. At the
//! replay without latency nobody waits: the bare client's best case, shown beside it.
//!
//! Not here: starting and measuring a process (`process`), the site (`origin`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::ChildGuard;

use super::build::{self, Programs};
use super::median;
use super::origin::Shop;
use super::process::{Used, measure, pin_this, pinned};
use crate::{Failure, Outcome, root};

const SITE_CORE: usize = 0;
const ASKING_CORE: usize = 1;

/// Details that each measurement asks.
const DETAILS: u64 = 5_000;

/// Requests in flight, of the step and of the bare client.
const IN_FLIGHT: u64 = 50;

const LATENCY_MS: u64 = 50;

/// Measurements of each kind; an odd number.
const ROUNDS: usize = 5;

/// CPU time of the step in that of the bare client, at the simulated shop.
const MOST_CPU_RATIO: f64 = 2.0;

/// Of the rate that the latency allows.
const LEAST_PERCENT_OF_RATE: f64 = 95.0;

const RUN: &str = "bench";

/// One process that asked for all details.
#[derive(Debug)]
struct Measured {
    details: f64,
    seconds: f64,
    used: Used,
}

/// The step and the bare client against the same shop.
#[derive(Debug, Default)]
struct Pairs {
    step: Vec<Measured>,
    bare: Vec<Measured>,
}

/// The pairs at each site.
#[derive(Debug, Default)]
struct Sites {
    shop: Pairs,
    at_once: Pairs,
    late: Pairs,
}

pub(super) fn run(arguments: &[String]) -> Outcome {
    if let Some(other) = arguments.first() {
        let what = format!("bench crawl takes no arguments, not '{other}'");
        return Err(Failure::Usage(what));
    }
    let programs = build::release(&root())?;
    let measured = rounds(&programs).map_err(Failure::Work)?;
    println!("\n{}", size(&measured.shop));
    println!("site           client  products/s  CPU s per 1,000  peak MB");
    print_rows("storefront", &measured.shop);
    print_rows("replay, 0 ms", &measured.at_once);
    print_rows(&format!("replay, {LATENCY_MS} ms"), &measured.late);
    verdict(&measured)
}

fn rounds(programs: &Programs) -> Result<Sites, String> {
    let fail = |error: std::io::Error| format!("cannot prepare: {error}");
    // This process is the site.
    pin_this(SITE_CORE)?;
    let (_process, url, shop) = open_shop(&programs.tiki)?;
    let at_once = shop.serve(Duration::ZERO).map_err(fail)?;
    let late = shop
        .serve(Duration::from_millis(LATENCY_MS))
        .map_err(fail)?;
    // Beside the programs, where fsync reaches a disk; a folder for temporary files may be memory.
    let place = programs.tiki.parent().unwrap_or(Path::new("."));
    let folder = tempfile::tempdir_in(place).map_err(fail)?;
    let bench = Bench {
        programs,
        listed: folder.path().join("listed"),
        data: folder.path().join("data"),
    };
    let asks = bench.prepare(&at_once)?;
    let mut sites = Sites::default();
    for round in 1..=ROUNDS {
        for (site, pairs) in [
            (&url, &mut sites.shop),
            (&at_once, &mut sites.at_once),
            (&late, &mut sites.late),
        ] {
            pairs.step.push(bench.details(site)?);
            pairs.bare.push(bench.bare(site, &asks)?);
        }
        println!("round {round} of {ROUNDS} done");
    }
    Ok(sites)
}

/// Starts the simulated shop, which ends with the guard.
fn open_shop(tiki: &Path) -> Result<(ChildGuard, String, Shop), String> {
    // Not every place of the catalogue is taken.
    let (process, url) = storefront(pinned(SITE_CORE, tiki), DETAILS + DETAILS / 5)?;
    let shop = Shop::new(&url);
    Ok((process, url, shop))
}

/// Starts the simulated shop by a command that begins with the program; where it serves.
pub(super) fn storefront(
    mut command: Command,
    places: u64,
) -> Result<(ChildGuard, String), String> {
    command.args(["storefront", "--port", "0"]);
    command.args(["--products", &places.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let shown = format!("{command:?}");
    let fail = |error: std::io::Error| format!("{shown}: {error}");
    let mut process = ChildGuard::spawn(&mut command).map_err(fail)?;
    let mut url = String::new();
    if let Some(said) = process.child().stdout.take() {
        BufReader::new(said).read_line(&mut url).map_err(fail)?;
    }
    if url.is_empty() {
        return Err(format!("{shown} does not say where it serves"));
    }
    Ok((process, url.trim().to_owned()))
}

/// What is asked, and where.
struct Bench<'a> {
    programs: &'a Programs,
    /// A warehouse in which all is listed and no detail was asked.
    listed: PathBuf,
    /// A copy of it for one measurement.
    data: PathBuf,
}

impl Bench<'_> {
    /// Lists the catalogue and asks every detail once, so that the site remembers them; the asks.
    fn prepare(&self, site: &str) -> Result<String, String> {
        for step in ["crawl-categories", "extract-product-urls"] {
            measure(&mut self.step(site, &self.listed, step), "")?;
        }
        self.details(site)?;
        asked(&self.programs.tiki, &self.data)
    }

    /// The step in a warehouse of its own.
    fn details(&self, site: &str) -> Result<Measured, String> {
        copy_files(&self.listed, &self.data).map_err(|error| format!("cannot copy: {error}"))?;
        let mut step = self.step(site, &self.data, "crawl-product-details");
        step_numbers(measure(&mut step, "")?)
    }

    fn bare(&self, site: &str, asks: &str) -> Result<Measured, String> {
        let mut bare = pinned(ASKING_CORE, &self.programs.bare_client);
        bare.args([site, &IN_FLIGHT.to_string()]);
        bare_numbers(measure(&mut bare, asks)?)
    }

    /// A step without a limit but that of the details.
    fn step(&self, site: &str, data: &Path, step: &str) -> Command {
        let mut command = pinned(ASKING_CORE, &self.programs.tiki);
        command.args(["step", step, "--run", RUN]);
        command.arg("--data-dir").arg(data);
        command.envs([
            ("TIKI_ORIGIN", site),
            ("TIKI_RATE_LIMIT", "0"),
            ("TIKI_MAX_CATEGORIES", "0"),
            ("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0"),
            ("TIKI_PARALLEL_WORKERS", &IN_FLIGHT.to_string()),
            ("TIKI_DETAIL_BUDGET", &DETAILS.to_string()),
        ]);
        command
    }
}

/// Copies the files of a folder to another in the place of what was there.
pub(super) fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let file = to.join(entry.file_name());
            fs::copy(entry.path(), &file)?;
            // What is still to be written must not be written during the measurement.
            fs::File::open(&file)?.sync_all()?;
        }
    }
    Ok(())
}

/// The details that a step has asked, as the bare client reads them.
fn asked(tiki: &Path, data: &Path) -> Result<String, String> {
    let mut sql = pinned(ASKING_CORE, tiki);
    sql.args(["sql", "--json", "--limit", &DETAILS.to_string()]);
    sql.arg("--data-dir").arg(data);
    sql.arg(
        "SELECT product_id, spid FROM run_products WHERE detail = 'good' ORDER BY rank, product_id",
    );
    let used = measure(&mut sql, "")?;
    let rows: Vec<Value> = serde_json::from_str(&used.said).map_err(|error| error.to_string())?;
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let line = |row: &Value| format!("{} {}\n", word(&row["product_id"]), word(&row["spid"]));
    Ok(rows.iter().map(line).collect())
}

/// What the last line of a step tells of it.
fn step_numbers(used: Used) -> Result<Measured, String> {
    let line = used.said.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
    let stats = &report["crawl_stats"];
    let (Some(details), Some(seconds)) = (stats["good"].as_f64(), stats["elapsed"].as_f64()) else {
        return Err(format!("no report of details: {line}"));
    };
    complete(details, seconds, used)
}

fn bare_numbers(used: Used) -> Result<Measured, String> {
    let words: Vec<f64> = used
        .said
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [details, .., seconds] = words[..] else {
        return Err(format!("the bare client said {:?}", used.said));
    };
    complete(details, seconds, used)
}

fn complete(details: f64, seconds: f64, used: Used) -> Result<Measured, String> {
    if (details - DETAILS as f64).abs() < 0.5 && seconds > 0.0 {
        return Ok(Measured {
            details,
            seconds,
            used,
        });
    }
    Err(format!("{details} details of {DETAILS} in {seconds} s"))
}

impl Measured {
    fn rate(&self) -> f64 {
        self.details / self.seconds
    }

    fn cpu_per_thousand(&self) -> f64 {
        self.used.cpu_seconds * 1000.0 / self.details
    }

    fn peak_mb(&self) -> f64 {
        self.used.peak_kb as f64 / 1024.0
    }
}

impl Pairs {
    fn cpu_ratio(&self) -> f64 {
        let pairs = self.step.iter().zip(&self.bare);
        median(pairs.map(|(step, bare)| step.used.cpu_seconds / bare.used.cpu_seconds))
    }
}

/// How large the details were, as the bare client counted them.
fn size(pairs: &Pairs) -> String {
    let said = pairs.bare.first().map_or("", |bare| &bare.used.said);
    let words: Vec<f64> = said
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    match words[..] {
        [details, received, unpacked, _] => format!(
            "{details} details of {:.1} kB, {:.1} kB unpacked\n",
            received / details / 1000.0,
            unpacked / details / 1000.0
        ),
        _ => String::new(),
    }
}

fn print_rows(site: &str, pairs: &Pairs) {
    for (name, all) in [("step", &pairs.step), ("bare", &pairs.bare)] {
        let of = |number: fn(&Measured) -> f64| median(all.iter().map(number));
        println!(
            "{site:<13}  {name:<6}  {:>10.0}  {:>15.3}  {:>7.1}",
            of(Measured::rate),
            of(Measured::cpu_per_thousand),
            of(Measured::peak_mb),
        );
    }
}

fn verdict(sites: &Sites) -> Outcome {
    let ratio = sites.shop.cpu_ratio();
    let possible = IN_FLIGHT as f64 * 1000.0 / LATENCY_MS as f64;
    let rate = median(sites.late.step.iter().map(Measured::rate));
    let percent = rate * 100.0 / possible;
    let word = |fits: bool| if fits { "within" } else { "OUTSIDE" };
    let (cheap, busy) = (ratio <= MOST_CPU_RATIO, percent >= LEAST_PERCENT_OF_RATE);
    println!(
        "\nCPU of the step: {ratio:.2} x the bare client's, {} {MOST_CPU_RATIO:.2}; at the replay {:.2} x, with latency {:.2} x",
        word(cheap),
        sites.at_once.cpu_ratio(),
        sites.late.cpu_ratio(),
    );
    println!(
        "rate at {LATENCY_MS} ms: {percent:.1} % of {possible:.0}/s, {} {LEAST_PERCENT_OF_RATE:.1} %",
        word(busy),
    );
    if cheap && busy {
        return Ok(());
    }
    Err(Failure::Work("the crawl is outside its bounds".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(step: (f64, f64), bare: (f64, f64)) -> Pairs {
        let measured = |(cpu_seconds, seconds)| Measured {
            details: DETAILS as f64,
            seconds,
            used: Used {
                cpu_seconds,
                peak_kb: 1024,
                said: String::new(),
            },
        };
        Pairs {
            step: vec![measured(step)],
            bare: vec![measured(bare)],
        }
    }

    #[test]
    fn either_bound_fails_alone() {
        for (cpu, slow_seconds, fits) in [
            (2.0, 5.2, true),
            (2.02, 5.2, false),
            (2.0, 5.27, false),
            (1.0, 4.0, true),
        ] {
            let sites = Sites {
                shop: pairs((cpu, 2.0), (1.0, 1.0)),
                at_once: pairs((9.0, 2.0), (1.0, 1.0)),
                late: pairs((9.0, slow_seconds), (1.0, 5.0)),
            };
            assert_eq!(verdict(&sites).is_ok(), fits, "{cpu} {slow_seconds}");
        }
    }

    #[test]
    fn a_measurement_of_fewer_details_is_none() {
        let used = |said: &str| Used {
            cpu_seconds: 1.0,
            peak_kb: 1,
            said: said.to_owned(),
        };
        let whole = r#"{"crawl_stats":{"good":5000,"elapsed":2.5}}"#;
        let step = step_numbers(used(&format!("noise\n{whole}\n"))).expect("a report");
        assert_eq!((step.rate(), step.cpu_per_thousand()), (2000.0, 0.2));
        let few = whole.replace("5000", "4999");
        assert!(step_numbers(used(&few)).is_err());
        let bare = bare_numbers(used("5000 1 2 2.5\n")).expect("a count");
        assert!((bare.rate() - 2000.0).abs() < 0.1);
        assert!(bare_numbers(used("4999 1 2 2.5\n")).is_err());
        assert!(bare_numbers(used("")).is_err());
    }
}
