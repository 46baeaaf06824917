//! Airflow's own interface, version 2, as its users' tools call it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest that a run of a test may take.
const LONGEST_RUN: Duration = Duration::from_mins(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A login at one Airflow.
pub(crate) struct Api {
    base: String,
    agent: ureq::Agent,
    token: String,
}

/// A task of a run as Airflow tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) map_index: i64,
    pub(crate) state: String,
    pub(crate) tries: i64,
}

impl Api {
    /// Logs in; the status of the answer where that fails.
    pub(crate) fn log_in(base: &str, name: &str, password: &str) -> Result<Self, u16> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build();
        let mut api = Self {
            base: base.to_owned(),
            agent: config.into(),
            token: String::new(),
        };
        let wish = json!({"username": name, "password": password});
        let (status, answer) = api.send("POST", "/auth/token", Some(&wish));
        match answer["access_token"].as_str() {
            Some(token) => {
                api.token = format!("Bearer {token}");
                Ok(api)
            }
            None => Err(status),
        }
    }

    /// Any request: the status and the JSON of its answer; status 0: no answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("Authorization", &self.token)
            .header("Content-Type", "application/json")
            .body(body.map_or_else(String::new, Value::to_string))
            .expect("a request");
        let Ok(mut answer) = self.agent.run(request) else {
            return (0, Value::Null);
        };
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// A request that must be answered well.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.send(method, &format!("/api/v2{path}"), body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None)
    }

    /// Sets a Variable, whether it is there or not.
    pub(crate) fn set_variable(&self, key: &str, value: &str) {
        let body = json!({"key": key, "value": value});
        let (status, answer) = self.send("POST", "/api/v2/variables", Some(&body));
        match status {
            201 => {}
            409 => drop(self.ask("PATCH", &format!("/variables/{key}"), Some(&body))),
            _ => panic!("variable {key}: {status} {answer}"),
        }
    }

    pub(crate) fn pause(&self, dag: &str, paused: bool) {
        self.ask(
            "PATCH",
            &format!("/dags/{dag}"),
            Some(&json!({"is_paused": paused})),
        );
    }

    /// Begins a run; its id.
    pub(crate) fn trigger(&self, dag: &str, conf: &Value) -> String {
        let body = json!({"logical_date": null, "conf": conf});
        let run = self.ask("POST", &format!("/dags/{dag}/dagRuns"), Some(&body));
        run["dag_run_id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn run_state(&self, dag: &str, run: &str) -> String {
        let answer = self.get(&format!("/dags/{dag}/dagRuns/{}", escaped(run)));
        answer["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for the end of a run; its state.
    pub(crate) fn end_of(&self, dag: &str, run: &str) -> String {
        let mut state = String::new();
        Self::wait_for(&format!("the end of {run}"), || {
            state = self.run_state(dag, run);
            ["success", "failed"].contains(&state.as_str())
        });
        state
    }

    /// Waits until something holds; panics with `what` after the longest time of a run.
    pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < LONGEST_RUN, "waited in vain for {what}");
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    pub(crate) fn tasks(&self, dag: &str, run: &str) -> Vec<Task> {
        let path = format!(
            "/dags/{dag}/dagRuns/{}/taskInstances?limit=100",
            escaped(run)
        );
        let answer = self.get(&path);
        let list = answer["task_instances"].as_array().expect("tasks");
        list.iter()
            .map(|task| Task {
                id: task["task_id"].as_str().unwrap_or_default().to_owned(),
                map_index: task["map_index"].as_i64().unwrap_or(-1),
                state: task["state"].as_str().unwrap_or("none").to_owned(),
                tries: task["try_number"].as_i64().unwrap_or(0),
            })
            .collect()
    }

    pub(crate) fn task(&self, dag: &str, run: &str, id: &str) -> Task {
        let mut all = self.tasks(dag, run).into_iter();
        all.find(|task| task.id == id).expect("the task")
    }

    /// A value that a task pushed; null where there is none.
    pub(crate) fn xcom(&self, dag: &str, run: &str, task: &str, key: &str) -> Value {
        let path = format!(
            "/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}/xcomEntries/{key}?stringify=false",
            escaped(run)
        );
        let (status, answer) = self.send("GET", &path, None);
        if status == 200 {
            answer["value"].clone()
        } else {
            Value::Null
        }
    }

    /// The same of one of the tasks that a task is mapped to; -1: it is not mapped.
    pub(crate) fn mapped_xcom(
        &self,
        dag: &str,
        run: &str,
        task: &str,
        key: &str,
        index: i64,
    ) -> Value {
        let path = format!(
            "/dags/{dag}/dagRuns/{}/taskInstances/{task}/xcomEntries/{key}?stringify=false&map_index={index}",
            escaped(run)
        );
        self.get(&path)["value"].clone()
    }

    /// The log of one try of a task.
    pub(crate) fn log(&self, dag: &str, run: &str, task: &str, attempt: i64) -> String {
        let path = format!(
            "/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}/logs/{attempt}?full_content=true",
            escaped(run)
        );
        let answer = self.send("GET", &path, None).1;
        let events = answer["content"].as_array().into_iter().flatten();
        let mut lines: Vec<&str> = Vec::new();
        for event in events {
            lines.extend(
                event["event"]
                    .as_str()
                    .filter(|line| !line.starts_with("::")),
            );
            let errors = event["error_detail"].as_array().into_iter().flatten();
            lines.extend(errors.filter_map(|error| error["exc_value"].as_str()));
        }
        lines.join("\n")
    }

    /// Clears tasks of a run, as the button of the page does.
    pub(crate) fn clear(&self, dag: &str, run: &str, tasks: &[&str], downstream: bool) {
        let body = json!({
            "dry_run": false, "dag_run_id": run, "task_ids": tasks, "only_failed": false,
            "reset_dag_runs": true, "include_downstream": downstream,
        });
        self.ask(
            "POST",
            &format!("/dags/{dag}/clearTaskInstances"),
            Some(&body),
        );
    }
}

/// A run's id within a path: `+` and `:` stand in it.
pub(crate) fn escaped(id: &str) -> String {
    id.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
