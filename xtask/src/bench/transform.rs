//! `cargo xtask bench transform`: what `transform-products` makes of stored pages, beside making the same records
//! in memory.
//!
//! A simulated shop is listed and every detail of it asked, once. Then, round by round, each on a copy of that
//! warehouse: the step, as a process from its start to its end; and `crates/pipeline/examples/parse_pages.rs`,
//! which counts from the first body to the last record.
//!
//! Not here: starting and measuring a process (`process`).

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::process::{measure, without_settings};
use super::{build, crawl, median};
use crate::{Failure, Outcome, root};

/// Places of the shop's catalogue; some are not taken, and some categories show only a part.
const PLACES: u64 = 6_000;

/// Measurements of each kind; an odd number.
const ROUNDS: usize = 5;

/// Speed of the step in that of parsing in memory.
const LEAST_RATIO: f64 = 0.5;

const RUN: &str = "bench";

pub(super) fn run(arguments: &[String]) -> Outcome {
    if let Some(other) = arguments.first() {
        let what = format!("bench transform takes no arguments, not '{other}'");
        return Err(Failure::Usage(what));
    }
    let (tiki, parser) = build::with_example(&root(), "pipeline", "parse_pages")?;
    let rounds = rounds(&tiki, &parser).map_err(Failure::Work)?;
    let products = rounds[0].products;
    let rate = |seconds: fn(&Round) -> f64| products / median(rounds.iter().map(seconds));
    println!(
        "\n{products} records of details of {:.1} kB unpacked",
        rounds[0].bytes / products / 1000.0
    );
    println!("who                  records/s");
    println!("transform-products   {:>9.0}", rate(|round| round.step));
    println!("parsing in memory    {:>9.0}", rate(|round| round.parsing));
    let ratio = median(rounds.iter().map(|round| round.parsing / round.step));
    let word = if ratio >= LEAST_RATIO {
        "within"
    } else {
        "OUTSIDE"
    };
    println!("\nthe step beside parsing in memory: {ratio:.2} x, {word} {LEAST_RATIO}");
    if ratio >= LEAST_RATIO {
        return Ok(());
    }
    Err(Failure::Work("the step is outside its bound".to_owned()))
}

/// A pair of measurements, in seconds.
struct Round {
    products: f64,
    bytes: f64,
    step: f64,
    parsing: f64,
}

fn rounds(tiki: &Path, parser: &Path) -> Result<Vec<Round>, String> {
    // Beside the programs, where fsync reaches a disk; a folder for temporary files may be memory.
    let place = tiki.parent().unwrap_or(Path::new("."));
    let folder = tempfile::tempdir_in(place).map_err(|error| error.to_string())?;
    let (asked, copy) = (folder.path().join("asked"), folder.path().join("copy"));
    prepare(tiki, &asked)?;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let step = timed(
            &asked,
            &copy,
            &mut step(tiki, &copy, "transform-products", None),
        )?
        .0;
        let mut parse = Command::new(parser);
        let file = copy.join("tiki.db");
        parse.args([&format!("sqlite:{}", file.display()), RUN]);
        let said = timed(&asked, &copy, &mut without_settings(parse))?.1;
        let words: Vec<f64> = said
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [products, bytes, parsing] = words[..] else {
            return Err(format!("the parser said {said:?}"));
        };
        rounds.push(Round {
            products,
            bytes,
            step,
            parsing,
        });
        println!("round {round} of {ROUNDS} done");
    }
    Ok(rounds)
}

/// Lists the shop and asks every detail.
fn prepare(tiki: &Path, data: &Path) -> Result<(), String> {
    let (_shop, url) = crawl::storefront(Command::new(tiki), PLACES)?;
    for name in [
        "crawl-categories",
        "extract-product-urls",
        "crawl-product-details",
    ] {
        measure(&mut step(tiki, data, name, Some(&url)), "")?;
    }
    Ok(())
}

/// A step without limits; a step that asks nothing needs no site.
fn step(tiki: &Path, data: &Path, step: &str, site: Option<&str>) -> Command {
    let mut command = without_settings(Command::new(tiki));
    command.args(["step", step, "--run", RUN]);
    command.arg("--data-dir").arg(data);
    command.envs([
        ("TIKI_RATE_LIMIT", "0"),
        ("TIKI_MAX_CATEGORIES", "0"),
        ("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0"),
        ("TIKI_DETAILS", "always"),
        ("TIKI_PARALLEL_WORKERS", "50"),
        ("TIKI_ORIGIN", site.unwrap_or("http://127.0.0.1:9")),
    ]);
    command
}

/// Seconds of a process on a fresh copy of a warehouse, and what it said.
fn timed(from: &Path, to: &Path, command: &mut Command) -> Result<(f64, String), String> {
    crawl::copy_files(from, to).map_err(|error| format!("cannot copy: {error}"))?;
    let begun = Instant::now();
    let used = measure(command, "")?;
    Ok((begun.elapsed().as_secs_f64(), used.said))
}
