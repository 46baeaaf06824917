//! What can be typed.
//!
//! Not here: what it does (a module for each command).

mod alerts;
mod backup;
mod cleanup;
mod errors;
mod preflight;
mod reading;
mod rollback;

use std::path::PathBuf;

use catalog::Instant;
use clap::{Args, Parser, Subcommand};

pub(crate) use self::alerts::*;
pub(crate) use self::backup::*;
pub(crate) use self::cleanup::*;
pub(crate) use self::errors::*;
pub(crate) use self::preflight::*;
pub(crate) use self::reading::*;
pub(crate) use self::rollback::*;

use crate::value::parse_span;

const AFTER: &str = "\
Begin with:
  tiki run --demo               a month of a simulated shop, in a minute
  tiki products search 'binh giu nhiet' --demo
  tiki run                      https://tiki.vn, politely (see `tiki plan`)

Exit codes: 0 done, 1 this machine, 2 bad flags or settings, 3 and 4 not ready (preflight), 10 loaded but below the quality limit, \
11 stopped by drift, 20 the site refuses, 30 warehouse unreachable or held, 70 a bug, 99 nothing to do, \
130 interrupted (the work is kept).";

/// Keeps a clean, current, historical copy of a marketplace's catalogue.
#[derive(Debug, Parser)]
#[command(name = "tiki", version, after_help = AFTER, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// What applies to every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Folder of this program's files [setting TIKI_DATA_DIR; default ./data]
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        help_heading = "Everywhere"
    )]
    pub(crate) data_dir: Option<String>,
    /// The warehouse: sqlite:PATH or postgres://… [setting TIKI_DATABASE_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub(crate) database_url: Option<String>,
    /// File of settings [default: tiki.toml of the current folder, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,
    /// No notes and no progress; warnings and errors still come
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// No colours (NO_COLOR does the same)
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) no_color: bool,
    /// End at once when this process, which must be the one that started it, ends
    #[arg(long, global = true, value_name = "PID", help_heading = "Everywhere")]
    pub(crate) parent: Option<u32>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole pipeline: list, fetch, transform, load, report
    Run(RunArguments),
    /// Run one step of a run, as a task of Airflow does
    Step(StepArguments),
    /// Show what a run would fetch and why, without asking the site
    Plan(PlanArguments),
    /// The ledger of runs: list, show, go on with, close
    Runs(RunsArguments),
    /// The category tree
    Categories(CategoriesArguments),
    /// Products and their history
    Products(ProductsArguments),
    /// Records that were refused, and why
    Rejections(RejectionsArguments),
    /// What went wrong in the newest runs, by class, with an example of each
    Errors(ErrorsArguments),
    /// What of the site's answers changed its shape, and what becomes of a run that it stopped
    Drift(DriftArguments),
    /// Write a table to a file: products, history or any other, as CSV, JSON lines or Parquet
    Export(ExportArguments),
    /// Ask the warehouse a question of your own (reading only)
    Sql(SqlArguments),
    /// Alerts: what was told and to whom, a test of every channel, telling again
    Alerts(AlertsArguments),
    /// Backups: make, list, prove, restore and thin them out
    Backup(BackupArguments),
    /// Take away what is older than it may be, as every run does at its end
    Cleanup(CleanupArguments),
    /// The way back: to the conservative DAG of Airflow, to the data before a run
    Rollback(RollbackArguments),
    /// Serve the dashboard and its API, and begin runs, backups and clean-ups on time, until Ctrl-C
    Serve(ServeArguments),
    /// Whether all is well: a probe for machines and people, which changes nothing
    Health(HealthArguments),
    /// The pre-deployment checklist: Ready, Needs Fixes or Blocked
    Preflight(PreflightArguments),
    /// Every table and column: what it holds and where it comes from
    Schema(SchemaArguments),
    /// Bring the warehouse's schema up to date
    Migrate(Reading),
    /// Settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Serve the simulated shop alone, until Ctrl-C
    Storefront(StorefrontArguments),
    /// A number that two warehouses share only if they hold the same
    Digest(DigestArguments),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Whose warehouse is read.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Reading {
    /// The demo's warehouse
    #[arg(long)]
    pub(crate) demo: bool,
}

/// Whose warehouse is read, and for whom.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// The demo's warehouse
    #[arg(long)]
    pub(crate) demo: bool,
    /// JSON, for machines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Categories to take or to leave.
#[derive(Debug, Clone, Args)]
pub(crate) struct Chosen {
    /// Take this category instead (id or URL; may be repeated) [setting TIKI_CATEGORIES]
    #[arg(long, value_name = "ID|URL")]
    pub(crate) category: Vec<String>,
    /// Never take this category (id or URL; may be repeated) [setting TIKI_EXCLUDE_CATEGORIES]
    #[arg(long, value_name = "ID|URL")]
    pub(crate) exclude_category: Vec<String>,
}

