//! A warehouse of an earlier or a later schema, as the program meets it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use testkit::ChildGuard;
use warehouse::schema_steps;

use crate::tiki::{Shop, Tiki};

/// Writes a warehouse of the schema before the newest, or of an earlier one, with the rows that the
/// warehouse's own tests keep.
fn old(file: &Path, taken: usize) {
    let steps = schema_steps(false);
    let name = steps[taken - 1].name;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../warehouse/tests/fixtures");
    let rows = std::fs::read_to_string(folder.join(format!("{name}.sql"))).expect("a fixture");
    let lines = rows.lines().filter(|line| !line.starts_with("--"));
    let rows = lines.collect::<Vec<_>>().join("\n");
    let mut parts = rows.split("{bytes:");
    let first = parts.next().unwrap_or_default().to_owned();
    let rows = parts.fold(first, |rows, part| {
        rows + "X'" + &part.replacen('}', "'", 1)
    });
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    let connection = Connection::open(file).expect("a file");
    let ledger = "CREATE TABLE schema_migrations (
        name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at TEXT NOT NULL);";
    connection.execute_batch(ledger).expect("a ledger");
    for step in &steps[..taken] {
        let row = format!(
            "{}; INSERT INTO schema_migrations VALUES ('{}', '{}', '2026-01-01T00:00:00.000Z')",
            step.sql, step.name, step.checksum
        );
        connection.execute_batch(&row).expect("a step");
    }
    connection.execute_batch(&rows).expect("rows");
}

fn change(file: &Path, sql: &str) {
    let connection = Connection::open(file).expect("the file");
    connection.execute_batch(sql).expect("a statement");
}

fn newest_but_one() -> usize {
    schema_steps(false).len() - 1
}

#[test]
fn a_run_goes_on_in_a_warehouse_of_every_earlier_schema() {
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    for taken in 1..=newest_but_one() {
        let tiki = shop.home();
        let file = tiki.path("data/tiki.db");
        old(&file, taken);
        let read = tiki.ends(2, &["products", "search", "a"]);
        assert!(read.err.contains("tiki migrate"), "{}", read.err);
        let done = tiki.ends(0, &["run"]);
        assert!(
            taken == 1 || done.err.contains("closing run r2"),
            "{done:?}"
        );
        let history = tiki.out(&["products", "history", "1", "--json"]);
        assert!(history.contains("90000"), "{history}");
        tiki.ends(
            0,
            &[
                "run",
                "--from",
                "transform-products",
                "--run",
                &newest_run(&tiki),
            ],
        );
    }
}

#[test]
fn a_backup_is_made_of_every_earlier_schema_before_it_is_migrated() {
    for taken in 1..=newest_but_one() {
        let tiki = Tiki::new();
        let file = tiki.path("data/tiki.db");
        old(&file, taken);
        let made = tiki.json(&["backup", "create", "--verify", "--json"]);
        assert_eq!(made["schema_version"], schema_steps(false)[taken - 1].name);
        let products = "SELECT COUNT(*) FROM products";
        let count = |sql| {
            let file = Connection::open(&file).expect("the file");
            let count: i64 = file.query_row(sql, [], |row| row.get(0)).expect("a count");
            count
        };
        let before = count(products);
        tiki.ends(0, &["migrate"]);
        let id = made["id"].as_str().expect("an id");
        tiki.ends(0, &["backup", "restore", id, "--force"]);
        let steps = "SELECT COUNT(*) FROM schema_migrations";
        assert_eq!(count(steps), taken as i64, "as it was");
        assert_eq!(count(products), before);
        tiki.ends(0, &["migrate"]);
    }
}

fn newest_run(tiki: &Tiki) -> String {
    let runs = tiki.json(&["runs", "--json"]);
    runs[0]["id"].as_str().expect("an id").into()
}

