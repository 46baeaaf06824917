//! Wrong settings and missing parts: each fails at once and says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::basics::{DAG, nine_green};
use crate::checks::Checks;
use crate::servers::Airflow;

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    let api = &airflow.api;
    airflow.day(6, "");
    api.set_variable("tiki_max_categories", "abc");
    let said = &["TIKI_MAX_CATEGORIES", "abc"];
    fails_at_once(airflow, checks, "a Variable that is no number", said);
    api.set_variable("tiki_max_categories", "2");

    api.ask("DELETE", "/connections/tiki_warehouse", None);
    let said = &["there is no connection 'tiki_warehouse'"];
    fails_at_once(airflow, checks, "no connection to the warehouse", said);
    airflow.connect();

    fs::remove_file(airflow.program()).expect("the program");
    let said = &["no program tiki on the PATH"];
    fails_at_once(airflow, checks, "no tiki on the PATH", said);
    fs::write(airflow.program(), "#!/bin/sh\necho no JSON\n").expect("a file");
    fs::set_permissions(airflow.program(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let said = &["is no report", "no JSON"];
    fails_at_once(airflow, checks, "a report that is not JSON", said);
    airflow.put_back();

    airflow.tamper("INSERT INTO schema_migrations VALUES ('9999_of_tomorrow', 'x', now())");
    let said = &["newer"];
    fails_at_once(airflow, checks, "a schema newer than the program", said);
    airflow.tamper("DELETE FROM schema_migrations WHERE name = '9999_of_tomorrow'");

    let run = api.trigger(DAG, &json!({}));
    nine_green(airflow, checks, "all mended", DAG, &run);
}

/// A run whose first task fails without another try and says something.
fn fails_at_once(airflow: &Airflow, checks: &mut Checks, what: &str, said: &[&str]) {
    let api = &airflow.api;
    let run = api.trigger(DAG, &json!({}));
    let state = api.end_of(DAG, &run);
    let task = api.task(DAG, &run, "crawl_categories");
    let log = api.log(DAG, &run, "crawl_categories", task.tries);
    let ended = (state.as_str(), task.state.as_str(), task.tries) == ("failed", "failed", 1);
    let told = said.iter().all(|text| log.contains(text));
    checks.holds(&format!("{what} fails at once"), ended, &task);
    checks.holds(&format!("{what} is told"), told, (said, log));
}
