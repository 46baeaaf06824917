//! What a person sees when a command cannot end well: what failed, why, what to do.
//!
//! Not here: printing it (`main`), which error has which exit code (`pipeline`).

use std::error::Error as StdError;
use std::fmt;

use pipeline::Exit;
use warehouse::{BackupError as B, Error as W};

use crate::secret::masked;

/// A command that did not end well.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Its exit code.
    pub(crate) exit: Exit,
    what: String,
    why: Vec<String>,
    help: Option<String>,
    /// See [`Failure::is_no_trouble`].
    no_trouble: bool,
}

/// What a command answers.
pub(crate) type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    /// A failure with an exit code.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            why: Vec::new(),
            help: None,
            no_trouble: false,
        }
    }

    /// Something that was asked for cannot be.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// With a reason.
    #[must_use]
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Without what to do, where the reasons say it.
    #[must_use]
    pub(crate) fn without_help(mut self) -> Self {
        self.help = None;
        self
    }

    /// With an error and its causes as the reasons.
    #[must_use]
    pub(crate) fn because(mut self, error: &dyn StdError) -> Self {
        self.why.push(error.to_string());
        self.causes(error)
    }

    fn causes(mut self, error: &dyn StdError) -> Self {
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat a cause in their own text.
            if !self.why.last().unwrap_or(&self.what).contains(&text) {
                self.why.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// In one line, for a report.
    pub(crate) fn line(&self) -> String {
        let mut parts = vec![self.what.clone()];
        parts.extend(self.why.iter().cloned());
        masked(&parts.join(": "))
    }

    /// What to do about it.
    pub(crate) fn help_text(&self) -> Option<String> {
        self.help.clone()
    }

    /// Standard output cannot be written; a reader that has gone away is no failure.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        if is_broken_pipe(error) {
            return Self::new(Exit::Done, "");
        }
        Self::new(Exit::Machine, "cannot write the result")
            .because(error)
            .help(machine_help(error))
    }

    /// A file or folder of this machine failed.
    pub(crate) fn machine(what: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(Exit::Machine, what)
            .because(error)
            .help(machine_help(error))
    }

    /// Another process is at the same work, has taken it over or could not begin it: nobody needs to be told of
    /// it here.
    pub(crate) fn is_no_trouble(&self) -> bool {
        self.no_trouble
    }

    /// Nothing to tell: the reader of the result has gone away.
    pub(crate) fn is_silent(&self) -> bool {
        self.what.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.what.clone();
        for why in &self.why {
            text += &format!("\n  why: {why}");
        }
        // Help is our own text; its samples of addresses are no secrets.
        let help = self.help.iter().map(|help| format!("\n help: {help}"));
        write!(f, "{}{}", masked(&text), help.collect::<String>())
    }
}

impl From<W> for Failure {
    fn from(error: W) -> Self {
        pipeline::Error::from(error).into()
    }
}

