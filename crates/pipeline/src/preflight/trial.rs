//! Sections 14 to 17 and the first line of 20: a small test run, looked at from all sides.
//!
//! Not here: running it (`tiki`).

use serde_json::Value;

use super::{failed, passed, skipped};
use crate::{Check, RunReport, Step};

/// Leaf categories of the small run.
pub const CATEGORIES: i64 = 2;
/// Products of each.
pub const PRODUCTS: i64 = 10;
/// Products of each category in the large run, by which speed is measured: of 20 it would be chance.
pub const MANY_PRODUCTS: i64 = 500;
/// Products a second.
pub const LEAST_RATE: f64 = 30.0;
/// Percent of the time of a load row by row that a load may take.
pub const MOST_LOAD: f64 = 50.0;
/// More requests a second than are allowed, in percent: the clock of a run is no better.
const RATE_SLACK: f64 = 5.0;
/// Percent of what is needed that was known, in a run that repeats another.
pub const LEAST_HITS: f64 = 80.0;

/// What became of runs in a warehouse of their own.
#[derive(Clone, Debug)]
pub struct Trial {
    /// [`CATEGORIES`] × [`PRODUCTS`].
    pub small: RunReport,
    /// Its steps in the order in which they began, by the ledger.
    pub order: Vec<String>,
    /// The same once more.
    pub repeated: RunReport,
    /// How fast it went.
    pub speed: Speed,
}

/// What speed is measured by.
#[derive(Clone, Debug)]
pub enum Speed {
    /// Against a simulated shop that may be asked as fast as it answers.
    Shop {
        /// [`CATEGORIES`] × [`MANY_PRODUCTS`].
        large: Box<RunReport>,
        /// Its products loaded row by row.
        plainly: Plainly,
    },
    /// Against the site, that may be asked so often a second; `None`: its rate is off.
    Site(Option<f64>),
}

/// A load row by row.
#[derive(Clone, Copy, Debug)]
pub struct Plainly {
    /// Products.
    pub rows: usize,
    /// What they took.
    pub seconds: f64,
    /// The warehouses of the trial lie in memory, where a commit waits for nothing: row by row costs little there.
    pub in_memory: bool,
}

/// A trial, or why it could not be made to its end.
pub type Tried = Result<Trial, String>;

const A_BUG: &str = "this is a bug of tiki: please report it with this line";
const SAME_AS: &str = "the test run failed (section 14)";

/// Section 14: the run itself.
pub fn run(tried: &Tried) -> Vec<Check> {
    let trial = match tried {
        Err(why) => {
            let help = "`tiki run --demo` shows the same in more words";
            return vec![failed("test-run", why).help(help)];
        }
        Ok(trial) => trial,
    };
    let report = &trial.small;
    let products = report.totals.products;
    let categories = report
        .steps
        .first()
        .and_then(|step| step.keys.get("category_count"));
    let categories = categories.and_then(Value::as_i64).unwrap_or(0);
    let seen = format!(
        "{categories} categories, {} products listed and {} loaded, in {:.1} s; exit code {}",
        products.listed, products.new, report.seconds, report.exit_code
    );
    // A product of both categories counts once.
    let wanted = PRODUCTS..=CATEGORIES * PRODUCTS;
    let is_whole = categories == CATEGORIES
        && wanted.contains(&products.listed)
        && products.new == products.listed;
    let check = if report.exit_code == 0 && is_whole {
        passed("test-run", seen)
    } else {
        failed("test-run", seen).help("`tiki run --demo` and `tiki runs show --demo` say more")
    };
    let limit =
        format!("{CATEGORIES} categories with {PRODUCTS} products, all loaded, exit code 0");
    vec![check.limit(limit)]
}

/// Section 15: nine steps that ended well, in their order.
pub fn steps(tried: &Tried) -> Vec<Check> {
    let name = "steps";
    let Ok(trial) = tried else {
        return vec![skipped(name, SAME_AS)];
    };
    let known: Vec<&str> = Step::ALL.iter().map(|step| step.name()).collect();
    let steps = &trial.small.steps;
    let bad = steps.iter().filter(|step| step.exit_code != 0);
    let bad: Vec<String> = bad
        .map(|step| format!("{} ended with {}", step.step, step.exit_code))
        .collect();
    let check = if trial.order != known {
        failed(name, format!("they began as {}", trial.order.join(", ")))
    } else if !bad.is_empty() {
        failed(name, bad.join(", "))
    } else {
        passed(name, format!("all {} in order", known.len()))
    };
    let check = check.help_if_bad(A_BUG);
    vec![check.limit(format!("{} in order", known.len()))]
}

