//! What can be typed about cleaning up.

use clap::Args;

use super::Output;

const CLEANUP_AFTER: &str = "\
What the eighth step of every run takes away as well, without a run: rows of closed runs that are older than \
TIKI_KEEP_LISTINGS, TIKI_KEEP_PAGES, TIKI_KEEP_OBSERVATIONS and TIKI_KEEP_LEDGER say, and temporary files: alerts that \
a killed process was writing into the data folder (files of others stay); and log files past TIKI_KEEP_LOGS and TIKI_LOG_SPACE. The history of changes, the present and the categories stay for ever. \
Before the first rows of a kind go, it only says what is lost with them; the next time they go. What went is in the log: \
each kind with its rows. The clock of `tiki serve` does it at the times of TIKI_CLEANUP_SCHEDULE.

Exit codes: 0 done, also where nothing was old enough; 30 the warehouse is away, or another process cleans up; 99 there is \
no warehouse yet.";

/// Of `tiki cleanup`.
#[derive(Debug, Args)]
#[command(after_help = CLEANUP_AFTER)]
pub(crate) struct CleanupArguments {
    /// Only say what would go, and about how many rows; changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}
