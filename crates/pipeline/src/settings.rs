//! How runs work: read live, unlike what they crawl (`scope`).

use std::path::PathBuf;
use std::time::Duration;

use crate::alerts::Rules;

/// How long things are kept, in days.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Looks.
    pub observations_days: i64,
    /// Bodies.
    pub pages_days: i64,
    /// Listings.
    pub listings_days: i64,
    /// Runs and their counts.
    pub ledger_days: i64,
}

/// How runs work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests in flight.
    pub workers: usize,
    /// The time between two boundaries of a product's detail.
    pub detail_ttl: Duration,
    /// Details that a run asks at most (0: no bound).
    pub detail_budget: i64,
    /// How old a category's children may be.
    pub category_ttl: Duration,
    /// Rejected products in percent above which a load ends with 10.
    pub max_rejected_percent: f64,
    /// Products found gone in percent of the known ones above which none is believed.
    pub max_gone_percent: f64,
    /// Tries a request has.
    pub max_attempts: i64,
    /// How long a step goes on while the site answers nothing but *too many requests*.
    pub stall_limit: Duration,
    /// How long a step waits for a warehouse that is lost in the middle of it (zero: not at all).
    pub warehouse_patience: Duration,
    /// Whether a run is held when the shape of what the site sends moves past its limits.
    pub drift_stops: bool,
    /// Earlier runs that a run's shapes are compared with.
    pub drift_runs: i64,
    /// Items that a list of a report holds at most.
    pub list_limit: usize,
    /// Products of a batch, which is transformed in one transaction and loaded in another.
    pub batch: i64,
    /// How long things are kept.
    pub keep: Keep,
    /// What is told to whom.
    pub alerts: Rules,
    /// `redis://…`, where there is one: the step `monitor-infrastructure` looks at it.
    pub redis_url: Option<String>,
    /// Variables of the environment that other programs are not handed: they hold secrets.
    pub hidden: Vec<&'static str>,
    /// Files of this program.
    pub data_dir: PathBuf,
    /// The time zone of days in reports.
    pub zone: jiff::tz::TimeZone,
}

/// Bytes that a list of a report holds at most.
pub(crate) const LIST_MAX_BYTES: usize = 48_000;

impl Settings {
    /// The time between two boundaries of a product's detail, milliseconds.
    pub fn detail_ttl_millis(&self) -> i64 {
        i64::try_from(self.detail_ttl.as_millis()).unwrap_or(i64::MAX)
    }

    /// The defaults, with files in a folder.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            workers: 5,
            detail_ttl: Duration::from_hours(7 * 24),
            detail_budget: 0,
            category_ttl: Duration::from_hours(24),
            max_rejected_percent: 5.0,
            max_gone_percent: 10.0,
            max_attempts: 4,
            stall_limit: Duration::from_mins(10),
            warehouse_patience: Duration::from_mins(1),
            drift_stops: true,
            drift_runs: 10,
            list_limit: 200,
            batch: 2000,
            keep: Keep {
                observations_days: 400,
                pages_days: 90,
                listings_days: 30,
                ledger_days: 400,
            },
            alerts: Rules::default(),
            redis_url: None,
            hidden: Vec::new(),
            data_dir,
            zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(7)),
        }
    }
}
