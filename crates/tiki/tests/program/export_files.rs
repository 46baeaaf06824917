//! An exported file is whole or not there, whatever happens, and its memory does not grow with it.
#![allow(clippy::print_stdout, reason = "a figure to look at")]

use std::fs::{File, read_dir};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::Value;
use testkit::{ChildGuard, Postgres, wait_until};

use crate::analysts::{psycopg, python};
use crate::tiki::{Done, Tiki};

/// A warehouse with this many products of about 1.3 kB, made past the pipeline: `{n}` counts from 1.
fn rows(count: u32, from: &str) -> String {
    let text = "x".repeat(1200);
    format!(
        "INSERT INTO products (id, name, search_name, url, price, rating_average, description,
            observed_at, created_at, updated_at, identity_hash, content_at)
        SELECT n, '=Sản phẩm ' || n, 'san pham ' || n, 'https://tiki.vn/p' || n, n * 1000, 4.5,
            n || '{text}', '2026-11-01T00:00:00.000Z', '2026-11-01T00:00:00.000Z',
            '2026-11-01T00:00:00.000Z', n, '2026-11-01T00:00:00.000Z'
        FROM {from} WHERE n <= {count}"
    )
}

fn filled(count: u32) -> Tiki {
    let tiki = Tiki::new();
    tiki.ends(0, &["migrate"]);
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the file");
    let from = format!(
        "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})
            SELECT n FROM c)"
    );
    file.execute_batch(&rows(count, &from)).expect("rows");
    tiki
}

/// What is in the folder besides the warehouse.
fn files(tiki: &Tiki) -> Vec<String> {
    let entries = read_dir(tiki.folder()).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.retain(|name| name != "data");
    names.sort();
    names
}

#[test]
fn an_export_replaces_no_database_and_no_backup() {
    let tiki = Tiki::new();
    tiki.fill_demo(50, 1);
    tiki.ends(0, &["backup", "create", "--demo"]);
    let backup = &tiki.json(&["backup", "--demo", "--json"])[0];
    let manifest = format!(
        "{}/manifest.json",
        backup["folder"].as_str().expect("a folder")
    );
    let (warehouse, link) = (tiki.path("data/demo.db"), tiki.path("link.csv"));
    symlink(&warehouse, &link).expect("a link");
    let before = tiki.out(&["digest", "--demo"]);
    for (file, said) in [
        ("data/demo.db", "a database"),
        ("link.csv", "a database"),
        ("data/demo.db-wal", "the log of a database"),
        (manifest.as_str(), "among the backups"),
    ] {
        let done = tiki.ends(2, &["export", file, "--demo", "--format", "csv"]);
        assert!(done.err.contains(said), "{file}: {}", done.err);
    }
    assert_eq!(tiki.out(&["digest", "--demo"]), before);
    assert_eq!(&tiki.json(&["backup", "--demo", "--json"])[0], backup);
}

#[test]
fn a_failed_export_leaves_what_was_there() {
    let tiki = filled(3000);
    tiki.write("old.csv", "old");
    // As on a full disk a write fails in the middle: files may have 400 kB here.
    let limited = "trap '' XFSZ; ulimit -f 800; exec \"$0\" export \"$1\"";
    for file in ["old.csv", "new.csv", "new.jsonl", "new.parquet"] {
        let program = tiki.command(&[]);
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", limited])
            .arg(program.get_program())
            .arg(file);
        let changed = program
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        shell.envs(changed).current_dir(tiki.folder());
        let done: Done = shell.output().expect("a shell").into();
        if file.ends_with("parquet") {
            // Packed it fits.
            continue;
        }
        assert_eq!(done.code, 1, "{file}: {done:?}");
        let said = format!("cannot write {file}");
        assert!(
            done.err.contains(&said) && done.err.contains("large"),
            "{}",
            done.err
        );
    }
    assert_eq!(files(&tiki), ["new.parquet", "old.csv"]);
    assert_eq!(
        std::fs::read_to_string(tiki.path("old.csv")).expect("a file"),
        "old"
    );
    // A full disk says so.
    for format in ["csv", "jsonl", "parquet"] {
        let full = File::options().write(true).open("/dev/full");
        let mut command = tiki.command(&["export", "-", "--format", format]);
        command.stdout(full.expect("a full device"));
        let done: Done = command.output().expect("the program").into();
        assert_eq!(done.code, 1, "{format}: {done:?}");
        assert!(done.err.contains("free some room"), "{}", done.err);
    }
    // What is no file is left alone; a link goes on leading to its file.
    for (file, said) in [("data", "it is a folder"), ("/dev/null", "no plain file")] {
        let done = tiki.ends(1, &["export", file, "--format", "csv"]);
        assert!(done.err.contains(said), "{}", done.err);
    }
    symlink("old.csv", tiki.path("link.csv")).expect("a link");
    tiki.ends(0, &["export", "link.csv"]);
    assert!(tiki.path("link.csv").is_symlink());
    let text = std::fs::read_to_string(tiki.path("old.csv")).expect("a file");
    assert_eq!(text.lines().count(), 3001);
    assert!(
        text.contains(",'=Sản phẩm 1,"),
        "no formula for a spreadsheet"
    );
    let raw = tiki.out(&["export", "-", "--raw"]);
    assert!(raw.contains(",=Sản phẩm 1,"));
    let json = tiki.out(&["export", "-", "--format", "jsonl"]);
    assert!(json.contains("\"name\":\"=Sản phẩm 1\""));
}

