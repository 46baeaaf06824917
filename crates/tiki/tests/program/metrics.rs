//! `GET /metrics` of `tiki serve`, and the rules that are made of it.
//!
//! Not here: how an answer is read (`scrape`).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use pipeline::metrics::METRICS;
use serde_json::{Value, json};
use testkit::{ChildGuard, Postgres, Redis};

use crate::scrape::Scrape;
use crate::serve::Serve;
use crate::tiki::{Shop, Tiki};

fn shop() -> Shop {
    Shop::open(&Tiki::new(), &["--products", "100", "--day", "2026-11-01"])
}

/// Without a clock of its own.
fn only_shows(tiki: Tiki) -> Tiki {
    tiki.with("TIKI_SCHEDULE", "off")
        .with("TIKI_BACKUP_SCHEDULE", "off")
}

/// That every count of a run that ended well is what the run's own totals say.
fn check_totals(scrape: &Scrape, totals: &Value) {
    for outcome in [
        "new",
        "changed",
        "unchanged",
        "late",
        "gone",
        "rejected",
        "unobserved",
    ] {
        let sample = format!("tiki_run_products{{outcome=\"{outcome}\"}}");
        scrape.check(&sample, totals["products"][outcome].clone());
    }
    let frontier =
        |step: &str, state: &str| format!("tiki_run_frontier{{step=\"{step}\",state=\"{state}\"}}");
    for (step, part, states) in [
        ("extract-product-urls", "pages", ["ok", "empty"].as_slice()),
        (
            "crawl-product-details",
            "details",
            &["good", "gone", "rejected"],
        ),
    ] {
        for state in states {
            // What there is none of has no row.
            let told = scrape.get(&frontier(step, state)).or(Some(0.0));
            assert_eq!(told, totals[part][*state].as_f64(), "{step} {state}");
        }
        for state in ["waiting", "later", "claimed"] {
            scrape.check(&frontier(step, state), 0);
        }
        scrape.check(&format!("tiki_run_retries{{step=\"{step}\"}}"), 0);
    }
}

/// That every figure of its steps is what their reports say.
fn check_steps(scrape: &Scrape, steps: &[Value]) {
    assert_eq!(steps.len(), 9);
    for step in steps {
        let name = step["step"].as_str().expect("a name");
        let of = |metric: &str| format!("{metric}{{step=\"{name}\"}}");
        scrape.check(&of("tiki_run_step_exit_code"), 0);
        let seconds = scrape.get(&of("tiki_run_step_seconds"));
        assert!(seconds.is_some_and(|seconds| seconds < 60.0), "{name}");
    }
    let of = |name: &str| steps.iter().find(|step| step["step"] == name).expect(name);
    let rate = &of("crawl-product-details")["crawl_stats"]["rate"];
    scrape.check("tiki_run_crawled_products_per_second", rate.clone());
    let tiers = &of("get-cache-stats")["cache_stats"]["tiers"];
    for (tier, counts) in tiers.as_object().expect("tiers") {
        let label = format!("{{tier=\"{tier}\"}}");
        scrape.check(
            &format!("tiki_run_cache_hits{label}"),
            counts["hits"].clone(),
        );
        scrape.check(
            &format!("tiki_run_cache_misses{label}"),
            counts["misses"].clone(),
        );
    }
    assert!(tiers["redis"].is_object(), "{tiers}");
    let stats = &of("monitor-infrastructure")["infrastructure_stats"];
    for (table, count) in [
        ("products", "products"),
        ("observations", "observations"),
        ("product_history", "changes"),
    ] {
        let sample = format!("tiki_warehouse_rows{{table=\"{table}\"}}");
        scrape.check(&sample, stats["warehouse"][count].clone());
    }
    let over = stats["over_limits"].as_array().expect("a list");
    for figure in [
        "cpu",
        "memory-used",
        "disk",
        "postgres-cache",
        "redis-memory",
    ] {
        let is_over = over.iter().any(|row| row["name"] == figure);
        let sample = format!("tiki_run_over_limits{{figure=\"{figure}\"}}");
        scrape.check(&sample, u8::from(is_over));
    }
}