/// What a key of a report holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    List,
    Texts,
    Whole,
    Object,
}

impl Kind {
    fn takes(self, value: &Value) -> bool {
        match self {
            Self::List => value.is_array(),
            Self::Texts => value
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_string)),
            Self::Whole => value.is_i64() || value.is_u64(),
            Self::Object => value.is_object(),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::List => "a list",
            Self::Texts => "a list of texts",
            Self::Whole => "a whole number",
            Self::Object => "an object",
        }
    }
}

/// The checklist's ten keys, and what each holds.
const KEYS: [(Step, &str, Kind); 10] = [
    (Step::CrawlCategories, "categories", Kind::List),
    (Step::CrawlCategories, "category_count", Kind::Whole),
    (Step::ExtractProductUrls, "product_urls", Kind::Texts),
    (Step::ExtractProductUrls, "product_count", Kind::Whole),
    (Step::CrawlProductDetails, "crawled_products", Kind::List),
    (Step::CrawlProductDetails, "crawl_stats", Kind::Object),
    (Step::TransformProducts, "transformed_products", Kind::List),
    (Step::LoadProducts, "load_stats", Kind::Object),
    (Step::GetCacheStats, "cache_stats", Kind::Object),
    (
        Step::MonitorInfrastructure,
        "infrastructure_stats",
        Kind::Object,
    ),
];

/// Section 16: what the steps hand to Airflow, each key by itself.
pub fn keys(tried: &Tried) -> Vec<Check> {
    let Ok(trial) = tried else {
        return vec![skipped("xcom-keys", SAME_AS)];
    };
    let of = |(step, key, kind): &(Step, &'static str, Kind)| {
        let mut reports = trial.small.steps.iter();
        let report = reports.find(|report| report.step == step.name());
        let value = report.and_then(|report| report.keys.get(*key));
        let check = match value {
            Some(value) if kind.takes(value) => passed(key, told(value)),
            Some(_) => failed(key, "something else"),
            None => failed(key, "missing"),
        };
        let check = check.help_if_bad(A_BUG);
        check.limit(kind.as_str())
    };
    KEYS.iter().map(of).collect()
}

fn told(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("{} items", items.len()),
        Value::Object(fields) => format!("{} fields", fields.len()),
        other => other.to_string(),
    }
}

/// Section 17.
pub fn performance(tried: &Tried) -> Vec<Check> {
    let Ok(trial) = tried else {
        return vec![skipped("crawl-rate", SAME_AS)];
    };
    let (rate, load) = match &trial.speed {
        Speed::Shop { large, plainly } => {
            let rate = number(large, Step::CrawlProductDetails, "crawl_stats", "rate");
            let rate = above("crawl-rate", rate, LEAST_RATE, "products a second")
                .help_if_bad("is this machine busy, or its disk slow? Look again alone");
            (rate, load(large, plainly))
        }
        Speed::Site(allowed) => {
            let why = "not with --live: of so few products it would be chance";
            (
                within_rate(&trial.small, *allowed),
                skipped("load-time", why),
            )
        }
    };
    let hits = number(
        &trial.repeated,
        Step::GetCacheStats,
        "cache_stats",
        "hit_rate",
    );
    let hits = above("cache-hits", hits, LEAST_HITS, "%");
    vec![rate, hits.help_if_bad(A_BUG), survived(trial), load]
}

fn number(report: &RunReport, step: Step, key: &str, field: &str) -> Option<f64> {
    let mut steps = report.steps.iter();
    let found = steps.find(|report| report.step == step.name());
    found.and_then(|report| report.number(key, field))
}

/// Products that a run loaded, and the seconds that took.
fn loaded(report: &RunReport) -> Option<(f64, f64)> {
    let of = |field| number(report, Step::LoadProducts, "load_stats", field);
    of("db_loaded").zip(of("processing_time"))
}

