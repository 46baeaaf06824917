//! docs/SECURITY.md against what it names.

use super::{page, root};

/// The code spans of a cell.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_promise_names_where_it_lives_and_a_test_that_is_there() {
    let security = page("docs/SECURITY.md");
    let promises = security.lines().filter(|line| line.starts_with("| "));
    let promises =
        promises.filter(|line| !line.starts_with("| promise |") && !line.starts_with("| --- |"));
    let mut count = 0;
    for promise in promises {
        let cells: Vec<&str> = promise
            .trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        let [_, lives, shown] = cells.as_slice() else {
            panic!("three cells: {promise}");
        };
        for place in spans(lives)
            .into_iter()
            .filter(|place| place.contains(['/', '.']))
        {
            assert!(root().join(place).exists(), "{place}: {promise}");
        }
        let mut waiting = Vec::new();
        for name in spans(shown) {
            if name.contains('/') {
                let source = page(name);
                for test in waiting.drain(..) {
                    assert!(source.contains(&format!("fn {test}(")), "{test} in {name}");
                    count += 1;
                }
            } else if name.contains('_') {
                waiting.push(name);
            }
        }
        assert!(waiting.is_empty(), "{waiting:?} of no file: {promise}");
    }
    assert!(count >= 15, "{count} tests");
}

#[test]
fn what_is_deployed_is_built_by_lock_files() {
    let image = page("Dockerfile");
    let builds = image.lines().filter(|line| line.contains("cargo build"));
    let pips = image.lines().filter(|line| line.contains("pip install"));
    let (builds, pips): (Vec<_>, Vec<_>) = (builds.collect(), pips.collect());
    assert!(
        !builds.is_empty() && builds.iter().all(|line| line.contains(" --locked ")),
        "{builds:?}"
    );
    assert!(
        !pips.is_empty() && pips.iter().all(|line| line.contains(" --require-hashes ")),
        "{pips:?}"
    );
    let how = page("docs/DEPLOYMENT.md");
    let by_hand: Vec<_> = how
        .lines()
        .filter(|line| line.contains("cargo build"))
        .collect();
    assert!(
        !by_hand.is_empty() && by_hand.iter().all(|line| line.contains(" --locked ")),
        "{by_hand:?}"
    );
}
