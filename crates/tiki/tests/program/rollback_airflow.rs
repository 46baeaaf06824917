//! `tiki rollback airflow` beside an Airflow.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{ChildGuard, Postgres, wait_until};

use crate::airflow::{Airflow, PASSWORD};
use crate::backup::{lease, shop};
use crate::tiki::{Done, Tiki};

const DAG: &str = "tiki_crawl_products_optimized";
const FALLBACK: &str = "tiki_crawl_products";
/// As Airflow calls a run of its schedule.
const RUN: &str = "scheduled__2026-11-01T19:00:00+00:00";

const LONGEST: Duration = Duration::from_secs(30);

const BACK: [&str; 2] = ["rollback", "airflow"];
const FORTH: [&str; 3] = ["rollback", "airflow", "--undo"];

fn with<'a>(words: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [words, more].concat()
}

fn set(dag: &str, paused: bool) -> String {
    format!("{dag} {}", json!({ "is_paused": paused }))
}

#[test]
fn it_goes_back_and_forward_again_and_twice_is_once() {
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    let dry = tiki.out(&with(&BACK, &["--dry-run"]));
    assert!(dry.contains("would be"), "{dry}");
    assert_eq!(airflow.changes(), [""; 0]);
    let back = tiki.json(&with(&BACK, &["--json"]));
    let now = json!([
        { "dag": DAG, "was_paused": false, "is_paused": true },
        { "dag": FALLBACK, "was_paused": true, "is_paused": false },
    ]);
    assert_eq!((&back["changed"], &back["dags"]), (&json!(true), &now));
    assert_eq!(airflow.changes(), [set(DAG, true), set(FALLBACK, false)]);
    assert_eq!(airflow.paused(), [true, false]);
    let again = tiki.ends(0, &BACK);
    assert!(again.out.contains("it was so already"), "{again:?}");
    assert_eq!(airflow.changes(), [""; 0]);
    let forth = tiki.ends(0, &FORTH);
    assert_eq!(airflow.changes(), [set(FALLBACK, true), set(DAG, false)]);
    assert_eq!(airflow.paused(), [false, true]);
    assert_eq!(tiki.json(&with(&FORTH, &["--json"]))["changed"], false);
    let back = tiki.ends(0, &BACK);
    assert!(
        back.out.contains("tiki rollback airflow --undo"),
        "{back:?}"
    );
    for done in [&again, &forth, &back] {
        assert!(!format!("{done:?}").contains("hunter2"), "{done:?}");
    }
    assert!(!tiki.path("data").exists(), "no warehouse is made");
}

#[test]
fn what_runs_is_waited_for_and_nothing_is_changed_before_its_end() {
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    airflow.run(DAG, RUN, None);
    let dry = tiki.out(&with(&BACK, &["--dry-run"]));
    assert!(dry.contains(&format!("{RUN} would be waited for")), "{dry}");
    let in_vain = tiki.ends(30, &with(&BACK, &["--wait", "1s"]));
    assert!(
        in_vain.err.contains(&format!("waiting for DAG run {RUN}")),
        "{in_vain:?}"
    );
    assert!(in_vain.err.contains("waited 1s in vain"), "{in_vain:?}");
    assert_eq!(airflow.changes(), [""; 0]);
    // One that ends, and one that begins in the moment of the pause.
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    airflow.run(DAG, RUN, Some(2));
    airflow.slips(DAG, "manual__1", 1);
    tiki.ends(0, &BACK);
    let [pause, unpause] = [true, false].map(|paused| set(DAG, paused));
    assert_eq!(
        airflow.changes(),
        [&pause, &unpause, &pause, &set(FALLBACK, false)].map(String::as_str)
    );
    assert_eq!(airflow.run_state(RUN), "success");
    assert_eq!(airflow.run_state("manual__1"), "success");
    assert_eq!(airflow.paused(), [true, false]);
}

#[test]
fn a_run_of_a_paused_dag_never_ends_and_is_told_with_what_to_do() {
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    tiki.ends(0, &BACK);
    airflow.run(DAG, RUN, Some(1));
    let stuck = tiki.ends(30, &BACK);
    assert!(stuck.err.contains("--close"), "{stuck:?}");
    let dry = tiki.out(&with(&BACK, &["--dry-run"]));
    assert!(dry.contains("cannot end"), "{dry}");
    // No warehouse was made yet, so there is no run to close.
    let done = tiki.json(&with(&BACK, &["--close", "--json"]));
    assert_eq!(
        (&done["ended"], &done["closed"]),
        (&json!([RUN]), &json!([]))
    );
    assert_eq!(airflow.run_state(RUN), "failed");
}

