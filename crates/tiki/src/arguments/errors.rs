//! What can be typed about errors.

use clap::Args;

use super::Output;

const ERRORS_AFTER: &str = "\
Example:
  tiki errors --since 2026-11-24              what went wrong since that day

What is counted: failures at work on a step, also where the step was done later, and steps that ended otherwise than \
with 0; attempts that were cut off; categories, pages and details that were given up; and rejections. Categories, \
pages and details have the time at which their run began.";

/// Of `tiki errors`.
#[derive(Debug, Args)]
#[command(after_help = ERRORS_AFTER)]
pub(crate) struct ErrorsArguments {
    /// Only of this run
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    pub(crate) run: Option<String>,
    /// Of the runs that began since a day or an instant [default: of the newest 20]
    #[arg(long, value_name = "DAY|INSTANT")]
    pub(crate) since: Option<String>,
    /// Classes at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}
