//! The pre-deployment checklist as a program: its sections in its order, what each line found, and what
//! follows from all of them.
//!
//! A module decides for a group of sections: facts in, lines out, nothing is looked at. Looking that needs
//! no environment and no other program is in `figures`.
//!
//! Not here: looking at the project's folder, Docker, Airflow and servers, and showing the report (`tiki`).

pub mod after;
pub mod airflow;
pub mod channels;
pub mod environment;
pub mod figures;
pub mod project;
pub mod servers;
pub mod trial;

use serde::Serialize;

use crate::{Check, Exit, State};

/// A section of the checklist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Section {
    /// Its number there.
    pub number: u8,
    /// Its title there.
    pub title: &'static str,
}

/// Up to this section a failed line blocks a deployment.
pub const LAST_CRITICAL: u8 = 17;

const fn section(number: u8, title: &'static str) -> Section {
    Section { number, title }
}

/// All of them, in the checklist's order.
pub const SECTIONS: [Section; 25] = [
    section(1, "Environment setup"),
    section(2, "Configuration files"),
    section(3, "Repository state"),
    section(4, "Module checks"),
    section(5, "File structure"),
    section(6, "DAG validation"),
    section(7, "Docker services"),
    section(8, "Database connectivity"),
    section(9, "Redis connectivity"),
    section(10, "Airflow web UI"),
    section(11, "Airflow variables"),
    section(12, "Database indexes"),
    section(13, "Enable DAG"),
    section(14, "Test run (small scale)"),
    section(15, "Verify test results"),
    section(16, "Check XCom data"),
    section(17, "Performance validation"),
    section(18, "Resource monitoring"),
    section(19, "Scale to production settings"),
    section(20, "Backup strategy"),
    section(21, "Logging setup"),
    section(22, "Health checks"),
    section(23, "Alert configuration"),
    section(24, "Team handoff"),
    section(25, "Rollback plan"),
];

/// What is looked at after a deployment.
pub const AFTER: Section = section(26, "Post-Deployment");

/// What only people can do after a deployment.
pub const PEOPLE_AFTER: [(&str, &str); 2] = [
    ("post-deployment", "issues are written down"),
    (
        "post-deployment",
        "the team knows what became faster (docs/BENCHMARKS.md)",
    ),
];

/// What only people can tick: the section, and what.
pub const PEOPLE: [(&str, &str); 8] = [
    (
        "§3",
        "the right branch is deployed, with the latest changes pulled",
    ),
    ("§24", "the team has read docs/DEPLOYMENT.md"),
    (
        "§24",
        "the team has read docs/OPTIMIZATIONS.md, and docs/adr for why it is so",
    ),
    (
        "§24",
        "the team knows docs/RUNBOOK.md, the runbook for common issues",
    ),
    ("§24", "somebody is on call"),
    ("§25", "the way back was tried (docs/CHECKLIST.md, 25)"),
    (
        "sign-off",
        "team and stakeholders agree; date, time, deployment lead and backup operator are named",
    ),
    (
        "sign-off",
        "somebody looks for 24 hours (`tiki preflight --after-deploy`)",
    ),
];

/// A line of the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// The section's number.
    #[serde(skip)]
    pub section: u8,
    /// What was found.
    #[serde(flatten)]
    pub check: Check,
}

/// What follows from the lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing failed.
    Ready,
    /// Something failed that is not critical.
    NeedsFixes,
    /// Something critical failed.
    Blocked,
}

impl Verdict {
    /// Of lines.
    pub fn of(lines: &[Line]) -> Self {
        let failed = lines
            .iter()
            .filter(|line| line.check.state == State::Failed);
        match failed.map(|line| line.section).min() {
            None => Self::Ready,
            Some(section) if section <= LAST_CRITICAL => Self::Blocked,
            Some(_) => Self::NeedsFixes,
        }
    }

    /// As the checklist writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::NeedsFixes => "Needs Fixes",
            Self::Blocked => "Blocked",
        }
    }

    /// How the command ends.
    pub fn exit(self) -> Exit {
        match self {
            Self::Ready => Exit::Done,
            Self::NeedsFixes => Exit::NeedsFixes,
            Self::Blocked => Exit::Blocked,
        }
    }
}

/// The same line of every section that can say nothing.
pub fn skipped(name: &'static str, why: impl Into<String>) -> Check {
    Check::new(name, State::Skipped, why)
}

fn passed(name: &'static str, seen: impl Into<String>) -> Check {
    Check::new(name, State::Ok, seen)
}

fn warning(name: &'static str, seen: impl Into<String>) -> Check {
    Check::new(name, State::Warning, seen)
}

/// The report's exit code is its verdict's, whatever failed.
fn failed(name: &'static str, seen: impl Into<String>) -> Check {
    Check::failed(name, Exit::NeedsFixes, seen)
}

/// Bad where it matters, else worth a look.
fn failed_if(critical: bool, name: &'static str, seen: impl Into<String>) -> Check {
    if critical {
        failed(name, seen)
    } else {
        warning(name, seen)
    }
}

/// The first version in a text: its two leading numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let begins = text.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = text[begins..].split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next().and_then(|text| text.parse().ok());
    Some((major, minor.unwrap_or(0)))
}

#[cfg(test)]
mod tests;
