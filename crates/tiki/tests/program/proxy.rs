//! The proxies of our own settings: who goes through them, who does not, and what is said when they fail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConnection, StreamOwned};
use testkit::HttpProxy;

use crate::alerts::Receiver;
use crate::certificate;
use crate::secrets::{assert_in_no_file, assert_nowhere, encoded, planted};
use crate::tiki::{Done, Shop, Tiki};

/// What a proxy must be told by whoever has this password.
fn login(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("tiki:{password}")))
}

/// A proxy's address with this password.
fn with_password(password: &str, address: SocketAddr) -> String {
    format!("http://tiki:{}@{address}", encoded(password))
}

fn nobody() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, testkit::free_port()))
}

fn lines(proxy: &HttpProxy) -> Vec<String> {
    proxy.asked().into_iter().map(|(_, line)| line).collect()
}

/// A home of a site that no machine knows, whose proxy this is.
fn home(proxy: &str) -> Tiki {
    Tiki::new()
        .with("TIKI_ORIGIN", "https://site.example")
        .with("TIKI_PROXY", proxy)
        .with("TIKI_MAX_ATTEMPTS", "1")
        .with("TIKI_RATE_LIMIT", "0.2")
        .with("TIKI_LOG", "trace")
        .with("TIKI_LOG_FILES", "trace")
}

/// The password is in nothing that was said or written.
fn assert_hidden(password: &str, tiki: &Tiki, done: &Done) {
    assert_nowhere(&[password], done.out.as_bytes(), "stdout");
    assert_nowhere(&[password], done.err.as_bytes(), "stderr");
    assert_in_no_file(&[password], &tiki.path("data"));
}

#[test]
fn the_site_is_asked_through_the_proxy_of_the_settings() {
    let password = planted("proxy");
    let proxy = HttpProxy::start(nobody(), Some(&login(&password)));
    let other = HttpProxy::start(nobody(), None);
    let mut tiki = home(&with_password(&password, proxy.address()));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"] {
        tiki = tiki.with(name, &format!("http://{}", other.address()));
    }
    // The whole world, and it is not minded.
    let tiki = tiki.with("NO_PROXY", "*");
    let done = tiki.ends(20, &["run"]);
    assert_hidden(&password, &tiki, &done);
    assert!(
        done.err.contains(&format!(
            "the proxy http://{} (TIKI_PROXY)",
            proxy.address()
        )),
        "{}",
        done.err
    );
    let asked = lines(&proxy);
    assert!(!asked.is_empty());
    for line in asked {
        assert_eq!(line, "CONNECT site.example:443 HTTP/1.1");
    }
    assert_eq!(lines(&other), [""; 0]);
    let shown = tiki.out(&["config", "show"]);
    assert!(
        shown.contains(&format!("http://***@{}", proxy.address())),
        "{shown}"
    );
}

/// Whoever connects gets these bytes, and no more.
fn answers(with: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            // A client that has gone is the test's business.
            drop(stream.read(&mut [0; 1024]));
            drop(stream.write_all(with));
        }
    });
    address
}

#[test]
fn a_proxy_that_leads_nowhere_ends_with_20_and_is_no_trouble_of_the_site() {
    let password = planted("proxy");
    let strict = HttpProxy::start(nobody(), Some("Basic of somebody else"));
    let forbidden = answers(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    for (address, cause) in [
        (nobody(), "cannot be reached: Connection refused"),
        (strict.address(), "(status 407)"),
        (forbidden, "a status that refuses, or not in HTTP"),
        (
            answers(b"220 mail.example ESMTP\r\n"),
            "a status that refuses, or not in HTTP",
        ),
    ] {
        let tiki = home(&with_password(&password, address));
        let done = tiki.ends(20, &["run"]);
        assert_hidden(&password, &tiki, &done);
        let name = format!("the proxy http://{address} (TIKI_PROXY) does not lead to the site");
        for part in [&name, cause, "Is the proxy of TIKI_PROXY up"] {
            assert!(done.err.contains(part), "{part}: {}", done.err);
        }
        for part in ["the site refuses", "in a browser", "TIKI_RATE_LIMIT"] {
            assert!(!done.err.contains(part), "{part}: {}", done.err);
        }
        let errors = tiki.json(&["errors", "--json"]);
        let class = errors[0]["class"].as_str().expect("a class");
        let known = class.starts_with("exit 20 in crawl-categories: the proxy ");
        assert!(known && class.contains(cause), "{class}");
        let text = tiki.out(&["errors"]);
        let (table, example) = text.split_once("For example").expect("an example");
        let end = &cause[cause.len() - 11..];
        assert!(
            table.contains("exit 20 in crawl-categories: the proxy"),
            "{text}"
        );
        assert!(table.contains(end) && example.contains(cause), "{text}");
    }
    assert!(!strict.asked().is_empty());
}

#[test]
fn this_machine_is_asked_and_told_without_a_proxy() {
    let proxy = HttpProxy::start(nobody(), None);
    let address = format!("http://{}", proxy.address());
    let receiver = Receiver::open();
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let tiki = shop
        .home()
        .with("TIKI_PROXY", &address)
        .with("TIKI_ALERT_PROXY", &address)
        .with("TIKI_ALERT_WEBHOOK_URL", &receiver.url);
    tiki.ends(0, &["run"]);
    tiki.ends(0, &["alerts", "test"]);
    tiki.ends(
        0,
        &["run", "--demo", "--demo-products", "20", "--demo-days", "1"],
    );
    assert_eq!((lines(&proxy).len(), receiver.got().len()), (0, 1));
}

#[test]
fn what_is_no_proxy_is_refused() {
    for name in ["TIKI_PROXY", "TIKI_ALERT_PROXY"] {
        for (text, said) in [
            (
                "socks5://tiki:s3cret-s3cret@127.0.0.1:1080",
                "http or https",
            ),
            ("tiki:s3cret-s3cret@127.0.0.1:1080", "http or https"),
            ("http://127.0.0.1:1/s3cret-s3cret", "no path"),
            ("http://127.0.0.1:1/?s3cret-s3cret", "no path"),
            ("http://s3cret-s3cret@127.0.0.1:1", "a user and a password"),
            ("http://tiki:s3cret%zz@127.0.0.1:1", "hexadecimal digits"),
            ("http://", "such as http://proxy.example.com:3128; a user"),
        ] {
            let done = Tiki::new().with(name, text).ends(2, &["runs"]);
            assert!(done.err.contains(name), "{done:?}");
            assert!(done.err.contains(said), "{done:?}");
            assert!(!done.err.contains("s3cret"), "{done:?}");
        }
    }
}

/// A receiver of `hooks.example` over TLS: where it listens, its certificate, and the first lines that came.
fn secure_receiver() -> (SocketAddr, String, Arc<Mutex<Vec<String>>>) {
    let (config, pem) = certificate::of("hooks.example");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let got = Arc::new(Mutex::new(Vec::new()));
    let book = Arc::clone(&got);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = ServerConnection::new(config.clone()).expect("TLS");
            let stream = StreamOwned::new(tls, stream.expect("a connection"));
            // A client that has gone is the test's business.
            drop(answer(stream, &book));
        }
    });
    (address, pem, got)
}

