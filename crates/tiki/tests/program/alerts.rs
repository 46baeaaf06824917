//! Alerts through the program: told over real HTTP, at least once, with nothing secret anywhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use testkit::{ChildGuard, wait_until};

use crate::preflight::{assert_states, line, report};
use crate::secrets::{assert_in_no_file, assert_nowhere};
use crate::tiki::{Shop, Tiki};

const KEY: &str = "planted-key-5f2c";
const PLANTED: &str = "planted-path-9a41";

/// A request that a receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    path: String,
    head: Vec<(String, String)>,
    body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.head.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// What a receiver answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// Nothing, ever.
    Silence,
}

/// Something that webhooks are posted to.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
    answer: Arc<Mutex<Answer>>,
}

impl Receiver {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let receiver = Self {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            got: Arc::default(),
            answer: Arc::new(Mutex::new(Answer::Status(200))),
        };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serving, stream) = (serving.clone(), stream.expect("a connection"));
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        receiver
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("the same connection"));
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            line.trim_end().to_owned()
        };
        let first = line();
        let mut head = Vec::new();
        loop {
            let text = line();
            let Some((name, value)) = text.split_once(": ") else {
                break;
            };
            head.push((name.to_lowercase(), value.to_owned()));
        }
        let mut got = Got {
            path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
            head,
            body: String::new(),
        };
        let length = got.header("content-length").parse().expect("a length");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        got.body = String::from_utf8(body).expect("text");
        let answer = *self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        self.got
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(got);
        match answer {
            Answer::Status(code) => {
                // The other side may have been killed meanwhile.
                drop(write!(
                    stream,
                    "HTTP/1.1 {code} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ));
            }
            Answer::Silence => loop {
                std::thread::park();
            },
        }
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.clone()
    }
}

pub(crate) fn shop() -> Shop {
    Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"])
}

/// A home that asks for prices alone and tells the receiver.
pub(crate) fn home(shop: &Shop, receiver: &Receiver) -> Tiki {
    shop.home()
        .with("TIKI_DETAILS", "never")
        .with(
            "TIKI_ALERT_WEBHOOK_URL",
            &format!("{}/{PLANTED}", receiver.url),
        )
        .with("TIKI_ALERT_WEBHOOK_SECRET", KEY)
}

pub(crate) fn refuse(shop: &Shop) {
    let rule = json!({ "route": "any", "when": "always", "what": { "status": { "code": 403 } } });
    let faults = json!({ "rules": [rule] }).to_string();
    shop.control("POST", "faults", &faults);
}

/// As if every pause and lease were over.
fn later(tiki: &Tiki) {
    let connection = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the file");
    let sql = "UPDATE alert_deliveries SET next_at = '2020-01-01T00:00:00.000Z'";
    connection.execute(sql, []).expect("a statement");
}

