//! The clock of `tiki serve`: what is overdue begins once, what is not waits, and what is at work ends
//! with it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::wait_until;

use crate::alerts::Receiver;
use crate::bench::LIMIT;
use crate::serve::Serve;
use crate::tiki::{Shop, Tiki};

/// 02:00 of 2026-11-01 in Vietnam, at which the clock of a shop's home stands.
const NOW: &str = "2026-10-31T19:00:00Z";
const DAY_MILLIS: i64 = 86_400_000;

fn millis(at: &str) -> i64 {
    let at: jiff::Timestamp = at.parse().expect("a time");
    at.as_millisecond()
}

fn shop(latency_ms: &str) -> Shop {
    let arguments = [
        "--products",
        "60",
        "--day",
        "2026-11-01",
        "--latency-ms",
        latency_ms,
    ];
    Shop::open(&Tiki::new(), &arguments)
}

/// What was remembered when a job began last, so long before now.
fn began_before(tiki: &Tiki, job: &str, millis_ago: i64) {
    let memory = json!({
        "since_millis": millis(NOW) - millis_ago,
        "at_work": false,
        "tries": 0,
        "again_millis": null,
    });
    std::fs::create_dir_all(tiki.path("data/serve")).expect("a folder");
    tiki.write(&format!("data/serve/{job}.json"), &memory.to_string());
}

/// The plan of a job.
fn plan(serve: &Serve, job: &str) -> Value {
    let plans = serve.json("/api/v1/schedule");
    let mut plans = plans.as_array().expect("a list").iter();
    plans
        .find(|plan| plan["what"] == job)
        .expect("a plan")
        .clone()
}

fn runs(tiki: &Tiki) -> Vec<Value> {
    let runs = tiki.json(&["runs", "list", "--json"]);
    runs.as_array().expect("a list").clone()
}

#[test]
fn an_overdue_run_begins_once_and_a_restart_begins_no_other() {
    let shop = shop("0");
    let tiki = shop.home().with("TIKI_BACKUP_SCHEDULE", "off");
    // Three nights were missed.
    began_before(&tiki, "run", 3 * DAY_MILLIS);
    for _ in 0..2 {
        let serve = Serve::start(&tiki);
        wait_until("the next night", LIMIT, || {
            plan(&serve, "run")["at"] == "2026-11-01T19:00:00Z"
        });
        let runs = runs(&tiki);
        assert_eq!(runs.len(), 1, "{runs:#?}");
        assert_eq!(runs[0]["owner"], "serve");
        assert_eq!(runs[0]["exit_code"], 0);
        let (_, page) = serve.get("/");
        assert!(page.contains("2026-11-02 02:00:00"), "{page}");
        assert_eq!(serve.end("TERM").0, Some(0));
    }
}

#[test]
fn a_new_installation_waits_for_the_next_time() {
    let shop = shop("0");
    let tiki = shop.home().with("TIKI_SCHEDULE", "30 2 * * *");
    let serve = Serve::start(&tiki);
    let next = plan(&serve, "run");
    assert_eq!(next["at"], "2026-10-31T19:30:00Z", "{next}");
    assert_eq!(next["state"], "waiting");
    assert_eq!(plan(&serve, "backup")["at"], "2026-10-31T21:00:00Z");
    // A Sunday in Vietnam.
    assert_eq!(plan(&serve, "cleanup")["at"], "2026-10-31T21:30:00Z");
    assert_eq!(serve.end("TERM").0, Some(0));
    // It was down at that time.
    let later = tiki.with("TIKI_CLOCK", "2026-10-31T19:40:00.000Z");
    let serve = Serve::start(&later);
    wait_until("the run that was missed", LIMIT, || {
        plan(&serve, "run")["at"] == "2026-11-01T19:30:00Z"
    });
    assert_eq!(runs(&later).len(), 1);
    assert_eq!(serve.end("TERM").0, Some(0));
}

#[test]
fn what_was_lost_of_the_memory_the_ledger_knows() {
    let shop = shop("0");
    let tiki = shop.home().with("TIKI_BACKUP_SCHEDULE", "off");
    tiki.ends(0, &["run", "--owner", "serve"]);
    for (clock, next, count) in [
        ("2026-10-31T20:00:00.000Z", "2026-11-01T19:00:00Z", 1),
        // The night after it was missed, which a new installation would not know.
        ("2026-11-01T20:00:00.000Z", "2026-11-02T19:00:00Z", 2),
    ] {
        std::fs::remove_dir_all(tiki.path("data/serve")).ok();
        let later = shop
            .home()
            .with("TIKI_BACKUP_SCHEDULE", "off")
            .with("TIKI_DATA_DIR", &tiki.path("data").display().to_string())
            .with("TIKI_CLOCK", clock);
        let serve = Serve::start(&later);
        wait_until("the next night", LIMIT, || {
            plan(&serve, "run")["at"] == next
        });
        assert_eq!(runs(&later).len(), count);
        assert_eq!(serve.end("TERM").0, Some(0));
    }
}

