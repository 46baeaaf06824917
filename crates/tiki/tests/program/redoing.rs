//! A run that is redone after the site was in trouble comes to what it would have been without.

use serde_json::{Value, json};
use testkit::Postgres;

use crate::tiki::{Shop, Tiki};

fn home() -> (Shop, Tiki) {
    let shop = Shop::open(&Tiki::new(), &["--products", "400"]);
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_SOURCE", "api")
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_MAX_ATTEMPTS", "1")
        .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0");
    (shop, tiki)
}

fn spoil(shop: &Shop, rules: &[Value]) {
    let rules = json!({ "rules": rules });
    shop.control("POST", "faults", &rules.to_string());
}

fn second_pages_fail() -> Value {
    json!({ "route": "listing", "only": { "parameter": "page", "value": "2" }, "when": "always",
        "what": { "status": { "code": 500 } } })
}

fn newest_run(tiki: &Tiki) -> String {
    let runs = tiki.json(&["runs", "--json"]);
    runs[0]["id"].as_str().expect("an id").to_owned()
}

fn count(tiki: &Tiki, sql: &str) -> i64 {
    let row = &tiki.json(&["sql", "--json", sql])[0]["n"];
    row.to_string().trim_matches('"').parse().expect("a number")
}

fn asked_again((shop, tiki): (Shop, Tiki)) {
    tiki.ends(0, &["run"]);
    spoil(&shop, &[second_pages_fail()]);
    tiki.ends(0, &["run", "--new"]);
    let run = newest_run(&tiki);
    let part = |what: &str| {
        format!(
            "SELECT COUNT(*) AS n FROM run_products WHERE run_id = '{run}' AND listed_in IS {what}"
        )
    };
    let (listed, rechecked) = (part("NOT NULL"), part("NULL"));
    let (some, others) = (count(&tiki, &listed), count(&tiki, &rechecked));
    assert!(
        some > 40 && others > 40,
        "{some} listed, {others} rechecked"
    );
    spoil(&shop, &[]);
    for from in ["extract-product-urls", "crawl-categories"] {
        tiki.ends(0, &["run", "--from", from, "--run", &run]);
        assert_eq!(count(&tiki, &listed), some + others);
        assert_eq!(count(&tiki, &rechecked), 0);
    }
    let unseen = format!(
        "SELECT COUNT(*) AS n FROM run_products r WHERE r.run_id = '{run}' AND NOT EXISTS (
            SELECT 1 FROM observations o WHERE o.product_id = r.product_id AND o.run_id = r.run_id
                AND o.source = 'listing')"
    );
    assert_eq!(count(&tiki, &unseen), 0, "a listing's look is lost");
}

#[test]
fn a_listing_that_is_asked_again_lists_what_was_rechecked() {
    asked_again(home());
}

#[test]
#[ignore = "slow: runs with PostgreSQL"]
fn slow_a_listing_that_is_asked_again_lists_what_was_rechecked_with_postgres() {
    let database = Postgres::shared().fresh_database();
    let (shop, tiki) = home();
    asked_again((shop, tiki.with("TIKI_DATABASE_URL", &database)));
    Postgres::shared().drop_database(&database);
}

fn asked(shop: &Shop, route: &str) -> i64 {
    let counts = shop.control("GET", "counts", "");
    counts["routes"][route].as_i64().unwrap_or(0)
}

fn details_answer(code: i64) -> Value {
    json!({ "route": "detail", "when": "always", "what": { "status": { "code": code } } })
}

/// The details of products, chosen by SQL, answer with a status.
fn answer_of(tiki: &Tiki, chosen: &str, code: i64) -> Vec<Value> {
    let rows = tiki.json(&["sql", "--json", chosen]);
    let rule = |row: &Value| {
        let id = row["n"].to_string();
        let id: i64 = id.trim_matches('"').parse().expect("an id");
        json!({ "route": "detail", "only": { "subject": id }, "when": "always",
            "what": { "status": { "code": code } } })
    };
    rows.as_array().expect("rows").iter().map(rule).collect()
}

#[test]
fn details_that_failed_are_asked_again_unless_another_run_has_asked_them() {
    let (shop, tiki) = home();
    spoil(&shop, &[details_answer(500)]);
    tiki.ends(20, &["run"]);
    let run = newest_run(&tiki);
    spoil(&shop, &[]);
    tiki.ends(0, &["run", "--new"]);
    let before = asked(&shop, "detail");
    assert!(before > 40, "{before}");
    let again = ["run", "--from", "crawl-product-details", "--run", &run];
    tiki.ends(0, &again);
    assert_eq!(
        asked(&shop, "detail"),
        before,
        "they were answered meanwhile"
    );
}

