//! What the tests that failed said, kept from a test run's output so that the run can end with it.
//!
//! Not here: running the tests, and how stages are told.

/// No more tests than these are told whole; of the others only the name.
const TESTS: usize = 20;
/// The last lines of what a test said: the reason stands at the end.
const LINES: usize = 60;
/// Characters of a line.
const WIDTH: usize = 500;

/// The tests that failed so far, in the order of the output.
#[derive(Default)]
pub(crate) struct Failures {
    names: Vec<String>,
    said: Vec<(String, Vec<String>)>,
    /// The lines that come belong to the last of `said`.
    within: bool,
}

impl Failures {
    /// Takes the next line of what `cargo test` prints to its standard output.
    pub(crate) fn take(&mut self, line: &str) {
        if let Some(name) = between(line, "---- ", " stdout ----") {
            self.name(name);
            self.within = self.said.len() < TESTS;
            if self.within {
                self.said.push((name.to_owned(), Vec::new()));
            }
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.within = false;
        } else if let Some((_, lines)) = self.said.last_mut().filter(|_| self.within) {
            if lines.len() == LINES {
                lines.remove(0);
            }
            lines.push(line.chars().take(WIDTH).collect());
        } else if let Some(name) = between(line, "test ", " ... FAILED") {
            self.name(name);
        }
    }

    fn name(&mut self, name: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// The lines that tell each failed test with the end of what it said; nothing where none failed.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (name, lines) in &self.said {
            told.push(format!("---- {name}, the end of what it said ----"));
            told.extend_from_slice(lines);
        }
        if !self.names.is_empty() {
            told.push(format!("failed tests: {}", self.names.join(", ")));
        }
        told
    }
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.strip_suffix(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> String {
        let mut failures = Failures::default();
        for line in lines {
            failures.take(line);
        }
        failures.told().join("\n")
    }

    #[test]
    fn a_run_without_failures_tells_none() {
        assert_eq!(of(&["test a ... ok", "", "test result: ok. 1 passed"]), "");
    }

    #[test]
    fn each_failed_test_is_told_with_what_it_said() {
        let told = of(&[
            "running 3 tests",
            "test b::one ... FAILED",
            "test b::two ... ok",
            "test c ... FAILED",
            "",
            "failures:",
            "",
            "---- b::one stdout ----",
            "left: 1",
            "test of nothing ... FAILED",
            "---- c stdout ----",
            "right: 2",
            "",
            "failures:",
            "    b::one",
            "    c",
            "",
            "test result: FAILED. 1 passed; 2 failed",
            "running 1 test of the next program",
        ]);
        let expected = "---- b::one, the end of what it said ----\nleft: 1\ntest of nothing ... FAILED\n\
                        ---- c, the end of what it said ----\nright: 2\n\nfailed tests: b::one, c";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_test_that_said_much_is_told_by_its_end_and_of_many_only_the_names() {
        let mut failures = Failures::default();
        for test in 0..TESTS + 5 {
            failures.take(&format!("---- t{test} stdout ----"));
            for line in 0..LINES * 3 {
                failures.take(&format!("line {line}.{}", "x".repeat(WIDTH * 2)));
            }
        }
        let told = failures.told().join("\n");
        assert!(told.contains(&format!("line {}.", LINES * 3 - 1)));
        assert!(!told.contains(&format!("line {}.", LINES * 2 - 1)));
        assert!(told.contains(&format!("t{}", TESTS + 4)));
        assert!(told.len() < TESTS * (LINES + 2) * (WIDTH + 1) + 1_000);
    }

    #[test]
    fn a_test_whose_words_were_not_captured_is_named() {
        assert_eq!(of(&["test d ... FAILED"]), "failed tests: d");
    }
}
