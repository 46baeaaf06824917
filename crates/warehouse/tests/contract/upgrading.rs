//! A warehouse of every earlier schema is kept as a text (`tests/fixtures`), and comes whole to the
//! present one, also after a migration that was killed.

use std::path::Path;

use warehouse::{Error, ErrorKind, Host, Options, Outcome, SchemaStep, Warehouse, schema_steps};

use crate::store::{Store, at, merge};

on_both!(
    every_earlier_schema_comes_whole_to_this_one,
    a_kill_at_any_statement_leaves_the_old_or_the_new,
    what_had_failed_is_told_by_its_step_alone,
    nobody_migrates_while_somebody_works,
    who_slept_through_a_migration_commits_nothing,
    a_running_worker_stops_at_its_next_batch_under_a_newer_schema,
    an_older_or_newer_schema_is_not_read,
);

/// Which steps were taken, as the program writes it down.
const LEDGER: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS schema_migrations (
            name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL);",
    "CREATE TABLE IF NOT EXISTS schema_migrations (
            name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL);",
];

fn fixture(name: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read_to_string(folder.join(format!("{name}.sql"))).ok()
}

#[test]
fn every_earlier_schema_has_a_fixture() {
    let steps = schema_steps(false);
    let (_, earlier) = steps.split_last().expect("a schema");
    for step in earlier {
        let name = step.name;
        assert!(
            fixture(name).is_some(),
            "write crates/warehouse/tests/fixtures/{name}.sql: the rows of a warehouse of the schema \
             {name}, which is no more the newest"
        );
    }
}

/// The statements that a step of the schema adds, and its row in the ledger.
fn text(step: &SchemaStep) -> String {
    format!(
        "{};\nINSERT INTO schema_migrations VALUES ('{}', '{}', '2026-01-01T00:00:00.000Z');\n",
        step.sql, step.name, step.checksum
    )
}

/// A warehouse with the first `taken` steps of the schema and the rows of their fixture, in a place of
/// its own. What is told of it beside is kept in the folder of `beside`.
async fn old(beside: &Store, taken: usize) -> Store {
    let postgres = beside.warehouse.is_postgres();
    let url = match &beside.folder {
        Some(folder) => format!(
            "sqlite:{}",
            folder.path().join(format!("old{taken}.db")).display()
        ),
        None => tokio::task::block_in_place(|| testkit::Postgres::shared().fresh_database()),
    };
    let warehouse = Warehouse::open(&url, &Options::default()).await;
    let store = Store {
        warehouse: warehouse.expect("a warehouse"),
        url,
        folder: None,
    };
    let steps = schema_steps(postgres);
    let rows = fixture(steps[taken - 1].name).expect("a fixture");
    let rows = rows.lines().filter(|line| !line.starts_with("--"));
    let rows = bytes(&rows.collect::<Vec<_>>().join("\n"), postgres);
    let schema: String = steps[..taken].iter().map(text).collect();
    let ledger = LEDGER[usize::from(!postgres)];
    store.seed(&format!("{ledger}{schema}{rows}")).await;
    store
}

/// `{bytes:…}` in a database's own words.
fn bytes(sql: &str, postgres: bool) -> String {
    let mut parts = sql.split("{bytes:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_once('}').expect("an end of the bytes");
        let bytes = if postgres {
            format!("'\\x{hex}'{rest}")
        } else {
            format!("X'{hex}'{rest}")
        };
        out.push_str(&bytes);
    }
    out
}

/// Everything of the schema that a person or the program meets.
async fn shape(store: &Store) -> Vec<String> {
    if !store.warehouse.is_postgres() {
        // Spaces apart: a table that was altered is written as the alteration left it.
        let sql = "SELECT type, name, tbl_name, sql FROM sqlite_master
            WHERE name NOT LIKE 'sqlite_%' AND name <> 'schema_migrations' ORDER BY name";
        return store.rows(sql).await;
    }
    let mut all = store
        .rows(
            "SELECT table_name, column_name, data_type, is_nullable, collation_name, column_default
             FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position",
        )
        .await;
    for sql in [
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    ] {
        all.extend(store.rows(sql).await);
    }
    all
}

