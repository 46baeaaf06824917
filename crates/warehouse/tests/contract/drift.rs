//! What differs in a run, and runs that are held for it.

use warehouse::{Attempt, DriftRow, Error, Run, RunState};

use crate::listings::{listed_run, page_of};
use crate::products::{listed, listing};
use crate::store::{Arrival, Store, at, merge, wish};

on_both!(
    what_differs_is_kept_until_it_is_found_anew,
    workers_that_find_the_same_at_the_same_time_agree,
    nobody_works_on_a_held_run,
    a_fenced_worker_holds_nothing,
    an_accepted_run_is_loaded,
    a_rejected_run_adds_up_and_changes_nothing,
    only_a_held_run_is_decided_about,
    redoing_a_rejected_run_has_it_judged_anew,
);

const LOAD: &str = "load-products";
const STOPPED: i64 = 11;

type Loaded = warehouse::Result<Option<Vec<(i64, warehouse::Outcome)>>>;

fn finding(field: &str, kind: &str, stops: bool) -> DriftRow {
    DriftRow {
        source: "api".into(),
        endpoint: "detail".into(),
        root: 8322,
        field: field.into(),
        kind: kind.into(),
        was: 0.75,
        now_is: 0.0,
        sample: 400,
        stops,
    }
}

async fn run(store: &Store, id: &str) -> Run {
    let run = store.warehouse.run(id).await.expect("an answer");
    run.expect("it is there")
}

/// A run with a product that is listed and one that is rechecked, both staged.
async fn staged_run(store: &Store, id: &str, price: i64) {
    listed_run(
        store,
        id,
        &[(7, page_of(vec![listing(1, price)], at(price)))],
    )
    .await;
    store.plan(id, &[1], Some(7)).await;
    store.plan(id, &[2], None).await;
    let attempt = store.attempt(id, "crawl-product-details").await;
    let asks = store.warehouse.next_details(&attempt, 9).await;
    let answers = asks.expect("a claim").expect("two").into_iter();
    let answers = answers.map(|ask| crate::store::answer(ask, warehouse::DetailOutcome::Gone));
    store
        .warehouse
        .commit_details(&attempt, answers.collect())
        .await
        .expect("kept");
    store.end(&attempt).await;
    let arrivals = vec![
        listed(listing(1, price), at(price)),
        Arrival::Gone(2, at(price)),
    ];
    store.stage(id, arrivals).await;
}

/// Holds a run as its load does; the attempt that did it.
async fn hold(store: &Store, id: &str) -> Attempt {
    let attempt = store.attempt(id, LOAD).await;
    let rows = [finding("price", "vanished", true)];
    let stored = store.warehouse.store_drift(&attempt, &rows).await;
    stored.expect("stored");
    let held = store
        .warehouse
        .hold_run(&attempt, (STOPPED, "drift"), None)
        .await;
    held.expect("held");
    attempt
}

fn is_refused<T: std::fmt::Debug>(answer: &warehouse::Result<T>, id: &str, state: &str) -> bool {
    matches!(answer, Err(Error::RunState { run, wanted }) if run == id && *wanted == state)
}

async fn what_differs_is_kept_until_it_is_found_anew(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", LOAD).await;
    let (price, name) = (
        finding("price", "vanished", true),
        finding("name", "presence", false),
    );
    let other = DriftRow {
        root: -1,
        ..name.clone()
    };
    for (rows, kept) in [
        (
            vec![price.clone(), name.clone(), other.clone()],
            vec![other, name.clone(), price],
        ),
        (vec![name.clone()], vec![name]),
        (vec![], vec![]),
    ] {
        let stored = store.warehouse.store_drift(&attempt, &rows).await;
        stored.expect("stored");
        assert_eq!(store.warehouse.drift("r").await.expect("rows"), kept);
    }
    store.take_over("r", LOAD).await;
    let rows = [finding("price", "range", true)];
    let fenced = store.warehouse.store_drift(&attempt, &rows).await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert!(store.warehouse.drift("r").await.expect("rows").is_empty());
}

