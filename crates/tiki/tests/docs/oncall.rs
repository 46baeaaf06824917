//! Who is on call finds a place for everything in docs/RUNBOOK.md.

use std::collections::BTreeSet;

use pipeline::Exit;
use pipeline::alerts::KINDS;

use super::{between, page, told};

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

/// Commands of which no form changes anything beyond a file that it is told to write.
const READING: [&str; 13] = [
    "plan",
    "categories",
    "products",
    "errors",
    "export",
    "sql",
    "health",
    "schema",
    "config",
    "storefront",
    "digest",
    "completions",
    "help",
];

#[test]
fn every_command_that_writes_is_named() {
    let runbook = page("docs/RUNBOOK.md");
    let named = between(&runbook, "<!-- writing: begin -->", "<!-- writing: end -->");
    let named = named.split_whitespace().collect::<Vec<_>>().join(" ");
    let help = told(&["--help"]);
    let (_, commands) = help.split_once("Commands:").expect("the commands");
    let (commands, _) = commands.split_once("\nOptions:").expect("their end");
    let names = commands.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        let name = name.split(' ').next()?;
        (!name.is_empty()).then_some(name)
    });
    let names: Vec<&str> = names.collect();
    assert!(names.len() > READING.len(), "{names:?}");
    for name in names {
        let writes = !READING.contains(&name);
        assert_eq!(named.contains(&format!("`tiki {name}")), writes, "{name}");
    }
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
