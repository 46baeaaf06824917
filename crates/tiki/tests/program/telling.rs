//! Who tells what the one that failed could not: from the data folder while the warehouse is away, and by
//! another process where one hangs or was killed.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{ChildGuard, Postgres, wait_until};

use crate::alerts::{Answer, Receiver, home, refuse, shop};
use crate::serve::Serve;
use crate::tiki::{Shop, Tiki};

/// The kinds and titles of what arrived.
fn told(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let got = receiver.got();
    got.iter()
        .map(|one| (text(&one.json()["kind"]), text(&one.json()["title"])))
        .collect()
}

/// The files of alerts that wait for the warehouse.
fn kept(tiki: &Tiki) -> usize {
    let Ok(entries) = std::fs::read_dir(tiki.path("data/alerts")) else {
        return 0;
    };
    let is_alert = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        path.extension().is_some_and(|ending| ending == "json")
    };
    entries.map(is_alert).filter(|is| *is).count()
}

/// A shop at which a run takes long enough to be met.
const SLOW: [&str; 6] = [
    "--products",
    "60",
    "--day",
    "2026-11-01",
    "--latency-ms",
    "300",
];

/// A `tiki run` that is in the ledger.
fn at_work(tiki: &Tiki) -> ChildGuard {
    let mut command = tiki.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = ChildGuard::spawn(&mut command).expect("the program");
    wait_until("a run to begin", Duration::from_mins(1), || {
        let runs = tiki.run(&["runs", "--json"]);
        serde_json::from_str::<Value>(&runs.out)
            .is_ok_and(|runs| runs.as_array().is_some_and(|runs| !runs.is_empty()))
    });
    child
}

#[test]
fn a_warehouse_that_is_down_for_a_whole_run_is_told_and_knows_it_later() {
    let (shop, receiver) = (shop(), Receiver::open());
    let mut server = Postgres::start();
    let database = server.fresh_database();
    let tiki = home(&shop, &receiver).with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["run"]);
    assert_eq!(kept(&tiki), 0);
    server.stop();
    receiver.answers(Answer::Status(500));
    tiki.ends(30, &["run", "--new"]);
    assert_eq!((receiver.got().len(), kept(&tiki)), (1, 1));
    // It waits for its next try; another failure of the kind is counted.
    receiver.answers(Answer::Status(200));
    tiki.ends(30, &["run", "--new"]);
    assert_eq!((receiver.got().len(), kept(&tiki)), (1, 1));
    let file = std::fs::read_dir(tiki.path("data/alerts")).expect("the folder");
    let path = file
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "json"))
        .expect("a file");
    let text = std::fs::read_to_string(&path).expect("a file");
    let mut spooled: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(spooled["seen"], 2, "{spooled}");
    assert_eq!(spooled["channels"][0]["tries"], 1, "{spooled}");
    let id = spooled["id"].as_str().expect("an id").to_owned();
    // As if its pause were over.
    spooled["channels"][0]["next_at"] = json!("2020-01-01T00:00:00.000Z");
    std::fs::write(&path, spooled.to_string()).expect("a file");
    tiki.ends(30, &["run", "--new"]);
    assert_eq!(receiver.got().len(), 2);
    assert_eq!(receiver.got()[1].header("idempotency-key"), id);
    assert_eq!(told(&receiver)[1].0, "exit-30");
    assert!(
        told(&receiver)[1].1.contains("(cli)"),
        "{:?}",
        told(&receiver)
    );
    // The warehouse is back: it takes it over, and nobody is told again.
    server.restart();
    tiki.ends(0, &["run", "--new"]);
    assert_eq!((receiver.got().len(), kept(&tiki)), (2, 0));
    let listed = tiki.json(&["alerts", "--json"]);
    assert_eq!(listed[0]["id"], id, "{listed}");
    assert_eq!(listed[0]["seen"], 3, "{listed}");
    assert_eq!(listed[0]["deliveries"][0]["state"], "sent", "{listed}");
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_failure_before_the_first_step_is_told_once() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver);
    tiki.ends(0, &["run"]);
    // Another site than the one that the warehouse keeps: no step begins.
    let other = Shop::open(&Tiki::new(), &["--products", "61", "--day", "2026-11-01"]);
    let origin = other.home().variable("TIKI_ORIGIN");
    let lost = tiki.with("TIKI_ORIGIN", &origin);
    lost.ends(2, &["run", "--new"]);
    lost.ends(
        2,
        &[
            "step",
            "crawl-categories",
            "--run",
            "r1",
            "--owner",
            "airflow:d",
        ],
    );
    let seen = told(&receiver);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|(kind, _)| kind == "exit-2"), "{seen:?}");
    assert!(seen[1].1.contains("run r1 (airflow:d)"), "{seen:?}");
    lost.ends(2, &["run", "--new"]);
    assert_eq!(receiver.got().len(), 2, "told a short time ago");
    // What a step has told is told once, and a mistake in typing not at all.
    refuse(&shop);
    let tiki = lost.with("TIKI_ORIGIN", &shop.home().variable("TIKI_ORIGIN"));
    let step = |name, exit| {
        let owned = ["--run", "r2", "--owner", "airflow:d"];
        tiki.ends(exit, &[&["step", name], &owned[..]].concat());
    };
    step("crawl-categories", 0);
    step("extract-product-urls", 20);
    tiki.ends(2, &["run", "--owner", "nobody"]);
    let listed = tiki.json(&["alerts", "--json"]);
    let mut all = listed.as_array().expect("a list").iter();
    let refused = all.find(|alert| alert["kind"] == "exit-20");
    assert_eq!(refused.expect("an alert")["seen"], 1, "{listed}");
    assert_eq!(receiver.got().len(), 3, "{:?}", told(&receiver));
}

