//! What is told of steps at which something failed.

use warehouse::{Attempt, ErrorKind, ErrorRow, Host, NO_RUN};

use crate::store::Store;

on_both!(
    a_failure_is_told_also_once_its_step_was_done,
    failures_of_the_same_words_are_counted_together,
    a_step_tells_what_no_attempt_at_it_tells,
    nothing_is_told_twice,
    an_interruption_is_told_until_its_step_is_done,
    a_run_that_is_redone_keeps_its_failures,
    a_held_run_tells_why,
    who_was_fenced_tells_nothing_of_the_step,
    the_failed_attempts_of_a_run_are_told_one_by_one,
    an_event_has_one_time,
    a_clean_up_without_a_run_that_failed_is_told,
);

const STEP: &str = "get-cache-stats";

async fn told(store: &Store) -> Vec<ErrorRow> {
    let all = store.warehouse.errors(Some("r"), None, 1).await;
    let all = all.expect("errors");
    assert_eq!(
        store.warehouse.errors(None, None, 20).await.expect("all"),
        all
    );
    let of_steps = |row: &ErrorRow| row.kind == ErrorKind::Step;
    all.into_iter().filter(of_steps).collect()
}

/// The texts in their order, each with its count.
async fn texts(store: &Store) -> Vec<(String, i64)> {
    let rows = told(store).await.into_iter();
    let brief = |row: ErrorRow| (row.text.expect("a text"), row.count);
    let mut all: Vec<_> = rows.map(brief).collect();
    all.sort();
    all
}

fn once(text: &str) -> (String, i64) {
    (text.to_owned(), 1)
}

async fn end(store: &Store, attempt: &Attempt, failed: (i64, &str)) {
    let ended = store.warehouse.end_attempt(attempt, Some(failed), None);
    ended.await.expect("an end");
}

async fn fail(store: &Store, failed: (i64, &str)) {
    let attempt = store.attempt("r", STEP).await;
    end(store, &attempt, failed).await;
}

/// Does the step, with an exit code of its own.
async fn close(store: &Store, exit_code: i64) {
    let attempt = store.attempt("r", STEP).await;
    let closed = store.warehouse.close_step(&attempt, exit_code, "{}").await;
    assert!(closed.expect("an answer"));
    store.end(&attempt).await;
}

async fn now(store: &Store) -> catalog::Instant {
    store.warehouse.time().await.expect("a time")
}

async fn a_failure_is_told_also_once_its_step_was_done(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", STEP).await;
    let before = now(&store).await;
    end(&store, &attempt, (30, "the server is away")).await;
    let after = now(&store).await;
    let at_once = told(&store).await;
    close(&store, 0).await;
    let rows = told(&store).await;
    assert_eq!(rows, at_once);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let text = "exit 30 in get-cache-stats: the server is away";
    assert_eq!((rows[0].text.as_deref(), rows[0].count), (Some(text), 1));
    assert_eq!(rows[0].example.as_deref(), Some("the server is away"));
    assert_eq!(rows[0].first, rows[0].last);
    assert!(before <= rows[0].first && rows[0].last <= after, "{rows:?}");
    let step = store.warehouse.step("r", STEP).await.expect("an answer");
    let step = step.expect("a step");
    assert_eq!((step.exit_code, step.error), (Some(0), None));
}

async fn failures_of_the_same_words_are_counted_together(store: Store) {
    store.create_run("r").await;
    fail(&store, (30, "away")).await;
    let between = now(&store).await;
    fail(&store, (30, "away")).await;
    fail(&store, (20, "refused")).await;
    close(&store, 0).await;
    let twice = ("exit 30 in get-cache-stats: away".to_owned(), 2);
    let once = once("exit 20 in get-cache-stats: refused");
    assert_eq!(texts(&store).await, [once, twice]);
    let rows = told(&store).await;
    assert_eq!(rows[0].count, 2, "the most frequent first");
    assert!(
        rows[0].first <= between && between <= rows[0].last,
        "{rows:?}"
    );
}

async fn a_step_tells_what_no_attempt_at_it_tells(store: Store) {
    store.create_run("r").await;
    fail(&store, (30, "away")).await;
    // As a program left it whose attempts did not keep why they failed.
    let forget = "UPDATE attempts SET exit_code = NULL, error = NULL";
    store.seed(forget).await;
    let known = once("exit 30 in get-cache-stats: away");
    assert_eq!(texts(&store).await, [known]);
    close(&store, 10).await;
    assert_eq!(texts(&store).await, [once("exit 10 in get-cache-stats")]);
}

async fn nothing_is_told_twice(store: Store) {
    store.create_run("r").await;
    let refused = [once("exit 20 in get-cache-stats: refused")];
    fail(&store, (20, "refused")).await;
    assert_eq!(texts(&store).await, refused, "of a step that is open");
    close(&store, 20).await;
    assert_eq!(texts(&store).await, refused, "of one that nobody asked for");
}

async fn an_interruption_is_told_until_its_step_is_done(store: Store) {
    store.create_run("r").await;
    fail(&store, (130, "interrupted")).await;
    let attempt = store.attempt("r", STEP).await;
    pass_a_moment(&store).await;
    let before = now(&store).await;
    end(&store, &attempt, (130, "interrupted")).await;
    let rows = told(&store).await;
    assert!(
        before <= rows[0].first,
        "when it was written down, not when it began: {rows:?}"
    );
    let interrupted = [once("exit 130 in get-cache-stats: interrupted")];
    assert_eq!(texts(&store).await, interrupted);
    close(&store, 0).await;
    assert!(texts(&store).await.is_empty());
}

