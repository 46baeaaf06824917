//! The table of metrics in docs/RUNBOOK.md against the program's own, and where the rules for Prometheus lead.

use crate::{between, page, slug};

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

#[test]
fn every_rule_leads_to_a_part_of_the_runbook() {
    let rules = page("deploy/prometheus/tiki.rules.yml");
    let runbook = page("docs/RUNBOOK.md");
    let titles = runbook.lines().filter(|line| line.starts_with('#'));
    let anchors: Vec<String> = titles.map(slug).collect();
    let links = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: "));
    let links: Vec<&str> = links.map(|link| link.trim_matches('"')).collect();
    assert_eq!(links.len(), rules.matches("- alert: ").count());
    for link in links {
        let anchor = link.strip_prefix("docs/RUNBOOK.md#");
        let leads = anchor.is_some_and(|anchor| anchors.iter().any(|known| known == anchor));
        assert!(leads, "{link}");
    }
    // What the rules repeat of defaults.
    let settings = page("docs/PARAMETERS.md");
    for (setting, default, rule) in [
        ("TIKI_MAX_RUN_AGE", "36h", "> 36 * 3600"),
        ("TIKI_MAX_REJECTED_PERCENT", "5", "> 0.05"),
    ] {
        let row = settings
            .lines()
            .find(|line| line.contains(&format!("| `{setting}`")));
        let is_so = row.is_some_and(|row| row.contains(&format!("| `{default}` |")));
        assert!(is_so && rules.contains(rule), "{setting}: {row:?}");
    }
}