async fn workers_that_find_the_same_at_the_same_time_agree(store: Store) {
    store.create_run("r").await;
    let rows: Vec<DriftRow> = ["name", "price", "thumbnail_url"]
        .map(|field| finding(field, "presence", true))
        .into();
    let all = std::sync::Arc::new(tokio::sync::Barrier::new(6));
    let mut tasks = Vec::new();
    for shard in 0..6 {
        let (warehouse, rows) = (store.again().await, rows.clone());
        let all = std::sync::Arc::clone(&all);
        let mut wish = wish("r", LOAD);
        (wish.shard, wish.join) = (shard, true);
        tasks.push(tokio::spawn(async move {
            let begun = warehouse.begin_attempt(&wish, |_| false).await;
            let attempt = begun.expect("an answer").expect("joined");
            for _ in 0..20 {
                all.wait().await;
                let stored = warehouse.store_drift(&attempt, &rows).await;
                stored.expect("stored");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(store.warehouse.drift("r").await.expect("rows"), rows);
}

/// Loads a batch. The one that another was refused is skipped until that transaction has ended.
async fn load_once_free(store: &Store, worker: &Attempt) -> Loaded {
    let begun = std::time::Instant::now();
    loop {
        let loaded = store.warehouse.load_batch(worker, &merge()).await;
        let skipped = matches!(&loaded, Ok(Some(batch)) if batch.is_empty());
        if !skipped || begun.elapsed().as_secs() >= 10 {
            return loaded;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn nobody_works_on_a_held_run(store: Store) {
    staged_run(&store, "r", 1).await;
    let mut joined = wish("r", LOAD);
    (joined.shard, joined.join) = (1, true);
    let beside = store.warehouse.begin_attempt(&joined, |_| false).await;
    let beside = beside.expect("an answer").expect("joined");
    let mut joined = joined.clone();
    joined.shard = 0;
    let attempt = store.warehouse.begin_attempt(&joined, |_| false).await;
    let attempt = attempt.expect("an answer").expect("joined");
    let held = store
        .warehouse
        .hold_run(&attempt, (STOPPED, "drift"), None)
        .await;
    held.expect("held");
    let found = run(&store, "r").await;
    assert_eq!(
        (found.state, found.exit_code, found.drift, found.leased),
        (RunState::Held, Some(STOPPED), None, false)
    );
    assert_eq!(found.finished_at, None);
    for worker in [&attempt, &beside] {
        let fenced = load_once_free(&store, worker).await;
        assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
        let again = store
            .warehouse
            .hold_run(worker, (STOPPED, "drift"), None)
            .await;
        assert!(is_refused(&again, "r", "open"), "{again:?}");
        store.end(worker).await;
    }
    let alone = wish("r", LOAD);
    let begun = store.warehouse.begin_attempt(&alone, |_| true).await;
    assert!(is_refused(&begun, "r", "open"), "{begun:?}");
    let redone = store.warehouse.redo("r", LOAD, &[LOAD]).await;
    assert!(redone.is_err(), "{redone:?}");
    store.finish_run("r").await;
    assert_eq!(run(&store, "r").await.state, RunState::Held);
    // Another may begin beside it.
    store.create_run("r2").await;
    let held = store.warehouse.held_runs(9).await.expect("runs");
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].id, "r");
    assert!(store.warehouse.held_runs(0).await.expect("runs").is_empty());
    assert_eq!(store.cell("SELECT COUNT(*) FROM products").await, "0");
}

async fn a_fenced_worker_holds_nothing(store: Store) {
    store.create_run("r").await;
    let first = store.attempt("r", LOAD).await;
    let second = store.take_over("r", LOAD).await;
    let fenced = store
        .warehouse
        .hold_run(&first, (STOPPED, "drift"), None)
        .await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert_eq!(run(&store, "r").await.state, RunState::Open);
    let lives = store.warehouse.heartbeat(&second).await;
    lives.expect("the other lives");
}

async fn an_accepted_run_is_loaded(store: Store) {
    staged_run(&store, "r", 1).await;
    hold(&store, "r").await;
    store.warehouse.accept_drift("r").await.expect("accepted");
    let found = run(&store, "r").await;
    assert_eq!((found.state, found.exit_code), (RunState::Open, None));
    assert_eq!(found.drift.as_deref(), Some("accepted"));
    assert_eq!(store.warehouse.drift("r").await.expect("rows").len(), 1);
    assert_eq!(store.load_staged("r", &merge()).await.len(), 2);
    let counts = store.warehouse.identities("r").await.expect("counts");
    assert_eq!(counts.broken(), Vec::<String>::new());
    store.finish_run("r").await;
    assert_eq!(run(&store, "r").await.state, RunState::Done);
    assert!(store.warehouse.held_runs(9).await.expect("runs").is_empty());
}

async fn a_rejected_run_adds_up_and_changes_nothing(store: Store) {
    staged_run(&store, "r1", 1).await;
    store.load_staged("r1", &merge()).await;
    store.finish_run("r1").await;
    let digest = store.warehouse.digest().await.expect("a digest");
    staged_run(&store, "r2", 2).await;
    let asked = "SELECT COUNT(*) FROM product_state";
    assert_eq!(store.cell(asked).await, "2");
    hold(&store, "r2").await;
    store.warehouse.reject_drift("r2").await.expect("rejected");
    let counts = store.warehouse.identities("r2").await.expect("counts");
    assert_eq!(counts.broken(), Vec::<String>::new());
    assert_eq!(counts.products.unobserved, 2);
    let staged = "SELECT COUNT(*) FROM staged_products WHERE run_id = 'r2'";
    assert_eq!(store.cell(staged).await, "0");
    // Both details are asked again next time.
    assert_eq!(store.cell(asked).await, "0");
    assert_eq!(store.warehouse.digest().await.expect("a digest"), digest);
    let found = run(&store, "r2").await;
    assert_eq!(found.state, RunState::Abandoned);
    assert_eq!(found.drift.as_deref(), Some("rejected"));
    assert!(found.finished_at.is_some());
    let ended = store
        .warehouse
        .finish_run("r2", RunState::Abandoned, STOPPED, r#"{"a":1}"#, None)
        .await;
    ended.expect("an end");
    let found = run(&store, "r2").await;
    assert_eq!(
        (found.state, found.exit_code, found.totals.as_deref()),
        (RunState::Abandoned, Some(STOPPED), Some(r#"{"a":1}"#))
    );
    assert_eq!(found.drift.as_deref(), Some("rejected"));
}

async fn only_a_held_run_is_decided_about(store: Store) {
    store.create_run("open").await;
    for id in ["open", "unknown"] {
        let accepted = store.warehouse.accept_drift(id).await;
        assert!(is_refused(&accepted, id, "held"), "{accepted:?}");
        let rejected = store.warehouse.reject_drift(id).await;
        assert!(is_refused(&rejected, id, "held"), "{rejected:?}");
    }
    let found = run(&store, "open").await;
    assert_eq!((found.state, found.drift), (RunState::Open, None));
    hold(&store, "open").await;
    store.warehouse.reject_drift("open").await.expect("once");
    let accepted = store.warehouse.accept_drift("open").await;
    assert!(is_refused(&accepted, "open", "held"), "{accepted:?}");
}

async fn redoing_a_rejected_run_has_it_judged_anew(store: Store) {
    let steps = ["transform-products", LOAD];
    staged_run(&store, "r", 1).await;
    hold(&store, "r").await;
    store.warehouse.reject_drift("r").await.expect("rejected");
    let redone = store.warehouse.redo("r", steps[0], &steps).await;
    redone.expect("open again");
    let found = run(&store, "r").await;
    assert_eq!((found.state, found.drift), (RunState::Open, None));
    assert!(store.warehouse.drift("r").await.expect("rows").is_empty());
    // What was accepted stays so: the runs after it were compared with it.
    hold(&store, "r").await;
    store.warehouse.accept_drift("r").await.expect("accepted");
    let redone = store.warehouse.redo("r", steps[0], &steps).await;
    redone.expect("open again");
    let found = run(&store, "r").await;
    assert_eq!(found.drift.as_deref(), Some("accepted"));
}
