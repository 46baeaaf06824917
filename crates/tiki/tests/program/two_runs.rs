//! Two runs at once: the second leaves with 30 and says of whom, or waits for its turn.

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStderr, Stdio};

use testkit::{ChildGuard, Postgres};

use crate::tiki::{Shop, Tiki};

const ORIGIN: [&str; 6] = [
    "--products",
    "120",
    "--day",
    "2026-11-01",
    "--latency-ms",
    "100",
];

/// Starts a run, of so many categories; returns at a line on its standard error.
fn at_work(
    tiki: &Tiki,
    arguments: &[&str],
    categories: &str,
    line: &str,
) -> (ChildGuard, BufReader<ChildStderr>) {
    let mut command = tiki.command(arguments);
    command
        .env("TIKI_MAX_CATEGORIES", categories)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = ChildGuard::spawn(&mut command).expect("the program");
    let mut notes = BufReader::new(child.child().stderr.take().expect("its notes"));
    let mut said = String::new();
    while !said.contains(line) {
        let before = said.len();
        notes.read_line(&mut said).expect("a line");
        assert!(said.len() > before, "it never said {line:?}: {said}");
    }
    (child, notes)
}

/// How a run ends, and what else it says.
fn end((mut child, mut notes): (ChildGuard, BufReader<ChildStderr>)) -> (Option<i32>, String) {
    let mut said = String::new();
    notes.read_to_string(&mut said).expect("text");
    (child.child().wait().expect("its end").code(), said)
}

fn second_leaves_or_waits(tiki: &Tiki) {
    tiki.ends(0, &["migrate"]);
    let first = at_work(tiki, &["run"], "2", "crawl-product-details begins");
    let runs = tiki.json(&["runs", "--json"]);
    let id = runs[0]["id"].as_str().expect("an id").to_owned();
    // Another scope is another run; the same scope would work on the same one.
    for categories in ["1", "2"] {
        let mut other = tiki.command(&["run"]);
        other.env("TIKI_MAX_CATEGORIES", categories);
        let left = other.output().expect("the program");
        let said = String::from_utf8_lossy(&left.stderr);
        assert_eq!(left.status.code(), Some(30), "{said}");
        assert!(said.contains(&id), "{said}");
        assert!(said.contains("wait for it"), "{said}");
        if categories == "1" {
            let close = format!("tiki runs close {id}");
            assert!(said.contains("--wait") && said.contains(&close), "{said}");
        }
        assert!(said.contains("help:"), "{said}");
    }
    let waits = "waiting for its end";
    let other = at_work(tiki, &["run", "--wait"], "1", waits);
    let same = at_work(tiki, &["run", "--wait"], "2", waits);
    let open = |tiki: &Tiki| {
        let runs = tiki.json(&["runs", "--json"]);
        let runs = runs.as_array().expect("a list").clone();
        let open: Vec<_> = runs.iter().filter(|run| run["state"] == "open").collect();
        (runs.len(), open.len())
    };
    assert_eq!(open(tiki), (1, 1), "who waits has begun nothing");
    for run in [first, other, same] {
        let (code, said) = end(run);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_eq!(open(tiki), (3, 0));
    let twice = "SELECT COUNT(*) AS n FROM (SELECT run_id, product_id FROM run_outcomes
        WHERE outcome IS NULL) AS left_over";
    assert_eq!(
        tiki.json(&["sql", "--json", twice])[0]["n"]
            .to_string()
            .trim_matches('"'),
        "0"
    );
}

#[test]
#[ignore = "slow: runs wait for each other"]
fn the_second_of_two_runs_leaves_or_waits_with_sqlite() {
    let shop = Shop::open(&Tiki::new(), &ORIGIN);
    second_leaves_or_waits(&shop.home());
}

#[test]
#[ignore = "slow: runs wait for each other"]
fn the_second_of_two_runs_leaves_or_waits_with_postgres() {
    let shop = Shop::open(&Tiki::new(), &ORIGIN);
    let database = Postgres::shared().fresh_database();
    second_leaves_or_waits(&shop.home().with("TIKI_DATABASE_URL", &database));
    Postgres::shared().drop_database(&database);
}
