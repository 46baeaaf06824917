use catalog::Instant;
use std::time::Duration;
use warehouse::{Run, RunState};

use super::*;
use crate::preflight::after::*;

const HOUR: i64 = 3_600_000;
const OLDEST: Duration = Duration::from_hours(36);

fn now() -> Instant {
    Instant::from_millis(1_800_000_000_000)
}

/// A run that was begun and ended well so many hours ago.
fn run(hours: i64, change: impl FnOnce(&mut Run)) -> Run {
    let at = now().plus_millis(-hours * HOUR);
    let mut run = Run {
        id: format!("r{hours}"),
        number: 1,
        owner: "airflow:tiki_crawl_products_optimized".into(),
        state: RunState::Done,
        scope: String::new(),
        scope_key: String::new(),
        clock_at: at,
        created_at: at,
        finished_at: Some(at),
        exit_code: Some(0),
        totals: None,
        last_commit_at: at,
        leased: false,
        drift: None,
    };
    change(&mut run);
    run
}

#[allow(clippy::unnecessary_wraps, reason = "as it is asked for")]
fn ledger(runs: Vec<Run>, last_good: Option<i64>) -> Result<Ledger, String> {
    Ok(Ledger {
        now: now(),
        runs,
        last_good: last_good.map(|hours| now().plus_millis(-hours * HOUR)),
    })
}

#[test]
fn the_last_day_is_told_up_to_the_limits_themselves() {
    let well = || ledger(vec![run(24, |_| {})], Some(36));
    let one = |change: fn(&mut Run)| ledger(vec![run(1, change)], Some(1));
    let old = || ledger(vec![run(25, |run| run.exit_code = Some(20))], Some(37));
    for (name, seen, expected) in [
        ("runs", well(), Fine),
        ("runs", old(), Failed),
        ("scheduled-runs", well(), Fine),
        (
            "scheduled-runs",
            one(|run| run.owner = "serve".into()),
            Fine,
        ),
        (
            "scheduled-runs",
            one(|run| run.owner = "cli".into()),
            Warning,
        ),
        ("scheduled-runs", old(), Skipped),
        ("failures", well(), Fine),
        ("failures", old(), Fine),
        ("failures", one(|run| run.exit_code = Some(10)), Failed),
        ("failures", one(|run| run.state = RunState::Held), Failed),
        (
            "failures",
            one(|run| run.state = RunState::Abandoned),
            Failed,
        ),
        ("failures", one(|run| run.state = RunState::Open), Fine),
        ("freshness", well(), Fine),
        ("freshness", old(), Failed),
        ("freshness", ledger(Vec::new(), None), Failed),
        ("ledger", Err("gone".into()), Failed),
    ] {
        assert_state(
            line(&after(&seen, OLDEST), name),
            expected,
            &format!("{name} {seen:?}"),
        );
    }
}

#[test]
fn failures_name_their_runs() {
    let bad = |hours| run(hours, |run| run.exit_code = Some(30));
    let checks = after(&ledger((1..9).map(bad).collect(), None), OLDEST);
    let seen = &line(&checks, "failures").seen;
    assert!(
        seen.starts_with("8 of 8: r1 (done, exit code 30); "),
        "{seen}"
    );
    assert!(seen.contains("r5") && !seen.contains("r6"), "{seen}");
}
