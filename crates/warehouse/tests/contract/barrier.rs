//! One of three workers is held between its claim and its commit while the others drain the step: the
//! step stays open until that one is through, and nothing is done twice.
//!
//! Not here: a worker that is held past its lease (`attempts`), whole processes (the program's tests).

use std::collections::BTreeSet;

use warehouse::{
    Attempt, AttemptRequest, Claimed, DetailAsk, DetailOutcome, Error, Outcome, Warehouse,
};

use crate::products::{listed, listing};
use crate::store::{Store, answer, at, merge, transformed_batch, wish};

on_both!(
    a_step_of_details_stays_open_while_one_holds_its_claim,
    a_step_of_records_stays_open_while_one_holds_its_claim,
);

const ALL: i64 = 60;

async fn join(warehouse: &Warehouse, step: &str) -> Attempt {
    let join = AttemptRequest {
        join: true,
        ..wish("r", step)
    };
    let attempt = warehouse.begin_attempt(&join, |_| false).await;
    attempt.expect("an answer").expect("joined")
}

/// Whether the step is closed now, as a worker finds that has nothing left to do.
async fn closes(warehouse: &Warehouse, attempt: &Attempt) -> bool {
    let closed = warehouse.close_step(attempt, 0, "{}").await;
    closed.expect("an answer")
}

async fn is_closed(store: &Store, step: &str) -> bool {
    let row = store.warehouse.step("r", step).await.expect("an answer");
    row.expect("a row").closed
}

async fn keep_gone(warehouse: &Warehouse, attempt: &Attempt, asks: Vec<DetailAsk>) -> Vec<i64> {
    let ids = asks.iter().map(|ask| ask.product_id).collect();
    let answers = asks.into_iter().map(|ask| answer(ask, DetailOutcome::Gone));
    let kept = warehouse.commit_details(attempt, answers.collect()).await;
    kept.expect("kept");
    ids
}

/// Asks until others hold the rest.
async fn drain_details(warehouse: Warehouse, attempt: Attempt) -> Vec<i64> {
    let mut done = Vec::new();
    loop {
        let asks = warehouse.next_details(&attempt, 7).await.expect("a claim");
        let asks = asks.expect("the step is not over while one holds its claim");
        if asks.is_empty() {
            return done;
        }
        done.extend(keep_gone(&warehouse, &attempt, asks).await);
    }
}

async fn a_step_of_details_stays_open_while_one_holds_its_claim(store: Store) {
    let step = "crawl-product-details";
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=ALL).collect();
    store.plan("r", &ids, None).await;
    let (held, other, third) = (
        store.again().await,
        store.again().await,
        store.again().await,
    );
    let holder = join(&held, step).await;
    let claimed = held.next_details(&holder, 7).await.expect("a claim");
    let claimed = claimed.expect("work");
    assert_eq!(claimed.len(), 7);
    let (second, last) = (join(&other, step).await, join(&third, step).await);
    let tasks = [(&other, &second), (&third, &last)].map(|(warehouse, attempt)| {
        tokio::spawn(drain_details(warehouse.clone(), attempt.clone()))
    });
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await.expect("no panic"));
    }
    assert_eq!(done.len() as i64, ALL - 7);
    for (warehouse, attempt) in [(&other, &second), (&third, &last)] {
        // Its lease holds, so nobody takes its claim away.
        warehouse.reap(attempt).await.expect("an answer");
        assert_eq!(warehouse.open_rows(attempt).await.expect("rows"), 7);
        assert!(!closes(warehouse, attempt).await);
    }
    assert!(!is_closed(&store, step).await);
    done.extend(keep_gone(&held, &holder, claimed).await);
    done.sort_unstable();
    assert_eq!(done, ids, "each once");
    assert!(closes(&other, &second).await);
    assert!(is_closed(&store, step).await);
}

async fn a_step_of_records_stays_open_while_one_holds_its_claim(store: Store) {
    let step = "transform-products";
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=ALL).collect();
    store.plan("r", &ids, None).await;
    let (held, other) = (store.again().await, store.again().await);
    let holder = join(&held, step).await;
    let claimed = held.next_to_transform(&holder, 7).await.expect("a claim");
    let claimed = claimed.expect("work");
    let second = join(&other, step).await;
    let stage = async |warehouse: &Warehouse, attempt: &Attempt, claimed: Claimed| {
        let staged: Vec<_> = claimed
            .products
            .into_iter()
            .map(|product| warehouse::Transformed::Unobserved {
                product_id: product.product_id,
            })
            .collect();
        let stored = warehouse.commit_batch(
            attempt,
            transformed_batch(claimed.batch, &staged),
            &[],
            at(0),
        );
        stored.await.expect("kept");
        staged.len()
    };
    let mut done = 0;
    loop {
        let batch = other.next_to_transform(&second, 7).await.expect("a claim");
        let batch = batch.expect("the step is not over while one holds its claim");
        if batch.products.is_empty() {
            break;
        }
        done += stage(&other, &second, batch).await;
    }
    assert_eq!(done as i64, ALL - 7);
    assert!(!closes(&other, &second).await);
    assert!(!is_closed(&store, step).await);
    stage(&held, &holder, claimed).await;
    let counts = store.warehouse.outcome_counts("r").await.expect("counts");
    assert_eq!(counts, [("unobserved".to_owned(), ALL)]);
    assert!(closes(&other, &second).await);
}

