//! A site that costs next to nothing: it passes requests on to the simulated shop, remembers its details
//! as they were sent, and answers from memory with the same bytes after a latency.
//!
//! With it, what is measured is the client; making details takes the shop longer than asking for them.
//!
//! Not here: what a detail is (`storefront`), starting the shop (`crawl`).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

/// Only these are remembered, and only these take time.
const DETAILS: &str = "/api/v2/products/";

/// The longest head of a request.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Answers by path and query, from the status line to the last byte of the body.
type Memory = Arc<RwLock<HashMap<String, Arc<[u8]>>>>;

/// The shop behind, with what is remembered of it.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    /// Host and port.
    address: Arc<str>,
    memory: Memory,
}

impl Shop {
    /// The shop at an address such as `http://127.0.0.1:8080`.
    pub(super) fn new(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap_or(url);
        Self {
            address: address.into(),
            memory: Memory::default(),
        }
    }

    /// Serves on a free port of this machine as long as this process lives; the address.
    pub(super) fn serve(&self, latency: Duration) -> io::Result<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let shop = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shop = shop.clone();
                // A connection that breaks is the client's to notice.
                thread::spawn(move || drop(shop.converse(stream, latency)));
            }
        });
        Ok(url)
    }

    /// Answers on one connection, one request after the other.
    fn converse(&self, mut stream: TcpStream, latency: Duration) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut head = Vec::with_capacity(1024);
        while read_head(&mut stream, &mut head)? {
            let text = String::from_utf8_lossy(&head);
            let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
            if path.starts_with(DETAILS) {
                thread::sleep(latency);
                stream.write_all(&self.remembered(&path, &text)?)?;
            } else {
                stream.write_all(&self.passed_on(&text)?)?;
            }
            if text
                .to_ascii_lowercase()
                .contains("\r\nconnection: close\r\n")
            {
                return Ok(());
            }
            head.clear();
        }
        Ok(())
    }

    fn remembered(&self, path: &str, head: &str) -> io::Result<Arc<[u8]>> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = memory.get(path) {
            return Ok(Arc::clone(answer));
        }
        drop(memory);
        let answer: Arc<[u8]> = self.passed_on(head)?.into();
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.insert(path.to_owned(), Arc::clone(&answer));
        Ok(answer)
    }

    /// What the shop answers, as from a connection that stays open.
    fn passed_on(&self, head: &str) -> io::Result<Vec<u8>> {
        let mut shop = TcpStream::connect(&*self.address)?;
        shop.write_all(closing(head).as_bytes())?;
        let mut answer = Vec::new();
        shop.read_to_end(&mut answer)?;
        Ok(opened(&answer))
    }
}

/// Reads up to the empty line; false: the client has gone.
fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 2048];
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut piece)?;
        if read == 0 || head.len() > MAX_HEAD_BYTES {
            return Ok(false);
        }
        head.extend_from_slice(&piece[..read]);
    }
    Ok(true)
}

/// The request with the wish that the connection ends with the answer.
fn closing(head: &str) -> String {
    let end = "\r\n\r\n";
    let head = head.strip_suffix(end).unwrap_or(head);
    format!("{head}\r\nconnection: close{end}")
}

/// The answer without the word that its connection ends.
fn opened(answer: &[u8]) -> Vec<u8> {
    let word: &[u8] = b"connection: close\r\n";
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head = &answer[..end.map_or(0, |end| end + 4)];
    let at = head
        .windows(word.len())
        .position(|line| line.eq_ignore_ascii_case(word));
    at.map_or_else(
        || answer.to_vec(),
        |at| [&answer[..at], &answer[at + word.len()..]].concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shop that numbers its answers, one to a connection.
    fn counting_shop() -> Shop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.expect("a connection");
                let mut head = Vec::new();
                assert!(read_head(&mut stream, &mut head).expect("a head"));
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 1\r\n\r\n";
                write!(stream, "{head}{number}").expect("an answer");
            }
        });
        Shop::new(&url)
    }

    #[test]
    fn details_are_remembered_and_nothing_else() {
        let url = counting_shop().serve(Duration::ZERO).expect("a port");
        let mut stream = TcpStream::connect(&url["http://".len()..]).expect("the site");
        for (path, number) in [
            ("/robots.txt", '0'),
            ("/api/v2/products/1", '1'),
            ("/robots.txt", '2'),
            ("/api/v2/products/1", '1'),
            ("/api/v2/products/2", '3'),
        ] {
            write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
            let expected = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
            let mut answer = vec![0; expected.len()];
            stream.read_exact(&mut answer).expect("an answer");
            assert_eq!(String::from_utf8_lossy(&answer), expected, "{path}");
        }
        write!(stream, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        let whole = stream.read_to_string(&mut answer);
        whole.expect("the connection ends after this answer");
        assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
    }
}
