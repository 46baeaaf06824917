//! Products that could not be loaded, and what becomes of them once they can be.

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
        (&again[0]["before"], &again[0]["after"]),
        (&refused.into(), &refused.into())
    );
    change(&tiki, "DROP TRIGGER refuse");
    let asked = shop.control("GET", "counts", "")["requests"].clone();
    tiki.ends(99, &["rejections", "replay", "--reason", "no-price"]);
    tiki.ends(2, &["rejections", "replay", "--run", "another"]);
    let mended = tiki.out(&["rejections", "replay", "--reason", "unstorable"]);
    assert!(
        mended.contains(&format!("{refused} rejections before, 0 now")),
        "{mended}"
    );
    assert_eq!(shop.control("GET", "counts", "")["requests"], asked);
    let content = ["digest", "--content"];
    assert_eq!(tiki.out(&content), clean.out(&content));
    tiki.ends(99, &["rejections", "replay"]);
}
