//! The table as docs/RUNBOOK.md shows it.

use std::path::Path;

use crate::table::TABLE;

const BEGIN: &str = "<!-- faults: begin -->";
const END: &str = "<!-- faults: end -->";

fn markdown() -> String {
    let mut lines = vec![
        "| fault | exit | loaded |".to_owned(),
        "| --- | --- | --- |".to_owned(),
    ];
    for row in TABLE {
        let words = row.loaded.words();
        lines.push(format!("| {} | {} | {words} |", row.fault, row.exit));
    }
    lines.join("\n")
}

#[test]
fn the_runbook_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/RUNBOOK.md");
    let runbook = std::fs::read_to_string(path).expect("the runbook");
    let (_, rest) = runbook.split_once(BEGIN).expect("where the table begins");
    let (shown, _) = rest.split_once(END).expect("where it ends");
    assert_eq!(
        shown.trim(),
        markdown().trim(),
        "put this between the marks:\n{}",
        markdown()
    );
}
