//! The details spread over four tasks, a lot of products, and the rate over all of them.

use serde_json::{Value, json};

use crate::api::Api;
use crate::basics::DAG;
use crate::checks::Checks;
use crate::servers::Airflow;

const SHARDS: usize = 4;
/// Of the whole text of a value, in bytes: what the checklist's settings may put into Airflow's database.
const LARGEST_XCOM: usize = 64_000;

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    for service in ["dag-processor", "worker"] {
        airflow.restart(service, &[("TIKI_CRAWL_SHARDS", "4")]);
    }
    let api = &airflow.api;
    Api::wait_for("the mapped task", || {
        api.get(&format!("/dags/{DAG}/tasks/crawl_product_details"))["is_mapped"] == true
    });
    rate(airflow, checks);
    production(airflow, checks);
}

fn rate(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(40, "");
    api.set_variable("tiki_rate_limit", "0.1");
    airflow.control("POST", "counts", None);
    let run = api.trigger(DAG, &json!({"details": "always"}));
    ends_well(airflow, checks, "four shards at a rate", &run);
    let counts = airflow.control("GET", "counts", None);
    let busiest = counts["busiest_second"].as_i64().unwrap_or(99);
    checks.holds(
        "four shards keep to ten a second together",
        (5..=11).contains(&busiest),
        busiest,
    );
    api.set_variable("tiki_rate_limit", "0");
}

/// 20 categories of 1,000 products, as in the checklist.
fn production(airflow: &Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(41, "");
    for (name, value) in [("categories", "20"), ("products_per_category", "1000")] {
        api.set_variable(&format!("tiki_max_{name}"), value);
    }
    api.set_variable("tiki_parallel_workers", "10");
    let run = api.trigger(DAG, &json!({"details": "always"}));
    ends_well(airflow, checks, "20 x 1,000 in four shards", &run);
    let total = api.xcom(DAG, &run, "extract_product_urls", "product_count");
    checks.holds(
        "20 x 1,000: thousands of products",
        total.as_i64() > Some(2_000),
        &total,
    );
    let mut largest = (0, String::new());
    for task in api.tasks(DAG, &run) {
        let list = api.get(&format!(
            "/dags/{DAG}/dagRuns/{}/taskInstances/{}/xcomEntries?map_index={}&limit=100",
            crate::api::escaped(&run),
            task.id,
            task.map_index
        ));
        for entry in list["xcom_entries"].as_array().expect("entries") {
            let key = entry["key"].as_str().expect("a key");
            let value = api.mapped_xcom(DAG, &run, &task.id, key, task.map_index);
            largest = largest.max((value.to_string().len(), format!("{} of {}", key, task.id)));
        }
    }
    checks.holds(
        "20 x 1,000: the largest XCom",
        (1..LARGEST_XCOM).contains(&largest.0),
        largest,
    );
    for (name, value) in [("categories", "2"), ("products_per_category", "10")] {
        api.set_variable(&format!("tiki_max_{name}"), value);
    }
}

/// All tasks are green, the mapped ones say the same, and that is what the ledger has.
fn ends_well(airflow: &Airflow, checks: &mut Checks, what: &str, run: &str) {
    let api = &airflow.api;
    let state = api.end_of(DAG, run);
    let tasks = api.tasks(DAG, run);
    let green = tasks.iter().filter(|task| task.state == "success").count();
    checks.holds(
        &format!("{what}: all tasks succeed"),
        state == "success" && green == 8 + SHARDS,
        &tasks,
    );
    let stats: Vec<Value> = (0..SHARDS)
        .map(|index| {
            api.mapped_xcom(
                DAG,
                run,
                "crawl_product_details",
                "crawl_stats",
                index as i64,
            )
        })
        .collect();
    let good = airflow.count(&format!(
        "SELECT COUNT(*) FROM run_products WHERE run_id = '{DAG}.{run}' AND detail = 'good'"
    ));
    let same = stats
        .iter()
        .all(|one| one["good"] == good && one["total"] == stats[0]["total"]);
    checks.holds(
        &format!("{what}: each shard tells the whole sum"),
        same && good > 0,
        (&stats, good),
    );
    let workers = airflow.count(&format!(
        "SELECT COUNT(DISTINCT shard) FROM attempts WHERE run_id = '{DAG}.{run}' AND step = 'crawl-product-details'"
    ));
    checks.equal(
        &format!("{what}: each shard had an attempt"),
        workers,
        SHARDS as i64,
    );
}
