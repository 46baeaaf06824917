//! Sections 2 to 6: what lies in the project's folder.
//!
//! Not here: reading it, asking git (`tiki`).

use std::collections::BTreeMap;

use super::{failed, passed, skipped, warning};
use crate::{Check, Step};

/// The shortest secret; `.env.example` asks for so much.
pub const LEAST_SECRET: usize = 12;

/// Names in `.env` that must have a value besides the secrets.
const NEEDED: [&str; 2] = ["POSTGRES_USER", "_AIRFLOW_WWW_USER_USERNAME"];

/// What stands in place of a secret in many an example.
const WELL_KNOWN: [&str; 8] = [
    "changeme",
    "change_me",
    "password",
    "secret",
    "airflow",
    "postgres",
    "admin",
    "example",
];

/// What a deployment with Docker Compose needs, as docs/CHECKLIST.md names it.
pub const FILES: [&str; 14] = [
    "docker-compose.yml",
    "docker-compose.performance.yml",
    ".env.example",
    "airflow/setup/make-env.sh",
    "airflow/setup/postgresql_tuning.conf",
    "airflow/dags/tiki_crawl_products_optimized_dag.py",
    "airflow/dags/tiki_pipeline",
    "crates/warehouse",
    "crates/crawl",
    "crates/pipeline",
    "crates/pipeline/src/crawl_product_details.rs",
    "crates/crawl/src/page_cache.rs",
    "crates/pipeline/src/housekeeping.rs",
    "docs/CHECKLIST.md",
];

/// The DAG to go back to.
pub const ROLLBACK_FILE: &str = "airflow/dags/tiki_crawl_products_dag.py";

/// What was seen of `.env`.
#[derive(Clone, Debug, Default)]
pub struct EnvFile {
    /// The text of `.env.example`; `None`: it is not there, so no `.env` is needed.
    pub example: Option<String>,
    /// The text of `.env`; `None`: it is not there.
    pub text: Option<Result<String, String>>,
    /// Its permissions.
    pub mode: u32,
}

/// Section 2. No value is shown.
pub fn env_file(facts: &EnvFile) -> Vec<Check> {
    let name = "env-file";
    let Some(example) = &facts.example else {
        return vec![skipped(
            name,
            "there is no .env.example here: settings come from the environment and tiki.toml",
        )];
    };
    let text = match &facts.text {
        Some(Ok(text)) => text,
        None => {
            return vec![
                failed(name, "there is no .env").help("airflow/setup/make-env.sh makes it"),
            ];
        }
        Some(Err(why)) => {
            return vec![failed(name, why).help("this user must be able to read .env")];
        }
    };
    let (example, own) = (assignments(example), assignments(text));
    vec![
        passed(name, format!("{} variables", own.len())),
        complete(&example, &own),
        secrets(&example, &own),
        rights(facts.mode),
    ]
}

/// Names and values of lines such as `NAME=value`; of a name that is there twice the last counts.
fn assignments(text: &str) -> BTreeMap<&str, &str> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        Some((name, plain(value.trim())))
    });
    pairs.collect()
}

/// A value without quotation marks around it or a comment behind it.
fn plain(value: &str) -> &str {
    for mark in ['"', '\''] {
        let inner = value.strip_prefix(mark);
        if let Some((inner, _)) = inner.and_then(|rest| rest.split_once(mark)) {
            return inner;
        }
    }
    if value.starts_with('#') {
        return "";
    }
    value.split(" #").next().unwrap_or(value).trim_end()
}

/// Secrets of the services. Those of `tiki` itself may be empty, and it judges them when it begins.
fn is_secret(name: &str) -> bool {
    if name.starts_with("TIKI_") {
        return false;
    }
    let words = ["PASSWORD", "SECRET", "KEY", "TOKEN"];
    words.iter().any(|word| name.contains(word))
}

fn complete(example: &BTreeMap<&str, &str>, own: &BTreeMap<&str, &str>) -> Check {
    let name = "env-complete";
    let needed = |name: &str| NEEDED.contains(&name) || is_secret(name);
    let (mut lacking, mut left_out) = (Vec::new(), Vec::new());
    for wanted in example.keys() {
        let is_empty = own.get(wanted).is_none_or(|value| value.is_empty());
        if needed(wanted) && is_empty {
            lacking.push(*wanted);
        } else if !own.contains_key(wanted) {
            left_out.push(*wanted);
        }
    }
    if !lacking.is_empty() {
        let seen = format!("empty or missing: {}", lacking.join(", "));
        return failed(name, seen).help("fill them in; .env.example says how");
    }
    if !left_out.is_empty() {
        let seen = format!("left to its default: {}", left_out.join(", "));
        return warning(name, seen).help("copy the lines of .env.example that are new");
    }
    passed(name, format!("all {} of .env.example", example.len()))
}

fn secrets(example: &BTreeMap<&str, &str>, own: &BTreeMap<&str, &str>) -> Check {
    let name = "env-secrets";
    let all = own.iter().filter(|(name, _)| is_secret(name));
    let bad = all.clone().filter_map(|(name, value)| {
        let given = example.get(name).is_some_and(|given| given == value);
        let lower = value.to_lowercase();
        let why = if value.is_empty() {
            return None;
        } else if given || WELL_KNOWN.iter().any(|word| lower == *word) {
            "is an example's"
        } else if value.len() < LEAST_SECRET {
            "is too short"
        } else if !value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~=".contains(c))
        {
            "has characters that no URL takes"
        } else {
            return None;
        };
        Some(format!("{name} {why}"))
    });
    let bad: Vec<_> = bad.collect();
    let check = if bad.is_empty() {
        passed(name, format!("{} secrets of our own", all.count()))
    } else {
        failed(name, bad.join(", ")).help("make a new one: openssl rand -hex 24")
    };
    check.limit(format!("{LEAST_SECRET} characters, nobody's example"))
}

