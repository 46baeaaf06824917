//! `tiki preflight` beside an Airflow.

use std::net::TcpListener;

use serde_json::json;

use crate::airflow::{Airflow, PASSWORD, health};
use crate::preflight::{assert_states, line, report};
use crate::tiki::Tiki;

const DAG: &str = "/api/v2/dags/tiki_crawl_products_optimized";

const SECTIONS: [u8; 6] = [6, 7, 10, 11, 13, 25];

#[test]
fn an_airflow_that_is_well_is_told_and_its_secrets_are_not() {
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    let found = report(&tiki, 0, &SECTIONS);
    for name in [
        "dag-tasks",
        "airflow-services",
        "airflow-login",
        "dag-visible",
        "import-errors",
        "tiki_data_dir",
        "tiki_max_categories",
        "tiki_rate_limit",
        "dag-paused",
        "rollback-dag",
    ] {
        assert_eq!(line(&found, name)["state"], "ok", "{name}: {found:#}");
    }
    assert_eq!(line(&found, "tiki_max_categories")["seen"], "20");
    let way_back = line(&found, "rollback-dag")["seen"].to_string();
    assert!(way_back.contains("tiki rollback airflow"), "{way_back}");
    let page = tiki.path("report.html");
    let page = page.display().to_string();
    tiki.ends(0, &["preflight", "--section", "10", "--html", &page]);
    let text = std::fs::read_to_string(&page).expect("the page");
    assert!(
        text.contains("airflow-login") && text.contains("Ready"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    let left = std::fs::read_dir(tiki.folder()).expect("a folder").count();
    assert_eq!(left, 1, "nothing is left beside the page");
}

#[test]
fn an_airflow_that_is_not_well_blocks() {
    let airflow = Airflow::start();
    airflow.set("/api/v2/monitor/health", 200, health("unhealthy"));
    airflow.set(DAG, 404, json!({}));
    airflow.set("/api/v2/dags/tiki_crawl_products", 403, json!({}));
    let errors = json!({ "import_errors": [{ "filename": "broken.py" }], "total_entries": 1 });
    airflow.set("/api/v2/importErrors", 200, errors);
    airflow.set_variable("tiki_rate_limit", "as fast as can be");
    airflow.set(&format!("{DAG}/tasks"), 200, json!({ "tasks": [] }));
    let tiki = airflow.home(PASSWORD);
    let found = report(&tiki, 4, &SECTIONS);
    let states = [
        ("airflow-services", "failed"),
        ("airflow-login", "ok"),
        ("dag-visible", "failed"),
        ("dag-tasks", "failed"),
        ("dag-paused", "failed"),
        ("import-errors", "failed"),
        ("tiki_max_categories", "ok"),
        ("tiki_rate_limit", "failed"),
        ("rollback-dag", "failed"),
    ];
    assert_states(&found, &states);
    airflow.set(DAG, 200, json!({ "is_paused": true }));
    assert_states(&report(&tiki, 0, &[13]), &[("dag-paused", "warning")]);
}

#[test]
fn slow_a_dag_of_backups_that_is_paused_makes_none() {
    const BACKUP: &str = "/api/v2/dags/tiki_backup";
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    for (paused, state) in [(true, "warning"), (false, "ok")] {
        airflow.set(BACKUP, 200, json!({ "is_paused": paused }));
        let found = report(&tiki, 0, &[20]);
        assert_states(&found, &[("backup-schedule", state)]);
        let seen = line(&found, "backup-schedule")["seen"].to_string();
        assert!(seen.contains("tiki_backup"), "{seen}");
    }
}

#[test]
fn a_wrong_password_no_password_and_no_airflow_are_told_apart() {
    let airflow = Airflow::start();
    let wrong = report(&airflow.home("hunter2"), 4, &SECTIONS);
    assert_states(
        &wrong,
        &[("airflow-login", "failed"), ("dag-visible", "skipped")],
    );
    assert_eq!(
        line(&wrong, "airflow-login")["seen"],
        "wrong name or password"
    );
    let none = report(&airflow.home(""), 4, &[10]);
    let seen = line(&none, "airflow-login")["seen"].to_string();
    assert!(seen.contains("TIKI_AIRFLOW_PASSWORD"), "{seen}");
    let closed = format!("http://u:hunter2@127.0.0.1:{}", testkit::free_port());
    let away = Tiki::new().with("TIKI_AIRFLOW_URL", &closed);
    let silent = report(&away, 4, &[7, 10, 11]);
    let states = [
        ("airflow-services", "failed"),
        ("airflow-login", "failed"),
        ("variables", "skipped"),
    ];
    assert_states(&silent, &states);
    let absent = report(&Tiki::new(), 0, &SECTIONS);
    assert_states(
        &absent,
        &[("airflow-login", "skipped"), ("variables", "skipped")],
    );
    for wrong in ["hunter2", "ftp://h"] {
        let done = Tiki::new()
            .with("TIKI_AIRFLOW_URL", wrong)
            .ends(2, &["preflight"]);
        assert!(!done.err.contains("hunter2"), "{done:?}");
    }
}

#[test]
fn a_server_that_is_silent_or_no_airflow_blocks_in_time() {
    let mute = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", mute.local_addr().expect("its address"));
    let begun = std::time::Instant::now();
    let tiki = Tiki::new().with("TIKI_AIRFLOW_URL", &url);
    assert_states(&report(&tiki, 4, &[10]), &[("airflow-login", "failed")]);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let airflow = Airflow::start();
    airflow.set("/api/v2/monitor/health", 404, json!({}));
    let other = report(&airflow.home(PASSWORD), 4, &[10]);
    let seen = line(&other, "airflow-login")["seen"].to_string();
    assert!(seen.contains("no Airflow"), "{seen}");
}
