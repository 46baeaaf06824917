//! How often a tier of the page cache had what was wanted.

use warehouse::Error;

use crate::store::Store;

on_both!(hits_and_misses_add_up, a_fenced_count_is_not_added);

const STEP: &str = "crawl-product-details";

async fn counts(store: &Store) -> Vec<(String, i64, i64)> {
    store.warehouse.cache_counts("r").await.expect("counts")
}

async fn hits_and_misses_add_up(store: Store) {
    store.create_run("r").await;
    assert!(counts(&store).await.is_empty());
    let attempt = store.attempt("r", STEP).await;
    for batch in [
        &[("redis", 1, 2), ("memory", 3, 4)][..],
        &[("memory", 10, 20), ("memory", 100, 200)],
        &[],
    ] {
        store
            .warehouse
            .count_cache(&attempt, batch)
            .await
            .expect("added");
    }
    let expected = [("memory".into(), 113, 224), ("redis".into(), 1, 2)];
    assert_eq!(counts(&store).await, expected);
    // What was had stays had, whatever is redone.
    store.end(&attempt).await;
    store.finish_run("r").await;
    store
        .warehouse
        .redo("r", STEP, &[STEP])
        .await
        .expect("open again");
    assert_eq!(counts(&store).await, expected);
}

async fn a_fenced_count_is_not_added(store: Store) {
    store.create_run("r").await;
    let first = store.attempt("r", STEP).await;
    store.take_over("r", STEP).await;
    let fenced = store
        .warehouse
        .count_cache(&first, &[("memory", 1, 1)])
        .await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert!(counts(&store).await.is_empty());
}
