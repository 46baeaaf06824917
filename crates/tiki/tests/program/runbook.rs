//! Faults of the warehouse as docs/RUNBOOK.md shows them.

use std::path::Path;

use crate::{commits, file_failures, silent_servers, troubles};

const BEGIN: &str = "<!-- warehouse faults: begin -->";
const END: &str = "<!-- warehouse faults: end -->";

/// What happens, and how the step ends.
pub(crate) type Fault = (&'static str, &'static str);

pub(crate) const IN_TIME: &str = "0, when it ends within the patience; else 30";

fn markdown() -> String {
    let mut lines = vec!["| fault | exit |".to_owned(), "| --- | --- |".to_owned()];
    let all = [
        &troubles::FAULTS[..],
        &commits::FAULTS,
        &silent_servers::FAULTS,
        &file_failures::FAULTS,
    ];
    for (fault, exit) in all.concat() {
        lines.push(format!("| {fault} | {exit} |"));
    }
    lines.join("\n")
}

#[test]
fn the_runbook_shows_the_faults_of_the_warehouse() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/RUNBOOK.md");
    let runbook = std::fs::read_to_string(path).expect("the runbook");
    let (_, rest) = runbook.split_once(BEGIN).expect("where the table begins");
    let (shown, _) = rest.split_once(END).expect("where it ends");
    let expected = markdown();
    assert_eq!(
        shown.trim(),
        expected,
        "put this between the marks:\n{expected}"
    );
}