/// Every metric that a rule names must come of a run, so it is compared here.
fn check_rules(scrape: &Scrape) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/tiki.rules.yml");
    let rules = std::fs::read_to_string(path).expect("the rules");
    let told = scrape.names();
    let expressions = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    let mut named = BTreeSet::new();
    for expression in expressions {
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let names: Vec<&str> = words.filter(|word| word.starts_with("tiki_")).collect();
        let of_prometheus = expression.contains("up{job=\"tiki\"}");
        assert!(of_prometheus || !names.is_empty(), "{expression}");
        named.extend(names);
    }
    assert_eq!(
        rules.matches("expr:").count(),
        rules.matches("- alert:").count()
    );
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(told.contains(name), "{name} is in no answer after a run");
    }
}

fn a_run_is_told(tiki: Tiki) {
    let tiki = only_shows(tiki)
        .with("TIKI_REDIS_URL", &Redis::shared().fresh_url())
        .with("TIKI_RATE_LIMIT", "0.5");
    let watcher = Serve::start(&tiki);
    // The run crawls without a rate; what is told is that of who tells.
    let tiki = tiki.with("TIKI_RATE_LIMIT", "0");
    let before = Scrape::of(&watcher);
    before.check("tiki_disk_free_limit_bytes", 1000_i64 << 20);
    assert!(before.get("tiki_disk_free_bytes") > Some(0.0));
    assert_eq!(before.get("tiki_last_good_run_timestamp_seconds"), None);
    let run = tiki.json(&["run", "--json"]);
    let scrape = Scrape::once(&watcher, "the run's end", |scrape| {
        scrape.is("tiki_run_exit_code", 0.0)
    });
    check_totals(&scrape, &run["totals"]);
    check_steps(&scrape, run["steps"].as_array().expect("steps"));
    check_rules(&scrape);
    for (sample, value) in [
        ("tiki_up", 1.0),
        ("tiki_runs_begun_total", 1.0),
        ("tiki_runs_held", 0.0),
        ("tiki_run_at_work", 0.0),
        ("tiki_run_state{state=\"done\"}", 1.0),
        ("tiki_run_state{state=\"open\"}", 0.0),
        ("tiki_breaker_state{state=\"closed\"}", 1.0),
        ("tiki_breaker_open_seconds", 0.0),
        ("tiki_crawl_limit_requests_per_second", 2.0),
        ("tiki_crawl_allowed_requests_per_second", 2.0),
        ("tiki_crawl_share_ratio", 1.0),
        ("tiki_run_drift{kind=\"vanished\"}", 0.0),
    ] {
        scrape.check(sample, value);
    }
    let ended = scrape.get("tiki_run_ended_timestamp_seconds");
    let crawled = scrape.get("tiki_last_good_run_timestamp_seconds");
    let begun = scrape.get("tiki_run_begun_timestamp_seconds");
    assert!(
        begun < crawled && crawled < ended,
        "{begun:?} {crawled:?} {ended:?}"
    );
    let begun = scrape.get("tiki_run_begun_timestamp_seconds");
    let written = scrape.get("tiki_run_last_commit_timestamp_seconds");
    assert!(
        begun < written && written <= ended,
        "{begun:?} {written:?} {ended:?}"
    );
    // The clock of the run stands still, so all of its bodies are of the last minute.
    let pages = tiki.json(&["sql", "SELECT COUNT(*) AS n FROM pages", "--json"]);
    let pages: f64 = pages[0]["n"]
        .as_str()
        .and_then(|n| n.parse().ok())
        .expect("a count");
    scrape.check("tiki_crawl_pages_per_second", pages / 60.0);
    // No name and no address, and few series.
    let id = run["run_id"].as_str().expect("an id");
    assert!(scrape.0.keys().all(|sample| !sample.contains(id)));
    assert!(scrape.0.len() < 200, "{}", scrape.0.len());
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let silent: Vec<_> = known.difference(&scrape.names()).copied().collect();
    assert_eq!(
        silent,
        ["tiki_run_rejections"],
        "all but that of rejections is told"
    );
}

#[test]
fn metrics_are_true_to_a_run_in_sqlite() {
    a_run_is_told(shop().home());
}

#[test]
fn metrics_are_true_to_a_run_in_postgres() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    let shop = shop();
    a_run_is_told(shop.home().with("TIKI_DATABASE_URL", &database));
    server.drop_database(&database);
}