#[test]
fn what_runs_is_ended_and_its_run_closed_once_nobody_is_at_work() {
    let shop = shop("60");
    let database = Postgres::shared().fresh_database();
    let homes = [
        ("sqlite", shop.home()),
        ("postgres", shop.home().with("TIKI_DATABASE_URL", &database)),
    ];
    for (kind, tiki) in homes {
        let airflow = Airflow::start();
        let tiki = airflow.before(tiki, PASSWORD);
        let (run, owner) = (format!("{DAG}.{RUN}"), format!("airflow:{DAG}"));
        for step in ["crawl-categories", "extract-product-urls"] {
            tiki.ends(0, &["step", step, "--run", &run, "--owner", &owner]);
        }
        airflow.run(DAG, RUN, None);
        tiki.ends(30, &["run"]);
        lease(&tiki, kind, &run, "80");
        let close = with(&BACK, &["--close", "--wait", "3s"]);
        let held = tiki.ends(30, &close);
        assert!(
            held.err
                .contains(&format!("run {run} of the ledger, which is at work")),
            "{held:?}"
        );
        assert!(held.err.contains("is not unpaused yet"), "{held:?}");
        assert_eq!(airflow.paused(), [true, true]);
        assert_eq!(airflow.run_state(RUN), "failed");
        lease(&tiki, kind, &run, "-1");
        let done = tiki.json(&with(&close, &["--json"]));
        assert_eq!(done["closed"][0]["run"], run.as_str(), "{done}");
        assert_eq!(airflow.paused(), [true, false]);
        let listed = tiki.json(&["runs", "--json"]);
        assert_eq!(listed[0]["state"], "abandoned", "{listed}");
        // The run of the other DAG need not wait.
        tiki.ends(0, &["run"]);
    }
}

/// Nothing of it is changed, and no secret told.
fn refused(tiki: &Tiki, code: i32, said: &str) -> Done {
    let done = tiki.ends(code, &BACK);
    assert!(done.err.contains(said), "{said}: {done:?}");
    assert!(!format!("{done:?}").contains("hunter2"), "{done:?}");
    done
}

#[test]
fn a_missing_login_airflow_or_dag_is_told_and_nothing_is_changed() {
    refused(&Tiki::new(), 2, "TIKI_AIRFLOW_URL is not set");
    let closed = format!("http://u:hunter2@127.0.0.1:{}", testkit::free_port());
    let away = Airflow::start()
        .home(PASSWORD)
        .with("TIKI_AIRFLOW_URL", &closed);
    refused(&away, 30, "Airflow cannot be reached");
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    refused(&airflow.home("hunter2"), 2, "wrong name or password");
    refused(&airflow.home(""), 2, "TIKI_AIRFLOW_PASSWORD");
    let path = |dag: &str| format!("/api/v2/dags/{dag}");
    let bad = |field: &str| json!({ "is_paused": true, field: true });
    for (dag, status, body, code, said) in [
        (
            FALLBACK,
            404,
            json!({}),
            2,
            "there is no tiki_crawl_products in Airflow",
        ),
        (
            FALLBACK,
            200,
            bad("has_import_errors"),
            2,
            "cannot be imported",
        ),
        (FALLBACK, 200, bad("is_stale"), 2, "is gone from"),
        (
            FALLBACK,
            403,
            json!({}),
            2,
            "somebody who may see and change",
        ),
        (
            DAG,
            404,
            json!({}),
            2,
            "there is no tiki_crawl_products_optimized",
        ),
        (DAG, 503, json!({}), 30, "cannot be reached"),
    ] {
        let airflow = Airflow::start();
        airflow.set(&path(dag), status, body);
        refused(&airflow.home(PASSWORD), code, said);
        assert_eq!(airflow.changes(), [""; 0], "{said}");
    }
    // A DAG that is broken is what one goes back from.
    airflow.set(
        &path(DAG),
        200,
        json!({ "is_paused": false, "has_import_errors": true }),
    );
    tiki.ends(0, &BACK);
    let done = tiki.ends(2, &FORTH);
    assert!(done.err.contains("cannot be imported"), "{done:?}");
    assert_eq!(airflow.paused(), [true, false]);
}

fn spawn(mut command: Command) -> ChildGuard {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    ChildGuard::spawn(&mut command).expect("the program")
}

#[test]
fn killed_at_any_change_the_same_command_goes_on() {
    for (number, through) in [(1, false), (1, true), (2, false), (2, true)] {
        let airflow = Airflow::start();
        let tiki = airflow.home(PASSWORD);
        airflow.silent_at(Some((number, through)));
        let mut child = spawn(tiki.command(&BACK));
        wait_until("the change", LONGEST, || airflow.asked() == number);
        child.kill().expect("a kill");
        let paused = [number > 1 || through, !(number > 1 && through)];
        assert_eq!(airflow.paused(), paused, "change {number}");
        airflow.silent_at(None);
        tiki.ends(0, &BACK);
        assert_eq!(airflow.paused(), [true, false]);
        tiki.ends(0, &FORTH);
        assert_eq!(airflow.paused(), [false, true]);
    }
}

#[test]
fn an_interrupted_wait_changes_nothing() {
    let airflow = Airflow::start();
    let tiki = airflow.home(PASSWORD);
    airflow.run(DAG, RUN, None);
    let mut command = tiki.command(&BACK);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = ChildGuard::spawn(&mut command).expect("the program");
    let mut said = std::io::BufReader::new(child.child().stderr.take().expect("its words"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).expect("a line");
    assert!(line.contains("waiting for DAG run"), "{line}");
    child.signal("INT").expect("a signal");
    let status = child.child().wait().expect("an end");
    assert_eq!(status.code(), Some(130));
    assert_eq!(airflow.changes(), [""; 0]);
    let _: Value = tiki.json(&with(&BACK, &["--dry-run", "--json"]));
}
