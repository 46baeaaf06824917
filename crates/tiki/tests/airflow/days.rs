//! Later days, other wishes, and runs done over.

use serde_json::{Value, json};

use crate::api::escaped;
use crate::basics::{DAG, nine_green};
use crate::calendar::other_month;
use crate::checks::Checks;
use crate::servers::Airflow;

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    let moved = details(airflow, checks, 1, "prices moved");
    checks.holds("details of moved prices are asked", moved > 0, moved);
    let none = details(airflow, checks, 2, "nothing but ratings and sales moved");
    checks.equal("no detail is due", none, 0);
    wishes(airflow, checks);
    cleared(airflow, checks);
    used_before(airflow, checks);
    backfill(airflow, checks);
}

/// A run on a day: how many details were asked. Each product that was listed has a look of that run.
fn details(airflow: &Airflow, checks: &mut Checks, day: i64, what: &str) -> i64 {
    let api = &airflow.api;
    airflow.day(day, "");
    let run = api.trigger(DAG, &json!({}));
    nine_green(airflow, checks, what, DAG, &run);
    let id = format!("{DAG}.{run}");
    let listed = airflow.count(&format!(
        "SELECT COUNT(*) FROM run_products WHERE run_id = '{id}'"
    ));
    let looks =
        format!("SELECT COUNT(DISTINCT product_id) FROM observations WHERE run_id = '{id}'");
    let looks = airflow.count(&looks);
    checks.holds(
        &format!("{what}: every listed product has a look"),
        looks == listed && listed > 15,
        (looks, listed),
    );
    let stats = api.xcom(DAG, &run, "crawl_product_details", "crawl_stats");
    stats["good"].as_i64().unwrap_or(-1)
}

/// A changed Variable arrives, and the trigger form overrides it for one run.
fn wishes(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(3, "");
    api.set_variable("tiki_max_categories", "1");
    let run = api.trigger(DAG, &json!({}));
    nine_green(airflow, checks, "another Variable", DAG, &run);
    let count = api.xcom(DAG, &run, "crawl_categories", "category_count");
    checks.holds("a changed Variable arrives", count == 1, count);
    airflow.day(4, "");
    let form = json!({"max_categories": 3, "max_products_per_category": 5, "details": "never"});
    let run = api.trigger(DAG, &form);
    nine_green(airflow, checks, "a form", DAG, &run);
    // What was seen before is listed beyond the limit too, so the count of products does not tell it.
    let runs: Value = serde_json::from_str(&airflow.tiki(&["runs", "--json"]).1).expect("JSON");
    let scope = &runs[0]["scope"];
    let seen = ["max_categories", "max_products", "details"].map(|field| scope[field].clone());
    checks.equal(
        "the form overrides the Variables",
        seen,
        [json!(3), json!(5), json!("never")],
    );
    api.set_variable("tiki_max_categories", "2");
    let (status, answer) = api.send(
        "POST",
        &format!("/api/v2/dags/{DAG}/dagRuns"),
        Some(&json!({"logical_date": null, "conf": {"max_categories": "many"}})),
    );
    checks.holds(
        "a form with a word for a number is refused",
        (400..500).contains(&status),
        (status, answer),
    );
}

