//! Sections 1, 7, 18 (processors and memory) and 21: the machine, its programs, its services.
//!
//! Not here: asking programs (`tiki`).

use serde::Deserialize;
use std::collections::BTreeMap;

use super::figures::Busy;
use super::{failed, failed_if, passed, skipped, version, warning};
use crate::Check;

/// The checklist's 4 GB. A machine that is sold with so much has a little less for programs.
pub const LEAST_MEMORY: u64 = 3_800_000_000;
/// The checklist's 20 GB.
pub const LEAST_FREE: u64 = 20_000_000_000;
/// Docker's.
pub const LEAST_DOCKER: (u32, u32) = (20, 10);
/// With the files' own syntax; `docker-compose` 1.29 is the last of the old ones.
pub const LEAST_COMPOSE: (u32, u32) = (1, 29);
/// Airflow's.
pub const LEAST_PYTHON: (u32, u32) = (3, 10);
/// Percent from which on a machine is too busy.
pub const MOST_BUSY: f64 = 80.0;

/// The services of `docker-compose.yml` that stay.
pub const SERVICES: [&str; 7] = [
    "postgres",
    "redis",
    "airflow-scheduler",
    "airflow-worker",
    "airflow-apiserver",
    "airflow-dag-processor",
    "dashboard",
];

/// What a program said, or why it did not.
pub type Said = Result<String, String>;

/// What was seen of the machine.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes free in the project's folder.
    pub free: Result<u64, String>,
    /// The version of Docker's engine; `None`: there is no `docker-compose.yml`, so none is needed.
    pub docker: Option<Said>,
    /// The version of Docker Compose, likewise.
    pub compose: Option<Said>,
    /// Python's version; `None`: there is no `airflow/dags`.
    pub python: Option<Said>,
}

/// Section 1. Without `docker-compose.yml` little is needed, so too little is only a warning.
pub fn environment(facts: &Environment) -> Vec<Check> {
    let docker = facts.docker.is_some();
    let no_docker = "there is no docker-compose.yml here: this runs without Docker";
    vec![
        memory(facts.memory, docker),
        room(&facts.free, docker),
        tool(
            "docker",
            facts.docker.as_ref(),
            no_docker,
            LEAST_DOCKER,
            true,
        )
        .help_if_bad("install Docker Engine 20.10 or newer, start it, and let this user ask it"),
        tool(
            "compose",
            facts.compose.as_ref(),
            no_docker,
            LEAST_COMPOSE,
            true,
        )
        .help_if_bad("install the plugin of Docker Compose (docker-compose-plugin)"),
        tool(
            "python",
            facts.python.as_ref(),
            "there are no DAGs here",
            LEAST_PYTHON,
            false,
        )
        .help_if_bad("only for Airflow outside of Docker: install Python 3.10 or newer"),
    ]
}

fn memory(bytes: Option<u64>, docker: bool) -> Check {
    let name = "memory";
    let check = match bytes {
        None => skipped(name, "this system does not tell"),
        Some(bytes) if bytes >= LEAST_MEMORY => passed(name, gigabytes(bytes)),
        Some(bytes) => failed_if(docker, name, gigabytes(bytes))
            .help("give the machine, or Docker's own, more memory"),
    };
    check.limit("4 GB")
}

fn room(free: &Result<u64, String>, docker: bool) -> Check {
    let name = "disk";
    let check = match free {
        Err(why) => failed_if(docker, name, why).help("can the project's folder be read?"),
        Ok(free) if *free >= LEAST_FREE => passed(name, format!("{} free", gigabytes(*free))),
        Ok(free) => failed_if(docker, name, format!("{} free", gigabytes(*free)))
            .help("free some room, or move the folder to a larger disk"),
    };
    check.limit(gigabytes(LEAST_FREE))
}

fn tool(
    name: &'static str,
    said: Option<&Said>,
    not_needed: &str,
    least: (u32, u32),
    critical: bool,
) -> Check {
    let check = match said {
        None => return skipped(name, not_needed),
        Some(Err(why)) => failed_if(critical, name, why),
        Some(Ok(text)) => match version(text) {
            Some(found) if found >= least => passed(name, text.trim()),
            Some(_) => failed_if(critical, name, text.trim()),
            None => failed_if(critical, name, format!("{:?} is no version", text.trim())),
        },
    };
    check.limit(format!("{}.{}", least.0, least.1))
}

