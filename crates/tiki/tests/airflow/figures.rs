//! The figures of `docs/DEPLOYMENT.md`: `cargo xtask airflow check figures`. They are printed, not bound; on a
//! machine that does nothing else.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use crate::api::Api;
use crate::basics::DAG;
use crate::checks::Checks;
use crate::processes::family;
use crate::servers::{Airflow, SERVICES};

/// What the checklist sets for a small run and for production: categories, products of each, workers.
const SETTINGS: [(&str, &str, &str, &str); 2] = [
    ("small run", "2", "10", "5"),
    ("production", "20", "1000", "10"),
];
const ROUNDS: usize = 3;

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    let mut day = 60;
    for settings in SETTINGS {
        seconds(airflow, checks, &mut day, settings);
    }
    memory(airflow, checks);
    for shards in ["1", "2", "4"] {
        for service in ["dag-processor", "worker"] {
            airflow.restart(service, &[("TIKI_CRAWL_SHARDS", shards)]);
        }
        let path = format!("/dags/{DAG}/tasks/crawl_product_details");
        Api::wait_for("the mapped task", || {
            airflow.api.get(&path)["is_mapped"] == (shards != "1")
        });
        spread(airflow, checks, &mut day, shards);
    }
    rate(airflow, checks, &mut day);
}

/// From the trigger to the end of a run, beside `tiki run` with the same settings on the day before.
fn seconds(
    airflow: &Airflow,
    checks: &mut Checks,
    day: &mut i64,
    (name, categories, products, workers): (&str, &str, &str, &str),
) {
    let api = &airflow.api;
    api.set_variable("tiki_max_categories", categories);
    api.set_variable("tiki_max_products_per_category", products);
    api.set_variable("tiki_parallel_workers", workers);
    let (mut dags, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        airflow.day(*day, &format!(
            "max_categories = {categories}\nmax_products_per_category = {products}\nparallel_workers = {workers}"
        ));
        let begun = Instant::now();
        let done = airflow.tiki(&["run", "--quiet"]);
        bare.push(begun.elapsed().as_secs_f64());
        assert_eq!(done.0, 0, "{}", done.2);
        airflow.day(*day + 1, "");
        let begun = Instant::now();
        let run = api.trigger(DAG, &json!({}));
        let state = api.end_of(DAG, &run);
        dags.push(begun.elapsed().as_secs_f64());
        checks.equal(&format!("{name}: the run"), state, "success".to_owned());
        *day += 2;
    }
    checks.say(&format!(
        "{name} ({categories} x {products}): from trigger to success {:.1} s, bare tiki run {:.1} s",
        median(dags), median(bare)
    ));
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// What each service holds of its own, and its part of what it shares (PSS).
fn memory(airflow: &Airflow, checks: &mut Checks) {
    for (name, _) in SERVICES {
        let ids = family(airflow.process(name));
        let pss = |id: &u32| {
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        let sum: u64 = ids.iter().filter_map(pss).sum();
        checks.say(&format!(
            "{name}: {} MB in {} processes",
            sum / 1024,
            ids.len()
        ));
    }
}

/// Details a second against a site that takes 200 ms for each, without a rate.
fn spread(airflow: &Airflow, checks: &mut Checks, day: &mut i64, shards: &str) {
    airflow.day(*day, "");
    *day += 1;
    airflow.faults(&[("detail", json!("always"), json!({"delay": {"ms": 200}}))]);
    let run = airflow.api.trigger(DAG, &json!({"details": "always"}));
    let state = airflow.api.end_of(DAG, &run);
    airflow.faults(&[]);
    checks.equal("the run", state, "success".to_owned());
    let index = if shards == "1" { -1 } else { 0 };
    let stats = airflow
        .api
        .mapped_xcom(DAG, &run, "crawl_product_details", "crawl_stats", index);
    checks.say(&format!(
        "{shards} shards of ten workers, 200 ms a request: {} details in {} s, {} products/s",
        stats["good"], stats["elapsed"], stats["rate"]
    ));
}

/// Four shards at twenty requests a second: what was used of it, and in how many seconds it was more.
fn rate(airflow: &Airflow, checks: &mut Checks, day: &mut i64) {
    const ALLOWED: u64 = 20;
    airflow.day(*day, "");
    airflow.api.set_variable("tiki_rate_limit", "0.05");
    airflow.control("POST", "counts", None);
    let run = airflow.api.trigger(DAG, &json!({"details": "always"}));
    let state = airflow.api.end_of(DAG, &run);
    checks.equal("the run", state, "success".to_owned());
    let counts = airflow.control("GET", "counts", None);
    let stats = airflow
        .api
        .mapped_xcom(DAG, &run, "crawl_product_details", "crawl_stats", 0);
    let details = counts["routes"]["detail"].as_f64().unwrap_or(0.0);
    let used = details / stats["elapsed"].as_f64().unwrap_or(1.0);
    let seconds = counts["per_second"].as_array().cloned().unwrap_or_default();
    // A second may begin a little late and hold a permit of the one before.
    let over = |second: &&Value| second[1].as_u64() > Some(ALLOWED + 2);
    checks.say(&format!(
        "allowed {ALLOWED}/s, used {used:.1}/s; busiest second {}; seconds over: {} of {}",
        counts["busiest_second"],
        seconds.iter().filter(over).count(),
        seconds.len()
    ));
}
