//! Runs against a site on this machine that is no part of the demo.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::tiki::{Shop, Tiki};

#[test]
fn a_run_with_a_clock_that_stands_still_changes_nothing_the_second_time() {
    let tiki = Tiki::new()
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_CLOCK", "2026-10-31T19:00:00.000Z");
    let shop = Shop::open(&tiki, &["--products", "80", "--day", "2026-11-01"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let first = tiki.json(&["run", "--json"]);
    assert_eq!(first["clock_at"], "2026-10-31T19:00:00.000Z");
    let before = tiki.out(&["digest"]);
    let second = tiki.json(&["run", "--json"]);
    assert_ne!(first["run_id"], second["run_id"]);
    assert_eq!(tiki.out(&["digest"]), before);
    assert_eq!(shop.control("GET", "counts", "")["disallowed"], 0);
    // The warehouse keeps this shop whatever its port, and no other.
    let moved = Shop::open(&tiki, &["--products", "80", "--day", "2026-11-01"]);
    let other = Shop::open(&tiki, &["--products", "90", "--day", "2026-11-01"]);
    let tiki = tiki.with("TIKI_ORIGIN", &moved.url);
    tiki.ends(0, &["run"]);
    let tiki = tiki.with("TIKI_ORIGIN", &other.url);
    let done = tiki.ends(2, &["run"]);
    assert!(
        done.err.contains("this warehouse keeps storefront:7:80"),
        "{}",
        done.err
    );
}

#[test]
fn a_clock_that_is_days_away_from_the_sites_is_refused() {
    let tiki = Tiki::new().with("TIKI_RATE_LIMIT", "0");
    let shop = Shop::open(&tiki, &["--products", "20", "--day", "2026-11-01"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let done = tiki.ends(2, &["run"]);
    assert!(
        done.err.contains("clock of this machine") && done.err.contains("site"),
        "{}",
        done.err
    );
}

#[test]
fn the_site_learns_who_asks() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let served = std::thread::spawn(move || {
        let mut heads = Vec::new();
        // The question which site this is, then robots.txt.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a head") == 1 {
                head.push(byte[0]);
            }
            let refusal =
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(refusal.as_bytes()).expect("an answer");
            heads.push(String::from_utf8_lossy(&head).into_owned());
        }
        heads
    });
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", &origin)
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_REQUEST_TIMEOUT", "2s")
        .with("TIKI_MAX_ATTEMPTS", "1")
        .with("TIKI_USER_AGENT_CONTACT", "mailto:crawler@example.com");
    let mut child =
        testkit::ChildGuard::spawn(tiki.command(&["run"]).stderr(std::process::Stdio::null()))
            .expect("the program");
    let heads = served.join().expect("the site");
    child.kill().expect("its end");
    assert!(heads[0].contains("/__storefront/origin"), "{heads:?}");
    assert!(heads[1].contains("GET /robots.txt"), "{heads:?}");
    assert!(
        heads[1].contains("(+mailto:crawler@example.com)"),
        "{heads:?}"
    );
}
