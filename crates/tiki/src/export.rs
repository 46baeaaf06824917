//! `tiki export`: a table or view as a file, row by row, whatever its size. A file appears when it is whole.
//!
//! Not here: which rows there are (`warehouse`), how a row is written (`text`, `columns`).

pub(crate) mod beside;
mod columns;
mod text;

use std::io::{self, Write};
use std::path::Path;

use catalog::Instant;
use pipeline::{Error, Exit};
use warehouse::value::Value;
use warehouse::{Field, Relation, Selection, Warehouse};

use crate::arguments::{ExportArguments, Format};
use crate::browse;
use crate::failure::{Failure, Outcome};
use crate::{Context, interrupt, open};

/// Other names for tables.
const ALIASES: [(&str, &str); 1] = [("history", "product_history")];

/// `tiki export`.
pub(crate) async fn export(context: &Context, arguments: &ExportArguments) -> Outcome {
    let to_stdout = arguments.file.as_os_str() == "-";
    let format = format(arguments)?;
    let since = arguments.since.as_deref();
    let since = since.map(|text| instant(context, text)).transpose()?;
    let warehouse = open_for(context, arguments).await?;
    let relation = relation(&warehouse, &arguments.table).await?;
    let fields = fields(&relation, arguments.columns.as_deref())?;
    let selection = Selection {
        relation: &relation,
        fields: &fields,
        since,
        category: category(&warehouse, &relation, arguments).await?,
    };
    if since.is_some() && relation.since.is_none() {
        return Err(Failure::usage(format!(
            "{} has no time that --since could go by",
            relation.name
        ))
        .help("leave --since out, or choose rows with `tiki sql`"));
    }
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    if to_stdout {
        let failed = |error| Failure::output(&error);
        let out = Writer::new(format, arguments.raw, &fields, io::stdout());
        write_all(context, &warehouse, &selection, out, &failed).await?;
        return Ok(Exit::Done);
    }
    let path = &arguments.file;
    spare_our_own(context, path)?;
    let failed = |error| Failure::machine(format!("cannot write {}", path.display()), &error);
    let beside = beside::Beside::new(path).map_err(failed)?;
    let file = beside.create().map_err(failed)?;
    let out = Writer::new(format, arguments.raw, &fields, &file);
    let count = write_all(context, &warehouse, &selection, out, &failed).await?;
    file.sync_all().map_err(failed)?;
    beside.rename().map_err(failed)?;
    context.screen.say(&format!(
        "{count} rows of {} written to {}",
        relation.name,
        path.display()
    ));
    Ok(Exit::Done)
}

/// A warehouse without products has nothing to tell of them, but it may of its runs.
async fn open_for(context: &Context, arguments: &ExportArguments) -> Outcome<Warehouse> {
    if arguments.table == "products" {
        return open::to_read(context, arguments.demo).await;
    }
    match open::ledger(context, arguments.demo).await? {
        Some(warehouse) => Ok(warehouse),
        None => Err(open::empty(context, arguments.demo, false).await),
    }
}

fn format(arguments: &ExportArguments) -> Outcome<Format> {
    if let Some(format) = arguments.format {
        return Ok(format);
    }
    let ending = arguments
        .file
        .extension()
        .and_then(|ending| ending.to_str());
    match ending.map(str::to_lowercase).as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
        Some("parquet") => Ok(Format::Parquet),
        None if arguments.file.as_os_str() == "-" => Ok(Format::Csv),
        _ => Err(
            Failure::usage(format!("no format ends like {}", arguments.file.display()))
                .help("end the name with .csv, .jsonl or .parquet, or add --format"),
        ),
    }
}

/// An instant as typed; a day begins at midnight in the time zone of days.
pub(crate) fn instant(context: &Context, text: &str) -> Outcome<Instant> {
    let zone = context.config.zone();
    // A day with a time would be read as a day, and a time without a zone would be anybody's.
    let day = text.len() <= "YYYY-MM-DD".len();
    let millis = if day {
        let day = text.parse::<jiff::civil::Date>().ok();
        let begins = day.and_then(|day| zone.to_timestamp(day.at(0, 0, 0, 0)).ok());
        begins.map(jiff::Timestamp::as_millisecond)
    } else {
        let stamp = text.parse::<jiff::Timestamp>().ok();
        stamp.map(jiff::Timestamp::as_millisecond)
    };
    millis.map(Instant::from_millis).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Failure::usage(format!("--since {shown:?} is neither a day nor an instant")).help(
            "write a day such as 2026-11-24 (it begins at midnight by TIKI_TIME_ZONE), or an instant \
             such as 2026-11-24T17:00:00Z",
        )
    })
}

