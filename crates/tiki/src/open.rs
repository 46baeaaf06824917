//! Opening the warehouse that the settings name, or the demo's beside it.
//!
//! Not here: what it is asked.

use std::time::Duration;

use pipeline::Exit;
use warehouse::{Backups, Options, Warehouse};

use crate::failure::{Failure, Outcome};
use crate::secret::masked;
use crate::{Context, print};

/// The schema of the demo in a PostgreSQL database.
const DEMO_SCHEMA: &str = "demo";

/// Where a warehouse is: its address and its schema.
fn place(context: &Context, demo: bool) -> (String, Options) {
    let config = &context.config;
    let mut options = Options {
        limits: config.limits.clone(),
        busy: config.lock_timeout,
        ..Options::default()
    };
    if !demo {
        return (config.database_url.clone(), options);
    }
    if config.database_url.starts_with("postgres") {
        options.schema = DEMO_SCHEMA.into();
        return (config.database_url.clone(), options);
    }
    (
        format!("sqlite:{}", config.data_dir.join("demo.db").display()),
        options,
    )
}

/// What is typed behind a command that is for the demo's warehouse.
pub(crate) fn flag(demo: bool) -> &'static str {
    if demo { " --demo" } else { "" }
}

/// What to do so that the demo begins anew.
pub(crate) fn to_begin_demo_anew(context: &Context) -> String {
    let (url, _) = place(context, true);
    match url.strip_prefix("sqlite:") {
        Some(path) => format!("remove {path}"),
        None => format!("drop the schema {DEMO_SCHEMA} of the database"),
    }
}

/// Opens it for a command that writes: the schema is brought up to date.
pub(crate) async fn to_write(context: &Context, demo: bool) -> Outcome<Warehouse> {
    let folder = &context.config.data_dir;
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::new(
            Exit::Machine,
            format!("cannot make the data folder {}", folder.display()),
        )
        .because(&error)
        .help("choose a folder that this user may write with --data-dir or TIKI_DATA_DIR")
    })?;
    let (url, options) = place(context, demo);
    let warehouse = Warehouse::open(&url, &options).await?;
    let migrated = warehouse
        .migrate_past(&options.schema, pipeline::is_gone)
        .await?;
    if migrated.is_new() {
        tell_of_backups(context, demo)?;
    }
    Ok(warehouse)
}

/// A warehouse that begins where there was one before: whoever lost it should know of its backups.
fn tell_of_backups(context: &Context, demo: bool) -> Outcome<()> {
    // A folder that cannot be read tells of none, and is no reason not to begin.
    let backups = backups(context, demo)?;
    let known = backups.list().unwrap_or_default().backups;
    let own = known.iter().rfind(|backup| backups.is_own(backup));
    if let Some(newest) = own.or(known.last()) {
        context.screen.warn(&format!(
            "this warehouse is empty and begins anew, although there are backups, the newest {}: `tiki \
             backup list{flag}` shows them, `tiki backup restore <id> --force{flag}` puts one in its place",
            newest.manifest.id,
            flag = flag(demo)
        ));
    }
    Ok(())
}

/// Opens it for a command that reads records; one without any is told with what to do.
pub(crate) async fn to_read(context: &Context, demo: bool) -> Outcome<Warehouse> {
    match ledger(context, demo).await? {
        Some(warehouse) if warehouse.has_products().await? => Ok(warehouse),
        found => Err(empty(context, demo, found.is_some()).await),
    }
}

/// The warehouse without its secrets, for a place that may not answer.
pub(crate) fn address(context: &Context, demo: bool) -> String {
    masked(&place(context, demo).0)
}

/// Opens it to be looked at only, if it was made: nothing can be written, and no wait is longer than
/// `patience`.
pub(crate) fn to_look(
    context: &Context,
    demo: bool,
    patience: Duration,
) -> impl Future<Output = warehouse::Result<Option<Warehouse>>> + Send + use<> {
    let (url, mut options) = hurried(context, demo, patience);
    options.only_looks = true;
    async move {
        if is_unmade(&url)? {
            return Ok(None);
        }
        Warehouse::open(&url, &options).await.map(Some)
    }
}

/// Opens it, if it has tables, to write an alert or ask for a permit: its schema is left as it is, and no wait is longer
/// than `patience`.
pub(crate) async fn to_tell(
    context: &Context,
    patience: Duration,
) -> warehouse::Result<Option<Warehouse>> {
    let (url, options) = hurried(context, false, patience);
    if is_unmade(&url)? {
        return Ok(None);
    }
    let warehouse = Warehouse::open(&url, &options).await?;
    let has_tables = warehouse.check_schema().await?;
    Ok(has_tables.then_some(warehouse))
}