#[test]
fn every_command_refuses_a_newer_schema() {
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let tiki = shop.home();
    tiki.ends(0, &["migrate"]);
    change(
        &tiki.path("data/tiki.db"),
        "INSERT INTO schema_migrations VALUES ('9999_later', 'x', '2026-01-01T00:00:00.000Z')",
    );
    for command in [
        &["run"][..],
        &["step", "crawl-categories", "--run", "r"],
        &["plan"],
        &["runs"],
        &["runs", "show", "r"],
        &["runs", "resume"],
        &["runs", "close", "r"],
        &["categories"],
        &["products", "search", "a"],
        &["products", "show", "1"],
        &["products", "history", "1"],
        &["export", "-"],
        &["sql", "select 1"],
        &["rejections"],
        &["rejections", "replay"],
        &["drift"],
        &["drift", "accept", "r"],
        &["digest"],
        &["migrate"],
        &["backup", "create"],
    ] {
        let done = tiki.ends(2, command);
        let clear = done.err.contains("9999_later") && done.err.contains("newer than this program");
        assert!(clear, "tiki {command:?}: {}", done.err);
    }
}

#[test]
fn nobody_migrates_while_an_older_program_works() {
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let tiki = shop.home();
    let file = tiki.path("data/tiki.db");
    old(&file, newest_but_one());
    change(
        &file,
        "UPDATE attempts SET lease_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+80 seconds')
         WHERE run_id = 'r2'",
    );
    let step = ["step", "crawl-categories", "--run", "r9"];
    for command in [&["migrate"][..], &["run"], &["run", "--wait"], &step] {
        let done = tiki.ends(30, command);
        let clear = done.err.contains("run r2 is at work (load-products");
        assert!(clear, "tiki {command:?}: {}", done.err);
    }
    change(
        &file,
        "UPDATE attempts SET lease_until = '2026-01-01T00:00:00.000Z' WHERE run_id = 'r2'",
    );
    tiki.ends(0, &["migrate"]);
}

/// Every table and index as the file tells it, and its rows but for times of the migration.
fn told(file: &Path) -> Vec<String> {
    let connection = Connection::open(file).expect("the file");
    let list = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).expect("a statement");
        let rows = statement.query_map([], |row| row.get::<_, String>(0));
        rows.expect("rows")
            .map(|row| row.expect("a text"))
            .collect()
    };
    let mut all = list("SELECT name || sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name");
    for table in list("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name") {
        all.extend(list(&format!("SELECT '{table}' || COUNT(*) FROM {table}")));
    }
    all.extend(list("PRAGMA integrity_check"));
    all
}

#[test]
#[ignore = "torture: kills many migrations"]
fn torture_a_migration_killed_at_any_moment_is_whole_or_was_not() {
    let tiki = Tiki::new();
    let file = tiki.path("data/tiki.db");
    old(&file, 1);
    let before = told(&file);
    let kept = std::fs::read(&file).expect("a file");
    let begun = std::time::Instant::now();
    tiki.ends(0, &["migrate"]);
    let whole = begun.elapsed();
    let after = told(&file);
    let (mut early, mut late) = (0, 0);
    let kills = 60;
    for n in 0..kills {
        for tail in ["-wal", "-shm"] {
            let beside = format!("{}{tail}", file.display());
            if Path::new(&beside).exists() {
                std::fs::remove_file(beside).expect("a file to remove");
            }
        }
        std::fs::write(&file, &kept).expect("a file");
        let mut command = tiki.command(&["migrate"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = ChildGuard::spawn(&mut command).expect("the program");
        std::thread::sleep(Duration::from_micros(whole.as_micros() as u64 * n / kills));
        child.child().kill().expect("a kill");
        child.child().wait().expect("an end");
        let found = told(&file);
        if found == before {
            early += 1;
        } else {
            assert_eq!(found, after, "kill {n}");
            late += 1;
        }
        tiki.ends(0, &["migrate"]);
        assert_eq!(told(&file), after, "kill {n}");
    }
    assert_eq!(early + late, kills, "none between");
}
