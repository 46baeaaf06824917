//! A small server that answers over HTTP in the shapes of Airflow's API, version 2, and keeps DAGs and
//! their runs as Airflow does. A real one answers in `cargo xtask airflow check`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::tiki::Tiki;

pub(crate) const PASSWORD: &str = "hunter2-and-more";
const TOKEN: &str = "a-token-of-hunter2";
const DAG: &str = "/api/v2/dags/tiki_crawl_products_optimized";
const FALLBACK: &str = "/api/v2/dags/tiki_crawl_products";

/// Airflow, as its API shows it.
pub(crate) struct Airflow {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

/// What it keeps.
#[derive(Default)]
struct State {
    /// By path: status and JSON. What is not there is 404.
    answers: Vec<(String, (u16, Value))>,
    runs: Vec<Run>,
    /// Path and body of every change that came through.
    changes: Vec<(String, Value)>,
    /// The number of the change that is not answered, and whether it comes through.
    silent: Option<(usize, bool)>,
    /// Changes that were asked for.
    asked: usize,
    /// A run that begins at the moment of the next pause.
    slips: Option<Run>,
    /// The two DAGs were unpaused at the same time.
    both: bool,
}

/// A run of a DAG.
#[derive(Clone)]
struct Run {
    dag: String,
    id: String,
    state: &'static str,
    /// How often its list is asked for until it ends; it ends only while its DAG is not paused.
    looks: Option<u32>,
}

impl Airflow {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let state: Arc<Mutex<State>> = Arc::default();
        let known = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = known.clone();
                // Whoever goes away in the middle is no failure of this server.
                std::thread::spawn(move || drop(answer(stream, &known)));
            }
        });
        let airflow = Self { url, state };
        airflow.set("/api/v2/monitor/health", 200, health("healthy"));
        let tasks: Vec<Value> = pipeline::Step::ALL
            .iter()
            .map(|step| json!({ "task_id": step.task_id(), "operator_name": "Step" }))
            .collect();
        airflow.set(DAG, 200, dag(false));
        airflow.set(
            &format!("{DAG}/tasks"),
            200,
            json!({ "tasks": tasks, "total_entries": tasks.len() }),
        );
        airflow.set(FALLBACK, 200, dag(true));
        let none = json!({ "import_errors": [], "total_entries": 0 });
        airflow.set("/api/v2/importErrors", 200, none);
        airflow.set_variable("tiki_max_categories", "20");
        airflow
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("its state")
    }

    pub(crate) fn set(&self, path: &str, status: u16, body: Value) {
        let answers = &mut self.state().answers;
        answers.retain(|(known, _)| known != path);
        answers.push((path.to_owned(), (status, body)));
    }

    pub(crate) fn set_variable(&self, name: &str, value: &str) {
        let body =
            json!({ "key": name, "value": value, "description": null, "is_encrypted": true });
        self.set(&format!("/api/v2/variables/{name}"), 200, body);
    }

    pub(crate) fn home(&self, password: &str) -> Tiki {
        self.before(Tiki::new(), password)
    }

    /// With the settings of this Airflow.
    pub(crate) fn before(&self, tiki: Tiki, password: &str) -> Tiki {
        tiki.with("TIKI_AIRFLOW_URL", &format!("{}/", self.url))
            .with("TIKI_AIRFLOW_USER", "admin")
            .with("TIKI_AIRFLOW_PASSWORD", password)
    }

    /// A run that has not ended, and does so after so many looks.
    pub(crate) fn run(&self, dag: &str, id: &str, looks: Option<u32>) {
        self.state().runs.push(Run::new(dag, id, looks));
    }

    /// The same, and it begins at the moment of the next pause.
    pub(crate) fn slips(&self, dag: &str, id: &str, looks: u32) {
        self.state().slips = Some(Run::new(dag, id, Some(looks)));
    }

    pub(crate) fn run_state(&self, id: &str) -> &'static str {
        let state = self.state();
        let mut runs = state.runs.iter();
        runs.find(|run| run.id == id).expect("a run").state
    }

    /// The change of this number is not answered, and `through` or not; `None`: all are answered.
    pub(crate) fn silent_at(&self, silent: Option<(usize, bool)>) {
        let mut state = self.state();
        (state.silent, state.asked) = (silent, 0);
    }

    /// Changes that were asked for since then.
    pub(crate) fn asked(&self) -> usize {
        self.state().asked
    }

    /// Takes the changes so far, as `path body`.
    pub(crate) fn changes(&self) -> Vec<String> {
        let changes = std::mem::take(&mut self.state().changes);
        changes
            .into_iter()
            .map(|(path, body)| format!("{} {body}", path.trim_start_matches("/api/v2/dags/")))
            .collect()
    }

    /// Whether the optimized DAG and the one to go back to are paused.
    pub(crate) fn paused(&self) -> [bool; 2] {
        let state = self.state();
        assert!(!state.both, "both were unpaused");
        [DAG, FALLBACK].map(|path| state.is_paused(path))
    }
}

