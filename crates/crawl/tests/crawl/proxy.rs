//! Through a proxy: the tunnel, the permits, and what an error says.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crawl::{
    Client, FetchErrorKind as Kind, Gate, Origin, PERMIT_VALID, Proxy, Rate, RedisPermits, Retry,
    Settings,
};
use futures_util::future::join_all;
use testkit::{HttpProxy, Redis};

use crate::site::{Site, client, fetch, good, json};

const SPACING: Duration = Duration::from_millis(200);
/// `me:s3cret%` in Base64.
const LOGIN: &str = "Basic bWU6czNjcmV0JQ==";

/// A client of a site that has a name which no machine knows.
fn through(proxy: &str) -> Client {
    let mut settings = Settings::new(Origin::parse("https://site.example").unwrap());
    settings.proxy = Some(Proxy::parse(proxy).unwrap());
    let permits = RedisPermits::new(&Redis::shared().fresh_url(), &settings.origin).unwrap();
    Client::new(
        settings,
        Gate::new(Rate::Every(SPACING), Some(Arc::new(permits))),
    )
    .unwrap()
}

/// Why there is no connection, with all its causes.
fn said(kind: &Kind) -> String {
    assert_eq!(kind.retry(), Retry::Backoff, "{kind:?}");
    let mut causes: Vec<String> = vec![kind.to_string()];
    let mut error: &dyn std::error::Error = kind;
    while let Some(cause) = error.source() {
        causes.push(cause.to_string());
        error = cause;
    }
    causes.join(": ")
}

fn nobody() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, testkit::free_port()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tunnel_to_the_site_has_a_permit() {
    let proxy = HttpProxy::start(nobody(), Some(LOGIN));
    let client = through(&format!("http://me:s3cret%25@{}", proxy.address()));
    for answer in join_all((0..4).map(|_| fetch(&client))).await {
        // Whoever is behind the proxy does not answer.
        let said = said(&answer.unwrap_err());
        let name = format!("the proxy http://{} does not lead", proxy.address());
        assert!(said.contains(&name) && !said.contains("s3cret"), "{said}");
    }
    let asked = proxy.asked();
    let lines: Vec<&str> = asked.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["CONNECT site.example:443 HTTP/1.1"; 4]);
    let took = asked[3].0.duration_since(asked[0].0);
    assert!(took + PERMIT_VALID >= SPACING * 3, "{took:?}");
}

/// Whoever connects gets these bytes, and no more.
fn answers(with: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1024];
            // A client that has gone is the test's business.
            let _: usize = stream.read(&mut asked).unwrap_or(0);
            drop(stream.write_all(with));
        }
    });
    address
}

#[tokio::test]
async fn a_proxy_that_leads_nowhere_is_told_as_such() {
    let strict = HttpProxy::start(nobody(), Some(LOGIN));
    let forbidden = answers(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    for (address, cause) in [
        (nobody(), "cannot be reached: connection refused"),
        (strict.address(), "(status 407)"),
        (forbidden, "a status that refuses"),
        (answers(b"220 mail.example ESMTP\r\n"), "or not in http"),
        (answers(b""), "unexpected end of file"),
    ] {
        let client = through(&format!("http://me:wr0ng-s3cret@{address}"));
        let kind = fetch(&client).await.unwrap_err();
        assert!(matches!(kind, Kind::Proxy { .. }), "{kind:?}");
        let said = said(&kind);
        for part in [
            format!("the proxy http://{address} does not lead"),
            cause.into(),
        ] {
            assert!(said.to_lowercase().contains(&part), "{part}: {said}");
        }
        assert!(!said.contains("s3cret"), "{said}");
        assert!(!format!("{client:?}").contains("s3cret"));
    }
    assert_eq!(strict.asked().len(), 1);
}

#[tokio::test]
async fn a_proxy_may_have_a_name_of_this_machine() {
    let proxy = HttpProxy::start(nobody(), None);
    let port = proxy.address().port();
    let client = through(&format!("http://localhost:{port}"));
    said(&fetch(&client).await.unwrap_err());
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn this_machine_is_asked_without_a_proxy() {
    let site = Site::start(|_| json("{}")).await;
    let proxy = HttpProxy::start(nobody(), None);
    let mut settings = site.settings();
    settings.proxy = Some(Proxy::parse(&format!("http://{}", proxy.address())).unwrap());
    good(fetch(&client(settings)).await);
    assert_eq!((proxy.asked().len(), site.seen().len()), (0, 1));
}
