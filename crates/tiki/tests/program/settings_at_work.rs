//! Each setting changes what a run does. (That it reaches the program at all is shown by the tests of
//! `config`; those whose effect needs a broken site are shown in `pipeline` and `crawl`.)

use serde_json::Value;

use crate::tiki::{Shop, Tiki};

/// A demo of one size; its last report.
fn demo(variables: &[(&str, &str)], days: &str) -> Value {
    let tiki = variables
        .iter()
        .fold(Tiki::new(), |tiki, (name, value)| tiki.with(name, value));
    tiki.json(&[
        "run",
        "--demo",
        "--demo-products",
        "150",
        "--demo-days",
        days,
        "--json",
    ])
}

pub(crate) fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().expect("a list");
    steps
        .iter()
        .find(|step| step["step"] == name)
        .expect("a step")
}

#[test]
fn what_a_run_takes_follows_its_settings() {
    let plain = demo(&[], "1");
    let listed = |report: &Value| {
        report["totals"]["products"]["listed"]
            .as_i64()
            .expect("a count")
    };
    let categories = |report: &Value| step(report, "crawl-categories")["categories"].clone();
    let first = categories(&plain)[0]["id"].to_string();
    let second = categories(&plain)[1]["id"].to_string();
    let ids = |report: &Value| -> Vec<String> {
        let list = categories(report);
        list.as_array()
            .expect("a list")
            .iter()
            .map(|one| one["id"].to_string())
            .collect()
    };
    let one = demo(&[("TIKI_MAX_CATEGORIES", "1")], "1");
    assert_eq!(ids(&one), [first.as_str()]);
    let few = demo(&[("TIKI_MAX_PRODUCTS_PER_CATEGORY", "5")], "1");
    assert!(
        listed(&few) <= 5 * 3 && listed(&few) < listed(&plain),
        "{few}"
    );
    let chosen = demo(&[("TIKI_CATEGORIES", &second)], "1");
    assert_eq!(ids(&chosen), [second]);
    let without = demo(&[("TIKI_EXCLUDE_CATEGORIES", &first)], "1");
    assert!(!ids(&without).contains(&first));
    let never = demo(&[("TIKI_DETAILS", "never")], "1");
    assert_eq!(never["totals"]["details"]["due"], 0);
    let bound = demo(&[("TIKI_DETAIL_BUDGET", "7")], "1");
    assert_eq!(bound["totals"]["details"]["good"], 7);
    assert_eq!(bound["totals"]["details"]["deferred"], listed(&bound) - 7);
    let short = demo(&[("TIKI_XCOM_LIST_LIMIT", "1")], "1");
    let urls = step(&short, "extract-product-urls")["product_urls"]
        .as_array()
        .expect("a list")
        .len();
    assert_eq!(urls, 1);
}

#[test]
fn how_often_a_detail_is_asked_follows_its_settings() {
    let due = |report: &Value| {
        report["totals"]["details"]["due"]
            .as_i64()
            .expect("a count")
    };
    let listed = |report: &Value| {
        report["totals"]["products"]["listed"]
            .as_i64()
            .expect("a count")
    };
    let plain = demo(&[], "2");
    assert!(due(&plain) < listed(&plain));
    for setting in [("TIKI_DETAIL_TTL", "1s"), ("TIKI_DETAILS", "always")] {
        let often = demo(&[setting], "2");
        assert!(due(&often) >= listed(&often), "{setting:?}");
    }
}

#[test]
fn what_is_kept_follows_its_settings() {
    let removed = |setting: (&str, &str), days| {
        let report = demo(&[setting], days);
        let report = step(&report, "cleanup-temp-files");
        let warnings = report["warnings"].as_array().map_or(0, Vec::len);
        (report["removed_count"].as_i64().expect("a count"), warnings)
    };
    assert_eq!(removed(("TIKI_KEEP_OBSERVATIONS", "400"), "4"), (0, 0));
    // Looks stay for a detail's life longer.
    for (name, days) in [
        ("TIKI_KEEP_OBSERVATIONS", "11"),
        ("TIKI_KEEP_LISTINGS", "4"),
        ("TIKI_KEEP_PAGES", "4"),
    ] {
        let (rows, warnings) = removed((name, "1"), days);
        assert!(rows > 0 && warnings == 0, "{name}: {rows}, {warnings}");
    }
}

#[test]
fn before_the_first_purge_the_report_says_what_is_lost() {
    let report = demo(&[("TIKI_KEEP_LISTINGS", "1")], "3");
    let report = step(&report, "cleanup-temp-files");
    assert_eq!(report["removed_count"], 0, "{report}");
    assert_eq!(report["removed"], serde_json::json!([]), "{report}");
    assert_eq!(report["kept_this_time"][0]["kind"], "listings", "{report}");
    let warning = report["warnings"][0].as_str().expect("a sentence");
    for part in ["can no longer be derived anew", "TIKI_KEEP_LISTINGS"] {
        assert!(warning.contains(part), "{warning}");
    }
}

#[test]
fn days_begin_where_the_time_zone_says() {
    let clock = |zone| demo(&[("TIKI_TIME_ZONE", zone)], "1")["clock_at"].to_string();
    assert!(clock("UTC").contains("T02:00:00.000Z"));
    assert!(clock("Asia/Ho_Chi_Minh").contains("T19:00:00.000Z"));
}

#[test]
fn logs_go_to_standard_error_as_they_are_wanted() {
    let run = |variables: &[(&str, &str)]| {
        let tiki = variables
            .iter()
            .fold(Tiki::new(), |tiki, (name, value)| tiki.with(name, value));
        tiki.ends(
            0,
            &[
                "run",
                "--demo",
                "--demo-products",
                "20",
                "--demo-days",
                "1",
                "--quiet",
            ],
        )
        .err
    };
    assert_eq!(run(&[]), "");
    assert!(run(&[("TIKI_LOG", "trace")]).contains("TRACE"));
    let json = run(&[("TIKI_LOG", "trace"), ("TIKI_LOG_FORMAT", "json")]);
    for line in json.lines().take(20) {
        serde_json::from_str::<Value>(line).expect(line);
    }
}

#[test]
fn how_the_site_is_asked_follows_its_settings() {
    let tiki = Tiki::new();
    let run = |workers: &str, rate: &str| {
        let shop = Shop::open(&tiki, &["--products", "40", "--latency-ms", "20"]);
        let tiki = Tiki::new()
            .with("TIKI_ORIGIN", &shop.url)
            .with("TIKI_PARALLEL_WORKERS", workers)
            .with("TIKI_RATE_LIMIT", rate);
        tiki.ends(0, &["run"]);
        // The category tree is still fresh, unless it may not be.
        tiki.ends(0, &["run"]);
        let asked = |shop: &Shop| {
            shop.control("GET", "counts", "")["routes"]["categories"]
                .as_i64()
                .expect("a count")
        };
        let before = asked(&shop);
        let tiki = tiki.with("TIKI_CATEGORY_TTL", "1ms");
        tiki.ends(0, &["run"]);
        assert_eq!(asked(&shop), before * 2, "category ttl");
        shop.control("GET", "counts", "")
    };
    let (one, many) = (run("1", "0"), run("16", "0"));
    assert_eq!(one["most_in_flight"], 1);
    assert!(many["most_in_flight"].as_i64() > Some(4), "{many}");
    let slow = run("5", "0.02");
    assert!(slow["busiest_second"].as_i64() <= Some(60), "{slow}");
}
