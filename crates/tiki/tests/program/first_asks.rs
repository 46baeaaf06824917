//! What a run asks before all else of a site that is asked at a rate.

use serde_json::json;

use crate::tiki::{Shop, Tiki};

fn home(shop: &Shop) -> Tiki {
    Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_RATE_LIMIT", "0.01")
        .with("TIKI_MAX_CATEGORIES", "1")
        .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "5")
}

#[test]
fn a_refusal_of_one_of_the_first_four_ends_the_run_at_once() {
    for (route, what, requests) in [
        ("robots", json!({ "status": { "code": 503 } }), 1),
        ("category", json!("challenge"), 2),
        ("listing", json!("captcha"), 3),
        ("detail", json!("challenge"), 4),
        ("detail", json!("redirect_home"), 4),
    ] {
        let shop = Shop::open(&Tiki::new(), &["--products", "40"]);
        let rule = json!({ "route": route, "when": "always", "what": what });
        shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
        let tiki = home(&shop);
        let done = tiki.ends(20, &["run"]);
        let counts = shop.control("GET", "counts", "");
        assert_eq!(counts["requests"], requests, "{route}: {counts}");
        if route != "robots" {
            assert!(done.err.contains("robots.txt answers"), "{}", done.err);
            assert!(done.err.contains("choices"), "{}", done.err);
        }
        // The same run goes on when the site does.
        shop.control("POST", "faults", r#"{"rules":[]}"#);
        tiki.ends(0, &["run"]);
    }
}

#[test]
fn the_first_four_are_asked_once_a_run_and_not_in_vain() {
    let shop = Shop::open(&Tiki::new(), &["--products", "40"]);
    let tiki = home(&shop);
    tiki.ends(0, &["run"]);
    let routes = shop.control("GET", "counts", "")["routes"].clone();
    assert_eq!(routes["listing"], 2, "one to begin with, one for the run");
    assert_eq!(routes["detail"], 6, "one to begin with, five for the run");
    let walked = routes["categories"].as_i64().expect("a count");
    let free = Shop::open(&Tiki::new(), &["--products", "40"]);
    let unpaced = home(&free).with("TIKI_RATE_LIMIT", "0");
    unpaced.ends(0, &["run"]);
    let routes = free.control("GET", "counts", "")["routes"].clone();
    assert_eq!(routes["categories"], walked, "the first answer is used");
    assert_eq!(routes["listing"], 1);
}
