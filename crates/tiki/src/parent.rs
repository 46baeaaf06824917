//! Ending with the process that started this one, so that nobody works on where nobody looks.
//!
//! Not here: who works on a step when two do (`pipeline`, by attempts).

use pipeline::Exit;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::failure::{Failure, Outcome};

/// Lets this process be killed when its parent ends. To be called before other threads are started: the
/// wish belongs to the thread that says it.
pub(crate) fn die_with(parent: u32) -> Outcome<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| {
        Failure::machine("cannot tie this process to its parent", &error.into())
    })?;
    // It may have ended before it was said.
    let now = getppid().map(Pid::as_raw_nonzero);
    if now.is_some_and(|id| id.get().unsigned_abs() == parent) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Interrupted,
        format!("process {parent}, which was to be the parent of this one, is not"),
    )
    .help("it has ended, or --parent names another process"))
}
