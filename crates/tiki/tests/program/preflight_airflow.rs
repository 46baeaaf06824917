//! `tiki preflight` beside an Airflow: a small server answers over HTTP in the shapes of Airflow's API,
//! version 2. A real one answers in `cargo xtask airflow check`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::preflight::{assert_states, line, report};
use crate::tiki::Tiki;

const DAG: &str = "/api/v2/dags/tiki_crawl_products_optimized";
const PASSWORD: &str = "hunter2-and-more";
const TOKEN: &str = "a-token-of-hunter2";

/// Answers by path: status and JSON. What is not there is 404.
type Answers = Arc<Mutex<Vec<(String, (u16, Value))>>>;

struct Airflow {
    url: String,
    answers: Answers,
}

impl Airflow {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let answers: Answers = Arc::default();
        let known = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever goes away in the middle is no failure of this server.
                drop(answer(stream, &known));
            }
        });
        let airflow = Self { url, answers };
        airflow.set("/api/v2/monitor/health", 200, health("healthy"));
        let tasks: Vec<Value> = pipeline::Step::ALL
            .iter()
            .map(|step| json!({ "task_id": step.task_id(), "operator_name": "Step" }))
            .collect();
        let paused = |paused: bool| json!({ "dag_id": "x", "is_paused": paused });
        airflow.set(DAG, 200, paused(false));
        airflow.set(
            &format!("{DAG}/tasks"),
            200,
            json!({ "tasks": tasks, "total_entries": tasks.len() }),
        );
        airflow.set("/api/v2/dags/tiki_crawl_products", 200, paused(true));
        let none = json!({ "import_errors": [], "total_entries": 0 });
        airflow.set("/api/v2/importErrors", 200, none);
        airflow.set_variable("tiki_max_categories", "20");
        airflow
    }

    fn set(&self, path: &str, status: u16, body: Value) {
        let mut answers = self.answers.lock().expect("answers");
        answers.retain(|(known, _)| known != path);
        answers.push((path.to_owned(), (status, body)));
    }

    fn set_variable(&self, name: &str, value: &str) {
        let body =
            json!({ "key": name, "value": value, "description": null, "is_encrypted": true });
        self.set(&format!("/api/v2/variables/{name}"), 200, body);
    }

    fn home(&self, password: &str) -> Tiki {
        Tiki::new()
            .with("TIKI_AIRFLOW_URL", &format!("{}/", self.url))
            .with("TIKI_AIRFLOW_USER", "admin")
            .with("TIKI_AIRFLOW_PASSWORD", password)
    }
}

fn health(scheduler: &str) -> Value {
    json!({
        "metadatabase": { "status": "healthy" },
        "scheduler": { "status": scheduler, "latest_scheduler_heartbeat": "2026-11-29T00:00:00+00:00" },
        "triggerer": { "status": null, "latest_triggerer_heartbeat": null },
        "dag_processor": { "status": "healthy", "latest_dag_processor_heartbeat": null },
    })
}

fn answer(stream: TcpStream, known: &Answers) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut token) = (String::new(), 0, String::new());
    reader.read_line(&mut first)?;
    loop {
        let mut head = String::new();
        reader.read_line(&mut head)?;
        let lower = head.to_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        if lower.starts_with("authorization:") {
            head.trim().clone_into(&mut token);
        }
        if head.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        "/auth/token" => {
            let wish: Value = serde_json::from_slice(&body).unwrap_or_default();
            if wish == json!({ "username": "admin", "password": PASSWORD }) {
                (201, json!({ "access_token": TOKEN }))
            } else {
                (401, json!({ "detail": "Invalid credentials" }))
            }
        }
        "/api/v2/monitor/health" => find(known, path),
        _ if token.ends_with(&format!("Bearer {TOKEN}")) => find(known, path),
        _ => (401, json!({ "detail": "Not authenticated" })),
    };
    let text = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    reader.get_mut().write_all((head + &text).as_bytes())
}

fn find(known: &Answers, path: &str) -> (u16, Value) {
    let answers = known.lock().expect("answers");
    let found = answers.iter().find(|(known, _)| known == path);
    found.map_or((404, json!({ "detail": "not found" })), |(_, answer)| {
        answer.clone()
    })
}

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
