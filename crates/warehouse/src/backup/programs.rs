//! PostgreSQL's own `pg_dump` and `pg_restore`: where they are, and how they are run.
//!
//! No password is ever an argument or a variable of theirs: it is in a file that has no name any more
//! when they are started, which they reach through this process.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::error::{BackupError, file};
use crate::tls::Wish;

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Where systems keep the public authorities in one file.
const AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The first version that knows them by the word `system`.
const KNOWS_SYSTEM: u32 = 16;

/// A program says its version at once or is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept of what a program says.
const SAID_MAX_BYTES: u64 = 4000;

/// The two programs, of one version.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    major: u32,
    /// As `pg_dump` says it.
    pub(super) version: String,
}

/// Finds the programs for a server: on the search path, then where Debian keeps them. Older ones cannot
/// read the server; of the others the nearest.
pub(super) async fn find(search: Option<&OsStr>, server: u32) -> Result<Programs, BackupError> {
    let mut found: Vec<Programs> = Vec::new();
    for folder in folders(search) {
        if let Some(programs) = ask(folder).await {
            if programs.major == server {
                return Ok(programs);
            }
            found.push(programs);
        }
    }
    let newer = found.iter().filter(|programs| programs.major > server);
    if let Some(nearest) = newer.min_by_key(|programs| programs.major) {
        return Ok(nearest.clone());
    }
    let what = match found.iter().max_by_key(|programs| programs.major) {
        Some(best) => format!(
            "pg_dump {} in {} is older than the server, which is {server}",
            best.major,
            best.folder.display()
        ),
        None => "pg_dump and pg_restore are not on this machine".into(),
    };
    let help = format!(
        "install them, for example: apt-get install postgresql-client-{server} (or put the folder of \
         newer ones on PATH)"
    );
    Err(BackupError::Program { what, help })
}

fn folders(search: Option<&OsStr>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = search
        .map(std::env::split_paths)
        .into_iter()
        .flatten()
        .collect();
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    folders.extend(versions);
    folders.retain(|folder| {
        folder.is_absolute()
            && folder.join("pg_dump").is_file()
            && folder.join("pg_restore").is_file()
    });
    folders
}

async fn ask(folder: PathBuf) -> Option<Programs> {
    let mut command = bare(&folder.join("pg_dump"));
    command.arg("--version");
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let said = String::from_utf8_lossy(&output.ok()?.ok()?.stdout).into_owned();
    // "pg_dump (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"
    let number = said.split_whitespace().nth(2)?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Programs {
        folder,
        major: digits.parse().ok()?,
        version: said.trim().chars().take(100).collect(),
    })
}

/// A program without anything of our environment, which may hold secrets.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Programs {
    /// `pg_dump` of one schema at one snapshot, to its standard output; `password` is what it reads.
    pub(super) fn dump(
        &self,
        place: &str,
        schema: &str,
        snapshot: &str,
        password: Option<&PasswordFile>,
    ) -> Command {
        let mut command = bare(&self.folder.join("pg_dump"));
        command
            .args([
                "--format=custom",
                "--no-password",
                "--lock-wait-timeout=60000",
            ])
            .arg(format!("--snapshot={snapshot}"))
            .arg(format!("--schema={schema}"))
            .arg(format!("--dbname={place}"));
        if let Some(password) = password {
            command.env("PGPASSFILE", password.path());
        }
        command
    }

    /// `pg_restore` of what lies in one schema, as statements to its standard output. It asks no server.
    pub(super) fn script(&self, dump: &Path, schema: &str) -> Command {
        let mut command = bare(&self.folder.join("pg_restore"));
        command
            .args(["--file=-", "--no-owner", "--no-privileges"])
            .arg(format!("--schema={schema}"))
            .arg(dump);
        command
    }
}

