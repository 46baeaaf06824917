//! Every fault of the table through the program itself, against a storefront that misbehaves so.
//! `FAULT=<words>` runs only those with these words.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "says which fault it is at, and takes a wish"
)]

#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../program/tiki.rs"]
mod tiki;

mod clock;
mod runbook;
mod table;

use std::net::TcpListener;

use serde_json::Value;

use crate::table::{Loaded, Row, TABLE};
use crate::tiki::{Done, Shop, Tiki};

const CLOCK: &str = "2026-10-31T19:00:00.000Z";
const DAY: [&str; 2] = ["--day", "2026-11-01"];

/// A home in which runs are quick, whole and at an instant.
fn home(shop: &Shop) -> Tiki {
    Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_CLOCK", CLOCK)
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_BREAKER_PAUSE", "300ms")
        .with("TIKI_MAX_CATEGORIES", "0")
        .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0")
}

fn shop() -> Shop {
    let arguments = [
        "--products",
        "160",
        "--leaf-categories",
        "2",
        DAY[0],
        DAY[1],
    ];
    Shop::open(&Tiki::new(), &arguments)
}

/// The one number that a question is answered with.
fn count(tiki: &Tiki, sql: &str) -> i64 {
    let rows = tiki.json(&["sql", sql, "--json"]);
    let text = rows[0]["n"].to_string();
    text.trim_matches('"').parse().expect("a count")
}

/// What a person finds in the warehouse.
struct Found {
    products: i64,
    detailed: i64,
    good: i64,
    due: i64,
    failed_pages: i64,
}

fn found(tiki: &Tiki) -> Found {
    let one = |sql: &str| count(tiki, sql);
    Found {
        products: one("SELECT COUNT(*) AS n FROM products"),
        detailed: one("SELECT COUNT(*) AS n FROM products WHERE detail_observed_at IS NOT NULL"),
        good: one("SELECT COUNT(*) AS n FROM run_products WHERE detail = 'good'"),
        due: one("SELECT COUNT(*) AS n FROM run_products WHERE reason IS NOT NULL"),
        failed_pages: one("SELECT COUNT(*) AS n FROM listing_pages WHERE state = 'failed'"),
    }
}

