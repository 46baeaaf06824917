//! Every line where it passes and where it does not: facts and the state that follows.

mod after;
mod airflow;
mod environment;
mod project;
mod servers;
mod trial;

use super::*;
use State::{Failed, Ok as Fine, Skipped, Warning};

/// The line of a name.
fn line<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    let mut all = checks.iter();
    all.find(|check| check.name == name).expect(name)
}

/// A line that is not well says what to do.
fn assert_state(check: &Check, expected: State, what: &str) {
    assert_eq!(check.state, expected, "{what}: {check:?}");
    let bad = matches!(expected, Warning | Failed);
    assert_eq!(check.help.is_some(), bad, "{what}: {check:?}");
}

fn lines(found: &[(u8, State)]) -> Vec<Line> {
    let line = |(section, state): &(u8, State)| Line {
        section: *section,
        check: Check::new("x", *state, "seen"),
    };
    found.iter().map(line).collect()
}

#[test]
fn a_verdict_is_that_of_the_worst_line() {
    for (found, expected, code) in [
        (&[] as &[(u8, State)], Verdict::Ready, 0),
        (&[(1, Fine), (9, Skipped), (20, Warning)], Verdict::Ready, 0),
        (&[(17, Warning), (18, Failed)], Verdict::NeedsFixes, 3),
        (&[(17, Failed), (1, Fine)], Verdict::Blocked, 4),
        (&[(25, Failed), (1, Failed)], Verdict::Blocked, 4),
    ] {
        let verdict = Verdict::of(&lines(found));
        assert_eq!(verdict, expected, "{found:?}");
        assert_eq!(verdict.exit().code(), code, "{found:?}");
    }
}

#[test]
fn the_sections_are_numbered_as_they_stand() {
    for (index, section) in SECTIONS.iter().enumerate() {
        assert_eq!(usize::from(section.number), index + 1, "{section:?}");
    }
}

#[test]
fn a_version_is_its_two_leading_numbers() {
    for (text, expected) in [
        ("28.2.2\n", Some((28, 2))),
        ("v2.29", Some((2, 29))),
        ("Python 3.11.2", Some((3, 11))),
        ("27-rc", Some((27, 0))),
        ("none", None),
        ("", None),
    ] {
        assert_eq!(version(text), expected, "{text:?}");
    }
}
