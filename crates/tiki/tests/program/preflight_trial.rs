//! The test run of `tiki preflight`: in a warehouse of its own, against a shop of its own or the site.

use serde_json::Value;
use testkit::Postgres;

use crate::preflight::{assert_states, line, report};
use crate::tiki::{Shop, Tiki};

#[test]
fn slow_a_test_run_is_made_beside_the_warehouse_and_leaves_nothing() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    // Each dump has a mark of its own.
    let dump = || {
        let text = server.dump(&database);
        let lines = text.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    };
    let before = dump();
    // Beside what is built: where temporary files are kept in memory, load times are not judged.
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let tiki = Tiki::new()
        .with("TIKI_DATABASE_URL", &database)
        .with("TMPDIR", &scratch.path().display().to_string());
    let found = report(&tiki, 0, &[14, 15, 16, 17, 20]);
    for name in [
        "test-run",
        "steps",
        "categories",
        "category_count",
        "product_urls",
        "product_count",
        "crawled_products",
        "crawl_stats",
        "transformed_products",
        "load_stats",
        "cache_stats",
        "infrastructure_stats",
        "crawl-rate",
        "cache-hits",
        "run-errors",
        "backup",
    ] {
        assert_eq!(line(&found, name)["state"], "ok", "{name}: {found:#}");
    }
    let load = &line(&found, "load-time")["state"];
    let unjudged = pipeline::is_in_memory(scratch.path()) && load == "skipped";
    assert!(load == "ok" || unjudged, "{found:#}");
    assert_eq!(dump(), before, "the warehouse is not touched");
    let left = std::fs::read_dir(scratch.path()).expect("a folder").count();
    assert_eq!(left, 0, "the test run is removed");
    assert!(!tiki.path("data").exists());
    server.drop_database(&database);
}

#[test]
fn the_site_is_asked_in_place_of_a_shop_only_where_that_is_wanted() {
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let tiki = shop.home().with("TIKI_RATE_LIMIT", "0.02");
    tiki.ends(0, &["run"]);
    let (before, digest) = (shop.control("GET", "counts", ""), tiki.out(&["digest"]));
    report(&tiki, 0, &[14]);
    assert_eq!(
        shop.control("GET", "counts", ""),
        before,
        "a shop of its own"
    );
    let permits = "SELECT next_at_micros AS at FROM permits";
    let granted = || {
        let rows = tiki.json(&["sql", "--json", permits]);
        rows[0]["at"].as_str().and_then(|n| n.parse::<i64>().ok())
    };
    let had = granted();
    let done = tiki.ends(
        0,
        &[
            "preflight",
            "--live",
            "--json",
            "--section",
            "14",
            "--section",
            "17",
        ],
    );
    let found: Value = serde_json::from_str(&done.out).expect("JSON");
    for (name, state) in [
        ("test-run", "ok"),
        ("crawl-rate", "ok"),
        ("cache-hits", "ok"),
        ("load-time", "skipped"),
    ] {
        assert_eq!(line(&found, name)["state"], state, "{name}: {found:#}");
    }
    let limit = line(&found, "crawl-rate")["limit"]
        .as_str()
        .expect("a limit")
        .to_owned();
    assert_eq!(limit, "50.00 requests a second");
    assert_ne!(
        shop.control("GET", "counts", ""),
        before,
        "the site was asked"
    );
    // By the permits of all its workers, and into a warehouse of its own.
    assert!(granted() > had, "{had:?} {:?}", granted());
    assert_eq!(tiki.out(&["digest"]), digest);
    assert_eq!(
        tiki.json(&["runs", "--json"]).as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_test_run_that_cannot_be_made_blocks() {
    let tiki = Tiki::new().with("TMPDIR", "there/is/no/such/folder");
    let found = report(&tiki, 4, &[14, 15, 16, 17]);
    let states = [
        ("test-run", "failed"),
        ("steps", "skipped"),
        ("xcom-keys", "skipped"),
        ("crawl-rate", "skipped"),
    ];
    assert_states(&found, &states);
    assert_eq!(report(&tiki, 3, &[20])["verdict"], "Needs Fixes");
}