/// What a program says on its standard error: the beginning.
pub(super) async fn said(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut head = (&mut stream).take(SAID_MAX_BYTES);
    // What cannot be read was not said; the exit code tells whether the program failed.
    drop(head.read_to_end(&mut kept).await);
    drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    let text = String::from_utf8_lossy(&kept).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A program that failed.
pub(super) fn failed(name: &str, said: &str) -> BackupError {
    BackupError::Program {
        what: format!("{name} failed: {said}"),
        help: "see the reason above; the warehouse is as it was, and the same command may be tried again"
            .into(),
    }
}

/// The password for `pg_dump`: a file that only we may read, whose name is gone before anybody uses it.
/// It vanishes with this process, however that ends.
#[derive(Debug)]
pub(super) struct PasswordFile {
    file: File,
}

impl PasswordFile {
    /// Writes it; `None`: the address has no password.
    pub(super) fn new(config: &Config, folder: &Path) -> Result<Option<Self>, BackupError> {
        let Some(password) = config.get_password() else {
            return Ok(None);
        };
        let path = folder.join("pgpass");
        let mut options = File::options();
        let opened = options.write(true).read(true).create_new(true).mode(0o600);
        let mut out = opened.open(&path).map_err(file("write", &path))?;
        std::fs::remove_file(&path).map_err(file("remove", &path))?;
        let mut line = b"*:*:*:*:".to_vec();
        for byte in password {
            if matches!(byte, b':' | b'\\') {
                line.push(b'\\');
            }
            line.push(*byte);
        }
        line.push(b'\n');
        out.write_all(&line).map_err(file("write", &path))?;
        Ok(Some(Self { file: out }))
    }

    fn path(&self) -> OsString {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }
}

impl Programs {
    /// The file of the authorities that sign for public servers, as these programs are told of it.
    fn authorities(&self) -> Result<&'static str, BackupError> {
        if self.major >= KNOWS_SYSTEM {
            return Ok("system");
        }
        let found = AUTHORITIES
            .into_iter()
            .find(|file| Path::new(file).is_file());
        found.ok_or_else(|| BackupError::Program {
            what: format!(
                "pg_dump {} needs a file of public authorities to check the server, and there is none at {}",
                self.major,
                AUTHORITIES.join(", ")
            ),
            help: "apt-get install ca-certificates, or name one in the address: sslrootcert=<file>".into(),
        })
    }
}

/// The address in libpq's words, for these programs, without the password.
pub(super) fn place(
    config: &Config,
    wish: &Wish,
    programs: &Programs,
) -> Result<String, BackupError> {
    let mut words = Vec::new();
    let mut say = |name: &str, value: String| {
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        words.push(format!("{name}='{quoted}'"));
    };
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    say("host", hosts.collect::<Vec<_>>().join(","));
    let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
    say("hostaddr", addresses.collect::<Vec<_>>().join(","));
    let ports = config.get_ports().iter().map(ToString::to_string);
    say("port", ports.collect::<Vec<_>>().join(","));
    say("user", config.get_user().unwrap_or_default().into());
    say("dbname", config.get_dbname().unwrap_or_default().into());
    if wish.verifies() {
        say("sslmode", "verify-full".into());
        let file = match wish.root_file() {
            Some(file) => file,
            None => programs.authorities()?,
        };
        say("sslrootcert", file.into());
    } else {
        let mode = match config.get_ssl_mode() {
            SslMode::Disable => "disable",
            SslMode::Require => "require",
            _ => "prefer",
        };
        say("sslmode", mode.into());
    }
    words.retain(|word| !word.ends_with("=''"));
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_programs_are_told_of_a_file_of_public_authorities() {
        let of = |major, rest: &str| {
            let programs = Programs {
                folder: PathBuf::new(),
                major,
                version: String::new(),
            };
            let (address, wish) = crate::tls::split(&format!("postgres://u@h/d?{rest}"));
            place(&address.parse().expect("an address"), &wish, &programs)
        };
        let all = "sslmode=verify-full";
        let told = of(16, all).expect("no file is needed");
        assert!(told.contains("sslrootcert='system'"), "{told}");
        let own = of(15, &format!("{all}&sslrootcert=/own.pem")).expect("a file");
        assert!(own.contains("sslrootcert='/own.pem'"), "{own}");
        match of(15, all) {
            Ok(told) => {
                let (_, file) = told.split_once("sslrootcert='").expect("a file");
                let (file, _) = file.split_once('\'').expect("its end");
                assert!(Path::new(file).is_file(), "{told}");
            }
            Err(error) => assert!(error.to_string().contains(AUTHORITIES[0]), "{error}"),
        }
        let own = of(15, "sslmode=require&sslrootcert=/own.pem").expect("a file");
        assert!(own.contains("sslmode='verify-full'"), "{own}");
        assert!(own.contains("sslrootcert='/own.pem'"), "{own}");
        let told = of(15, "sslmode=require").expect("nobody is checked");
        assert!(!told.contains("sslrootcert"), "{told}");
    }
}
