//! A COMMIT that is lost, or arrives late, or whose answer does: nothing is lost and nothing is twice.

use std::time::Duration;

use testkit::Fate;

use crate::bench::{Bench, STEPS};
use crate::runbook::Fault;

/// As docs/RUNBOOK.md shows them.
pub(crate) const FAULTS: [Fault; 5] = [
    ("a COMMIT never arrives", "0"),
    ("a COMMIT arrives after the connection was given up", "0"),
    (
        "a COMMIT is done and its connection lost before the answer",
        "0",
    ),
    ("the answer to a COMMIT is late", "0"),
    (
        "the answer to a COMMIT never comes, on a connection that stays open",
        "0",
    ),
];

const SOON: Duration = Duration::from_millis(700);

/// What can become of a COMMIT.
const FATES: [Fate; 5] = [
    Fate::Lost,
    Fate::Late(SOON),
    Fate::AnswerLost,
    Fate::AnswerLate(SOON),
    Fate::AnswerNever,
];

/// Runs a step of which one COMMIT meets its fate.
fn meets(bench: &Bench, step: usize, nth: u64, fate: Fate) {
    let what = format!("{}, COMMIT {nth}, {fate:?}", STEPS[step]);
    let mut case = bench.case(step);
    case.tiki = case
        .tiki
        .with("TIKI_LOCK_TIMEOUT", "10s")
        .with("TIKI_STATEMENT_TIMEOUT", "1s");
    bench.proxy.strike(nth, fate);
    let done = case.tiki.run(&["step", STEPS[step], "--run", "r"]);
    assert!(!done.err.contains("panicked"), "{what}: {done:#?}");
    assert!(bench.proxy.has_struck(), "{what}: never met");
    let begun = done.err.contains("begins");
    assert!(
        done.code == 0 || (done.code == 30 && !begun),
        "{what}: {done:#?}"
    );
    bench.recovers(&case, &what);
}

/// COMMITs that close the step and end its attempt; before them a batch is kept.
const CLOSING: u64 = 3;

#[test]
fn a_commit_of_unknown_end_is_neither_lost_nor_done_twice() {
    let bench = Bench::new(5);
    let load = 4;
    let nth = bench.commits[load] - CLOSING;
    for fate in [Fate::Late(SOON), Fate::AnswerLost] {
        meets(&bench, load, nth, fate);
    }
}

#[test]
#[ignore = "torture: every fate of every COMMIT of every step, for the better part of an hour"]
fn torture_every_commit_of_every_step_may_meet_every_fate() {
    let bench = Bench::new(9);
    let mut count = 0;
    for (step, commits) in bench.commits.iter().enumerate() {
        for nth in 0..*commits {
            // To wait for an answer that never comes takes seconds.
            for fate in FATES
                .into_iter()
                .filter(|fate| *fate != Fate::AnswerNever || nth % 5 == 1)
            {
                meets(&bench, step, nth, fate);
                count += 1;
            }
        }
    }
    assert!(
        count > 100,
        "{count} COMMITs were struck: {:?}",
        bench.commits
    );
}
