//! A proxy of HTTP, as a company has one.
//!
//! Not here: a network that fails (`proxy`).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that the head of a request has at most.
const MOST_HEAD: u64 = 64 * 1024;

/// How long connecting to the server behind may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A proxy on 127.0.0.1. Whatever host a request names, it leads to one server: so names need not exist.
///
/// It opens tunnels (`CONNECT`) and passes other requests on, one a connection. It takes no more
/// connections when the value is dropped.
pub struct HttpProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    server: SocketAddr,
    /// What `Proxy-Authorization` must be; `None`: nobody is asked.
    wanted: Option<String>,
    asked: Mutex<Vec<(Instant, String)>>,
    over: AtomicBool,
}

impl HttpProxy {
    /// Before a server; `wanted` is what the header `Proxy-Authorization` must be, or 407 is answered.
    pub fn start(server: SocketAddr, wanted: Option<&str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server,
            wanted: wanted.map(str::to_owned),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let (serving, Ok(stream)) = (Arc::clone(&serving), stream) else {
                    continue;
                };
                // A connection that breaks is the client's or the server's business.
                thread::spawn(move || drop(serving.serve(stream)));
            }
        });
        Self { shared, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first line of every request so far, and when it came; also of those that were answered with 407.
    pub fn asked(&self) -> Vec<(Instant, String)> {
        let asked = self.shared.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // It waits for the next connection to see that.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let head = read_head(&mut reader)?;
        let Some((first, rest)) = head.split_first() else {
            return Ok(());
        };
        let asked = (Instant::now(), first.clone());
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(asked);
        let said = rest.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then_some(value)
        });
        if self.wanted.is_some() && said != self.wanted.as_deref() {
            let realm = "Proxy-Authenticate: Basic realm=\"proxy\"";
            let why = "407 Proxy Authentication Required";
            return write!(
                client,
                "HTTP/1.1 {why}\r\n{realm}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        let mut server = TcpStream::connect_timeout(&self.server, PATIENCE)?;
        if first.starts_with("CONNECT ") {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        } else {
            server.write_all(passed_on(first, rest).as_bytes())?;
        }
        let (mut up, mut back) = (server.try_clone()?, server);
        let upwards = thread::spawn(move || {
            drop(io::copy(&mut reader, &mut up));
            drop(up.shutdown(Shutdown::Write));
        });
        let copied = io::copy(&mut back, &mut client);
        drop(client.shutdown(Shutdown::Both));
        drop(upwards.join());
        copied.map(drop)
    }
}

/// The lines of a request before its body.
fn read_head(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut limited = reader.take(MOST_HEAD);
    loop {
        let mut line = String::new();
        limited.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

/// A request as a server gets it: the path in the place of the whole address, nothing for the proxy.
fn passed_on(first: &str, rest: &[String]) -> String {
    let mut words = first.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (method, address, version) = (word(), word(), word());
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    let path = host.find('/').map_or("/", |at| &host[at..]);
    let mut text = format!("{method} {path} {version}\r\n");
    let own = |line: &&String| !line.to_ascii_lowercase().starts_with("proxy-");
    for line in rest.iter().filter(own) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text + "\r\n"
}
