//! The server as clients meet it: over real connections, well-behaved and not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashboard::{DRAIN, Health, MAX_CONNECTIONS, Sources, Trouble};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Longer than anything here takes on a slow machine.
const LIMIT: Duration = Duration::from_mins(1);

/// A server, its address, how to stop it, and how often health was asked.
struct Server {
    address: SocketAddr,
    stop: Arc<Notify>,
    serving: JoinHandle<std::io::Result<()>>,
    asked: Arc<AtomicUsize>,
    /// Let go of all health checks that wait.
    release: Arc<Notify>,
}

/// What a health check does.
#[derive(Clone, Copy, PartialEq)]
enum Check {
    Answers,
    Waits,
}

async fn serve(check: Check) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let (stop, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, wait, heard) = (asked.clone(), release.clone(), stop.clone());
    let sources = Sources {
        health: Box::new(move |()| {
            let (count, wait) = (count.clone(), wait.clone());
            Box::pin(async move {
                count.fetch_add(1, Ordering::SeqCst);
                if check == Check::Waits {
                    wait.notified().await;
                }
                Health {
                    is_ready: true,
                    json: json!({ "healthy": true }),
                    lines: Vec::new(),
                }
            })
        }),
        runs: Box::new(|_| {
            let trouble = Trouble {
                what: "cannot reach the warehouse".into(),
                help: Some("is it up?".into()),
            };
            Box::pin(async { Err(trouble) })
        }),
        run: Box::new(|id| Box::pin(async move { Ok((id == "a+b").then(|| json!({ "id": id }))) })),
        metrics: Box::new(|()| Box::pin(async { "tiki_up 0\n".to_owned() })),
        planned: Box::new(Vec::new),
        address: "sqlite:/d/tiki.db".into(),
        zone: jiff::tz::TimeZone::UTC,
        version: "0",
    };
    let serving = tokio::spawn(dashboard::serve(listener, &[], sources, async move {
        heard.notified().await;
    }));
    Server {
        address,
        stop,
        serving,
        asked,
        release,
    }
}

impl Server {
    /// Sends bytes on a connection of their own and reads to its end.
    async fn send(&self, text: &str) -> String {
        let (address, text) = (self.address, text.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(LIMIT)).expect("a limit");
            stream.write_all(text.as_bytes()).expect("a request");
            let mut answer = Vec::new();
            // A server that sends a client away may close before it has read all.
            drop(stream.read_to_end(&mut answer));
            String::from_utf8_lossy(&answer).into_owned()
        });
        done.await.expect("no panic")
    }

    async fn get(&self, path: &str) -> String {
        let head = "Host: localhost\r\nConnection: close";
        self.send(&format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n"))
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_ask_is_sent_away() {
    let server = serve(Check::Answers).await;
    let large = format!("X: {}\r\n", "x".repeat(20_000));
    let many = "X: y\r\n".repeat(65);
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8090\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n", "421"),
        ("GET /healthz HTTP/1.1\r\n", "421"),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
            "421",
        ),
        ("POST / HTTP/1.1\r\nHost: localhost\r\n", "405"),
        (
            "DELETE /api/v1/runs/x HTTP/1.1\r\nHost: localhost\r\n",
            "405",
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n",
            "413",
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n",
            "413",
        ),
        ("GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n", "404"),
        (
            "GET /api/v1/runs?limit=x HTTP/1.1\r\nHost: localhost\r\n",
            "400",
        ),
        ("GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\n", "503"),
        (
            "GET /api/v1/runs/a+b HTTP/1.1\r\nHost: localhost\r\n",
            "200",
        ),
        (
            "GET /api/v1/runs/%00 HTTP/1.1\r\nHost: localhost\r\n",
            "404",
        ),
        (
            "GET /api/v1/runs/other HTTP/1.1\r\nHost: localhost\r\n",
            "404",
        ),
        (
            &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{large}"),
            "431",
        ),
        (
            &format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}"),
            "431",
        ),
        ("nonsense\r\n", "400"),
    ] {
        let answer = server
            .send(&format!("{head}Connection: close\r\n\r\n"))
            .await;
        let got = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(got, status, "{head:.80}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_what_it_does_not_need() {
    let server = serve(Check::Answers).await;
    for path in ["/", "/style.css", "/healthz", "/api/v1/runs", "/none"] {
        let answer = server.get(path).await.to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{header} in {answer}");
        }
        // Nothing is loaded from elsewhere, and nothing runs.
        for part in ["<script", "http://", "https://", "style="] {
            assert!(!answer.contains(part), "{part} in {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_no_body_and_the_page_says_what_is_away() {
    let server = serve(Check::Answers).await;
    let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = server.send(head).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "");
    let page = server.get("/").await;
    assert!(page.contains("cannot reach the warehouse"), "{page}");
    assert!(page.contains("is it up?"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_told_in_prometheus_text_format() {
    let server = serve(Check::Answers).await;
    let answer = server.get("/metrics").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(head.to_ascii_lowercase().contains(kind), "{head}");
    assert_eq!(body, "tiki_up 0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_that_come_together_share_one_check() {
    let server = Arc::new(serve(Check::Answers).await);
    let begun = Instant::now();
    let probes: Vec<_> = (0..40)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.get("/readyz").await })
        })
        .collect();
    for probe in probes {
        let answer = probe.await.expect("no panic");
        assert!(answer.contains("200 OK"), "{answer}");
    }
    // An answer is good for a second.
    let most = 1 + begun.elapsed().as_secs();
    let checks = server.asked.load(Ordering::SeqCst) as u64;
    assert!(checks <= most, "{checks} checks for 40 probes in {most} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_do_not_keep_others_out() {
    let server = serve(Check::Answers).await;
    let address = server.address;
    let silent: Vec<TcpStream> = (0..MAX_CONNECTIONS + 8)
        .map(|_| TcpStream::connect(address).expect("a connection"))
        .collect();
    for (n, mut stream) in silent.iter().enumerate() {
        if n % 2 == 0 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: loc")
                .expect("a part of a head");
        }
    }
    let answer = server.get("/healthz").await;
    assert!(answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_answers_but_not_for_ever() {
    for ends in [true, false] {
        let server = serve(Check::Waits).await;
        let address = server.address;
        let _silent = TcpStream::connect(address).expect("a connection");
        let asking = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).expect("a connection");
            let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(request).expect("a request");
            let mut answer = String::new();
            drop(stream.read_to_string(&mut answer));
            answer
        });
        let begun = Instant::now();
        while server.asked.load(Ordering::SeqCst) == 0 {
            assert!(begun.elapsed() < LIMIT);
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        server.stop.notify_one();
        if ends {
            server.release.notify_one();
        }
        server.serving.await.expect("no panic").expect("a good end");
        let took = begun.elapsed();
        assert!(took < DRAIN + Duration::from_secs(3), "{took:?}");
        TcpStream::connect(address).expect_err("nobody listens");
        let answer = asking.await.expect("no panic");
        assert_eq!(answer.contains("\"healthy\":true"), ends, "{answer}");
    }
}