fn answer(stream: impl Read + Write, got: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    got.lock().expect("a book").push(first.trim().to_owned());
    let stream = reader.get_mut();
    stream.write_all(b"HTTP/1.1 200 So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    stream.flush()
}

#[test]
fn receivers_of_alerts_are_told_through_their_own_proxy() {
    let password = planted("alert-proxy");
    let plain = Receiver::open();
    let behind = plain.url.trim_start_matches("http://").parse();
    let proxy = HttpProxy::start(behind.expect("an address"), Some(&login(&password)));
    let tiki = Tiki::new()
        .with("TIKI_LOG", "trace")
        .with(
            "TIKI_ALERT_PROXY",
            &with_password(&password, proxy.address()),
        )
        .with(
            "TIKI_ALERT_WEBHOOK_URL",
            "http://hooks.example/planted-path",
        );
    tiki.ends(0, &["alerts", "test"]);
    assert_eq!(plain.got().len(), 1);
    assert_eq!(plain.got()[0].header("proxy-authorization"), "");
    assert_eq!(
        lines(&proxy),
        ["POST http://hooks.example/planted-path HTTP/1.1"]
    );
    // Over TLS it sees the host's name alone, and whose certificate counts is the receiver's.
    let (behind, pem, got) = secure_receiver();
    let proxy = HttpProxy::start(behind, Some(&login(&password)));
    let secure = Tiki::new()
        .with("TIKI_LOG", "trace")
        .with(
            "TIKI_ALERT_PROXY",
            &with_password(&password, proxy.address()),
        )
        .with("TIKI_ALERT_SLACK_URL", "https://hooks.example/planted-path")
        .with("TIKI_ALERT_CA", "ca.pem");
    secure.write("ca.pem", &pem);
    secure.ends(0, &["alerts", "test"]);
    assert_eq!(lines(&proxy), ["CONNECT hooks.example:443 HTTP/1.1"]);
    let first = got.lock().expect("a book").clone();
    assert_eq!(first, ["POST /planted-path HTTP/1.1"]);
}

#[test]
fn a_proxy_of_alerts_that_fails_is_named() {
    let password = planted("alert-proxy");
    let strict = HttpProxy::start(nobody(), Some("Basic of somebody else"));
    for (address, hook, cause) in [
        (
            nobody(),
            "https://hooks.example/planted-path",
            "cannot be reached",
        ),
        (
            strict.address(),
            "https://hooks.example/planted-path",
            "authorization",
        ),
        (strict.address(), "http://hooks.example/planted-path", "407"),
    ] {
        let tiki = Tiki::new()
            .with("TIKI_LOG", "trace")
            .with("TIKI_ALERT_PROXY", &with_password(&password, address))
            .with("TIKI_ALERT_WEBHOOK_URL", hook);
        let done = tiki.run(&["alerts", "test"]);
        assert_ne!(done.code, 0, "{done:?}");
        let said = format!("{}{}", done.out, done.err);
        assert_nowhere(
            &[&password, "planted-path"],
            said.as_bytes(),
            "what was said",
        );
        for part in [format!("by the proxy http://{address}"), cause.into()] {
            assert!(said.contains(&part), "{part}: {said}");
        }
    }
}