/// Clearing the load derives the run anew; clearing a crawl says how to redo it.
fn cleared(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(5, "");
    let run = api.trigger(DAG, &json!({}));
    nine_green(airflow, checks, "a run to be cleared", DAG, &run);
    let digest = airflow.tiki(&["digest"]).1;
    let asked = airflow.control("GET", "counts", None)["requests"].clone();
    let derived = |checks: &mut Checks, task: &str, what: &str| {
        api.clear(DAG, &run, &[task], true);
        nine_green(airflow, checks, what, DAG, &run);
        let tries = api.task(DAG, &run, task).tries;
        let log = api.log(DAG, &run, task, tries);
        (tries, log)
    };
    let (tries, log) = derived(checks, "transform_products", "transform_products cleared");
    let anew = tries == 2 && log.contains("transform-products done") && !log.contains("has ended");
    checks.holds("clearing transform_products derives anew", anew, log);
    let (tries, log) = derived(checks, "load_products", "load_products cleared");
    let anew = tries == 3 && log.contains("load-products done") && !log.contains("has ended");
    checks.holds("clearing load_products loads anew", anew, (tries, log));
    api.clear(DAG, &run, &["extract_product_urls"], false);
    nine_green(airflow, checks, "extract_product_urls cleared", DAG, &run);
    let log = api.log(DAG, &run, "extract_product_urls", 2);
    let hint = log.contains("tiki run --from extract-product-urls");
    checks.holds("clearing a crawl says how to redo it", hint, log);
    checks.equal(
        "the warehouse is as before",
        airflow.tiki(&["digest"]).1,
        digest,
    );
    let now = airflow.control("GET", "counts", None)["requests"].clone();
    checks.equal("the site was not asked", now, asked);
    let state = airflow.tiki(&["runs", "--json"]).1;
    let runs: Value = serde_json::from_str(&state).expect("JSON");
    checks.holds(
        "the run is done again",
        runs[0]["state"] == "done",
        &runs[0]["state"],
    );
}

/// A DAG run that has the id of one that was deleted does nothing, and is not green.
fn used_before(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    let run = api.trigger(DAG, &json!({"details": "never"}));
    nine_green(airflow, checks, "a run to be deleted", DAG, &run);
    let runs = format!("/dags/{DAG}/dagRuns");
    api.ask("DELETE", &format!("{runs}/{}", escaped(&run)), None);
    let asked = airflow.control("GET", "counts", None)["requests"].clone();
    let again = json!({"logical_date": null, "dag_run_id": run, "conf": {}});
    api.ask("POST", &runs, Some(&again));
    let state = api.end_of(DAG, &run);
    let failed: Vec<String> = ["send_notification", "watcher"]
        .into_iter()
        .map(|task| api.task(DAG, &run, task).state)
        .collect();
    checks.holds(
        "a DAG run of an id that was used before fails at its end",
        state == "failed" && failed == ["failed", "failed"],
        (state, failed),
    );
    let first = api.log(DAG, &run, "crawl_categories", 1);
    let last = api.log(DAG, &run, "send_notification", 1);
    let told = first.contains("had ended before") && last.contains("another id");
    checks.holds("it says why from the first task on", told, (first, last));
    let now = airflow.control("GET", "counts", None)["requests"].clone();
    checks.equal("the site was not asked for it", now, asked);
}

fn backfill(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    let (year, month) = other_month();
    let wish = json!({
        "dag_id": DAG, "from_date": format!("{year}-{month:02}-01T00:00:00Z"),
        "to_date": format!("{year}-{month:02}-28T00:00:00Z"),
        "run_backwards": false, "dag_run_conf": {}, "reprocess_behavior": "none", "max_active_runs": 1,
    });
    let (status, answer) = api.send("POST", "/api/v2/backfills", Some(&wish));
    if !(200..300).contains(&status) {
        checks.holds(
            "a backfill is refused by Airflow itself",
            status == 422 || status == 400,
            (status, answer),
        );
        return;
    }
    let mut run = String::new();
    crate::api::Api::wait_for("the run of the backfill", || {
        let runs = api.get(&format!("/dags/{DAG}/dagRuns?limit=100"));
        let list = runs["dag_runs"].as_array().cloned().unwrap_or_default();
        let found = list.iter().find(|run| run["run_type"] == "backfill");
        found
            .and_then(|run| run["dag_run_id"].as_str())
            .unwrap_or_default()
            .clone_into(&mut run);
        !run.is_empty()
    });
    let state = api.end_of(DAG, &run);
    let log = api.log(DAG, &run, "crawl_categories", 1);
    let said = state == "failed" && log.contains("the site has no past");
    checks.holds(
        "a backfill of the past fails and says why",
        said,
        (state, log),
    );
}