impl From<pipeline::Error> for Failure {
    fn from(error: pipeline::Error) -> Self {
        let exit = error.exit();
        let help = help(&error);
        // The pipeline's own words about the warehouse say less than the warehouse's.
        let failure = match &error {
            pipeline::Error::Warehouse(inner) => Self::new(exit, inner.to_string()).causes(inner),
            other => Self::new(exit, other.to_string()).causes(other),
        };
        let failure = Self {
            no_trouble: is_no_trouble(&error),
            ..failure
        };
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

fn is_no_trouble(error: &pipeline::Error) -> bool {
    use pipeline::Error as P;
    matches!(
        error,
        P::Held(_)
            | P::NoRun(_)
            | P::Interrupted
            | P::Warehouse(W::AtWork { .. } | W::Fenced(_) | W::Backup(B::Held(_)))
    )
}

fn help(error: &pipeline::Error) -> Option<String> {
    use pipeline::Error as P;
    Some(match error {
        P::Warehouse(W::Backup(error)) => backup_help(error),
        P::Warehouse(error) => return warehouse_help(error).map(str::to_owned),
        P::Refused { retry_after, .. } => format!(
            "nothing is lost: look at the site in a browser, wait {} min, and run the same command \
             again; it goes on. If this repeats, ask more slowly (TIKI_RATE_LIMIT) and say who you \
             are (TIKI_USER_AGENT_CONTACT)",
            retry_after.as_secs().div_ceil(60)
        ),
        P::Proxy { .. } => {
            "the site itself was not reached, and nothing is lost. Is the proxy of TIKI_PROXY up, are its \
             user and password right (percent-encoded), and may we use it, to the site's host and port? \
             Once it is mended the same command goes on"
                .into()
        }
        P::Drift { run, .. } => format!(
            "look at it with `tiki drift show {run}`; load the run all the same with `tiki drift \
             accept {run}` (no request is made), or give it up with `tiki drift reject {run}`"
        ),
        P::Held(_) => {
            "`tiki runs` shows who is at work; the same command may be tried later".into()
        }
        P::Clock { .. } => "set this machine's clock (for example with timedatectl or an NTP \
             client), then run the same command again"
            .into(),
        P::Interrupted => "the same command goes on from here".into(),
        P::Overtime(_) => "the same command goes on from here; give it more with --timeout".into(),
        P::Broken(_) | P::Bug(_) => {
            "this is a bug of tiki: please report it with the lines above; \
             the warehouse keeps what was committed"
                .into()
        }
        P::Machine { source, .. } => machine_help(source).into(),
        P::Usage(_) | P::NoRun(_) => return None,
    })
}

fn backup_help(error: &B) -> String {
    match error {
        B::Refused { help, .. } => (*help).into(),
        B::Program { help, .. } => help.clone(),
        B::Broken { .. } => "take another one: `tiki backup list`; nothing was changed".into(),
        B::File { source, .. } => machine_help(source).into(),
        B::Held(_) => {
            "the same command may be tried later; `tiki runs` shows who is at work".into()
        }
        B::Replaced(_) => {
            "begin again: the same command works in the restored warehouse, where the run that it \
             was at is abandoned or was never begun"
                .into()
        }
    }
}

/// What to do about a warehouse that failed.
pub(crate) fn warehouse_help(error: &W) -> Option<&'static str> {
    Some(match error {
        W::Unreachable(_) => {
            "is the database up, and are host, port, user, password and database name in \
             TIKI_DATABASE_URL (or --database-url) right? `tiki config show` says which is used"
        }
        W::Busy(_) => {
            "another process or session holds a lock for long; `tiki runs` shows who is at work. \
             Nothing is lost: run the same command again, or wait for locks longer (TIKI_LOCK_TIMEOUT)"
        }
        W::Exhausted { .. } => {
            "allow more connections (TIKI_POOL_SIZE), or wait for them longer (TIKI_POOL_WAIT); \
             nothing is lost: the same command goes on"
        }
        W::Slow(_) => {
            "is the server overloaded, or did somebody cancel the statement? Nothing is lost: run the \
             same command again, or allow a statement more time (TIKI_STATEMENT_TIMEOUT)"
        }
        W::Unwritable(_) => {
            "free some room on the server's disk, or point TIKI_DATABASE_URL at the primary and end \
             its read-only mode; nothing is lost: the same command goes on"
        }
        W::Io(_)
        | W::Full
        | W::ReadOnly(_)
        | W::Barred { .. }
        | W::FolderReadOnly(_)
        | W::Damaged(_)
        | W::Headless(_)
        | W::NetworkFileSystem(..) => return file_help(error),
        W::Denied(_) => {
            "name another user in TIKI_DATABASE_URL (or --database-url): to write it must own the \
             tables, to read it needs the rights that deploy/roles.sql gives"
        }
        W::Origin { .. } => {
            "one warehouse keeps one site: choose another with --data-dir or --database-url, or go \
             back to the settings with which this one was made (for the demo --demo-products)"
        }
        W::LargeBatch { .. } => {
            "nothing is lost: run the same command again with smaller batches (TIKI_BATCH)"
        }
        W::Patience(_) => "ask for less (LIMIT, a condition), or allow more with --timeout",
        W::AtWork { .. } => {
            "wait for it, or end its process (Ctrl-C finishes the batch in hand), then run the same \
             command again; of one that was killed on another machine the lease is over after half a \
             minute. `tiki runs` shows who is at work"
        }
        W::Fenced(_) => "nothing is lost: the other worker goes on",
        W::Authorities(..) => {
            "name a file of PEM certificates that this user may read, by its whole path, or leave sslrootcert \
             out: verify-full then asks the public authorities"
        }
        W::Address(..) => "write sqlite:<path> or postgres://user:password@host/crawl_data",
        W::Cleaned { .. } => "what was loaded of it stays; `tiki run` begins a new run",
        W::RunState { .. } => "`tiki runs` shows the state of every run",
        // A backup's help is its own.
        W::Schema(_) | W::Backup(_) => return None,
        W::Statement { .. } | W::Row(_) | W::Stored(_) => {
            "this is a bug of tiki or a warehouse that was changed by hand: please report it with \
             the lines above"
        }
    })
}

/// The same of a file and its folder on this machine.
fn file_help(error: &W) -> Option<&'static str> {
    Some(match error {
        W::Io(_) => {
            "is the disk full or failing (df -h, dmesg)? What was committed is kept: once it is well, \
             run the same command again"
        }
        W::Full => {
            "free some room or move the data folder (TIKI_DATA_DIR), then run the same command \
             again: it goes on where it stopped"
        }
        W::ReadOnly(_) => {
            "the folder must exist, be a folder and be writable by this user; another one is \
             chosen with --data-dir or TIKI_DATA_DIR"
        }
        W::Barred { .. } => {
            "every name on the way to it must be a folder that this user may enter, and the file one that \
             it may read: run tiki as the user whose warehouse it is, or choose another with --data-dir, \
             TIKI_DATA_DIR or TIKI_DATABASE_URL"
        }
        W::FolderReadOnly(_) => {
            "run tiki as the user whose warehouse it is, let this one write in the folder, or read what that \
             user gives away with `tiki export`; another folder is chosen with --data-dir or TIKI_DATA_DIR"
        }
        W::Damaged(_) => {
            "it is left as it is: put a backup in its place (`tiki backup restore`), or move the file \
             away to begin a new one"
        }
        W::Headless(_) => {
            "put the file back beside its log, if it was moved; else `tiki backup restore <id> --force` puts a \
             backup in its place and keeps the log beside it. To begin a new one, move the log away"
        }
        W::NetworkFileSystem(..) => {
            "choose a local folder (TIKI_DATA_DIR), or a PostgreSQL server (TIKI_DATABASE_URL)"
        }
        _ => return None,
    })
}

/// Whether the reader has gone away; who writes CSV or Parquet wraps the error that says so.
fn is_broken_pipe(error: &std::io::Error) -> bool {
    let mut causes = std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| {
        (*error).source()
    });
    causes.any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn machine_help(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::StorageFull | K::QuotaExceeded => "free some room, then run the same command again",
        K::PermissionDenied | K::ReadOnlyFilesystem => {
            "this user has not the rights for it: change them, or choose another place"
        }
        K::NotFound => "the folder does not exist: make it first, or choose another place",
        _ => "see the reason above; the same command may be tried again",
    }
}
