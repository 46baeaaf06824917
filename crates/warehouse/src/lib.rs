//! The only place with SQL: SQLite and PostgreSQL under one contract.
//!
//! Every statement is written once, in words that both databases know ([`dialect`](self) lists the
//! few that differ), and runs in a transaction that either carries a batch's result *and* its new
//! state or leaves nothing behind.
//!
//! Not here: fetching, deciding what a record is, the order of the steps, printing.

mod cache_counts;
mod categories;
mod comments;
mod completeness;
mod decide;
mod details;
mod dialect;
mod digest;
mod drift;
mod error;
mod export;
mod freeze;
mod lease;
mod ledger;
mod listing_items;
mod listings;
mod merge;
mod merge_read;
mod merge_write;
mod migrations;
mod open;
mod pages;
mod permits;
mod plan;
mod postgres;
mod present;
mod read;
mod rejections;
mod retention;
mod run_reads;
pub mod schema;
mod select;
mod shapes;
mod slices;
mod sqlite;
mod staging;
mod tls;
mod tx;
pub mod value;
mod walk;

pub use categories::{CategoryNode, Walk, WalkedChild};
pub use completeness::Completeness;
pub use details::{DetailAnswer, DetailAsk, DetailOutcome};
pub use drift::DriftRow;
pub use error::{Error, Result};
pub use export::{Field, Relation, Selection};
pub use freeze::{Details, Identities, Items, Pages, Products};
pub use lease::{Attempt, AttemptRequest, Host};
pub use ledger::{NewRun, Run, RunState, StepRow};
pub use listings::{ListingAsk, ListingOutcome, ListingResult};
pub use merge::{Merge, Outcome};
pub use migrations::Migrated;
pub use open::{Options, Warehouse};
pub use pages::{NewPage, PageKind, StoredPage};
pub use permits::{PaceRow, PermitRow};
pub use plan::{KnownProduct, PlannedProduct};
pub use postgres::PoolLimits;
pub use read::Records;
pub use rejections::{RejectionRow, RejectionToStore};
pub use retention::Retention;
pub use run_reads::GoneCounts;
pub use select::Table;
pub use shapes::ShapeRow;
pub use staging::{ToTransform, Transformed};