#[test]
fn slow_a_warehouse_that_is_away_or_not_there_yet_is_a_zero() {
    let tiki = only_shows(Tiki::new());
    let serve = Serve::start(&tiki);
    let scrape = Scrape::of(&serve);
    scrape.check("tiki_up", 0);
    assert_eq!(scrape.0.len(), 4, "{:?}", scrape.0);
    assert!(!tiki.path("data").exists(), "whoever looks makes nothing");
    let mut server = Postgres::start();
    let database = server.fresh_database();
    let tiki = only_shows(Tiki::new().with("TIKI_DATABASE_URL", &database));
    let serve = Serve::start(&tiki);
    Scrape::of(&serve).check("tiki_up", 0);
    tiki.ends(0, &["migrate"]);
    Scrape::once(&serve, "tables", |scrape| scrape.is("tiki_up", 1.0));
    server.stop();
    Scrape::once(&serve, "its end", |scrape| scrape.is("tiki_up", 0.0));
    server.restart();
    let scrape = Scrape::once(&serve, "it again", |scrape| scrape.is("tiki_up", 1.0));
    scrape.check("tiki_runs_begun_total", 0);
}

/// Lets a shop misbehave.
fn spoil(shop: &Shop, route: &str, when: &Value, what: &Value) {
    let rule = json!({ "route": route, "when": when, "what": what });
    let faults = json!({ "rules": [rule] }).to_string();
    let set = shop.control("POST", "faults", &faults);
    assert!(set["rules"].is_array(), "{set}");
}

fn details(state: &str) -> String {
    format!("tiki_run_frontier{{step=\"crawl-product-details\",state=\"{state}\"}}")
}

#[test]
fn a_run_at_work_has_a_queue_and_requests_in_flight() {
    let shop = shop();
    let tiki = only_shows(shop.home());
    let serve = Serve::start(&tiki);
    let always = json!("always");
    spoil(
        &shop,
        "detail",
        &always,
        &json!({ "delay": { "ms": 15_000 } }),
    );
    let mut command = tiki.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = ChildGuard::spawn(&mut command).expect("tiki");
    let scrape = Scrape::once(&serve, "requests in flight", |scrape| {
        scrape.get(&details("claimed")) > Some(0.0)
    });
    scrape.check("tiki_run_at_work", 1);
    scrape.check("tiki_run_state{state=\"open\"}", 1);
    let open = ["waiting", "later", "claimed"].map(|state| scrape.get(&details(state)));
    let listed = tiki.json(&[
        "sql",
        "SELECT COUNT(*) AS n FROM run_products WHERE detail = 'due'",
        "--json",
    ]);
    let open: f64 = open.iter().flatten().sum();
    assert_eq!(listed[0]["n"].as_str(), Some(open.to_string().as_str()));
    let step = "{step=\"crawl-product-details\"}";
    assert!(scrape.get(&format!("tiki_run_step_seconds{step}")) >= Some(0.0));
    for absent in ["tiki_run_exit_code", "tiki_run_ended_timestamp_seconds"] {
        assert_eq!(scrape.get(absent), None, "{absent}");
    }
    run.signal("KILL").expect("a signal");
    run.child().wait().expect("its end");
    shop.control("POST", "faults", &json!({}).to_string());
    tiki.ends(0, &["run"]);
    Scrape::once(&serve, "its end", |scrape| {
        scrape.is("tiki_run_at_work", 0.0)
    });
}

/// Which is why a rule about that code must leave out a run at work.
#[test]
fn a_retry_at_work_has_the_code_of_what_failed_before() {
    let shop = shop();
    let tiki = only_shows(shop.home()).with("TIKI_STALL_LIMIT", "1s");
    let serve = Serve::start(&tiki);
    let step = |name| ["step", name, "--run", "r"];
    for name in ["crawl-categories", "extract-product-urls"] {
        tiki.ends(0, &step(name));
    }
    let last = step("crawl-product-details");
    let spoil = |route, what| spoil(&shop, route, &json!("always"), &what);
    spoil(
        "any",
        json!({ "status": { "code": 429, "retry_after_s": 1 } }),
    );
    tiki.ends(20, &last);
    let code = "tiki_run_step_exit_code{step=\"crawl-product-details\"}";
    Scrape::once(&serve, "the refusal", |scrape| scrape.is(code, 20.0))
        .check("tiki_run_at_work", 0);
    spoil("detail", json!({ "delay": { "ms": 15_000 } }));
    let mut command = tiki.command(&last);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _retry = ChildGuard::spawn(&mut command).expect("tiki");
    Scrape::once(&serve, "the retry", |scrape| {
        scrape.is("tiki_run_at_work", 1.0)
    })
    .check(code, 20);
}

