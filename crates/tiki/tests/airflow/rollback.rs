//! Back to the conservative pipeline and forward again, by `tiki rollback airflow` and by the commands of
//! the checklist.

use serde_json::{Value, json};

use crate::basics::{DAG, FALLBACK, nine_green};
use crate::checks::Checks;
use crate::servers::Airflow;

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    airflow.day(30, "");
    back(airflow, checks);
    forward_by_closing(airflow, checks);
    by_hand(airflow, checks);
}

/// What runs is waited for.
fn back(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    let run = api.trigger(DAG, &json!({}));
    let (code, out, err) = airflow.tiki(&["rollback", "airflow", "--wait", "4m"]);
    let waited = code == 0 && err.contains(&format!("waiting for DAG run {run}"));
    checks.holds("tiki rollback airflow waits", waited, (code, &out, &err));
    let state = api.run_state(DAG, &run);
    checks.equal("until the run has ended", state, "success".to_owned());
    checks.equal("then the other is unpaused", paused(airflow), [true, false]);
    let again = airflow.tiki(&["rollback", "airflow"]);
    checks.holds("twice is once", again.1.contains("so already"), again);
    let run = api.trigger(FALLBACK, &json!({}));
    nine_green(airflow, checks, "the fallback", FALLBACK, &run);
    let stats = api.xcom(FALLBACK, &run, "crawl_product_details", "crawl_stats");
    let number = |field: &str| stats[field].as_i64().unwrap_or(-1);
    let every = number("good") + number("gone") == number("total") && number("good") > 15;
    checks.holds("the fallback asks every detail", every, stats);
}

/// What runs is ended, and its run in the ledger closed.
fn forward_by_closing(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(31, "");
    airflow.faults(&[("detail", json!("always"), json!({"delay": {"ms": 1500}}))]);
    let run = api.trigger(FALLBACK, &json!({}));
    let child = airflow.child("crawl-product-details");
    let words = ["rollback", "airflow", "--undo", "--close", "--json"];
    let (code, out, err) = airflow.tiki(&words);
    airflow.faults(&[]);
    let told: Value = serde_json::from_str(&out).unwrap_or_default();
    let ledger = format!("{FALLBACK}.{run}");
    let ended = told["ended"] == json!([run]) && told["closed"][0]["run"] == ledger.as_str();
    checks.holds(
        "--undo --close ends and closes",
        code == 0 && ended,
        (code, told, err),
    );
    checks.holds(
        "nobody is at work any more",
        !airflow.is_at_work(child),
        child,
    );
    let state = api.run_state(FALLBACK, &run);
    checks.equal("its run has failed", state, "failed".to_owned());
    checks.equal("and the first is unpaused", paused(airflow), [false, true]);
    let run = api.trigger(DAG, &json!({}));
    nine_green(airflow, checks, "a run at once", DAG, &run);
}

/// As the checklist has it.
fn by_hand(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    for (words, dag, paused) in [
        (["dags", "pause", DAG], DAG, true),
        (["dags", "unpause", DAG], DAG, false),
    ] {
        let (well, said) = airflow.command(&[words[0], words[1], words[2], "--yes"]);
        let now = api.get(&format!("/dags/{dag}"))["is_paused"] == paused;
        checks.holds(&format!("airflow {}", words.join(" ")), well && now, said);
    }
    airflow.day(32, "");
    let (well, said) = airflow.command(&["dags", "trigger", DAG]);
    checks.holds("airflow dags trigger", well, said);
    let runs = api.get(&format!("/dags/{DAG}/dagRuns?order_by=-run_after&limit=1"));
    let run = runs["dag_runs"][0]["dag_run_id"].as_str().expect("a run");
    nine_green(airflow, checks, "a run by the commands", DAG, run);
}

/// Whether the two DAGs are paused.
fn paused(airflow: &Airflow) -> [bool; 2] {
    let of = |dag: &str| airflow.api.get(&format!("/dags/{dag}"))["is_paused"] == true;
    [of(DAG), of(FALLBACK)]
}
