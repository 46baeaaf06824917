//! PostgreSQL, a real one.

use crate::child::ChildGuard;
use crate::error::{ServerError, chain, io_error};
use crate::server::{Plan, Server, new_folder, on_path, run};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that names a running server for all test processes: a URL of a user who may
/// create databases. Set by `cargo xtask test`.
pub const POSTGRES_VARIABLE: &str = "TIKI_TEST_POSTGRES_ADMIN_URL";

const OLDEST_VERSION: u32 = 15;
const USER: &str = "tiki";
const PASSWORD: &str = "secret";

/// A PostgreSQL server, 15 or newer, on 127.0.0.1; user `tiki`, password `secret`, superuser.
///
/// Writes reach the disk as in production (`fsync` is on). The server and its folder are gone
/// when the value is dropped or the test process ends, however it ends.
#[derive(Debug)]
pub struct Postgres {
    admin_url: String,
    psql: PathBuf,
    server: Option<Server>,
}

impl Postgres {
    /// The server that tests share: the one that [`POSTGRES_VARIABLE`] names, else one of this
    /// process, started on first use. Panics if there can be none.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var(POSTGRES_VARIABLE) {
            Ok(url) if !url.is_empty() => Self::given(url).unwrap_or_else(|error| lost(&error)),
            _ => Self::start(),
        })
    }

    /// A server of your own, for tests that stop or kill it. Panics if there can be none.
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| lost(&error))
    }

    /// A server of your own, or why there is none.
    pub fn try_start() -> Result<Self, ServerError> {
        let programs = find_programs().ok_or(missing("initdb"))?;
        let mut outcome = Self::start_on(&programs, crate::free_port());
        for _ in 0..3 {
            // Somebody else may have taken the port meanwhile.
            if !matches!(&outcome, Err(ServerError::Failed { output, .. }) if output.contains("in use"))
            {
                break;
            }
            outcome = Self::start_on(&programs, crate::free_port());
        }
        outcome
    }

    /// The folder with the programs of the newest server of this machine that is new enough.
    pub fn find() -> Option<PathBuf> {
        find_programs()
    }

    /// The URL of the maintenance database, for a process that is to share this server.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Makes a new empty database, of a name never used before, and returns its URL.
    pub fn fresh_database(&self) -> String {
        self.make_database("")
    }

    /// Makes a copy of a database that nobody is connected to, and returns its URL.
    pub fn copy_database(&self, url: &str) -> String {
        self.make_database(&format!("template {}", database(url)))
    }

    /// The same in a tablespace.
    pub fn copy_database_to(&self, url: &str, tablespace: &str) -> String {
        self.make_database(&format!(
            "template {} tablespace {tablespace}",
            database(url)
        ))
    }

    fn make_database(&self, how: &str) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!(
            "test_{}_{count}_{}",
            std::process::id(),
            since_epoch.as_nanos()
        );
        self.admin(&format!("create database {name} {how}"));
        if !how.is_empty() {
            // Sequences of a copy would go back at a crash: their pages are new in the log, so that
            // PostgreSQL takes their next values for logged, which they were for the other database.
            self.admin("checkpoint");
        }
        with_database(&self.admin_url, &name)
    }

    /// Begins a session in a database that runs some statements, beside the test. Its name in
    /// `pg_stat_activity` is `beside`; it ends by itself or by the server, not with its guard.
    pub fn beside(&self, url: &str, statements: &str) -> ChildGuard {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-d", url, "-c", statements]);
        command
            .env("PGAPPNAME", "beside")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        ChildGuard::spawn(&mut command).expect("psql")
    }

    /// All of a database as SQL text, as `pg_dump` writes it. Panics if it fails.
    pub fn dump(&self, url: &str) -> String {
        let mut command = Command::new(self.psql.with_file_name("pg_dump"));
        command.args(["--inserts", "--no-owner", url]);
        run("pg_dump", &mut command).unwrap_or_else(|error| lost(&error))
    }

    /// Gives a folder to the user that the server runs as.
    pub fn give(&self, folder: &Path) {
        if let Some(User { uid, gid }) = other_user() {
            chown(folder, Some(uid), Some(gid)).expect("a folder of the server");
        }
    }

    /// Drops a database that [`Self::fresh_database`] made, closing its connections. For tests
    /// that make many; the others go with the server.
    pub fn drop_database(&self, url: &str) {
        let name = database(url);
        assert!(name.starts_with("test_"), "{name} is no database of a test");
        self.admin(&format!("drop database if exists {name} with (force)"));
    }

    /// Runs one statement in the maintenance database, as superuser, and returns what it printed
    /// (unaligned, rows only). Panics if it fails.
    pub fn admin(&self, statement: &str) -> String {
        self.try_admin(statement)
            .unwrap_or_else(|error| lost(&error))
    }

    fn try_admin(&self, statement: &str) -> Result<String, ServerError> {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        command.args(["-d", &self.admin_url, "-c", statement]);
        run("psql", &mut command)
    }

    /// Stops it in good order (checkpoint, clients cut off).
    pub fn stop(&mut self) {
        self.own().end("INT");
    }

    /// `kill -9` of the postmaster: what a crash of the machine leaves.
    pub fn kill(&mut self) {
        self.own().end("KILL");
    }

    /// Starts it again on the same port with the same data; if it runs, it is stopped first
    /// without a checkpoint, so that it has to recover.
    pub fn restart(&mut self) {
        let server = self.own();
        server.end("QUIT");
        server.launch().unwrap_or_else(|error| lost(&error));
    }

    fn own(&mut self) -> &mut Server {
        self.server
            .as_mut()
            .expect("only a server of your own may be stopped: Postgres::start()")
    }

    fn given(admin_url: String) -> Result<Self, ServerError> {
        let found = find_programs()
            .map(|folder| folder.join("psql"))
            .filter(|psql| psql.is_file());
        let psql = found.or_else(|| on_path("psql")).ok_or(missing("psql"))?;
        Ok(Self {
            admin_url,
            psql,
            server: None,
        })
    }

    fn start_on(programs: &Path, port: u16) -> Result<Self, ServerError> {
        let folder = new_folder("postgres")?;
        let made = make_cluster(programs, &folder);
        if made.is_err() {
            drop(fs::remove_dir_all(&folder));
        }
        let user = made?;
        let plan = plan(programs, &folder, user, port);
        let server = Server::start(folder, plan)?;
        let admin_url = format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres");
        Ok(Self {
            admin_url,
            psql: programs.join("psql"),
            server: Some(server),
        })
    }
}

