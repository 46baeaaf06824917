//! What only a file can suffer.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use warehouse::{Error, Options, Warehouse};

use crate::store::{Store, at};

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

async fn open(path: &Path) -> warehouse::Result<Warehouse> {
    Warehouse::open(&url(path), &Options::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_in_write_ahead_mode_and_whole() {
    let store = Store::sqlite().await;
    let file = store.warehouse.file().expect("a file");
    let connection = Connection::open(file).expect("the file");
    let ask = |sql: &str| -> String {
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("an answer")
    };
    assert_eq!(ask("PRAGMA journal_mode"), "wal");
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    assert_eq!(store.warehouse.address(), url(file));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_folder_is_made_and_an_impossible_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("a/b/tiki.db");
    open(&deep).await.expect("its folders are made");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").expect("a file");
    for path in [file.join("tiki.db"), folder.path().join("a")] {
        let refused = open(&path).await;
        let Err(Error::ReadOnly(text)) = refused else {
            panic!("{}: {refused:?}", path.display())
        };
        assert!(text.contains(&*folder.path().to_string_lossy()), "{text}");
    }
    // Nobody, not even root, writes here.
    let refused = open(Path::new("/proc/tiki.db")).await;
    assert!(matches!(&refused, Err(Error::ReadOnly(text)) if text.contains("/proc/tiki.db")));
    let refused = open(Path::new("/proc/tiki/tiki.db")).await;
    assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tiki.db");
    let text = "id,name\n".repeat(1000);
    std::fs::write(&file, &text).expect("a file");
    let refused = open(&file).await;
    assert!(
        matches!(&refused, Err(Error::Damaged(said)) if said.contains("tiki.db")),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_and_never_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tiki.db");
    let warehouse = open(&file).await.expect("a warehouse");
    warehouse.migrate("public").await.expect("a schema");
    drop(warehouse);
    let mut bytes = std::fs::read(&file).expect("the file");
    // All after the first page, which holds the schema.
    bytes[4096..].fill(0xA5);
    std::fs::write(&file, &bytes).expect("written");
    let damaged = async {
        let warehouse = open(&file).await?;
        warehouse.migrate("public").await?;
        warehouse.totals().await
    }
    .await;
    assert!(matches!(damaged, Err(Error::Damaged(_))), "{damaged:?}");
    assert_eq!(std::fs::read(&file).expect("the file").len(), bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_another_process_makes_us_wait_and_then_busy() {
    let store = Store::sqlite().await;
    let file = store.warehouse.file().expect("a file").to_owned();
    let options = Options {
        busy: Duration::from_millis(50),
        ..Options::default()
    };
    let hasty = Warehouse::open(&store.url, &options)
        .await
        .expect("a warehouse");
    // Another connection is to SQLite what another process is.
    let other = Connection::open(&file).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("its turn");
    let busy = hasty.bind_origin("https://tiki.vn").await;
    assert!(matches!(busy, Err(Error::Busy(_))), "{busy:?}");
    assert!(busy.is_err_and(|error| error.is_transient()));
    hasty.runs(10).await.expect("readers go on");
    other.execute_batch("COMMIT").expect("its end");
    hasty
        .bind_origin("https://tiki.vn")
        .await
        .expect("our turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_one_snapshot_while_a_writer_writes() {
    let store = Store::sqlite().await;
    store.create_run("r").await;
    let other = Connection::open(store.warehouse.file().expect("a file")).expect("the file");
    other
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM runs")
        .expect("not yet committed");
    let run = store
        .warehouse
        .run("r")
        .await
        .expect("an answer")
        .expect("still there");
    assert_eq!(run.clock_at, at(0));
    other.execute_batch("ROLLBACK").expect("its end");
}
