//! Opening, migrating, and the site that a warehouse keeps.

use warehouse::{Error, Options, Warehouse};

use crate::store::{Store, at, migrations};

on_both!(
    migrating_twice_does_nothing_the_second_time,
    a_newer_schema_is_refused,
    a_changed_migration_is_refused,
    a_warehouse_keeps_one_site,
    the_time_is_the_databases,
    the_same_warehouse_migrates_once_whoever_comes,
    a_run_waits_for_the_open_one,
);

async fn migrating_twice_does_nothing_the_second_time(store: Store) {
    let again = store.warehouse.migrate("public").await.expect("an answer");
    assert!(again.applied.is_empty(), "{again:?}");
    assert_eq!(Some(&again.version), migrations().last());
}

async fn a_newer_schema_is_refused(store: Store) {
    store
        .seed(
            "INSERT INTO schema_migrations (name, checksum, applied_at)
             VALUES ('9999_later', 'x', '2026-01-01T00:00:00.000Z')",
        )
        .await;
    let refused = store.warehouse.migrate("public").await;
    let Err(Error::Schema(text)) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        text.contains("9999_later") && text.contains("newer"),
        "{text}"
    );
}

async fn a_changed_migration_is_refused(store: Store) {
    store
        .seed("UPDATE schema_migrations SET checksum = 'x' WHERE name = '0001_catalogue'")
        .await;
    let refused = store.warehouse.migrate("public").await;
    assert!(matches!(&refused, Err(Error::Schema(text)) if text.contains("0001_catalogue")));
}

async fn a_warehouse_keeps_one_site(store: Store) {
    let warehouse = &store.warehouse;
    warehouse
        .bind_origin("https://tiki.vn")
        .await
        .expect("the first");
    warehouse
        .bind_origin("https://tiki.vn")
        .await
        .expect("the same");
    let refused = warehouse.bind_origin("storefront:1").await;
    assert!(
        matches!(&refused, Err(Error::Origin { kept, asked })
            if kept == "https://tiki.vn" && asked == "storefront:1"),
        "{refused:?}"
    );
}

async fn the_time_is_the_databases(store: Store) {
    let now = store.warehouse.time().await.expect("a time");
    assert!(now > at(1_000_000), "{now}");
}

async fn the_same_warehouse_migrates_once_whoever_comes(store: Store) {
    // A place of its own, where nobody has migrated yet.
    let fresh = match &store.folder {
        Some(folder) => format!("sqlite:{}", folder.path().join("new.db").display()),
        None => tokio::task::block_in_place(|| testkit::Postgres::shared().fresh_database()),
    };
    let options = Options {
        schema: "demo".into(),
        ..Options::default()
    };
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let (url, options) = (fresh.clone(), options.clone());
        tasks.push(tokio::spawn(async move {
            let warehouse = Warehouse::open(&url, &options).await?;
            warehouse.migrate(&options.schema).await
        }));
    }
    let mut applied = 0;
    for task in tasks {
        let done = task.await.expect("no panic").expect("a migration");
        applied += done.applied.len();
    }
    assert_eq!(applied, migrations().len());
}

async fn a_run_waits_for_the_open_one(store: Store) {
    store.create_run("r1").await;
    let mut new = warehouse::NewRun {
        id: "r2".into(),
        owner: "serve".into(),
        scope: r#"{"a":"đ"}"#.into(),
        scope_key: "k".into(),
        clock_at: at(3),
    };
    let other = store.warehouse.create_run(&new).await.expect("an answer");
    assert_eq!(other.expect_err("r1 is open").id, "r1");
    assert!(
        store
            .warehouse
            .run("r2")
            .await
            .expect("an answer")
            .is_none()
    );
    store.finish_run("r1").await;
    let made = store
        .warehouse
        .create_run(&new)
        .await
        .expect("an answer")
        .expect("made");
    assert_eq!(
        (made.number, made.scope.as_str(), made.clock_at),
        (2, r#"{"a":"đ"}"#, at(3))
    );
    assert!(!made.leased);
    store.finish_run("r2").await;
    new.id = "r1".into();
    let known = store.warehouse.create_run(&new).await.expect("an answer");
    assert_eq!(known.expect_err("its id is taken").owner, "cli");
    assert_eq!(store.warehouse.runs(10).await.expect("runs").len(), 2);
    assert!(
        store
            .warehouse
            .unfinished_runs()
            .await
            .expect("runs")
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_must_name_a_warehouse() {
    let options = Options::default();
    for url in [
        "",
        "tiki.db",
        "mysql://h/d",
        "sqlite:",
        "sqlite::memory:",
        "postgres://h:x/d",
    ] {
        let refused = Warehouse::open(url, &options).await;
        assert!(
            matches!(refused, Err(Error::Address(..))),
            "{url}: {refused:?}"
        );
    }
    let bad = Options {
        schema: "a;drop".into(),
        ..Options::default()
    };
    let refused = Warehouse::open("postgres://h/d", &bad).await;
    assert!(matches!(refused, Err(Error::Address(..))), "{refused:?}");
}