/// Where it is, with waits no longer than `patience`.
fn hurried(context: &Context, demo: bool, patience: Duration) -> (String, Options) {
    let (url, mut options) = place(context, demo);
    let limits = &mut options.limits;
    limits.wait = limits.wait.min(patience);
    limits.statement_timeout = limits.statement_timeout.min(patience);
    options.busy = options.busy.min(patience);
    (url, options)
}

/// Whether it is an SQLite file that is not there: only a file system that says so is believed.
fn is_unmade(url: &str) -> warehouse::Result<bool> {
    let Some(path) = url.strip_prefix("sqlite:") else {
        return Ok(false);
    };
    let is_there = |path: &str| {
        let barred = |source| warehouse::Error::Barred {
            path: path.to_owned(),
            source,
        };
        std::path::Path::new(path).try_exists().map_err(barred)
    };
    // Its log without it is a damage, which opening tells.
    Ok(!is_there(path)? && !is_there(&format!("{path}-wal"))?)
}

/// Opens it for a command that reads the ledger; `None`: there is no warehouse yet, or one without tables. Asks
/// nothing of the products, so that of a damaged one may be read what can be.
pub(crate) async fn ledger(context: &Context, demo: bool) -> Outcome<Option<Warehouse>> {
    let (url, options) = place(context, demo);
    if is_unmade(&url)? {
        return Ok(None);
    }
    let warehouse = Warehouse::open(&url, &options).await?;
    let has_tables = warehouse.check_schema().await?;
    Ok(has_tables.then_some(warehouse))
}

/// Whether there is a warehouse to copy: of this program's schema or of an older one, which is to be migrated.
pub(crate) async fn is_made(context: &Context, demo: bool) -> Outcome<bool> {
    let (url, options) = place(context, demo);
    if is_unmade(&url)? {
        return Ok(false);
    }
    Ok(Warehouse::open(&url, &options).await?.is_made().await?)
}

/// What to do about a warehouse without records.
pub(crate) async fn empty(context: &Context, demo: bool, has_tables: bool) -> Failure {
    let (url, _) = place(context, demo);
    let whose = if demo {
        "the demo's warehouse"
    } else {
        "the warehouse"
    };
    let state = if has_tables {
        "is empty"
    } else {
        "has not been filled yet"
    };
    let failure = Failure::usage(format!("{whose} at {url} {state}"));
    if demo {
        return failure.help("fill it with: tiki run --demo");
    }
    match demo_hint(context).await {
        Ok(Some(hint)) => failure.help(format!("{hint}, or fill this one with: tiki run")),
        Ok(None) => failure.help("fill it with: tiki run (the real site), or try: tiki run --demo"),
        Err(failure) => failure,
    }
}

/// What to say where the ledger has no runs.
pub(crate) async fn no_runs(context: &Context, demo: bool) -> Outcome<String> {
    if demo {
        return Ok("no runs yet; `tiki run --demo` begins one".into());
    }
    let hint = demo_hint(context).await?;
    let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
    Ok(format!("no runs yet; `tiki run` begins one{hint}"))
}

/// What the demo's warehouse has, if it was filled.
async fn demo_hint(context: &Context) -> Outcome<Option<String>> {
    // Where it cannot be read it is no hint.
    let Ok(Some(demo)) = ledger(context, true).await else {
        return Ok(None);
    };
    if !demo.has_products().await.unwrap_or(false) {
        return Ok(None);
    }
    let (products, ..) = demo.totals_in_brief().await?;
    Ok(Some(format!(
        "the demo's has {products} products: add --demo to read it"
    )))
}

/// The backups of the warehouse, or of the demo's. Opens nothing.
pub(crate) fn backups(context: &Context, demo: bool) -> Outcome<Backups> {
    let (url, options) = place(context, demo);
    let name = if demo { "demo" } else { "tiki" };
    let search = std::env::var_os("PATH");
    Ok(Backups::new(
        &url,
        options,
        &context.config.data_dir,
        name,
        search,
    )?)
}

/// `tiki migrate`.
pub(crate) async fn migrate(context: &Context, demo: bool) -> Outcome {
    let (url, options) = place(context, demo);
    let warehouse = Warehouse::open(&url, &options).await?;
    let done = warehouse
        .migrate_past(&options.schema, pipeline::is_gone)
        .await?;
    let what = match done.applied.len() {
        0 => "already up to date".to_owned(),
        _ => format!("applied {}", done.applied.join(", ")),
    };
    print::line(&format!(
        "{}: schema {}, {what}",
        warehouse.address(),
        done.version
    ))?;
    Ok(Exit::Done)
}
