//! The wire between a program and PostgreSQL, which fails at the N-th call.
//!
//! It knows so much of the protocol: the first message of a connection has no type, all others have one
//! and their length; a `Sync` or a `Query` is what a client then waits for. Those and the connections
//! themselves are the calls.
//!
//! Not here: a network that fails at any moment (`testkit::Proxy`).

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What happens at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not arrive.
    Lost,
    /// It arrives, and its answer does not: nobody knows whether a COMMIT went through.
    Unanswered,
}

/// What a client finds afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// No server any more.
    Away,
    /// The server, and no further fault.
    Back,
}

/// Far longer than a server takes to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What asks whether the server speaks TLS or GSS, before the first message.
const QUESTIONS: [u32; 2] = [80_877_103, 80_877_104];

/// A second address of a server; gone when it is dropped.
pub(crate) struct Wire {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    server: SocketAddr,
    call: u64,
    fault: Fault,
    after: After,
    calls: AtomicU64,
    struck: AtomicBool,
    over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Wire {
    /// A wire before the server of a URL.
    pub(crate) fn start(url: &str, call: u64, fault: Fault, after: After) -> Self {
        let server = authority(url).to_socket_addrs().expect("an address").next();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            server: server.expect("an address"),
            call,
            fault,
            after,
            calls: AtomicU64::new(0),
            struck: AtomicBool::new(false),
            over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A connection that cannot be served is closed, as by a server that is away.
                thread::spawn(move || client.and_then(|client| serve(&shared, &client)));
            }
        });
        Self { shared, address }
    }

    /// The URL of the same database, over this wire.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(authority(url), &self.address.to_string(), 1)
    }

    /// Whether the call came.
    pub(crate) fn has_struck(&self) -> bool {
        self.shared.struck.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.cut();
        // The listener looks up once more.
        drop(TcpStream::connect(self.address));
    }
}

/// How far a message may go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    On,
    Nowhere,
    WithoutAnswer,
}

impl Shared {
    /// Counts a call.
    fn way(&self) -> Way {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 != self.call {
            return Way::On;
        }
        self.struck.store(true, Ordering::SeqCst);
        match self.fault {
            Fault::Lost => Way::Nowhere,
            Fault::Unanswered => Way::WithoutAnswer,
        }
    }

    /// Ends all connections.
    fn cut(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            // Fails only where the other side has closed it.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn is_away(&self) -> bool {
        let struck = self.struck.load(Ordering::SeqCst) && self.after == After::Away;
        struck || self.over.load(Ordering::SeqCst)
    }
}

fn serve(shared: &Shared, client: &TcpStream) -> io::Result<()> {
    if shared.is_away() {
        return Ok(());
    }
    client.set_nodelay(true)?;
    let server = TcpStream::connect_timeout(&shared.server, PATIENCE)?;
    server.set_nodelay(true)?;
    let ends = [client.try_clone()?, server.try_clone()?];
    let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.extend(ends);
    drop(open);
    let mute = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Whichever way it ends, both ends are to know.
            drop(ask(shared, client, &server, &mute));
            drop(server.shutdown(Shutdown::Both));
        });
        drop(answer(shared, &server, client, &mute));
        drop(client.shutdown(Shutdown::Both));
    });
    Ok(())
}

/// Passes messages to the server until the call that fails.
fn ask(
    shared: &Shared,
    mut client: &TcpStream,
    mut server: &TcpStream,
    mute: &AtomicBool,
) -> io::Result<()> {
    let mut begun = false;
    loop {
        let head = if begun { 5 } else { 8 };
        let mut message = vec![0; head];
        client.read_exact(&mut message)?;
        let number = |at: usize| -> u32 {
            let bytes = &message[at..at + 4];
            bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
        };
        let length = number(head - 4 - if begun { 0 } else { 4 }) as usize + usize::from(begun);
        let is_question = !begun && QUESTIONS.contains(&number(4));
        message.resize(length.max(head), 0);
        client.read_exact(&mut message[head..])?;
        let is_call = if begun {
            matches!(message[0], b'S' | b'Q')
        } else {
            !is_question
        };
        begun |= !is_question;
        let way = if is_call { shared.way() } else { Way::On };
        match way {
            Way::On => {}
            Way::Nowhere => {
                shared.cut();
                return Ok(());
            }
            Way::WithoutAnswer => mute.store(true, Ordering::SeqCst),
        }
        server.write_all(&message)?;
    }
}

/// Passes answers to the client; the one that nobody may hear ends all connections.
fn answer(
    shared: &Shared,
    mut server: &TcpStream,
    mut client: &TcpStream,
    mute: &AtomicBool,
) -> io::Result<()> {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let length = server.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        if mute.load(Ordering::SeqCst) {
            shared.cut();
            return Ok(());
        }
        client.write_all(&piece[..length])?;
    }
}

/// Host and port of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}
