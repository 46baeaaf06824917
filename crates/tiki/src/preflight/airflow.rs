//! Airflow's API, version 2, as sections 6, 7, 10, 11, 13 and 25 ask it. It only reads.
//!
//! Not here: what is made of it (`pipeline::preflight::airflow`).

use std::time::Duration;

use pipeline::chain;
use pipeline::preflight::airflow::{Airflow, Answered, DAG, Inside, ROLLBACK_DAG, Told, VARIABLES};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::Context;
use crate::setting::SETTINGS;

/// How long an answer may take, a connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read.
const MAX_BYTES: usize = 4 << 20;

/// Files with errors that are told.
const MAX_FILES: usize = 20;

/// A way to one Airflow.
struct Api {
    http: Client,
    base: String,
    token: Option<String>,
}

/// An answer: its status, and its JSON (null where it is none).
type Answer = Result<(u16, Value), String>;

/// Airflow of the settings.
pub(super) async fn look(context: &Context) -> Airflow {
    let Some(base) = context.config.airflow_url.clone() else {
        return Airflow::Absent;
    };
    let mut api = match client() {
        Ok(http) => Api {
            http,
            base,
            token: None,
        },
        Err(why) => return Airflow::Silent(why),
    };
    let parts = match api.get("/api/v2/monitor/health").await {
        Err(why) => return Airflow::Silent(why),
        Ok((200, health)) if health.is_object() => parts(&health),
        Ok((status, _)) => {
            let why = format!("/api/v2/monitor/health answered {status}, which is no Airflow 3");
            return Airflow::Silent(why);
        }
    };
    let inside = match api.log_in(&context.config.airflow_login).await {
        Ok(()) => Ok(api.inside().await),
        Err(why) => Err(why),
    };
    Airflow::Answered(Box::new(Answered { parts, inside }))
}

fn client() -> Result<Client, String> {
    let tls = crawl::tls_config(&[]).map_err(|error| chain(&error))?;
    let built = Client::builder()
        .timeout(PATIENCE)
        .redirect(Policy::none())
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .build();
    built.map_err(|error| chain(&error))
}

fn parts(health: &Value) -> Vec<(String, Option<String>)> {
    let fields = health.as_object().into_iter().flatten();
    let part = |(name, part): (&String, &Value)| {
        let status = part.get("status").and_then(Value::as_str);
        (name.clone(), status.map(str::to_owned))
    };
    fields.map(part).collect()
}

impl Api {
    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let text = body.to_string();
            request = request
                .header("Content-Type", "application/json")
                .body(text);
        }
        // The address may hold a password.
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > MAX_BYTES {
                return Err(format!("{path} answered more than {MAX_BYTES} bytes"));
            }
        }
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }

    async fn log_in(&mut self, (user, password): &(String, String)) -> Result<(), String> {
        if user.is_empty() || password.is_empty() {
            return Err("TIKI_AIRFLOW_USER or TIKI_AIRFLOW_PASSWORD is not set".into());
        }
        let wish = json!({ "username": user, "password": password });
        let (status, answer) = self.send(Method::POST, "/auth/token", Some(&wish)).await?;
        match answer["access_token"].as_str() {
            Some(token) if (200..300).contains(&status) => {
                self.token = Some(token.to_owned());
                Ok(())
            }
            _ if status == 401 => Err("wrong name or password".into()),
            _ => Err(format!("/auth/token answered {status}")),
        }
    }

    async fn inside(&self) -> Inside {
        Inside {
            dag: self.paused(DAG).await,
            tasks: self.tasks().await,
            rollback: self.paused(ROLLBACK_DAG).await,
            import_errors: self.import_errors().await,
            variables: self.variables().await,
        }
    }

    /// A thing below `/api/v2`; `None`: it is not there.
    async fn thing(&self, path: &str) -> Told<Option<Value>> {
        match self.get(&format!("/api/v2{path}")).await? {
            (200, value) if value.is_object() => Ok(Some(value)),
            (404, _) => Ok(None),
            (status, _) => Err(format!("{path} answered {status}")),
        }
    }

    async fn paused(&self, dag: &str) -> Told<Option<bool>> {
        let found = self.thing(&format!("/dags/{dag}")).await?;
        match found.map(|dag| dag["is_paused"].as_bool()) {
            None => Ok(None),
            Some(Some(paused)) => Ok(Some(paused)),
            Some(None) => Err(format!("/dags/{dag} does not say whether it is paused")),
        }
    }

    async fn tasks(&self) -> Told<Vec<String>> {
        let found = self.thing(&format!("/dags/{DAG}/tasks")).await?;
        let found = found.unwrap_or(Value::Null);
        let tasks = found["tasks"].as_array().into_iter().flatten();
        Ok(texts(tasks, "task_id"))
    }

    async fn import_errors(&self) -> Told<Vec<String>> {
        let found = self.thing("/importErrors").await?;
        let found = found.ok_or("there are no /importErrors")?;
        let errors = found["import_errors"].as_array();
        let errors = errors.ok_or("/importErrors has no list")?;
        Ok(texts(errors.iter().take(MAX_FILES), "filename"))
    }

    async fn variables(&self) -> Told<Vec<(&'static str, String, Option<String>)>> {
        let mut set = Vec::new();
        for name in VARIABLES {
            if let Some(variable) = self.thing(&format!("/variables/{name}")).await? {
                let value = match &variable["value"] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                let why = wrong(name, &value);
                set.push((name, value, why));
            }
        }
        Ok(set)
    }
}

fn texts<'a>(all: impl Iterator<Item = &'a Value>, field: &str) -> Vec<String> {
    let texts = all.map(|one| one[field].as_str().unwrap_or("?"));
    texts.map(str::to_owned).collect()
}

/// What is wrong with the value of a Variable; an empty one is not set.
fn wrong(name: &str, value: &str) -> Option<String> {
    let upper = name.to_uppercase();
    let setting = SETTINGS.iter().find(|setting| setting.name == upper)?;
    if value.is_empty() {
        return None;
    }
    setting.kind.parse(value).err()
}
