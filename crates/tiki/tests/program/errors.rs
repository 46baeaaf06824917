//! `tiki errors`: what went wrong in the newest runs, by class.

use std::process::Stdio;

use serde_json::{Value, json};
use testkit::{ChildGuard, Postgres, wait_until};

use crate::bench::LIMIT;
use crate::tiki::{Shop, Tiki};

fn spoil(shop: &Shop, rules: &Value) {
    shop.control("POST", "faults", &json!({ "rules": rules }).to_string());
}

fn of<'a>(errors: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = errors.as_array().expect("a list").iter();
    all.filter(|error| error["kind"] == kind).collect()
}

#[test]
fn nothing_is_an_answer_too() {
    let tiki = Tiki::new();
    assert_eq!(tiki.json(&["errors", "--json"]), json!([]));
    let told = || tiki.ends(0, &["errors"]).err;
    let none = "no runs yet; `tiki run` begins one\n";
    assert_eq!(told(), none);
    assert!(!tiki.path("data").exists(), "it only reads");
    tiki.ends(0, &["migrate"]);
    assert_eq!(tiki.json(&["errors", "--json"]), json!([]));
    assert_eq!(told(), none);
    tiki.fill_demo(20, 1);
    for command in ["errors", "runs", "drift"] {
        let said = tiki.ends(0, &[command]).err;
        assert!(
            said.starts_with(none.trim_end()) && said.contains("products: add --demo to read it"),
            "{command}: {said}"
        );
    }
    let done = tiki.ends(2, &["errors", "--run", "nope"]);
    assert!(done.err.contains("there is no run"), "{}", done.err);
    let done = tiki.ends(2, &["errors", "--since", "never"]);
    assert!(
        done.err.contains("neither a day nor an instant"),
        "{}",
        done.err
    );
}

/// Two runs with troubles of every kind, and what is told of them.
fn check(tiki: &Tiki, shop: &Shop) {
    make_troubles(tiki, shop);
    let errors = tiki.json(&["errors", "--json"]);
    check_counts(tiki, &errors);
    for error in errors.as_array().expect("a list") {
        let command = error["command"].as_str().expect("a command");
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        tiki.ends(0, &words);
        assert!(
            error["first_at"].as_str() <= error["last_at"].as_str(),
            "{error}"
        );
    }
    let text = tiki.out(&["errors"]);
    assert!(
        text.contains("status 418") && text.contains("tiki rejections show"),
        "{text}"
    );
    let cut = tiki.ends(0, &["errors", "--limit", "1"]);
    assert!(cut.err.contains("only 1 of"), "{}", cut.err);
}

fn make_troubles(tiki: &Tiki, shop: &Shop) {
    let broken = |status: u16, every: u64| json!({ "route": "detail", "when": { "every": every }, "what": { "status": { "code": status } } });
    spoil(
        shop,
        &json!([broken(503, 3), broken(418, 7),
        { "route": "detail", "when": { "every": 5 }, "what": "wrong_id" },
        { "route": "listing", "only": { "parameter": "page", "value": "2" }, "when": "always",
          "what": { "status": { "code": 410 } } }]),
    );
    tiki.run(&["run"]);
    spoil(
        shop,
        &json!([{ "route": "any", "when": "always", "what": { "status": { "code": 403 } } }]),
    );
    tiki.ends(20, &["run", "--new"]);
    tiki.ends(0, &["step", "crawl-categories", "--run", "r1"]);
    tiki.ends(20, &["step", "extract-product-urls", "--run", "r1"]);
}

fn check_counts(tiki: &Tiki, errors: &Value) {
    let classes = |kind: &str| -> Vec<String> {
        let found = of(errors, kind);
        found
            .iter()
            .map(|error| error["class"].as_str().expect("a class").to_owned())
            .collect()
    };
    let details = classes("detail");
    assert!(
        details.iter().any(|class| class.contains("status 418")),
        "{errors}"
    );
    let steps = classes("step");
    assert!(
        steps
            .iter()
            .any(|class| class.starts_with("exit 20 in ") && class.contains("403")),
        "{errors}"
    );
    assert!(!classes("rejection").is_empty(), "{errors}");
    // The counts are those of the ledger.
    let runs = tiki.json(&["runs", "list", "--json"]);
    let first = runs[2]["id"].as_str().expect("a run");
    let counts = tiki.json(&["runs", "show", first, "--json"])["counts"].clone();
    let of_first = tiki.json(&["errors", "--run", first, "--json"]);
    let details = of(&of_first, "detail");
    let count = details.iter().map(|error| error["count"].as_i64());
    let unfetched: i64 = count.map(|count| count.expect("a count")).sum();
    assert!(unfetched > 0);
    assert_eq!(counts["details"]["unfetched"], unfetched, "{counts}");
    // One run, and since a time.
    let last = runs[0]["id"].as_str().expect("a run");
    let of_last = tiki.json(&["errors", "--run", last, "--json"]);
    assert!(
        of(&of_last, "detail").is_empty() && !of(&of_last, "step").is_empty(),
        "{of_last}"
    );
    assert_eq!(
        tiki.json(&["errors", "--since", "2999-01-01", "--json"]),
        json!([])
    );
    assert_eq!(
        &tiki.json(&["errors", "--since", "2000-01-01", "--json"]),
        errors
    );
}

