//! The report for people and machines.

use pipeline::preflight::{AFTER, Line, SECTIONS, Section, Verdict};
use pipeline::{Check, Exit, State};
use serde_json::{Value, json};

use crate::print;

/// Lines, and what follows from them.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lines: Vec<Line>,
    pub(super) verdict: Verdict,
    /// What only people can tick.
    pub(super) people: &'static [(&'static str, &'static str)],
}

impl Report {
    pub(super) fn new(lines: Vec<Line>, people: &'static [(&'static str, &'static str)]) -> Self {
        let verdict = Verdict::of(&lines);
        Self {
            lines,
            verdict,
            people,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.verdict.exit()
    }

    /// The sections that have lines, with them.
    pub(super) fn sections(&self) -> Vec<(Section, Vec<&Check>)> {
        let of = |section: &Section| {
            let lines = self.lines.iter();
            let lines = lines.filter(|line| line.section == section.number);
            (*section, lines.map(|line| &line.check).collect::<Vec<_>>())
        };
        let all = SECTIONS.iter().chain([&AFTER]).map(of);
        all.filter(|(_, checks)| !checks.is_empty()).collect()
    }

    /// How many lines there are of each state.
    pub(super) fn counts(&self) -> String {
        let states = [State::Ok, State::Warning, State::Failed, State::Skipped];
        let counts = states.map(|state| {
            let lines = self.lines.iter();
            let count = lines.filter(|line| line.check.state == state).count();
            format!("{count} {}", state.as_str())
        });
        counts.join(", ")
    }

    pub(super) fn as_json(&self) -> Value {
        let sections = self.sections().into_iter().map(|(section, checks)| {
            json!({ "number": section.number, "title": section.title, "checks": checks })
        });
        json!({
            "verdict": self.verdict.as_str(),
            "exit_code": self.exit().code(),
            "sections": sections.collect::<Vec<_>>(),
            "people": self
                .people
                .iter()
                .map(|(section, what)| json!({ "section": section, "what": what }))
                .collect::<Vec<_>>(),
        })
    }

    pub(super) fn as_text(&self) -> String {
        let mut text = String::new();
        for (section, checks) in self.sections() {
            text += &format!("{}. {}\n", section.number, section.title);
            let rows: Vec<Vec<String>> = checks.iter().map(|check| cells(check)).collect();
            let table = print::table(&["what", "state", "seen"], &rows);
            // The sections have the same columns: their heads would only repeat each other.
            for line in table.lines().skip(1) {
                text += &format!("  {line}\n");
            }
            for check in checks {
                if let Some(help) = &check.help {
                    text += &format!("    {}: {help}\n", check.name);
                }
            }
        }
        text += "\nFor people\n";
        for (section, what) in self.people {
            text += &format!("  [ ] {section}: {what}\n");
        }
        text += &format!("\n{}: {}\n", self.verdict.as_str(), self.counts());
        text
    }
}

fn cells(check: &Check) -> Vec<String> {
    // The limit stands behind what was seen: a long text would move a column of its own far away.
    let limit = check
        .limit
        .as_ref()
        .map(|limit| format!(" (limit: {limit})"));
    vec![
        check.name.to_owned(),
        check.state.as_str().to_owned(),
        check.seen.clone() + &limit.unwrap_or_default(),
    ]
}