#[test]
fn a_run_that_is_refused_is_told_to_every_channel_and_one_that_is_well_to_none() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver)
        .with("TIKI_ALERT_SLACK_URL", &format!("{}/slack", receiver.url))
        .with(
            "TIKI_ALERT_DISCORD_URL",
            &format!("{}/discord", receiver.url),
        );
    tiki.ends(0, &["run"]);
    assert_eq!(receiver.got().len(), 0);
    assert_eq!(tiki.json(&["alerts", "--json"]), json!([]));
    refuse(&shop);
    tiki.ends(20, &["run", "--new"]);
    let got = receiver.got();
    let mut paths: Vec<_> = got.iter().map(|one| one.path.clone()).collect();
    paths.sort();
    assert_eq!(paths, ["/discord", &format!("/{PLANTED}"), "/slack"]);
    let listed = tiki.json(&["alerts", "--json"]);
    let id = listed[0]["id"].as_str().expect("an id");
    for one in &got {
        assert_eq!(one.header("idempotency-key"), id, "{}", one.path);
    }
    let signed = got.iter().find(|one| one.path.contains(PLANTED));
    let signed = signed.expect("the webhook");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.update(format!("{}.{}", signed.header("x-tiki-timestamp"), signed.body).as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex = bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(signed.header("x-tiki-signature"), format!("sha256={hex}"));
    let body = signed.json();
    assert_eq!(body["kind"], "exit-20");
    assert_eq!(body["severity"], "warning");
    let run = body["run_id"].as_str().expect("a run");
    assert_eq!(body["command"], format!("tiki runs show {run}"));
    assert!(
        body["text"].as_str().expect("a text").contains("403"),
        "{body}"
    );
    // The same trouble again: counted, and told once.
    tiki.ends(20, &["run"]);
    assert_eq!(receiver.got().len(), 3);
    let listed = tiki.json(&["alerts", "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert!(listed[0]["seen"].as_i64() >= Some(2), "{listed}");
    let text = tiki.out(&["alerts"]);
    assert!(text.contains("webhook sent"), "{text}");
    let cut = |limit| tiki.ends(0, &["alerts", "list", "--limit", limit]).err;
    assert_eq!(
        cut("1"),
        "the first 1; `tiki alerts list --limit` shows more\n"
    );
    assert_eq!(cut("2"), "", "there is one");
}

#[test]
fn a_run_that_goes_on_after_a_refusal_makes_one_alert() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver)
        .with("TIKI_DETAILS", "always")
        .with("TIKI_SOURCE", "api");
    let rule =
        json!({ "route": "detail", "when": "always", "what": { "status": { "code": 403 } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    tiki.ends(20, &["run"]);
    let listed = tiki.json(&["alerts", "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let got = receiver.got();
    assert_eq!(got.len(), 1, "{got:?}");
    // Which step it was, and what the site said.
    for said in ["crawl-product-details", "403", "got no answer"] {
        assert!(got[0].body.contains(said), "{said}: {}", got[0].body);
    }
}

#[test]
fn a_held_run_is_told_with_what_to_type_and_a_step_tells_too() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver);
    tiki.ends(0, &["run"]);
    let rule = json!({ "route": "listing", "when": "always",
        "what": { "rename_field": { "field": "thumbnail_url", "to": "picture" } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    for step in [
        "crawl-categories",
        "extract-product-urls",
        "crawl-product-details",
        "transform-products",
    ] {
        tiki.ends(0, &["step", step, "--run", "airflow-1"]);
    }
    let done = tiki.ends(11, &["step", "load-products", "--run", "airflow-1"]);
    let last = done.out.lines().last().expect("a line");
    let report: Value = serde_json::from_str(last).expect("the report is the last line");
    assert_eq!(report["exit_code"], 11);
    let got = receiver.got();
    assert_eq!(got.len(), 1, "{got:?}");
    let body = got[0].json();
    assert_eq!(body["severity"], "critical");
    assert_eq!(body["command"], "tiki drift show airflow-1");
    assert!(got[0].body.contains("thumbnail_url"), "{body}");
}

#[test]
fn what_is_not_taken_is_tried_again_and_shown_and_no_secret_is_anywhere() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver).with("TIKI_LOG", "trace");
    receiver.answers(Answer::Status(500));
    refuse(&shop);
    let done = tiki.ends(20, &["run"]);
    assert!(done.err.contains("tiki alerts"), "{}", done.err);
    let mut seen = done.out + &done.err;
    let listed = tiki.out(&["alerts"]);
    assert!(listed.contains("it answered 500"), "{listed}");
    assert!(listed.contains("try 1 of 9"), "{listed}");
    // Not before its time.
    let before = receiver.got().len();
    tiki.ends(20, &["run"]);
    assert_eq!(receiver.got().len(), before);
    receiver.answers(Answer::Status(404));
    later(&tiki);
    let done = tiki.ends(20, &["run"]);
    seen += &(done.out + &done.err);
    assert_eq!(receiver.got().len(), before + 1);
    let id = tiki.json(&["alerts", "--json"])[0]["id"].clone();
    let id = id.as_str().expect("an id");
    let done = tiki.ends(1, &["alerts", "retry", id]);
    seen += &(done.out + &done.err);
    seen += &nobody_listens(&shop, &receiver);
    receiver.answers(Answer::Status(204));
    let sent = tiki.json(&["alerts", "retry", id, "--json"]);
    assert_eq!(sent["deliveries"][0]["state"], "sent");
    for one in receiver.got() {
        assert_eq!(one.header("idempotency-key"), id);
    }
    for arguments in [
        &["alerts", "--json"] as &[&str],
        &["alerts", "test"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["runs", "show"],
        &["health", "--json"],
    ] {
        let done = tiki.run(arguments);
        seen += &(done.out + &done.err);
    }
    let wrong = Tiki::new().with("TIKI_ALERT_SLACK_URL", &format!("http://h/{PLANTED}"));
    let done = wrong.ends(2, &["alerts", "test"]);
    seen += &(done.out + &done.err);
    is_nowhere(&tiki, &seen);
}

/// What a test of a channel says at whose address nobody listens.
fn nobody_listens(shop: &Shop, receiver: &Receiver) -> String {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    let done = home(shop, receiver)
        .with(
            "TIKI_ALERT_WEBHOOK_URL",
            &format!("http://{address}/{PLANTED}"),
        )
        .ends(1, &["alerts", "test"]);
    assert!(done.out.contains("cannot be reached"), "{done:?}");
    done.out + &done.err
}

/// The planted secrets are in nothing that was said and in no file.
fn is_nowhere(tiki: &Tiki, seen: &str) {
    let secrets = [PLANTED, KEY];
    assert_nowhere(&secrets, seen.as_bytes(), "what was said");
    let files = assert_in_no_file(&secrets, &tiki.path("data"));
    assert!(files > 1, "the warehouse and logs");
}

#[test]
fn a_silent_receiver_delays_a_run_by_seconds_and_changes_nothing() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver);
    receiver.answers(Answer::Silence);
    refuse(&shop);
    let begun = Instant::now();
    tiki.ends(20, &["run"]);
    let with = begun.elapsed();
    assert!(with < Duration::from_secs(20), "{with:?}");
    let listed = tiki.out(&["alerts"]);
    assert!(listed.contains("did not answer in time"), "{listed}");
}

#[test]
fn a_sender_killed_before_it_noted_the_answer_sends_again_with_the_same_id() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver);
    receiver.answers(Answer::Silence);
    refuse(&shop);
    let mut command = tiki.command(&["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = ChildGuard::spawn(&mut command).expect("the program");
    wait_until("the alert to arrive", Duration::from_mins(1), || {
        !receiver.got().is_empty()
    });
    // SIGKILL: the message has been received, and nobody noted it.
    drop(child);
    let waits = tiki.json(&["alerts", "--json"])[0]["deliveries"][0].clone();
    assert_eq!(
        (&waits["state"], &waits["tries"]),
        (&json!("waiting"), &json!(1))
    );
    receiver.answers(Answer::Status(200));
    later(&tiki);
    tiki.ends(20, &["run"]);
    let got = receiver.got();
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(
        got[0].header("idempotency-key"),
        got[1].header("idempotency-key")
    );
    assert_eq!(got[0].json()["id"], got[1].json()["id"]);
}

#[test]
fn a_report_of_a_good_run_is_sent_where_it_is_wanted() {
    let (shop, receiver) = (shop(), Receiver::open());
    let tiki = home(&shop, &receiver).with("TIKI_ALERT_REPORT", "always");
    let report = tiki.json(&["run", "--json"]);
    let last = report["steps"].as_array().and_then(|steps| steps.last());
    assert_eq!(
        last.expect("a step")["notification"]["sent_to"],
        json!(["webhook"])
    );
    let body = receiver.got()[0].json();
    assert_eq!(
        (&body["kind"], &body["severity"]),
        (&json!("report"), &json!("info"))
    );
    assert_eq!(body["run_id"], report["run_id"]);
    // Each run has one of its own.
    tiki.ends(0, &["run"]);
    assert_eq!(receiver.got().len(), 2);
}

#[test]
fn a_test_says_how_each_channel_fared() {
    let receiver = Receiver::open();
    let tiki = Tiki::new();
    let done = tiki.ends(99, &["alerts", "test"]);
    assert!(done.err.contains("TIKI_ALERT_SLACK_URL"), "{}", done.err);
    tiki.write("hook", &format!("{}/slack\n", receiver.url));
    let tiki = tiki.with("TIKI_ALERT_SLACK_URL_FILE", "hook");
    tiki.ends(0, &["alerts", "test"]);
    assert_eq!(receiver.got()[0].path, "/slack");
    receiver.answers(Answer::Status(302));
    let done = tiki.ends(1, &["alerts", "test", "--json"]);
    assert!(
        done.out.contains("302"),
        "a redirect is not followed: {}",
        done.out
    );
    assert_eq!(receiver.got().len(), 2);
    tiki.ends(2, &["alerts", "retry", "nobody"]);
    assert!(!tiki.path("data").exists(), "nothing was made");
}

#[test]
fn a_channel_of_alerts_is_set_or_missed() {
    let tiki = Tiki::new();
    let none = report(&tiki, 0, &[23]);
    assert_states(&none, &[("alert-channels", "warning")]);
    let receiver = Receiver::open();
    let tiki = tiki.with(
        "TIKI_ALERT_SLACK_URL",
        &format!("{}/{PLANTED}", receiver.url),
    );
    let set = report(&tiki, 0, &[23]);
    assert_states(&set, &[("alert-channels", "ok")]);
    assert_eq!(receiver.got().len(), 1, "a test message");
    receiver.answers(Answer::Status(404));
    let refused = report(&tiki, 3, &[23]);
    assert_states(&refused, &[("alert-channels", "failed")]);
    let seen = line(&refused, "alert-channels")["seen"]
        .as_str()
        .expect("words")
        .to_owned();
    assert!(seen.contains("slack: it answered 404"), "{seen}");
    assert!(!seen.contains(PLANTED), "{seen}");
    // Another section tells nobody anything.
    report(&tiki, 0, &[19]);
    assert_eq!(receiver.got().len(), 2);
}