fn lost(error: &ServerError) -> ! {
    panic!("no PostgreSQL for this test: {}", chain(error))
}

fn missing(program: &'static str) -> ServerError {
    ServerError::Missing {
        program,
        variable: POSTGRES_VARIABLE,
    }
}

/// The name of a URL's database.
fn database(url: &str) -> &str {
    let address = url.split('?').next().unwrap_or_default();
    address.rsplit('/').next().unwrap_or_default()
}

/// The URL with another database's name.
fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let host_begins = address.find("://").map_or(0, |at| at + 3);
    let server = match address[host_begins..].find('/') {
        Some(at) => &address[..host_begins + at],
        None => address,
    };
    let mark = if options.is_empty() { "" } else { "?" };
    format!("{server}/{name}{mark}{options}")
}

/// The folder with `initdb`, `postgres` and `psql` of the newest server that is new enough:
/// where Debian keeps them, else on PATH.
fn find_programs() -> Option<PathBuf> {
    newest_of(Path::new("/usr/lib/postgresql")).or_else(|| {
        let folder = on_path("initdb")?
            .canonicalize()
            .ok()?
            .parent()?
            .to_path_buf();
        let version = run(
            "postgres",
            Command::new(folder.join("postgres")).arg("--version"),
        )
        .ok()?;
        let number = version
            .split_whitespace()
            .nth(2)?
            .split(|c: char| !c.is_ascii_digit())
            .next()?;
        (number.parse::<u32>().ok()? >= OLDEST_VERSION).then_some(folder)
    })
}

