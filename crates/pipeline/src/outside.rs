//! Other programs: asked with a limit of time and of what they may say.
//!
//! Not here: what is asked.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// The most that is read of what it says.
const MAX_BYTES: u64 = 1 << 20;

/// What a program said that ended well within `patience`; else why it did not, in a line. It is looked for
/// on `PATH` and runs in `folder`, without a shell and without the variables `hidden`, which are not its business.
pub async fn ask(
    program: &str,
    arguments: &[&str],
    folder: &Path,
    patience: Duration,
    hidden: &[&str],
) -> Result<String, String> {
    let asked = timeout(patience, run(program, arguments, folder, hidden));
    let silent = |_| Err(format!("{program} did not answer in {patience:?}"));
    asked.await.unwrap_or_else(silent)
}

async fn run(
    program: &str,
    arguments: &[&str],
    folder: &Path,
    hidden: &[&str],
) -> Result<String, String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => format!("{program} is not installed"),
        _ => format!("cannot run {program}: {error}"),
    };
    let mut command = Command::new(program);
    for name in hidden {
        command.env_remove(name);
    }
    let mut child = command
        .args(arguments)
        .current_dir(folder)
        // In words that can be read, and without writing to what is looked at.
        .envs([("LC_ALL", "C"), ("GIT_OPTIONAL_LOCKS", "0")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read_out = async {
        match stdout {
            Some(stream) => stream.take(MAX_BYTES).read_to_end(&mut out).await,
            None => Ok(0),
        }
    };
    let read_err = async {
        match stderr {
            Some(stream) => stream.take(MAX_BYTES).read_to_end(&mut err).await,
            None => Ok(0),
        }
    };
    let (read_out, read_err) = tokio::join!(read_out, read_err);
    read_out.and(read_err).map_err(failed)?;
    let status = child.wait().await.map_err(failed)?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&out).into_owned());
    }
    let err = String::from_utf8_lossy(&err);
    let why = err.lines().map(str::trim).find(|line| !line.is_empty());
    let why: String = why
        .unwrap_or("it does not say why")
        .chars()
        .take(300)
        .collect();
    Err(format!("{program} failed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_answers_fails_or_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let hour = Duration::from_hours(1);
        let shell =
            async |text: &str| ask("sh", &["-c", text], folder.path(), hour, &["PWD"]).await;
        assert_eq!(shell("echo 1.2").await.as_deref(), Ok("1.2\n"));
        let failed = shell("echo; echo no >&2; exit 3").await;
        assert_eq!(failed, Err("sh failed: no".into()));
        let absent = ask("tiki-is-no-such-program", &[], folder.path(), hour, &[]).await;
        assert_eq!(
            absent,
            Err("tiki-is-no-such-program is not installed".into())
        );
        let much = shell("head -c 5000000 /dev/zero").await;
        assert!(much.is_err(), "more than is read is no answer");
        let short = Duration::from_millis(50);
        let slow = ask("sh", &["-c", "exec sleep 60"], folder.path(), short, &[]).await;
        assert_eq!(slow, Err("sh did not answer in 50ms".into()));
    }
}
