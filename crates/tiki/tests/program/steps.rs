//! `tiki step`, as an Airflow task calls it.

use serde_json::Value;

use crate::settings_at_work::step;
use crate::tiki::{Done, Shop, Tiki};

fn last_line(done: &Done) -> Value {
    let line = done.out.lines().last().expect("a line");
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn nine_steps_make_a_run_and_each_reports_its_keys() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let contract = tiki.json(&["step", "--list", "--json"]);
    let contract = contract.as_array().expect("a list");
    assert_eq!(contract.len(), 9);
    let unknown = tiki.ends(
        2,
        &["step", "load-products", "--run", "scheduled__2026-11-24"],
    );
    assert!(unknown.err.contains("there is no run"), "{}", unknown.err);
    for step in contract {
        let name = step["name"].as_str().expect("a name");
        let arguments = [
            "step",
            name,
            "--run",
            "scheduled__2026-11-24",
            "--owner",
            "airflow:tiki",
        ];
        let report = last_line(&tiki.ends(0, &arguments));
        assert_eq!(report["step"], name);
        assert_eq!(report["run_id"], "scheduled__2026-11-24");
        for key in step["keys"].as_array().expect("a list") {
            assert!(
                !report[key.as_str().expect("a key")].is_null(),
                "{name}: {key}: {report}"
            );
        }
        let again = last_line(&tiki.ends(0, &arguments));
        assert_eq!(again["already_done"], true, "{name}");
        assert!(
            again["hint"].as_str().expect("a hint").contains("--from"),
            "{again}"
        );
    }
    let runs = tiki.json(&["runs", "--json"]);
    assert_eq!(runs[0]["owner"], "airflow:tiki");
}

#[test]
fn a_refused_step_says_so_in_its_last_line() {
    let tiki = Tiki::new()
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_ORIGIN", "http://127.0.0.1:1");
    let done = tiki.ends(20, &["step", "crawl-categories", "--run", "r"]);
    let report = last_line(&done);
    assert_eq!(
        (&report["step"], &report["exit_code"]),
        (&"crawl-categories".into(), &20.into())
    );
    assert!(
        report["error"]
            .as_str()
            .expect("text")
            .contains("cannot reach"),
        "{report}"
    );
}

#[test]
fn a_run_of_another_owner_is_not_gone_on_with() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    tiki.ends(
        0,
        &[
            "step",
            "crawl-categories",
            "--run",
            "theirs",
            "--owner",
            "airflow:tiki",
        ],
    );
    let done = tiki.ends(30, &["run"]);
    assert!(done.err.contains("theirs"), "{}", done.err);
    tiki.ends(99, &["runs", "resume"]);
    let done = tiki.ends(2, &["runs", "resume", "theirs"]);
    assert!(done.err.contains("belongs to airflow:tiki"), "{}", done.err);
    tiki.ends(0, &["runs", "close", "theirs"]);
    tiki.ends(0, &["run"]);
}

/// A run of nine steps, each a process; the words of each call but for the step's name.
fn nine_steps(tiki: &Tiki, words: &[&str]) {
    for step in tiki
        .json(&["step", "--list", "--json"])
        .as_array()
        .expect("a list")
    {
        let name = step["name"].as_str().expect("a name");
        tiki.ends(0, &[&["step", name], words].concat());
    }
}

#[test]
fn a_run_of_steps_ends_with_the_last_of_them() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    nine_steps(&tiki, &["--run", "first", "--owner", "airflow:tiki"]);
    let run = &tiki.json(&["runs", "--json"])[0];
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&"done".into(), &0.into()),
        "{run}"
    );
    assert!(
        run["totals"]["products"]["listed"].as_i64() > Some(0),
        "{run}"
    );
    // A next one need not wait for it.
    nine_steps(&tiki, &["--run", "second", "--owner", "airflow:tiki"]);
}

#[test]
fn a_run_of_steps_that_the_site_refused_ends_with_20() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let step = |code, name: &str| tiki.ends(code, &["step", name, "--run", "r"]);
    step(0, "crawl-categories");
    step(0, "extract-product-urls");
    let rules = ["detail", "product_page"].map(|route| {
        serde_json::json!({"route": route, "when": "always", "what": {"status": {"code": 403}}})
    });
    let refusal = serde_json::json!({ "rules": rules }).to_string();
    shop.control("POST", "faults", &refusal);
    step(20, "crawl-product-details");
    for name in ["transform-products", "load-products", "send-notification"] {
        step(0, name);
    }
    let run = &tiki.json(&["runs", "--json"])[0];
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&"done".into(), &20.into()),
        "{run}"
    );
    assert!(
        run["totals"]["products"]["new"].as_i64() > Some(0),
        "what was listed is loaded: {run}"
    );
}

#[test]
fn a_run_whose_counts_do_not_add_up_can_be_closed() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    for name in ["crawl-categories", "extract-product-urls", "load-products"] {
        tiki.ends(0, &["step", name, "--run", "r"]);
    }
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let break_it = "UPDATE listing_pages SET items = items + 1";
    file.execute(break_it, []).expect("a statement");
    let done = tiki.ends(70, &["step", "send-notification", "--run", "r"]);
    assert!(done.err.contains("do not add up"), "{}", done.err);
    let done = tiki.ends(70, &["runs", "close", "r"]);
    assert!(done.err.contains("do not add up"), "{}", done.err);
    let run = &tiki.json(&["runs", "--json"])[0];
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&"abandoned".into(), &70.into()),
        "{run}"
    );
    // It keeps no other run from its work.
    tiki.ends(0, &["run"]);
}

