//! What the objects of a run look like, and which runs it is compared with.

use catalog::FieldShape;
use warehouse::{Error, RunState, ShapeRow, Transformed};

use crate::store::{Store, at, transformed_batch, wish};

on_both!(
    shapes_of_batches_add_up,
    workers_that_add_at_the_same_time_lose_nothing,
    a_fenced_batch_adds_no_shape,
    redoing_derives_the_shapes_of_details_anew,
    a_run_is_compared_with_the_loaded_runs_before_it,
);

const STEP: &str = "transform-products";

fn shape(endpoint: &str, root: i64, field: &str) -> ShapeRow {
    ShapeRow {
        source: "api".into(),
        endpoint: endpoint.into(),
        root,
        field: field.into(),
        ..ShapeRow::default()
    }
}

/// Numbers of a field, all the same.
fn numbers(root: i64, field: &str, count: i64, log: f64) -> ShapeRow {
    ShapeRow {
        shape: FieldShape {
            integers: count,
            log_sum: log * count as f64,
            log_squares: log * log * count as f64,
            ..FieldShape::default()
        },
        ..shape("detail", root, field)
    }
}

/// Transforms planned products, a batch for each list of shapes.
async fn transform(store: &Store, run: &str, batches: &[&[ShapeRow]]) {
    let attempt = store.attempt(run, STEP).await;
    for shapes in batches {
        let claimed = store.warehouse.next_to_transform(&attempt, 1).await;
        let claimed = claimed.expect("a claim").expect("one is left");
        let batch: Vec<Transformed> = claimed
            .products
            .iter()
            .map(|product| Transformed::Unobserved {
                product_id: product.product_id,
            })
            .collect();
        store
            .warehouse
            .commit_batch(
                &attempt,
                transformed_batch(claimed.batch, &batch),
                shapes,
                at(9),
            )
            .await
            .expect("stored");
    }
    store.end(&attempt).await;
}

async fn shapes(store: &Store, run: &str) -> Vec<ShapeRow> {
    store.warehouse.shapes(run).await.expect("shapes")
}

async fn shapes_of_batches_add_up(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1, 2], None).await;
    let every = ShapeRow {
        shape: FieldShape {
            absent: 1,
            nulls: 2,
            flags: 3,
            integers: 4,
            reals: 5,
            texts: 6,
            lists: 7,
            objects: 8,
            log_sum: 0.5,
            log_squares: 0.25,
        },
        ..shape("detail", 8322, "price")
    };
    let name = ShapeRow {
        shape: FieldShape {
            texts: 40,
            ..FieldShape::default()
        },
        ..shape("detail", 8322, "name")
    };
    // The same key twice in one batch, and again in the next.
    let first = [every.clone(), name.clone(), every.clone()];
    transform(&store, "r", &[&first, std::slice::from_ref(&every)]).await;
    let thrice = ShapeRow {
        shape: FieldShape {
            absent: 3,
            nulls: 6,
            flags: 9,
            integers: 12,
            reals: 15,
            texts: 18,
            lists: 21,
            objects: 24,
            log_sum: 1.5,
            log_squares: 0.75,
        },
        ..every
    };
    assert_eq!(shapes(&store, "r").await, [name, thrice]);
    assert!(shapes(&store, "another").await.is_empty());
}