fn rights(mode: u32) -> Check {
    let seen = format!("{:03o}", mode & 0o777);
    let others = mode % 0o10;
    let check = if others == 0 {
        passed("env-rights", seen)
    } else {
        warning("env-rights", seen).help("every user of this machine can read it: chmod 600 .env")
    };
    check.limit("nobody else")
}

/// What git says of the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// The branch; empty: none.
    pub branch: String,
    /// Files with changes that are not committed.
    pub changed: usize,
    /// Commits of the branch upstream that are not here, as far as was fetched.
    pub behind: u64,
}

impl Repository {
    /// Reads `git status --porcelain=v2 --branch`.
    pub fn read(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            if let Some(branch) = line.strip_prefix("# branch.head ") {
                branch.clone_into(&mut found.branch);
            } else if let Some(counts) = line.strip_prefix("# branch.ab ") {
                let behind = counts.split_once(" -").and_then(|(_, n)| n.parse().ok());
                found.behind = behind.unwrap_or(0);
            } else if !line.starts_with('#') && !line.trim().is_empty() {
                found.changed += 1;
            }
        }
        found
    }
}

/// Section 3. `None`: this is no repository; an error: git did not tell.
pub fn repository(seen: Option<&Result<Repository, String>>) -> Check {
    let name = "repository";
    let found = match seen {
        None => return skipped(name, "this folder is no git repository"),
        Some(Err(why)) => return skipped(name, why),
        Some(Ok(found)) => found,
    };
    let branch = &found.branch;
    match (found.changed, found.behind) {
        (0, 0) => passed(name, format!("{branch}, nothing uncommitted")),
        (0, behind) => warning(
            name,
            format!("{branch} is {behind} commits behind its upstream"),
        )
        .help("git pull"),
        (changed, _) => warning(
            name,
            format!("{branch}, {changed} files with uncommitted changes"),
        )
        .help("commit or remove them: what is deployed can then be found again"),
    }
}

/// Section 4: whether Python can read the DAGs. `None`: there are none; an error: Python is not there.
pub fn modules(seen: Option<&Result<Vec<String>, String>>, count: usize) -> Check {
    let name = "dag-modules";
    match seen {
        None => skipped(name, "there are no DAGs here"),
        Some(Err(why)) => skipped(name, why),
        Some(Ok(bad)) if bad.is_empty() => passed(name, format!("{count} files of Python read")),
        Some(Ok(bad)) => {
            failed(name, bad.join("; ")).help("put the files of the release in their place")
        }
    }
}

/// Section 5: which of [`FILES`] are not there. `None`: this is no folder of the project.
pub fn files(missing: Option<&[&str]>) -> Check {
    let name = "files";
    match missing {
        None => skipped(
            name,
            "there is no docker-compose.yml here: the program alone needs no files",
        ),
        Some([]) => passed(name, format!("all {} are there", FILES.len())),
        Some(missing) => failed(name, format!("missing: {}", missing.join(", ")))
            .help("put the files of the release in their place"),
    }
}

/// Section 6: `airflow/dags/tiki_pipeline/steps.py` against this program. `None`: it is not there.
pub fn dag_steps(text: Option<&str>) -> Check {
    let name = "dag-steps";
    let Some(text) = text else {
        return skipped(name, "there is no airflow/dags/tiki_pipeline/steps.py here");
    };
    let told = steps_of(text);
    let known: Vec<Vec<&str>> = Step::ALL
        .iter()
        .map(|step| [&[step.name(), step.task_id()], step.keys()].concat())
        .collect();
    let help = "DAGs and program are of two versions: take both of one release";
    if told.len() != known.len() {
        let seen = format!("{} steps in the DAGs, {} here", told.len(), known.len());
        return failed(name, seen).help(help);
    }
    match told.iter().zip(&known).find(|(told, known)| told != known) {
        None => passed(
            name,
            format!("the DAGs' {} steps are this program's", told.len()),
        ),
        Some((told, known)) => {
            let seen = format!("{} in the DAGs is {} here", told.join(" "), known.join(" "));
            failed(name, seen).help(help)
        }
    }
}

/// Name, task id and keys of each step of the table `STEPS`.
fn steps_of(text: &str) -> Vec<Vec<&str>> {
    let table = text
        .split_once("\nSTEPS = (")
        .and_then(|(_, rest)| rest.split_once("\n)"));
    let steps = table.map_or("", |(table, _)| table).split("Step(").skip(1);
    steps
        .map(|step| step.split('"').skip(1).step_by(2).collect())
        .collect()
}

/// Section 25: the DAG to go back to. `None`: this is no folder of the project.
pub fn rollback_dag(is_there: Option<bool>) -> Check {
    let name = "rollback-dag";
    match is_there {
        None => skipped(name, "there are no DAGs here: nothing to go back to"),
        Some(true) => passed(name, super::airflow::way_back()),
        Some(false) => failed(name, format!("{ROLLBACK_FILE} is missing"))
            .help("put the files of the release in their place"),
    }
}