#[test]
fn retries_refusals_and_rejections_are_told_by_class() {
    let shop = shop();
    let tiki = only_shows(shop.home());
    let serve = Serve::start(&tiki);
    let broken = json!({ "status": { "code": 500 } });
    spoil(&shop, "detail", &json!({ "first": 3 }), &broken);
    tiki.ends(0, &["run"]);
    let scrape = Scrape::once(&serve, "the run", |scrape| {
        scrape.is("tiki_run_exit_code", 0.0)
    });
    scrape.check("tiki_run_retries{step=\"crawl-product-details\"}", 3);
    // Another shop, for the first one's details are known.
    let shop = self::shop();
    let tiki = only_shows(shop.home());
    let serve = Serve::start(&tiki);
    let refuses = json!({ "status": { "code": 403 } });
    spoil(&shop, "any", &json!({ "after": 20 }), &refuses);
    tiki.ends(20, &["run"]);
    let scrape = Scrape::once(&serve, "the refusal", |scrape| {
        scrape.is("tiki_run_exit_code", 20.0)
    });
    assert!(
        scrape.get(&details("unfetched")) > Some(0.0),
        "{:?}",
        scrape.0
    );
    let failed = |class| scrape.get(&format!("tiki_run_failures{{class=\"{class}\"}}"));
    let given_up = [failed("unasked"), failed("refused"), failed("timeout")];
    assert!(given_up[..2].iter().flatten().sum::<f64>() > 0.0 && given_up[2] == Some(0.0));
    assert_eq!(scrape.get("tiki_last_good_run_timestamp_seconds"), None);
    let priceless = json!({ "drop_field": { "field": "price" } });
    spoil(&shop, "listing", &json!("always"), &priceless);
    let tiki = tiki
        .with("TIKI_DETAILS", "never")
        .with("TIKI_DRIFT", "warn");
    tiki.ends(10, &["run", "--new"]);
    let scrape = Scrape::once(&serve, "the rejections", |scrape| {
        scrape.is("tiki_run_exit_code", 10.0)
    });
    let counts = tiki.json(&["runs", "show", "--json"])["totals"]["products"].clone();
    scrape.check(
        "tiki_run_products{outcome=\"rejected\"}",
        counts["rejected"].clone(),
    );
    scrape.check(
        "tiki_run_rejections{reason=\"no-price\"}",
        counts["rejected"].clone(),
    );
}

#[test]
fn a_held_run_and_an_open_breaker_are_told() {
    let shop = shop();
    let tiki = only_shows(shop.home())
        .with("TIKI_DETAILS", "never")
        .with("TIKI_RATE_LIMIT", "0.001");
    let serve = Serve::start(&tiki);
    tiki.ends(0, &["run"]);
    let renamed = json!({ "rename_field": { "field": "thumbnail_url", "to": "picture" } });
    spoil(&shop, "listing", &json!("always"), &renamed);
    tiki.ends(11, &["run"]);
    let scrape = Scrape::once(&serve, "the held run", |scrape| {
        scrape.is("tiki_runs_held", 1.0)
    });
    scrape.check("tiki_runs_begun_total", 2);
    scrape.check("tiki_run_state{state=\"held\"}", 1);
    assert!(scrape.get("tiki_run_drift{kind=\"vanished\"}") >= Some(1.0));
    scrape.check("tiki_crawl_limit_requests_per_second", 1_000);
    let database = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let sql = "UPDATE permits SET pause_micros = 600000000,
        open_until_micros = (unixepoch() + 600) * 1000000";
    assert_eq!(database.execute(sql, []).expect("a pace"), 1);
    let scrape = Scrape::once(&serve, "the breaker", |scrape| {
        scrape.is("tiki_breaker_state{state=\"open\"}", 1.0)
    });
    scrape.check("tiki_breaker_state{state=\"closed\"}", 0);
    scrape.check("tiki_crawl_allowed_requests_per_second", 0);
    let left = scrape.get("tiki_breaker_open_seconds").expect("a pause");
    assert!((500.0..=600.0).contains(&left), "{left}");
}
