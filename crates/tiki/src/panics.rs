//! A panic is a bug: it is told like any other failure, without secrets, and ends with exit code 70.

use std::backtrace::{Backtrace, BacktraceStatus};

use crate::log::TO_FILES;
use crate::screen::Screen;
use crate::secret::masked;

/// Tells panics of every thread from here on.
pub(crate) fn tell(screen: &Screen) {
    let screen = screen.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name");
        let place = panic.location().map_or(String::new(), ToString::to_string);
        let what = panic.payload_as_str().unwrap_or("no text");
        tracing::error!(target: TO_FILES, thread, place, "panicked: {what}");
        // As RUST_BACKTRACE wants it.
        let trace = Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => format!("\n{trace}"),
            _ => String::new(),
        };
        let what = masked(what);
        screen.error(&format!(
            "thread '{thread}' panicked at {place}:\n{what}{trace}"
        ));
    }));
}

/// Panics where a test of a build for tests wants to see what a panic says.
pub(crate) fn by_a_test() {
    #[cfg(debug_assertions)]
    if let Some(words) = std::env::var_os("TIKI_TEST_PANIC") {
        panic!("{}", words.to_string_lossy());
    }
}