impl Run {
    fn new(dag: &str, id: &str, looks: Option<u32>) -> Self {
        Self {
            dag: dag.into(),
            id: id.into(),
            state: "running",
            looks,
        }
    }
}

impl State {
    fn find(&self, path: &str) -> (u16, Value) {
        let mut answers = self.answers.iter();
        let found = answers.find(|(known, _)| known == path);
        let nothing = || (404, json!({ "detail": "not found" }));
        found.map_or_else(nothing, |(_, answer)| answer.clone())
    }

    fn is_paused(&self, path: &str) -> bool {
        self.find(path).1["is_paused"] == true
    }

    /// The runs of a DAG in the states that the query names; those whose time has come end by it.
    fn list(&mut self, dag: &str, query: &str) -> (u16, Value) {
        let paused = self.is_paused(&format!("/api/v2/dags/{dag}"));
        let mut found = Vec::new();
        for run in self.runs.iter_mut().filter(|run| run.dag == dag) {
            if query
                .split('&')
                .any(|part| part == format!("state={}", run.state))
            {
                found.push(json!({ "dag_run_id": run.id, "dag_id": dag, "state": run.state }));
            }
            if let (false, Some(looks)) = (paused, run.looks) {
                run.looks = Some(looks.saturating_sub(1));
                run.state = if looks <= 1 { "success" } else { run.state };
            }
        }
        (
            200,
            json!({ "total_entries": found.len(), "dag_runs": found }),
        )
    }

    fn change(&mut self, path: &str, body: &Value) -> (u16, Value) {
        if let Some((_, id)) = path.split_once("/dagRuns/") {
            let id = unescaped(id);
            let Some(run) = self.runs.iter_mut().find(|run| run.id == id) else {
                return (404, json!({ "detail": "not found" }));
            };
            assert_eq!(
                *body,
                json!({ "state": "failed" }),
                "a wish that Airflow takes"
            );
            run.state = "failed";
            self.changes.push((path.into(), body.clone()));
            return (200, json!({ "dag_run_id": id, "state": "failed" }));
        }
        let (status, mut dag) = self.find(path);
        if status != 200 || !dag["is_paused"].is_boolean() {
            return (status, dag);
        }
        dag["is_paused"] = body["is_paused"].clone();
        self.answers.retain(|(known, _)| known != path);
        self.answers.push((path.into(), (200, dag.clone())));
        self.changes.push((path.into(), body.clone()));
        if body["is_paused"] == true {
            self.runs.extend(self.slips.take());
        }
        self.both |= !self.is_paused(DAG) && !self.is_paused(FALLBACK);
        (200, dag)
    }
}

fn dag(paused: bool) -> Value {
    json!({ "dag_id": "x", "is_paused": paused, "is_stale": false, "has_import_errors": false })
}

pub(crate) fn health(scheduler: &str) -> Value {
    json!({
        "metadatabase": { "status": "healthy" },
        "scheduler": { "status": scheduler, "latest_scheduler_heartbeat": "2026-11-29T00:00:00+00:00" },
        "triggerer": { "status": null, "latest_triggerer_heartbeat": null },
        "dag_processor": { "status": "healthy", "latest_dag_processor_heartbeat": null },
    })
}

/// A part of a path as it is meant.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits");
        plain.push(byte.into());
        plain += &part[2..];
    }
    plain
}

fn answer(stream: TcpStream, known: &Mutex<State>) -> std::io::Result<()> {
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
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default();
    let is_known = token.ends_with(&format!("Bearer {TOKEN}"));
    let Some((status, body)) = made(
        known,
        method,
        words.next().unwrap_or_default(),
        &body,
        is_known,
    ) else {
        // Silent until the other side goes away.
        return reader.read_to_end(&mut Vec::new()).map(drop);
    };
    let text = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    reader.get_mut().write_all((head + &text).as_bytes())
}

/// The answer to a request; `None`: there is none.
fn made(
    known: &Mutex<State>,
    method: &str,
    target: &str,
    body: &Value,
    is_known: bool,
) -> Option<(u16, Value)> {
    let mut state = known.lock().expect("its state");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "/auth/token" {
        let fits = *body == json!({ "username": "admin", "password": PASSWORD });
        return Some(if fits {
            (201, json!({ "access_token": TOKEN }))
        } else {
            (401, json!({ "detail": "Invalid credentials" }))
        });
    }
    if path != "/api/v2/monitor/health" && !is_known {
        return Some((401, json!({ "detail": "Not authenticated" })));
    }
    if method == "PATCH" {
        state.asked += 1;
        return match state.silent {
            Some((at, false)) if at == state.asked => None,
            Some((at, true)) if at == state.asked => {
                state.change(path, body);
                None
            }
            _ => Some(state.change(path, body)),
        };
    }
    let dag = path.strip_prefix("/api/v2/dags/");
    let (status, found) = state.find(path);
    match dag.and_then(|rest| rest.strip_suffix("/dagRuns")) {
        Some(dag) if status == 404 => Some(state.list(dag, query)),
        _ => Some((status, found)),
    }
}
