//! What is told by somebody who looks from time to time, because whoever failed cannot tell it: runs that
//! hang or were killed, runs that do not come, a full disk, a warehouse that is away.
//!
//! Not here: who looks, and how often (`tiki`).

use std::path::Path;

use catalog::Instant;
use serde_json::{Map, json};
use warehouse::{NewAlert, Run, RunState, StepRow, Warehouse};

use super::{Details, Notice, Rules, Severity, kind};
use crate::{Result, disk};

const MINUTE_MILLIS: i64 = 60_000;
const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;

/// Looks at the runs of a warehouse, and at the disk of the data folder.
pub async fn watch(warehouse: &Warehouse, rules: &Rules, folder: &Path) -> Result<Vec<NewAlert>> {
    if !rules.tells {
        return Ok(Vec::new());
    }
    let mut seen = Vec::new();
    let probe = warehouse.probe().await?;
    let now = probe.time;
    if !rules.stall.is_zero() {
        for run in warehouse.unfinished_runs().await? {
            let steps = warehouse.steps(&run.id).await?;
            seen.extend(stalled(&run, &steps, now, rules));
        }
    }
    if let Some(good) = probe.last_good {
        seen.extend(stale(&good.id, good.crawled_at, now, rules));
    }
    if let Ok(space) = disk::space(folder) {
        seen.extend(crowded(space.free, rules));
    }
    Ok(seen.into_iter().map(|notice| rules.alert(notice)).collect())
}

/// A run that nobody works on, or at which nothing comes of the work.
pub(super) fn stalled(run: &Run, steps: &[StepRow], now: Instant, rules: &Rules) -> Option<Notice> {
    let quiet = now.millis_since(run.last_commit_at).max(0);
    if run.state != RunState::Open || u128::from(quiet.unsigned_abs()) < rules.stall.as_millis() {
        return None;
    }
    // What failed was told when it failed, and what was interrupted needs no telling.
    let failed = steps
        .iter()
        .any(|step| !step.closed && step.exit_code.is_some());
    let how = if run.leased {
        "is at work and gets nowhere"
    } else if failed {
        return None;
    } else {
        "stopped without an end: its process was killed, or nothing began its next step"
    };
    let open = steps.iter().rev().find(|step| !step.closed);
    let mut lines = vec![format!(
        "nothing was written for {} min",
        quiet / MINUTE_MILLIS
    )];
    lines.extend(open.map(|step| format!("at step {}", step.step)));
    lines.push(format!(
        "beginning it again goes on where it stopped; `tiki runs close {}` ends it with what it has",
        run.id
    ));
    Some(Notice {
        kinds: vec![kind::STALLED.to_owned()],
        severity: Severity::Critical,
        run: Some(run.id.clone()),
        // Another run that hangs is another trouble.
        subject: run.id.clone(),
        title: format!("run {} ({}) {how}", run.id, run.owner),
        details: Details {
            lines,
            since: Some(run.last_commit_at.to_string()),
            numbers: [("quiet_minutes".to_owned(), json!(quiet / MINUTE_MILLIS))]
                .into_iter()
                .collect(),
            command: format!("tiki runs show {}", run.id),
        },
    })
}

/// The last good run is too long ago.
pub(super) fn stale(id: &str, ended: Instant, now: Instant, rules: &Rules) -> Option<Notice> {
    let age = now.millis_since(ended).max(0);
    if u128::from(age.unsigned_abs()) <= rules.run_age.as_millis() {
        return None;
    }
    let hours = age / HOUR_MILLIS;
    Some(Notice {
        kinds: vec![kind::FRESHNESS.to_owned()],
        severity: Severity::Warning,
        run: None,
        subject: String::new(),
        title: format!("no run has ended well for {hours} h"),
        details: Details {
            lines: vec![format!(
                "{id} was the last one; is whatever begins runs at work (cron, Airflow, `tiki serve`)?"
            )],
            since: Some(ended.to_string()),
            numbers: [("age_hours".to_owned(), json!(hours))]
                .into_iter()
                .collect(),
            command: "tiki runs".to_owned(),
        },
    })
}

/// There is little room on the data folder's disk.
pub(super) fn crowded(free: u64, rules: &Rules) -> Option<Notice> {
    if free >= rules.free_bytes {
        return None;
    }
    let (free, limit) = (free >> 20, rules.free_bytes >> 20);
    Some(Notice {
        kinds: vec![kind::DISK.to_owned()],
        severity: Severity::Critical,
        run: None,
        subject: String::new(),
        title: format!("{free} MB are free on the disk of the data folder (limit {limit})"),
        details: Details {
            lines: vec!["runs end with 1 when it is full; what was committed is kept".to_owned()],
            since: None,
            numbers: [("free_mb".to_owned(), json!(free))].into_iter().collect(),
            command: "tiki health".to_owned(),
        },
    })
}

/// A warehouse that could not be reached since an instant.
pub fn away(seen: &str, since: Instant, rules: &Rules) -> Option<NewAlert> {
    rules.tells.then(|| {
        rules.alert(Notice {
            kinds: vec![kind::WAREHOUSE.to_owned()],
            severity: Severity::Critical,
            run: None,
            subject: String::new(),
            title: "the warehouse cannot be reached".to_owned(),
            details: Details {
                lines: vec![seen.to_owned()],
                since: Some(since.to_string()),
                numbers: Map::new(),
                command: "tiki health".to_owned(),
            },
        })
    })
}
