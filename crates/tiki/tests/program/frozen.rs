//! A worker that stands still past its lease, and wakes after another has finished its step.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use testkit::{ChildGuard, Postgres};

use crate::tiki::{Shop, Tiki};

const STEP: [&str; 4] = ["step", "crawl-product-details", "--run", "r"];

fn wakes_too_late(tiki: &Tiki, shop: &Shop) {
    for step in ["crawl-categories", "extract-product-urls"] {
        tiki.ends(0, &["step", step, "--run", "r"]);
    }
    let mut command = tiki.command(&STEP);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut sleeper = ChildGuard::spawn(&mut command).expect("a worker");
    let asked = || {
        shop.control("GET", "counts", "")["requests"]
            .as_u64()
            .expect("a number")
    };
    let before = asked();
    while asked() < before + 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    sleeper.signal("STOP").expect("it stands still");
    // Its process lives, so only the end of its lease sets its work free.
    tiki.ends(30, &STEP);
    std::thread::sleep(Duration::from_secs(31));
    tiki.ends(0, &STEP);
    let digest = |what: &str| tiki.out(&["sql", "--json", what]);
    let rows = "SELECT product_id, detail, attempts FROM run_products ORDER BY product_id";
    let pages = "SELECT COUNT(*) FROM pages";
    let (left, kept) = (digest(rows), digest(pages));
    sleeper.signal("CONT").expect("it wakes");
    let mut said = String::new();
    let stderr = sleeper.child().stderr.take();
    stderr
        .expect("its words")
        .read_to_string(&mut said)
        .expect("text");
    let status = sleeper.child().wait().expect("its end");
    assert_eq!(status.code(), Some(30), "{said}");
    assert!(
        said.contains("another worker has taken this step over"),
        "{said}"
    );
    assert_eq!(
        (digest(rows), digest(pages)),
        (left, kept),
        "it wrote nothing"
    );
    tiki.ends(0, &["step", "send-notification", "--run", "r"]);
}

fn shop() -> Shop {
    let day = ["--day", "2026-11-01", "--latency-ms", "100"];
    Shop::open(&Tiki::new(), &[&["--products", "300"], &day[..]].concat())
}

#[test]
#[ignore = "slow: waits for the end of a lease"]
fn whoever_wakes_after_its_lease_writes_nothing_to_sqlite() {
    let shop = shop();
    wakes_too_late(&shop.home(), &shop);
}

#[test]
#[ignore = "slow: waits for the end of a lease"]
fn whoever_wakes_after_its_lease_writes_nothing_to_postgres() {
    let shop = shop();
    let database = Postgres::shared().fresh_database();
    wakes_too_late(&shop.home().with("TIKI_DATABASE_URL", &database), &shop);
    Postgres::shared().drop_database(&database);
}
