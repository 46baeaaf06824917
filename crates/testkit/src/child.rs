//! A process that does not outlive its guard.

use std::io;
use std::process::{Child, Command, ExitStatus};

/// Kills its process (this one, by id) and reaps it when dropped.
///
/// Not its descendants, and not when the test process itself is killed.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
}

impl ChildGuard {
    /// Starts `command` under a guard.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self::new)
    }

    /// Guards a process that runs already.
    pub fn new(child: Child) -> Self {
        Self { child }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process, to read its pipes or to wait for it.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal by its name without `SIG` (`"INT"`, `"STOP"`), if it still runs.
    pub fn signal(&mut self, name: &str) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        signal(self.child.id(), name)
    }

    /// `kill -9`, and the status it ended with.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

impl From<Child> for ChildGuard {
    fn from(child: Child) -> Self {
        Self::new(child)
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // Both fail only for a process that is gone, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal, named without `SIG`, to a process that the caller started and has not reaped.
pub(crate) fn signal(id: u32, name: &str) -> io::Result<()> {
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id.to_string()])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "kill -s {name} {id} failed ({status})"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::ChildGuard;
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn a_guarded_process_ends_with_its_guard() {
        let guard = ChildGuard::spawn(Command::new("sleep").arg("60")).unwrap();
        let proc = format!("/proc/{}", guard.id());
        assert!(Path::new(&proc).exists());
        drop(guard);
        assert!(!Path::new(&proc).exists());
    }

    #[test]
    fn a_signal_reaches_a_guarded_process() {
        let mut guard = ChildGuard::spawn(Command::new("sleep").arg("60")).unwrap();
        guard.signal("TERM").unwrap();
        let status = guard.child().wait().unwrap();
        assert!(!status.success());
        guard.signal("TERM").unwrap();
    }
}
