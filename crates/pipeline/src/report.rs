//! What a step and a run report: the same facts for people and machines.
//!
//! Not here: showing them (`tiki`).

use catalog::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use warehouse::Identities;

use crate::settings::LIST_MAX_BYTES;
use crate::{Exit, Step};

/// What a step did. Its JSON has the step's own keys ([`Step::keys`]) beside the fields below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// The step's name.
    pub step: String,
    /// The run's id.
    pub run_id: String,
    /// The exit code of its end.
    pub exit_code: i64,
    /// Seconds at work, over all its attempts and without the pauses between them; of a crawl that was
    /// redone also those of before, for its counts are of both.
    pub seconds: f64,
    /// It had ended before; nothing was done now. How to redo it stands in `hint`.
    #[serde(default)]
    pub already_done: bool,
    /// What a person may do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What went wrong and was survived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The step's own keys.
    #[serde(flatten)]
    pub keys: Map<String, Value>,
}

impl StepReport {
    /// A report with its keys.
    pub(crate) fn new(step: Step, run: &str, keys: Map<String, Value>) -> Self {
        Self {
            step: step.name().into(),
            run_id: run.into(),
            exit_code: 0,
            seconds: 0.0,
            already_done: false,
            hint: None,
            warnings: Vec::new(),
            keys,
        }
    }

    /// How it ended.
    pub fn exit(&self) -> Exit {
        Exit::from_code(self.exit_code)
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Text keys and finite numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A number of one of its keys, such as `("crawl_stats", "rate")`.
    pub fn number(&self, key: &str, field: &str) -> Option<f64> {
        self.keys.get(key)?.get(field)?.as_f64()
    }
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// The run's id.
    pub run_id: String,
    /// The exit code of its end.
    pub exit_code: i64,
    /// The run's clock when it began.
    pub clock_at: String,
    /// Seconds from its first step's beginning to its last one's end, over all its processes.
    pub seconds: f64,
    /// The counts, frozen.
    pub totals: Identities,
    /// What its steps report, in order.
    pub steps: Vec<StepReport>,
}

/// A list for people to look at: cut at a number of items and of bytes.
pub(crate) fn bounded(items: impl IntoIterator<Item = Value>, limit: usize) -> Value {
    let mut bytes = 2;
    let mut list = Vec::new();
    for item in items.into_iter().take(limit) {
        bytes += item.to_string().len() + 1;
        if bytes > LIST_MAX_BYTES {
            break;
        }
        list.push(item);
    }
    Value::Array(list)
}

/// A name for a list, cut at 60 characters.
pub(crate) fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

/// A map of one to three keys.
pub(crate) fn keys<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Seconds between two instants.
pub(crate) fn seconds(from: Instant, to: Instant) -> f64 {
    to.millis_since(from).max(0) as f64 / 1000.0
}

/// Rounded to three decimals, for people.
pub(crate) fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
