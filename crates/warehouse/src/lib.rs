//! The only place with SQL: SQLite and PostgreSQL under one contract.
//!
//! Every statement is written once, in words that both databases know (`dialect` lists the
//! few that differ), and runs in a transaction that either carries a batch's result *and* its new
//! state or leaves nothing behind.
//!
//! Where to look, one step after the other:
//!
//! - opening and the transaction: `open`, `sqlite`, `postgres`, `tls`, `address`, `network`, `tx`, `bulk`, `dialect`, `value`;
//! - what a failure means: `failing` (codes), `error` (for the caller), `errors` (those that runs left behind);
//! - runs and who works on them: `ledger`, `run_reads`, `lease`, `turns`, `freeze`, `progress`;
//! - what a crawl asks and keeps: `categories`, `walk`, `listings`, `listing_items`, `slices`, `plan`, `details`, `pages`, `permits`;
//! - records on their way: `staging` (claims and commits), `batches` (the packed rows), `staged` (one line of them), `rejections`;
//! - the merge: `merge` reads through `merge_read`, decides in `arrivals`, `decide`, `present` and `retell`, and writes
//!   through `merge_write`;
//! - what must go: `retention` (which runs), `cleaning` (which rows), `cleaner` (who);
//! - what is told: `read`, `select`, `export`, `inventory`, `alerts`, `drift`, `shapes`, `completeness`, `digest`;
//! - the schema: `schema`, `migrations`, `comments`; copies of all of it: `backup`.
//!
//! Not here: fetching, deciding what a record is, the order of the steps, printing.

mod address;
mod alerts;
mod arrivals;
mod backup;
mod batches;
mod bulk;
mod cache_counts;
mod categories;
mod cleaner;
mod cleaning;
mod comments;
mod completeness;
mod corrections;
mod database_stats;
mod decide;
mod details;
mod dialect;
mod differences;
mod digest;
mod drift;
mod error;
mod errors;
mod export;
mod failing;
mod freeze;
mod inventory;
mod lease;
mod ledger;
mod listing_items;
mod listings;
mod merge;
mod merge_read;
mod merge_write;
mod migrations;
mod network;
mod open;
mod pages;
mod permits;
mod plan;
mod postgres;
mod present;
mod probe;
mod progress;
mod read;
mod rejections;
mod retell;
mod retention;
mod run_reads;
pub mod schema;
mod select;
mod shapes;
mod slices;
mod sqlite;
mod staged;
mod staging;
mod tls;
mod turns;
mod tx;
pub mod value;
mod walk;
mod yardstick;

pub use alerts::{AlertRow, ClaimedDelivery, DeliveryRow, DeliveryState, NewAlert};
pub use backup::{
    Backup, BackupError, BackupKind, Backups, Facts, KeepBackups, Listed, Manifest, Pruned,
    Restored, Verdict,
};
pub use batches::Batch;
pub use categories::{CategoryNode, Walk, WalkedChild};
pub use cleaner::NO_RUN;
pub use completeness::{Completeness, EMPTY_LISTING, TOO_MANY_SLICES};
pub use corrections::Corrected;
pub use database_stats::{DatabaseStats, PostgresStats, SqliteStats};
pub use details::{DetailAnswer, DetailAsk, DetailOutcome};
pub use differences::{Both, Differences};
pub use drift::DriftRow;
pub use error::{Error, Result};
pub use errors::{ErrorKind, ErrorRow, FailedAttempt, MOST_GROUPS};
pub use export::{Field, Relation, Selection};
pub use freeze::{Details, Identities, Items, OUTCOMES, Pages, Products};
pub use inventory::Inventory;
pub use lease::{Attempt, AttemptRequest, Host};
pub use ledger::{NewRun, Run, RunState, StepRow, Worked};
pub use listings::{ListingAsk, ListingOutcome, ListingResult};
pub use merge::{Merge, Outcome};
pub use migrations::{Migrated, SchemaState, SchemaStep, schema_steps};
pub use open::{Options, Warehouse};
pub use pages::{NewPage, PageKind, StoredPage};
pub use permits::{PaceRow, PermitRow};
pub use plan::{KnownProduct, PlannedProduct};
pub use postgres::PoolLimits;
pub use probe::{GoodRun, Probe};
pub use progress::{Frontier, Progress};
pub use read::{COUNTED, Records};
pub use rejections::{RejectionRow, RejectionToStore};
pub use retell::Derive;
pub use retention::{Due, Kind, Retention};
pub use run_reads::GoneCounts;
pub use select::Table;
pub use shapes::ShapeRow;
pub use slices::MOST_SLICES;
pub use staging::{Claimed, ToTransform, Transformed, TransformedBatch};
pub use yardstick::PlainRows;
