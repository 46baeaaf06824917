//! What can be typed of the pre-deployment checklist.

use std::path::PathBuf;

use clap::Args;

const PREFLIGHT_AFTER: &str = "\
Examples:
  tiki preflight                              all of it, in half a minute
  tiki preflight --section 8 --section 9      database and Redis alone
  tiki preflight --after-deploy               the runs of the last 24 hours

The sections are those of docs/CHECKLIST.md, which says what each looks at. The warehouse is only looked at, and \
the site is not asked (--live: some 25 requests). What is not in use here (Docker, Airflow, Redis, PostgreSQL) is skipped.

Exit codes: 0 Ready, 3 Needs Fixes (something failed after section 17), 4 Blocked (something failed up to it).";

/// Of `tiki preflight`.
#[derive(Debug, Args)]
#[command(after_help = PREFLIGHT_AFTER)]
pub(crate) struct PreflightArguments {
    /// Only this section of the checklist (may be repeated)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=25))]
    pub(crate) section: Vec<u8>,
    /// Instead of the sections: runs, failures and freshness of the last 24 hours
    #[arg(long, conflicts_with = "section")]
    pub(crate) after_deploy: bool,
    /// Ask the site for the test run, at its rate, in place of a simulated shop
    #[arg(long, conflicts_with = "after_deploy")]
    pub(crate) live: bool,
    /// Write the report as a page of HTML besides
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// JSON, for machines
    #[arg(long)]
    pub(crate) json: bool,
}
