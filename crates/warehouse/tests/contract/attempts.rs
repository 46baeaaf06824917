//! Who may work on a step.

use std::time::{Duration, Instant};

use warehouse::{Attempt, AttemptRequest, DetailOutcome, Error, Host};

use crate::store::{Store, answer, wish};

on_both!(
    a_second_worker_is_held_unless_it_joins,
    a_dead_process_is_replaced_at_once,
    a_higher_attempt_fences_a_lower_one,
    a_late_lower_attempt_is_held,
    a_fenced_attempt_commits_nothing,
    an_expired_lease_is_reaped,
    a_heartbeat_prolongs_the_lease,
    a_step_closes_only_when_nothing_is_open,
    what_was_claimed_is_given_back,
    only_a_claim_starts_the_clock_of_a_step,
    pauses_between_attempts_are_no_work,
    a_lease_of_a_clock_that_was_ahead_is_over,
    a_killed_worker_of_a_step_that_another_closed_is_not_live_for_ever,
);

const STEP: &str = "crawl-product-details";

async fn a_second_worker_is_held_unless_it_joins(store: Store) {
    store.create_run("r").await;
    let first = store.attempt("r", STEP).await;
    let held = store
        .warehouse
        .begin_attempt(&wish("r", STEP), |_| false)
        .await;
    assert_eq!(held.expect("an answer").expect_err("held").process, "1");
    let join = AttemptRequest {
        join: true,
        ..wish("r", STEP)
    };
    let joined = store.warehouse.begin_attempt(&join, |_| false).await;
    let joined = joined.expect("an answer").expect("one more worker");
    assert!(joined.epoch > first.epoch);
    store
        .warehouse
        .heartbeat(&first)
        .await
        .expect("both are alive");
    store
        .warehouse
        .heartbeat(&joined)
        .await
        .expect("both are alive");
    assert!(
        store
            .warehouse
            .run("r")
            .await
            .expect("a run")
            .expect("r")
            .leased
    );
    store.end(&first).await;
    store.end(&joined).await;
    store.attempt("r", STEP).await;
}

/// A worker of another host.
fn elsewhere() -> AttemptRequest {
    AttemptRequest {
        host: Host {
            name: "there".into(),
            process: "1".into(),
        },
        ..wish("r", STEP)
    }
}

async fn a_dead_process_is_replaced_at_once(store: Store) {
    store.create_run("r").await;
    let first = store.attempt("r", STEP).await;
    let elsewhere = elsewhere();
    let held = store.warehouse.begin_attempt(&elsewhere, |_| true).await;
    assert!(
        held.expect("an answer").is_err(),
        "of another host nobody knows"
    );
    let taken = store
        .warehouse
        .begin_attempt(&wish("r", STEP), |process| process == "1")
        .await;
    let taken = taken.expect("an answer").expect("the first is dead");
    let refused = store.warehouse.heartbeat(&first).await;
    assert!(matches!(refused, Err(Error::Fenced(epoch)) if epoch == first.epoch));
    store.warehouse.heartbeat(&taken).await.expect("alive");
}

fn try_number(attempt: i64, shard: i64) -> AttemptRequest {
    AttemptRequest {
        attempt: Some(attempt),
        shard,
        join: true,
        ..wish("r", STEP)
    }
}

async fn a_higher_attempt_fences_a_lower_one(store: Store) {
    store.create_run("r").await;
    let begin = async |wish: AttemptRequest| {
        let begun = store.warehouse.begin_attempt(&wish, |_| false).await;
        begun.expect("an answer").expect("begun")
    };
    let first = begin(try_number(1, 0)).await;
    let other_shard = begin(try_number(1, 1)).await;
    let second = begin(try_number(2, 0)).await;
    assert!(store.warehouse.heartbeat(&first).await.is_err());
    store
        .warehouse
        .heartbeat(&other_shard)
        .await
        .expect("another shard");
    store
        .warehouse
        .heartbeat(&second)
        .await
        .expect("the higher");
    let step = store
        .warehouse
        .step("r", STEP)
        .await
        .expect("a step")
        .expect("begun");
    assert_eq!((step.attempt, step.closed), (2, false));
    // The fenced one says nothing about the step any more.
    store
        .warehouse
        .end_attempt(&first, Some((30, "cut off")), None)
        .await
        .expect("an end");
    let step = store
        .warehouse
        .step("r", STEP)
        .await
        .expect("a step")
        .expect("begun");
    assert_eq!(step.error, None);
}

async fn a_late_lower_attempt_is_held(store: Store) {
    store.create_run("r").await;
    let second = store
        .warehouse
        .begin_attempt(&try_number(2, 0), |_| false)
        .await;
    let second = second.expect("an answer").expect("begun");
    let late = store
        .warehouse
        .begin_attempt(&try_number(1, 0), |_| false)
        .await;
    assert!(late.expect("an answer").is_err());
    store.warehouse.heartbeat(&second).await.expect("alive");
}

