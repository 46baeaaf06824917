//! The servers are real, belong to whoever started them, and leave nothing behind.
#![allow(
    clippy::print_stdout,
    reason = "a test's second process says where its servers are"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test's second process is told so by a variable"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::{ChildGuard, Postgres, Python, Redis, free_port, wait_until};

const LIMIT: Duration = Duration::from_secs(20);

/// Set in the second process of [`a_killed_test_leaves_no_server`].
const HOLD: &str = "TESTKIT_HOLDS_SERVERS";

fn listens(url: &str) -> bool {
    let address = url.split("://").nth(1).unwrap_or(url);
    let address = address.split('@').next_back().unwrap_or(address);
    let address = address.split('/').next().unwrap_or(address);
    TcpStream::connect(address).is_ok()
}

#[test]
fn every_database_is_new_and_can_be_dropped() {
    let server = Postgres::shared();
    let (first, second) = (server.fresh_database(), server.fresh_database());
    assert_ne!(first, second);
    let named = |url: &str| {
        let name = url.rsplit('/').next().unwrap();
        server.admin(&format!(
            "select count(*) from pg_database where datname = '{name}'"
        ))
    };
    assert_eq!(named(&first).trim(), "1");
    server.drop_database(&first);
    assert_eq!(named(&first).trim(), "0");
    assert_eq!(named(&second).trim(), "1");
    server.drop_database(&second);
    let version = server.admin("show server_version_num");
    assert!(
        version.trim().parse::<u32>().unwrap() >= 150_000,
        "{version}"
    );
    assert_eq!(server.admin("show fsync").trim(), "on");
}

#[test]
fn a_stopped_or_killed_postgres_keeps_what_was_committed() {
    let mut server = Postgres::start();
    let url = server.admin_url().to_owned();
    server.admin("create table kept as select 7 as value");
    server.restart();
    assert_eq!(server.admin("select value from kept").trim(), "7");
    server.kill();
    assert!(!listens(&url));
    server.restart();
    assert_eq!(server.admin("select value from kept").trim(), "7");
    server.stop();
    assert!(!listens(&url));
    server.restart();
    assert_eq!(server.admin("select value from kept").trim(), "7");
    assert_eq!(server.admin_url(), url);
    drop(server);
    assert!(!listens(&url));
}

#[test]
fn every_redis_database_is_new() {
    let server = Redis::shared();
    let (first, second) = (server.fresh_url(), server.fresh_url());
    assert_ne!(first, second);
    assert!(listens(&first));
}

#[test]
fn a_killed_redis_comes_back_empty_on_its_port() {
    let mut server = Redis::start();
    let url = server.url(0);
    assert!(server.fresh_url().ends_with("/1"));
    assert!(server.fresh_url().ends_with("/2"));
    server.pause();
    assert!(listens(&url), "a paused server keeps its port");
    server.resume();
    server.flush();
    assert!(server.fresh_url().ends_with("/1"), "flushed");
    server.kill();
    assert!(!listens(&url));
    server.restart();
    assert!(server.fresh_url().ends_with("/1"), "empty");
    server.pause();
    drop(server);
    assert!(!listens(&url), "a paused server goes too");
}

#[test]
fn a_killed_test_leaves_no_server() {
    if std::env::var_os(HOLD).is_some() {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        println!(
            "\n{HOLD} {} {} {postgres:?} {redis:?}",
            postgres.admin_url(),
            redis.url(0)
        );
        loop {
            std::thread::park();
        }
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_killed_test_leaves_no_server", "--nocapture"]);
    command.env(HOLD, "1").stdout(Stdio::piped());
    let mut holder = ChildGuard::spawn(&mut command).unwrap();
    let lines = BufReader::new(holder.child().stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with(HOLD))
        .unwrap();
    let urls: Vec<_> = line.split(' ').skip(1).take(2).collect();
    let folders: Vec<_> = line
        .split('"')
        .filter(|text| text.contains("/tiki-test-"))
        .collect();
    assert_eq!((urls.len(), folders.len()), (2, 2), "{line}");
    assert!(urls.iter().all(|url| listens(url)), "{line}");
    holder.kill().unwrap();
    wait_until("the servers of a killed test to end", LIMIT, || {
        !urls.iter().any(|url| listens(url))
            && !folders
                .iter()
                .any(|folder| std::path::Path::new(folder).exists())
    });
}

#[test]
fn a_free_port_can_be_bound() {
    let port = free_port();
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[test]
#[should_panic(expected = "waited 30ms in vain for: the end of days")]
fn waiting_ends_with_what_was_waited_for() {
    wait_until("the end of days", Duration::from_millis(30), || false);
}

#[test]
fn the_python_of_the_project_has_its_packages() {
    let program = Python::READERS.program();
    let script = "import duckdb, pandas, psycopg, pyarrow.parquet, sys; print(sys.prefix)";
    let output = Command::new(&program).args(["-c", script]).output();
    let output = output.expect("the program that setup made can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", program.display());
}
