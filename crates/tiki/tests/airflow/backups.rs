//! The DAG that backs the warehouse up and proves it.

use serde_json::{Value, json};

use crate::checks::Checks;
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
    api.pause(BACKUP, true);
    let (_, list, _) = airflow.tiki(&["backup", "list", "--json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap_or_default();
    let proven = list.len() == 1 && list[0]["verified_at"].is_string();
    checks.holds("it is there as verified", proven, list);
}
