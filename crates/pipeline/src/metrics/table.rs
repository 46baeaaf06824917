//! Every metric there is: the one table from which an answer, its HELP and TYPE, and the table of
//! docs/RUNBOOK.md derive.
//!
//! Not here: where the values come from (`metrics`).

/// How a value behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows, over the life of the warehouse.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    /// Prometheus's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A metric: samples that differ in their labels only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metric {
    /// Its name, with its unit in the end.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        labels,
        help,
    }
}

/// All of them, in the order in which they are told.
pub const METRICS: &[Metric] = &[
    gauge(
        "tiki_build_info",
        &["version"],
        "1, of the program that answers",
    ),
    gauge(
        "tiki_up",
        &[],
        "1: the warehouse answered and has this program's schema; 0: nothing below but the disk is known",
    ),
    gauge(
        "tiki_warehouse_read_seconds",
        &[],
        "how long reading the warehouse took",
    ),
    gauge(
        "tiki_disk_free_bytes",
        &[],
        "free on the disk of the data folder, or of an SQLite warehouse where less is",
    ),
    gauge(
        "tiki_disk_free_limit_bytes",
        &[],
        "what must be free there (TIKI_MIN_FREE_DISK)",
    ),
    gauge(
        "tiki_warehouse_rows",
        &["table"],
        "rows of products, observations and product_history, each counted up to 100,000",
    ),
    gauge(
        "tiki_crawl_limit_requests_per_second",
        &[],
        "what TIKI_RATE_LIMIT of this process allows; none where the rate is off",
    ),
    gauge(
        "tiki_crawl_allowed_requests_per_second",
        &[],
        "that, times tiki_crawl_share_ratio; 0 while the breaker is open",
    ),
    gauge(
        "tiki_crawl_share_ratio",
        &[],
        "the share of the rate that all processes use: less than 1 after signs of trouble at the site",
    ),
    gauge(
        "tiki_crawl_pages_per_second",
        &[],
        "bodies that the newest run received over the last minute; a request that failed brought none",
    ),
    gauge(
        "tiki_breaker_state",
        &["state"],
        "1 for the state of the breaker, 0 for the others: closed, open, half-open",
    ),
    gauge(
        "tiki_breaker_open_seconds",
        &[],
        "how long the site is still left alone; 0: it may be asked",
    ),
    Metric {
        name: "tiki_runs_begun_total",
        kind: Kind::Counter,
        labels: &[],
        help: "runs that were ever begun in this warehouse",
    },
    gauge(
        "tiki_runs_held",
        &[],
        "runs that the drift gate holds until a person decides, counted up to 100",
    ),
    gauge(
        "tiki_last_good_run_timestamp_seconds",
        &[],
        "when the newest run that ended with 0 had crawled: deriving it anew makes it no fresher; none before the first",
    ),
    gauge(
        "tiki_run_begun_timestamp_seconds",
        &[],
        "when the newest run began. It and all tiki_run_ below are of this run",
    ),
    gauge(
        "tiki_run_ended_timestamp_seconds",
        &[],
        "when it ended; none before",
    ),
    gauge(
        "tiki_run_last_commit_timestamp_seconds",
        &[],
        "when a process last wrote something of it",
    ),
    gauge("tiki_run_at_work", &[], "1: a process works on it"),
    gauge(
        "tiki_run_state",
        &["state"],
        "1 for its state, 0 for the others: open, done, abandoned, held",
    ),
    gauge(
        "tiki_run_exit_code",
        &[],
        "the exit code of its end; none before",
    ),
    gauge(
        "tiki_run_step_seconds",
        &["step"],
        "how long a step took, or has been open; none before it begins",
    ),
    gauge(
        "tiki_run_step_exit_code",
        &["step"],
        "the exit code of a step's end, or of what failed last while it is open",
    ),
    gauge(
        "tiki_run_frontier",
        &["step", "state"],
        "what a crawling step has to ask, counted up to 100,000: waiting, later (to be tried again), claimed (a \
         process has it and asks), and how the rest ended",
    ),
    gauge(
        "tiki_run_retries",
        &["step"],
        "how often these were asked in vain",
    ),
    gauge(
        "tiki_run_failures",
        &["class"],
        "categories, pages and details that were given up, by what their last request failed of; unasked: none was made",
    ),
    gauge(
        "tiki_run_products",
        &["outcome"],
        "what became of products, counted up to 100,000: rows that were loaded, and those that were not",
    ),
    gauge(
        "tiki_run_rejections",
        &["reason"],
        "what was refused, counted up to 100,000",
    ),
    gauge(
        "tiki_run_crawled_products_per_second",
        &[],
        "the rate of crawl-product-details; none before its end",
    ),
    gauge(
        "tiki_run_cache_hits",
        &["tier"],
        "requests that a tier saved; the tier listing is known at the end of get-cache-stats",
    ),
    gauge(
        "tiki_run_cache_misses",
        &["tier"],
        "what a tier did not have",
    ),
    gauge(
        "tiki_run_drift",
        &["kind"],
        "fields whose shape differs from the runs before",
    ),
    gauge(
        "tiki_run_over_limits",
        &["figure"],
        "1: monitor-infrastructure found it over its limit; none before its end",
    ),
];

/// The table of docs/RUNBOOK.md.
pub fn markdown() -> String {
    let head = "| metric | type | says |\n| --- | --- | --- |\n".to_owned();
    let row = |metric: &Metric| {
        let labels = match metric.labels {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(", ")),
        };
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        format!("| `{name}{labels}` | {kind} | {help} |\n")
    };
    head + &METRICS.iter().map(row).collect::<String>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_prometheus_own_kind_and_limits_are_those_of_the_program() {
        let is_word = |text: &str| {
            let mut letters = text.chars();
            letters.next().is_some_and(|c| c.is_ascii_lowercase())
                && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let mut names = BTreeSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(names.insert(name), "{name} stands there twice");
            assert!(name.starts_with("tiki_") && is_word(name), "{name}");
            let counts = metric.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), counts, "{name}");
            assert!(metric.labels.iter().all(|label| is_word(label)), "{name}");
            assert!(
                !metric.help.is_empty() && !metric.help.contains(['\n', '|']),
                "{name}"
            );
            for unit in ["_ms", "_minutes", "_mb", "_percent"] {
                assert!(!name.ends_with(unit), "{name}: base units only");
            }
            let (_, limit) = metric.help.split_once("counted up to ").unwrap_or_default();
            let limit: String = limit
                .chars()
                .take_while(|c| c.is_ascii_digit() || *c == ',')
                .filter(char::is_ascii_digit)
                .collect();
            let limits = [warehouse::COUNTED, crate::metrics::MOST_HELD].map(|n| n.to_string());
            assert!(
                limit.is_empty() || limits.contains(&limit),
                "{name}: {limit}"
            );
        }
    }
}