#[test]
fn an_interrupted_export_leaves_nothing() {
    let tiki = filled(40_000);
    for signal in ["INT", "TERM"] {
        let mut command = tiki.command(&["export", "p.parquet"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = ChildGuard::spawn(&mut command).expect("the program");
        let begun = || {
            files(&tiki).iter().any(|name| {
                std::path::Path::new(name)
                    .extension()
                    .is_some_and(|end| end == "part")
            })
        };
        wait_until("a file", std::time::Duration::from_secs(30), begun);
        let id = child.child().id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status();
        assert!(sent.expect("kill").success());
        let status = child.child().wait().expect("an end");
        assert_eq!(status.code(), Some(130));
        assert_eq!(files(&tiki), Vec::<String>::new());
    }
}

/// The most memory that a command held, in MB.
fn peak(tiki: &Tiki, arguments: &[&str]) -> u64 {
    let script = "import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let command = tiki.command(arguments);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut shell = std::process::Command::new(testkit::Python::READERS.program());
    shell.args(["-c", script, &program]).args(arguments);
    let changed = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    shell.envs(changed).current_dir(tiki.folder());
    let done: Done = shell.output().expect("Python").into();
    assert_eq!(done.code, 0, "{done:?}");
    done.out.trim().parse::<u64>().expect("kB") / 1024
}

/// 200,000 products are 280 MB of text.
const MANY: u32 = 200_000;

fn memory_stays(tiki: &Tiki, which: &str) {
    for (file, bound) in [("p.csv", 64), ("p.jsonl", 64), ("p.parquet", 192)] {
        let peak = peak(tiki, &["export", file]);
        println!("{which}, {file}: {peak} MB of memory");
        assert!(peak < bound, "{which}, {file}: {peak} MB, at most {bound}");
        let size = std::fs::metadata(tiki.path(file)).expect("a file").len();
        assert!(size > 10_000_000, "{size}");
    }
    let file = tiki.path("p.parquet");
    let script = "import duckdb, sys; print(*duckdb.sql(f\"SELECT COUNT(*), COUNT(DISTINCT id), \
                  SUM(LENGTH(description)) FROM '{sys.argv[1]}'\").fetchall()[0])";
    let said = python(&["-c", script, &file.to_string_lossy()]);
    let sum: u64 = (1..=u64::from(MANY))
        .map(|n| 1200 + n.to_string().len() as u64)
        .sum();
    assert_eq!(said.trim(), format!("{MANY} {MANY} {sum}"));
}

#[test]
fn slow_memory_does_not_grow_with_an_export() {
    memory_stays(&filled(MANY), "SQLite");
    let database = Postgres::shared().fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    psycopg(
        &database,
        &rows(MANY, &format!("generate_series(1, {MANY}) AS n"))
            .replace("'2026", "timestamptz '2026"),
    );
    memory_stays(&tiki, "PostgreSQL");
    Postgres::shared().drop_database(&database);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let tiki = Tiki::new();
    let deaf = |tiki: &Tiki, arguments: &[&str]| {
        let mut command = tiki.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        drop(child.stdout.take());
        Done::from(child.wait_with_output().expect("its end"))
    };
    let days = ["run", "--demo", "--demo-products", "20", "--demo-days", "1"];
    let run = deaf(&tiki, &days);
    assert_eq!(run.code, 0, "{run:?}");
    let mut logs = read_dir(tiki.path("data/logs")).expect("logs");
    let log = logs.next().expect("a log").expect("a log").path();
    let log = std::fs::read_to_string(log).expect("a log");
    let last: Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&last["level"], &last["message"], &last["exit_code"]),
        (&"INFO".into(), &"ended".into(), &0.into()),
        "{last}"
    );
    // The second is more than what is held before it is written.
    let large = filled(300);
    for format in ["csv", "jsonl", "parquet"] {
        let export = ["export", "-", "--format", format];
        let history = ["--table", "history", "--demo"];
        for done in [
            deaf(&tiki, &[&export[..], &history].concat()),
            deaf(&large, &export),
        ] {
            assert_eq!((done.code, done.err.as_str()), (0, ""), "{format}");
        }
    }
}

#[test]
#[ignore = "slow: waits longer than a transaction of PostgreSQL may usually be idle"]
fn slow_whoever_reads_an_export_may_pause() {
    let database = Postgres::shared().fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    psycopg(&database, &rows(2000, "generate_series(1, 2000) AS g(n)"));
    let mut command = tiki.command(&["export", "-", "--format", "jsonl"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ChildGuard::spawn(&mut command).expect("the program");
    let mut out = child.child().stdout.take().expect("its output");
    std::thread::sleep(std::time::Duration::from_secs(33));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut out, &mut text).expect("lines");
    assert_eq!(text.lines().count(), 2000);
    assert!(child.child().wait().expect("its end").success());
    Postgres::shared().drop_database(&database);
}
