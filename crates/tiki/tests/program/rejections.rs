//! Products that could not be loaded, and what becomes of them once they can be.

use serde_json::{Value, json};
use testkit::Postgres;

use crate::settings_at_work::step;
use crate::tiki::{Shop, Tiki};

const REFUSE: &str = "
    CREATE TRIGGER refuse BEFORE INSERT ON products WHEN NEW.id % 37 = 0
    BEGIN SELECT RAISE(ABORT, 'not this one'); END;";

fn change(tiki: &Tiki, sql: &str) {
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    file.execute_batch(sql).expect("a statement");
}

#[test]
fn a_word_or_a_run_that_is_none_is_told() {
    let tiki = Tiki::new();
    tiki.fill_demo(50, 1);
    let done = tiki.ends(2, &["rejections", "list", "--demo", "--reason", "bogus"]);
    assert!(done.err.contains("the reasons are bad-id"), "{}", done.err);
    let done = tiki.ends(2, &["rejections", "list", "--demo", "--run", "nope"]);
    assert!(done.err.contains("there is no run"), "{}", done.err);
    assert!(done.err.contains("`tiki runs --demo`"), "{}", done.err);
    let done = tiki.ends(2, &["rejections", "show", "--demo", "999"]);
    assert!(
        done.err.contains("`tiki rejections --demo`"),
        "{}",
        done.err
    );
}

#[test]
fn what_the_warehouse_refused_is_replayed_without_a_request() {
    let shop = Shop::open(&Tiki::new(), &["--products", "300", "--day", "2026-11-01"]);
    let clean = shop.home();
    clean.ends(0, &["run"]);
    let tiki = shop.home();
    tiki.ends(0, &["migrate"]);
    let nothing = tiki.ends(99, &["rejections", "replay"]);
    assert!(nothing.err.contains("nothing to do"), "{}", nothing.err);
    change(&tiki, REFUSE);
    let done = tiki.ends(0, &["run"]);
    assert!(done.out.contains("rejected"), "{}", done.out);
    let list = tiki.json(&["rejections", "list", "--json", "--limit", "300"]);
    let refused = list.as_array().expect("a list").len();
    assert!((3..30).contains(&refused), "{refused}");
    assert_eq!(list[0]["reason"], "unstorable");
    assert!(
        list[0]["seen"]
            .as_str()
            .expect("a text")
            .contains("not this one"),
        "{}",
        list[0]
    );
    assert!(list[0]["page_id"].is_i64(), "{}", list[0]);
    // Nothing was mended yet.
    let again = tiki.json(&["rejections", "replay", "--json"]);
    assert_eq!(
        ["before", "after", "mended", "new"].map(|name| again[0][name].as_u64()),
        [refused as u64, refused as u64, 0, 0].map(Some)
    );
    let same = tiki.json(&["rejections", "list", "--json", "--limit", "300"]);
    assert_eq!(same, list, "they are the same, with their ids");
    change(&tiki, "DROP TRIGGER refuse");
    let asked = shop.control("GET", "counts", "")["requests"].clone();
    tiki.ends(99, &["rejections", "replay", "--reason", "no-price"]);
    tiki.ends(2, &["rejections", "replay", "--run", "another"]);
    let mended = tiki.out(&["rejections", "replay", "--reason", "unstorable"]);
    assert!(
        mended.contains(&format!(
            "{refused} rejections before, 0 now: {refused} mended"
        )),
        "{mended}"
    );
    assert_eq!(shop.control("GET", "counts", "")["requests"], asked);
    let content = ["digest", "--content"];
    assert_eq!(tiki.out(&content), clean.out(&content));
    tiki.ends(99, &["rejections", "replay"]);
}

#[test]
fn a_replay_that_mends_nothing_leaves_every_rejection_as_it_was() {
    nothing_is_mended(None);
    let server = Postgres::shared();
    let database = server.fresh_database();
    nothing_is_mended(Some(&database));
    server.drop_database(&database);
}

