//! Alerts by mail, to a server that speaks SMTP over TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::certificate;
use crate::tiki::{Done, Shop, Tiki};

const PASSWORD: &str = "planted-mail-77";
/// `\0tiki\0planted-mail-77` in Base64.
const LOGIN: &str = "AHRpa2kAcGxhbnRlZC1tYWlsLTc3";

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// TLS from the beginning.
    Wrapped,
    /// TLS when it is asked for.
    StartTls,
    /// No TLS at all.
    Open,
}

/// The recipients that a message was given, and the message.
type Taken = (Vec<String>, String);

/// A server of mail.
#[derive(Clone)]
struct Server {
    port: u16,
    way: Way,
    config: Arc<ServerConfig>,
    /// Its certificate in PEM.
    pem: String,
    /// Whether the password is right, and whether a message is answered.
    knows: Arc<Mutex<bool>>,
    answers: Arc<Mutex<bool>>,
    /// Every message, and every line that came without TLS.
    got: Arc<Mutex<Vec<Taken>>>,
    in_clear: Arc<Mutex<Vec<String>>>,
}

fn take<T: Clone>(of: &Mutex<T>) -> T {
    of.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set(of: &Mutex<bool>, to: bool) {
    *of.lock().unwrap_or_else(PoisonError::into_inner) = to;
}

impl Server {
    fn open(way: Way) -> Self {
        let (config, pem) = certificate::of("localhost");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            port: listener.local_addr().expect("an address").port(),
            way,
            config,
            pem,
            knows: Arc::new(Mutex::new(true)),
            answers: Arc::new(Mutex::new(true)),
            got: Arc::default(),
            in_clear: Arc::default(),
        };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serving, stream) = (serving.clone(), stream.expect("a connection"));
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        server
    }

    fn serve(&self, mut stream: TcpStream) {
        if self.way != Way::Wrapped && !self.talk(&mut stream, false) {
            return;
        }
        let session = ServerConnection::new(self.config.clone()).expect("a session");
        let mut stream = StreamOwned::new(session, stream);
        self.talk(&mut stream, true);
    }

    /// Answers until the end; whether TLS is to begin now. A client that goes away ends it.
    fn talk<S: Read + Write>(&self, stream: &mut S, secure: bool) -> bool {
        let (mut recipients, mut logged_in) = (Vec::new(), false);
        // After STARTTLS nobody greets again.
        if (self.way == Way::Wrapped || !secure) && say(stream, "220 localhost ESMTP").is_none() {
            return false;
        }
        while let Some(line) = line(stream) {
            if !secure {
                let mut clear = self.in_clear.lock().unwrap_or_else(PoisonError::into_inner);
                clear.push(line.clone());
            }
            let word = line.split(' ').next().unwrap_or_default().to_uppercase();
            let answer = match word.as_str() {
                "EHLO" if self.way == Way::StartTls && !secure => "250-localhost\r\n250 STARTTLS",
                "EHLO" => "250-localhost\r\n250 AUTH PLAIN",
                "STARTTLS" if self.way == Way::StartTls => {
                    return say(stream, "220 go on").is_some();
                }
                "AUTH" if line.ends_with(LOGIN) && take(&self.knows) => {
                    logged_in = true;
                    "235 welcome"
                }
                // Such servers exist.
                "AUTH" => "535 5.7.8 not you: planted-mail-77 AHRpa2kAcGxhbnRlZC1tYWlsLTc3",
                "RCPT" if logged_in => {
                    recipients.push(line.clone());
                    "250 ok"
                }
                "MAIL" if logged_in => "250 ok",
                "DATA" if logged_in => {
                    if say(stream, "354 go on").is_none() {
                        return false;
                    }
                    self.take_message(stream, &recipients);
                    while !take(&self.answers) {
                        std::thread::park();
                    }
                    "250 taken"
                }
                "QUIT" => "221 bye",
                _ => "503 no",
            };
            if say(stream, answer).is_none() {
                break;
            }
        }
        false
    }

    fn take_message<S: Read>(&self, stream: &mut S, recipients: &[String]) {
        let mut message = String::new();
        while let Some(line) = line(stream).filter(|line| line != ".") {
            message += &line;
            message.push('\n');
        }
        let mut got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        got.push((recipients.to_vec(), message));
    }

    /// A home that tells it, with its certificate or without.
    fn home(&self, home: Tiki, url: &str) -> Tiki {
        home.write("ca.pem", &self.pem);
        let url = url.replace("PORT", &self.port.to_string());
        home.with("TIKI_ALERT_SMTP_URL", &url)
            .with("TIKI_ALERT_MAIL_TO", "Ops <ops@example.com>, b@example.org")
            .with("TIKI_ALERT_CA", "ca.pem")
    }
}