async fn a_fenced_attempt_commits_nothing(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1, 2], None).await;
    let begin = async |number| {
        let begun = store
            .warehouse
            .begin_attempt(&try_number(number, 0), |_| false)
            .await;
        begun.expect("an answer").expect("begun")
    };
    let first = begin(1).await;
    let asks = store
        .warehouse
        .next_details(&first, 2)
        .await
        .expect("a claim")
        .expect("two");
    let second = begin(2).await;
    let answers = asks
        .iter()
        .cloned()
        .map(|ask| answer(ask, DetailOutcome::Gone));
    let refused = store
        .warehouse
        .commit_details(&first, answers.collect())
        .await;
    assert!(matches!(refused, Err(Error::Fenced(_))), "{refused:?}");
    assert!(matches!(
        store.warehouse.next_details(&first, 2).await,
        Err(Error::Fenced(_))
    ));
    let counts = store.warehouse.detail_counts("r").await.expect("counts");
    assert_eq!(counts, [("due".to_owned(), 2)]);
    assert_eq!(store.cell("SELECT COUNT(*) FROM product_state").await, "0");
    // What it had claimed is free as soon as its refused transaction has ended, whose rows are skipped
    // until then; no lease has to run out first.
    let (begun, mut claimed) = (Instant::now(), 0);
    while claimed < 2 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{claimed}");
        let again = store.warehouse.next_details(&second, 2).await;
        claimed += again.expect("a claim").expect("work that is open").len();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(claimed, 2);
}

async fn an_expired_lease_is_reaped(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    let silent = store.attempt("r", STEP).await;
    store
        .warehouse
        .next_details(&silent, 1)
        .await
        .expect("a claim");
    let join = AttemptRequest {
        join: true,
        ..wish("r", STEP)
    };
    let waiting = store.warehouse.begin_attempt(&join, |_| false).await;
    let waiting = waiting.expect("an answer").expect("joined");
    store
        .warehouse
        .reap(&waiting)
        .await
        .expect("nothing to reap");
    let none = store
        .warehouse
        .next_details(&waiting, 1)
        .await
        .expect("an answer");
    assert_eq!(none, Some(Vec::new()), "the other holds it");
    let old = "UPDATE attempts SET lease_until = '2020-01-01T00:00:00.000Z' WHERE epoch =";
    store.seed(&format!("{old} {}", silent.epoch)).await;
    store
        .warehouse
        .reap(&waiting)
        .await
        .expect("the silent one ends");
    assert!(store.warehouse.heartbeat(&silent).await.is_err());
    let some = store
        .warehouse
        .next_details(&waiting, 1)
        .await
        .expect("an answer");
    assert_eq!(some.expect("one").len(), 1);
    // Also without reaping whoever comes replaces it.
    store.seed(&format!("{old} {}", waiting.epoch)).await;
    store.attempt("r", STEP).await;
    assert!(store.warehouse.heartbeat(&waiting).await.is_err());
}

async fn a_heartbeat_prolongs_the_lease(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", STEP).await;
    let old = "UPDATE attempts SET lease_until = '2020-01-01T00:00:00.000Z'";
    store.seed(old).await;
    assert!(
        !store
            .warehouse
            .run("r")
            .await
            .expect("a run")
            .expect("r")
            .leased
    );
    store
        .warehouse
        .heartbeat(&attempt)
        .await
        .expect("nobody has taken over");
    assert!(
        store
            .warehouse
            .run("r")
            .await
            .expect("a run")
            .expect("r")
            .leased
    );
}