/// Of `tiki plan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArguments {
    /// Which categories
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

const RUN_AFTER: &str = "\
Examples:
  tiki run --demo                             a month of a simulated shop
  tiki run --category 8095                    one category of the site
  tiki run --from transform-products --run cli-20261124T190000-1a2b
                                              derive a run anew from its stored pages

The same command goes on where an interrupted one stopped. Ctrl-C stops after the batch in hand.";

/// Of `tiki run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_AFTER)]
pub(crate) struct RunArguments {
    /// Against a simulated shop in this process, one run a day up to today, with a warehouse of its own
    #[arg(long)]
    pub(crate) demo: bool,
    /// Products of the simulated shop
    #[arg(long, value_name = "N", default_value_t = 700, requires = "demo")]
    #[arg(value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    pub(crate) demo_products: u64,
    /// Days to simulate, today included
    #[arg(long, value_name = "N", default_value_t = 30, requires = "demo")]
    #[arg(value_parser = clap::value_parser!(i64).range(1..=3650))]
    pub(crate) demo_days: i64,
    /// Begin a new run even where an unfinished one could go on
    #[arg(long)]
    pub(crate) new: bool,
    /// The same for an unfinished one that began before this instant, for the clock of `tiki serve`
    #[arg(long, value_name = "INSTANT", hide = true)]
    pub(crate) new_before: Option<Instant>,
    /// Wait while another run is at work instead of leaving with 30
    #[arg(long)]
    pub(crate) wait: bool,
    /// Who owns the run, for whoever starts it: cli, serve or airflow:DAG
    #[arg(long, hide = true, conflicts_with_all = ["demo", "from"])]
    pub(crate) owner: Option<String>,
    /// Redo a run from this step on (with --run)
    #[arg(long, value_name = "STEP", requires = "run", value_parser = step)]
    pub(crate) from: Option<pipeline::Step>,
    /// The run to redo
    #[arg(long, value_name = "ID", requires = "from")]
    pub(crate) run: Option<String>,
    /// Which categories
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// The report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const STEP_AFTER: &str = "\
Examples:
  tiki step --list                            the nine steps
  tiki step crawl-categories --run 2026-11-24 begins a run of this id
  tiki step load-products --run 2026-11-24    one step of it

The last line of standard output is the step's report as one JSON object.";

/// Of `tiki step`.
#[derive(Debug, Args)]
#[command(after_help = STEP_AFTER)]
pub(crate) struct StepArguments {
    /// Which step
    #[arg(value_parser = step, required_unless_present = "list")]
    pub(crate) name: Option<pipeline::Step>,
    /// List the steps: name, Airflow task id, keys of the report
    #[arg(long)]
    pub(crate) list: bool,
    /// The list as JSON
    #[arg(long, requires = "list")]
    pub(crate) json: bool,
    /// The run's id
    #[arg(long, value_name = "ID", required_unless_present = "list")]
    pub(crate) run: Option<String>,
    /// Number of the attempt; a higher one ends a lower one at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) attempt: Option<i64>,
    /// Which of several workers this is
    #[arg(long, value_name = "I", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(i64).range(0..10_000))]
    pub(crate) shard: i64,
    /// One more worker on the same frontier
    #[arg(long)]
    pub(crate) join: bool,
    /// Stop after the batch in hand when it takes longer, such as 2h or 30m; plan: three times as long as
    /// its plan expects, at least 1h
    #[arg(long, value_name = "TIME", value_parser = time_limit)]
    pub(crate) timeout: Option<TimeLimit>,
    /// Who owns the run: cli, serve or airflow:DAG [default: cli for a new one, anybody for others]
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// Derive the run anew from this step on if the step has ended (transform-products, load-products)
    #[arg(long)]
    pub(crate) again: bool,
}

/// How long a step may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimeLimit {
    /// So long.
    Span(std::time::Duration),
    /// By what its plan expects.
    Plan,
}