async fn a_run_that_is_redone_keeps_its_failures(store: Store) {
    store.create_run("r").await;
    fail(&store, (20, "refused")).await;
    close(&store, 20).await;
    pass_a_moment(&store).await;
    let redone = store.warehouse.redo("r", STEP, &[STEP]).await;
    redone.expect("redone");
    let before = once("exit 20 in get-cache-stats: refused");
    assert_eq!(texts(&store).await, std::slice::from_ref(&before));
    close(&store, 20).await;
    let anew = once("exit 20 in get-cache-stats");
    assert_eq!(texts(&store).await, [anew, before]);
}

async fn a_held_run_tells_why(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", "load-products").await;
    let held = store.warehouse.hold_run(&attempt, (11, "drift"), None);
    held.await.expect("held");
    // Its worker ends it too, and it is no more its own.
    end(&store, &attempt, (11, "run r is held")).await;
    let why = [once("exit 11 in load-products: drift")];
    assert_eq!(texts(&store).await, why);
    store.warehouse.accept_drift("r").await.expect("accepted");
    let redone = store.warehouse.redo("r", "load-products", &[]).await;
    redone.expect("redone");
    assert_eq!(texts(&store).await, why);
}

async fn who_was_fenced_tells_nothing_of_the_step(store: Store) {
    store.create_run("r").await;
    let slept = store.attempt("r", STEP).await;
    store.take_over("r", STEP).await;
    end(&store, &slept, (30, "away")).await;
    assert!(texts(&store).await.is_empty());
    let kept = "SELECT exit_code, error FROM attempts WHERE state = 'fenced'";
    assert_eq!(store.cell(kept).await, "~|~");
}

/// Begins a clean-up without a run, when whoever did so before is gone.
async fn begin_cleaning(store: &Store, process: &str) -> Attempt {
    let host = Host {
        name: "here boot space".into(),
        process: process.into(),
    };
    let begun = store.warehouse.begin_cleaning(&host, |_| true).await;
    begun.expect("an answer").expect("nobody else")
}

async fn pass_a_moment(store: &Store) {
    let begun = now(store).await;
    while now(store).await <= begun {}
}

async fn an_event_has_one_time(store: Store) {
    store.create_run("r").await;
    store.attempt("r", STEP).await;
    let begun = now(&store).await;
    pass_a_moment(&store).await;
    store.take_over("r", STEP).await;
    let second = store.attempt("r", "load-products").await;
    pass_a_moment(&store).await;
    let closed = store.warehouse.close_step(&second, 10, "{}").await;
    assert!(closed.expect("an answer"));
    let all = store.warehouse.errors(Some("r"), None, 1).await;
    let all = all.expect("errors");
    let kinds: Vec<ErrorKind> = all.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [ErrorKind::Step, ErrorKind::Attempt]);
    for row in all {
        assert_eq!((row.count, row.first), (1, row.last), "{row:?}");
        assert!(row.first > begun, "its end: {row:?}");
        assert_eq!(row.host.is_some(), row.kind == ErrorKind::Attempt);
    }
}

async fn a_clean_up_without_a_run_that_failed_is_told(store: Store) {
    let told = async |run: Option<&str>, since| {
        let rows = store.warehouse.errors(run, since, 20).await.expect("rows");
        rows.into_iter()
            .map(|row| (row.kind, row.run, row.text.expect("a text")))
            .collect::<Vec<_>>()
    };
    let of = |kind, text: &str| (kind, NO_RUN.to_owned(), text.to_owned());
    let killed = "its process was killed or lost, or another took over (cleanup-temp-files)";
    let killed = [of(ErrorKind::Attempt, killed)];
    begin_cleaning(&store, "1 2").await;
    assert_eq!(told(None, None).await, [], "it is at work");
    store
        .seed("UPDATE attempts SET lease_until = started_at")
        .await;
    pass_a_moment(&store).await;
    assert_eq!(told(None, None).await, killed, "there is no run");
    let next = begin_cleaning(&store, "3 4").await;
    assert_eq!(told(None, None).await, killed, "nor is it forgotten");
    end(&store, &next, (1, "disk full")).await;
    let next = begin_cleaning(&store, "5 6").await;
    let failed = [of(
        ErrorKind::Step,
        "exit 1 in cleanup-temp-files: disk full",
    )];
    assert_eq!(told(None, None).await, failed, "the newest");
    store.end(&next).await;
    assert_eq!(told(None, None).await, failed);
    pass_a_moment(&store).await;
    assert_eq!(told(None, Some(now(&store).await)).await, []);
    store.create_run("r").await;
    assert_eq!(told(None, None).await, [], "since the oldest of the runs");
    assert_eq!(told(Some("r"), None).await, []);
}

async fn the_failed_attempts_of_a_run_are_told_one_by_one(store: Store) {
    store.create_run("r").await;
    let failed = async |limit| {
        let found = store.warehouse.failed_attempts("r", limit).await;
        found.expect("attempts")
    };
    fail(&store, (30, "away")).await;
    store.attempt("r", STEP).await;
    let third = store.take_over("r", STEP).await;
    store.end(&third).await;
    let other = store.attempt("r", "load-products").await;
    assert_eq!(failed(9).await.len(), 2, "none that is at work");
    store.end(&other).await;
    fail(&store, (130, "interrupted")).await;
    let all = failed(9).await;
    let brief: Vec<_> = all
        .iter()
        .map(|one| (one.attempt, one.exit_code, one.error.as_deref()))
        .collect();
    let expected = [
        (1, Some(30), Some("away")),
        (2, None, None),
        (4, Some(130), Some("interrupted")),
    ];
    assert_eq!(brief, expected);
    assert!(all.iter().all(|one| one.step == STEP && one.shard == 0));
    assert_eq!(failed(1).await, all[2..], "the newest");
    close(&store, 0).await;
    assert_eq!(failed(9).await, all, "also once its step was done");
}