#[test]
fn a_step_of_another_owners_run_is_refused() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let begin = [
        "step",
        "crawl-categories",
        "--run",
        "theirs",
        "--owner",
        "airflow:one",
    ];
    tiki.ends(0, &begin);
    for name in ["crawl-categories", "extract-product-urls"] {
        let done = tiki.ends(
            2,
            &["step", name, "--run", "theirs", "--owner", "airflow:two"],
        );
        assert!(
            done.err
                .contains("belongs to airflow:one, not to airflow:two"),
            "{}",
            done.err
        );
    }
    for id in ["../theirs", "a/b", ""] {
        let done = tiki.ends(2, &["step", "crawl-categories", "--run", id]);
        assert!(done.err.contains("no id of a run"), "{}", done.err);
    }
    // A person may lend a hand.
    tiki.ends(
        0,
        &["step", "extract-product-urls", "--run", "theirs", "--join"],
    );
}

#[test]
fn a_step_that_asks_nothing_can_be_done_again() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    nine_steps(&tiki, &["--run", "r"]);
    let digest = tiki.out(&["digest"]);
    let asked = shop.control("GET", "counts", "")["requests"].clone();
    let again = |name| last_line(&tiki.ends(0, &["step", name, "--run", "r", "--again"]));
    let report = again("crawl-product-details");
    assert_eq!(report["already_done"], true, "{report}");
    let report = again("transform-products");
    assert_eq!(report["already_done"], false, "{report}");
    // It was opened from there on, so these run as if for the first time.
    for name in ["load-products", "get-cache-stats", "send-notification"] {
        let report = last_line(&tiki.ends(0, &["step", name, "--run", "r"]));
        assert_eq!(report["already_done"], false, "{report}");
    }
    assert_eq!(tiki.out(&["digest"]), digest);
    assert_eq!(tiki.json(&["runs", "--json"])[0]["state"], "done");
    let now = shop.control("GET", "counts", "")["requests"].clone();
    assert_eq!(now, asked, "the site was not asked");
}

/// Redone an hour later.
#[test]
fn what_a_redone_crawl_says_of_its_time_and_of_its_rate_is_of_the_same_work() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let crawl = |report: &Value| step(report, "crawl-product-details").clone();
    let first = tiki.json(&["run", "--json"]);
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let earlier =
        |column: &str| format!("{column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '-1 hour')");
    let columns = ["started_at", "first_claim_at", "last_commit_at", "ended_at"].map(earlier);
    let sql = format!("UPDATE attempts SET {}", columns.join(", "));
    file.execute(&sql, []).expect("a statement");
    let sql = format!("UPDATE run_steps SET {}", earlier("started_at"));
    file.execute(&sql, []).expect("a statement");
    drop(file);
    let id = first["run_id"].as_str().expect("an id");
    let redone = tiki.json(&[
        "run",
        "--from",
        "crawl-product-details",
        "--run",
        id,
        "--json",
    ]);
    let (first, redone) = (crawl(&first), crawl(&redone));
    let stats = &redone["crawl_stats"];
    let number = |value: &Value| value.as_f64().expect("a number");
    let (elapsed, seconds) = (number(&stats["elapsed"]), number(&redone["seconds"]));
    // All details came the first time, and the counts are still theirs.
    assert_eq!(stats["good"], first["crawl_stats"]["good"]);
    assert!(elapsed <= seconds && seconds < 600.0, "{elapsed} {seconds}");
    assert!(seconds >= number(&first["seconds"]), "{first} {redone}");
    let products = number(&stats["rate"]) * elapsed;
    assert!(
        (products - number(&stats["succeeded"])).abs() < 1.0,
        "{stats}"
    );
}

#[test]
fn a_step_ends_with_its_parent() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60", "--latency-ms", "20000"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let done = tiki.ends(
        130,
        &["step", "crawl-categories", "--run", "r", "--parent", "1"],
    );
    assert!(done.err.contains("is not"), "{}", done.err);
    // The parent is a shell that starts the step, says its id and is killed.
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "\"$0\" step crawl-categories --run r --parent $$ >out 2>&1 & echo $!; wait",
    ]);
    command
        .arg(env!("CARGO_BIN_EXE_tiki"))
        .current_dir(tiki.folder());
    command
        .env("TIKI_ORIGIN", &shop.url)
        .env("TIKI_RATE_LIMIT", "0");
    let mut shell =
        testkit::ChildGuard::spawn(command.stdout(std::process::Stdio::piped())).expect("a shell");
    let mut id = String::new();
    let out = shell.child().stdout.take().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut id).expect("an id");
    let status = format!("/proc/{}/status", id.trim());
    let ends_with_parent = || {
        // The shell forks before it becomes the program.
        let name = std::fs::read_to_string(&status).unwrap_or_default();
        name.starts_with("Name:\ttiki")
            && name.contains("Threads:\t")
            && !name.contains("Threads:\t1\n")
    };
    testkit::wait_until(
        "the step at work",
        std::time::Duration::from_secs(20),
        ends_with_parent,
    );
    shell.kill().expect("a kill");
    let is_gone = || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    };
    testkit::wait_until(
        "the end of the step",
        std::time::Duration::from_secs(5),
        is_gone,
    );
}

#[test]
fn a_time_limit_may_be_the_plans() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    nine_steps(&tiki, &["--run", "r", "--timeout", "plan"]);
    let done = tiki.ends(
        2,
        &["step", "load-products", "--run", "r", "--timeout", "soon"],
    );
    assert!(done.err.contains("or plan"), "{}", done.err);
}