/// How many rows each table of a fixture has.
async fn counts(store: &Store, tables: &[String]) -> Vec<(String, String)> {
    let mut counts = Vec::new();
    for table in tables {
        let count = store.cell(&format!("SELECT COUNT(*) FROM {table}")).await;
        counts.push((table.clone(), count));
    }
    counts
}

async fn tables(store: &Store) -> Vec<String> {
    let sql = if store.warehouse.is_postgres() {
        "SELECT table_name FROM information_schema.tables
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
            AND table_name <> 'schema_migrations' ORDER BY 1"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
            AND name <> 'schema_migrations' ORDER BY 1"
    };
    store.rows(sql).await
}

async fn digest(store: &Store) -> String {
    store.warehouse.digest().await.expect("a digest")
}

/// The catalogue of the fixtures, which is the same in all of them and in both databases.
async fn expected_digest() -> String {
    let beside = Store::sqlite().await;
    digest(&old(&beside, 1).await).await
}

fn is_whole(store: &Store) {
    if let Some(file) = store.warehouse.file() {
        let connection = rusqlite::Connection::open(file).expect("the file");
        let check = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        let said = connection.query_row("PRAGMA integrity_check", [], check);
        assert_eq!(said.expect("a check"), "ok");
    }
}

async fn every_earlier_schema_comes_whole_to_this_one(new: Store) {
    let steps = schema_steps(new.warehouse.is_postgres());
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    let (fresh, expected) = (shape(&new).await, expected_digest().await);
    for taken in 1..steps.len() {
        let store = old(&new, taken).await;
        let held = tables(&store).await;
        let before = counts(&store, &held).await;
        let migrated = store
            .warehouse
            .migrate("public")
            .await
            .expect("a migration");
        assert_eq!(migrated.applied, names[taken..]);
        assert_eq!(
            counts(&store, &held).await,
            before,
            "from {}",
            names[taken - 1]
        );
        assert_eq!(digest(&store).await, expected, "from {}", names[taken - 1]);
        assert_eq!(shape(&store).await, fresh, "from {}", names[taken - 1]);
        is_whole(&store);
        if held.iter().any(|table| table == "staged_products") {
            goes_on(&store).await;
        }
    }
}

/// The run that was left is loaded, and counted.
async fn goes_on(store: &Store) {
    let mut outcomes = store.load_staged("r2", &merge()).await;
    outcomes.sort_by_key(|(id, _)| *id);
    let gone = outcomes.iter().position(|(id, _)| *id == 2);
    if let Some(gone) = gone {
        assert_eq!(outcomes.remove(gone), (2, Outcome::Gone));
        let name = "SELECT name FROM products WHERE id = 3";
        assert_eq!(store.cell(name).await, "Thước \"20 cm\"");
        let look =
            "SELECT COUNT(*) FROM observations WHERE product_id = 2 AND run_id = 'r2' AND gone";
        assert_eq!(store.cell(look).await, "1");
    }
    assert_eq!(outcomes, [(1, Outcome::Changed), (3, Outcome::New)]);
    let price = "SELECT price FROM products WHERE id = 1";
    assert_eq!(store.cell(price).await, "80000");
    let change = "SELECT price_change FROM product_history WHERE product_id = 1
        ORDER BY observed_at DESC LIMIT 1";
    assert_eq!(store.cell(change).await, "-10000");
    for run in ["r1", "r2"] {
        let counts = store.warehouse.identities(run).await.expect("counts");
        let broken: Vec<String> = counts
            .broken()
            .into_iter()
            .filter(|broken| run == "r2" || !broken.contains("items"))
            .collect();
        assert!(run == "r1" || broken.is_empty(), "{run}: {broken:?}");
    }
    let rejections = store.warehouse.rejections(Some("r1"), None, 9).await;
    assert_eq!(rejections.expect("rejections").len(), 2);
}

