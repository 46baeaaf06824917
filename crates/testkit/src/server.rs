//! A server process in a folder of its own, both gone when the test process is.

use crate::child::ChildGuard;
use crate::error::{ServerError, io_error};
use crate::wait::holds_within;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the test process is gone (its end of stdin closes), then ends the server and
/// removes its folder. The process is believed to be the server only if it works in that folder.
const KEEPER: &str = r#"
folder=$1 work=$2 pid_file=$3 signal=$4
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$pid_file" 2>/dev/null)
alive() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$work" ]; }
alive && kill -s "$signal" "$pid" && kill -s CONT "$pid"
turns=0
while alive && [ $turns -lt 100 ]; do sleep 0.05; turns=$((turns + 1)); done
alive && kill -s KILL "$pid"
rm -rf "$folder"
"#;

/// The folder of a server, and the process that cleans up after it.
#[derive(Debug)]
struct Keeper {
    process: Child,
}

impl Keeper {
    fn start(folder: &Path, plan: &Plan) -> Result<Self, ServerError> {
        let process = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .args([folder, &plan.work, &plan.pid_file])
            .arg(plan.end_signal)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(io_error("start a shell to end the server after the test"))?;
        Ok(Self { process })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// How a server is run; the same every time it is started again.
pub(crate) struct Plan {
    /// Its name in messages.
    pub(crate) program: &'static str,
    /// Makes the command; stdin, output and process group are set here.
    pub(crate) command: Box<dyn Fn() -> Command + Send + Sync>,
    /// The folder in which the server works (it changes into it).
    pub(crate) work: PathBuf,
    /// The file whose first line is the server's process id.
    pub(crate) pid_file: PathBuf,
    /// The signal that ends it quickly, named without `SIG`.
    pub(crate) end_signal: &'static str,
    /// Whether the process with this id answers.
    pub(crate) answers: Box<dyn Fn(u32) -> bool + Send + Sync>,
}

/// A running (or, between two calls, stopped) server.
pub(crate) struct Server {
    // Dropped in this order: the keeper ends the server, the guard reaps it.
    _keeper: Keeper,
    process: Option<ChildGuard>,
    folder: PathBuf,
    plan: Plan,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.process.as_ref().map(ChildGuard::id);
        formatter
            .debug_struct(self.plan.program)
            .field("id", &id)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server in `folder`, which from now on is removed with it.
    pub(crate) fn start(folder: PathBuf, plan: Plan) -> Result<Self, ServerError> {
        let keeper = Keeper::start(&folder, &plan)?;
        let mut server = Self {
            _keeper: keeper,
            process: None,
            folder,
            plan,
        };
        server.launch()?;
        Ok(server)
    }

    /// Starts it again where it stopped; a server that still runs is a mistake of the test.
    pub(crate) fn launch(&mut self) -> Result<(), ServerError> {
        assert!(
            self.process.is_none(),
            "{} still runs: stop it first",
            self.plan.program
        );
        // Whoever was killed may leave its port or its memory to the system for a moment.
        let mut outcome = self.launch_once();
        for _ in 0..20 {
            if !matches!(outcome, Err(ServerError::Failed { .. })) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            outcome = self.launch_once();
        }
        outcome
    }

    fn launch_once(&mut self) -> Result<(), ServerError> {
        let program = self.plan.program;
        let path = self.log_path();
        let log = File::create(&path).map_err(io_error(format!("write {}", path.display())))?;
        let errors = log.try_clone().map_err(io_error("share a log file"))?;
        let mut command = (self.plan.command)();
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let spawned = ChildGuard::spawn(&mut command);
        let mut process = spawned.map_err(io_error(format!("start {program}")))?;
        let mut ended = None;
        let answered = holds_within(PATIENCE, || {
            ended = process.child().try_wait().ok().flatten();
            ended.is_some() || (self.plan.answers)(process.id())
        });
        if let Some(status) = ended {
            let status = status.to_string();
            let output = self.log_end();
            return Err(ServerError::Failed {
                program: program.to_owned(),
                status,
                output,
            });
        }
        if !answered {
            let (folder, output) = (self.folder.clone(), self.log_end());
            return Err(ServerError::Silent {
                program,
                folder,
                limit_s: PATIENCE.as_secs(),
                output,
            });
        }
        self.process = Some(process);
        Ok(())
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&mut self, name: &str) {
        let program = self.plan.program;
        let process = self
            .process
            .as_mut()
            .unwrap_or_else(|| panic!("{program} is stopped"));
        process
            .signal(name)
            .unwrap_or_else(|error| panic!("{program}: {error}"));
    }

    /// Sends a signal that ends the server, and waits until it has; nothing to do if it is stopped.
    pub(crate) fn end(&mut self, name: &str) -> Option<ExitStatus> {
        let program = self.plan.program;
        let process = self.process.as_mut()?;
        process
            .signal(name)
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut status = None;
        let ended = holds_within(PATIENCE, || {
            status = process.child().try_wait().ok().flatten();
            status.is_some()
        });
        assert!(
            ended,
            "{program} goes on {PATIENCE:?} after SIG{name}: {}",
            self.log_end()
        );
        self.process = None;
        status
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn log_end(&self) -> String {
        let text = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
        if text.trim().is_empty() {
            "(it said nothing)".to_owned()
        } else {
            text.trim().to_owned()
        }
    }
}

/// A new empty folder in the system's temporary folder. The caller sees to its removal.
pub(crate) fn new_folder(name: &str) -> Result<PathBuf, ServerError> {
    let folder = tempfile::Builder::new()
        .prefix(&format!("tiki-test-{name}-"))
        .tempdir();
    let folder = folder.map_err(io_error("make a temporary folder"))?.keep();
    folder
        .canonicalize()
        .map_err(io_error("find a temporary folder"))
}

/// The first folder of PATH that has `program`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Runs a short command to its end; its output is in the error if it fails.
pub(crate) fn run(program: &str, command: &mut Command) -> Result<String, ServerError> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(io_error(format!("run {program}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let said = format!(
        "{} {}",
        text.trim(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let status = output.status.to_string();
    Err(ServerError::Failed {
        program: program.to_owned(),
        status,
        output: said,
    })
}
