//! A TCP proxy that can be cut.
//!
//! Not here: what is sent through it; it understands no byte of it but COMMITs (`commits`), where it was
//! asked to.

use crate::commits::{Fate, Messages};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long connecting to the server behind may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a listening proxy looks for connections and for what it was told.
const PAUSE: Duration = Duration::from_millis(2);

/// Bytes that are passed on at once.
const PIECE: usize = 16 * 1024;

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    Cut,
    Stall,
    /// The proxy is gone.
    Over,
}

/// A second address of a server, on 127.0.0.1, between which and the server the network can fail.
///
/// It forwards until it is told otherwise, and every change holds when the call returns. Its port
/// stays the same. It ends, and its connections with it, when the value is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    server: SocketAddr,
    /// Whether it reads what clients of PostgreSQL send.
    reads: bool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    /// Whether the port is open.
    listens: bool,
    /// Both ends of every connection, by its number.
    open: HashMap<u64, [TcpStream; 2]>,
    count: u64,
    /// COMMITs that were met.
    commits: u64,
    /// Which COMMIT is to be struck, and how.
    plan: Option<(u64, Fate)>,
    /// One is held.
    held: bool,
}

/// What becomes of the next bytes of a server.
#[derive(Clone, Copy, Default)]
enum Answer {
    #[default]
    Pass,
    Cut,
    Wait(Duration),
    Swallow,
}

impl Proxy {
    /// A proxy before the server of a URL, or before `host:port`. Panics if that names no address, or
    /// if there is no port to listen on.
    pub fn start(server: &str) -> Self {
        Self::begin(server, false)
    }

    /// A proxy before a PostgreSQL server that is talked to in clear text: it knows a COMMIT of what
    /// was written when it sees one.
    pub fn before_postgres(server: &str) -> Self {
        Self::begin(server, true)
    }