/// The statements of all steps after the first `taken`.
fn statements(postgres: bool, taken: usize) -> Vec<String> {
    let steps = schema_steps(postgres);
    let all: String = steps[taken..].iter().map(text).collect();
    let lines = all
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let all = lines.collect::<Vec<_>>().join("\n");
    let parts = all
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

async fn a_kill_at_any_statement_leaves_the_old_or_the_new(new: Store) {
    let postgres = new.warehouse.is_postgres();
    let (fresh, expected) = (shape(&new).await, expected_digest().await);
    let statements = statements(postgres, 1);
    assert!(statements.len() > 30, "{}", statements.len());
    let store = old(&new, 1).await;
    for killed_at in 0..=statements.len() {
        let begun = &statements[..killed_at];
        let left = if postgres {
            cut_off(&store.url, begun).await;
            None
        } else {
            Some(killed(&store, begun))
        };
        let found = left.as_ref().map_or(store.url.clone(), |folder| {
            format!("sqlite:{}", folder.path().join("old1.db").display())
        });
        let warehouse = Warehouse::open(&found, &Options::default()).await;
        let found = Store {
            warehouse: warehouse.expect("a warehouse"),
            url: found,
            folder: left,
        };
        assert_eq!(digest(&found).await, expected, "killed at {killed_at}");
        let taken = "SELECT COUNT(*) FROM schema_migrations";
        assert_eq!(found.cell(taken).await, "1", "killed at {killed_at}");
        // A file is a copy of its own, and few enough are migrated; the one database of the server is
        // migrated once, at the end.
        let is_last = killed_at == statements.len();
        if !is_last && (postgres || killed_at % 7 != 0) {
            continue;
        }
        let migrated = found.warehouse.migrate("public").await;
        migrated.expect("a migration");
        assert_eq!(digest(&found).await, expected, "killed at {killed_at}");
        assert_eq!(shape(&found).await, fresh, "killed at {killed_at}");
        is_whole(&found);
    }
}

/// The files as a kill leaves them in the middle of a transaction.
fn killed(store: &Store, begun: &[String]) -> tempfile::TempDir {
    let file = store.warehouse.file().expect("a file");
    let connection = rusqlite::Connection::open(file).expect("the file");
    // So few pages in memory that most are written before the commit.
    let begin = "PRAGMA cache_size = 4; PRAGMA cache_spill = 1; BEGIN IMMEDIATE";
    connection.execute_batch(begin).expect("a transaction");
    for statement in begun {
        let done = connection.execute_batch(statement);
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    for tail in ["", "-wal", "-shm"] {
        let from = format!("{}{tail}", file.display());
        let to = folder.path().join(format!("old1.db{tail}"));
        if Path::new(&from).exists() {
            std::fs::copy(from, to).expect("a copy");
        }
    }
    connection.execute_batch("ROLLBACK").expect("an end");
    folder
}

/// A connection that ends in the middle of a transaction.
async fn cut_off(url: &str, begun: &[String]) {
    let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("a connection");
    let driver = tokio::spawn(connection);
    let text = format!("BEGIN; {};", begun.join(";\n"));
    let done = client.batch_execute(&text).await;
    done.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    driver.abort();
}

async fn what_had_failed_is_told_by_its_step_alone(new: Store) {
    let steps = schema_steps(new.warehouse.is_postgres());
    let before = steps.iter().position(|step| step.name == "0008_failures");
    let store = old(&new, before.expect("a step of the schema")).await;
    let migrated = store.warehouse.migrate("public").await;
    migrated.expect("a migration");
    let all = store.warehouse.errors(Some("r2"), None, 1).await;
    let all = all.expect("errors");
    let brief: Vec<_> = all
        .iter()
        .map(|row| (row.kind, row.text.as_deref().unwrap_or(""), row.count))
        .collect();
    let failed = "exit 30 in load-products: cannot ask the warehouse: the connection is closed";
    let lost = "its process was killed or lost, or another took over (load-products)";
    assert_eq!(
        brief,
        [(ErrorKind::Step, failed, 1), (ErrorKind::Attempt, lost, 1)]
    );
}

/// As before the newest step.
async fn before_the_newest(beside: &Store) -> Store {
    let steps = schema_steps(beside.warehouse.is_postgres());
    old(beside, steps.len() - 1).await
}

/// As if a worker had just said that it is at work.
async fn live(store: &Store) {
    let soon = if store.warehouse.is_postgres() {
        "now() + interval '80 seconds'"
    } else {
        "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+80 seconds')"
    };
    let sql = format!("UPDATE attempts SET lease_until = {soon} WHERE run_id = 'r2'");
    store.seed(&sql).await;
}

async fn nobody_migrates_while_somebody_works(new: Store) {
    let store = before_the_newest(&new).await;
    live(&store).await;
    let refused = store.warehouse.migrate("public").await;
    let Err(Error::AtWork { run, step, host }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((run.as_str(), step.as_str()), ("r2", "load-products"));
    let known = |other: &Host| *other == host;
    let migrated = store.warehouse.migrate_past("public", known).await;
    let newest = new.warehouse.migrate("public").await.expect("an answer");
    assert_eq!(migrated.expect("a migration").applied, [newest.version]);
    // A schema that is up to date is nobody's business.
    let again = store.warehouse.migrate("public").await.expect("an answer");
    assert!(again.applied.is_empty());
}

async fn who_slept_through_a_migration_commits_nothing(new: Store) {
    let store = before_the_newest(&new).await;
    store
        .warehouse
        .migrate("public")
        .await
        .expect("a migration");
    let live = "SELECT COUNT(*) FROM attempts WHERE state = 'live'";
    assert_eq!(store.cell(live).await, "0");
}

const NEWER: &str = "INSERT INTO schema_migrations (name, checksum, applied_at)
    VALUES ('9999_later', 'x', '2026-01-01T00:00:00.000Z')";

fn is_newer<T: std::fmt::Debug>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Schema(text)) if text.contains("9999_later") && text.contains("newer"))
}

