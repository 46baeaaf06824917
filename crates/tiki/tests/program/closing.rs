//! A run that nobody can finish can be closed, so that another may begin.

use serde_json::{Value, json};

use crate::tiki::{Shop, Tiki};

/// A shop, a home for it, and its categories as `tiki categories --json` tells them.
fn home() -> (Shop, Tiki, Vec<Value>) {
    let shop = Shop::open(&Tiki::new(), &["--products", "60"]);
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_SOURCE", "api")
        .with("TIKI_CATEGORY_TTL", "1ms")
        .with("TIKI_MAX_CATEGORIES", "2");
    tiki.ends(0, &["run"]);
    let known = tiki.json(&["categories", "--json"]);
    (shop, tiki, known.as_array().expect("a list").clone())
}

fn id(category: &Value) -> String {
    category["id"].to_string()
}

fn leaf(known: &[Value]) -> String {
    let mut known = known.iter();
    id(known
        .find(|category| category["is_leaf"] == true)
        .expect("a leaf"))
}

fn states(tiki: &Tiki) -> Vec<String> {
    let runs = tiki.json(&["runs", "--json"]);
    let runs = runs.as_array().expect("a list").iter();
    runs.map(|run| run["state"].as_str().expect("a state").to_owned())
        .collect()
}

#[test]
fn a_tree_that_was_refused_keeps_no_later_run_from_its_categories() {
    let (shop, tiki, known) = home();
    let leaf = leaf(&known);
    let run = ["run", "--category", &leaf];
    let refused =
        json!({ "route": "category", "when": "always", "what": { "status": { "code": 403 } } });
    let refused = json!({ "rules": [refused] }).to_string();
    for (again, closed) in [
        (vec!["run", "--new", "--category", &leaf], false),
        (run.to_vec(), true),
    ] {
        shop.control("POST", "faults", &refused);
        tiki.ends(20, &run);
        shop.control("POST", "faults", r#"{"rules":[]}"#);
        if closed {
            let runs = tiki.json(&["runs", "--json"]);
            let open = runs[0]["id"].as_str().expect("an id");
            tiki.ends(0, &["runs", "close", open]);
        }
        tiki.ends(0, &again);
        assert_eq!(states(&tiki)[..2], ["done", "abandoned"]);
    }
}

#[test]
fn a_category_that_shows_nothing_is_warned_of() {
    let (_shop, tiki, known) = home();
    let leaf = leaf(&known);
    let run = ["run", "--category", "999999", "--category", &leaf];
    let done = tiki.ends(0, &run);
    assert!(done.err.contains("asked for: 999999;"), "{}", done.err);
    let done = tiki.ends(0, &["run", "--category", &leaf]);
    assert!(!done.err.contains("shows nothing"), "{}", done.err);
}

#[test]
fn categories_without_a_leaf_are_refused_and_the_run_can_be_closed() {
    let (_shop, tiki, known) = home();
    let leaf = leaf(&known);
    let before = states(&tiki);
    // What names its own exclusion begins nothing.
    let mut all = vec!["run", "--category", &leaf, "--exclude-category", &leaf];
    let refused = tiki.ends(2, &all);
    assert!(refused.err.contains("excluded"), "{}", refused.err);
    assert_eq!(states(&tiki), before);
    // What only the tree can tell has begun a run.
    let parent = known.iter().find(|category| id(category) == leaf);
    let parent = &parent.expect("it")["parent_id"];
    let below: Vec<String> = known
        .iter()
        .filter(|category| category["parent_id"] == *parent)
        .map(id)
        .collect();
    let parent = parent.to_string();
    all = vec!["run", "--category", &parent];
    for id in &below {
        all.extend(["--exclude-category", id]);
    }
    for _ in 0..2 {
        let refused = tiki.ends(2, &all);
        assert!(refused.err.contains("has a leaf"), "{}", refused.err);
    }
    let runs = tiki.json(&["runs", "--json"]);
    tiki.ends(
        0,
        &["runs", "close", runs[0]["id"].as_str().expect("an id")],
    );
    tiki.ends(0, &["run", "--category", &leaf]);
    assert_eq!(states(&tiki)[..2], ["done", "abandoned"]);
}
