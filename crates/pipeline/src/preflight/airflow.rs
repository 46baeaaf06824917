//! Sections 6, 7, 10, 11, 13, 20 and 25 as far as a running Airflow tells.
//!
//! Not here: asking it (`tiki`).

use super::{failed, passed, skipped, warning};
use crate::{Check, Step};

/// The DAG that is deployed.
pub const DAG: &str = "tiki_crawl_products_optimized";
/// The DAG to go back to.
pub const ROLLBACK_DAG: &str = "tiki_crawl_products";

/// The DAG that makes backups.
pub const BACKUP_DAG: &str = "tiki_backup";

/// The Variables that the DAGs read; in capitals they are settings.
pub const VARIABLES: [&str; 6] = [
    "tiki_data_dir",
    "tiki_max_categories",
    "tiki_categories",
    "tiki_max_products_per_category",
    "tiki_parallel_workers",
    "tiki_rate_limit",
];

/// Parts of Airflow that must be well. A triggerer is not needed: nothing waits for it.
pub const PARTS: [&str; 3] = ["metadatabase", "scheduler", "dag_processor"];

/// What Airflow told, or why it did not.
pub type Told<T> = Result<T, String>;

/// What was seen of Airflow.
#[derive(Clone, Debug)]
pub enum Airflow {
    /// No setting names one.
    Absent,
    /// It does not answer, or its answer is none.
    Silent(String),
    /// It answered.
    Answered(Box<Answered>),
}

/// Of an Airflow that answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Parts and how they are; `None`: not at work.
    pub parts: Vec<(String, Option<String>)>,
    /// What it tells those who have logged in; or why it let nobody in.
    pub inside: Told<Inside>,
}

/// What Airflow tells those who have logged in.
#[derive(Clone, Debug)]
pub struct Inside {
    /// Whether [`DAG`] is paused; `None`: there is no such DAG.
    pub dag: Told<Option<bool>>,
    /// The ids of its tasks.
    pub tasks: Told<Vec<String>>,
    /// Whether [`ROLLBACK_DAG`] is paused.
    pub rollback: Told<Option<bool>>,
    /// Whether [`BACKUP_DAG`] is paused.
    pub backup: Told<Option<bool>>,
    /// Files that could not be imported.
    pub import_errors: Told<Vec<String>>,
    /// Each of [`VARIABLES`] that is set: its value, and what is wrong with it.
    pub variables: Told<Vec<(&'static str, String, Option<String>)>>,
}

const NO_AIRFLOW: &str = "TIKI_AIRFLOW_URL is not set";
const NOT_IN: &str = "Airflow let nobody in (section 10)";

/// What it tells inside, or the line that says why it tells nothing.
fn inside<'a>(seen: &'a Airflow, name: &'static str) -> Result<&'a Inside, Check> {
    match seen {
        Airflow::Absent => Err(skipped(name, NO_AIRFLOW)),
        Airflow::Silent(_) => Err(skipped(name, "Airflow did not answer (section 10)")),
        Airflow::Answered(answered) => {
            let inside = answered.inside.as_ref();
            inside.map_err(|_| skipped(name, NOT_IN))
        }
    }
}

fn ask_again(name: &'static str, why: &str) -> Check {
    failed(name, why).help("may TIKI_AIRFLOW_USER see DAGs and Variables (the role Viewer does)?")
}

/// Section 7.
pub fn services(seen: &Airflow) -> Check {
    let name = "airflow-services";
    let parts = match seen {
        Airflow::Absent => return skipped(name, NO_AIRFLOW),
        Airflow::Silent(why) => return failed(name, why).help(IS_IT_UP),
        Airflow::Answered(answered) => &answered.parts,
    };
    let state = |part: &str| {
        let mut all = parts.iter();
        let found = all.find(|(name, _)| name == part);
        found.and_then(|(_, state)| state.as_deref())
    };
    let bad = PARTS.iter().filter(|part| state(part) != Some("healthy"));
    let bad: Vec<String> = bad
        .map(|part| format!("{part}: {}", state(part).unwrap_or("not at work")))
        .collect();
    if bad.is_empty() {
        passed(name, format!("{} healthy", PARTS.join(", ")))
    } else {
        failed(name, bad.join(", ")).help("start it again, and look into its log")
    }
}

const IS_IT_UP: &str = "is Airflow up, and is TIKI_AIRFLOW_URL right?";

/// Section 10.
pub fn web(seen: &Airflow) -> Vec<Check> {
    let login = match seen {
        Airflow::Absent => skipped("airflow-login", NO_AIRFLOW),
        Airflow::Silent(why) => failed("airflow-login", why).help(IS_IT_UP),
        Airflow::Answered(answered) => match &answered.inside {
            Ok(_) => passed("airflow-login", "let in"),
            Err(why) => failed("airflow-login", why)
                .help("TIKI_AIRFLOW_USER and TIKI_AIRFLOW_PASSWORD are those of .env (_AIRFLOW_WWW_USER_…)"),
        },
    };
    vec![login, visible(seen), imported(seen)]
}

fn visible(seen: &Airflow) -> Check {
    let name = "dag-visible";
    match inside(seen, name).map(|inside| &inside.dag) {
        Err(check) => check,
        Ok(Err(why)) => ask_again(name, why),
        Ok(Ok(Some(_))) => passed(name, DAG),
        Ok(Ok(None)) => failed(name, format!("there is no {DAG}"))
            .help("is airflow/dags in Airflow's folder of DAGs, and its dag-processor at work?"),
    }
}

fn imported(seen: &Airflow) -> Check {
    let name = "import-errors";
    match inside(seen, name).map(|inside| &inside.import_errors) {
        Err(check) => check,
        Ok(Err(why)) => ask_again(name, why),
        Ok(Ok(files)) if files.is_empty() => passed(name, "none"),
        Ok(Ok(files)) => {
            failed(name, files.join(", ")).help("`airflow dags list-import-errors` says why")
        }
    }
}

/// Section 6: whether the DAG has a task for every step.
pub fn tasks(seen: &Airflow) -> Check {
    let name = "dag-tasks";
    let told = match inside(seen, name).map(|inside| &inside.tasks) {
        Err(check) => return check,
        Ok(Err(why)) => return ask_again(name, why),
        Ok(Ok(told)) => told,
    };
    let steps = Step::ALL.iter().map(|step| step.task_id());
    let missing: Vec<&str> = steps
        .filter(|id| !told.iter().any(|task| task == id))
        .collect();
    if missing.is_empty() {
        passed(
            name,
            format!("a task for each of {} steps", Step::ALL.len()),
        )
    } else {
        failed(name, format!("missing: {}", missing.join(", ")))
            .help("DAGs and program are of two versions: take both of one release")
    }
}

/// Section 11: what is set; what is not has its default.
pub fn variables(seen: &Airflow) -> Vec<Check> {
    let name = "variables";
    let set = match inside(seen, name).map(|inside| &inside.variables) {
        Err(check) => return vec![check],
        Ok(Err(why)) => return vec![ask_again(name, why)],
        Ok(Ok(set)) => set,
    };
    let of = |name: &'static str| {
        let mut all = set.iter();
        match all.find(|(key, ..)| *key == name) {
            None => passed(name, "not set: the default"),
            Some((_, value, None)) => passed(name, value),
            Some((_, value, Some(why))) => failed(name, format!("{value:?} {why}"))
                .help("`airflow variables set` mends it; docs/PARAMETERS.md has its bounds"),
        }
    };
    VARIABLES.into_iter().map(of).collect()
}

