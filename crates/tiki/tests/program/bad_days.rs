//! Settings that show on a bad day only: each is tried on a storefront that misbehaves.

use serde_json::{Value, json};
use testkit::Redis;

use crate::tiki::{Done, Shop, Tiki};

/// A run against a shop that misbehaves, by rules of (route, when, what).
fn run(shop: &Shop, tiki: Tiki, rules: &[(&str, Value, Value)]) -> (Tiki, Done) {
    let rules: Vec<Value> = rules
        .iter()
        .map(|(route, when, what)| json!({ "route": route, "when": when, "what": what }))
        .collect();
    let set = shop.control("POST", "faults", &json!({ "rules": rules }).to_string());
    assert!(set["rules"].is_array(), "{set}");
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let done = tiki.run(&["run", "--json"]);
    (tiki, done)
}

fn unfetched(done: &Done) -> i64 {
    let report: Value = serde_json::from_str(&done.out).expect("a report");
    report["totals"]["details"]["unfetched"]
        .as_i64()
        .expect("a count")
}

fn shop() -> Shop {
    Shop::open(&Tiki::new(), &["--products", "80"])
}

fn home() -> Tiki {
    Tiki::new().with("TIKI_RATE_LIMIT", "0")
}

#[test]
fn how_often_and_how_long_a_request_is_tried_follows_the_settings() {
    let shop = shop();
    // Fewer than the four tries of one request, so that no request can meet them in all of its.
    let three = || json!({ "first": 3 });
    let broken = [("detail", three(), json!({ "status": { "code": 500 } }))];
    let (_, patient) = run(&shop, home(), &broken);
    assert_eq!((patient.code, unfetched(&patient)), (0, 0), "{patient:?}");
    let (_, hasty) = run(&shop, home().with("TIKI_MAX_ATTEMPTS", "1"), &broken);
    assert!(hasty.code == 0 && unfetched(&hasty) > 0, "{hasty:?}");
    let slow = [("detail", three(), json!({ "delay": { "ms": 900 } }))];
    let once = || home().with("TIKI_MAX_ATTEMPTS", "1");
    let (_, patient) = run(&shop, once(), &slow);
    assert_eq!((patient.code, unfetched(&patient)), (0, 0), "{patient:?}");
    let (_, hasty) = run(&shop, once().with("TIKI_REQUEST_TIMEOUT", "500ms"), &slow);
    assert!(hasty.code == 0 && unfetched(&hasty) > 0, "{hasty:?}");
}

#[test]
fn a_site_that_asks_for_fewer_requests_is_left_after_the_stall_limit() {
    let busy = [(
        "listing",
        json!("always"),
        json!({ "status": { "code": 429 } }),
    )];
    let (_, done) = run(&shop(), home().with("TIKI_STALL_LIMIT", "1ms"), &busy);
    assert_eq!(done.code, 20, "{done:?}");
    assert!(done.err.contains("fewer requests"), "{}", done.err);
}

#[test]
fn what_counts_as_low_quality_follows_the_settings() {
    let shop = shop();
    let priceless = [(
        "listing",
        json!("always"),
        json!({ "drop_field": { "field": "price" } }),
    )];
    let never = || home().with("TIKI_DETAILS", "never");
    let (_, strict) = run(&shop, never(), &priceless);
    assert_eq!(strict.code, 10, "{strict:?}");
    let (tiki, mild) = run(
        &shop,
        never().with("TIKI_MAX_REJECTED_PERCENT", "100"),
        &priceless,
    );
    assert_eq!(mild.code, 0, "{mild:?}");
    let refused = tiki.json(&["rejections", "--json"]);
    let id = refused[0]["id"].to_string();
    assert!(tiki.out(&["rejections", "show", &id]).contains("price"));
    for (percent, code) in [("10", 10), ("100", 0)] {
        let always = home()
            .with("TIKI_DETAILS", "always")
            .with("TIKI_MAX_GONE_PERCENT", percent);
        let (tiki, first) = run(&shop, always, &[]);
        assert_eq!(first.code, 0, "{first:?}");
        let gone = [(
            "detail",
            json!({ "every": 3 }),
            json!({ "status": { "code": 404 } }),
        )];
        let (_, second) = run(&shop, tiki, &gone);
        assert_eq!(second.code, code, "{percent} %: {second:?}");
    }
}

#[test]
fn the_database_of_the_broker_is_refused() {
    let tiki = home().with("TIKI_REDIS_URL", "redis://127.0.0.1:1/0");
    let (_, done) = run(&shop(), tiki, &[]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("broker"), "{}", done.err);
}

#[test]
fn permits_come_from_redis_where_it_is_set_and_can_be_reached() {
    let shop = Shop::open(&Tiki::new(), &["--products", "20"]);
    let unreachable = "redis://127.0.0.1:1/1".to_owned();
    for (redis, granted_by) in [(Redis::shared().fresh_url(), "redis"), (unreachable, "row")] {
        let tiki = Tiki::new()
            .with("TIKI_RATE_LIMIT", "0.02")
            .with("TIKI_REDIS_URL", &redis);
        let (tiki, done) = run(&shop, tiki, &[]);
        assert_eq!(done.code, 0, "{done:?}");
        let row = tiki.json(&["sql", "SELECT granted_by FROM permits", "--json"]);
        let said = row[0]["granted_by"].as_str().expect("a word");
        assert_eq!(said == "redis", granted_by == "redis", "{redis}: {said}");
    }
}
