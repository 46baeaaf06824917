//! Every exit code of a step, each from a real cause, and what Airflow makes of it.

use serde_json::json;

use crate::api::Api;
use crate::basics::{DAG, nine_green};
use crate::checks::Checks;
use crate::processes::kill;
use crate::servers::Airflow;

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    refused_and_back(airflow, checks);
    refused_all_day(airflow, checks);
    held_by_another(airflow, checks);
    no_folder(airflow, checks);
    interrupted(airflow, checks);
    low_quality(airflow, checks);
    drift(airflow, checks);
    broken_counts(airflow, checks);
}

/// Waits until a task waits for its next try; its log so far.
fn first_failure(airflow: &Airflow, run: &str, task: &str) -> String {
    let api = &airflow.api;
    Api::wait_for(&format!("the first failure of {task}"), || {
        let state = api.task(DAG, run, task).state;
        assert!(state != "success" && state != "failed", "{task} is {state}");
        state == "up_for_retry"
    });
    api.log(DAG, run, task, 1)
}

/// A run that goes on after a first failure of a task with a code.
fn goes_on(airflow: &Airflow, checks: &mut Checks, run: &str, task: &str, log: &str, code: i64) {
    let told = log.contains(&format!("tiki ended with exit code {code}"));
    checks.holds(&format!("{code}: {task} is tried again"), told, log);
    nine_green(
        airflow,
        checks,
        &format!("{code}: after the second try"),
        DAG,
        run,
    );
    let tries = airflow.api.task(DAG, run, task).tries;
    checks.holds(
        &format!("{code}: as many tries as it took"),
        (2..=3).contains(&tries),
        tries,
    );
}

fn refuse_details(airflow: &Airflow) {
    let refusal = json!({"status": {"code": 429, "retry_after_s": 3}});
    let rule = |route| (route, json!("always"), refusal.clone());
    airflow.faults(&[rule("detail"), rule("product_page")]);
}

fn refused_and_back(airflow: &Airflow, checks: &mut Checks) {
    airflow.day(7, "stall_limit = \"1s\"");
    refuse_details(airflow);
    let run = airflow.api.trigger(DAG, &json!({"details": "always"}));
    let log = first_failure(airflow, &run, "crawl_product_details");
    airflow.faults(&[]);
    let waited = log.contains("the site is left alone until");
    checks.holds(
        "20: the time that the site asked for is waited",
        waited,
        &log,
    );
    goes_on(airflow, checks, &run, "crawl_product_details", &log, 20);
}

/// What the listings said is loaded all the same, told, and the run is failed.
fn refused_all_day(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(8, "stall_limit = \"1s\"");
    refuse_details(airflow);
    let run = api.trigger(DAG, &json!({"details": "always"}));
    let state = api.end_of(DAG, &run);
    airflow.faults(&[]);
    let crawl = api.task(DAG, &run, "crawl_product_details");
    let all_tries = (crawl.state.as_str(), crawl.tries) == ("failed", 4);
    checks.holds(
        "20 all day: the crawl fails after all its tries",
        all_tries,
        crawl,
    );
    let later = ["transform_products", "load_products", "send_notification"];
    let later = later.map(|task| api.task(DAG, &run, task).state);
    checks.holds(
        "20 all day: what was listed is loaded and told",
        later.iter().all(|state| state == "success"),
        later,
    );
    let watcher = api.task(DAG, &run, "watcher").state;
    checks.equal(
        "20 all day: the watcher makes the run failed",
        (state, watcher),
        ("failed".to_owned(), "failed".to_owned()),
    );
    let looks = format!("SELECT COUNT(*) FROM observations WHERE run_id = '{DAG}.{run}'");
    let looks = airflow.count(&looks);
    checks.holds(
        "20 all day: each listed product has a look",
        looks > 15,
        looks,
    );
    let code = airflow.count(&format!(
        "SELECT exit_code FROM runs WHERE id = '{DAG}.{run}'"
    ));
    checks.equal("20 all day: the ledger says so", code, 20);
    api.clear(DAG, &run, &["crawl_product_details"], false);
    checks.equal(
        "20 all day: cleared",
        api.end_of(DAG, &run),
        "failed".to_owned(),
    );
    let crawl = api.task(DAG, &run, "crawl_product_details");
    let log = api.log(DAG, &run, "crawl_product_details", crawl.tries);
    let told = log.contains("tiki run --from crawl-product-details");
    let once = crawl.state == "failed" && crawl.tries == 5;
    checks.holds(
        "20 all day: cleared, it stays failed and says how to redo it",
        once && told,
        (crawl, log),
    );
}

