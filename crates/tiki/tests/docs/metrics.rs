//! The table of metrics in docs/RUNBOOK.md against the program's own.

use crate::{between, page};

#[test]
fn the_page_has_every_metric_and_no_other() {
    let runbook = page("docs/RUNBOOK.md");
    let written = between(&runbook, "<!-- metrics: begin -->", "<!-- metrics: end -->");
    let table = pipeline::metrics::markdown();
    assert!(
        written == table,
        "put this into docs/RUNBOOK.md; its source is crates/pipeline/src/metrics/table.rs:\n{table}"
    );
}
