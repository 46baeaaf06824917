//! `tiki step`, as an Airflow task calls it.

use serde_json::Value;

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