/// Runs a row and checks its end; then the site is well again, and nothing may have been lost.
fn check(row: &Row, whole: i64, healthy: &str) {
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    elsewhere.set_nonblocking(true).expect("no waiting");
    let port = elsewhere
        .local_addr()
        .expect("an address")
        .port()
        .to_string();
    let shop = shop();
    let rules = row.faults.replace("{port}", &port);
    let set = shop.control("POST", "faults", &rules);
    assert!(set["rules"].is_array(), "{}: {set}", row.fault);
    let mut tiki = home(&shop);
    for (name, value) in row.settings {
        tiki = tiki.with(name, value);
    }
    let done = tiki.run(&["run", "--json"]);
    ended_so(row, &done);
    let now = found(&tiki);
    match row.loaded {
        Loaded::Everything => {
            assert_eq!(now.products, whole, "{}: {done:?}", row.fault);
            assert_eq!((now.detailed, now.good), (whole, now.due), "{}", row.fault);
        }
        Loaded::Prices => {
            assert_eq!(now.products, whole, "{}: {done:?}", row.fault);
            assert!(now.good < now.due, "{}: {done:?}", row.fault);
        }
        Loaded::SomePages => {
            assert!(now.products > 0 && now.products < whole, "{}", row.fault);
            assert!(now.failed_pages > 0, "{}", row.fault);
        }
        Loaded::Nothing => assert_eq!(now.products, 0, "{}", row.fault),
    }
    assert!(
        elsewhere.accept().is_err(),
        "{}: asked elsewhere",
        row.fault
    );
    let counts = shop.control("GET", "counts", "");
    assert_eq!(counts["disallowed"], 0, "{}", row.fault);

    shop.control("POST", "faults", r#"{"rules":[]}"#);
    // What was changed on purpose stays changed; everything else is as if nothing had happened.
    if !row.faults.contains("change_price") {
        let tiki = tiki
            .with("TIKI_DETAILS", "auto")
            .with("TIKI_STALL_LIMIT", "10m");
        recovers(row, &tiki, healthy);
    }
}

fn ended_so(row: &Row, done: &Done) {
    assert_eq!(done.code, row.exit, "{}: {done:#?}", row.fault);
    assert!(!done.err.contains("panicked"), "{}: {done:#?}", row.fault);
    assert!(!done.err.contains("secret"), "{}: {done:#?}", row.fault);
    if row.exit == 0 {
        let report: Value = serde_json::from_str(&done.out).expect("a report");
        let details = &report["totals"]["details"];
        let parts = ["good", "gone", "rejected", "unfetched", "deferred"];
        let sum: i64 = parts
            .iter()
            .map(|part| details[*part].as_i64().unwrap())
            .sum();
        assert_eq!(details["due"], sum, "{}", row.fault);
    }
}

/// Runs until the warehouse holds what one holds that never met the fault.
fn recovers(row: &Row, tiki: &Tiki, healthy: &str) {
    for _ in 0..2 {
        let done = tiki.run(&["run", "--json"]);
        assert_eq!(done.code, 0, "{}: {done:#?}", row.fault);
    }
    let digest = tiki.out(&["digest", "--content"]);
    assert_eq!(
        digest, healthy,
        "{}: the warehouse differs from a healthy one",
        row.fault
    );
}

/// How many products the shop lists, and the digest of a warehouse that met no fault.
fn healthy() -> (i64, String) {
    let shop = shop();
    let tiki = home(&shop);
    tiki.ends(0, &["run"]);
    let now = found(&tiki);
    assert!(now.products > 100 && now.detailed == now.products);
    (now.products, tiki.out(&["digest", "--content"]))
}

#[test]
#[ignore = "slow: a run for each fault of the table"]
fn every_fault_of_the_table_ends_as_it_says() {
    let (whole, digest) = healthy();
    let only = std::env::var("FAULT").ok();
    let wanted = |row: &&Row| only.as_ref().is_none_or(|text| row.fault.contains(text));
    for row in TABLE.iter().filter(wanted) {
        println!("{}", row.fault);
        check(row, whole, &digest);
    }
}

#[test]
fn a_name_that_leads_nowhere_is_no_site() {
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", "https://nowhere.invalid")
        .with("TIKI_MAX_ATTEMPTS", "1");
    let done = tiki.ends(20, &["run"]);
    assert!(done.err.contains("nowhere.invalid"), "{}", done.err);
}

#[test]
fn an_offer_that_is_gone_is_no_product_that_is_gone() {
    let shop = shop();
    let tiki = home(&shop);
    tiki.ends(0, &["run"]);
    let rows = tiki.json(&[
        "sql",
        "SELECT id, spid FROM products ORDER BY id LIMIT 1",
        "--json",
    ]);
    let of = |name: &str| rows[0][name].to_string().trim_matches('"').to_owned();
    let (id, spid) = (of("id"), of("spid"));
    let faults = format!(
        r#"{{"rules":[{{"route":"detail","only":{{"parameter":"spid","value":"{spid}"}},"when":"always","what":{{"status":{{"code":404}}}}}}]}}"#
    );
    shop.control("POST", "faults", &faults);
    let tiki = tiki.with("TIKI_DETAILS", "always");
    tiki.ends(0, &["run"]);
    let sql = format!("SELECT COUNT(*) AS n FROM products WHERE id = {id} AND delisted_at IS NULL");
    assert_eq!(count(&tiki, &sql), 1);
    let gone = "SELECT COUNT(*) AS n FROM run_products WHERE detail = 'gone'";
    assert_eq!(count(&tiki, gone), 1);
}

#[test]
fn a_later_day_of_nothing_but_404_loads_its_prices_and_believes_none() {
    let shop = shop();
    let tiki = home(&shop);
    tiki.ends(0, &["run"]);
    let faults = r#"{"rules":[{"route":"detail","when":"always","what":{"status":{"code":404}}}]}"#;
    shop.control("POST", "faults", faults);
    let tiki = tiki.with("TIKI_DETAILS", "always");
    let done = tiki.ends(10, &["run"]);
    assert!(done.err.contains("too many products"), "{}", done.err);
    let gone = "SELECT COUNT(*) AS n FROM products WHERE delisted_at IS NOT NULL";
    assert_eq!(count(&tiki, gone), 0);
}
