//! Back to the conservative pipeline and forward again, by the API and by the commands of the checklist.

use serde_json::json;

use crate::basics::{DAG, FALLBACK, nine_green};
use crate::checks::Checks;
use crate::servers::Airflow;

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(30, "");
    api.pause(DAG, true);
    api.pause(FALLBACK, false);
    let run = api.trigger(FALLBACK, &json!({}));
    nine_green(airflow, checks, "the fallback, by the API", FALLBACK, &run);
    let stats = api.xcom(FALLBACK, &run, "crawl_product_details", "crawl_stats");
    let number = |field: &str| stats[field].as_i64().unwrap_or(-1);
    let every = number("good") + number("gone") == number("total") && number("good") > 15;
    checks.holds("the fallback asks every detail", every, stats);
    for (words, dag, paused) in [
        (["dags", "pause", FALLBACK], FALLBACK, true),
        (["dags", "unpause", DAG], DAG, false),
    ] {
        let (well, said) = airflow.command(&[words[0], words[1], words[2], "--yes"]);
        let now = api.get(&format!("/dags/{dag}"))["is_paused"] == paused;
        checks.holds(&format!("airflow {}", words.join(" ")), well && now, said);
    }
    airflow.day(31, "");
    let (well, said) = airflow.command(&["dags", "trigger", DAG]);
    checks.holds("airflow dags trigger", well, said);
    let runs = api.get(&format!("/dags/{DAG}/dagRuns?order_by=-run_after&limit=1"));
    let run = runs["dag_runs"][0]["dag_run_id"].as_str().expect("a run");
    nine_green(airflow, checks, "forward again, by the commands", DAG, run);
}
