//! One of three workers stands still between its claim and its commit while the others drain the
//! step: it stays open, and nobody leaves, until that worker has gone on.

use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::{ChildGuard, Postgres, wait_until};

use crate::tiki::{Shop, Tiki};

const STEP: &str = "crawl-product-details";

/// Shorter than a lease, so that its claim stays its own.
const LONG: Duration = Duration::from_secs(25);

fn number(tiki: &Tiki, sql: &str) -> i64 {
    let rows = tiki.json(&["sql", "--json", sql]);
    let number = rows[0]["n"].to_string();
    number.trim_matches('"').parse().expect("a number")
}

fn worker(tiki: &Tiki) -> ChildGuard {
    let mut command = tiki.command(&["step", STEP, "--run", "r", "--join"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    ChildGuard::spawn(&mut command).expect("a worker")
}

/// Whether a stopped worker stands within a transaction, which would keep others from theirs.
fn in_transaction(tiki: &Tiki, database: Option<&str>) -> bool {
    if let Some(database) = database {
        let name = database.rsplit('/').next().expect("a name");
        let sql = format!(
            "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = '{name}' AND state <> 'idle' AND pid <> pg_backend_pid()"
        );
        return Postgres::shared().admin(&sql).trim() != "0";
    }
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the file");
    file.busy_timeout(Duration::ZERO).expect("a pragma");
    file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err()
}

/// Stops a worker while it holds a claim, outside of its transactions; how much it claims.
fn hold(tiki: &Tiki, database: Option<&str>, worker: &mut ChildGuard) -> i64 {
    let claimed = "SELECT COUNT(*) AS n FROM run_products WHERE claim IS NOT NULL";
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        worker.signal("STOP").expect("it stands still");
        if !in_transaction(tiki, database) {
            let held = number(tiki, claimed);
            if held > 0 {
                return held;
            }
        }
        worker.signal("CONT").expect("it goes on");
        std::thread::sleep(Duration::from_millis(37));
    }
    panic!("it never held a claim");
}

fn one_of_three_is_held(tiki: &Tiki, database: Option<&str>) {
    for step in ["crawl-categories", "extract-product-urls"] {
        tiki.ends(0, &["step", step, "--run", "r"]);
    }
    let mut held = worker(tiki);
    let claim = hold(tiki, database, &mut held);
    let mut others = [worker(tiki), worker(tiki)];
    let due = "SELECT COUNT(*) AS n FROM run_products WHERE detail = 'due'";
    wait_until("the others to drain the step", LONG, || {
        number(tiki, due) == claim
    });
    let closed = "SELECT COUNT(*) AS n FROM run_steps WHERE state = 'closed' AND step =
        'crawl-product-details'";
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(number(tiki, closed), 0, "the step is open");
        assert_eq!(number(tiki, due), claim, "its claim is its own");
        for other in &mut others {
            let left = other.child().try_wait().expect("its state");
            assert!(left.is_none(), "one has left an open step: {left:?}");
        }
    }
    held.signal("CONT").expect("it goes on");
    let [second, third] = &mut others;
    for worker in [&mut held, second, third] {
        let status = worker.child().wait().expect("its end");
        assert_eq!(status.code(), Some(0));
    }
    assert_eq!((number(tiki, closed), number(tiki, due)), (1, 0));
    let good = number(
        tiki,
        "SELECT COUNT(*) AS n FROM run_products WHERE detail = 'good'",
    );
    let pages = number(
        tiki,
        "SELECT COUNT(*) AS n FROM pages WHERE kind = 'detail'",
    );
    assert_eq!(good, pages, "each page once");
    tiki.ends(0, &["step", "send-notification", "--run", "r"]);
}

fn check(shop: &Shop, tiki: &Tiki, database: Option<&str>) {
    let alone = shop.home();
    alone.ends(0, &["run"]);
    one_of_three_is_held(tiki, database);
    let digest = ["digest", "--content"];
    assert_eq!(tiki.out(&digest), alone.out(&digest));
}

fn shop() -> Shop {
    let day = ["--day", "2026-11-01", "--latency-ms", "50"];
    Shop::open(&Tiki::new(), &[&["--products", "200"], &day[..]].concat())
}

#[test]
#[ignore = "slow: three workers, of which one is held"]
fn a_step_stays_open_while_one_of_three_is_held_with_sqlite() {
    let shop = shop();
    check(&shop, &shop.home(), None);
}

#[test]
#[ignore = "slow: three workers, of which one is held"]
fn a_step_stays_open_while_one_of_three_is_held_with_postgres() {
    let shop = shop();
    let database = Postgres::shared().fresh_database();
    let tiki = shop.home().with("TIKI_DATABASE_URL", &database);
    check(&shop, &tiki, Some(&database));
    Postgres::shared().drop_database(&database);
}
