//! Files of log lines in `<data folder>/logs`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use testkit::{ChildGuard, wait_until};

use crate::bench::LIMIT;
use crate::tiki::{Shop, Tiki};

const DEMO: [&str; 6] = ["run", "--demo", "--demo-products", "20", "--demo-days", "1"];

fn files(tiki: &Tiki) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(tiki.path("data/logs")) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

/// The lines of a file, each of which is an object.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("a log");
    assert!(text.ends_with('\n'), "a torn line in {}", file.display());
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).expect(line);
        for field in ["at", "level", "target", "message", "command"] {
            assert!(value[field].is_string(), "{field} of {line}");
        }
        value
    };
    text.lines().map(read).collect()
}

fn shop() -> Shop {
    Shop::open(&Tiki::new(), &["--products", "30", "--day", "2026-11-01"])
}

#[test]
fn a_run_leaves_lines_that_say_which_step_did_what() {
    let shop = shop();
    let tiki = shop
        .home()
        .with("TIKI_LOG_FILES", "info,crawl=debug,pipeline=debug");
    tiki.ends(0, &["run"]);
    let all = files(&tiki);
    let [file] = all.as_slice() else {
        panic!("one process, one file: {all:?}");
    };
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert!(
        name.contains("-run-") && file.extension() == Some("jsonl".as_ref()),
        "{name}"
    );
    let mode = |path: &Path| std::fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!((mode(file), mode(&tiki.path("data/logs"))), (0o600, 0o700));
    let lines = lines(file);
    let run = tiki.json(&["runs", "list", "--json"])[0]["id"].clone();
    for step in tiki
        .json(&["step", "--list", "--json"])
        .as_array()
        .expect("steps")
    {
        let of = |message| {
            lines.iter().any(|line| {
                line["step"] == step["name"] && line["run"] == run && line["message"] == message
            })
        };
        assert!(of("begun") && of("ended"), "{step}");
    }
    let is_asked =
        |line: &&Value| line["message"] == "answered" && line["step"] == "crawl-product-details";
    let asked: Vec<&Value> = lines.iter().filter(is_asked).collect();
    assert!(asked.len() >= 20, "{}", asked.len());
    let path = asked[0]["path"].as_str().expect("a path");
    assert!(path.starts_with("/api/v2/products/"), "{path}");
    let (status, attempt) = (&asked[0]["status"], &asked[0]["attempt"]);
    assert_eq!(
        (status, attempt, &asked[0]["run"]),
        (&json!(200), &json!(1), &run)
    );
    assert!(asked[0]["ms"].is_u64(), "{}", asked[0]);
    let last = lines.last().expect("a line");
    assert_eq!(
        (&last["message"], &last["exit_code"]),
        (&json!("ended"), &json!(0))
    );
    // What only reads leaves none, nor does what makes nothing.
    for arguments in [
        &["runs"] as &[&str],
        &["products", "search"],
        &["health"],
        &["errors"],
    ] {
        tiki.ends(0, arguments);
    }
    assert_eq!(files(&tiki).len(), 1);
    let tiki = Tiki::new();
    tiki.ends(99, &["runs", "resume"]);
    assert!(!tiki.path("data").exists());
}

