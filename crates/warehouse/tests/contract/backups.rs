//! Who worked before a restore, and what begins after it.

use std::path::PathBuf;

use tempfile::TempDir;
use warehouse::{BackupError, Backups, Error, Options};

use crate::products::{listed, listing};
use crate::store::{Store, at, merge};

on_both!(
    whoever_worked_before_a_restore_commits_nothing_after_it,
    rights_and_strangers_survive_a_restore,
);

fn backups(store: &Store, folder: &TempDir) -> Backups {
    let search = Some(std::ffi::OsString::new());
    let data = PathBuf::from(folder.path());
    Backups::new(&store.url, Options::default(), &data, "tiki", search).expect("backups")
}

fn is_over(outcome: &warehouse::Result<()>) -> bool {
    matches!(
        outcome,
        Err(Error::Fenced(_) | Error::Backup(BackupError::Replaced(_)))
    )
}

async fn whoever_worked_before_a_restore_commits_nothing_after_it(store: Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let backups = backups(&store, &folder);
    store.create_run("r").await;
    let before = store.attempt("r", "load-products").await;
    let made = backups.create().await.expect("a backup");
    backups.verify(None).await.expect("proven");
    let id = &made.manifest.id;
    // The same worker as in the backup, one that came after it, and one of a run that is in none.
    store.end(&before).await;
    store.finish_run("r").await;
    store.create_run("s").await;
    let after = store.attempt("s", "load-products").await;
    let worker = store.again().await;
    worker.heartbeat(&after).await.expect("at work");
    let held = backups.restore(id, true).await;
    assert!(
        matches!(&held, Err(Error::Backup(BackupError::Held(text))) if text.contains("run s")),
        "{held:?}"
    );
    store
        .seed("UPDATE attempts SET lease_until = '2020-01-01T00:00:00.000Z'")
        .await;
    let refused = backups.restore(id, false).await;
    assert!(
        matches!(refused, Err(Error::Backup(BackupError::Refused { .. }))),
        "{refused:?}"
    );
    let (_, restored) = backups.restore(id, true).await.expect("restored");
    assert_eq!(restored.abandoned, 1);
    for attempt in [&before, &after] {
        let outcome = worker.heartbeat(attempt).await;
        assert!(is_over(&outcome), "{outcome:?}");
        let outcome = worker.close_step(attempt, 0, "{}").await.map(drop);
        assert!(is_over(&outcome), "{outcome:?}");
    }
    let anew = Store {
        warehouse: store.again().await,
        url: store.url.clone(),
        folder: None,
    };
    assert_eq!(
        anew.rows("SELECT id, state FROM runs").await,
        ["r|abandoned"]
    );
    assert_eq!(
        anew.rows("SELECT run_id, state FROM attempts").await,
        ["r|fenced"]
    );
    anew.create_run("t").await;
    let next = anew.attempt("t", "crawl-categories").await;
    assert!(
        next.epoch > after.epoch + 900_000,
        "{next:?} after {after:?}"
    );
    // A second restore goes on from there.
    anew.end(&next).await;
    backups.restore(id, true).await.expect("restored again");
    let again = Store {
        warehouse: store.again().await,
        url: store.url.clone(),
        folder: None,
    };
    again.create_run("u").await;
    let last = again.attempt("u", "crawl-categories").await;
    assert!(last.epoch > next.epoch + 900_000, "{last:?} after {next:?}");
}

async fn rights_and_strangers_survive_a_restore(store: Store) {
    if !store.warehouse.is_postgres() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let backups = backups(&store, &folder);
    store
        .seed(
            "CREATE VIEW cheap AS SELECT id, name FROM products WHERE price < 1000;
             CREATE FUNCTION twice(n bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 2 * n';
             CREATE SCHEMA others; CREATE TABLE others.things (id int);
             COMMENT ON TABLE products IS 'a line
COPY nothing FROM stdin';
             GRANT SELECT ON products, cheap TO PUBLIC;",
        )
        .await;
    let made = backups.create().await.expect("a backup");
    let id = &made.manifest.id;
    store.seed("DROP VIEW cheap; DROP FUNCTION twice; CREATE VIEW cheap AS SELECT 1 AS one; GRANT SELECT ON cheap TO PUBLIC").await;
    let (_, restored) = backups.restore(id, true).await.expect("restored");
    let kept = restored.kept.expect("what was there");
    assert_eq!(store.rows("SELECT twice(COUNT(*)) FROM cheap").await, ["0"]);
    assert_eq!(
        store.rows("SELECT COUNT(*) FROM others.things").await,
        ["0"]
    );
    assert_eq!(
        store.rows(&format!("SELECT one FROM {kept}.cheap")).await,
        ["1"]
    );
    let rights = "SELECT COUNT(*) FROM information_schema.table_privileges
        WHERE grantee = 'PUBLIC' AND table_schema = 'public' AND table_name IN ('products', 'cheap')";
    assert_eq!(store.cell(rights).await, "2");
    // A proof of this one, too, with all that is in it.
    backups.verify(None).await.expect("proven");
    let left = "SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'tiki\\_verify\\_'
        || (SELECT oid FROM pg_database WHERE datname = current_database()) || '\\_%'";
    assert_eq!(store.cell(left).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_in_postgres_keeps_no_backup_from_its_proof() {
    let store = Store::postgres().await;
    let folder = tempfile::tempdir().expect("a folder");
    let backups = backups(&store, &folder);
    backups.create().await.expect("a backup");
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    store.stage("r", vec![listed(listing(1, 5), at(1))]).await;
    let attempt = store.attempt("r", "load-products").await;
    // The load stands still in its transaction.
    let hold = "BEGIN; LOCK TABLE product_history IN EXCLUSIVE MODE";
    let held = store.hold(hold).await;
    let warehouse = store.again().await;
    let load = tokio::spawn(async move { warehouse.load_batch(&attempt, &merge()).await });
    let blocked = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND datname = current_database()";
    while store.cell(blocked).await != "1" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let proven = backups.verify(None).await.expect("a proof");
    assert!(proven.is_some_and(|backup| backup.manifest.verified_at.is_some()));
    held.let_go().await;
    let loaded = load.await.expect("no panic").expect("a batch");
    assert_eq!(loaded.map(|batch| batch.len()), Some(1));
}
