//! `tiki cleanup`: what a run's step takes away, without a run.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use testkit::{ChildGuard, wait_until};

use crate::alerts::{Receiver, home as told_home, shop as any_shop};
use crate::backup::shop;
use crate::settings_at_work::step;
use crate::tiki::{Shop, Tiki};

const KEEPS: [&str; 4] = [
    "TIKI_KEEP_LISTINGS",
    "TIKI_KEEP_PAGES",
    "TIKI_KEEP_OBSERVATIONS",
    "TIKI_KEEP_LEDGER",
];

/// Two nights' runs, of which twelve days later everything is too old.
fn later(shop: &Shop) -> Tiki {
    let tiki = shop.home().with("TIKI_DETAILS", "always");
    tiki.ends(0, &["run"]);
    shop.control("POST", "clock?day=20759", "");
    let tiki = tiki.with("TIKI_CLOCK", "2026-11-01T19:00:00.000Z");
    tiki.ends(0, &["run"]);
    shop.control("POST", "clock?day=20770", "");
    let tiki = tiki.with("TIKI_CLOCK", "2026-11-12T19:00:00.000Z");
    KEEPS.iter().fold(tiki, |tiki, name| tiki.with(name, "1"))
}

/// The kinds of a list of a report, and a number of each; -1: it has none.
fn kinds<'a>(report: &'a Value, list: &str, number: &str) -> Vec<(&'a str, i64)> {
    let kinds = report[list].as_array().expect("a list").iter();
    kinds
        .map(|kind| {
            let rows = kind[number].as_i64().unwrap_or(-1);
            (kind["kind"].as_str().expect("a word"), rows)
        })
        .collect()
}

fn removed(report: &Value) -> Vec<(&str, i64)> {
    kinds(report, "removed", "rows")
}

/// The same of the log of the clean-up that was the last.
fn logged(tiki: &Tiki) -> Vec<(&'static str, i64)> {
    let logs = std::fs::read_dir(tiki.path("data/logs")).expect("the logs");
    let paths = logs.map(|entry| entry.expect("an entry").path());
    let last = paths
        .filter(|path| path.to_string_lossy().contains("-cleanup-"))
        .max_by_key(|path| {
            path.metadata()
                .and_then(|of| of.modified())
                .expect("a time")
        });
    let text = std::fs::read_to_string(last.expect("a log")).expect("its lines");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect(line));
    let gone = lines.filter(|line| line["message"] == "old rows went");
    let known = ["listings", "pages", "observations", "ledger"];
    gone.map(|line| {
        let kind = known.iter().find(|kind| line["kind"] == **kind);
        (*kind.expect("a kind"), line["rows"].as_i64().expect("rows"))
    })
    .collect()
}

