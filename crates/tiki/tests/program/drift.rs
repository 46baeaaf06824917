//! A site whose answers change their shape, through the program.

use serde_json::json;

use crate::tiki::{Shop, Tiki};

/// A home whose warehouse knows the shop, and whose next run is held.
fn held(shop: &Shop) -> (Tiki, String) {
    let tiki = shop.home().with("TIKI_DETAILS", "never");
    tiki.ends(0, &["run"]);
    let rule = json!({ "route": "listing", "when": "always",
        "what": { "rename_field": { "field": "thumbnail_url", "to": "picture" } } });
    let faults = json!({ "rules": [rule] }).to_string();
    shop.control("POST", "faults", &faults);
    let done = tiki.ends(11, &["run"]);
    assert!(done.err.contains("thumbnail_url"), "{}", done.err);
    assert!(done.err.contains("tiki drift accept"), "{}", done.err);
    let found = tiki.json(&["drift", "--json"]);
    assert_eq!(found["state"], "held", "{found}");
    let run = found["run_id"].as_str().expect("an id").to_owned();
    (tiki, run)
}

fn shop() -> Shop {
    Shop::open(&Tiki::new(), &["--products", "300", "--day", "2026-11-01"])
}

#[test]
fn what_changed_is_shown_and_accepted_without_a_request() {
    let shop = shop();
    let (tiki, run) = held(&shop);
    let before = tiki.out(&["digest", "--content"]);
    let text = tiki.out(&["drift", "show", &run]);
    assert!(
        text.contains("thumbnail_url") && text.contains("vanished"),
        "{text}"
    );
    // Nobody goes on with it or closes it, and nobody loads it by the way.
    for command in ["resume", "close"] {
        let done = tiki.ends(2, &["runs", command, &run]);
        for way in ["accept", "reject"] {
            let way = format!("`tiki drift {way} {run}`");
            assert!(done.err.contains(&way), "{}", done.err);
        }
        assert!(!done.err.contains("tiki run --from"), "{}", done.err);
    }
    let done = tiki.ends(11, &["step", "load-products", "--run", &run]);
    assert!(done.err.contains("held"), "{}", done.err);
    let asked = shop.control("GET", "counts", "")["requests"].clone();
    let report = tiki.json(&["drift", "accept", &run, "--json"]);
    assert_eq!(report["exit_code"], 0, "{report}");
    assert_eq!(shop.control("GET", "counts", "")["requests"], asked);
    assert_eq!(
        tiki.out(&["digest", "--content"]),
        before,
        "nothing but pictures"
    );
    tiki.ends(2, &["drift", "accept", &run]);
    // Why it was stopped is not forgotten.
    let errors = tiki.out(&["errors", "--run", &run]);
    assert!(
        errors.contains("exit 11 in ") && errors.contains("changed its shape"),
        "{errors}"
    );
    // From here on the new shape is the usual one.
    tiki.ends(0, &["run"]);
}

#[test]
fn a_run_that_is_given_up_leaves_nothing_and_the_next_one_is_well() {
    let shop = shop();
    let (tiki, run) = held(&shop);
    let before = tiki.out(&["digest"]);
    let done = tiki.ends(0, &["drift", "reject", &run]);
    assert!(done.out.contains("unobserved"), "{}", done.out);
    assert_eq!(tiki.out(&["digest"]), before);
    let runs = tiki.json(&["runs", "--json"]);
    assert_eq!(runs[0]["state"], "abandoned");
    shop.control("POST", "faults", r#"{"rules":[]}"#);
    tiki.ends(0, &["run"]);
    assert!(tiki.out(&["drift"]).contains("nothing changed"));
}

#[test]
fn a_run_that_is_held_when_it_is_closed_keeps_no_other_from_beginning() {
    let shop = shop();
    let tiki = shop.home().with("TIKI_DETAILS", "never");
    tiki.ends(0, &["run"]);
    let rule = json!({ "route": "listing", "when": "always",
        "what": { "rename_field": { "field": "thumbnail_url", "to": "picture" } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    // Nobody finishes it.
    for step in ["crawl-categories", "extract-product-urls"] {
        tiki.ends(0, &["step", step, "--run", "r"]);
    }
    let last = ["step", "crawl-product-details", "--run", "r"];
    tiki.ends(1, &[&last[..], &["--timeout", "1ms"]].concat());
    shop.control("POST", "faults", r#"{"rules":[]}"#);
    tiki.ends(0, &["run", "--new"]);
    let runs = tiki.json(&["runs", "--json"]);
    assert_eq!(runs[0]["state"], "done", "{runs}");
    assert_eq!(
        (&runs[1]["id"], &runs[1]["state"]),
        (&json!("r"), &json!("held"))
    );
}

#[test]
fn a_gate_that_only_warns_loads() {
    let shop = shop();
    let (tiki, run) = held(&shop);
    tiki.ends(0, &["drift", "reject", &run]);
    let done = tiki.with("TIKI_DRIFT", "warn").ends(0, &["run"]);
    assert!(done.err.contains("has changed"), "{}", done.err);
}
