//! The DAG by itself, without a server: `airflow dags test` on SQLite, with the warehouse in SQLite too.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::Python;

use crate::basics::DAG;
use crate::checks::Checks;
use crate::servers::{Airflow, airflow};

pub(crate) fn check(server: &mut Airflow, checks: &mut Checks) {
    server.day(50, "");
    let home = server.home.path().join("alone");
    fs::create_dir(&home).expect("a folder");
    fs::copy(server.home.path().join("tiki.toml"), home.join("tiki.toml")).expect("a file");
    let place = |name: &str| home.join(name).display().to_string();
    let mut environment = server.environment().to_vec();
    environment.retain(|(name, _)| name != "TIKI_CRAWL_SHARDS");
    environment.retain(|(name, _)| {
        !["DATABASE", "CELERY", "CORE__EXECUTOR", "API"]
            .iter()
            .any(|part| name.starts_with(&format!("AIRFLOW__{part}")))
    });
    for (name, value) in [
        ("AIRFLOW_HOME", home.display().to_string()),
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            format!("sqlite:///{}", place("airflow.db")),
        ),
        ("TIKI_DATA_DIR", place("data")),
        ("TIKI_DATABASE_URL", format!("sqlite:{}", place("tiki.db"))),
        ("TIKI_MAX_CATEGORIES", "2".to_owned()),
        ("TIKI_MAX_PRODUCTS_PER_CATEGORY", "10".to_owned()),
    ] {
        environment.retain(|(other, _)| other != name);
        environment.push((name.to_owned(), value));
    }
    let run = |words: &[&str]| {
        let output = airflow(&home, &environment, words)
            .output()
            .expect("airflow");
        let both = [&output.stdout[..], &output.stderr[..]].concat();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.success(),
            text,
            String::from_utf8_lossy(&both).into_owned(),
        )
    };
    let (well, _, said) = run(&["db", "migrate"]);
    checks.holds("airflow db migrate on SQLite", well, said.len());
    let (well, _, said) = run(&["dags", "test", DAG]);
    checks.holds("airflow dags test", well, said.len());
    let (_, runs, _) = run(&["dags", "list-runs", DAG, "-o", "json"]);
    let runs: Value = serde_json::from_str(&runs).unwrap_or_default();
    let id = runs[0]["run_id"].as_str().unwrap_or("none");
    let (_, states, _) = run(&["tasks", "states-for-dag-run", DAG, id, "-o", "json"]);
    let states: Vec<Value> = serde_json::from_str(&states).unwrap_or_default();
    let green = states
        .iter()
        .filter(|task| task["state"] == "success")
        .count();
    checks.holds(
        "its nine tasks succeed without a server",
        green == 9 && states.len() == 10,
        (states, said),
    );
    for (schedule, expected) in [
        ("off", "NullTimetable"),
        ("0 5 * * *", "CronTriggerTimetable"),
    ] {
        let seen = timetable(&home, &environment, schedule);
        checks.holds(
            &format!("TIKI_SCHEDULE={schedule} is what the DAG goes by"),
            seen.trim_end().ends_with(expected),
            seen,
        );
    }
}

/// What begins the DAG, by Airflow's own word.
fn timetable(home: &Path, environment: &[(String, String)], schedule: &str) -> String {
    let script = "import tiki_crawl_products_optimized_dag as file
from airflow.sdk import DAG
for dag in vars(file).values():
    if isinstance(dag, DAG): print(type(dag.timetable).__name__)";
    let output = Command::new(Python::AIRFLOW.program())
        .args(["-c", script])
        .current_dir(home)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("TIKI_SCHEDULE", schedule)
        .env(
            "PYTHONPATH",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../airflow/dags"),
        )
        .output()
        .expect("Python");
    let both = [&output.stderr[..], &output.stdout[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}