#[test]
fn what_goes_wrong_is_logged_and_each_process_has_a_file_of_its_own() {
    let shop = shop();
    let rule = json!({ "route": "any", "when": "always", "what": { "status": { "code": 403 } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    let tiki = shop.home();
    for _ in 0..2 {
        tiki.ends(20, &["step", "crawl-categories", "--run", "r1"]);
    }
    let all = files(&tiki);
    assert_eq!(all.len(), 2, "{all:?}");
    for file in &all {
        let lines = lines(file);
        let last = lines.last().expect("a line");
        assert_eq!(
            (&last["level"], &last["exit_code"]),
            (&json!("ERROR"), &json!(20))
        );
        assert!(last["message"].to_string().contains("403"), "{last}");
        // What the runbook looks for.
        let why = lines.iter().find(|line| line["message"] == "not ended");
        let why = why.expect("why the step did not end");
        assert_eq!(why["level"], "ERROR", "{why}");
        assert!(why["error"].to_string().contains("403"), "{why}");
        for line in &lines {
            assert_eq!(
                (&line["run"], &line["step"]),
                (&json!("r1"), &json!("crawl-categories"))
            );
        }
    }
}

#[test]
fn what_is_logged_and_how_much_of_it_stays_follows_the_settings() {
    let run = |tiki: &Tiki| tiki.ends(0, &DEMO);
    let tiki = Tiki::new().with("TIKI_LOG_FILES", "off");
    run(&tiki);
    assert_eq!(files(&tiki).len(), 0, "off");
    let tiki = Tiki::new()
        .with("TIKI_LOG_FILES", "trace")
        .with("TIKI_LOG_SPACE", "1");
    let days = ["run", "--demo", "--demo-products", "60", "--demo-days", "8"];
    tiki.ends(0, &days);
    let most = |files: &[PathBuf]| {
        let size = |file: &PathBuf| file.metadata().expect("a file").len();
        (
            files.iter().map(size).max(),
            files.iter().map(size).sum::<u64>(),
        )
    };
    let all = files(&tiki);
    let (largest, sum) = most(&all);
    assert!(
        all.len() > 2 && largest <= Some(104_857) && sum <= 1 << 20,
        "{all:?}, {sum}"
    );
    assert!(sum > 500_000, "the oldest went, and no more: {sum}");
}

#[test]
fn files_go_after_fourteen_days() {
    let tiki = Tiki::new();
    tiki.ends(0, &["migrate"]);
    let kept = files(&tiki);
    let (old, young) = (
        tiki.path("data/logs/1.jsonl"),
        tiki.path("data/logs/2.jsonl"),
    );
    let foreign = tiki.path("data/logs/notes.txt");
    for (path, days) in [(&old, 15), (&young, 13), (&foreign, 15)] {
        let file = std::fs::File::create(path).expect("a file");
        let past = SystemTime::now() - Duration::from_secs(days * 86_400);
        file.set_modified(past).expect("a time");
    }
    let link = tiki.path("data/logs/3.jsonl");
    std::os::unix::fs::symlink(&foreign, &link).expect("a link");
    let longer = Tiki::new().with("TIKI_DATA_DIR", &tiki.path("data").display().to_string());
    longer.with("TIKI_KEEP_LOGS", "16").ends(0, &["migrate"]);
    assert!(old.exists());
    tiki.ends(0, &["migrate"]);
    assert!(!old.exists() && young.exists() && foreign.exists() && kept[0].exists());
    assert!(link.is_symlink());
}

#[test]
fn a_folder_that_cannot_be_written_is_told_once_and_stops_nothing() {
    let told = |tiki: &Tiki| {
        let done = tiki.ends(0, &DEMO);
        assert_eq!(
            done.err.matches("no log is written to").count(),
            1,
            "{}",
            done.err
        );
    };
    let tiki = Tiki::new();
    std::fs::create_dir(tiki.path("data")).expect("a folder");
    tiki.write("data/logs", "no folder");
    told(&tiki);
    // Nor is a link followed: whoever made it may mean another's folder.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let tiki = Tiki::new();
    std::fs::create_dir(tiki.path("data")).expect("a folder");
    std::os::unix::fs::symlink(elsewhere.path(), tiki.path("data/logs")).expect("a link");
    told(&tiki);
    let made = std::fs::read_dir(elsewhere.path())
        .expect("the folder")
        .count();
    assert_eq!(made, 0);
}

#[test]
fn a_run_that_is_killed_leaves_whole_lines() {
    let shop = Shop::open(
        &Tiki::new(),
        &[
            "--products",
            "300",
            "--latency-ms",
            "20",
            "--day",
            "2026-11-01",
        ],
    );
    let tiki = shop.home().with("TIKI_LOG_FILES", "trace");
    let mut command = tiki.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("tiki");
    let text = || {
        let file = files(&tiki).pop()?;
        std::fs::read_to_string(file).ok()
    };
    wait_until("requests in the log", LIMIT, || {
        text().is_some_and(|text| text.matches("\"answered\"").count() > 20)
    });
    child.kill().expect("its end");
    let text = text().expect("a log");
    let (whole, _torn) = text.rsplit_once('\n').expect("lines");
    for line in whole.lines() {
        serde_json::from_str::<Value>(line).expect(line);
    }
}
