//! What a probe is told, and that it leaves nothing behind.

use testkit::Postgres;
use warehouse::{Options, RunState, SchemaState, Warehouse, schema_steps};

use crate::store::{Store, at};

on_both!(
    a_probe_tells_the_last_run_that_ended_well,
    a_schema_is_told_as_it_is,
    the_newest_run_of_an_owner_is_known
);

async fn a_probe_tells_the_last_run_that_ended_well(store: Store) {
    let warehouse = &store.warehouse;
    let good = async || {
        let probe = warehouse.probe().await.expect("an answer");
        probe.last_good.map(|run| run.id)
    };
    assert_eq!(good().await, None);
    for (id, state, code, expected) in [
        ("refused", RunState::Done, 20, None),
        ("abandoned", RunState::Abandoned, 0, None),
        ("first", RunState::Done, 0, Some("first")),
        ("poor", RunState::Done, 10, Some("first")),
        ("second", RunState::Done, 0, Some("second")),
    ] {
        store.create_run(id).await;
        assert_eq!(good().await.as_deref(), expected_before(id), "{id} is open");
        let ended = warehouse.finish_run(id, state, code, "{}", None).await;
        ended.expect("an end");
        assert_eq!(good().await.as_deref(), expected, "{id} has ended");
    }
    let probe = warehouse.probe().await.expect("an answer");
    let ended = probe.last_good.expect("a run").crawled_at;
    assert!((0..60_000).contains(&probe.time.millis_since(ended)));
    // Deriving it anew makes it no fresher: what counts is when it had crawled.
    let crawled =
        "INSERT INTO run_steps (run_id, step, state, attempt, exit_code, started_at, finished_at)
        VALUES ('second', 'crawl-product-details', 'closed', 1, 0, '2026-10-01T00:00:00.000Z',
            '2026-10-01T01:00:00.000Z')";
    store.seed(crawled).await;
    let steps = ["transform-products", "load-products"];
    let redone = warehouse.redo("second", "transform-products", &steps).await;
    redone.expect("open again");
    assert_eq!(good().await.as_deref(), Some("first"), "it is open");
    let ended = warehouse.finish_run("second", RunState::Done, 0, "{}", None);
    ended.await.expect("an end");
    let good = warehouse.probe().await.expect("an answer").last_good;
    let good = good.expect("a run");
    assert_eq!(
        (good.id.as_str(), good.crawled_at.to_string().as_str()),
        ("second", "2026-10-01T01:00:00.000Z")
    );
}

/// The last good run while this one is open.
fn expected_before(id: &str) -> Option<&'static str> {
    ["poor", "second"].contains(&id).then_some("first")
}

async fn a_schema_is_told_as_it_is(store: Store) {
    let newest = schema_steps(false).last().expect("a step").name.to_owned();
    let schema = async |store: &Store| store.warehouse.probe().await.expect("an answer").schema;
    assert_eq!(schema(&store).await, SchemaState::Current(newest.clone()));
    let remove = format!("DELETE FROM schema_migrations WHERE name = '{newest}'");
    store.seed(&remove).await;
    assert!(matches!(schema(&store).await, SchemaState::Older(name) if name < newest));
    store
        .seed("UPDATE schema_migrations SET checksum = 'x'")
        .await;
    assert!(matches!(schema(&store).await, SchemaState::Foreign(_)));
    store.seed("DROP TABLE schema_migrations").await;
    assert_eq!(schema(&store).await, SchemaState::Absent);
}

async fn the_newest_run_of_an_owner_is_known(store: Store) {
    let warehouse = &store.warehouse;
    let begun = async |owner| warehouse.last_begun(owner).await.expect("an answer");
    assert_eq!(begun("cli").await, None);
    for (id, minute) in [("first", 5), ("second", 7)] {
        store.create_run_at(id, at(minute)).await;
        store.finish_run(id).await;
    }
    assert_eq!(begun("cli").await, Some(at(7)));
    assert_eq!(begun("serve").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_only_looks_makes_no_file_and_writes_to_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a/tiki.db");
    let url = format!("sqlite:{}", file.display());
    let options = Options {
        only_looks: true,
        ..Options::default()
    };
    Warehouse::open(&url, &options).await.expect_err("no file");
    assert!(!folder.path().join("a").exists());
    let made = Warehouse::open(&url, &Options::default()).await;
    made.expect("a file")
        .migrate("public")
        .await
        .expect("a schema");
    let looked = Warehouse::open(&url, &options).await.expect("a file");
    looked.probe().await.expect("an answer");
    let refused = looked.bind_origin("https://tiki.vn").await;
    assert!(
        matches!(refused, Err(warehouse::Error::ReadOnly(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tables_is_no_failure() {
    let url = tokio::task::block_in_place(|| Postgres::shared().fresh_database());
    let warehouse = Warehouse::open(&url, &Options::default()).await;
    let probe = warehouse.expect("a database").probe().await;
    assert_eq!(probe.expect("an answer").schema, SchemaState::Absent);
}
