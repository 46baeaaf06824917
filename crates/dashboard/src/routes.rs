//! Which path is answered with what.
//!
//! Not here: how a page looks (`page`), who is let in (`door`).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, middleware};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::door::{self, Hosts, plain};
use crate::fresh::Fresh;
use crate::sources::{Health, Listed, Planned, Sources, Trouble};
use crate::{page, style};

/// How long an answer of the probe, and the page's list of runs, are good for all who ask.
const SHARED: Duration = Duration::from_secs(1);

/// The same of the metrics, which cost more: nobody needs them more often.
const SHARED_METRICS: Duration = Duration::from_secs(2);

/// Runs of the page.
const SHOWN_RUNS: i64 = 20;

/// Runs of the API where nobody says how many: as `tiki runs list`.
const LISTED_RUNS: i64 = 20;

/// The most runs that the API lists.
const MOST_RUNS: i64 = 1000;

/// Bytes of a run's id at most.
const MAX_ID_BYTES: usize = 128;

/// What is shown, and what of it was shown just now.
struct Desk {
    sources: Sources,
    health: Fresh<Health>,
    runs: Fresh<Result<Vec<Listed>, Trouble>>,
    metrics: Fresh<String>,
}

type Shared = State<Arc<Desk>>;

/// All routes behind the door.
pub(crate) fn router(sources: Sources, hosts: Hosts) -> Router {
    let desk = Arc::new(Desk {
        sources,
        health: Fresh::new(SHARED),
        runs: Fresh::new(SHARED),
        metrics: Fresh::new(SHARED_METRICS),
    });
    Router::new()
        .route("/", get(overview))
        .route("/healthz", get(async || plain(StatusCode::OK, "ok\n")))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/health", get(health))
        .route("/api/v1/schedule", get(schedule))
        .route("/api/v1/runs", get(runs))
        .route("/api/v1/runs/{id}", get(run))
        .route("/style.css", get(style::sheet))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(hosts, door::guard))
        .with_state(desk)
}

impl Desk {
    async fn health(&self) -> Arc<Health> {
        self.health.get((self.sources.health)(())).await
    }
}

async fn overview(State(desk): Shared) -> Response {
    let asked = desk.runs.get((desk.sources.runs)(SHOWN_RUNS));
    let (health, runs) = tokio::join!(desk.health(), asked);
    let runs = runs.as_ref().as_ref().map(Vec::as_slice);
    let now = Timestamp::now();
    page(
        StatusCode::OK,
        &page::overview(&desk.sources, &health, runs, now).into_string(),
    )
}

/// Whether the pipeline can do its work, in the status.
async fn ready(State(desk): Shared) -> Response {
    let health = desk.health().await;
    let status = if health.is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &health.json)
}

async fn health(State(desk): Shared) -> Response {
    json(StatusCode::OK, &desk.health().await.json)
}

async fn schedule(State(desk): Shared) -> Response {
    let planned = (desk.sources.planned)();
    let rows: Vec<Value> = planned.iter().map(Planned::as_json).collect();
    json(StatusCode::OK, &Value::from(rows))
}

async fn runs(State(desk): Shared, RawQuery(query): RawQuery) -> Response {
    let Some(limit) = limit(query.as_deref().unwrap_or_default()) else {
        let what = format!(
            "limit is a whole number from 1 to {MOST_RUNS}, and there is nothing else to say"
        );
        return error(StatusCode::BAD_REQUEST, &what, None);
    };
    match (desk.sources.runs)(limit).await {
        Ok(listed) => {
            let rows: Vec<Value> = listed.into_iter().map(|listed| listed.json).collect();
            json(StatusCode::OK, &Value::from(rows))
        }
        Err(trouble) => troubled(&trouble),
    }
}

async fn run(State(desk): Shared, Path(id): Path<String>) -> Response {
    if id.len() > MAX_ID_BYTES || id.contains(char::is_control) {
        return error(StatusCode::NOT_FOUND, "no run has such an id", None);
    }
    match (desk.sources.run)(id).await {
        Ok(Some(run)) => json(StatusCode::OK, &run),
        Ok(None) => error(
            StatusCode::NOT_FOUND,
            "there is no run of this id",
            Some("/api/v1/runs lists them"),
        ),
        Err(trouble) => troubled(&trouble),
    }
}

async fn metrics(State(desk): Shared) -> Response {
    let text = desk.metrics.get((desk.sources.metrics)(())).await;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    of_kind(StatusCode::OK, kind, text.as_str().to_owned())
}

async fn nowhere() -> Response {
    page(StatusCode::NOT_FOUND, &page::nowhere().into_string())
}

/// How many runs are wanted; `None`: that cannot be.
fn limit(query: &str) -> Option<i64> {
    if query.is_empty() {
        return Some(LISTED_RUNS);
    }
    let number: i64 = query.strip_prefix("limit=")?.parse().ok()?;
    (1..=MOST_RUNS).contains(&number).then_some(number)
}

fn troubled(trouble: &Trouble) -> Response {
    let help = trouble.help.as_deref();
    error(StatusCode::SERVICE_UNAVAILABLE, &trouble.what, help)
}

fn error(status: StatusCode, what: &str, help: Option<&str>) -> Response {
    json(status, &json!({ "error": { "what": what, "help": help } }))
}

fn json(status: StatusCode, value: &Value) -> Response {
    of_kind(status, "application/json", format!("{value}\n"))
}

fn page(status: StatusCode, text: &str) -> Response {
    // Escaping keeps a text from being markup; this keeps it from turning what stands beside it.
    let text = catalog::harmless(text).into_owned();
    of_kind(status, "text/html; charset=utf-8", text)
}

/// A text of a kind.
pub(crate) fn of_kind(status: StatusCode, kind: &'static str, text: impl Into<Body>) -> Response {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_within_bounds_or_the_default() {
        for (query, said) in [
            ("", Some(20)),
            ("limit=1", Some(1)),
            ("limit=1000", Some(1000)),
            ("limit=1001", None),
            ("limit=0", None),
            ("limit=x", None),
            ("limit=1&x=2", None),
            ("x=1", None),
        ] {
            assert_eq!(limit(query), said, "{query}");
        }
    }
}
