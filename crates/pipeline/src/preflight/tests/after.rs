use catalog::Instant;
use std::time::Duration;
use warehouse::{AlertRow, DeliveryRow, DeliveryState, Run, RunState};

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
        stopped: Vec::new(),
        alerts: Vec::new(),
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

/// An alert of so many hours ago, and where its one delivery stands.
fn alert(hours: i64, kind: &str, state: DeliveryState, tries: i64) -> AlertRow {
    let at = now().plus_millis(-hours * HOUR);
    AlertRow {
        id: "a".into(),
        kind: kind.into(),
        severity: "warning".into(),
        run: None,
        title: "the site refuses".into(),
        details: "{}".into(),
        seen: 1,
        first_at: at,
        last_at: at,
        deliveries: vec![DeliveryRow {
            channel: "slack".into(),
            state,
            tries,
            next_at: at,
            sent_at: None,
            error: None,
        }],
    }
}

#[test]
fn alerts_of_the_last_day_are_told_and_whether_they_arrived() {
    use DeliveryState as D;
    for (alerts, expected, said) in [
        (vec![], Fine, "none"),
        (vec![alert(25, "exit-20", D::Sent, 1)], Fine, "none"),
        (vec![alert(1, "report", D::Sent, 1)], Fine, "none"),
        (
            vec![
                alert(24, "exit-20", D::Sent, 1),
                alert(1, "disk", D::Sent, 1),
            ],
            Warning,
            "2, the newest: the site refuses",
        ),
        (
            vec![
                alert(1, "exit-20", D::Failed, 9),
                alert(1, "disk", D::Waiting, 0),
            ],
            Warning,
            "2, the newest: the site refuses; 1 did not arrive where they should",
        ),
    ] {
        let mut seen = ledger(vec![run(1, |_| {})], Some(1));
        if let Ok(ledger) = &mut seen {
            ledger.alerts = alerts;
        }
        let checks = after(&seen, OLDEST);
        let found = line(&checks, "alerts");
        assert_state(found, expected, said);
        assert_eq!(found.seen, said);
    }
}

#[test]
fn a_run_that_stopped_half_way_is_a_failure() {
    let mut seen = ledger(vec![run(1, |run| run.state = RunState::Open)], Some(1));
    if let Ok(ledger) = &mut seen {
        ledger.stopped = vec![
            ("r1".into(), Some(("crawl-categories".into(), 2))),
            ("of-last-week".into(), Some(("load-products".into(), 30))),
        ];
    }
    let checks = after(&seen, OLDEST);
    let found = line(&checks, "failures");
    assert_state(found, Failed, "stopped");
    assert_eq!(
        found.seen,
        "1 of 1: r1 (stopped at crawl-categories, exit code 2)"
    );
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