/// The time of a run's load in percent of that of its products row by row, each for a product. `None`: nothing was
/// loaded.
pub fn load_share(large: &RunReport, plainly: &Plainly) -> Option<f64> {
    let rows = plainly.rows as f64;
    let (products, took) = loaded(large)?;
    let both = products > 0.0 && rows > 0.0 && plainly.seconds > 0.0;
    both.then(|| (took / products) / (plainly.seconds / rows) * 100.0)
}

fn load(large: &RunReport, plainly: &Plainly) -> Check {
    let name = "load-time";
    let limit = format!("{MOST_LOAD:.0} % of the time row by row");
    let Some((share, (products, took))) = load_share(large, plainly).zip(loaded(large)) else {
        return failed(name, "missing").help(A_BUG).limit(limit);
    };
    let seen = format!(
        "{share:.0} %: {products:.0} products in {took:.2} s, row by row {} in {:.2} s",
        plainly.rows, plainly.seconds
    );
    let check = if share <= MOST_LOAD {
        passed(name, seen)
    } else if plainly.in_memory {
        let why = "temporary files are kept in memory, where a commit waits for no disk: set TMPDIR to a folder on one";
        skipped(name, format!("{why} ({seen})"))
    } else {
        failed(name, seen).help("is this machine busy, or its disk slow? Look again alone")
    };
    check.limit(limit)
}

/// The requests a second of a run against those that are allowed.
fn within_rate(report: &RunReport, allowed: Option<f64>) -> Check {
    let name = "crawl-rate";
    let Some(allowed) = allowed else {
        return skipped(name, "TIKI_RATE_LIMIT is 0: there is no limit to keep");
    };
    let (pages, details) = (&report.totals.pages, &report.totals.details);
    let asked = pages.ok
        + pages.empty
        + pages.failed
        + details.good
        + details.gone
        + details.rejected
        + details.unfetched;
    // The first one waits for nothing.
    let rate = (asked - 1).max(0) as f64 / report.seconds.max(f64::MIN_POSITIVE);
    let seen = format!(
        "{rate:.2} requests a second ({asked} in {:.1} s)",
        report.seconds
    );
    let check = if asked == 0 {
        failed(name, "nothing was asked").help(A_BUG)
    } else if rate <= allowed * (1.0 + RATE_SLACK / 100.0) {
        passed(name, seen)
    } else {
        failed(name, seen).help(A_BUG)
    };
    check.limit(format!("{allowed:.2} requests a second"))
}

fn above(name: &'static str, value: Option<f64>, least: f64, unit: &str) -> Check {
    let check = match value {
        None => failed(name, "missing"),
        Some(value) if value > least => passed(name, format!("{value:.1} {unit}")),
        Some(value) => failed(name, format!("{value:.1} {unit}")),
    };
    check.limit(format!("more than {least:.0} {unit}"))
}

/// No memory, connection or anything else was short: a run that survives such a thing warns of it.
fn survived(trial: &Trial) -> Check {
    let name = "run-errors";
    let mut runs = vec![&trial.small, &trial.repeated];
    if let Speed::Shop { large, .. } = &trial.speed {
        runs.push(large);
    }
    let mut seen: Vec<String> = Vec::new();
    for run in &runs {
        if run.exit_code != 0 {
            seen.push(format!("{} ended with {}", run.run_id, run.exit_code));
        }
        seen.extend(run.steps.iter().flat_map(|step| step.warnings.clone()));
    }
    match seen.first() {
        None => passed(name, format!("none in {} runs", runs.len())),
        Some(first) => failed(name, format!("{} of them, such as: {first}", seen.len())).help(
            "docs/RUNBOOK.md has the exit codes; `tiki run --demo` shows the same in more words",
        ),
    }
}

/// Section 20: whether a backup can be made of the trial's warehouse, and is proven: rows in it.
pub fn backup(made: &Result<i64, String>) -> Check {
    let name = "backup";
    match made {
        Ok(rows) if *rows > 0 => passed(
            name,
            format!("made of the test run's warehouse, restored, counted: {rows} rows"),
        ),
        Ok(_) => failed(name, "it holds nothing").help("docs/RUNBOOK.md, Backup and restore"),
        Err(why) => failed(name, why).help("docs/RUNBOOK.md, Backup and restore"),
    }
}
