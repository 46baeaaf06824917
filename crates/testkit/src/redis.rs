//! Redis, a real one.

use crate::error::{ServerError, chain, io_error};
use crate::server::{Plan, Server, new_folder, on_path};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// The variable that names a running server for all test processes. Set by `cargo xtask test`.
pub const REDIS_VARIABLE: &str = "TIKI_TEST_REDIS_URL";

/// Databases that a server of ours has; one test takes one.
const DATABASES: u32 = 1024;

/// A Redis server on 127.0.0.1 that keeps nothing on disk.
///
/// The server and its folder are gone when the value is dropped or the test process ends,
/// however it ends.
#[derive(Debug)]
pub struct Redis {
    address: String,
    server: Option<Server>,
}

impl Redis {
    /// The server that tests share: the one that [`REDIS_VARIABLE`] names, else one of this
    /// process, started on first use. Panics if there can be none.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var(REDIS_VARIABLE) {
            Ok(url) if !url.is_empty() => Self {
                address: address_of(&url),
                server: None,
            },
            _ => Self::start(),
        })
    }

    /// A server of your own, for tests that kill, pause or flush it. Panics if there can be none.
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| lost(&error))
    }

    /// A server of your own, or why there is none.
    pub fn try_start() -> Result<Self, ServerError> {
        let missing = ServerError::Missing {
            program: "redis-server",
            variable: REDIS_VARIABLE,
        };
        let program = Self::find().ok_or(missing)?;
        let mut outcome = Self::start_on(&program, crate::free_port());
        for _ in 0..3 {
            // Somebody else may have taken the port meanwhile.
            if !matches!(&outcome, Err(ServerError::Failed { output, .. }) if output.contains("in use"))
            {
                break;
            }
            outcome = Self::start_on(&program, crate::free_port());
        }
        outcome
    }

    /// The server's program on this machine.
    pub fn find() -> Option<PathBuf> {
        on_path("redis-server")
    }

    fn start_on(program: &Path, port: u16) -> Result<Self, ServerError> {
        let address = format!("127.0.0.1:{port}");
        let folder = new_folder("redis")?;
        let plan = plan(program.to_path_buf(), &folder, port, address.clone());
        Ok(Self {
            address,
            server: Some(Server::start(folder, plan)?),
        })
    }

    /// The URL of a database, 0 to 1023. Tests in other processes may use the same one.
    pub fn url(&self, database: u32) -> String {
        format!("redis://{}/{database}", self.address)
    }

    /// The URL of an emptied database that no other test was given, for the first 1023 of them.
    pub fn fresh_url(&self) -> String {
        let count: u32 = self.ask(0, "INCR testkit:databases")[1..]
            .parse()
            .expect("INCR counts");
        let database = 1 + (count - 1) % (DATABASES - 1);
        self.ask(database, "FLUSHDB");
        self.url(database)
    }

    /// Empties every database of a server of your own.
    pub fn flush(&mut self) {
        assert!(
            self.server.is_some(),
            "only a server of your own may be flushed: Redis::start()"
        );
        self.ask(0, "FLUSHALL");
    }

    /// `kill -9`; what it held is lost.
    pub fn kill(&mut self) {
        self.own().end("KILL");
    }

    /// Starts it again on the same port, empty; if it runs, it is killed first.
    pub fn restart(&mut self) {
        let server = self.own();
        server.end("KILL");
        server.launch().unwrap_or_else(|error| lost(&error));
    }

    /// Stops it from answering (SIGSTOP); connections stay open.
    pub fn pause(&mut self) {
        self.own().signal("STOP");
    }

    /// Lets it answer again.
    pub fn resume(&mut self) {
        self.own().signal("CONT");
    }

    fn own(&mut self) -> &mut Server {
        self.server
            .as_mut()
            .expect("only a server of your own may be disturbed: Redis::start()")
    }

    fn ask(&self, database: u32, command: &str) -> String {
        ask(&self.address, database, command)
            .map_err(io_error(format!(
                "ask Redis at {} for {command}",
                self.address
            )))
            .unwrap_or_else(|error| lost(&error))
    }
}

fn lost(error: &ServerError) -> ! {
    panic!("no Redis for this test: {}", chain(error))
}

/// Host and port of a `redis://` URL.
fn address_of(url: &str) -> String {
    let rest = url.strip_prefix("redis://").unwrap_or(url);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

/// One command that answers with one line; an error line is an error.
fn ask(address: &str, database: u32, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("SELECT {database}\r\n{command}\r\n").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut answer = String::new();
    for _ in 0..2 {
        answer.clear();
        reader.read_line(&mut answer)?;
        if !answer.ends_with("\r\n") || answer.starts_with('-') {
            return Err(std::io::Error::other(format!("it answered {answer:?}")));
        }
    }
    Ok(answer.trim_end().to_owned())
}

fn plan(program: PathBuf, folder: &Path, port: u16, address: String) -> Plan {
    let (work, pid_file) = (folder.to_path_buf(), folder.join("redis.pid"));
    let (file, home) = (pid_file.clone(), work.clone());
    let command = move || {
        let mut command = Command::new(&program);
        command
            .current_dir(&home)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(["--databases", &DATABASES.to_string()]);
        command.arg("--dir").arg(&home).arg("--pidfile").arg(&file);
        command
    };
    let status = pid_file.clone();
    let answers = move |id: u32| {
        let owner = fs::read_to_string(&status).unwrap_or_default();
        owner.trim() == id.to_string()
            && ask(&address, 0, "PING").is_ok_and(|answer| answer == "+PONG")
    };
    Plan {
        program: "redis-server",
        command: Box::new(command),
        work,
        pid_file,
        end_signal: "KILL",
        answers: Box::new(answers),
    }
}
