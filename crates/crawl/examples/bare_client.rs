//! What the HTTP library costs by itself: asks details with as many requests in flight as told, unpacks
//! the bodies, counts their bytes and drops them. `cargo xtask bench crawl` holds the crawl against it.
//!
//! `bare_client <origin> <requests in flight>`, with a line `<product id> <spid>` on standard input for
//! each detail (`-` for no spid). Prints `<details> <bytes received> <bytes unpacked> <seconds>`.
//!
//! Not here: permits, robots.txt, limits, any judgement, any second try.
#![allow(clippy::print_stdout, reason = "what it counted is its answer")]

use std::error::Error;
use std::io::{BufRead, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crawl::{Ask, Origin};
use flate2::bufread::GzDecoder;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use rustls::{ClientConfig, RootCertStore};

type Failure = Box<dyn Error + Send + Sync>;

/// Details, bytes as received, bytes unpacked.
type Count = (usize, usize, usize);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(origin), Some(in_flight)) = (arguments.next(), arguments.next()) else {
        return Err("bare_client <origin> <requests in flight>".into());
    };
    let origin = Origin::parse(&origin)?;
    let asks = asks(stdin().lock())?;
    let urls: Arc<Vec<String>> = Arc::new(asks.iter().map(|ask| ask.url(&origin)).collect());
    let in_flight: usize = in_flight.parse()?;
    let client = client(in_flight)?;
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let workers: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(work(client.clone(), Arc::clone(&urls), Arc::clone(&next))))
        .collect();
    let mut sum: Count = (0, 0, 0);
    for worker in workers {
        let count = worker.await??;
        sum = (sum.0 + count.0, sum.1 + count.1, sum.2 + count.2);
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} {} {} {seconds:.6}", sum.0, sum.1, sum.2);
    Ok(())
}

fn asks(lines: impl BufRead) -> Result<Vec<Ask>, Failure> {
    let ask = |line: std::io::Result<String>| {
        let line = line?;
        let (product, spid) = line.trim().split_once(' ').ok_or("a line is two words")?;
        let spid = match spid {
            "-" => None,
            spid => Some(spid.parse()?),
        };
        let product = product.parse()?;
        Ok(Ask::Detail { product, spid })
    };
    lines.lines().map(ask).collect()
}

/// The HTTP library as the crawl sets it up.
fn client(in_flight: usize) -> Result<reqwest::Client, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("vi-VN,vi"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder()
        .user_agent("bare-client/1")
        .default_headers(headers)
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(in_flight)
        .http1_only();
    Ok(builder.build()?)
}

async fn work(
    client: reqwest::Client,
    urls: Arc<Vec<String>>,
    next: Arc<AtomicUsize>,
) -> Result<Count, Failure> {
    let mut count = (0, 0, 0);
    while let Some(url) = urls.get(next.fetch_add(1, Ordering::Relaxed)) {
        let request = client.get(url).header(ACCEPT_ENCODING, "gzip");
        let response = request.send().await?.error_for_status()?;
        let received = response.bytes().await?;
        let mut unpacked = Vec::with_capacity(received.len() * 4);
        GzDecoder::new(received.as_ref()).read_to_end(&mut unpacked)?;
        count.0 += 1;
        count.1 += received.len();
        count.2 += unpacked.len();
    }
    Ok(count)
}