/// Section 13.
pub fn paused(seen: &Airflow) -> Check {
    let name = "dag-paused";
    match inside(seen, name).map(|inside| &inside.dag) {
        Err(check) => check,
        Ok(Err(why)) => ask_again(name, why),
        Ok(Ok(None)) => failed(name, format!("there is no {DAG}")).help("see section 10"),
        Ok(Ok(Some(false))) => passed(name, "not paused: it runs on time"),
        Ok(Ok(Some(true))) => {
            warning(name, "paused").help(format!("to begin: airflow dags unpause {DAG}"))
        }
    }
}

/// Section 20: the DAG that makes backups; `None`: Airflow does not tell, look at the settings.
pub fn backup_schedule(seen: &Airflow) -> Option<Check> {
    let name = "backup-schedule";
    let told = inside(seen, name).ok()?;
    Some(match &told.backup {
        Err(why) => ask_again(name, why),
        Ok(Some(false)) => passed(name, format!("by the DAG {BACKUP_DAG}")),
        Ok(Some(true)) => warning(name, format!("{BACKUP_DAG} is paused"))
            .help(format!("to begin: airflow dags unpause {BACKUP_DAG}")),
        Ok(None) => warning(name, format!("there is no {BACKUP_DAG}")).help(
            "put the files of the release in their place, or let cron or `tiki serve` make backups",
        ),
    })
}

/// Section 25: the DAG to go back to; `None`: Airflow does not tell, look into the folder.
pub fn rollback(seen: &Airflow) -> Option<Check> {
    let name = "rollback-dag";
    let told = inside(seen, name).ok()?;
    Some(match &told.rollback {
        Err(why) => ask_again(name, why),
        Ok(Some(_)) => passed(name, way_back()),
        Ok(None) => failed(name, format!("there is no {ROLLBACK_DAG}"))
            .help("put the files of the release in their place"),
    })
}

/// The DAG to go back to, and how.
pub(super) fn way_back() -> String {
    format!("{ROLLBACK_DAG}: `tiki rollback airflow` goes back to it")
}
