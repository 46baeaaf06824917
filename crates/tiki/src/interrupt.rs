//! Ctrl-C and SIGTERM: the first says stop, the second ends at once.

use pipeline::{Exit, Stop};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::screen::Screen;

/// Listens from now on, for a command that works in batches.
pub(crate) fn listen(stop: Stop, screen: Screen) -> Result<(), Failure> {
    let said = "stopping after the batch in hand (Ctrl-C again ends at once)";
    listen_saying(stop, screen, said)
}

/// The same; `said` is shown the first time.
pub(crate) fn listen_saying(stop: Stop, screen: Screen, said: &'static str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::machine("cannot listen for signals", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        screen.always(said);
        stop.say();
        either(&mut interrupt, &mut terminate).await;
        end_at_once();
    });
    Ok(())
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[allow(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "a person asked twice"
)]
fn end_at_once() -> ! {
    std::process::exit(Exit::Interrupted.code().into())
}