#[test]
fn a_site_that_answers_404_to_a_redone_crawl_is_not_believed_for_what_it_said_before() {
    let (shop, tiki) = home();
    tiki.ends(0, &["run"]);
    // Whom the second pages showed is to be rechecked, and cannot be.
    let mut rules = vec![second_pages_fail()];
    let second = "SELECT product_id AS n FROM listings WHERE page = 2 ORDER BY 1 LIMIT 5";
    rules.extend(answer_of(&tiki, second, 500));
    spoil(&shop, &rules);
    tiki.ends(0, &["run", "--new"]);
    let run = newest_run(&tiki);
    spoil(&shop, &[second_pages_fail(), details_answer(404)]);
    let from = ["run", "--from", "crawl-product-details", "--run", &run];
    let doubted = tiki.ends(10, &from);
    assert!(
        doubted.err.contains("no detail answered well"),
        "{}",
        doubted.err
    );
    let delisted = "SELECT COUNT(*) AS n FROM products WHERE delisted_at IS NOT NULL";
    assert_eq!(count(&tiki, delisted), 0);
    // Asked once more, they are there.
    spoil(&shop, &[second_pages_fail()]);
    tiki.ends(0, &from);
    let gone = format!(
        "SELECT COUNT(*) AS n FROM run_products WHERE run_id = '{run}' AND detail = 'gone'"
    );
    assert_eq!((count(&tiki, delisted), count(&tiki, &gone)), (0, 0));
}

#[test]
fn a_run_that_has_not_crawled_all_is_not_derived_anew() {
    let (shop, tiki) = home();
    for step in ["crawl-categories", "extract-product-urls"] {
        tiki.ends(0, &["step", step, "--run", "half"]);
    }
    let before = asked(&shop, "detail");
    let refused = tiki.ends(2, &["run", "--from", "transform-products", "--run", "half"]);
    assert!(
        refused.err.contains("crawl-product-details"),
        "{}",
        refused.err
    );
    assert_eq!(asked(&shop, "detail"), before);
    tiki.ends(0, &["runs", "close", "half"]);
    tiki.ends(0, &["run", "--from", "transform-products", "--run", "half"]);
    assert_eq!(asked(&shop, "detail"), before);
}

#[test]
fn a_redone_run_that_was_left_is_not_gone_on_with_in_place_of_todays() {
    let (_shop, tiki) = home();
    tiki.ends(0, &["run"]);
    let first = newest_run(&tiki);
    tiki.ends(0, &["run", "--new"]);
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the file");
    let left = "UPDATE runs SET state = 'open', finished_at = NULL WHERE id = ?1";
    assert_eq!(file.execute(left, [&first]).expect("a row"), 1);
    let stopped = "UPDATE attempts SET exit_code = 130 WHERE run_id = ?1";
    assert!(file.execute(stopped, [&first]).expect("rows") > 0);
    drop(file);
    let done = tiki.ends(0, &["run"]);
    assert!(!done.err.contains("going on with"), "{}", done.err);
    let runs = tiki.json(&["runs", "--json"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(3), "{runs}");
}

#[test]
fn a_listing_whose_items_are_none_is_no_good_run() {
    let (shop, tiki) = home();
    let rule = json!({ "route": "listing", "when": "always",
        "what": { "rename_field": { "field": "id", "to": "product_id" } } });
    spoil(&shop, &[rule]);
    let done = tiki.ends(10, &["run"]);
    assert!(
        done.err.contains("items of the listings were rejected"),
        "{}",
        done.err
    );
    assert!(done.err.contains("none is a product"), "{}", done.err);
}

#[test]
fn what_answered_404_is_believed_no_sooner_when_the_run_is_redone() {
    let (shop, tiki) = home();
    let tiki = tiki.with("TIKI_MAX_CATEGORIES", "1");
    tiki.ends(0, &["run"]);
    let known = count(&tiki, "SELECT COUNT(*) AS n FROM products");
    let bound = (known / 10).max(5);
    let second = format!(
        "SELECT product_id AS n FROM listings WHERE page = 2 LIMIT {}",
        bound + 1
    );
    let mut rules = vec![second_pages_fail()];
    rules.extend(answer_of(&tiki, &second, 404));
    spoil(&shop, &rules);
    let tiki = tiki.with("TIKI_MAX_CATEGORIES", "5");
    let doubted = tiki.ends(10, &["run"]);
    let gone = "SELECT COUNT(*) AS n FROM run_products WHERE detail = 'gone'";
    assert_eq!(count(&tiki, gone), bound + 1, "{doubted:#?}");
    let all = count(&tiki, "SELECT COUNT(*) AS n FROM products");
    assert!(all / 10 > bound, "{all} products, {known} known before");
    let run = newest_run(&tiki);
    let before = tiki.out(&["digest"]);
    let again = tiki.ends(10, &["run", "--from", "transform-products", "--run", &run]);
    let delisted = "SELECT COUNT(*) AS n FROM products WHERE delisted_at IS NOT NULL";
    assert_eq!(count(&tiki, delisted), 0, "{again:#?}");
    assert_eq!(tiki.out(&["digest"]), before);
}