    fn begin(server: &str, reads: bool) -> Self {
        let found = authority(server).to_socket_addrs();
        let server = found
            .ok()
            .and_then(|mut found| found.next())
            .unwrap_or_else(|| panic!("a proxy needs the host and port of its server"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port for a proxy");
        let address = listener.local_addr().expect("the address of a proxy");
        let state = State {
            mode: Mode::Forward,
            listens: true,
            open: HashMap::new(),
            count: 0,
            commits: 0,
            plan: None,
            held: false,
        };
        let shared = Arc::new(Shared {
            server,
            reads,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&accepting, Some(listener), address));
        Self { shared, address }
    }

    /// A URL of the server that leads through the proxy: only its host and port are others.
    pub fn url(&self, url: &str) -> String {
        url.replacen(authority(url), &self.address.to_string(), 1)
    }

    /// Passes bytes on from now on: of new connections, and of those that were stalled what they sent
    /// meanwhile.
    pub fn forward(&self) {
        self.turn(Mode::Forward);
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&self) {
        self.turn(Mode::Cut);
    }

    /// Keeps connections and accepts new ones, but passes nothing on: a network that swallows.
    pub fn stall(&self) {
        self.turn(Mode::Stall);
    }

    /// Strikes one COMMIT: the `nth` from now on, where 0 is the next.
    pub fn strike(&self, nth: u64, fate: Fate) {
        let mut state = self.shared.lock();
        state.plan = Some((state.commits + nth, fate));
    }

    /// COMMITs of what was written that were met so far.
    pub fn commits(&self) -> u64 {
        self.shared.lock().commits
    }

    /// Whether the COMMIT that was to be struck was met.
    pub fn has_struck(&self) -> bool {
        self.shared.lock().plan.is_none()
    }

    /// Whether a COMMIT is held now.
    pub fn holds(&self) -> bool {
        self.shared.lock().held
    }

    /// Lets the COMMIT go that is held, if one is.
    pub fn release(&self) {
        self.shared.lock().held = false;
        self.shared.changed.notify_all();
    }

    fn turn(&self, mode: Mode) {
        let mut state = self.shared.lock();
        state.mode = mode;
        if mode == Mode::Cut {
            state.close();
        }
        self.shared.changed.notify_all();
        let listens = mode != Mode::Cut;
        let late = |state: &mut State| state.listens != listens;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, late)
            .unwrap_or_else(PoisonError::into_inner);
        let in_vain = waited.1.timed_out();
        drop(waited);
        assert!(!in_vain, "the port of a proxy is lost: {self:?}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.mode = Mode::Over;
        state.held = false;
        state.close();
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proxy")
            .field("at", &self.address)
            .field("before", &self.shared.server)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once bytes may be passed on; `false` if never again.
    fn may_pass(&self) -> bool {
        let stalls = |state: &mut State| state.mode == Mode::Stall;
        let state = self
            .changed
            .wait_while(self.lock(), stalls)
            .unwrap_or_else(PoisonError::into_inner);
        state.mode == Mode::Forward
    }
}

impl Shared {
    /// Counts a COMMIT; what is to become of it.
    fn fate(&self) -> Option<Fate> {
        let mut state = self.lock();
        let number = state.commits;
        state.commits += 1;
        let fate = state.plan.take_if(|(nth, _)| *nth == number)?.1;
        state.held = fate == Fate::Held;
        Some(fate)
    }

    fn wait_released(&self) {
        let held = |state: &mut State| state.held && state.mode != Mode::Over;
        drop(self.changed.wait_while(self.lock(), held));
    }
}

impl State {
    fn close(&mut self) {
        for stream in self.open.drain().flat_map(|(_, ends)| ends) {
            close(&stream);
        }
    }
}

/// Opens and closes the port as the mode says, and serves whoever connects.
fn accept(shared: &Arc<Shared>, mut listener: Option<TcpListener>, address: SocketAddr) {
    loop {
        let mode = shared.lock().mode;
        match mode {
            Mode::Over => return,
            Mode::Cut => listener = None,
            // Another process may hold the port for a moment; whoever waits says so if it lasts.
            Mode::Forward | Mode::Stall if listener.is_none() => {
                listener = TcpListener::bind(address).ok();
            }
            Mode::Forward | Mode::Stall => {}
        }
        let mut state = shared.lock();
        if state.listens != listener.is_some() {
            state.listens = listener.is_some();
            shared.changed.notify_all();
        }
        drop(state);
        let met = listener.as_ref().and_then(|listener| {
            listener.set_nonblocking(true).ok()?;
            listener.accept().ok()
        });
        match met {
            Some((client, _)) => {
                let shared = Arc::clone(shared);
                thread::spawn(move || drop(serve(&shared, &client)));
            }
            None => thread::sleep(PAUSE),
        }
    }
}

/// One connection, to its end.
fn serve(shared: &Shared, client: &TcpStream) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_nodelay(true)?;
    let server = TcpStream::connect_timeout(&shared.server, PATIENCE)?;
    server.set_nodelay(true)?;
    let ends = [client.try_clone()?, server.try_clone()?];
    let mut state = shared.lock();
    if matches!(state.mode, Mode::Cut | Mode::Over) {
        return Ok(());
    }
    state.count += 1;
    let number = state.count;
    state.open.insert(number, ends);
    drop(state);
    let answer = Mutex::new(Answer::Pass);
    thread::scope(|scope| {
        scope.spawn(|| {
            let carry = if shared.reads { send } else { pass };
            carry(shared, client, &server, &answer);
        });
        pass(shared, &server, client, &answer);
    });
    shared.lock().open.remove(&number);
    Ok(())
}

/// Passes on what comes from one end until it ends or the connection is cut.
fn pass(shared: &Shared, mut from: &TcpStream, mut to: &TcpStream, answer: &Mutex<Answer>) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let fate = std::mem::take(&mut *answer.lock().unwrap_or_else(PoisonError::into_inner));
        match fate {
            Answer::Pass => {}
            Answer::Wait(time) => thread::sleep(time),
            Answer::Cut => {
                close(to);
                close(from);
                return;
            }
            Answer::Swallow => {
                while let Ok(1..) = from.read(&mut piece) {}
                return;
            }
        }
        if !shared.may_pass() || to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    // An end is news like any other: it must not pass a stalled network.
    shared.may_pass();
    drop(to.shutdown(Shutdown::Write));
}

/// Passes on what a client of PostgreSQL sends, message by message.
fn send(shared: &Shared, mut client: &TcpStream, mut server: &TcpStream, answer: &Mutex<Answer>) {
    let (mut piece, mut messages) = (vec![0; PIECE], Messages::default());
    'connection: while let Ok(length @ 1..) = client.read(&mut piece) {
        for part in messages.take(&piece[..length]) {
            let fate = part.commits.then(|| shared.fate()).flatten();
            let then = |then| *answer.lock().unwrap_or_else(PoisonError::into_inner) = then;
            match fate {
                None => {}
                Some(Fate::Held) => shared.wait_released(),
                Some(Fate::AnswerLost) => then(Answer::Cut),
                Some(Fate::AnswerLate(time)) => then(Answer::Wait(time)),
                Some(Fate::AnswerNever) => then(Answer::Swallow),
                Some(Fate::Lost) => {
                    close(client);
                    close(server);
                    break 'connection;
                }
                Some(Fate::Late(time)) => {
                    close(client);
                    thread::sleep(time);
                }
            }
            if !shared.may_pass() || server.write_all(&part.bytes).is_err() {
                break 'connection;
            }
        }
    }
    shared.may_pass();
    drop(server.shutdown(Shutdown::Write));
}

