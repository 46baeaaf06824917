//! What `monitor-infrastructure` reports of the machine, the database, Redis and containers.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use testkit::{Postgres, Redis};

use crate::tiki::{Shop, Tiki};

fn shop() -> Shop {
    Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"])
}

/// A run on a day of its own and today, so that the machine is looked at as in earnest.
fn today() -> (Shop, Tiki) {
    let shop = Shop::open(&Tiki::new(), &["--products", "60"]);
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_RATE_LIMIT", "0");
    (shop, tiki)
}

/// The report of the step, of a run that ends well.
fn report(tiki: &Tiki) -> Value {
    let run = tiki.json(&["run", "--new", "--json"]);
    let steps = run["steps"].as_array().expect("steps");
    let found = steps
        .iter()
        .find(|step| step["step"] == "monitor-infrastructure");
    found.expect("the step").clone()
}

fn stats(tiki: &Tiki) -> Value {
    report(tiki)["infrastructure_stats"].clone()
}

fn whole(stats: &Value, block: &str, names: &[&str]) -> Vec<i64> {
    let of = |name: &&str| stats[block][*name].as_i64();
    let all: Option<Vec<i64>> = names.iter().map(of).collect();
    all.unwrap_or_else(|| panic!("{block}: {stats:#}"))
}

#[test]
fn a_file_has_no_server_and_says_its_sizes() {
    let shop = shop();
    let tiki = shop.home();
    let stats = stats(&tiki);
    for name in ["postgres", "redis", "docker"] {
        assert_eq!(stats[name], Value::Null, "{name}: {stats:#}");
    }
    let size = std::fs::metadata(tiki.path("data/tiki.db")).expect("the warehouse");
    let sizes = whole(&stats, "sqlite", &["file_bytes", "log_bytes"]);
    assert!(0 < sizes[0] && sizes[0] <= size.len() as i64, "{stats:#}");
    let system = &stats["system"];
    assert!(system["cpu_count"].as_i64() > Some(0), "{stats:#}");
    for name in ["cpu_percent", "memory_percent", "disk_usage_percent"] {
        let percent = system[name].as_f64().expect(name);
        assert!((0.0..=100.0).contains(&percent), "{name}: {stats:#}");
    }
    assert!(
        system["memory_available_mb"].as_i64() > Some(0),
        "{stats:#}"
    );
    assert!(stats["over_limits"].is_array(), "{stats:#}");
}

#[test]
fn postgres_and_redis_say_how_they_are() {
    let shop = shop();
    let server = Postgres::shared();
    let database = server.fresh_database();
    let redis = Redis::shared().fresh_url();
    let tiki = shop
        .home()
        .with("TIKI_DATABASE_URL", &database)
        .with("TIKI_REDIS_URL", &redis);
    tiki.ends(0, &["run"]);
    // What a session did is counted at the latest when it ends: a day later all of it is.
    let stats = stats(&tiki.with("TIKI_CLOCK", "2026-11-01T19:00:00.000Z"));
    assert_eq!(stats["sqlite"], Value::Null, "{stats:#}");
    let names = [
        "db_size_bytes",
        "active_connections",
        "commits",
        "rollbacks",
        "blocks_read",
        "blocks_hit",
        "rows_returned",
        "rows_fetched",
        "rows_inserted",
        "rows_updated",
        "rows_deleted",
    ];
    let counts = whole(&stats, "postgres", &names);
    let of = |name| counts[names.iter().position(|other| *other == name).expect("one")];
    assert!(of("db_size_bytes") > 1 << 20, "{stats:#}");
    for name in [
        "active_connections",
        "commits",
        "blocks_hit",
        "rows_returned",
    ] {
        assert!(of(name) > 0, "{name}: {stats:#}");
    }
    let megabytes = stats["postgres"]["db_size_mb"].as_f64().expect("megabytes");
    let bytes = of("db_size_bytes") as f64;
    assert!((megabytes - bytes / 1_048_576.0).abs() < 0.001, "{stats:#}");
    let ratio = stats["postgres"]["cache_hit_ratio"].as_f64();
    let (hit, read) = (of("blocks_hit") as f64, of("blocks_read") as f64);
    let expected = 100.0 * hit / (hit + read);
    let is_close = ratio.is_some_and(|ratio| (ratio - expected).abs() < 0.001);
    assert!(is_close, "{stats:#}");
    assert!(of("rows_inserted") > 60, "{stats:#}");
    let names = [
        "connected_clients",
        "total_connections_received",
        "total_commands_processed",
        "keyspace_hits",
        "keyspace_misses",
        "evicted_keys",
    ];
    let counts = whole(&stats, "redis", &names);
    assert!(counts[..3].iter().all(|count| *count > 0), "{stats:#}");
    assert!(counts[4] > 0, "details were asked for in vain: {stats:#}");
    for name in ["used_memory_mb", "used_memory_peak_mb", "hit_rate"] {
        let number = stats["redis"][name].as_f64();
        assert!(number.is_some_and(|number| number >= 0.0), "{stats:#}");
    }
    server.drop_database(&database);
}

