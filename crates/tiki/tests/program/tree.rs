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
        .with("TIKI_MAX_CATEGORIES", "0");
    (shop, tiki)
}

/// The same, where no page of the tree is kept for the next run.
fn forgetful() -> (Shop, Tiki) {
    let (shop, tiki) = home();
    (shop, tiki.with("TIKI_CATEGORY_TTL", "1ms"))
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

/// The first category of the newest run that has children and is not the root.
fn first_parent(tiki: &Tiki) -> i64 {
    let sql = "SELECT category_id AS n FROM run_categories WHERE run_id = $run AND NOT is_leaf
        AND category_id <> 2 ORDER BY walk_order LIMIT 1";
    of_newest(tiki, sql)
}

/// A category whose children are never told.
fn fails(parent: i64) -> Value {
    json!({ "route": "category", "only": { "subject": parent }, "when": "always",
        "what": { "status": { "code": 500 } } })
}

#[test]
fn an_empty_answer_for_the_root_is_not_believed() {
    let (shop, tiki) = forgetful();
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
    let (shop, tiki) = forgetful();
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
    let (shop, tiki) = forgetful();
    tiki.ends(0, &["run"]);
    let all = listed(&tiki);
    let lost = first_parent(&tiki);
    spoil(&shop, &json!([fails(lost)]));
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

#[test]
fn a_tree_of_which_nothing_can_be_read_is_asked_again() {
    let (shop, tiki) = home();
    tiki.ends(0, &["run"]);
    let all = listed(&tiki);
    let sql = "SELECT category_id AS n FROM category_parents WHERE parent_id = 2";
    let below = tiki.json(&["sql", "--json", sql]);
    let below = below.as_array().expect("rows").iter();
    let id = |row: &Value| {
        row["n"]
            .to_string()
            .trim_matches('"')
            .parse()
            .expect("an id")
    };
    let rules = Value::from(below.map(|row| fails(id(row))).collect::<Vec<_>>());
    let tiki = tiki.with("TIKI_CATEGORY_TTL", "1ms");
    spoil(&shop, &rules);
    let refused = tiki.ends(20, &["run", "--new"]);
    assert!(
        refused.err.contains("no category with products"),
        "{}",
        refused.err
    );
    spoil(&shop, &json!([]));
    tiki.ends(0, &["run"]);
    assert_eq!(listed(&tiki), all, "the same run");
    assert_eq!(
        tiki.json(&["runs", "--json"]).as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn a_named_category_that_cannot_be_read_is_a_refusal() {
    let (shop, tiki) = home();
    tiki.ends(0, &["run"]);
    let parent = first_parent(&tiki);
    let tiki = tiki.with("TIKI_CATEGORY_TTL", "1ms");
    spoil(&shop, &json!([fails(parent)]));
    let run = ["run", "--category", &parent.to_string()];
    tiki.ends(20, &run);
    spoil(&shop, &json!([]));
    tiki.ends(0, &run);
    assert!(listed(&tiki) > 10);
}

#[test]
fn a_named_category_that_shows_no_children_once_has_them_the_next_time() {
    let (shop, tiki) = home();
    tiki.ends(0, &["run"]);
    let all = listed(&tiki);
    let parent = first_parent(&tiki).to_string();
    // As if it were the next day.
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let forget = "DELETE FROM pages WHERE kind = 'categories'";
    file.execute(forget, []).expect("a statement");
    spoil(
        &shop,
        &json!([{ "route": "category", "when": "always", "what": "empty_data" }]),
    );
    tiki.ends(0, &["run", "--category", &parent]);
    spoil(&shop, &json!([]));
    tiki.ends(0, &["run", "--new"]);
    assert_eq!(listed(&tiki), all);
}

#[test]
fn a_listing_that_is_refused_both_ways_stays_to_be_asked() {
    let (shop, tiki) = home();
    tiki.ends(0, &["run"]);
    let sql = "SELECT category_id AS n FROM listings WHERE run_id = $run LIMIT 1";
    let leaf = of_newest(&tiki, sql).to_string();
    let tiki = tiki
        .with("TIKI_SOURCE", "auto")
        .with("TIKI_CATEGORIES", &leaf);
    spoil(
        &shop,
        &json!([
            { "route": "listing", "when": "always", "what": { "status": { "code": 403 } } },
            { "route": "category_page", "when": "always", "what": "redirect_home" },
        ]),
    );
    let step = |name: &str, code| tiki.ends(code, &["step", name, "--run", "r"]);
    step("crawl-categories", 0);
    step("extract-product-urls", 20);
    spoil(&shop, &json!([]));
    step("extract-product-urls", 0);
    assert!(listed(&tiki) > 10);
}