#[test]
fn without_a_schedule_nothing_is_started_or_kept() {
    let tiki = Tiki::new()
        .with("TIKI_SCHEDULE", "off")
        .with("TIKI_BACKUP_SCHEDULE", "off");
    let serve = Serve::start(&tiki);
    for job in ["run", "backup", "cleanup"] {
        assert_eq!(plan(&serve, job)["state"], "off", "{job}");
    }
    assert!(
        serve.get("/").1.contains("No clock"),
        "{}",
        serve.get("/").1
    );
    assert!(!tiki.path("data").exists());
    assert_eq!(serve.end("TERM").0, Some(0));
}

#[test]
fn a_refused_run_is_tried_again_later() {
    let shop = shop("0");
    let rule =
        json!({ "route": "robots", "when": "always", "what": { "status": { "code": 503 } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    let tiki = shop.home().with("TIKI_BACKUP_SCHEDULE", "off");
    began_before(&tiki, "run", DAY_MILLIS);
    let serve = Serve::start(&tiki);
    wait_until("another try", LIMIT, || {
        plan(&serve, "run")["at"] == "2026-10-31T19:05:00Z"
    });
    let note = plan(&serve, "run")["note"].to_string();
    assert!(note.contains("ended with 20; is tried again"), "{note}");
    assert_eq!(serve.end("TERM").0, Some(0));
    // Five minutes later the site is well again.
    shop.control("POST", "faults", r#"{"rules":[]}"#);
    let later = tiki.with("TIKI_CLOCK", "2026-10-31T19:05:00.000Z");
    let serve = Serve::start(&later);
    wait_until("the next night", LIMIT, || {
        plan(&serve, "run")["at"] == "2026-11-01T19:00:00Z"
    });
    let runs = runs(&later);
    assert_eq!(runs[0]["exit_code"], 0, "{runs:#?}");
    assert_eq!(serve.end("TERM").0, Some(0));
}

#[test]
fn the_next_night_begins_anew_whatever_was_left_of_the_last() {
    let shop = shop("0");
    let rule =
        json!({ "route": "robots", "when": "always", "what": { "status": { "code": 503 } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    let tiki = shop.home().with("TIKI_BACKUP_SCHEDULE", "off");
    // As when all tries of the night were in vain.
    tiki.ends(20, &["run", "--owner", "serve"]);
    shop.control("POST", "faults", r#"{"rules":[]}"#);
    let tiki = tiki.with("TIKI_CLOCK", "2026-11-01T20:00:00.000Z");
    let serve = Serve::start(&tiki);
    wait_until("the night after the next", LIMIT, || {
        plan(&serve, "run")["at"] == "2026-11-02T19:00:00Z"
    });
    let states: Vec<Value> = runs(&tiki).iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["done", "abandoned"]);
    assert_eq!(serve.end("TERM").0, Some(0));
}

#[test]
fn a_night_of_the_clock_is_told_once() {
    let (shop, receiver) = (shop("0"), Receiver::open());
    let rule =
        json!({ "route": "detail", "when": "always", "what": { "status": { "code": 403 } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    let tiki = shop
        .home()
        .with("TIKI_SOURCE", "api")
        .with("TIKI_BACKUP_SCHEDULE", "off")
        .with("TIKI_ALERT_WEBHOOK_URL", &receiver.url);
    began_before(&tiki, "run", DAY_MILLIS);
    let serve = Serve::start(&tiki);
    wait_until("its end", LIMIT, || {
        plan(&serve, "run")["note"]
            .to_string()
            .contains("ended with 20")
    });
    assert_eq!(serve.end("TERM").0, Some(0));
    let titles: Vec<Value> = receiver
        .got()
        .iter()
        .map(|got| got.json()["title"].clone())
        .collect();
    assert_eq!(titles.len(), 1, "{titles:?}");
}

#[test]
fn what_is_at_work_ends_with_it_and_goes_on_later() {
    let shop = shop("400");
    let tiki = shop.home().with("TIKI_BACKUP_SCHEDULE", "off");
    for (signal, code) in [("TERM", Some(0)), ("KILL", None)] {
        std::fs::remove_dir_all(tiki.path("data")).ok();
        began_before(&tiki, "run", DAY_MILLIS);
        let serve = Serve::start(&tiki);
        wait_until("a run at work", LIMIT, || {
            plan(&serve, "run")["state"] == "at work"
                && runs(&tiki)
                    .first()
                    .is_some_and(|run| run["at_work"] == true)
        });
        let child = child_of(serve.id());
        let (ended, took) = serve.end(signal);
        assert_eq!(ended, code, "{signal}");
        assert!(took < Duration::from_secs(10), "{signal}: {took:?}");
        wait_until("its child to be gone", LIMIT, || is_gone(child));
        let left = runs(&tiki);
        assert_eq!(
            (left.len(), &left[0]["state"]),
            (1, &json!("open")),
            "{left:#?}"
        );
        // It goes on after a pause, as the same run.
        let serve = Serve::start(&tiki);
        let next = plan(&serve, "run");
        assert_eq!(next["at"], "2026-10-31T19:05:00Z", "{signal}: {next}");
        assert_eq!(serve.end("TERM").0, Some(0));
    }
}

#[test]
fn slow_what_does_not_end_in_time_is_killed() {
    let shop = shop("0");
    let delay = json!({ "delay": { "ms": 25_000 } });
    let rule = json!({ "route": "listing", "when": "always", "what": delay });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    let tiki = shop.home().with("TIKI_BACKUP_SCHEDULE", "off");
    began_before(&tiki, "run", DAY_MILLIS);
    let serve = Serve::start(&tiki);
    wait_until("a request that is not answered", LIMIT, || {
        shop.control("GET", "counts", "")["routes"]["listing"]
            .as_i64()
            .is_some_and(|count| count > 0)
    });
    let child = child_of(serve.id());
    let (code, took) = serve.end("TERM");
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(took > Duration::from_secs(7), "it had time: {took:?}");
    wait_until("its child to be gone", LIMIT, || is_gone(child));
    let left = runs(&tiki);
    assert_eq!(left[0]["state"], "open", "{left:#?}");
}

/// Whether a process has ended; nobody may have asked how.
fn is_gone(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// The process that another has started.
fn child_of(parent: u32) -> u32 {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(path).expect("its children");
    let first = children.split_whitespace().next().expect("a child");
    first.parse().expect("an id")
}

#[test]
fn a_backup_that_is_due_is_made_and_proven() {
    let shop = shop("0");
    let tiki = shop.home().with("TIKI_SCHEDULE", "off");
    tiki.ends(0, &["run"]);
    began_before(&tiki, "backup", DAY_MILLIS);
    let serve = Serve::start(&tiki);
    wait_until("the next backup", LIMIT, || {
        plan(&serve, "backup")["at"] == "2026-10-31T21:00:00Z"
    });
    let note = plan(&serve, "backup")["note"].to_string();
    assert!(note.contains("ended with 0"), "{note}");
    let listed = tiki.out(&["backup", "list", "--json"]);
    assert!(listed.contains("verified"), "{listed}");
    assert_eq!(serve.end("TERM").0, Some(0));
}

#[test]
fn a_clean_up_that_was_missed_is_done_once() {
    let shop = shop("0");
    let tiki = shop
        .home()
        .with("TIKI_SCHEDULE", "off")
        .with("TIKI_BACKUP_SCHEDULE", "off")
        .with("TIKI_CLEANUP_SCHEDULE", "30 4 * * 0");
    tiki.ends(0, &["run"]);
    // Three Sundays.
    began_before(&tiki, "cleanup", 21 * DAY_MILLIS);
    for _ in 0..2 {
        let serve = Serve::start(&tiki);
        wait_until("the next Sunday", LIMIT, || {
            plan(&serve, "cleanup")["at"] == "2026-10-31T21:30:00Z"
        });
        let (_, page) = serve.get("/");
        assert!(page.contains("30 4 * * 0"), "{page}");
        assert_eq!(serve.end("TERM").0, Some(0));
        let logs = std::fs::read_dir(tiki.path("data/logs")).expect("the logs");
        let names = logs.map(|entry| entry.expect("an entry").file_name());
        let cleanups = names.filter(|name| name.to_string_lossy().contains("-cleanup-"));
        assert_eq!(cleanups.count(), 1);
    }
    assert_eq!(runs(&tiki).len(), 1);
}

#[test]
fn the_clean_up_that_nobody_set_is_off_where_all_else_is() {
    let tiki = Tiki::new().with("TIKI_SCHEDULE", "off");
    let shown = |tiki: &Tiki| {
        let all = tiki.out(&["config", "show"]);
        let line = all.lines().find(|line| line.contains("TIKI_CLEANUP"));
        line.expect("the setting").to_owned()
    };
    assert!(shown(&tiki).contains("30 4 * * 0"));
    let tiki = tiki.with("TIKI_BACKUP_SCHEDULE", "off");
    assert!(shown(&tiki).contains(" off "), "{}", shown(&tiki));
    let set = tiki.with("TIKI_CLEANUP_SCHEDULE", "5 5 * * 0");
    assert!(shown(&set).contains("5 5 * * 0"));
}

#[test]
fn two_clocks_of_one_folder_are_refused_and_so_is_a_schedule_that_is_none() {
    // A clock that stands still, so that nothing is ever due.
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", "http://127.0.0.1:1")
        .with("TIKI_CLOCK", "2026-10-31T19:00:00.000Z");
    let serve = Serve::start(&tiki);
    let second = tiki.ends(30, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(second.err.contains("TIKI_SCHEDULE=off"), "{}", second.err);
    assert_eq!(serve.end("TERM").0, Some(0));
    let wrong = tiki.with("TIKI_SCHEDULE", "every night");
    let done = wrong.ends(2, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(done.err.contains("0 2 * * *"), "{}", done.err);
}
