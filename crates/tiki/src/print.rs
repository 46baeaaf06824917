//! Results on standard output: tables for people, JSON for machines.
//!
//! Not here: notes and errors, which go to standard error (`screen`).

use std::io::{self, BufWriter, Write};

use catalog::{harmless, is_harmful, one_line};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use warehouse::Records;
use warehouse::value::Value;

use crate::failure::{Failure, Outcome};

/// Characters of a cell in a table of records for people; JSON has all.
const CELL_CHARS: usize = 60;

/// Characters of a cell in any other table.
const WIDE_CELL_CHARS: usize = 300;

/// Columns that are yes or no, whatever the database keeps.
const FLAGS: [&str; 3] = ["seller_is_official", "is_leaf", "is_primary"];

/// Columns that hold JSON.
const DOCUMENTS: [&str; 2] = ["specifications", "images"];

/// A text for people, in which nothing from elsewhere commands a terminal.
pub(crate) fn text(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    let done = out
        .write_all(harmless(text).as_bytes())
        .and_then(|()| out.flush());
    done.map_err(|error| Failure::output(&error))
}

/// A line.
pub(crate) fn line(line: &str) -> Outcome<()> {
    text(&format!("{line}\n"))
}

/// A value as one line of JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Outcome<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut escaping = serde_json::Serializer::with_formatter(&mut out, Escaping);
    let written = value.serialize(&mut escaping).map_err(io::Error::from);
    let done = written
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    done.map_err(|error| Failure::output(&error))
}

/// JSON in which what could do something in a terminal is escaped: the same data, whoever reads it.
struct Escaping;

impl serde_json::ser::Formatter for Escaping {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_harmful) {
            let (before, after) = rest.split_at(at);
            out.write_all(before.as_bytes())?;
            let width = after.chars().next().map_or(0, char::len_utf8);
            let (harmful, after) = after.split_at(width);
            for unit in harmful.encode_utf16() {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = after;
        }
        out.write_all(rest.as_bytes())
    }
}

/// A table without lines; numbers stand to the right.
pub(crate) fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    cut_table(columns, rows, WIDE_CELL_CHARS)
}

/// The same, of records: long cells are cut.
pub(crate) fn table_of_records(columns: &[&str], rows: &[Vec<String>]) -> String {
    cut_table(columns, rows, CELL_CHARS)
}

fn cut_table(columns: &[&str], rows: &[Vec<String>], chars: usize) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|name| (*name).to_owned()));
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell, chars)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        let is_number = |row: &Vec<String>| {
            row.get(index)
                .is_none_or(|cell| cell.is_empty() || cell.parse::<f64>().is_ok())
        };
        if !rows.is_empty() && rows.iter().all(is_number) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
        column.set_padding((0, 2));
    }
    table
        .lines()
        .fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Records: a table, or an array of objects.
pub(crate) fn records(records: &Records, as_json: bool) -> Outcome<()> {
    if as_json {
        let rows: Vec<Json> = records
            .rows
            .iter()
            .map(|row| object(records, row))
            .collect();
        return json(&rows);
    }
    let cells = |row: &Vec<Value>| -> Vec<String> {
        records
            .columns
            .iter()
            .zip(row)
            .map(|(name, value)| cell(name, value))
            .collect()
    };
    let rows: Vec<Vec<String>> = records.rows.iter().map(cells).collect();
    text(&table_of_records(&records.columns, &rows))
}

/// One record, a line for each column that has a value.
pub(crate) fn record(records: &Records, row: &[Value]) -> Outcome<()> {
    let width = records
        .columns
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or(0);
    let mut shown_all = String::new();
    for (name, value) in records.columns.iter().zip(row) {
        let cell = cell(name, value);
        if !cell.is_empty() {
            let cut: String = cell.chars().take(500).collect();
            let dots = if cut.len() < cell.len() { " …" } else { "" };
            let cut = cut.replace('\n', &format!("\n{:width$}  ", ""));
            shown_all += &format!("{name:<width$}  {cut}{dots}\n");
        }
    }
    text(&shown_all)
}

/// A record as an object.
pub(crate) fn object(records: &Records, row: &[Value]) -> Json {
    let pairs = records.columns.iter().zip(row);
    let pairs = pairs.map(|(name, value)| ((*name).to_owned(), as_json(name, value)));
    Json::Object(pairs.collect::<Map<_, _>>())
}

fn as_json(column: &str, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(int) if FLAGS.contains(&column) => Json::Bool(*int != 0),
        Value::Int(int) => Json::from(*int),
        Value::Real(real) => Json::from(*real),
        Value::Flag(flag) => Json::Bool(*flag),
        Value::Text(text) if DOCUMENTS.contains(&column) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.clone()))
        }
        other => Json::from(shown(other)),
    }
}

/// A value as text; NULL is empty.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Int(int) => int.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::Time(time) => time.to_string(),
        Value::Bytes(bytes) => format!("<{} bytes>", bytes.len()),
        Value::Ids(ids) => format!("{ids:?}"),
    }
}

/// As a cell of a file: yes or no the same from either database.
pub(crate) fn cell(column: &str, value: &Value) -> String {
    match value {
        Value::Int(int) if FLAGS.contains(&column) => (*int != 0).to_string(),
        other => shown(other),
    }
}
