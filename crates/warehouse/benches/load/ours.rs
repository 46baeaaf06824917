//! Staging and loading a day through the warehouse, as the steps do it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use catalog::Product;
use warehouse::{
    Attempt, AttemptRequest, Batch, Host, KnownProduct, Merge, NewRun, Options, PlannedProduct,
    PoolLimits, RunState, Transformed, TransformedBatch, Warehouse,
};

use testkit::Postgres;

use crate::days::Day;

/// Rows of a batch, of ours and of others: the default of `TIKI_BATCH`.
pub(crate) const BATCH: i64 = 2000;

/// A server with the memory that the checklist gives it; all that is measured shares it. Nothing is cleaned up
/// behind the clock's back: [`settle`](crate::settle) does it between the days.
pub(crate) fn server() -> Postgres {
    let mut server = Postgres::start();
    for setting in [
        "shared_buffers = '256MB'",
        "wal_buffers = '16MB'",
        "max_wal_size = '4GB'",
        "checkpoint_completion_target = 0.9",
        "random_page_cost = 1.1",
        "wal_compression = lz4",
        "autovacuum = off",
    ] {
        server.admin(&format!("ALTER SYSTEM SET {setting}"));
    }
    server.restart();
    server
}

pub(crate) async fn open(url: &str) -> Warehouse {
    let options = Options {
        limits: PoolLimits {
            max_connections: 8,
            ..PoolLimits::default()
        },
        ..Options::default()
    };
    let warehouse = Warehouse::open(url, &options).await.expect("a warehouse");
    warehouse.migrate("public").await.expect("a schema");
    warehouse
}

/// Seconds that staging and loading took, with so many `workers`, each on a connection of its own.
pub(crate) async fn day(
    warehouse: &Warehouse,
    day: Day,
    products: Vec<Product>,
    workers: usize,
) -> [f64; 2] {
    let run = format!("day {}", day.number());
    let new = NewRun {
        id: run.clone(),
        owner: "cli".into(),
        scope: "{}".into(),
        scope_key: "all".into(),
        clock_at: day.at(),
    };
    let made = warehouse.create_run(&new).await.expect("an answer");
    made.expect("a run");
    plan(warehouse, &run, &products).await;
    let records: Vec<Option<Product>> = products.into_iter().map(Some).collect();
    let records = Arc::new(Mutex::new(records));
    let claiming = (0..workers).map(|n| {
        let (warehouse, run, records) = (warehouse.clone(), run.clone(), Arc::clone(&records));
        tokio::spawn(async move { claim(&warehouse, &run, n, &records).await })
    });
    let claimed = all(claiming.collect()).await;
    let begun = Instant::now();
    let staging = claimed.into_iter().map(|(attempt, batches)| {
        let warehouse = warehouse.clone();
        tokio::spawn(async move {
            let make = |(batch, made): (Batch, Vec<Transformed>)| {
                tokio::task::spawn_blocking(move || TransformedBatch::new(batch, &made))
            };
            // As the step does it, the next batch is made while one is stored.
            let mut batches = batches.into_iter().map(make);
            let mut next = batches.next();
            while let Some(made) = next {
                let made = made.await.expect("made").expect("a batch");
                next = batches.next();
                let stored = warehouse.commit_batch(&attempt, made, &[], Day::New.at());
                stored.await.expect("staged");
            }
            end(&warehouse, &attempt).await;
        })
    });
    all(staging.collect()).await;
    let staged = begun.elapsed().as_secs_f64();
    let loading = (0..workers).map(|n| {
        let (warehouse, run) = (warehouse.clone(), run.clone());
        tokio::spawn(async move { load(&warehouse, &run, n, day).await })
    });
    all(loading.collect()).await;
    let loaded = begun.elapsed().as_secs_f64();
    warehouse
        .finish_run(&run, RunState::Done, 0, "{}", None)
        .await
        .expect("an end");
    [staged, loaded - staged]
}

async fn all<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.expect("a worker"));
    }
    done
}

async fn attempt(warehouse: &Warehouse, run: &str, step: &str, shard: usize) -> Attempt {
    let wish = AttemptRequest {
        run: run.into(),
        step: step.into(),
        shard: shard as i64,
        attempt: None,
        join: true,
        host: Host {
            name: "here".into(),
            process: std::process::id().to_string(),
        },
    };
    let begun = warehouse.begin_attempt(&wish, |_| false).await;
    begun.expect("an answer").expect("begun")
}

/// What the crawl leaves: every product waits to be transformed. Not measured.
async fn plan(warehouse: &Warehouse, run: &str, products: &[Product]) {
    let attempt = attempt(warehouse, run, "crawl-product-details", 0).await;
    for stretch in products.chunks(1000) {
        let planned = stretch.iter().map(|product| PlannedProduct {
            known: KnownProduct {
                product_id: product.id(),
                listed_in: Some(316),
                fingerprint: None,
                spid: None,
                last_detail: None,
                first_seen: None,
                deferred: false,
                failed: false,
            },
            reason: None,
            rank: 0,
        });
        let planned: Vec<PlannedProduct> = planned.collect();
        warehouse
            .commit_plan(&attempt, &planned, "x")
            .await
            .expect("a plan");
    }
    end(warehouse, &attempt).await;
}

/// Claims batches and takes the records made of them; the record of product n stands at n - 1. Not
/// measured: to claim and to read is a part of transforming.
async fn claim(
    warehouse: &Warehouse,
    run: &str,
    shard: usize,
    records: &Mutex<Vec<Option<Product>>>,
) -> (Attempt, Vec<(Batch, Vec<Transformed>)>) {
    let attempt = attempt(warehouse, run, "transform-products", shard).await;
    let mut batches = Vec::new();
    loop {
        let claimed = warehouse
            .next_to_transform(&attempt, BATCH)
            .await
            .expect("a claim");
        let Some(claimed) = claimed.filter(|claimed| !claimed.products.is_empty()) else {
            return (attempt, batches);
        };
        let mut records = records.lock().expect("the records");
        let taken = claimed
            .products
            .iter()
            .filter_map(|claimed| records[claimed.product_id as usize - 1].take());
        let staged = taken.map(|product| Transformed::Staged {
            product: Box::new(product),
            listing_page_id: None,
            detail_page_id: None,
            detail_rejected: None,
        });
        batches.push((claimed.batch, staged.collect()));
    }
}

async fn load(warehouse: &Warehouse, run: &str, shard: usize, day: Day) {
    let attempt = attempt(warehouse, run, "load-products", shard).await;
    let merge = Merge {
        believe_gone: true,
        now: day.at(),
    };
    loop {
        match warehouse
            .load_batch(&attempt, &merge)
            .await
            .expect("a batch")
        {
            None => break,
            // Others hold what is left.
            Some(outcomes) if outcomes.is_empty() => tokio::task::yield_now().await,
            Some(_) => {}
        }
    }
    end(warehouse, &attempt).await;
}

/// As a worker leaves; one that has not left makes loaders of other runs take turns.
async fn end(warehouse: &Warehouse, attempt: &Attempt) {
    let ended = warehouse.end_attempt(attempt, None, None).await;
    ended.expect("an end");
}
