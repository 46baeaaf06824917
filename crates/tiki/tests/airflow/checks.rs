//! What was checked, and what was seen.

use std::fmt::Debug;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) struct Checks {
    name: &'static str,
    begun: Instant,
    held: u32,
    failed: Vec<String>,
}

impl Checks {
    /// Of the check of this name.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            begun: Instant::now(),
            held: 0,
            failed: Vec::new(),
        }
    }

    /// A line that is no check.
    pub(crate) fn say(&self, text: &str) {
        println!(
            "{:>6.1} s         {text}",
            self.begun.elapsed().as_secs_f64()
        );
    }

    /// Something that must hold, and what was seen of it.
    pub(crate) fn holds(&mut self, what: &str, holds: bool, seen: impl Debug) {
        let word = if holds { "ok    " } else { "FAILED" };
        let mut shown = format!("{seen:?}");
        if let Some((at, _)) = shown.char_indices().nth(if holds { 160 } else { 4000 }) {
            shown.truncate(at);
            shown.push('…');
        }
        println!(
            "{:>6.1} s  {word} {what}: {shown}",
            self.begun.elapsed().as_secs_f64()
        );
        if holds {
            self.held += 1;
        } else {
            self.failed.push(what.to_owned());
        }
    }

    /// Two values that must be equal.
    pub(crate) fn equal<T: Debug + PartialEq>(&mut self, what: &str, seen: T, wanted: T) {
        if seen == wanted {
            self.holds(what, true, seen);
        } else {
            self.holds(what, false, (seen, "instead of", wanted));
        }
    }

    /// The last line, and how the program ends.
    pub(crate) fn sum(&self) -> ExitCode {
        let all = self.held as usize + self.failed.len();
        for what in &self.failed {
            println!("failed: {what}");
        }
        println!(
            "{}: {} of {all} hold, in {:.0} s",
            self.name,
            self.held,
            self.begun.elapsed().as_secs_f64()
        );
        if self.failed.is_empty() && all > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
