//! The binary in a folder of its own.
#![allow(
    clippy::disallowed_methods,
    reason = "the child must not see our own settings"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use testkit::ChildGuard;

/// A folder in which the program runs.
pub(crate) struct Tiki {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Tiki {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            variables: Vec::new(),
        }
    }

    /// With a variable from here on.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The value of a variable that it has.
    pub(crate) fn variable(&self, name: &str) -> String {
        let mut all = self.variables.iter().rev();
        let found = all.find(|(other, _)| other == name);
        found.expect("a variable").1.clone()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiki"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIKI_") {
                command.env_remove(&name);
            }
        }
        command
            .env("NO_COLOR", "1")
            .args(arguments)
            .current_dir(self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        let output = self
            .command(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program");
        output.into()
    }

    /// Runs a command that must end with this exit code.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Done {
        let done = self.run(arguments);
        assert_eq!(done.code, code, "tiki {arguments:?}: {done:#?}");
        assert!(
            !done.err.contains("panicked"),
            "tiki {arguments:?}: {done:#?}"
        );
        done
    }

    /// What a command that must succeed printed.
    pub(crate) fn out(&self, arguments: &[&str]) -> String {
        self.ends(0, arguments).out
    }

    /// The same, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.out(arguments)).expect("JSON")
    }

    /// Fills the demo's warehouse.
    pub(crate) fn fill_demo(&self, products: u32, days: u32) -> Done {
        let (products, days) = (products.to_string(), days.to_string());
        self.ends(
            0,
            &[
                "run",
                "--demo",
                "--demo-products",
                &products,
                "--demo-days",
                &days,
            ],
        )
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

/// A storefront in a process of its own.
pub(crate) struct Shop {
    _child: ChildGuard,
    pub(crate) url: String,
}

impl Shop {
    pub(crate) fn open(tiki: &Tiki, arguments: &[&str]) -> Self {
        let mut command = tiki.command(&["storefront", "--port", "0"]);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = ChildGuard::spawn(&mut command).expect("the storefront");
        let out = child.child().stdout.take().expect("its output");
        let mut url = String::new();
        BufReader::new(out)
            .read_line(&mut url)
            .expect("its address");
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        Self {
            _child: child,
            url: url.trim().into(),
        }
    }

    /// A home that takes all of a shop of 2026-11-01, without a rate.
    pub(crate) fn home(&self) -> Tiki {
        Tiki::new()
            .with("TIKI_ORIGIN", &self.url)
            .with("TIKI_CLOCK", "2026-10-31T19:00:00.000Z")
            .with("TIKI_RATE_LIMIT", "0")
            .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0")
    }

    /// A request to its controls, answered with JSON.
    pub(crate) fn control(&self, method: &str, path: &str, body: &str) -> Value {
        use std::io::{Read, Write};
        let host = self.url.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(host).expect("the storefront");
        let request = format!(
            "{method} /__storefront/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}