/// Section 18: the machine. Too busy now is a warning: it may be for a moment.
pub fn busy(seen: Option<&Busy>) -> Vec<Check> {
    let share = |name, percent: Option<f64>, help: &str| {
        let check = match percent {
            None => return skipped(name, "this system does not tell"),
            Some(percent) if percent < MOST_BUSY => passed(name, format!("{percent:.0} %")),
            Some(percent) => warning(name, format!("{percent:.0} %")).help(help),
        };
        check.limit(format!("under {MOST_BUSY:.0} %"))
    };
    vec![
        share(
            "cpu",
            seen.map(|busy| busy.cpu),
            "what else runs here? Look again when it has ended, or give the machine more processors",
        ),
        share(
            "memory-used",
            seen.map(|busy| busy.memory),
            "what else runs here? Look again when it has ended, or give the machine more memory",
        ),
    ]
}

/// A service as `docker compose ps --format json` tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    /// Its name in the file.
    pub service: String,
    /// `running`, `exited`, …
    pub state: String,
    /// `healthy`, `unhealthy`, `starting`; empty: it has no health check.
    pub health: String,
    /// How it ended.
    pub exit_code: i64,
}

/// The services in an answer: an array, or an object a line.
pub fn services_in(text: &str) -> Result<Vec<Service>, String> {
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read = lines.map(|line| serde_json::from_str(line).map_err(|error| error.to_string()));
    read.collect()
}

/// Section 7: the containers. `None`: there is no `docker-compose.yml`.
pub fn services(seen: Option<&Result<Vec<Service>, String>>) -> Check {
    let name = "containers";
    let services = match seen {
        None => return skipped(name, "there is no docker-compose.yml here"),
        Some(Err(why)) => return skipped(name, format!("Docker does not tell: {why}")),
        Some(Ok(services)) => services,
    };
    let mut bad = BTreeMap::new();
    for wanted in SERVICES {
        let mut all = services.iter().filter(|service| service.service == wanted);
        // One of several of a service that is well does not make the others well.
        let seen = match all.clone().count() {
            0 => Some("not there".to_owned()),
            _ => all.find_map(trouble),
        };
        bad.extend(seen.map(|seen| (wanted, seen)));
    }
    let check = if bad.is_empty() {
        passed(name, format!("{} run and are healthy", SERVICES.len()))
    } else {
        let all = bad
            .iter()
            .map(|(service, seen)| format!("{service}: {seen}"));
        failed(name, all.collect::<Vec<_>>().join(", ")).help(
            "`docker compose up -d`, then wait a minute or two; `docker compose logs <service>` says \
             what is wrong with one",
        )
    };
    check.limit("running and healthy")
}

fn trouble(service: &Service) -> Option<String> {
    match (service.state.as_str(), service.health.as_str()) {
        ("running", "" | "healthy") => None,
        ("running", health) => Some(health.to_owned()),
        (state, _) => Some(format!("{state} ({})", service.exit_code)),
    }
}

/// Section 21: the folder of the logs. `None`: there is no `docker-compose.yml`, so nobody writes there.
pub fn log_folder(seen: Option<&Result<(), String>>) -> Check {
    let name = "log-folder";
    match seen {
        None => skipped(
            name,
            "there is no docker-compose.yml here, so no log of Airflow",
        ),
        Some(Ok(())) => passed(name, "airflow/logs can be written"),
        Some(Err(why)) => failed(name, format!("airflow/logs: {why}"))
            .help("make it, and give it to the user that AIRFLOW_UID in .env names"),
    }
}

/// Section 21: the folder of the program's own log files. `None`: they are switched off.
pub fn log_files(folder: &str, seen: Option<&Result<(), String>>) -> Check {
    let name = "log-files";
    match seen {
        None => warning(
            name,
            "TIKI_LOG_FILES is off: only standard error tells what happened",
        )
        .help("is that kept? Else let TIKI_LOG_FILES be info"),
        Some(Ok(())) => passed(name, format!("{folder} can be written")),
        Some(Err(why)) => failed(name, format!("{folder}: {why}"))
            .help("a run goes on without them; give the folder to the user of `tiki`"),
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

impl Check {
    /// With what to do, unless it is well or was not looked at.
    #[must_use]
    pub(crate) fn help_if_bad(self, help: &str) -> Self {
        match self.state {
            crate::State::Warning | crate::State::Failed => self.help(help),
            _ => self,
        }
    }
}
