//! `tiki health`, as a container or a person asks it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Postgres, Redis};

use crate::tiki::{Shop, Tiki};

/// A probe that takes longer is taken for a failed one by those who ask.
const IN_TIME: Duration = Duration::from_secs(10);

/// The report, which must end with this exit code.
fn health(tiki: &Tiki, code: i32) -> Value {
    let begun = Instant::now();
    let done = tiki.ends(code, &["health", "--json"]);
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    let report: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(report["exit_code"], code);
    assert_eq!(report["healthy"], code == 0);
    assert!(!done.out.contains("hunter2"), "{}", done.out);
    report
}

/// The line of a name.
fn line<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("a list");
    checks
        .iter()
        .find(|check| check["name"] == name)
        .expect(name)
}

fn state<'a>(report: &'a Value, name: &str) -> &'a str {
    line(report, name)["state"].as_str().expect("a word")
}

#[test]
fn a_warehouse_that_was_not_made_yet_is_no_failure_and_is_not_made() {
    let tiki = Tiki::new();
    let report = health(&tiki, 0);
    for (name, expected) in [
        ("warehouse", "warning"),
        ("schema", "skipped"),
        ("clock", "skipped"),
        ("redis", "skipped"),
        ("disk", "ok"),
        ("last-run", "skipped"),
        ("pace", "skipped"),
    ] {
        assert_eq!(state(&report, name), expected, "{report:#}");
    }
    let said = tiki.ends(0, &["health"]).out;
    assert!(said.contains("warehouse: `tiki run` makes it"), "{said}");
    let left = std::fs::read_dir(tiki.folder()).expect("a folder").count();
    assert_eq!(left, 0, "a probe leaves nothing behind");
}

#[test]
fn a_run_that_ended_well_makes_it_well_until_it_is_too_old() {
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let tiki = shop.home();
    tiki.ends(0, &["migrate"]);
    let new = health(&tiki, 0);
    assert_eq!(state(&new, "last-run"), "warning", "{new:#}");
    tiki.ends(0, &["run"]);
    let asked = shop.control("GET", "counts", "")["requests"].clone();
    let file = tiki.path("data/tiki.db");
    let before = std::fs::read(&file).expect("the warehouse");
    let report = health(&tiki, 0);
    for name in ["warehouse", "schema", "disk", "last-run", "pace"] {
        assert_eq!(state(&report, name), "ok", "{report:#}");
    }
    let run = tiki.json(&["runs", "--json"])[0]["id"].clone();
    tiki.ends(0, &["health", "--strict"]);
    let seen = line(&report, "last-run")["seen"].as_str().expect("text");
    assert!(seen.starts_with(run.as_str().expect("an id")), "{seen}");
    assert_eq!(std::fs::read(&file).expect("the warehouse"), before);
    let still = shop.control("GET", "counts", "")["requests"].clone();
    assert_eq!(still, asked, "the site is not asked");
    let tiki = tiki.with("TIKI_MAX_RUN_AGE", "1ms");
    let old = health(&tiki, 0);
    assert_eq!(state(&old, "last-run"), "warning", "{old:#}");
    tiki.ends(3, &["health", "--strict"]);
    let tiki = tiki.with("TIKI_MIN_FREE_DISK", "1000000000");
    assert_eq!(state(&health(&tiki, 1), "disk"), "failed");
}

#[test]
fn an_open_breaker_is_a_warning() {
    let tiki = Tiki::new();
    tiki.ends(0, &["migrate"]);
    let database = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let sql = "INSERT INTO permits (origin, granted_by, next_at_micros, share, share_at_micros,
            open_until_micros, pause_micros)
        VALUES ('https://tiki.vn', 'warehouse', 0, 1000, 0,
            (unixepoch() + 600) * 1000000, 600000000)";
    database.execute(sql, []).expect("a pace");
    let report = health(&tiki, 0);
    assert_eq!(state(&report, "pace"), "warning", "{report:#}");
}

#[test]
fn a_file_that_is_no_warehouse_is_told_and_left_as_it_is() {
    let tiki = Tiki::new();
    std::fs::create_dir(tiki.path("data")).expect("a folder");
    let text = "not a database, and nobody may make one of it".repeat(200);
    tiki.write("data/tiki.db", &text);
    assert_eq!(state(&health(&tiki, 1), "warehouse"), "failed");
    let left = std::fs::read_to_string(tiki.path("data/tiki.db")).expect("the file");
    assert_eq!(left, text);
}

#[test]
fn a_schema_is_absent_older_newer_or_right() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    let in_database = |sql: &str| drop(server.beside(&database, sql).child().wait());
    let schema = |code, expected| {
        let report = health(&tiki, code);
        assert_eq!(state(&report, "schema"), expected, "{report:#}");
        line(&report, "schema").to_string()
    };
    assert!(schema(0, "warning").contains("tiki migrate"));
    assert_eq!(state(&health(&tiki, 0), "warehouse"), "ok");
    tiki.ends(0, &["migrate"]);
    schema(0, "ok");
    assert_eq!(state(&health(&tiki, 0), "clock"), "ok");
    in_database("insert into schema_migrations values ('9999_later', 'x', now())");
    assert!(schema(2, "failed").contains("newer"));
    in_database(
        "delete from schema_migrations where name >=
            (select max(name) from schema_migrations where name < '9999_later')",
    );
    assert!(schema(2, "failed").contains("tiki migrate"));
    server.drop_database(&database);
}

#[test]
fn a_server_that_is_down_or_silent_is_30() {
    let mute = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let silent = mute.local_addr().expect("its address").to_string();
    let closed = format!("127.0.0.1:{}", testkit::free_port());
    for address in [silent, closed] {
        let url = format!("postgres://u:hunter2@{address}/d");
        let tiki = Tiki::new().with("TIKI_DATABASE_URL", &url);
        let report = health(&tiki, 30);
        assert_eq!(state(&report, "warehouse"), "failed", "{report:#}");
        assert_eq!(state(&report, "schema"), "skipped", "{report:#}");
        let help = line(&report, "warehouse")["help"].to_string();
        assert!(help.contains("TIKI_DATABASE_URL"), "{help}");
        let redis = format!("redis://:hunter2@{address}/1");
        let tiki = Tiki::new().with("TIKI_REDIS_URL", &redis);
        let report = health(&tiki, 30);
        assert_eq!(state(&report, "redis"), "failed", "{report:#}");
    }
}

#[test]
fn redis_answers_or_does_not() {
    let mut server = Redis::start();
    let tiki = Tiki::new().with("TIKI_REDIS_URL", &server.url(1));
    assert_eq!(state(&health(&tiki, 0), "redis"), "ok");
    server.kill();
    let report = health(&tiki, 30);
    assert_eq!(state(&report, "redis"), "failed", "{report:#}");
}