async fn relation(warehouse: &Warehouse, name: &str) -> Outcome<Relation> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, table)| table);
    if let Some(relation) = warehouse.relation(name).await? {
        return Ok(relation);
    }
    let known = warehouse.relations().await?.join(", ");
    let shown: String = name.chars().take(80).collect();
    Err(
        Failure::usage(format!("there is no table or view {shown:?}"))
            .help(format!("there are: {known}")),
    )
}

/// The columns that were asked for; without a wish all that are not the program's own.
fn fields<'a>(relation: &'a Relation, wish: Option<&[String]>) -> Outcome<Vec<&'a Field>> {
    let Some(wish) = wish else {
        return Ok(relation.fields.iter().filter(|f| !f.internal).collect());
    };
    let mut chosen: Vec<&Field> = Vec::new();
    for name in wish {
        let found = relation.fields.iter().find(|field| field.name == *name);
        let Some(field) = found else {
            let known: Vec<&str> = relation.fields.iter().map(|f| f.name.as_str()).collect();
            let shown: String = name.chars().take(80).collect();
            return Err(
                Failure::usage(format!("{} has no column {shown:?}", relation.name))
                    .help(format!("it has: {}", known.join(", "))),
            );
        };
        if chosen.iter().any(|other| other.name == *name) {
            return Err(Failure::usage(format!("--columns names {name} twice")));
        }
        chosen.push(field);
    }
    Ok(chosen)
}

async fn category(
    warehouse: &Warehouse,
    relation: &Relation,
    arguments: &ExportArguments,
) -> Outcome<Option<i64>> {
    let Some(text) = &arguments.category else {
        return Ok(None);
    };
    if !relation.has_categories() {
        return Err(Failure::usage(format!(
            "{} has no products or categories that --category could go by",
            relation.name
        ))
        .help("leave --category out, or choose rows with `tiki sql`"));
    }
    browse::category(warehouse, text, arguments.demo)
        .await
        .map(Some)
}

async fn write_all<W: Write + Send>(
    context: &Context,
    warehouse: &Warehouse,
    selection: &Selection<'_>,
    out: io::Result<Writer<W>>,
    failed: &(impl Fn(io::Error) -> Failure + Sync),
) -> Outcome<u64> {
    let mut out = out.map_err(failed)?;
    let take = |row: &[Value]| {
        if context.stop.is_said() {
            return Err(Error::Interrupted.into());
        }
        out.row(row).map_err(failed)
    };
    let count = warehouse.export(selection, take).await??;
    out.finish().map_err(failed)?;
    Ok(count)
}

/// A file being written.
enum Writer<W: Write + Send> {
    Csv(Box<text::Csv<W>>),
    Jsonl(text::Jsonl<W>),
    Parquet(Box<columns::Parquet<W>>),
}

impl<W: Write + Send> Writer<W> {
    fn new(format: Format, raw: bool, fields: &[&Field], out: W) -> io::Result<Self> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(text::Csv::new(out, raw, fields)?)),
            Format::Jsonl => Self::Jsonl(text::Jsonl::new(out, fields)),
            Format::Parquet => Self::Parquet(Box::new(columns::Parquet::new(out, fields)?)),
        })
    }

    fn row(&mut self, row: &[Value]) -> io::Result<()> {
        match self {
            Self::Csv(out) => out.row(row),
            Self::Jsonl(out) => out.row(row),
            Self::Parquet(out) => out.row(row),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(out) => out.finish(),
            Self::Jsonl(out) => out.finish(),
            Self::Parquet(out) => out.finish(),
        }
    }
}

/// Refuses what an export would destroy: a database or its log, and what lies among the backups.
fn spare_our_own(context: &Context, path: &Path) -> Outcome<()> {
    let refuse = |what: &str| {
        Err(
            Failure::usage(format!("{} is {what}: it is not replaced", path.display()))
                .help("give a file of its own for the export"),
        )
    };
    // Of a link the file that it leads to would be replaced.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = real.to_string_lossy().into_owned();
    if ["-wal", "-shm", "-journal"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return refuse("named like the log of a database");
    }
    let mut head = Vec::new();
    if let Ok(file) = std::fs::File::open(&real) {
        // One that cannot be read is told of when it is written.
        drop(io::Read::read_to_end(
            &mut io::Read::take(file, 16),
            &mut head,
        ));
    }
    if head == b"SQLite format 3\0" {
        return refuse("a database");
    }
    let folder = real.parent().and_then(|folder| folder.canonicalize().ok());
    let backups = context.config.data_dir.join("backups");
    match (folder, backups.canonicalize()) {
        (Some(folder), Ok(backups)) if folder.starts_with(&backups) => refuse("among the backups"),
        _ => Ok(()),
    }
}

/// Whether something is there that may be replaced: a file, or nothing yet.
fn may_be_replaced(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::Error::other("it is a folder")),
        Ok(found) if !found.is_file() => Err(io::Error::other(
            "it is no plain file; - is standard output",
        )),
        _ => Ok(()),
    }
}
