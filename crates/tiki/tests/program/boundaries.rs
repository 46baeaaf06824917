//! What the program does not reach beyond, whatever names, environments and folders say: other hosts, other
//! certificates, other folders. docs/SECURITY.md names each.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConnection;

use crate::backup::{homes, shop};
use crate::certificate;
use crate::tiki::{Shop, Tiki};

/// A port that counts who connects, and hangs up.
struct Counting {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl Counting {
    fn open(ip: IpAddr) -> Option<Self> {
        let listener = TcpListener::bind((ip, 0)).ok()?;
        let address = listener.local_addr().expect("an address");
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Some(Self { address, count })
    }

    fn here() -> Self {
        Self::open([127, 0, 0, 1].into()).expect("a port")
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// A name other than `localhost` of an address of this machine, as `/etc/hosts` of nearly all has one, and a port
/// there.
fn named_port() -> (String, Counting) {
    let hosts = std::fs::read_to_string("/etc/hosts").expect("/etc/hosts");
    let lines = hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    for name in lines.flat_map(|line| line.split_whitespace().skip(1)) {
        let found = (name, 0).to_socket_addrs().map(Iterator::collect);
        let addresses: Vec<SocketAddr> = found.unwrap_or_default();
        if let (false, [first, ..]) = (name == "localhost", addresses.as_slice())
            && let Some(port) = Counting::open(first.ip())
        {
            return (name.to_owned(), port);
        }
    }
    panic!(
        "/etc/hosts names no address of this machine but localhost: add '127.0.0.1 here.internal'"
    );
}

#[test]
fn a_site_that_has_a_name_is_asked_at_public_addresses_only() {
    let (name, port) = named_port();
    // That the name leads there is no doubt.
    TcpStream::connect((name.as_str(), port.address.port())).expect("the port");
    testkit::wait_until("the connection", Duration::from_secs(5), || {
        port.count() == 1
    });
    let tiki = Tiki::new()
        .with(
            "TIKI_ORIGIN",
            &format!("https://{name}:{}", port.address.port()),
        )
        .with("TIKI_MAX_ATTEMPTS", "1")
        .with("TIKI_RATE_LIMIT", "0.2");
    let done = tiki.ends(20, &["run"]);
    assert!(done.err.contains("not a public one"), "{}", done.err);
    assert_eq!(port.count(), 1);
    // Set to the address itself it is asked: who does that means it.
    let tiki = tiki.with("TIKI_ORIGIN", &format!("https://{}", port.address));
    let done = tiki.ends(20, &["run", "--data-dir", "other"]);
    assert!(!done.err.contains("not a public one"), "{}", done.err);
    assert!(port.count() > 1);
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let (proxy, receiver, airflow) = (Counting::here(), Counting::here(), Counting::here());
    let address = format!("http://{}", proxy.address);
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let mut tiki = shop
        .home()
        .with(
            "TIKI_ALERT_WEBHOOK_URL",
            &format!("http://{}/", receiver.address),
        )
        .with("TIKI_AIRFLOW_URL", &format!("http://{}", airflow.address))
        .with("NO_PROXY", "")
        .with("no_proxy", "");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        tiki = tiki
            .with(name, &address)
            .with(&name.to_lowercase(), &address);
    }
    tiki.ends(0, &["run"]);
    tiki.run(&["alerts", "test"]);
    tiki.run(&["preflight", "--section", "10"]);
    assert!(receiver.count() > 0 && airflow.count() > 0);
    assert_eq!(proxy.count(), 0);
}

#[test]
fn a_certificate_that_no_public_authority_gave_is_refused() {
    let (config, pem) = certificate::of("127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut tls = ServerConnection::new(config.clone()).expect("TLS");
            let mut byte = [0];
            // A client that does not trust us ends the handshake.
            let mut whole = rustls::Stream::new(&mut tls, &mut stream);
            if whole.read_exact(&mut byte).is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let tiki = Tiki::new();
    tiki.write("ca.pem", &pem);
    // Neither what alerts may trust nor what the machine trusts counts for the site.
    let tiki = tiki
        .with("TIKI_ORIGIN", &format!("https://{address}"))
        .with("TIKI_MAX_ATTEMPTS", "1")
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_ALERT_CA", "ca.pem")
        .with("SSL_CERT_FILE", "ca.pem");
    let done = tiki.ends(20, &["run"]);
    assert!(done.err.contains("certificate"), "{}", done.err);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn an_id_of_a_backup_leads_nowhere_else() {
    let shop = shop("60");
    for (kind, tiki) in homes(&shop) {
        let made = tiki.json(&["backup", "create", "--json"]);
        let id = made["id"].as_str().expect("an id");
        // A good backup, but not in the folder.
        let folder = tiki.path("data/backups").join(kind);
        let elsewhere = tiki.path("data/backups").join(id);
        std::fs::rename(folder.join(id), &elsewhere).expect("a move");
        let absolute = elsewhere.to_str().expect("text");
        for wrong in ["..", "../..", &format!("../{id}"), absolute, ".", ""] {
            for command in ["verify", "restore"] {
                let done = tiki.ends(2, &["backup", command, wrong]);
                assert!(done.err.contains("there is no backup"), "{}", done.err);
            }
        }
        assert!(elsewhere.join("manifest.json").is_file());
    }
}

/// Moves something out of its folder and leaves a link to it.
fn replace_by_link(path: &Path, elsewhere: &Path) {
    std::fs::rename(path, elsewhere).expect("a move");
    symlink(elsewhere, path).expect("a link");
}

#[test]
fn links_among_backups_are_not_followed() {
    let shop = shop("60");
    let tiki = shop.home();
    tiki.ends(0, &["run"]);
    for part in ["", "manifest.json", "warehouse.db.gz"] {
        let made = tiki.json(&["backup", "create", "--json"]);
        let id = made["id"].as_str().expect("an id").to_owned();
        let folder = tiki.path("data/backups/sqlite").join(&id);
        let whole = if part.is_empty() {
            folder.clone()
        } else {
            folder.join(part)
        };
        let elsewhere = tiki.path("elsewhere");
        replace_by_link(&whole, &elsewhere);
        let listed = tiki.ends(0, &["backup", "list"]);
        assert!(listed.err.contains("no link is followed"), "{}", listed.err);
        for command in [&["verify", &id][..], &["restore", &id, "--force"]] {
            let done = tiki.ends(1, &[&["backup"], command].concat());
            assert!(done.err.contains("no link is followed"), "{}", done.err);
        }
        tiki.ends(0, &["backup", "prune"]);
        assert!(elsewhere.exists(), "{part}");
        let gone = if elsewhere.is_dir() {
            std::fs::remove_dir_all(&elsewhere)
        } else {
            std::fs::remove_file(&elsewhere)
        };
        gone.expect("the end of it");
    }
}

#[test]
fn what_is_left_of_a_killed_backup_takes_nothing_with_it() {
    let shop = shop("60");
    let tiki = shop.home();
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--json"]);
    let folder = tiki.path("data/backups/sqlite");
    let own = folder.join(made["id"].as_str().expect("an id"));
    std::fs::create_dir(tiki.path("others")).expect("a folder");
    tiki.write("others/letter", "dear");
    tiki.write("book", "once");
    symlink(tiki.path("others"), folder.join("new.partial")).expect("a link");
    symlink(tiki.path("book"), folder.join("verify.db.partial")).expect("a link");
    symlink(tiki.path("book"), own.join("manifest.json.partial")).expect("a link");
    tiki.ends(0, &["backup", "create", "--verify"]);
    tiki.ends(
        0,
        &["backup", "verify", made["id"].as_str().expect("an id")],
    );
    let read = |name: &str| std::fs::read_to_string(tiki.path(name)).expect("a file");
    assert_eq!(
        (read("others/letter"), read("book")),
        ("dear".into(), "once".into())
    );
}