#[test]
fn it_takes_what_the_step_of_a_run_would_take() {
    let shop = shop("60");
    let tiki = later(&shop);
    // The first time it says what is lost.
    let first = tiki.json(&["cleanup", "--json"]);
    let all = [("listings", -1), ("pages", -1), ("observations", -1)];
    assert_eq!(kinds(&first, "kept_this_time", "rows"), all, "{first}");
    assert_eq!(removed(&first), [], "{first}");
    assert_eq!(first["removed_count"], 0, "{first}");
    assert_eq!(first["warnings"].as_array().map(Vec::len), Some(3));
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let copy = format!("VACUUM INTO '{}'", tiki.path("copy.db").display());
    file.execute_batch(&copy).expect("a copy");
    drop(file);
    let history = |tiki: &Tiki| tiki.out(&["sql", "SELECT * FROM product_history ORDER BY 1, 2"]);
    let before = history(&tiki);
    let dry = tiki.json(&["cleanup", "--dry-run", "--json"]);
    let by_itself = tiki.json(&["cleanup", "--json"]);
    let estimated = kinds(&dry, "would_remove", "rows_estimated");
    assert_eq!(estimated, removed(&by_itself), "{dry}");
    assert_eq!(logged(&tiki), removed(&by_itself));
    assert_eq!(history(&tiki), before, "history stays");
    let again = tiki.json(&["cleanup", "--json"]);
    assert_eq!(removed(&again).len(), 1, "the runs themselves: {again}");
    assert!(removed(&again)[0].1 > 0, "{again}");
    let last = tiki.json(&["cleanup", "--json"]);
    assert_eq!(removed(&last), [], "{last}");
    let last = tiki.out(&["cleanup"]);
    assert!(last.starts_with("no more rows are old enough;"), "{last}");
    let runs = tiki.json(&["runs", "--json"]);
    assert_eq!(runs, serde_json::json!([]));
    // A run in the copy, whose eighth step does the same.
    let copy = tiki.with("TIKI_DATABASE_URL", "sqlite:copy.db");
    let run = copy.json(&["run", "--json"]);
    let step = step(&run, "cleanup-temp-files");
    assert_eq!(step["removed"], by_itself["removed"]);
    assert!(removed(step).iter().any(|(_, rows)| *rows > 0), "{step}");
    assert_eq!(step["removed_count"], by_itself["removed_count"]);
}

#[test]
fn a_run_that_was_cleaned_up_says_so() {
    let shop = shop("60");
    let tiki = later(&shop).with("TIKI_KEEP_LEDGER", "100");
    let run = tiki.json(&["runs", "--json"])[0]["id"].clone();
    let run = run.as_str().expect("a run");
    let anew = ["run", "--from", "transform-products", "--run", run];
    assert!(!tiki.out(&["runs", "show", run]).contains("cleaned up"));
    for _ in 0..2 {
        tiki.ends(0, &["cleanup"]);
    }
    let shown = tiki.out(&["runs", "show", run]);
    let line = "its listings were cleaned up (TIKI_KEEP_LISTINGS): its pages and items are no longer counted";
    assert!(shown.contains(line), "{shown}");
    let whole = tiki.json(&["runs", "show", run, "--json"]);
    let cleaned = serde_json::json!(["listings", "pages", "observations"]);
    assert_eq!(whole["cleaned"], cleaned);
    let done = tiki.ends(2, &anew);
    let said = "listings, pages and looks of run ";
    let so = "were cleaned up (TIKI_KEEP_LISTINGS, TIKI_KEEP_PAGES, TIKI_KEEP_OBSERVATIONS), so it cannot be \
              derived anew";
    assert!(done.err.contains(said) && done.err.contains(so), "{done:?}");
}

