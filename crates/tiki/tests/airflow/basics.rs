//! A first day: the DAGs are what the contract says, nine tasks succeed, and what they show is what the
//! warehouse holds.

use serde_json::{Value, json};

use crate::api::Api;
use crate::checks::Checks;
use crate::servers::Airflow;

pub(crate) const DAG: &str = "tiki_crawl_products_optimized";
pub(crate) const FALLBACK: &str = "tiki_crawl_products";

type Fits = fn(&Value) -> bool;

/// The keys of the checklist: task, key, and what its value must be.
const KEYS: [(&str, &str, Fits); 10] = [
    ("crawl_categories", "categories", Value::is_array),
    ("crawl_categories", "category_count", Value::is_i64),
    ("extract_product_urls", "product_urls", Value::is_array),
    ("extract_product_urls", "product_count", Value::is_i64),
    ("crawl_product_details", "crawled_products", Value::is_array),
    ("crawl_product_details", "crawl_stats", Value::is_object),
    (
        "transform_products",
        "transformed_products",
        Value::is_array,
    ),
    ("load_products", "load_stats", Value::is_object),
    (
        "monitoring.get_cache_stats",
        "cache_stats",
        Value::is_object,
    ),
    (
        "monitoring.monitor_infrastructure",
        "infrastructure_stats",
        Value::is_object,
    ),
];

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    contract(airflow, checks);
    let refused = Api::log_in(&airflow.base, "admin", "wrong").err();
    checks.equal(
        "a login with a wrong password is refused",
        refused,
        Some(401),
    );
    first_run(airflow, checks);
}

/// The ids of a list of the API, sorted.
fn ids(list: &Value, field: &str) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    let mut ids: Vec<String> = items
        .filter_map(|item| item[field].as_str())
        .map(str::to_owned)
        .collect();
    ids.sort();
    ids
}

fn contract(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    Api::wait_for("the DAGs", || api.get("/dags")["total_entries"] == 4);
    let dags = ids(&api.get("/dags")["dags"], "dag_id");
    let wanted = ["tiki_backup", FALLBACK, DAG, "tiki_products_example"];
    checks.equal("the DAGs", dags, wanted.map(str::to_owned).to_vec());
    let errors = api.get("/importErrors");
    let none = errors["total_entries"] == 0;
    checks.holds("no import errors", none, &errors["import_errors"]);
    let (_, steps, _) = airflow.tiki(&["step", "--list", "--json"]);
    let steps: Value = serde_json::from_str(&steps).expect("JSON");
    let mut wanted = ids(&steps, "task_id");
    wanted.push("watcher".to_owned());
    wanted.sort();
    for dag in [DAG, FALLBACK] {
        let tasks = ids(&api.get(&format!("/dags/{dag}/tasks"))["tasks"], "task_id");
        checks.equal(
            &format!("the tasks of {dag} are the steps"),
            tasks,
            wanted.clone(),
        );
    }
}

fn first_run(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    api.set_variable("tiki_max_categories", "2");
    api.set_variable("tiki_max_products_per_category", "10");
    api.pause(DAG, false);
    api.pause("tiki_products_example", false);
    let run = api.trigger(DAG, &json!({}));
    nine_green(airflow, checks, "a first run", DAG, &run);
    let runs = api.get(&format!("/dags/{DAG}/dagRuns"));
    checks.holds(
        "unpausing alone begins no run",
        runs["total_entries"] == 1,
        &runs["total_entries"],
    );
    for (task, key, fits) in KEYS {
        let value = api.xcom(DAG, &run, task, key);
        checks.holds(&format!("XCom {key} of {task}"), fits(&value), &value);
    }
    let stat = |task: &str, key: &str, field: &str| api.xcom(DAG, &run, task, key)[field].clone();
    let counts = [
        (
            api.xcom(DAG, &run, "crawl_categories", "category_count"),
            "run_categories WHERE selected",
        ),
        (
            api.xcom(DAG, &run, "extract_product_urls", "product_count"),
            "run_products WHERE listed_in IS NOT NULL",
        ),
        (
            stat("crawl_product_details", "crawl_stats", "total"),
            "run_products",
        ),
        (
            stat("crawl_product_details", "crawl_stats", "good"),
            "run_products WHERE detail = 'good'",
        ),
        (stat("load_products", "load_stats", "db_loaded"), "products"),
        (
            stat("load_products", "load_stats", "inserted_count"),
            "product_history WHERE kind = 'first'",
        ),
    ];
    for (seen, rows) in counts {
        let wanted = airflow.count(&format!("SELECT COUNT(*) FROM {rows}"));
        checks.holds(
            &format!("as many as there are {rows}"),
            seen == wanted && wanted > 0,
            (seen, wanted),
        );
    }
    asset(airflow, checks, &run);
}

/// What the load said is an event, and whoever waits for it runs.
fn asset(airflow: &Airflow, checks: &mut Checks, run: &str) {
    let api = &airflow.api;
    let mut event = Value::Null;
    Api::wait_for("the event of the asset", || {
        event = api.get("/assets/events")["asset_events"][0].clone();
        event.is_object()
    });
    let loaded = api.xcom(DAG, run, "load_products", "load_stats")["db_loaded"].clone();
    let extra = &event["extra"];
    let told = extra["run_id"] == format!("{DAG}.{run}") && extra["db_loaded"] == loaded;
    checks.holds("the event of tiki_products has run and counts", told, extra);
    let mut state = Value::Null;
    Api::wait_for("the example that waits for it", || {
        state = api.get("/dags/tiki_products_example/dagRuns")["dag_runs"][0]["state"].clone();
        state == "success" || state == "failed"
    });
    checks.holds(
        "the example that waits for it runs",
        state == "success",
        state,
    );
    api.pause("tiki_products_example", true);
}

/// Waits for the end of a run that must be well in all its nine tasks.
pub(crate) fn nine_green(airflow: &Airflow, checks: &mut Checks, what: &str, dag: &str, run: &str) {
    let api = &airflow.api;
    let state = api.end_of(dag, run);
    let tasks = api.tasks(dag, run);
    let others: Vec<_> = tasks
        .iter()
        .filter(|task| task.state != "success")
        .collect();
    let watched = others.len() == 1 && others[0].id == "watcher" && others[0].state == "skipped";
    checks.holds(
        &format!("{what}: nine tasks succeed"),
        state == "success" && watched,
        (&state, &others),
    );
    for task in others.iter().filter(|task| task.state == "failed") {
        checks.say(&api.log(dag, run, &task.id, task.tries));
    }
}