fn say<S: Write>(stream: &mut S, text: &str) -> Option<()> {
    stream.write_all(format!("{text}\r\n").as_bytes()).ok()?;
    stream.flush().ok()
}

/// The next line; `None`: the other side has gone away.
fn line<S: Read>(stream: &mut S) -> Option<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        stream.read_exact(&mut byte).ok()?;
        match byte[0] {
            b'\n' => return Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            other => line.push(other),
        }
    }
}

fn is_nowhere(done: &Done) {
    for secret in [PASSWORD, LOGIN] {
        assert!(!done.out.contains(secret), "{done:#?}");
        assert!(!done.err.contains(secret), "{done:#?}");
    }
}

#[test]
fn a_refused_run_is_mailed_over_tls_with_one_id() {
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let server = Server::open(Way::Wrapped);
    let home = shop.home().with("TIKI_DETAILS", "never");
    let tiki = server.home(home, "smtps://tiki:planted-mail-77@localhost:PORT");
    let rule = json!({ "route": "any", "when": "always", "what": { "status": { "code": 403 } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    // It takes the message, and its answer never comes: it may have been sent or not.
    set(&server.answers, false);
    is_nowhere(&tiki.ends(20, &["run"]));
    let listed = tiki.json(&["alerts", "--json"]);
    let delivery = &listed[0]["deliveries"][0];
    assert_eq!(delivery["channel"], "mail");
    assert_eq!(delivery["error"], "the server did not answer in time");
    set(&server.answers, true);
    let id = listed[0]["id"].as_str().expect("an id");
    tiki.ends(0, &["alerts", "retry", id]);
    let got = take(&server.got);
    assert_eq!(got.len(), 2);
    for (recipients, message) in got {
        assert_eq!(
            recipients,
            ["RCPT TO:<ops@example.com>", "RCPT TO:<b@example.org>"]
        );
        let head = format!("Message-ID: <{id}@example.com>");
        assert!(message.contains(&head), "{message}");
        assert!(message.contains("Subject: [warning] run cli-"), "{message}");
        assert!(
            message.contains("look further: tiki runs show cli-"),
            "{message}"
        );
    }
}

#[test]
fn tls_begins_where_the_server_offers_it_and_the_password_goes_no_other_way() {
    let server = Server::open(Way::StartTls);
    let url = "smtp://tiki:planted-mail-77@localhost:PORT?tls=required";
    let tiki = server.home(Tiki::new(), url);
    is_nowhere(&tiki.ends(0, &["alerts", "test"]));
    assert_eq!(take(&server.got).len(), 1);
    let clear = take(&server.in_clear);
    assert!(
        clear.iter().all(|line| !line.starts_with("AUTH")),
        "{clear:?}"
    );
    // Nobody vouches for its certificate.
    let done = tiki.with("TIKI_ALERT_CA", "").ends(1, &["alerts", "test"]);
    is_nowhere(&done);
    assert!(
        done.out.to_lowercase().contains("certificate"),
        "{}",
        done.out
    );
    let open = Server::open(Way::Open);
    let done = open.home(Tiki::new(), url).ends(1, &["alerts", "test"]);
    is_nowhere(&done);
    let clear = take(&open.in_clear);
    assert!(
        clear.iter().all(|line| !line.starts_with("AUTH")),
        "{clear:?}"
    );
    assert_eq!(take(&open.got).len(), 0);
}

#[test]
fn a_wrong_password_is_told_without_it() {
    let server = Server::open(Way::Wrapped);
    set(&server.knows, false);
    let tiki = server
        .home(Tiki::new(), "smtps://tiki:planted-mail-77@localhost:PORT")
        .with("TIKI_LOG", "trace");
    let done = tiki.ends(1, &["alerts", "test"]);
    assert!(done.out.contains("535"), "{}", done.out);
    is_nowhere(&done);
    is_nowhere(&tiki.ends(0, &["config", "show"]));
    let done = tiki
        .with("TIKI_ALERT_MAIL_TO", "")
        .ends(2, &["alerts", "test"]);
    assert!(done.err.contains("TIKI_ALERT_MAIL_TO"), "{}", done.err);
    is_nowhere(&done);
}
