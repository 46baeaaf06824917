//! The report as one page of HTML that needs nothing besides. Every text is escaped.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use pipeline::Check;
use pipeline::preflight::Verdict;

use super::report::Report;
use crate::export::beside::Beside;
use crate::failure::{Failure, Outcome};

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1d2530 }
h2 { font-size: 1rem; margin: 1.6rem 0 .3rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem; border-top: 1px solid #dde2e8; font-weight: 400 }
th { width: 12rem; font-family: ui-monospace, monospace; font-size: .9em }
td.state { width: 5rem; font-weight: 600 }
td.limit { width: 14rem; color: #5a6675 }
.ok { color: #17692f } .warning { color: #8a5a00 } .failed { color: #b3261e } .skipped { color: #5a6675 }
.help { color: #5a6675 }
";

/// Writes it beside the file and puts it in its place when it is whole.
pub(super) fn write(report: &Report, path: &Path, at: Timestamp) -> Outcome<()> {
    let text = page(report, at).into_string();
    let written = Beside::new(path).and_then(|beside| {
        let mut file = beside.create()?;
        file.write_all(catalog::harmless(&text).as_bytes())?;
        file.sync_all()?;
        beside.rename()
    });
    written.map_err(|error| Failure::machine(format!("cannot write {}", path.display()), &error))
}

fn page(report: &Report, at: Timestamp) -> Markup {
    let class = match report.verdict {
        Verdict::Ready => "ok",
        Verdict::NeedsFixes => "warning",
        Verdict::Blocked => "failed",
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "tiki preflight: " (report.verdict.as_str()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Pre-deployment checklist: " span.(class) { (report.verdict.as_str()) } }
                p { (report.counts()) ". " (at.strftime("%Y-%m-%d %H:%M:%S UTC")) }
                @for (section, checks) in report.sections() {
                    h2 { (section.number) ". " (section.title) }
                    table { @for check in checks { (row(check)) } }
                }
                h2 { "For people" }
                ul { @for (section, what) in report.people { li { (section) ": " (what) } } }
            }
        }
    }
}

fn row(check: &Check) -> Markup {
    let state = check.state.as_str();
    html! {
        tr {
            th scope="row" { (check.name) }
            td.state.(state) { (state) }
            td {
                (check.seen)
                @if let Some(help) = &check.help { div.help { (help) } }
            }
            td.limit { (check.limit.as_deref().unwrap_or("")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::State;
    use pipeline::preflight::{Line, PEOPLE};

    use super::*;

    #[test]
    fn every_text_is_escaped() {
        let bad = "<script>alert(1)</script>";
        let check = Check::new("x", State::Warning, bad).help(bad).limit(bad);
        let lines = vec![Line { section: 8, check }];
        let text = page(&Report::new(lines, &PEOPLE), Timestamp::UNIX_EPOCH).into_string();
        assert!(!text.contains("<script"), "{text}");
        assert_eq!(text.matches("&lt;script&gt;").count(), 3, "{text}");
        assert!(text.contains("1970-01-01 00:00:00 UTC"), "{text}");
    }
}
