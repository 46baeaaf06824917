//! The DAG that backs the warehouse up and proves it.

use serde_json::{Value, json};

use crate::checks::Checks;
use crate::kills::{hold_products, is_gone, let_products_go};
use crate::processes::{kill, parent};
use crate::servers::Airflow;

const BACKUP: &str = "tiki_backup";

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    api.pause(BACKUP, false);
    let run = api.trigger(BACKUP, &json!({}));
    let state = api.end_of(BACKUP, &run);
    let tasks = api.tasks(BACKUP, &run);
    checks.holds(
        "a backup is made, proven, and old ones are thinned out",
        state == "success",
        &tasks,
    );
    for task in tasks.iter().filter(|task| task.state == "failed") {
        checks.say(&api.log(BACKUP, &run, &task.id, task.tries));
    }
    let (_, list, _) = airflow.tiki(&["backup", "list", "--json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap_or_default();
    let proven = list.len() == 1 && list[0]["verified_at"].is_string();
    checks.holds("it is there as verified", proven, list);
    killed(airflow, checks);
    airflow.api.pause(BACKUP, true);
}

/// `kill -9` of the task's process: nobody makes a backup beside the next try.
fn killed(airflow: &Airflow, checks: &mut Checks) {
    let what = "kill -9 of the Task in a backup";
    let holder = hold_products(airflow, "ACCESS EXCLUSIVE");
    let run = airflow.api.trigger(BACKUP, &json!({}));
    let child = airflow.backup();
    kill(parent(child).expect("the task's process"), "KILL");
    is_gone(airflow, checks, what, child);
    let_products_go(airflow);
    drop(holder);
    let state = airflow.api.end_of(BACKUP, &run);
    let made = airflow.api.task(BACKUP, &run, "create_and_verify");
    checks.holds(
        &format!("{what}: one more try"),
        state == "success" && made.tries == 2,
        (state, made),
    );
}
