//! The table of metrics in docs/RUNBOOK.md against the program's own, and where the rules for Prometheus lead.

use pipeline::metrics::METRICS;

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

/// While a step is tried again its code is that of what failed before, so a rule about it must not speak of a run
/// at work.
#[test]
fn no_rule_takes_a_retry_for_a_failure() {
    const CODE: &str = "tiki_run_step_exit_code";
    const BUT: &str = " unless ignoring (step) tiki_run_at_work == 1";
    let labels = |name| {
        METRICS
            .iter()
            .find(|known| known.name == name)
            .expect(name)
            .labels
    };
    assert_eq!(labels(CODE), ["step"]);
    assert!(labels("tiki_run_at_work").is_empty());
    let rules = page("deploy/prometheus/tiki.rules.yml");
    let about = rules
        .lines()
        .filter(|line| line.contains("expr: ") && line.contains(CODE));
    let mut count = 0;
    for line in about {
        // `unless` binds tighter than `or`: what it does not take in is not left out.
        let (before, _) = line.split_once(BUT).expect(line);
        let left_out = match before.strip_suffix(')') {
            Some(within) => within.rsplit('(').next(),
            None => before.rsplit(['(', ':']).next(),
        };
        let left_out = left_out.expect("what it takes in");
        assert!(
            before.ends_with(')') || !left_out.contains(" or "),
            "{line}"
        );
        assert_eq!(
            left_out.matches(CODE).count(),
            line.matches(CODE).count(),
            "{line}"
        );
        count += 1;
    }
    assert_eq!(count, 2, "rules about steps");
}