async fn drain_load(warehouse: Warehouse, attempt: Attempt) -> Vec<(i64, Outcome)> {
    let merge = merge();
    let mut loaded = Vec::new();
    while let Some(batch) = warehouse
        .load_batch(&attempt, &merge)
        .await
        .expect("a batch")
    {
        if batch.is_empty() {
            break;
        }
        loaded.extend(batch);
    }
    loaded
}

/// A load claims by locks that it holds until its commit. In SQLite it is then the one writer, so only
/// PostgreSQL lets others drain meanwhile. The barrier is a lock on the attempt's own row, which the
/// last statement before the COMMIT needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_load_stays_open_while_one_waits_before_its_commit() {
    let store = Store::postgres().await;
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=ALL).collect();
    store.plan("r", &ids, None).await;
    let arrivals = ids.iter().map(|id| listed(listing(*id, 1), at(1)));
    store.stage_by(7, "r", arrivals.collect()).await;
    let step = "load-products";
    let (held, other, third) = (
        store.again().await,
        store.again().await,
        store.again().await,
    );
    let holder = join(&held, step).await;
    let merge = merge();
    // Its first claim is noted with its first batch; from then on only the commit touches its row.
    let first = held.load_batch(&holder, &merge).await.expect("a batch");
    let mut loaded = first.expect("work");
    let barrier = format!(
        "BEGIN; SELECT 1 FROM attempts WHERE epoch = {} FOR UPDATE",
        holder.epoch
    );
    let barrier = store.hold(&barrier).await;
    let waiting = {
        let (warehouse, attempt) = (held.clone(), holder.clone());
        tokio::spawn(async move { warehouse.load_batch(&attempt, &merge).await })
    };
    let blocked = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND datname = current_database() AND query LIKE 'UPDATE attempts SET last_commit_at%'";
    while store.cell(blocked).await != "1" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (second, last) = (join(&other, step).await, join(&third, step).await);
    let tasks = [(&other, &second), (&third, &last)]
        .map(|(warehouse, attempt)| tokio::spawn(drain_load(warehouse.clone(), attempt.clone())));
    for task in tasks {
        loaded.extend(task.await.expect("no panic"));
    }
    assert_eq!(loaded.len() as i64, ALL - 7);
    assert!(!closes(&other, &second).await);
    assert!(!closes(&third, &last).await);
    assert!(!is_closed(&store, step).await);
    barrier.let_go().await;
    let batch = waiting.await.expect("no panic").expect("a batch");
    loaded.extend(batch.expect("seven more"));
    assert!(loaded.iter().all(|(_, outcome)| *outcome == Outcome::New));
    let distinct: BTreeSet<i64> = loaded.iter().map(|(id, _)| *id).collect();
    assert_eq!((loaded.len(), distinct.len()), (60, 60), "each once");
    assert_eq!(
        store.warehouse.totals().await.expect("totals"),
        (ALL, ALL, ALL)
    );
    assert!(closes(&third, &last).await);
    assert!(is_closed(&store, step).await);
}

const DETAILS: &str = "crawl-product-details";

async fn begin_as(store: &Store, attempt: i64) -> (Warehouse, Attempt) {
    let number = AttemptRequest {
        attempt: Some(attempt),
        join: true,
        ..wish("r", DETAILS)
    };
    let warehouse = store.again().await;
    let begun = warehouse.begin_attempt(&number, |_| false).await;
    (warehouse, begun.expect("an answer").expect("begun"))
}

/// Waits until a statement waits for a lock.
async fn until_blocked(store: &Store, statement: &str) {
    let blocked = format!(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND datname = current_database() AND query LIKE '{statement}%'"
    );
    while store.cell(&blocked).await != "1" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// In the middle of its commit a worker holds the rows that whoever ends it gives back or resets, and still needs the
/// attempt's row, which that one has ended: the worker is fenced, and it is no deadlock.
async fn is_fenced_in_its_commit<T>(store: &Store, ends_it: impl Future<Output = T>) -> T {
    store.create_run("r").await;
    store.plan("r", &[1, 2, 3], None).await;
    let (first, ended) = begin_as(store, 1).await;
    let claimed = first.next_details(&ended, 7).await.expect("a claim");
    let barrier = "BEGIN; LOCK TABLE product_state IN SHARE MODE";
    let barrier = store.hold(barrier).await;
    let committing = tokio::spawn(async move {
        let gone = claimed.expect("work").into_iter();
        let gone = gone.map(|ask| answer(ask, DetailOutcome::Gone));
        first.commit_details(&ended, gone.collect()).await
    });
    until_blocked(store, "INSERT INTO product_state").await;
    let let_go = async {
        until_blocked(store, "UPDATE run_products").await;
        barrier.let_go().await;
    };
    let (done, ()) = tokio::join!(ends_it, let_go);
    let refused = committing.await.expect("no panic");
    assert!(matches!(refused, Err(Error::Fenced(_))), "{refused:?}");
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_is_replaced_in_its_commit_is_fenced() {
    let store = Store::postgres().await;
    let (second, attempt) = is_fenced_in_its_commit(&store, Box::pin(begin_as(&store, 2))).await;
    let again = second.next_details(&attempt, 7).await.expect("a claim");
    assert_eq!(again.expect("work").len(), 3, "what was claimed is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_whose_run_is_opened_again_in_its_commit_is_fenced() {
    let store = Store::postgres().await;
    let beside = store.again().await;
    let redo = beside.redo("r", DETAILS, &[DETAILS]);
    let redone = is_fenced_in_its_commit(&store, Box::pin(redo)).await;
    redone.expect("opened again");
}
