//! What can be typed about the way back.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::span;

/// Of `tiki rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    /// Back to what
    #[command(subcommand)]
    pub(crate) command: RollbackCommand,
}

/// The ways back.
#[derive(Debug, Subcommand)]
pub(crate) enum RollbackCommand {
    /// Pause tiki_crawl_products_optimized and unpause tiki_crawl_products, or the other way (--undo)
    Airflow(RollbackAirflow),
    /// Put the newest proven backup from before a run in the warehouse's place, and show what that changes
    Data(RollbackData),
}

const AIRFLOW_AFTER: &str = "\
Airflow is that of TIKI_AIRFLOW_URL, TIKI_AIRFLOW_USER and TIKI_AIRFLOW_PASSWORD; the user must be allowed to \
change DAGs and their runs. What runs is waited for before anything is changed, because Airflow begins no task \
of a DAG that is paused. The two DAGs are never both unpaused by this. Interrupted or failed on its way, the same \
command goes on.

Exit codes: 0 it is so (or was already), 2 Airflow, a login or a DAG is missing or refused, 30 Airflow is not \
reached, or what runs did not end in time.";

/// Of `tiki rollback airflow`.
#[derive(Debug, Args)]
#[command(after_help = AIRFLOW_AFTER)]
pub(crate) struct RollbackAirflow {
    /// Forward again: pause tiki_crawl_products and unpause tiki_crawl_products_optimized
    #[arg(long)]
    pub(crate) undo: bool,
    /// How long to wait for the end of what runs
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = span)]
    pub(crate) wait: Duration,
    /// End what runs instead: mark it failed in Airflow, and close its run as `tiki runs close` does
    #[arg(long)]
    pub(crate) close: bool,
    /// Only look, and say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// JSON, for machines
    #[arg(long)]
    pub(crate) json: bool,
}

const DATA_AFTER: &str = "\
Examples:
  tiki rollback data --dry-run                what would be lost by going back before the newest run
  tiki rollback data --force                  go back; a proven backup of today is made first
  tiki rollback data --before ID --force      go back to before this run
  tiki rollback data --demo --dry-run         the same with the demo's warehouse, to practise

The backup is restored beside the warehouse and compared with it; only then it takes its place, as `tiki backup \
restore` does it: not while anybody is at work, and at one moment. Killed at any other, the old warehouse stays.

Exit codes: 0 done (or looked, with --dry-run), 2 without --force, or there is no such backup, 30 somebody is at \
work, 99 no run changed anything.";

/// Of `tiki rollback data`.
#[derive(Debug, Args)]
#[command(after_help = DATA_AFTER)]
pub(crate) struct RollbackData {
    /// The run to go back from [default: the newest that changed anything]
    #[arg(long, value_name = "RUN")]
    pub(crate) before: Option<String>,
    /// This backup, whenever it was made
    #[arg(long, value_name = "ID", conflicts_with = "before")]
    pub(crate) backup: Option<String>,
    /// Put it in the warehouse's place; without this it is only shown what would change
    #[arg(long)]
    pub(crate) force: bool,
    /// Make no backup of the present first
    #[arg(long)]
    pub(crate) no_backup: bool,
    /// Only look
    #[arg(long, conflicts_with = "force")]
    pub(crate) dry_run: bool,
    /// The demo's warehouse
    #[arg(long)]
    pub(crate) demo: bool,
    /// JSON, for machines
    #[arg(long)]
    pub(crate) json: bool,
}
