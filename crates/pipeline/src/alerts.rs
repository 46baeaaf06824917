//! Telling people when something is not as it should be: what is worth it and in which words, apart from
//! the channels that carry it.
//!
//! An alert is written to the outbox in the transaction that it tells of, and sent by whatever process
//! comes next, at least once, with an id that stays the same.
//!
//! Not here: the outbox (`warehouse`), which settings there are (`tiki`).

mod channel;
mod judge;
mod kind;
mod mail;
mod post;
mod spool;
mod trust;
mod watch;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

use catalog::one_line;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use warehouse::{AlertRow, NewAlert};

pub use channel::{Channel, Sender, SendersError};
pub use judge::{Command, command_failed};
pub(crate) use judge::{Ended, Failed, PAST_RUNS, ended, failed, held};
pub use kind::KINDS;
pub(crate) use kind::REPORT;
pub use mail::{Mail, mailboxes, smtp_server};
pub use post::{PAUSES, Posted};
pub use spool::{MAX_SPOOLED, Spool};
pub use trust::Trust;
pub use watch::{away, watch};

/// Characters of a title at most.
pub(crate) const TITLE_CHARS: usize = 140;

/// What is told, to whom, and how often.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whether anything is told at all; a demo tells nothing.
    pub tells: bool,
    /// The names of the channels that are told.
    pub channels: Vec<String>,
    /// The same trouble is told once within so long, and counted.
    pub window: Duration,
    /// Exit codes that are told.
    pub exits: Vec<i64>,
    /// Rejected products in percent above which a run is told.
    pub rejected_percent: f64,
    /// Details without an answer in percent of those due above which a run is told.
    pub unfetched_percent: f64,
    /// Listed products in percent of the median of the last runs below which a run is told (0: never).
    pub items_percent: f64,
    /// Products a second below which a run is told (0: never).
    pub rate: f64,
    /// Percent of requests that were saved below which a run is told (0: never).
    pub hit_rate: f64,
    /// Percentage points by which fewer of a page's objects have a field than before, above which a run is
    /// told (100: never).
    pub coverage_points: f64,
    /// An unfinished run without a commit for so long is told by whoever sees it (zero: never).
    pub stall: Duration,
    /// The age of the last good run above which a run that is not good tells so.
    pub run_age: Duration,
    /// Bytes free on the data folder's disk below which a run is told.
    pub free_bytes: u64,
    /// Whether runs that ended well are told too.
    pub reports: bool,
    /// Takes the secrets out of a text that is to be told.
    pub hide: fn(&str) -> String,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            tells: true,
            channels: Vec::new(),
            window: Duration::from_hours(6),
            exits: vec![1, 2, 10, 11, 20, 30, 70],
            rejected_percent: 5.0,
            unfetched_percent: 20.0,
            items_percent: 50.0,
            rate: 0.0,
            hit_rate: 0.0,
            coverage_points: 20.0,
            stall: Duration::from_hours(1),
            run_age: Duration::from_hours(36),
            free_bytes: 1000 << 20,
            reports: false,
            hide: str::to_owned,
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// All is well.
    Info,
    /// A person should look.
    Warning,
    /// Data is missing until a person has acted.
    Critical,
}

impl Severity {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What is said beside the title.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// What happened, a line each.
    pub lines: Vec<String>,
    /// Since when, an instant.
    pub since: Option<String>,
    /// Figures by name.
    pub numbers: Map<String, serde_json::Value>,
    /// The command to look further.
    pub command: String,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notice {
    /// Words of what it is about, the gravest first.
    pub(crate) kinds: Vec<String>,
    pub(crate) severity: Severity,
    /// The run, if it is about one.
    pub(crate) run: Option<String>,
    /// Of whom or of what it is: the same kinds of the same subject are the same trouble.
    pub(crate) subject: String,
    pub(crate) title: String,
    pub(crate) details: Details,
}

impl Rules {
    /// The alert of a notice, with an id of its own.
    pub(crate) fn alert(&self, notice: Notice) -> NewAlert {
        debug_assert!(notice.kinds.iter().take(1).all(|word| kind::is_known(word)));
        let clean = |text: &str| one_line(&(self.hide)(text), words::LINE_CHARS);
        let mut details = notice.details;
        details.lines = details.lines.iter().map(|line| clean(line)).collect();
        details.lines.truncate(words::MAX_LINES);
        NewAlert {
            id: new_id(),
            key: format!("{}/{}", notice.kinds.join("+"), notice.subject),
            kind: notice.kinds.into_iter().next().unwrap_or_default(),
            severity: notice.severity.as_str().to_owned(),
            run: notice.run,
            title: one_line(&(self.hide)(&notice.title), TITLE_CHARS),
            // Text keys and finite numbers: this cannot fail.
            details: serde_json::to_string(&details).unwrap_or_default(),
            window_seconds: i64::try_from(self.window.as_secs()).unwrap_or(i64::MAX),
            channels: self.channels.clone(),
        }
    }
}

/// An alert that says that a channel works.
pub fn test_alert(now: catalog::Instant) -> AlertRow {
    let details = Details {
        lines: vec!["This is a test: whoever reads it will be told when a run fails.".to_owned()],
        since: None,
        numbers: Map::new(),
        command: "tiki alerts list".to_owned(),
    };
    AlertRow {
        id: new_id(),
        kind: "test".to_owned(),
        severity: Severity::Info.as_str().to_owned(),
        run: None,
        title: "a test of tiki's alerts".to_owned(),
        details: serde_json::to_string(&details).unwrap_or_default(),
        seen: 1,
        first_at: now,
        last_at: now,
        deliveries: Vec::new(),
    }
}

/// An alert as it is sent where no outbox has it.
pub fn as_row(alert: &NewAlert, now: catalog::Instant) -> AlertRow {
    AlertRow {
        id: alert.id.clone(),
        kind: alert.kind.clone(),
        severity: alert.severity.clone(),
        run: alert.run.clone(),
        title: alert.title.clone(),
        details: alert.details.clone(),
        seen: 1,
        first_at: now,
        last_at: now,
        deliveries: Vec::new(),
    }
}

/// 32 hexadecimal digits that nobody had before.
fn new_id() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let chance = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", chance(), chance())
}
