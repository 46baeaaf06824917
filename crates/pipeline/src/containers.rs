//! The containers of this machine, as Docker tells them.
//!
//! Not here: starting or mending one.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::outside::ask;

/// How long Docker's engine may take to say that it is there.
const ENGINE_PATIENCE: Duration = Duration::from_secs(2);

/// How long it may take to measure: it looks at each container for a second or two.
const STATS_PATIENCE: Duration = Duration::from_secs(8);

/// Columns of `docker stats` that are kept, all of them text.
const COLUMNS: [&str; 8] = [
    "Name", "ID", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs",
];

/// A row for each container that runs; `None`: there is no command `docker`, or no engine that answers it.
/// `folder` is one that is there; see [`ask`] for `hidden`.
pub(crate) async fn stats(folder: &Path, hidden: &[&str]) -> Option<Vec<Value>> {
    let version = ["version", "--format", "{{.Server.Version}}"];
    ask("docker", &version, folder, ENGINE_PATIENCE, hidden)
        .await
        .ok()?;
    let stats = ["stats", "--no-stream", "--format", "{{json .}}"];
    let told = ask("docker", &stats, folder, STATS_PATIENCE, hidden)
        .await
        .ok()?;
    Some(told.lines().filter_map(row).collect())
}

/// The kept columns of a line of JSON; `None`: it is none.
fn row(line: &str) -> Option<Value> {
    let told: Map<String, Value> = serde_json::from_str(line).ok()?;
    let kept = COLUMNS.into_iter().filter_map(|name| {
        let text = told.get(name)?.as_str()?;
        Some((name.to_owned(), Value::from(text)))
    });
    Some(Value::Object(kept.collect()))
}