#[test]
fn a_backup_that_cannot_be_made_is_told() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver);
    tiki.ends(0, &["run"]);
    // A file where the folder of backups would be.
    tiki.write("data/backups", "");
    let done = tiki.run(&["backup", "create", "--verify"]);
    assert_ne!(done.code, 0, "{done:?}");
    let seen = told(&receiver);
    assert_eq!(seen.len(), 1, "{seen:?} {done:?}");
    assert_eq!(seen[0].0, "backup");
    assert!(seen[0].1.contains("tiki backup create"), "{seen:?}");
}

#[test]
fn an_installation_that_is_new_has_nothing_to_back_up_and_nobody_is_told() {
    let receiver = Receiver::open();
    let tiki = Tiki::new().with("TIKI_ALERT_WEBHOOK_URL", &receiver.url);
    let done = tiki.ends(99, &["backup", "create", "--verify"]);
    assert!(done.err.contains("nothing to back up yet"), "{done:?}");
    assert_eq!(told(&receiver), []);
}

#[test]
fn a_run_that_was_killed_is_told_by_tiki_serve() {
    let (shop, receiver) = (Shop::open(&Tiki::new(), &SLOW), Receiver::open());
    let tiki = home(&shop, &receiver)
        .with("TIKI_ALERT_STALL", "1s")
        .with("TIKI_SCHEDULE", "off")
        .with("TIKI_BACKUP_SCHEDULE", "off");
    let child = at_work(&tiki);
    // SIGKILL: nobody is left to tell of it.
    drop(child);
    assert_eq!(receiver.got().len(), 0);
    std::thread::sleep(Duration::from_secs(2));
    let serve = Serve::start(&tiki);
    wait_until("the run to be told", Duration::from_mins(1), || {
        !receiver.got().is_empty()
    });
    let seen = told(&receiver);
    assert_eq!(seen[0].0, "stalled", "{seen:?}");
    let run = tiki.json(&["runs", "--json"])[0]["id"].clone();
    assert_eq!(receiver.got()[0].json()["run_id"], run);
    drop(serve);
    // Another one that looks does not tell it again.
    let serve = Serve::start(&tiki);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(receiver.got().len(), 1);
    let listed = tiki.json(&["alerts", "--json"]);
    assert_eq!(listed[0]["seen"], 1, "looking is no trouble: {listed}");
    drop(serve);
}

#[test]
fn who_waits_for_another_is_not_told() {
    let (shop, receiver) = (Shop::open(&Tiki::new(), &SLOW), Receiver::open());
    let tiki = home(&shop, &receiver);
    let child = at_work(&tiki);
    tiki.ends(30, &["run", "--owner", "airflow:d"]);
    // Nor a later step of a run that could not begin, as Airflow tries it.
    let later = [
        "step",
        "transform-products",
        "--run",
        "r",
        "--owner",
        "airflow:d",
    ];
    tiki.ends(2, &later);
    assert_eq!(told(&receiver), []);
    drop(child);
}

#[test]
fn a_channel_that_hangs_keeps_no_other_waiting_while_the_warehouse_is_away() {
    let (shop, hanging, receiver) = (shop(), Receiver::open(), Receiver::open());
    hanging.answers(Answer::Silence);
    let mut server = Postgres::start();
    let database = server.fresh_database();
    let tiki = home(&shop, &receiver)
        .with("TIKI_ALERT_SLACK_URL", &hanging.url)
        .with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    server.stop();
    tiki.ends(30, &["run"]);
    assert_eq!((hanging.got().len(), receiver.got().len()), (1, 1));
    assert_eq!(kept(&tiki), 1);
}

#[test]
fn what_cannot_be_handed_over_keeps_nothing_else_from_being_told() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver);
    tiki.ends(0, &["run"]);
    // As another user left it, who may not be asked.
    std::fs::create_dir_all(tiki.path("data/alerts/lock")).expect("a folder");
    tiki.write(&format!("data/alerts/{}.json", "a".repeat(32)), "{}");
    refuse(&shop);
    let done = tiki.ends(20, &["run", "--new"]);
    assert!(done.err.contains("stay there"), "{}", done.err);
    assert_eq!(told(&receiver).len(), 1, "{}", done.err);
}
