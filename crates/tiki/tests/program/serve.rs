//! `tiki serve`, as a browser, a probe and a service manager see it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{ChildGuard, Postgres, wait_until};

use crate::bench::LIMIT;
use crate::tiki::{Shop, Tiki};

/// Without a clock.
fn only_shows(tiki: Tiki) -> Tiki {
    tiki.with("TIKI_SCHEDULE", "off")
        .with("TIKI_BACKUP_SCHEDULE", "off")
}

/// A running `tiki serve`.
pub(crate) struct Serve {
    child: ChildGuard,
    host: String,
}

impl Serve {
    pub(crate) fn start(tiki: &Tiki) -> Self {
        Self::at(tiki, "127.0.0.1:0")
    }

    fn at(tiki: &Tiki, address: &str) -> Self {
        let mut command = tiki.command(&["serve", "--listen", address]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ChildGuard::spawn(&mut command).expect("tiki");
        let out = child.child().stdout.take().expect("its output");
        let mut url = String::new();
        BufReader::new(out)
            .read_line(&mut url)
            .expect("its address");
        let host = url.trim().strip_prefix("http://").expect("an address");
        Self {
            host: host.to_owned(),
            child,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status and the body of an answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.get_as(&self.host, path)
    }

    /// The same, by another name of the host.
    fn get_as(&self, host: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.host).expect("the server");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let head = format!("Host: {host}\r\nConnection: close");
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(!answer.contains("hunter2"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Tells it to end; its exit code and how long that took.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        self.child.signal(signal).expect("a signal");
        let status = self.child.child().wait().expect("its end");
        TcpStream::connect(&self.host).expect_err("nobody listens any more");
        (status.code(), begun.elapsed())
    }
}

#[test]
fn the_dashboard_begins_before_the_warehouse_and_shows_its_runs() {
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let tiki = only_shows(shop.home());
    let serve = Serve::start(&tiki);
    assert_eq!(serve.get("/healthz"), (200, "ok\n".into()));
    let (status, report) = serve.get("/readyz");
    assert_eq!(status, 200, "{report}");
    assert!(report.contains("is not there yet"), "{report}");
    let (_, page) = serve.get("/");
    assert!(page.contains("There are no runs yet."), "{page}");
    assert_eq!(serve.json("/api/v1/runs"), serde_json::json!([]));
    assert!(!tiki.path("data").exists(), "whoever looks makes nothing");
    tiki.ends(0, &["run"]);
    let listed = tiki.json(&["runs", "list", "--json"]);
    wait_until("the run", LIMIT, || serve.json("/api/v1/runs") == listed);
    let id = listed[0]["id"].as_str().expect("an id");
    let whole = tiki.json(&["runs", "show", id, "--json"]);
    assert_eq!(serve.json(&format!("/api/v1/runs/{id}")), whole);
    assert_eq!(serve.json("/api/v1/runs?limit=1"), listed);
    assert_eq!(serve.get("/api/v1/runs/other").0, 404);
    let page = || serve.get("/").1;
    let new = listed[0]["totals"]["products"]["new"].to_string();
    // Its id alone may stand in the line about the last good run, which is younger than the list.
    wait_until("the run on the page", LIMIT, || {
        let page = page();
        page.contains(id) && page.contains(&format!("{new} new"))
    });
    wait_until("a run that ended well", LIMIT, || {
        serve
            .json("/api/v1/health")
            .to_string()
            .contains("ended well")
    });
    // Another file in its place is found, and so is none.
    std::fs::remove_dir_all(tiki.path("data")).expect("a folder");
    wait_until("no runs", LIMIT, || {
        page().contains("There are no runs yet.")
    });
    tiki.ends(0, &["migrate"]);
    wait_until("a warehouse", LIMIT, || {
        let (status, report) = serve.get("/readyz");
        status == 200 && report.contains("no run has ended with 0 yet")
    });
    assert_eq!(serve.end("TERM").0, Some(0));
}

#[test]
fn a_warehouse_that_goes_away_is_told_and_found_again() {
    let mut server = Postgres::start();
    let database = server.fresh_database();
    let tiki = only_shows(Tiki::new().with("TIKI_DATABASE_URL", &database));
    tiki.ends(0, &["migrate"]);
    let serve = Serve::start(&tiki);
    assert_eq!(serve.get("/readyz").0, 200);
    server.stop();
    wait_until("its end to be seen", LIMIT, || {
        serve.get("/readyz").0 == 503
    });
    assert_eq!(serve.get("/healthz").0, 200);
    let (status, page) = serve.get("/");
    assert_eq!(status, 200);
    assert!(page.contains("The runs cannot be shown"), "{page}");
    let (status, error) = serve.get("/api/v1/runs");
    assert_eq!(status, 503);
    assert!(error.contains("TIKI_DATABASE_URL"), "{error}");
    server.restart();
    wait_until("it to be found again", LIMIT, || {
        serve.get("/readyz").0 == 200
    });
    assert!(serve.get("/").1.contains("There are no runs yet."));
    assert_eq!(serve.end("INT").0, Some(0));
}

#[test]
fn it_ends_in_time_whoever_is_connected() {
    let mute = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = mute.local_addr().expect("its address");
    let tiki = Tiki::new().with(
        "TIKI_DATABASE_URL",
        &format!("postgres://u:hunter2@{address}/d"),
    );
    let tiki = only_shows(tiki);
    let serve = Serve::start(&tiki);
    let host = serve.host.clone();
    let _silent = TcpStream::connect(&host).expect("a connection");
    // One that waits for an answer of a warehouse that gives none.
    let mut asking = TcpStream::connect(&host).expect("a connection");
    write!(asking, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("a request");
    mute.accept().expect("the question to the warehouse");
    let (code, took) = serve.end("TERM");
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn an_address_that_cannot_be_listened_on_is_told() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let tiki = only_shows(Tiki::new());
    for (address, code, said) in [
        (address.as_str(), 1, "another program listens there"),
        ("192.0.2.1:8090", 1, "this machine has no such address"),
        ("8090", 2, "127.0.0.1:8090"),
        ("localhost:8090", 2, "127.0.0.1:8090"),
    ] {
        let done = tiki.ends(code, &["serve", "--listen", address]);
        assert!(done.err.contains(said), "{address}: {}", done.err);
    }
}

#[test]
fn beyond_loopback_it_answers_for_the_hosts_that_are_named() {
    let tiki = Tiki::new();
    let serve = Serve::at(&tiki, "0.0.0.0:0");
    assert_eq!(serve.get_as("other.example", "/healthz").0, 200);
    assert_eq!(serve.end("TERM").0, Some(0));
    let tiki = tiki.with("TIKI_HOSTS", "prices.example, shop.example");
    let serve = Serve::at(&tiki, "0.0.0.0:0");
    assert_eq!(serve.get_as("other.example", "/healthz").0, 421);
    for host in ["localhost", "shop.example:8090", "Prices.example"] {
        assert_eq!(serve.get_as(host, "/healthz").0, 200, "{host}");
    }
}
