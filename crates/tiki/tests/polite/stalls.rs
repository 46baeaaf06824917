//! How long this machine, or the shop on it, stood still: a request that was sent in time is counted that
//! much later.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::tiki::Shop;

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(10);

/// Shorter stalls are no excuse.
const SHORT: Duration = Duration::from_millis(20);

/// Nor is more of longer ones: a rate that is doubled is always seen.
const MOST: Duration = Duration::from_millis(250);

/// Asks the shop's controls, which it does not count, again and again.
pub(crate) struct Stalls {
    over: Arc<AtomicBool>,
    watching: Option<JoinHandle<Duration>>,
}

impl Stalls {
    pub(crate) fn watch(shop: &Shop) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let host = shop.url.trim_start_matches("http://").to_owned();
        let until = Arc::clone(&over);
        let watching = thread::spawn(move || {
            let mut stream = TcpStream::connect(&host).expect("the storefront");
            let mut longest = Duration::ZERO;
            while !until.load(Ordering::Relaxed) {
                let begun = Instant::now();
                thread::sleep(PAUSE);
                ask(&mut stream, &host);
                longest = longest.max(begun.elapsed().saturating_sub(PAUSE));
            }
            longest
        });
        Self {
            over,
            watching: Some(watching),
        }
    }

    /// By how much requests may have been counted late.
    pub(crate) fn end(&mut self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        let watching = self.watching.take().expect("it ends once");
        let longest = watching.join().expect("an answer each time");
        if longest < SHORT {
            Duration::ZERO
        } else {
            longest.min(MOST)
        }
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn ask(stream: &mut TcpStream, host: &str) {
    let request = format!("GET /__storefront/origin HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    let mut byte = [0; 1024];
    // Its body is one JSON object.
    while !answer.ends_with(b"}") {
        let length = stream.read(&mut byte).expect("an answer");
        assert!(length > 0, "the storefront hung up");
        answer.extend_from_slice(&byte[..length]);
    }
}