#[test]
fn a_redis_that_is_away_is_null_and_no_failure() {
    let shop = shop();
    let mut server = Redis::start();
    let tiki = shop.home().with("TIKI_REDIS_URL", &server.url(1));
    server.kill();
    assert_eq!(stats(&tiki)["redis"], Value::Null);
}

#[test]
fn what_is_over_its_limit_is_in_the_report_and_a_warning_of_the_run() {
    let (_shop, tiki) = today();
    let is_disk = |row: &Value| row["name"] == "disk";
    let has_disk = |list: &Value| list.as_array().expect("a list").iter().any(is_disk);
    let warns = |report: &Value| report["warnings"].to_string().contains("\"disk: ");
    let well = report(&tiki);
    assert!(!has_disk(&well["infrastructure_stats"]["over_limits"]));
    assert!(!warns(&well), "{well:#}");
    let tiki = tiki.with("TIKI_MIN_FREE_DISK", "1000000000");
    let over = report(&tiki);
    assert!(has_disk(&over["infrastructure_stats"]["over_limits"]));
    assert!(warns(&over), "{over:#}");
    let shown = tiki.ends(0, &["runs", "show"]).out;
    assert!(
        shown.contains("disk: ") && shown.contains("1000000000 MB"),
        "{shown}"
    );
}

/// A program `docker` before the others: what it does when it is asked for its engine, and for its containers.
fn with_docker(tiki: Tiki, engine: &str, stats: &str) -> Tiki {
    let folder = tiki.path("bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("docker");
    let text = format!("#!/bin/sh\ncase \"$1\" in version) {engine};; stats) {stats};; esac\n");
    std::fs::write(&program, text).expect("a program");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("its mode");
    let path = format!("{}:/usr/bin:/bin", folder.display());
    tiki.with("PATH", &path)
}

#[test]
fn slow_containers_are_told_where_docker_answers_in_time() {
    let row = json!({
        "Name": "tiki-postgres-1", "ID": "0a1b2c", "CPUPerc": "1.25%", "MemUsage": "96MiB / 2GiB",
        "MemPerc": "4.69%", "NetIO": "1kB / 2kB", "BlockIO": "0B / 4kB", "PIDs": "12",
    });
    let mut more = row.clone();
    more["Container"] = json!("0a1b2c");
    let (_shop, tiki) = today();
    let seen = tiki.path("seen");
    let tiki = with_docker(
        tiki.with("TIKI_ALERT_WEBHOOK_SECRET", "planted-7c1f"),
        &format!("env > '{}'; echo 28.5.2", seen.display()),
        &format!("echo '{more}'; echo '{more}'"),
    );
    assert_eq!(stats(&tiki)["docker"], json!([row, row]));
    let environment = std::fs::read_to_string(&seen).expect("what docker was handed");
    assert!(
        environment.contains("PATH=") && !environment.contains("planted"),
        "{environment}"
    );
    let tiki = with_docker(tiki, "echo 28.5.2", "exit 0");
    assert_eq!(stats(&tiki)["docker"], json!([]));
    let tiki = with_docker(tiki, "echo 28.5.2", "exit 1");
    assert_eq!(stats(&tiki)["docker"], Value::Null);
    let tiki = with_docker(tiki, "exec sleep 60", &format!("echo '{more}'"));
    let report = report(&tiki);
    assert_eq!(report["infrastructure_stats"]["docker"], Value::Null);
    assert!(report["seconds"].as_f64() < Some(20.0), "{report:#}");
}
