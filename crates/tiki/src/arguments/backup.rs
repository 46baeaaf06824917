//! What can be typed about backups.

use clap::{Args, Subcommand};

use super::Output;

const BACKUP_AFTER: &str = "\
Examples:
  tiki backup create --verify                 one that is known to be good
  tiki backup restore tiki-20261129T004512123Z --force
  tiki backup prune --dry-run                 what would be kept, and why

Backups are in backups/sqlite and backups/postgres of the data folder, a folder each. PostgreSQL needs \
pg_dump and pg_restore of its version (Debian: postgresql-client).";

/// Of `tiki backup`.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_AFTER)]
pub(crate) struct BackupArguments {
    /// What about them [default: list]
    #[command(subcommand)]
    pub(crate) command: Option<BackupCommand>,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What about backups.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make one, while runs go on
    Create {
        /// Prove it at once, as verify does
        #[arg(long)]
        verify: bool,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Those that are there
    List {
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Restore one into a database of its own, count, and note that it is good
    Verify {
        /// Its id [default: the newest]
        id: Option<String>,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Put one in the place of the warehouse, while nobody is at work
    Restore {
        /// Its id
        id: String,
        /// Also where there is a warehouse already; it is kept beside
        #[arg(long)]
        force: bool,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Keep 7 daily, 4 weekly and 12 monthly ones; delete no other without a younger verified one
    Prune {
        /// Only say what would become of each
        #[arg(long)]
        dry_run: bool,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
}