fn nothing_is_mended(database: Option<&str>) {
    let shop = Shop::open(&Tiki::new(), &["--products", "120", "--day", "2026-11-01"]);
    let tiki = shop.home().with("TIKI_DETAILS", "always");
    let tiki = match database {
        Some(url) => tiki.with("TIKI_DATABASE_URL", url),
        None => tiki,
    };
    tiki.ends(0, &["run"]);
    let rule = r#"{"route":"detail","when":{"every":3},"what":"wrong_id"}"#;
    shop.control("POST", "faults", &format!(r#"{{"rules":[{rule}]}}"#));
    shop.control("POST", "clock?day=20759", "");
    // What is not listed this time is rechecked.
    let tiki = tiki
        .with("TIKI_CLOCK", "2026-11-01T19:00:00.000Z")
        .with("TIKI_SOURCE", "api")
        .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "10")
        .with("TIKI_MAX_REJECTED_PERCENT", "100");
    tiki.ends(0, &["run"]);
    let all = || tiki.json(&["rejections", "list", "--json", "--limit", "300"]);
    let before = all();
    let count = |step: &str, seen: &str| {
        let rows = before.as_array().expect("a list").iter();
        rows.filter(|row| {
            row["step"] == step && row["seen"].as_str().expect("a text").contains(seen)
        })
        .count()
    };
    let rechecks = count("transform-products", "the recheck's body was refused");
    let details = count("crawl-product-details", "");
    assert!(rechecks > 0 && details > rechecks, "{before}");
    let told = format!(
        "{n} rejections before, {n} now: none was mended\n",
        n = details + rechecks
    );
    for _ in 0..2 {
        let out = tiki.out(&["rejections", "replay"]);
        assert!(out.contains(&told), "{out}");
        assert_eq!(all(), before);
    }
    let cut = tiki.ends(0, &["rejections", "list", "--limit", "1"]);
    let told = "the first 1; `tiki rejections list --limit` shows more\n";
    assert_eq!(cut.err, told);
    are_shown_with_their_pages(&tiki, &before, database.is_none());
    let id = before[0]["run_id"].as_str().expect("an id");
    tiki.ends(0, &["run", "--from", "transform-products", "--run", id]);
    assert_eq!(all(), before);
    // Asked for again they are refused again: once, each of its newest page.
    let always = rule.replace(r#"{"every":3}"#, r#""always""#);
    shop.control("POST", "faults", &format!(r#"{{"rules":[{always}]}}"#));
    let again = ["run", "--from", "crawl-product-details", "--run", id];
    for _ in 0..2 {
        tiki.ends(0, &again);
        assert_eq!(all().as_array().map(Vec::len), Some(details + rechecks));
    }
    // The site has mended it.
    shop.control("POST", "faults", r#"{"rules":[]}"#);
    let report = tiki.json(&[&again[..], &["--json"]].concat());
    assert_eq!(all(), json!([]), "they were asked again");
    let stats = &step(&report, "crawl-product-details")["crawl_stats"];
    let totals = &report["totals"]["details"];
    for count in ["good", "rejected"] {
        assert_eq!(stats[count], totals[count], "{count}: {report:#}");
    }
    assert_eq!(totals["rejected"], 0, "{report:#}");
}

/// The body stands below the record, and nothing in it commands a terminal; or why there is none.
fn are_shown_with_their_pages(tiki: &Tiki, all: &Value, in_a_file: bool) {
    let of = |step: &str| {
        let mut rows = all.as_array().expect("a list").iter();
        rows.find(|row| row["step"] == step).expect(step)
    };
    let recheck = of("transform-products")["id"].to_string();
    let text = tiki.out(&["rejections", "show", &recheck]);
    assert!(text.contains("no page is kept with it"), "{text}");
    let rejection = of("crawl-product-details");
    let (one, page) = (rejection["id"].to_string(), &rejection["page_id"]);
    let shown = || tiki.out(&["rejections", "show", &one]);
    let told = tiki.json(&["rejections", "show", &one, "--json"]);
    assert_eq!(told["id"], rejection["id"], "{told}");
    let body = told["page"]["body"].as_str().expect("a body");
    serde_json::from_str::<Value>(body).expect("as the site sent it");
    let text = shown();
    assert!(
        text.contains("\nits page, by api at 20") && text.contains(body),
        "{text}"
    );
    if !in_a_file {
        return;
    }
    change(tiki, "CREATE TABLE away AS SELECT * FROM pages");
    let becomes = |body: &str| {
        let set =
            format!("UPDATE pages SET encoding = 'identity', body = {body} WHERE id = {page}");
        change(tiki, &set);
        shown()
    };
    let text = becomes("CAST('a' || char(27) || '[31mb' AS BLOB)");
    assert!(text.contains(":\na\u{fffd}[31mb\n"), "{text}");
    let text = becomes("CAST(hex(zeroblob(60000)) AS BLOB)");
    assert!(
        text.contains("the first 100000 characters; --json has all"),
        "{text}"
    );
    let text = becomes("zeroblob(5000000)");
    assert!(
        text.contains("its page cannot be read: body of 5000000 bytes"),
        "{text}"
    );
    change(tiki, &format!("DELETE FROM pages WHERE id = {page}"));
    assert!(shown().contains("its page is not kept any more"));
    let none = tiki.json(&["rejections", "show", &one, "--json"]);
    assert_eq!(none["page"], Value::Null, "{none}");
    change(
        tiki,
        "DELETE FROM pages; INSERT INTO pages SELECT * FROM away; DROP TABLE away",
    );
}
