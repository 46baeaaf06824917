//! Who is on call finds a place for everything in docs/RUNBOOK.md.

use std::collections::BTreeSet;

use pipeline::Exit;
use pipeline::alerts::KINDS;

use super::{between, page};

/// The kinds of alerts that the program tells, but for those of exit codes.
fn kinds() -> BTreeSet<String> {
    let kinds: BTreeSet<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    let schema = page("crates/warehouse/schema.toml");
    let line = schema
        .lines()
        .find(|line| line.contains("`exit-<code>`"))
        .expect("the kinds");
    let described = line
        .split('`')
        .skip(1)
        .step_by(2)
        .skip(1)
        .map(str::to_owned);
    assert_eq!(kinds, described.collect(), "the kinds in schema.toml");
    kinds
}

#[test]
fn every_alert_and_exit_code_has_a_place_for_who_is_on_call() {
    let codes = (0..=255).filter(|code| Exit::from_code((*code).into()).code() == *code);
    let mut expected: BTreeSet<String> = codes.map(|code: u8| code.to_string()).collect();
    expected.extend(kinds());
    let runbook = page("docs/RUNBOOK.md");
    let table = between(&runbook, "<!-- on call: begin -->", "<!-- on call: end -->");
    let mut found = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        for name in cells[0].split('`').skip(1).step_by(2) {
            assert!(found.insert(name.to_owned()), "{name} twice");
        }
    }
    assert_eq!(found, expected, "the table of `On call` in docs/RUNBOOK.md");
    // What a kind means stands in its own table.
    let (_, alerts) = runbook.split_once("\n## Alerts\n").expect("the alerts");
    let alerts = alerts.split("\n## ").next().expect("their section");
    for kind in kinds() {
        assert!(alerts.contains(&format!("`{kind}`")), "{kind} in Alerts");
    }
}