fn held_by_another(airflow: &Airflow, checks: &mut Checks) {
    airflow.day(9, "");
    let begun = airflow.tiki(&["step", "crawl-categories", "--run", "by-hand"]);
    checks.equal("a run by hand begins", begun.0, 0);
    let run = airflow.api.trigger(DAG, &json!({}));
    let log = first_failure(airflow, &run, "crawl_categories");
    let closed = airflow.tiki(&["runs", "close", "by-hand"]);
    checks.holds("the run by hand is closed", closed.0 == 0, closed);
    goes_on(airflow, checks, &run, "crawl_categories", &log, 30);
}

fn no_folder(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(10, "");
    api.set_variable("tiki_data_dir", "/proc/no-folder-can-be-made-here");
    let run = api.trigger(DAG, &json!({}));
    let log = first_failure(airflow, &run, "crawl_categories");
    let folder = airflow.home.path().join("data").display().to_string();
    api.set_variable("tiki_data_dir", &folder);
    goes_on(airflow, checks, &run, "crawl_categories", &log, 1);
}

fn interrupted(airflow: &Airflow, checks: &mut Checks) {
    airflow.day(11, "");
    airflow.faults(&[("listing", json!("always"), json!({"delay": {"ms": 4000}}))]);
    let run = airflow.api.trigger(DAG, &json!({}));
    kill(airflow.child("extract-product-urls"), "INT");
    airflow.faults(&[]);
    let log = first_failure(airflow, &run, "extract_product_urls");
    goes_on(airflow, checks, &run, "extract_product_urls", &log, 130);
}

fn low_quality(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(12, "drift = \"warn\"");
    airflow.faults(&[(
        "listing",
        json!("always"),
        json!({"drop_field": {"field": "price"}}),
    )]);
    let run = api.trigger(DAG, &json!({"details": "never"}));
    let state = api.end_of(DAG, &run);
    airflow.faults(&[]);
    let load = api.task(DAG, &run, "load_products");
    let once = (state.as_str(), load.state.as_str(), load.tries) == ("failed", "failed", 1);
    checks.holds("10: load_products fails without another try", once, &load);
    let stats = api.xcom(DAG, &run, "load_products", "load_stats");
    checks.holds("10: its report is pushed", stats.is_object(), stats);
    let told = api.task(DAG, &run, "send_notification").state;
    checks.equal("10: the run is told", told, "success".to_owned());
}

fn drift(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    let form = json!({"details": "never", "max_products_per_category": 60});
    airflow.day(13, "");
    let run = api.trigger(DAG, &form);
    nine_green(airflow, checks, "a larger run", DAG, &run);
    airflow.day(14, "");
    let rename = json!({"rename_field": {"field": "thumbnail_url", "to": "picture"}});
    airflow.faults(&[("listing", json!("always"), rename)]);
    let run = api.trigger(DAG, &form);
    let state = api.end_of(DAG, &run);
    airflow.faults(&[]);
    let all = api.tasks(DAG, &run);
    let stopped: Vec<_> = all
        .iter()
        .filter(|task| task.state == "failed" && task.id != "watcher")
        .collect();
    let once =
        state == "failed" && stopped.iter().all(|task| task.tries == 1) && !stopped.is_empty();
    checks.holds(
        "11: what the drift gate stops fails without another try",
        once,
        &stopped,
    );
    let looks = format!("SELECT COUNT(*) FROM observations WHERE run_id = '{DAG}.{run}'");
    checks.equal("11: nothing of it is loaded", airflow.count(&looks), 0);
    let accepted = airflow.tiki(&["drift", "reject", &format!("{DAG}.{run}")]);
    checks.holds("11: a person ends it", accepted.0 == 0, accepted);
}

/// Counts that do not add up, as only a bug could leave them.
fn broken_counts(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(15, "");
    let run = api.trigger(DAG, &json!({}));
    nine_green(airflow, checks, "a run to be broken", DAG, &run);
    let change = |sign| {
        airflow.tamper(&format!(
            "UPDATE listing_pages SET items = items {sign} 1 WHERE run_id = '{DAG}.{run}' AND page = 1"
        ));
    };
    change("+");
    api.clear(DAG, &run, &["load_products"], true);
    let state = api.end_of(DAG, &run);
    let task = api.task(DAG, &run, "send_notification");
    let once = (state.as_str(), task.state.as_str(), task.tries) == ("failed", "failed", 2);
    checks.holds("70: it fails without another try", once, &task);
    let log = api.log(DAG, &run, "send_notification", task.tries);
    let told = log.contains("exit code 70") && log.contains("do not add up");
    checks.holds("70: what broke is told", told, log);
    change("-");
    api.clear(DAG, &run, &["send_notification"], true);
    nine_green(airflow, checks, "70: mended", DAG, &run);
}
