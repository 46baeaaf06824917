//! Airflow's API, version 2: logging in, asking, and changing DAGs and their runs.
//!
//! Not here: what `tiki preflight` asks it (`preflight`), what `tiki rollback` changes (`rollback`).

use std::fmt;
use std::time::Duration;

use pipeline::{Exit, chain};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::failure::Failure;

/// How long an answer may take, a connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read.
const MAX_BYTES: usize = 4 << 20;

/// Why Airflow did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// It does not answer, or is not well. Retry later.
    Away(String),
    /// It answers, and says no.
    Refused(String),
}

/// What Airflow answers.
pub(crate) type Answer<T> = Result<T, Trouble>;

impl Trouble {
    /// What became of a request that was answered with this status.
    fn answered(path: &str, status: u16) -> Self {
        let what = format!("{path} answered {status}");
        if status >= 500 {
            Self::Away(what)
        } else {
            Self::Refused(what)
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(what) | Self::Refused(what) => f.write_str(what),
        }
    }
}

impl From<Trouble> for String {
    fn from(trouble: Trouble) -> Self {
        trouble.to_string()
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Away(why) => Self::new(Exit::Warehouse, "Airflow cannot be reached")
                .why(why)
                .help("is Airflow up, and is TIKI_AIRFLOW_URL right? The same command may be tried later"),
            Trouble::Refused(why) => Self::usage("Airflow does not do what was asked").why(why).help(
                "TIKI_AIRFLOW_URL must name an Airflow 3, and TIKI_AIRFLOW_USER and TIKI_AIRFLOW_PASSWORD \
                 somebody who may see and change its DAGs and their runs (the role Op does)",
            ),
        }
    }
}

/// A way to one Airflow.
pub(crate) struct Api {
    http: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    /// A way to the Airflow at an address without a `/` at its end. Asks nothing yet.
    pub(crate) fn new(base: String) -> Answer<Self> {
        let tls = crawl::tls_config(&[]).map_err(|error| Trouble::Refused(chain(&error)))?;
        let built = Client::builder()
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .build();
        Ok(Self {
            http: built.map_err(|error| Trouble::Refused(chain(&error)))?,
            base,
            token: None,
        })
    }

    /// From here on everything is asked as this user.
    pub(crate) async fn log_in(&mut self, (user, password): &(String, String)) -> Answer<()> {
        if user.is_empty() || password.is_empty() {
            let what = "TIKI_AIRFLOW_USER or TIKI_AIRFLOW_PASSWORD is not set";
            return Err(Trouble::Refused(what.into()));
        }
        let wish = json!({ "username": user, "password": password });
        let (status, answer) = self.send(Method::POST, "/auth/token", Some(&wish)).await?;
        match answer["access_token"].as_str() {
            Some(token) if (200..300).contains(&status) => {
                self.token = Some(token.to_owned());
                Ok(())
            }
            _ if status == 401 => Err(Trouble::Refused("wrong name or password".into())),
            _ => Err(Trouble::answered("/auth/token", status)),
        }
    }

    /// The status of an answer, and its JSON (null where it is none).
    pub(crate) async fn get(&self, path: &str) -> Answer<(u16, Value)> {
        self.send(Method::GET, path, None).await
    }

    /// A thing below `/api/v2`; `None`: it is not there.
    pub(crate) async fn thing(&self, path: &str) -> Answer<Option<Value>> {
        match self.get(&format!("/api/v2{path}")).await? {
            (200, value) if value.is_object() => Ok(Some(value)),
            (404, _) => Ok(None),
            (status, _) => Err(Trouble::answered(path, status)),
        }
    }

    /// Changes fields of a thing below `/api/v2`, and answers it as it is then.
    pub(crate) async fn change(&self, path: &str, fields: &Value) -> Answer<Value> {
        let whole = format!("/api/v2{path}");
        match self.send(Method::PATCH, &whole, Some(fields)).await? {
            (200, value) if value.is_object() => Ok(value),
            (status, _) => Err(Trouble::answered(path, status)),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer<(u16, Value)> {
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
        let failed = |error: reqwest::Error| Trouble::Away(chain(&error.without_url()));
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > MAX_BYTES {
                let what = format!("{path} answered more than {MAX_BYTES} bytes");
                return Err(Trouble::Refused(what));
            }
        }
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok((status, value))
    }
}