async fn workers_that_add_at_the_same_time_lose_nothing(store: Store) {
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=120).collect();
    store.plan("r", &ids, None).await;
    let all = std::sync::Arc::new(tokio::sync::Barrier::new(4));
    let mut tasks = Vec::new();
    for worker in 0..4 {
        let (warehouse, all) = (store.again().await, std::sync::Arc::clone(&all));
        let mut wish = wish("r", STEP);
        (wish.shard, wish.join) = (worker, true);
        tasks.push(tokio::spawn(async move {
            let begun = warehouse.begin_attempt(&wish, |_| false).await;
            let attempt = begun.expect("an answer").expect("joined");
            let mut claims = Vec::new();
            for _ in 0..30 {
                let claimed = warehouse.next_to_transform(&attempt, 1).await;
                claims.push(claimed.expect("a claim").expect("one is left"));
            }
            let fields = (0..100).map(|n| numbers(1, &format!("field{n}"), 1, 2.0));
            let mut shapes: Vec<ShapeRow> = fields.collect();
            // Half of them name the fields from the end.
            if worker % 2 == 0 {
                shapes.reverse();
            }
            all.wait().await;
            for claimed in claims {
                let product_id = claimed.products[0].product_id;
                let one = [Transformed::Unobserved { product_id }];
                warehouse
                    .commit_batch(
                        &attempt,
                        transformed_batch(claimed.batch, &one),
                        &shapes,
                        at(9),
                    )
                    .await
                    .expect("stored");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    for shape in shapes(&store, "r").await {
        assert_eq!(
            (shape.shape.integers, shape.shape.log_sum),
            (120, 240.0),
            "{shape:?}"
        );
    }
}

async fn a_fenced_batch_adds_no_shape(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    let first = store.attempt("r", STEP).await;
    let claimed = store.warehouse.next_to_transform(&first, 9).await;
    let claimed = claimed.expect("a claim").expect("one");
    store.take_over("r", STEP).await;
    let batch = [Transformed::Unobserved { product_id: 1 }];
    let fenced = store
        .warehouse
        .commit_batch(
            &first,
            transformed_batch(claimed.batch, &batch),
            &[shape("detail", 1, "name")],
            at(9),
        )
        .await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert!(shapes(&store, "r").await.is_empty());
}

async fn redoing_derives_the_shapes_of_details_anew(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    let both = [shape("detail", 1, "name"), shape("listing", 1, "name")];
    transform(&store, "r", &[&both]).await;
    store.finish_run("r").await;
    for from in [STEP, "crawl-product-details"] {
        store
            .warehouse
            .redo("r", from, &[STEP])
            .await
            .expect("open again");
        assert_eq!(shapes(&store, "r").await, both[1..], "from {from}");
        transform(&store, "r", &[&both[..1]]).await;
        assert_eq!(shapes(&store, "r").await, both, "from {from}");
    }
}

/// A run with a shape that tells it from the others.
async fn shaped_run(store: &Store, run: &str, state: RunState, texts: i64) {
    store.create_run(run).await;
    if texts > 0 {
        store.plan(run, &[1], None).await;
        let name = ShapeRow {
            shape: FieldShape {
                texts,
                ..FieldShape::default()
            },
            ..shape("detail", 1, "name")
        };
        transform(store, run, &[&[name]]).await;
    }
    if state != RunState::Open {
        let ended = store.warehouse.finish_run(run, state, 0, "{}", None).await;
        ended.expect("an end");
    }
}

/// The runs that a run is compared with, and what tells them from others.
async fn before(store: &Store, run: &str, runs: i64) -> Vec<(i64, i64)> {
    let before = store.warehouse.shapes_before(run, runs).await;
    let brief = |(number, shapes): (i64, Vec<ShapeRow>)| {
        assert_eq!(shapes.len(), 1, "{shapes:?}");
        (number, shapes[0].shape.texts)
    };
    before.expect("shapes").into_iter().map(brief).collect()
}

async fn a_run_is_compared_with_the_loaded_runs_before_it(store: Store) {
    shaped_run(&store, "r1", RunState::Done, 10).await;
    shaped_run(&store, "r2", RunState::Abandoned, 20).await;
    shaped_run(&store, "nothing-seen", RunState::Done, 0).await;
    shaped_run(&store, "r4", RunState::Done, 40).await;
    shaped_run(&store, "r5", RunState::Done, 50).await;
    shaped_run(&store, "r6", RunState::Open, 60).await;
    assert_eq!(
        before(&store, "r6", 14).await,
        [(5, 50), (4, 40), (2, 20), (1, 10)]
    );
    assert_eq!(before(&store, "r6", 2).await, [(5, 50), (4, 40)]);
    assert_eq!(before(&store, "r4", 14).await, [(2, 20), (1, 10)]);
    assert_eq!(before(&store, "r1", 14).await, []);
    assert_eq!(before(&store, "unknown", 14).await, []);
    for state in ["open", "held"] {
        let set = format!("UPDATE runs SET state = '{state}' WHERE id = 'r5'");
        store.seed(&set).await;
        assert_eq!(before(&store, "r6", 2).await, [(4, 40), (2, 20)], "{state}");
    }
    store
        .seed("UPDATE runs SET state = 'abandoned', drift = 'rejected' WHERE id = 'r5'")
        .await;
    assert_eq!(before(&store, "r6", 2).await, [(4, 40), (2, 20)]);
    // What was accepted begins anew.
    store
        .seed("UPDATE runs SET drift = 'accepted' WHERE id = 'r2'")
        .await;
    assert_eq!(before(&store, "r6", 14).await, [(4, 40), (2, 20)]);
    store
        .seed("UPDATE runs SET drift = 'accepted' WHERE id IN ('r4', 'r6')")
        .await;
    assert_eq!(before(&store, "r6", 14).await, [(4, 40)]);
    // A later acceptance says nothing of an earlier run.
    assert_eq!(before(&store, "r4", 14).await, [(2, 20)]);
}
