//! Several workers at once.

use std::collections::BTreeSet;

use warehouse::{AttemptRequest, DetailOutcome, Outcome};

use crate::products::{listed, listing};
use crate::store::{Store, answer, at, merge, wish};

on_both!(
    workers_share_a_frontier_without_meeting,
    loaders_of_one_run_share_its_batches,
    loaders_of_several_runs_never_lock_each_other_out,
);

async fn workers_share_a_frontier_without_meeting(store: Store) {
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=60).collect();
    store.plan("r", &ids, None).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let warehouse = store.again().await;
        tasks.push(tokio::spawn(async move {
            let join = AttemptRequest {
                join: true,
                ..wish("r", "crawl-product-details")
            };
            let attempt = warehouse.begin_attempt(&join, |_| false).await;
            let attempt = attempt.expect("an answer").expect("joined");
            let mut mine = Vec::new();
            while let Some(asks) = warehouse.next_details(&attempt, 7).await.expect("a claim") {
                mine.extend(asks.iter().map(|ask| ask.product_id));
                let answers = asks.into_iter().map(|ask| answer(ask, DetailOutcome::Gone));
                warehouse
                    .commit_details(&attempt, answers.collect())
                    .await
                    .expect("kept");
            }
            assert!(
                warehouse
                    .close_step(&attempt, 0, "{}")
                    .await
                    .expect("an answer")
            );
            mine
        }));
    }
    let mut asked = Vec::new();
    for task in tasks {
        asked.extend(task.await.expect("no panic"));
    }
    asked.sort_unstable();
    assert_eq!(asked, ids, "each once");
}

async fn loaders_of_one_run_share_its_batches(store: Store) {
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=200).collect();
    store.plan("r", &ids, None).await;
    store
        .stage_by(
            20,
            "r",
            ids.iter()
                .map(|id| listed(listing(*id, 1), at(1)))
                .collect(),
        )
        .await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let warehouse = store.again().await;
        tasks.push(tokio::spawn(async move {
            let join = AttemptRequest {
                join: true,
                ..wish("r", "load-products")
            };
            let attempt = warehouse.begin_attempt(&join, |_| false).await;
            let attempt = attempt.expect("an answer").expect("joined");
            let merge = merge();
            let mut mine = Vec::new();
            while let Some(batch) = warehouse
                .load_batch(&attempt, &merge)
                .await
                .expect("a batch")
            {
                mine.extend(batch);
            }
            mine
        }));
    }
    let mut loaded = Vec::new();
    for task in tasks {
        loaded.extend(task.await.expect("no panic"));
    }
    assert!(loaded.iter().all(|(_, outcome)| *outcome == Outcome::New));
    let distinct: BTreeSet<i64> = loaded.iter().map(|(id, _)| *id).collect();
    assert_eq!((loaded.len(), distinct.len()), (200, 200));
}

/// Four loaders, each with a run of its own, bring looks of the same products at mixed times.
async fn loaders_of_several_runs_never_lock_each_other_out(store: Store) {
    let runs = ["a", "b", "c", "d"];
    let ids: Vec<i64> = (1..=10).collect();
    for (n, run) in (0_i64..).zip(runs) {
        store.create_run(run).await;
        store.plan(run, &ids, None).await;
        let arrivals = ids.iter().map(|id| {
            let minutes = (id * 7 + n * 13) % 40;
            listed(listing(*id, 100 + minutes), at(minutes))
        });
        store.stage_by(3, run, arrivals.collect()).await;
        store.finish_run(run).await;
    }
    let mut tasks = Vec::new();
    for run in runs {
        let warehouse = store.again().await;
        tasks.push(tokio::spawn(async move {
            let attempt = warehouse
                .begin_attempt(&wish(run, "load-products"), |_| false)
                .await;
            let attempt = attempt.expect("an answer").expect("begun");
            let merge = merge();
            while warehouse
                .load_batch(&attempt, &merge)
                .await
                .expect("a batch")
                .is_some()
            {}
            warehouse
                .end_attempt(&attempt, None, None)
                .await
                .expect("an end");
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(
        store.warehouse.totals().await.expect("totals"),
        (10, 40, 40)
    );
    let sql = "SELECT product_id, price FROM product_history ORDER BY product_id, observed_at";
    let mut expected = Vec::new();
    for id in &ids {
        let mut minutes: Vec<i64> = (0..4).map(|n| (id * 7 + n * 13) % 40).collect();
        minutes.sort_unstable();
        expected.extend(
            minutes
                .iter()
                .map(|minutes| format!("{id}|{}", 100 + minutes)),
        );
    }
    assert_eq!(store.rows(sql).await, expected);
}
