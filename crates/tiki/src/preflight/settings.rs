//! Sections 19 to 21 as far as they are settings.

use pipeline::preflight::environment;
use pipeline::preflight::trial::{CATEGORIES, PRODUCTS};
use pipeline::{Check, State, nearest};

use super::project::can_be_written;
use crate::Context;
use crate::log::FOLDER;

/// Section 19: what a run takes, as the settings say. A setting that stayed at the test run's is told.
pub(super) fn scale(context: &Context) -> Check {
    let config = &context.config;
    let many = |number: i64, what: &str| match number {
        0 => format!("all {what}"),
        number => format!("{number} {what}"),
    };
    let seen = format!(
        "{}, {} of each, {} requests in flight, {} s between two",
        many(config.max_categories, "categories"),
        many(config.max_products, "products"),
        config.pipeline.workers,
        config.rate
    );
    if (config.max_categories, config.max_products) == (CATEGORIES, PRODUCTS) {
        return Check::new("scale", State::Warning, seen)
            .help("these are still the test run's: set TIKI_MAX_CATEGORIES and TIKI_MAX_PRODUCTS_PER_CATEGORY");
    }
    Check::new("scale", State::Ok, seen)
}

/// Section 20: whether `tiki serve` makes backups on time.
pub(super) fn backup_schedule(context: &Context) -> Check {
    let name = "backup-schedule";
    let resolved = context.resolved.all.iter();
    let text = resolved
        .filter(|effective| effective.setting.name == "TIKI_BACKUP_SCHEDULE")
        .map(|effective| effective.text.clone())
        .next();
    match (&context.config.backup_schedule, text) {
        (Some(_), Some(text)) => Check::new(
            name,
            State::Ok,
            format!("{text}, by `tiki serve` or the DAG tiki_backup"),
        ),
        _ => Check::new(name, State::Warning, "TIKI_BACKUP_SCHEDULE is off")
            .help("does the DAG tiki_backup or cron make backups? Else set TIKI_BACKUP_SCHEDULE"),
    }
}

/// Section 21: the folder of the program's own log files, which the first of them makes.
pub(super) fn log_files(context: &Context) -> Check {
    let config = &context.config;
    let folder = config.data_dir.join(FOLDER);
    let seen = (config.logs.filter != "off").then(|| {
        let place = nearest(&folder).map_err(|error| error.to_string());
        place.and_then(can_be_written)
    });
    environment::log_files(&folder.display().to_string(), seen.as_ref())
}