async fn a_step_closes_only_when_nothing_is_open(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    let attempt = store.attempt("r", STEP).await;
    let close = async || {
        let closed = store.warehouse.close_step(&attempt, 0, r#"{"n":1}"#).await;
        closed.expect("an answer")
    };
    assert!(!close().await, "pending");
    let asks = store
        .warehouse
        .next_details(&attempt, 1)
        .await
        .expect("a claim")
        .expect("one");
    assert!(!close().await, "claimed");
    assert_eq!(
        store.warehouse.open_rows(&attempt).await.expect("a count"),
        1
    );
    let answers = vec![answer(asks[0].clone(), DetailOutcome::Gone)];
    store
        .warehouse
        .commit_details(&attempt, answers)
        .await
        .expect("a commit");
    assert!(close().await);
    let step = store
        .warehouse
        .step("r", STEP)
        .await
        .expect("a step")
        .expect("begun");
    assert!(
        step.closed && step.report.as_deref() == Some(r#"{"n":1}"#),
        "{step:?}"
    );
    assert_eq!(
        store
            .warehouse
            .next_details(&attempt, 1)
            .await
            .expect("an answer"),
        None
    );
}

async fn what_was_claimed_is_given_back(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    let first = store.attempt("r", STEP).await;
    store
        .warehouse
        .next_details(&first, 1)
        .await
        .expect("a claim");
    store
        .warehouse
        .end_attempt(&first, Some((130, "interrupted")), None)
        .await
        .expect("an end");
    let step = store
        .warehouse
        .step("r", STEP)
        .await
        .expect("a step")
        .expect("begun");
    assert_eq!(step.error.as_deref(), Some("interrupted"));
    let second = store.attempt("r", STEP).await;
    let asks = store
        .warehouse
        .next_details(&second, 1)
        .await
        .expect("a claim");
    assert_eq!(asks.expect("one").len(), 1);
}

async fn only_a_claim_starts_the_clock_of_a_step(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", STEP).await;
    let claimed = async |attempt: &Attempt| {
        let claim = store.warehouse.next_details(attempt, 1).await;
        claim.expect("an answer");
        let worked = store.warehouse.worked(attempt).await;
        worked.expect("an answer").claimed
    };
    assert_eq!(claimed(&attempt).await, None);
    store.end(&attempt).await;
    store.plan("r", &[1], None).await;
    let attempt = store.attempt("r", STEP).await;
    let seconds = claimed(&attempt).await;
    assert!(seconds.is_some_and(|seconds| seconds >= 0.0), "{seconds:?}");
}

async fn pauses_between_attempts_are_no_work(store: Store) {
    store.create_run("r").await;
    for step in [STEP, "load-products"] {
        let mut attempts = Vec::new();
        for (state, begun, ended) in [
            ("ended", "00:00", "00:10"),
            // Killed, and found so after an hour; another worked beside it.
            ("fenced", "10:00", "10:20"),
            ("ended", "10:10", "10:30"),
        ] {
            let attempt = store.attempt("r", step).await;
            store.end(&attempt).await;
            let time = |minutes: &str| format!("'2026-01-01T00:{minutes}.000Z'");
            let (begun, ended, epoch) = (time(begun), time(ended), attempt.epoch);
            let late = if state == "fenced" {
                "'2026-01-01T01:10:00.000Z'".to_owned()
            } else {
                ended.clone()
            };
            let sql = format!(
                "UPDATE attempts SET state = '{state}', started_at = {begun}, first_claim_at = {begun},
                    last_commit_at = {ended}, ended_at = {late} WHERE epoch = {epoch}"
            );
            store.seed(&sql).await;
            attempts.push(attempt);
        }
        let set_begun = async |time: &str| {
            let sql = format!(
                "UPDATE run_steps SET started_at = '2026-01-01T00:{time}.000Z' WHERE step = '{step}'"
            );
            store.seed(&sql).await;
        };
        let worked = async || {
            // As an attempt of before sees it, so that no time passes.
            let mut other = attempts[0].clone();
            other.epoch = 0;
            let worked = store.warehouse.worked(&other).await.expect("an answer");
            assert_eq!(worked.claimed, Some(worked.seconds), "{step}");
            worked.seconds.round() as i64
        };
        set_begun("00:00").await;
        assert_eq!(worked().await, 40, "{step}");
        // Redone: a crawl keeps what it had, a load begins anew.
        set_begun("05:00").await;
        let left = if step == STEP { 40 } else { 30 };
        assert_eq!(worked().await, left, "{step}");
    }
}

async fn a_lease_of_a_clock_that_was_ahead_is_over(store: Store) {
    store.create_run("r").await;
    store.attempt("r", STEP).await;
    let elsewhere = elsewhere();
    let refused = store.warehouse.begin_attempt(&elsewhere, |_| false).await;
    assert!(refused.expect("an answer").is_err(), "it is at work");
    let ahead = "UPDATE attempts SET lease_until = '2999-01-01T00:00:00.000Z'";
    store.seed(ahead).await;
    let run = store.warehouse.run("r").await.expect("an answer");
    assert!(!run.expect("a run").leased);
    let taken = store.warehouse.begin_attempt(&elsewhere, |_| false).await;
    taken
        .expect("an answer")
        .expect("the other's lease is over");
}

async fn a_killed_worker_of_a_step_that_another_closed_is_not_live_for_ever(store: Store) {
    store.create_run("r").await;
    let first = store.attempt("r", STEP).await;
    let join = AttemptRequest {
        join: true,
        ..wish("r", STEP)
    };
    let killed = store.warehouse.begin_attempt(&join, |_| false).await;
    let killed = killed.expect("an answer").expect("joined");
    assert!(
        store
            .warehouse
            .close_step(&first, 0, "{}")
            .await
            .expect("an answer")
    );
    store.end(&first).await;
    store.finish_run("r").await;
    let live = "SELECT epoch FROM attempts WHERE state = 'live'";
    assert_eq!(store.rows(live).await, [killed.epoch.to_string()]);
    store
        .seed("UPDATE attempts SET lease_until = '2020-01-01T00:00:00.000Z'")
        .await;
    store.create_run("next").await;
    assert!(store.rows(live).await.is_empty());
}