#[test]
fn troubles_are_counted_by_class_with_an_example_of_each() {
    let shop = Shop::open(&Tiki::new(), &["--products", "120", "--day", "2026-11-01"]);
    let tiki = shop
        .home()
        .with("TIKI_MAX_ATTEMPTS", "1")
        .with("TIKI_SOURCE", "api")
        .with("TIKI_DRIFT", "warn");
    check(&tiki, &shop);
}

#[test]
fn slow_the_same_is_told_of_postgresql() {
    let shop = Shop::open(&Tiki::new(), &["--products", "120", "--day", "2026-11-01"]);
    let tiki = shop
        .home()
        .with("TIKI_MAX_ATTEMPTS", "1")
        .with("TIKI_SOURCE", "api")
        .with("TIKI_DRIFT", "warn")
        .with("TIKI_DATABASE_URL", &Postgres::shared().fresh_database());
    check(&tiki, &shop);
}

#[test]
fn a_process_that_was_killed_is_counted() {
    let shop = Shop::open(
        &Tiki::new(),
        &[
            "--products",
            "200",
            "--latency-ms",
            "20",
            "--day",
            "2026-11-01",
        ],
    );
    let tiki = shop.home();
    let mut command = tiki.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("tiki");
    wait_until("requests", LIMIT, || {
        let counts = shop.control("GET", "counts", "");
        counts["routes"]["detail"].as_i64() > Some(10)
    });
    child.kill().expect("its end");
    tiki.ends(0, &["run"]);
    let errors = tiki.json(&["errors", "--json"]);
    let attempts = of(&errors, "attempt");
    assert_eq!(attempts.len(), 1, "{errors}");
    let class = attempts[0]["class"].as_str().expect("a class");
    assert!(
        class.contains("killed") && class.contains("crawl-product-details"),
        "{errors}"
    );
    assert_eq!(attempts[0]["first_at"], attempts[0]["last_at"], "one event");
    let example = attempts[0]["example"].as_str().expect("an example");
    let process = format!("process {} on ", child.id());
    assert!(
        example.starts_with(&process) && !example.contains("pid:["),
        "{example}"
    );
    // It leads to where the attempt is shown.
    let run = attempts[0]["newest_run"].as_str().expect("a run");
    let whole = tiki.json(&["runs", "show", run, "--json"]);
    let failed = whole["failed_attempts"].as_array().expect("a list");
    assert_eq!(failed.len(), 1, "{whole}");
    assert_eq!(failed[0]["state"], "fenced");
    assert_eq!(failed[0]["process"], child.id().to_string());
    let text = tiki.out(&["runs", "show", run]);
    let (_, table) = text.split_once("attempts that failed").expect("a table");
    assert!(table.contains("killed or lost"), "{text}");
}

/// A run whose listing runs out of time twice before it is done, and what is told of that.
fn check_done_later(tiki: &Tiki) {
    let step = |name: &'static str| ["step", name, "--run", "r1"];
    tiki.ends(0, &step("crawl-categories"));
    let listing = step("extract-product-urls");
    for _ in 0..2 {
        let done = tiki.ends(1, &[&listing[..], &["--timeout", "1ms"]].concat());
        assert!(done.err.contains("time limit"), "{}", done.err);
    }
    let told = || tiki.json(&["errors", "--run", "r1", "--json"]);
    let before = told();
    tiki.ends(0, &listing);
    tiki.ends(0, &step("crawl-product-details"));
    tiki.ends(0, &step("send-notification"));
    let after = told();
    assert_eq!(of(&after, "step"), of(&before, "step"), "not forgotten");
    let steps = of(&after, "step");
    assert_eq!(steps.len(), 1, "{after}");
    assert_eq!(
        (&steps[0]["count"], &steps[0]["runs"]),
        (&json!(2), &json!(1))
    );
    let class = steps[0]["class"].as_str().expect("a class");
    assert!(
        class.starts_with("exit 1 in extract-product-urls: "),
        "{after}"
    );
    let runs = tiki.json(&["runs", "show", "r1", "--json"]);
    assert_eq!(runs["exit_code"], 0, "{runs}");
    let failed = runs["failed_attempts"].as_array().expect("a list");
    let codes: Vec<_> = failed.iter().map(|one| &one["exit_code"]).collect();
    assert_eq!(codes, [&json!(1), &json!(1)], "{runs}");
    for command in [&["errors"][..], &["runs", "show", "r1"]] {
        let text = tiki.out(command);
        assert!(text.contains("took longer than its time limit"), "{text}");
    }
}

