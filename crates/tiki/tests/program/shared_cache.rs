//! Redis in front of the warehouse: shared, bounded, and nothing that a run depends on.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::{ChildGuard, Redis, wait_until};

use crate::tiki::{Shop, Tiki};

const CLOCK: &str = "2026-10-31T19:00:00.000Z";

fn home(shop: &Shop, redis: &str) -> Tiki {
    Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_CLOCK", CLOCK)
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_REDIS_URL", redis)
}

fn shop(products: &str, latency: &str) -> Shop {
    let day = ["--day", "2026-11-01"];
    let arguments = [
        "--products",
        products,
        "--latency-ms",
        latency,
        day[0],
        day[1],
    ];
    Shop::open(&Tiki::new(), &arguments)
}

fn asked(shop: &Shop, route: &str) -> i64 {
    let counts = shop.control("GET", "counts", "");
    counts["routes"][route].as_i64().unwrap_or(0)
}

fn stats(report: &Value) -> Value {
    let steps = report["steps"].as_array().expect("steps");
    let found = steps.iter().find(|step| step["step"] == "get-cache-stats");
    found.expect("the step")["cache_stats"].clone()
}

#[test]
fn a_second_warehouse_asks_neither_details_nor_the_tree_again() {
    let shop = shop("80", "0");
    let redis = Redis::shared().fresh_url();
    let first = home(&shop, &redis);
    first.ends(0, &["run"]);
    let (details, tree) = (asked(&shop, "detail"), asked(&shop, "categories"));
    assert!(details > 20 && tree > 1);
    let second = home(&shop, &redis);
    let report = second.json(&["run", "--json"]);
    assert_eq!(asked(&shop, "detail"), details);
    assert_eq!(asked(&shop, "categories"), tree);
    let stats = stats(&report);
    assert_eq!(stats["tiers"]["redis"]["hits"], details + tree, "{stats}");
    assert!(stats["memory_size"].as_i64() >= Some(details), "{stats}");
    assert!(stats["hit_rate"].as_f64() > Some(80.0), "{stats}");
    assert_eq!(second.out(&["digest"]), first.out(&["digest"]));
    // All of them, always, means of the site.
    let third = home(&shop, &redis).with("TIKI_DETAILS", "always");
    third.ends(0, &["run"]);
    assert_eq!(asked(&shop, "detail"), 2 * details);
}

#[test]
fn a_shape_that_was_refused_is_not_taken_out_of_the_cache() {
    let shop = shop("300", "0");
    let redis = Redis::shared().fresh_url();
    // What is usual is known from a day without the cache.
    let tiki = home(&shop, "")
        .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0")
        .with("TIKI_DETAIL_TTL", "2h");
    tiki.ends(0, &["run"]);
    let rule = r#"{"rules":[{"route":"detail","when":"always",
        "what":{"rename_field":{"field":"specifications","to":"specs"}}}]}"#;
    shop.control("POST", "faults", rule);
    let tiki = tiki
        .with("TIKI_REDIS_URL", &redis)
        .with("TIKI_CLOCK", "2026-11-01T07:00:00.000Z");
    tiki.ends(11, &["run"]);
    let held = tiki.json(&["drift", "--json"])["run_id"].clone();
    tiki.ends(0, &["drift", "reject", held.as_str().expect("an id")]);
    shop.control("POST", "faults", r#"{"rules":[]}"#);
    let before = asked(&shop, "detail");
    tiki.ends(0, &["run"]);
    assert!(asked(&shop, "detail") > before + 40, "it was asked anew");
}

#[test]
#[ignore = "slow: loses Redis in three ways in the middle of a run"]
fn a_run_goes_on_whatever_becomes_of_redis_and_says_so_once() {
    for way in ["killed", "stopped", "flushed"] {
        let shop = shop("400", "15");
        let mut redis = Redis::start();
        let tiki = home(&shop, &redis.url(1)).with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0");
        let mut command = tiki.command(&["run"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ChildGuard::spawn(&mut command).expect("the program");
        wait_until("some details", Duration::from_mins(1), || {
            asked(&shop, "detail") > 60
        });
        match way {
            "killed" => redis.kill(),
            "stopped" => redis.pause(),
            _ => redis.flush(),
        }
        let mut text = String::new();
        let mut said = child.child().stderr.take().expect("its messages");
        said.read_to_string(&mut text).expect("text");
        let status = child.child().wait().expect("its end");
        assert!(status.success(), "{way}: {text}");
        let times = text.matches("Redis is lost").count();
        assert_eq!(times, usize::from(way != "flushed"), "{way}: {text}");
        if way == "stopped" {
            redis.resume();
        }
        assert!(asked(&shop, "detail") > 300, "{way}");
    }
}
