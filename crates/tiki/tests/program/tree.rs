//! A tree that the site tells badly: nothing is lost of it without a word.

use serde_json::{Value, json};

use crate::tiki::{Shop, Tiki};

fn home() -> (Shop, Tiki) {
    let shop = Shop::open(&Tiki::new(), &["--products", "300"]);
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_SOURCE", "api")
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_MAX_ATTEMPTS", "2")
        .with("TIKI_DETAILS", "never")
        .with("TIKI_MAX_CATEGORIES", "0")
        .with("TIKI_CATEGORY_TTL", "1ms");
    (shop, tiki)
}

fn spoil(shop: &Shop, rules: &Value) {
    let faults = json!({ "rules": rules }).to_string();
    shop.control("POST", "faults", &faults);
}

fn of_newest(tiki: &Tiki, sql: &str) -> i64 {
    let runs = tiki.json(&["runs", "--json"]);
    let run = runs[0]["id"].as_str().expect("an id");
    let row = &tiki.json(&["sql", "--json", &sql.replace("$run", &format!("'{run}'"))])[0]["n"];
    row.to_string().trim_matches('"').parse().expect("a number")
}

fn listed(tiki: &Tiki) -> i64 {
    of_newest(
        tiki,
        "SELECT COUNT(DISTINCT product_id) AS n FROM listings WHERE run_id = $run",
    )
}

#[test]
fn an_empty_answer_for_the_root_is_not_believed() {
    let (shop, tiki) = home();
    let empty = |when: &Value| json!([{ "route": "category", "when": when, "what": "empty_data" }]);
    spoil(&shop, &empty(&json!({ "first": 1 })));
    tiki.ends(0, &["run"]);
    let all = listed(&tiki);
    assert!(all > 250, "{all}");
    spoil(&shop, &empty(&json!("always")));
    let refused = tiki.ends(20, &["run", "--new"]);
    assert!(refused.err.contains("an empty list"), "{}", refused.err);
    spoil(&shop, &json!([]));
    tiki.ends(0, &["run"]);
    assert_eq!(listed(&tiki), all, "nothing of it was kept");
}

#[test]
fn categories_that_do_not_say_how_many_products_they_have_are_listed() {
    let (shop, tiki) = home();
    tiki.ends(0, &["run"]);
    let all = listed(&tiki);
    let drop = json!([{ "route": "category", "when": "always",
        "what": { "drop_field": { "field": "product_count" } } }]);
    spoil(&shop, &drop);
    tiki.ends(0, &["run", "--new"]);
    assert_eq!(listed(&tiki), all);
    let tree = tiki.out(&["categories"]);
    assert!(!tree.contains("-1"), "{tree}");
}

#[test]
fn a_category_that_could_not_be_read_is_told() {
    let (shop, tiki) = home();
    tiki.ends(0, &["run"]);
    let all = listed(&tiki);
    let sql = "SELECT category_id AS n FROM run_categories WHERE run_id = $run AND NOT is_leaf
        AND category_id <> 2 ORDER BY walk_order LIMIT 1";
    let lost = of_newest(&tiki, sql);
    let rule = json!([{ "route": "category", "only": { "subject": lost }, "when": "always",
        "what": { "status": { "code": 500 } } }]);
    spoil(&shop, &rule);
    let done = tiki.ends(0, &["run", "--new"]);
    assert!(listed(&tiki) < all);
    assert!(
        done.err.contains("categories that could not be read: 1;"),
        "{}",
        done.err
    );
    assert!(done.out.contains("not listed whole: 1"), "{}", done.out);
    let runs = tiki.json(&["runs", "--json"]);
    let shown = tiki.out(&["runs", "show", runs[0]["id"].as_str().expect("an id")]);
    assert!(shown.contains("its children could not be read"), "{shown}");
}