fn newest_of(versions: &Path) -> Option<PathBuf> {
    let found = fs::read_dir(versions).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let folder = entry.path().join("bin");
        (version >= OLDEST_VERSION && folder.join("initdb").is_file()).then_some((version, folder))
    });
    found.max().map(|(_, folder)| folder)
}

/// Who the server runs as: PostgreSQL refuses root, so root hands it to another user.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

fn other_user() -> Option<User> {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = accounts
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line
            .split(':')
            .skip(2)
            .map_while(|field| field.parse().ok());
        Some(User {
            uid: numbers.next()?,
            gid: numbers.next()?,
        })
    };
    find("postgres").or_else(|| find("nobody"))
}

/// A command that runs as `user`.
fn command_as(user: Option<User>, program: &Path) -> Command {
    let Some(User { uid, gid }) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={gid}"))
        .arg("--clear-groups");
    command.arg(program);
    command
}

fn make_cluster(programs: &Path, folder: &Path) -> Result<Option<User>, ServerError> {
    let user = other_user();
    let password_file = folder.join("password");
    fs::write(&password_file, PASSWORD).map_err(io_error("write a password file"))?;
    if let Some(User { uid, gid }) = user {
        for path in [folder, &password_file] {
            chown(path, Some(uid), Some(gid)).map_err(io_error("give the server its folder"))?;
        }
    }
    let mut initdb = command_as(user, &programs.join("initdb"));
    initdb
        .current_dir(folder)
        .env("HOME", folder)
        .arg("-D")
        .arg(folder.join("data"));
    initdb.args([
        "-U",
        USER,
        "-A",
        "scram-sha-256",
        "--no-sync",
        "--no-instructions",
    ]);
    initdb
        .args(["-E", "UTF8", "--locale=C.UTF-8"])
        .arg("--pwfile")
        .arg(&password_file);
    run("initdb", &mut initdb)?;
    Ok(user)
}

fn plan(programs: &Path, folder: &Path, user: Option<User>, port: u16) -> Plan {
    let work = folder.join("data");
    let pid_file = work.join("postmaster.pid");
    let settings = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "max_connections=300".to_owned(),
        "shared_buffers=64MB".to_owned(),
        // In the folder, so that a killed server leaves nothing in shared memory.
        "dynamic_shared_memory_type=mmap".to_owned(),
    ];
    let (program, data, folder) = (
        programs.join("postgres"),
        work.clone(),
        folder.to_path_buf(),
    );
    let command = move || {
        let mut command = command_as(user, &program);
        command
            .current_dir(&folder)
            .env("HOME", &folder)
            .arg("-D")
            .arg(&data);
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command
    };
    let status = pid_file.clone();
    let answers = move |id: u32| {
        // Line 1 is the process, line 8 its state.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(&id.to_string()) && lines.nth(6) == Some("ready")
    };
    Plan {
        program: "postgres",
        command: Box::new(command),
        work,
        pid_file,
        end_signal: "QUIT",
        answers: Box::new(answers),
    }
}

#[cfg(test)]
mod tests {
    use super::{newest_of, with_database};
    use std::fs;

    #[test]
    fn a_database_replaces_the_one_in_the_url() {
        for (url, expected) in [
            ("postgres://a:b@h:1/postgres", "postgres://a:b@h:1/x"),
            ("postgres://a:b@h:1", "postgres://a:b@h:1/x"),
            (
                "postgres://h/postgres?sslmode=disable",
                "postgres://h/x?sslmode=disable",
            ),
        ] {
            assert_eq!(with_database(url, "x"), expected);
        }
    }

    #[test]
    fn the_newest_server_that_is_new_enough_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest_of(folder.path()), None);
        for version in ["9", "14", "15", "17", "extra"] {
            let programs = folder.path().join(version).join("bin");
            fs::create_dir_all(&programs).unwrap();
            fs::write(programs.join("initdb"), "").unwrap();
            let expected = match version {
                "9" | "14" => None,
                "15" => Some("15"),
                _ => Some("17"),
            };
            let expected = expected.map(|version| folder.path().join(version).join("bin"));
            assert_eq!(newest_of(folder.path()), expected, "after {version}");
        }
    }
}
