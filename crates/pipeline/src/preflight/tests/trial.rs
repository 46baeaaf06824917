use serde_json::{Value, json};
use warehouse::Identities;

use super::*;
use crate::preflight::trial::*;
use crate::{RunReport, Step, StepReport};

fn number_of(name: &str) -> Value {
    match name {
        "category_count" | "product_count" => json!(2),
        "product_urls" => json!(["https://tiki.vn/a.html"]),
        name if name.ends_with("_stats") => json!({ "rate": 30.1, "hit_rate": 80.1,
            "processing_time": 0.5, "db_loaded": 1000 }),
        _ => json!([]),
    }
}

fn run_report() -> RunReport {
    let step = |step: &Step| {
        let keys = step.keys().iter();
        let keys = keys.map(|key| ((*key).to_owned(), number_of(key)));
        StepReport::new(*step, "small", keys.collect())
    };
    let mut totals = Identities::default();
    totals.products.listed = 20;
    totals.products.new = 20;
    RunReport {
        run_id: "small".into(),
        exit_code: 0,
        clock_at: String::new(),
        seconds: 1.0,
        totals,
        steps: Step::ALL.iter().map(step).collect(),
    }
}

fn row_by_row(rows: usize, seconds: f64) -> Plainly {
    Plainly {
        rows,
        seconds,
        in_memory: false,
    }
}

/// A trial in which all is well but for a change.
#[allow(clippy::unnecessary_wraps, reason = "as it is asked for")]
fn tried(change: impl FnOnce(&mut Trial)) -> Tried {
    let mut trial = Trial {
        small: run_report(),
        order: Step::ALL
            .iter()
            .map(|step| step.name().to_owned())
            .collect(),
        repeated: run_report(),
        speed: Speed::Shop {
            large: Box::new(run_report()),
            // Twice as long, to the millisecond.
            plainly: row_by_row(1000, 1.0),
        },
    };
    change(&mut trial);
    Ok(trial)
}

/// The value of a key of the small run.
fn with_key(step: usize, key: &str, value: Option<Value>) -> Tried {
    tried(|trial| {
        let keys = &mut trial.small.steps[step].keys;
        match value {
            Some(value) => drop(keys.insert(key.into(), value)),
            None => drop(keys.remove(key)),
        }
    })
}

#[test]
fn a_test_run_lists_and_loads_what_it_should() {
    let broken = || Err("no room".to_owned());
    let counts = |listed, new| {
        tried(|trial| {
            trial.small.totals.products.listed = listed;
            trial.small.totals.products.new = new;
        })
    };
    for (found, expected) in [
        (tried(|_| {}), Fine),
        (counts(PRODUCTS, PRODUCTS), Fine),
        (counts(PRODUCTS - 1, PRODUCTS - 1), Failed),
        (counts(21, 21), Failed),
        (counts(20, 19), Failed),
        (with_key(0, "category_count", Some(json!(1))), Failed),
        (tried(|trial| trial.small.exit_code = 10), Failed),
        (broken(), Failed),
    ] {
        assert_state(
            line(&run(&found), "test-run"),
            expected,
            &format!("{found:?}"),
        );
    }
    assert_state(&steps(&broken())[0], Skipped, "steps");
    assert_state(&keys(&broken())[0], Skipped, "keys");
    assert_state(&performance(&broken())[0], Skipped, "performance");
}

#[test]
fn all_nine_steps_end_well_in_their_order() {
    for (found, expected) in [
        (tried(|_| {}), Fine),
        (tried(|trial| trial.order.swap(3, 4)), Failed),
        (tried(|trial| drop(trial.order.pop())), Failed),
        (tried(|trial| trial.small.steps[6].exit_code = 30), Failed),
    ] {
        assert_state(
            line(&steps(&found), "steps"),
            expected,
            &format!("{found:?}"),
        );
    }
}

