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