async fn a_running_worker_stops_at_its_next_batch_under_a_newer_schema(store: Store) {
    let mut arrivals = Vec::new();
    for id in 1..=3 {
        arrivals.push(crate::products::listed(
            crate::products::listing(id, 1000),
            at(1),
        ));
    }
    store.create_run("r").await;
    store.plan("r", &[1, 2, 3], None).await;
    store.stage_by(1, "r", arrivals).await;
    let attempt = store.attempt("r", "load-products").await;
    let loaded = store.warehouse.load_batch(&attempt, &merge()).await;
    assert_eq!(loaded.expect("a batch"), Some(vec![(1, Outcome::New)]));
    let before = digest(&store).await;
    store.seed(NEWER).await;
    let refused = store.warehouse.load_batch(&attempt, &merge()).await;
    assert!(is_newer(&refused), "{refused:?}");
    assert_eq!(digest(&store).await, before, "nothing was written");
    let wish = crate::store::wish("r", "cleanup-temp-files");
    let refused = store.warehouse.begin_attempt(&wish, |_| false).await;
    assert!(is_newer(&refused), "{refused:?}");
}

async fn an_older_or_newer_schema_is_not_read(new: Store) {
    assert!(new.warehouse.check_schema().await.expect("an answer"));
    let older = before_the_newest(&new).await;
    let refused = older.warehouse.check_schema().await;
    assert!(
        matches!(&refused, Err(Error::Schema(text)) if text.contains("tiki migrate")),
        "{refused:?}"
    );
    new.seed(NEWER).await;
    let refused = new.warehouse.check_schema().await;
    assert!(is_newer(&refused), "{refused:?}");
}