fn close(end: &TcpStream) {
    // Fails only where the other side has closed it.
    drop(end.shutdown(Shutdown::Both));
}

/// Host and port of a URL, or the text itself.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::Proxy;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);
    const SILENCE: Duration = Duration::from_millis(200);

    /// A server that says everything again; its address.
    fn echo() -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut other = stream.try_clone().unwrap();
                    drop(std::io::copy(&mut stream, &mut other));
                });
            }
        });
        address
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn hears(stream: &mut TcpStream, text: &[u8]) {
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, text);
    }

    #[test]
    fn bytes_pass_both_ways_and_so_does_the_end() {
        let proxy = Proxy::start(&echo());
        let mut stream = connect(&proxy);
        let long = vec![b'x'; 300_000];
        let mut writer = stream.try_clone().unwrap();
        let sent = long.clone();
        let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
        hears(&mut stream, &long);
        writing.join().unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_cut_ends_connections_and_refuses_new_ones_until_it_is_mended() {
        let proxy = Proxy::start(&echo());
        for _ in 0..20 {
            let mut stream = connect(&proxy);
            stream.write_all(b"before").unwrap();
            hears(&mut stream, b"before");
            proxy.cut();
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
            let refused = TcpStream::connect(proxy.address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            proxy.forward();
            let mut stream = connect(&proxy);
            stream.write_all(b"after").unwrap();
            hears(&mut stream, b"after");
        }
    }

    #[test]
    fn what_is_stalled_arrives_when_it_flows_again() {
        let proxy = Proxy::start(&echo());
        let mut old = connect(&proxy);
        old.write_all(b"1").unwrap();
        hears(&mut old, b"1");
        proxy.stall();
        let mut new = connect(&proxy);
        for stream in [&mut old, &mut new] {
            stream.write_all(b"2").unwrap();
            stream.set_read_timeout(Some(SILENCE)).unwrap();
            let silent = stream.read(&mut [0]).unwrap_err();
            assert!(matches!(
                silent.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut
            ));
            stream.set_read_timeout(Some(LIMIT)).unwrap();
        }
        proxy.forward();
        hears(&mut old, b"2");
        hears(&mut new, b"2");
        proxy.stall();
        proxy.cut();
        assert!(matches!(old.read(&mut [0]), Ok(0) | Err(_)));
    }

    #[test]
    fn a_dropped_proxy_leaves_nothing_open() {
        let proxy = Proxy::start(&echo());
        let address = proxy.address;
        let mut stream = connect(&proxy);
        drop(proxy);
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        crate::wait_until("a port to be closed", LIMIT, || {
            TcpStream::connect(address).is_err()
        });
    }

    #[test]
    fn only_the_host_and_the_port_of_a_url_change() {
        let server = echo();
        let proxy = Proxy::start(&format!("postgres://tiki:secret@{server}/name?x=1"));
        let through = proxy.address.to_string();
        for url in ["redis://HOST/1", "postgres://tiki:s@HOST/n?x=1", "HOST"] {
            let url = |host: &str| url.replace("HOST", host);
            assert_eq!(proxy.url(&url(&server)), url(&through));
        }
    }
}
