//! `tiki export`: all products, in id order, as a stream of pages. A file appears when it is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use pipeline::{Error, Exit};
use warehouse::value::Value;
use warehouse::{Records, Warehouse};

use crate::arguments::{ExportArguments, Format};
use crate::failure::{Failure, Outcome};
use crate::{Context, interrupt, open, print};

/// Products that are held in memory at once.
const PAGE: i64 = 500;

/// `tiki export`.
pub(crate) async fn export(context: &Context, arguments: &ExportArguments) -> Outcome {
    let to_stdout = arguments.file.as_os_str() == "-";
    let format = format(arguments)?;
    let warehouse = open::to_read(context, arguments.demo).await?;
    interrupt::listen(context.stop.clone(), context.screen.clone())?;
    if to_stdout {
        let mut out = BufWriter::new(io::stdout());
        write_all(context, &warehouse, format, &mut out, &|error| {
            Failure::output(&error)
        })
        .await?;
        return Ok(Exit::Done);
    }
    let path = &arguments.file;
    let failed = |error| Failure::machine(format!("cannot write {}", path.display()), &error);
    if path.is_dir() {
        return Err(failed(io::Error::other("it is a folder")));
    }
    let beside = Beside::new(path);
    let file = beside.create().map_err(failed)?;
    let mut out = BufWriter::new(file);
    let count = write_all(context, &warehouse, format, &mut out, &failed).await?;
    let file = out
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    beside.rename(path).map_err(failed)?;
    context
        .screen
        .say(&format!("{count} products written to {}", path.display()));
    Ok(Exit::Done)
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
        None if arguments.file.as_os_str() == "-" => Ok(Format::Csv),
        _ => Err(
            Failure::usage(format!("no format ends like {}", arguments.file.display()))
                .help("end the name with .csv or .jsonl, or add --format csv or --format jsonl"),
        ),
    }
}

async fn write_all(
    context: &Context,
    warehouse: &Warehouse,
    format: Format,
    out: &mut (impl Write + Send),
    failed: &(impl Fn(io::Error) -> Failure + Sync),
) -> Outcome<u64> {
    let mut after = i64::MIN;
    let mut count = 0;
    loop {
        if context.stop.is_said() {
            return Err(Error::Interrupted.into());
        }
        let page = warehouse.products_after(after, PAGE).await?;
        if format == Format::Csv {
            write_csv(&page, count == 0, out).map_err(failed)?;
        } else {
            write_jsonl(&page, out).map_err(failed)?;
        }
        count += page.rows.len() as u64;
        match page.rows.last().and_then(|row| row.first()) {
            Some(Value::Int(id)) => after = *id,
            _ => break,
        }
    }
    out.flush().map_err(failed)?;
    Ok(count)
}

fn write_csv(page: &Records, header: bool, out: &mut impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    if header {
        writer.write_record(&page.columns)?;
    }
    for row in &page.rows {
        let cells = page.columns.iter().zip(row);
        writer.write_record(cells.map(|(column, value)| print::cell(column, value)))?;
    }
    writer.flush()
}

fn write_jsonl(page: &Records, out: &mut impl Write) -> io::Result<()> {
    for row in &page.rows {
        serde_json::to_writer(&mut *out, &print::object(page, row))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// A file beside the one that is wanted; gone again unless it is renamed.
struct Beside(PathBuf);

impl Beside {
    fn new(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        Self(name.into())
    }

    fn create(&self) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.0)
    }

    fn rename(&self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.0, path)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After the renaming there is nothing left to remove.
        drop(std::fs::remove_file(&self.0));
    }
}