/// A clean-up whose process is killed, and what is told of that.
#[test]
fn a_clean_up_that_was_killed_is_told_by_errors() {
    let tiki = Tiki::new();
    tiki.ends(0, &["migrate"]);
    let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    // As a process leaves it that is killed at once.
    let sql = "INSERT INTO attempts (run_id, step, shard, attempt, host, process, state, lease_until, started_at)
        VALUES ('tiki cleanup', 'cleanup-temp-files', 0, 1, 'vm boot pid:[1]', '77 5', 'live', \
            '2026-11-01T00:00:30.000Z', '2026-11-01T00:00:00.000Z')";
    file.execute(sql, []).expect("a statement");
    for _ in 0..2 {
        let errors = tiki.json(&["errors", "--json"]);
        assert_eq!(errors[0]["kind"], "attempt", "{errors}");
        assert_eq!(errors[0]["example"], "process 77 on vm in `tiki cleanup`");
        assert_eq!(errors[0]["command"], "tiki cleanup --dry-run");
        tiki.ends(0, &["cleanup", "--dry-run"]);
        tiki.ends(0, &["cleanup"]);
    }
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing() {
    let shop = shop("60");
    let tiki = later(&shop);
    std::fs::create_dir(tiki.path("data/alerts")).expect("a folder");
    // As a process leaves it that is killed while it keeps an alert.
    let left = format!("data/alerts/{}.new", "0a".repeat(16));
    tiki.write(&left, "{");
    tiki.write("data/logs/20200101T000000Z-run-1-0000.jsonl", "{}\n");
    let old = File::options()
        .write(true)
        .open(tiki.path("data/logs/20200101T000000Z-run-1-0000.jsonl"));
    let old = old.expect("a log");
    old.set_modified(SystemTime::UNIX_EPOCH).expect("its time");
    let digest = tiki.out(&["digest"]);
    for _ in 0..2 {
        let report = tiki.json(&["cleanup", "--dry-run", "--json"]);
        let rows = kinds(&report, "kept_this_time", "rows_estimated");
        let words: Vec<&str> = rows.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(words, ["listings", "pages", "observations"], "{report}");
        assert!(rows.iter().all(|(_, rows)| *rows > 0), "{report}");
        assert_eq!(report["kept_this_time"][0]["runs"], 2, "{report}");
        for list in ["removed", "would_remove"] {
            assert_eq!(kinds(&report, list, "runs"), [], "{list} of {report}");
        }
        let counts = ["removed_count", "temporary_files", "log_files"];
        assert_eq!(
            counts.map(|name| report[name].as_i64()),
            [Some(0), Some(1), Some(1)]
        );
    }
    assert_eq!(tiki.out(&["digest"]), digest);
    let shown = tiki.ends(0, &["cleanup", "--dry-run"]);
    assert!(shown.err.contains("TIKI_KEEP_LISTINGS"), "{shown:?}");
    let report = tiki.json(&["cleanup", "--json"]);
    let counts = ["removed_count", "temporary_files", "log_files"];
    assert_eq!(
        counts.map(|name| report[name].as_i64()),
        [Some(2), Some(1), Some(1)]
    );
    assert!(!tiki.path(&left).exists());
    let logs = std::fs::read_dir(tiki.path("data/logs")).expect("the logs");
    let names = logs.map(|entry| entry.expect("an entry").file_name());
    let names: Vec<String> = names.map(|name| name.to_string_lossy().into()).collect();
    assert!(
        names.iter().all(|name| !name.starts_with("2020")),
        "{names:?}"
    );
    assert!(names.iter().any(|name| name.contains("-cleanup-")));
}

#[test]
fn files_of_others_in_the_data_folder_stay() {
    let shop = shop("30");
    let tiki = shop.home();
    let draft = format!("{}.new", "0a".repeat(16));
    let folders = ["data/tmp", "data/alerts", "outside"];
    for folder in folders {
        std::fs::create_dir_all(tiki.path(folder)).expect("a folder");
    }
    let others = [
        "data/tmp/precious",
        "data/alerts/precious.new",
        "data/alerts/notes",
        &format!("outside/{draft}"),
    ];
    for file in others {
        tiki.write(file, "somebody's");
    }
    // Neither a link in the folder nor one in its place leads anywhere.
    let link = std::os::unix::fs::symlink::<PathBuf, PathBuf>;
    let outside = tiki.path("outside");
    link(outside.join(&draft), tiki.path("data/alerts").join(&draft)).expect("a link");
    tiki.ends(0, &["run"]);
    std::fs::rename(tiki.path("data/alerts"), tiki.path("alerts")).expect("another name");
    link(outside, tiki.path("data/alerts")).expect("a link");
    let report = tiki.json(&["cleanup", "--json"]);
    assert_eq!(report["temporary_files"], 0, "{report}");
    let now_at = |file: &str| tiki.path(&file.replace("data/alerts", "alerts"));
    for file in others {
        assert!(now_at(file).is_file(), "{file}");
    }
}

/// A run of a few hours ago can be derived anew, and what came with it may be as old as a detail.
#[test]
fn a_second_one_right_after_the_first_finds_nothing() {
    let shop = shop("30");
    let tiki = later(&shop).with("TIKI_DETAIL_TTL", "30d");
    let keep = |tiki, days| {
        KEEPS
            .iter()
            .fold(tiki, |tiki: Tiki, name| tiki.with(name, days))
    };
    let tiki = keep(tiki, "1000");
    tiki.ends(0, &["run"]);
    let tiki = keep(tiki, "1");
    // What is said, and what goes.
    let first = tiki.json(&["cleanup", "--json"]);
    assert_eq!(first["kept_this_time"][2]["waiting_runs"], 2, "{first}");
    let second = tiki.out(&["cleanup"]);
    assert!(
        second.contains("2 kinds of rows are old enough;"),
        "{second}"
    );
    for _ in 0..2 {
        for flags in [&["--json"] as &[&str], &["--json", "--dry-run"]] {
            let report = tiki.json(&[&["cleanup"], flags].concat());
            for list in ["removed", "would_remove", "kept_this_time"] {
                assert_eq!(report[list], serde_json::json!([]), "{report}");
            }
        }
    }
}

#[test]
fn beside_a_run_at_work_it_does_no_harm() {
    let shop = shop("60");
    let undisturbed = shop.home();
    undisturbed.ends(0, &["run"]);
    let tiki = KEEPS
        .iter()
        .fold(shop.home(), |tiki, name| tiki.with(name, "0"));
    // Slow enough to be at its details for all of the clean-ups: its own would be in their way.
    let tiki = tiki.with("TIKI_RATE_LIMIT", "0.3");
    let mut command = tiki.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("the program");
    wait_until("a run to begin", Duration::from_mins(1), || {
        let runs = tiki.run(&["runs", "--json"]);
        runs.out.contains("\"open\"")
    });
    for _ in 0..3 {
        tiki.ends(0, &["cleanup"]);
    }
    assert_eq!(child.child().wait().expect("its end").code(), Some(0));
    let digest = |tiki: &Tiki| tiki.out(&["digest", "--content"]);
    assert_eq!(digest(&tiki), digest(&undisturbed));
}

#[test]
fn without_a_warehouse_there_is_nothing_to_do_and_one_that_is_away_is_tried_again() {
    let tiki = Tiki::new();
    for arguments in [&["cleanup"] as &[&str], &["cleanup", "--dry-run"]] {
        let done = tiki.ends(99, arguments);
        assert!(done.err.contains("nothing to clean up yet"), "{done:?}");
    }
    assert!(!tiki.path("data").exists());
    let away = tiki
        .with(
            "TIKI_DATABASE_URL",
            "postgres://tiki@127.0.0.1:1/crawl_data",
        )
        .with("TIKI_POOL_WAIT", "1s");
    away.ends(30, &["cleanup"]);
}

#[test]
fn one_that_fails_is_told() {
    let (shop, receiver) = (any_shop(), Receiver::open());
    let tiki = told_home(&shop, &receiver);
    tiki.ends(0, &["run"]);
    // A file where the folder of kept alerts would be.
    tiki.write("data/alerts", "");
    let done = tiki.ends(1, &["cleanup"]);
    let got = receiver.got();
    assert_eq!(got.len(), 1, "{done:?}");
    assert_eq!(got[0].json()["kind"], "cleanup");
    let title = got[0].json()["title"].to_string();
    assert!(
        title.contains("a clean-up: tiki cleanup ended with 1"),
        "{title}"
    );
    let errors = tiki.json(&["errors", "--json"]);
    let class = errors[0]["class"].to_string();
    assert!(class.contains("exit 1 in cleanup-temp-files"), "{errors}");
    assert!(class.contains("alerts"), "{errors}");
    let wrong = tiki.with("TIKI_CLEANUP_SCHEDULE", "weekly");
    let done = wrong.ends(2, &["cleanup"]);
    assert!(done.err.contains("TIKI_CLEANUP_SCHEDULE"), "{done:?}");
}