#[test]
fn a_failure_is_told_also_once_its_step_was_done() {
    let shop = Shop::open(&Tiki::new(), &["--products", "120", "--day", "2026-11-01"]);
    check_done_later(&shop.home());
}

#[test]
fn slow_a_failure_is_told_by_postgresql_also_once_its_step_was_done() {
    let shop = Shop::open(&Tiki::new(), &["--products", "120", "--day", "2026-11-01"]);
    let database = Postgres::shared().fresh_database();
    check_done_later(&shop.home().with("TIKI_DATABASE_URL", &database));
}

#[test]
fn no_more_than_a_thousand_of_a_kind_are_counted_and_that_is_said() {
    let tiki = Tiki::new();
    tiki.fill_demo(20, 1);
    let file = rusqlite::Connection::open(tiki.path("data/demo.db")).expect("the warehouse");
    let add = |from: i64, to: i64| {
        let sql = "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
            INSERT INTO rejections (run_id, step, reason, field, seen, created_at)
            SELECT (SELECT id FROM runs), 'transform-products', 'no-price', 'field ' || i, '', \
                '2026-11-01T00:00:00.000Z' FROM n";
        file.execute(sql, [from, to]).expect("a statement");
    };
    add(1, 999);
    let told = || {
        let done = tiki.ends(0, &["errors", "--demo", "--json"]);
        let errors: Value = serde_json::from_str(&done.out).expect("JSON");
        let rejections = of(&errors, "rejection");
        (rejections[0]["count"].as_i64(), done.err)
    };
    assert_eq!(told(), (Some(999), String::new()));
    add(1000, 1001);
    let (count, said) = told();
    assert_eq!(count, Some(1000));
    assert!(said.contains("only the newest 1000"), "{said}");
}

#[test]
fn it_says_when_there_are_more_runs_than_it_looks_at() {
    let tiki = Tiki::new();
    tiki.ends(0, &["migrate"]);
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let add = |from: i64, to: i64| {
        let sql = "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
            INSERT INTO runs (id, number, owner, state, scope, scope_key, clock_at, created_at, exit_code)
            SELECT 'r' || i, i, 'cli', 'done', '{}', '', '2026-11-01T00:00:00.000Z', \
                '2026-11-01T00:00:00.000Z', 0 FROM n";
        file.execute(sql, [from, to]).expect("a statement");
    };
    let told = |arguments: &[&str]| tiki.ends(0, arguments).err;
    add(1, 20);
    assert_eq!(told(&["errors"]), "nothing went wrong in these runs\n");
    add(21, 21);
    assert_eq!(
        told(&["errors"]),
        "nothing went wrong in the newest 20 runs\n"
    );
    let one = told(&["errors", "--run", "r1"]);
    assert_eq!(one, "nothing went wrong in this run\n");
    let since = ["errors", "--since", "2026-01-01"];
    assert_eq!(told(&since), "nothing went wrong in these runs\n");
    add(22, 1001);
    assert_eq!(told(&since), "nothing went wrong in the newest 1000 runs\n");
    let sql = "INSERT INTO rejections (run_id, step, reason, field, seen, created_at)
        VALUES ('r1001', 'transform-products', 'no-price', '', '', '2026-11-01T00:00:00.000Z')";
    file.execute(sql, []).expect("a statement");
    let cut = told(&["errors"]);
    assert!(cut.starts_with("in the newest 20 runs; --since"), "{cut}");
    assert_eq!(told(&["errors", "--json"]), "");
}

#[test]
fn the_demo_has_errors_of_its_own() {
    let tiki = Tiki::new();
    tiki.fill_demo(20, 1);
    let shown = tiki.out(&["runs", "show", "--demo"]);
    let none = !shown.contains("attempts that failed") && !shown.contains("cleaned up");
    assert!(none, "{shown}");
    tiki.ends(0, &["errors", "--demo"]);
    tiki.json(&["errors", "--demo", "--json"]);
}