#[test]
fn the_ten_keys_are_there_with_their_types() {
    assert_eq!(keys(&tried(|_| {})).len(), 10);
    for (step, key, wrong) in [
        (0, "categories", json!({})),
        (0, "category_count", json!(1.5)),
        (1, "product_urls", json!([1])),
        (1, "product_count", json!("2")),
        (2, "crawled_products", json!(2)),
        (2, "crawl_stats", json!([])),
        (3, "transformed_products", json!(null)),
        (4, "load_stats", json!("x")),
        (5, "cache_stats", json!(true)),
        (6, "infrastructure_stats", json!([])),
    ] {
        assert_state(line(&keys(&tried(|_| {})), key), Fine, key);
        for value in [Some(wrong), None] {
            let found = keys(&with_key(step, key, value));
            assert_state(line(&found, key), Failed, key);
        }
    }
}

#[test]
fn speed_hits_and_errors_are_within_their_limits() {
    let set = |report: &mut RunReport, step: usize, key: &str, value: Value| {
        report.steps[step].keys.insert(key.into(), value);
    };
    let in_large = |change: &dyn Fn(&mut RunReport)| {
        tried(|trial| match &mut trial.speed {
            Speed::Shop { large, .. } => change(large),
            Speed::Site(_) => unreachable!("it is of a shop"),
        })
    };
    let rate = |value: Value| in_large(&|large| set(large, 2, "crawl_stats", value.clone()));
    let loaded = |plainly| {
        tried(|trial| {
            trial.speed = Speed::Shop {
                large: Box::new(run_report()),
                plainly,
            };
        })
    };
    let plainly = |rows, seconds| loaded(row_by_row(rows, seconds));
    let in_memory = |rows, seconds| {
        loaded(Plainly {
            in_memory: true,
            ..row_by_row(rows, seconds)
        })
    };
    let hits = |value| tried(|trial| set(&mut trial.repeated, 5, "cache_stats", value));
    let warned = |trial: &mut Trial| {
        trial.repeated.steps[4]
            .warnings
            .push("no connection was free".into());
    };
    for (name, found, expected) in [
        ("crawl-rate", tried(|_| {}), Fine),
        ("crawl-rate", rate(json!({ "rate": LEAST_RATE })), Failed),
        ("crawl-rate", rate(json!({})), Failed),
        ("cache-hits", tried(|_| {}), Fine),
        (
            "cache-hits",
            hits(json!({ "hit_rate": LEAST_HITS })),
            Failed,
        ),
        ("run-errors", tried(|_| {}), Fine),
        ("run-errors", tried(warned), Failed),
        (
            "run-errors",
            in_large(&|large| large.exit_code = 30),
            Failed,
        ),
        ("load-time", tried(|_| {}), Fine),
        ("load-time", plainly(1000, 0.99), Failed),
        ("load-time", plainly(500, 0.5), Fine),
        ("load-time", plainly(0, 0.0), Failed),
        ("load-time", in_memory(1000, 1.0), Fine),
        ("load-time", in_memory(1000, 0.99), Skipped),
        ("load-time", in_memory(0, 0.0), Failed),
    ] {
        let checks = performance(&found);
        assert_state(line(&checks, name), expected, &format!("{found:?}"));
    }
}

#[test]
fn the_site_is_asked_no_faster_than_is_allowed() {
    // 21 requests in 10 s are two a second: the first one waits for nothing.
    let asked = |requests: i64, seconds, allowed| {
        tried(|trial| {
            trial.speed = Speed::Site(allowed);
            trial.small.totals.pages.ok = 1;
            trial.small.totals.details.good = requests - 1;
            trial.small.seconds = seconds;
        })
    };
    for (found, expected) in [
        (asked(21, 10.0, Some(2.0)), Fine),
        (asked(22, 10.0, Some(2.0)), Fine),
        (asked(23, 10.0, Some(2.0)), Failed),
        (asked(0, 10.0, Some(2.0)), Failed),
        (asked(1000, 1.0, None), Skipped),
    ] {
        let checks = performance(&found);
        assert_state(line(&checks, "crawl-rate"), expected, &format!("{found:?}"));
        assert_state(line(&checks, "load-time"), Skipped, "few products");
        assert_state(line(&checks, "cache-hits"), Fine, "as of a shop");
    }
}

#[test]
fn a_backup_of_the_trial_holds_rows() {
    assert_state(&backup(&Ok(1)), Fine, "rows");
    assert_state(&backup(&Ok(0)), Failed, "none");
    assert_state(&backup(&Err("no".into())), Failed, "failed");
}