/// Of `tiki runs`.
#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// What about them [default: list]
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What about runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// The newest runs
    List {
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = limit())]
        limit: i64,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// One run: its steps, counts, times, errors, and how whole its categories were listed
    Show {
        /// Its id [default: the newest]
        id: Option<String>,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Go on with an unfinished run: this one, or the newest
    Resume {
        /// Its id
        id: Option<String>,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Close an unfinished run: what it fetched is loaded, what it did not ask is counted so
    Close {
        /// Its id
        id: String,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
}

const SERVE_AFTER: &str = "\
Routes: / for people; /healthz (the process lives), /readyz (200, or 503 when something failed), /api/v1/health, \
/api/v1/schedule, /api/v1/runs and /api/v1/runs/ID for machines, /metrics for Prometheus. Nothing can be changed by them.

Its clock begins runs (TIKI_SCHEDULE), backups (TIKI_BACKUP_SCHEDULE) and clean-ups (TIKI_CLEANUP_SCHEDULE); beside \
Airflow or cron the first two are off, and so is the third unless it is set.

There is no login: on another address than the loopback one, put a proxy with a login before it.";

/// Of `tiki serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE_AFTER)]
pub(crate) struct ServeArguments {
    /// Address and port to listen on (port 0: a free one) [setting TIKI_LISTEN; default 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
}

const HEALTH_AFTER: &str = "\
Looks at the warehouse, its schema and clock, Redis, free disk, the age of the last good run, and the pace at \
which the site is asked. Asks the site nothing and leaves no trace.

Exit codes: 0 nothing failed (there may be warnings), 1 too little disk, 2 schema or clock, 30 warehouse or \
Redis not reached; that of the first line that failed. With --strict 3, if there is a warning and nothing failed.";

/// Of `tiki health`.
#[derive(Debug, Args)]
#[command(after_help = HEALTH_AFTER)]
pub(crate) struct HealthArguments {
    /// End with 3 where there is a warning, such as a last good run that is too old
    #[arg(long)]
    pub(crate) strict: bool,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Of `tiki config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting in force and where it comes from; secrets are masked
    Show {
        /// JSON, for machines
        #[arg(long, conflicts_with = "markdown")]
        json: bool,
        /// The table of docs/PARAMETERS.md
        #[arg(long)]
        markdown: bool,
    },
}

const STOREFRONT_AFTER: &str = "\
Example:
  tiki storefront --port 8080 --products 5000
  TIKI_ORIGIN=http://127.0.0.1:8080 TIKI_RATE_LIMIT=0 tiki run       (in another terminal)

GET /__storefront/counts tells what was asked; POST /__storefront/clock?day=N moves its day to N days after \
1970-01-01, and `tiki run` must have the same time then (20800: TIKI_CLOCK=2026-12-13T05:00:00Z); POST \
/__storefront/faults makes it misbehave (crates/tiki/tests/faults/table.rs has many samples):
  curl http://127.0.0.1:8080/__storefront/faults -d \\
    '{\"rules\":[{\"route\":\"detail\",\"when\":{\"every\":5},\"what\":{\"status\":{\"code\":503}}}]}'";

/// Of `tiki storefront`.
#[derive(Debug, Args)]
#[command(after_help = STOREFRONT_AFTER)]
pub(crate) struct StorefrontArguments {
    /// Port on 127.0.0.1 (0: a free one)
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Products
    #[arg(long, default_value_t = 700)]
    #[arg(value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    pub(crate) products: u64,
    /// The same seed gives the same shop
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Prices move as fast as in the demo, not as slowly as on the real site
    #[arg(long)]
    pub(crate) lively: bool,
    /// Most products cost one of a few round prices, so that single prices are crowded
    #[arg(long)]
    pub(crate) round_prices: bool,
    /// Leaf categories [default: as many as suit the products]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_000))]
    pub(crate) leaf_categories: Option<u32>,
    /// Serve bodies that the real site once sent, from this folder
    #[arg(long, value_name = "FOLDER")]
    #[arg(conflicts_with_all = ["products", "seed", "lively", "round_prices", "leaf_categories"])]
    pub(crate) replay: Option<PathBuf>,
    /// Its day, YYYY-MM-DD, at noon, standing still [default: the machine's clock]
    #[arg(long, value_name = "DAY")]
    pub(crate) day: Option<String>,
    /// Time that every answer takes besides
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) latency_ms: u64,
}

fn limit() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(1..=1_000_000)
}

fn span(text: &str) -> Result<std::time::Duration, String> {
    let span = parse_span(text).filter(|span| !span.is_zero());
    span.ok_or_else(|| "write a number with its unit, such as 2h, 30m or 45s".into())
}

fn time_limit(text: &str) -> Result<TimeLimit, String> {
    match text {
        "plan" => Ok(TimeLimit::Plan),
        _ => span(text)
            .map(TimeLimit::Span)
            .map_err(|why| format!("{why}, or plan")),
    }
}

fn step(name: &str) -> Result<pipeline::Step, String> {
    pipeline::Step::parse(name).ok_or_else(|| {
        let names: Vec<String> = pipeline::Step::ALL
            .iter()
            .map(|step| step.name().to_owned())
            .collect();
        let list = names.join(", ");
        let spaced = name.replace('_', "-");
        let guess = crate::layers::closest(&spaced, names.into_iter());
        if guess.starts_with("did") {
            guess
        } else {
            format!("the steps are {list}")
        }
    })
}
