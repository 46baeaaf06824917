//! Standard error, where people read along. It may be a terminal with bars.
//!
//! Not here: results, which go to standard output (`print`).

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use catalog::{harmless, one_line};
use indicatif::MultiProgress;

use crate::failure::Failure;
use crate::log::TO_FILES;
use crate::secret::masked;

/// Where notes go; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Screen(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bars: Option<MultiProgress>,
    quiet: bool,
    color: bool,
}

impl Screen {
    /// Standard error as it is.
    pub(crate) fn new(quiet: bool, color: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = (terminal && !quiet).then(MultiProgress::new);
        Self(Arc::new(Inner {
            bars,
            quiet,
            color: color && terminal,
        }))
    }

    /// The bars, on a terminal.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.0.bars.as_ref()
    }

    /// Whether `--quiet` was said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.quiet
    }

    /// A line that `--quiet` leaves out.
    pub(crate) fn say(&self, line: &str) {
        tracing::info!(target: TO_FILES, "{line}");
        self.show(line);
    }

    /// The same of something that is logged elsewhere.
    pub(crate) fn show(&self, line: &str) {
        if !self.0.quiet {
            self.write_line(line);
        }
    }

    /// After a table for people: as many rows came as may, so there may be more; `how` shows them.
    pub(crate) fn say_if_cut(&self, rows: usize, limit: i64, how: &str) {
        if i64::try_from(rows) == Ok(limit) {
            self.say(&format!("the first {limit}; {how} shows more"));
        }
    }

    /// A line.
    pub(crate) fn always(&self, line: &str) {
        tracing::info!(target: TO_FILES, "{line}");
        self.write_line(line);
    }

    /// A line about something that went wrong and was survived.
    pub(crate) fn warn(&self, line: &str) {
        tracing::warn!(target: TO_FILES, "{line}");
        self.warn_unlogged(line);
    }

    /// The same where no log is.
    pub(crate) fn warn_unlogged(&self, line: &str) {
        let label = self.painted("33", "warning:");
        self.write(&format!("{label} {}\n", harmless(&masked(line))));
    }

    /// What ended the command, in words without secrets.
    pub(crate) fn fail(&self, failure: &Failure) {
        self.error(&format!("{failure}\n exit: {}", failure.exit.code()));
    }

    /// The same of a failure that is words alone.
    pub(crate) fn error(&self, text: &str) {
        let label = self.painted("1;31", "error:");
        self.write(&format!("{label} {}\n", harmless(text)));
    }

    fn write_line(&self, line: &str) {
        self.write(&format!("{}\n", harmless(&masked(line))));
    }

    /// A text as it is, between the bars.
    fn write(&self, text: &str) {
        // Where standard error cannot be written there is nobody to tell.
        let put = || drop(std::io::stderr().lock().write_all(text.as_bytes()));
        match &self.0.bars {
            Some(bars) => bars.suspend(put),
            None => put(),
        }
    }

    fn painted(&self, code: &str, word: &str) -> String {
        if self.0.color {
            format!("\u{1b}[{code}m{word}\u{1b}[0m")
        } else {
            word.to_owned()
        }
    }
}

/// Log lines on their way to the screen, one at a time.
#[derive(Debug)]
pub(crate) struct LogLine {
    screen: Screen,
    bytes: Vec<u8>,
}

impl LogLine {
    /// An empty one.
    pub(crate) fn new(screen: Screen) -> Self {
        Self {
            screen,
            bytes: Vec::new(),
        }
    }
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        // One event: what it quotes may have lines of its own, and must not look like another.
        let text = masked(String::from_utf8_lossy(&self.bytes).trim_end());
        let text = one_line(&text, usize::MAX);
        self.screen.write(&format!("{text}\n"));
    }
}
