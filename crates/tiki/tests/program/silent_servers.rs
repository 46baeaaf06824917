//! PostgreSQL that does not answer, or not in time: every wait has a limit, and its end says which.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use testkit::{Postgres, Proxy, wait_until};

use crate::bench::LIMIT;
use crate::runbook::{Fault, IN_TIME};
use crate::tiki::{Done, Shop, Tiki};

/// As docs/RUNBOOK.md shows them.
pub(crate) const FAULTS: [Fault; 4] = [
    (
        "a server that accepts and never answers, when a command begins",
        "30",
    ),
    (
        "a network that swallows every knock, when a command begins",
        "30",
    ),
    ("a statement that is never answered", IN_TIME),
    ("a statement that takes longer than its limit", IN_TIME),
];

/// Ends with 30 well before a person's patience does.
fn gives_up(tiki: &Tiki, arguments: &[&str], said: &[&str]) -> Done {
    let begun = Instant::now();
    let done = tiki.ends(30, arguments);
    assert!(begun.elapsed() < Duration::from_secs(30), "{done:#?}");
    for said in said {
        assert!(done.err.contains(said), "{said:?} is not in {done:#?}");
    }
    done
}

fn at(address: SocketAddr) -> Tiki {
    Tiki::new()
        .with(
            "TIKI_DATABASE_URL",
            &format!("postgres://u:hunter2@{address}/d"),
        )
        .with("TIKI_POOL_WAIT", "500ms")
}

#[test]
fn a_port_that_accepts_and_never_answers_is_given_up() {
    let mute = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let tiki = at(mute.local_addr().expect("its address"));
    let said = [
        "cannot reach the warehouse",
        "no answer in 500ms",
        "TIKI_DATABASE_URL",
    ];
    let done = gives_up(&tiki, &["run"], &said);
    assert!(!done.err.contains("hunter2"), "{}", done.err);
}

#[test]
fn a_port_that_swallows_every_knock_is_given_up() {
    let full = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = full.local_addr().expect("its address");
    // Once its queue is full the system answers nobody any more.
    let short = Duration::from_millis(200);
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, short) {
        queue.push(stream);
        assert!(queue.len() < 10_000, "a queue without end");
    }
    gives_up(&at(address), &["run"], &["cannot reach the warehouse"]);
}

fn home(shop: &Shop, url: &str) -> Tiki {
    let tiki = shop
        .home()
        .with("TIKI_DATABASE_URL", url)
        .with("TIKI_STATEMENT_TIMEOUT", "1s")
        .with("TIKI_WAREHOUSE_PATIENCE", "500ms")
        .with("TIKI_POOL_WAIT", "500ms");
    tiki.ends(0, &["migrate"]);
    tiki
}

fn shop() -> Shop {
    let arguments = [
        "--products",
        "60",
        "--day",
        "2026-11-01",
        "--latency-ms",
        "20",
    ];
    Shop::open(&Tiki::new(), &arguments)
}

#[test]
fn a_statement_that_is_never_answered_is_given_up() {
    let (shop, server) = (shop(), Postgres::shared());
    let database = server.fresh_database();
    let proxy = Proxy::before_postgres(&database);
    let tiki = home(&shop, &proxy.url(&database));
    let commits = proxy.commits();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("a run at work", LIMIT, || proxy.commits() > commits + 8);
            proxy.stall();
        });
        gives_up(
            &tiki,
            &["run"],
            &["no answer in 6s (to a statement)", "waiting for it"],
        );
    });
    proxy.forward();
    tiki.ends(0, &["run"]);
    server.drop_database(&database);
}

#[test]
fn a_statement_that_takes_too_long_is_told_from_a_lock_that_does() {
    let (shop, server) = (shop(), Postgres::shared());
    for (lock_timeout, said) in [
        (
            "1h",
            ["too slow: canceling statement", "TIKI_STATEMENT_TIMEOUT"],
        ),
        (
            "100ms",
            ["held by another process: canceling", "TIKI_LOCK_TIMEOUT"],
        ),
    ] {
        let database = server.fresh_database();
        let tiki = home(&shop, &database).with("TIKI_LOCK_TIMEOUT", lock_timeout);
        let lock = "begin; lock table run_categories; select pg_sleep(300)";
        let name = database.rsplit('/').next().expect("a name");
        let _session = server.beside(&database, lock);
        let held = format!(
            "select count(*) from pg_locks l join pg_database d on d.oid = l.database
             where d.datname = '{name}' and l.mode = 'AccessExclusiveLock'"
        );
        wait_until("a lock", LIMIT, || server.admin(&held).trim() != "0");
        gives_up(&tiki, &["run"], &said);
        server.drop_database(&database);
    }
}
