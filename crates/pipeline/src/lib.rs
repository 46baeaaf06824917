//! The nine steps, the ledger of runs, resume, the report, the clock.
//!
//! Every hand-over between steps is a table of the warehouse, so any step can run in any process,
//! stop at any moment and go on.
//!
//! Not here: SQL (`warehouse`), HTTP (`crawl`), what a record is (`catalog`), printing and the
//! environment (`tiki`).

pub mod alerts;
mod check;
mod cleanup;
mod clock;
mod clocks;
mod containers;
mod crawl_categories;
mod crawl_product_details;
mod disk;
mod drift;
mod error;
mod errors;
mod exit;
mod extract_product_urls;
mod fetch;
pub mod health;
mod housekeeping;
mod infrastructure;
mod knock;
mod load_products;
pub mod metrics;
mod outage;
pub mod outside;
mod permits;
mod plan;
pub mod preflight;
mod process;
mod progress;
mod report;
mod runs;
mod schedule;
mod scope;
mod second_way;
mod settings;
mod site;
mod spans;
mod step;
mod steps;
mod stop;
mod transform_products;

pub use check::{Check, State};
pub use cleanup::{Cleaned, CleanedKind};
pub use clock::Clock;
pub use disk::{is_in_memory, nearest, write_whole};
pub use error::{Error, Result};
pub use errors::{ErrorClass, classes as error_classes, shortened};
pub use exit::Exit;
pub use permits::SitePermits;
pub use process::{id_and_machine, is_gone, shown as shown_process};
pub use progress::{Event, Listener};
pub use report::{RunReport, StepReport};
pub use runs::RunRequest;
pub use schedule::{Cron, Due, Memory, PAUSES, Schedule};
pub use scope::Scope;
pub use second_way::SourceChoice;
pub use settings::{Keep, Settings};
pub use site::{Site, chain};
pub use spans::TO_FILES;
pub use step::{Step, StepRequest};
pub use steps::Pipeline;
pub use stop::Stop;
