//! Ctrl-C and SIGTERM: the batch in hand is kept, and the same command goes on.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use testkit::ChildGuard;

use crate::tiki::{Shop, Tiki};

/// Starts a command, waits for a line on its standard error and sends a signal; the rest of the
/// lines and the exit code.
fn interrupted(tiki: &Tiki, arguments: &[&str], line: &str, signal: &str) -> (String, Option<i32>) {
    let mut command = tiki.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = ChildGuard::spawn(&mut command).expect("the program");
    let err = child.child().stderr.take().expect("its notes");
    let mut rest = String::new();
    let mut sent = false;
    for said in BufReader::new(err).lines() {
        let said = said.expect("a line");
        if !sent && said.contains(line) {
            child.signal(signal).expect("a signal");
            sent = true;
        }
        rest.push_str(&said);
        rest.push('\n');
    }
    (rest, child.child().wait().expect("its end").code())
}

#[test]
fn a_run_stops_at_ctrl_c_and_goes_on_later() {
    for (signal, go_on) in [("INT", &["run"] as &[&str]), ("TERM", &["runs", "resume"])] {
        let tiki = Tiki::new()
            .with("TIKI_RATE_LIMIT", "0")
            .with("TIKI_PARALLEL_WORKERS", "1");
        let shop = Shop::open(&tiki, &["--products", "300", "--latency-ms", "20"]);
        let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
        let (err, code) = interrupted(&tiki, &["run"], "crawl-product-details begins", signal);
        assert_eq!(code, Some(130), "{err}");
        assert!(err.contains("stopping after the batch in hand"), "{err}");
        assert!(err.contains("the work so far is kept"), "{err}");
        let runs = tiki.json(&["runs", "--json"]);
        assert_eq!(runs[0]["state"], "open");
        let id = runs[0]["id"].as_str().expect("an id");
        assert!(id.starts_with("cli-"), "{id}");
        let shown = tiki.out(&["runs"]);
        assert!(shown.contains("unfinished"), "{shown}");
        let done = tiki.ends(0, go_on);
        assert!(
            done.err.contains(&format!("going on with run {id}")),
            "{}",
            done.err
        );
        let runs = tiki.json(&["runs", "--json"]);
        assert_eq!(runs.as_array().expect("a list").len(), 1, "{signal}");
        assert_eq!(runs[0]["state"], "done");
        tiki.ends(99, &["runs", "resume"]);
    }
}

#[test]
fn an_unfinished_run_can_be_closed_or_left_behind() {
    let tiki = Tiki::new()
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_PARALLEL_WORKERS", "1");
    let shop = Shop::open(&tiki, &["--products", "300", "--latency-ms", "20"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let state = |index: usize| {
        let runs = tiki.json(&["runs", "--json"]);
        let run = &runs[index];
        let text = |key: &str| run[key].as_str().expect("text").to_owned();
        (text("id"), text("state"))
    };
    interrupted(&tiki, &["run"], "crawl-product-details begins", "INT");
    let (id, _) = state(0);
    let done = tiki.ends(0, &["runs", "close", &id]);
    assert!(done.out.contains("unfetched"), "{}", done.out);
    assert_eq!(state(0).1, "abandoned");
    interrupted(&tiki, &["run"], "crawl-product-details begins", "INT");
    tiki.ends(0, &["run", "--new"]);
    assert_eq!(
        (state(0).1.as_str(), state(1).1.as_str()),
        ("done", "abandoned")
    );
}

#[test]
fn a_demo_goes_on_with_the_day_at_which_it_was_stopped() {
    let tiki = Tiki::new();
    let arguments = [
        "run",
        "--demo",
        "--demo-products",
        "200",
        "--demo-days",
        "3",
    ];
    let (err, code) = interrupted(&tiki, &arguments, "days to run", "INT");
    assert_eq!(code, Some(130), "{err}");
    tiki.ends(0, &arguments);
    let undisturbed = Tiki::new();
    undisturbed.ends(0, &arguments);
    let digest = ["digest", "--demo"];
    assert_eq!(tiki.out(&digest), undisturbed.out(&digest));
}
