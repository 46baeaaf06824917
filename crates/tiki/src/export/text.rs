//! Rows as CSV and as JSON lines.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use serde_json::value::RawValue;
use warehouse::Field;
use warehouse::schema::Kind;
use warehouse::value::Value;

/// Bytes that are held before they are written.
const BUFFER: usize = 1 << 16;

/// Characters with which a cell begins that a spreadsheet takes for a formula, the full-width ones
/// included; it skips the white ones.
const RUN_BY_SPREADSHEETS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Comma-separated values, a header first.
pub(super) struct Csv<W: Write> {
    out: csv::Writer<W>,
    raw: bool,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W, raw: bool, fields: &[&Field]) -> io::Result<Self> {
        let mut out = csv::WriterBuilder::new()
            .buffer_capacity(BUFFER)
            .from_writer(out);
        for field in fields {
            let name = harmless(&field.name, raw);
            out.write_field(name.as_bytes()).map_err(cause)?;
        }
        out.write_record(None::<&[u8]>).map_err(cause)?;
        Ok(Self { out, raw })
    }

    pub(super) fn row(&mut self, row: &[Value]) -> io::Result<()> {
        for value in row {
            let written = match value {
                Value::Text(text) => self.out.write_field(harmless(text, self.raw).as_bytes()),
                Value::Null => self.out.write_field(b""),
                other => self.out.write_field(plain(other)),
            };
            written.map_err(cause)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(cause)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What failed as the operating system said it: the error of the library hides the kind.
fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A text that no spreadsheet runs: an apostrophe before what it would take for a formula.
fn harmless(text: &str, raw: bool) -> Cow<'_, str> {
    if !raw && text.starts_with(RUN_BY_SPREADSHEETS) {
        return Cow::Owned(format!("'{text}"));
    }
    Cow::Borrowed(text)
}

/// One JSON object a line, in the order of the columns.
pub(super) struct Jsonl<W: Write> {
    out: BufWriter<W>,
    /// What stands before each value: its name as JSON, and what holds JSON itself.
    names: Vec<(String, bool)>,
}

impl<W: Write> Jsonl<W> {
    pub(super) fn new(out: W, fields: &[&Field]) -> Self {
        let name = |field: &&Field| {
            let name = serde_json::Value::from(field.name.as_str());
            (format!("{name}:"), field.kind == Kind::Json)
        };
        Self {
            out: BufWriter::with_capacity(BUFFER, out),
            names: fields.iter().map(name).collect(),
        }
    }

    pub(super) fn row(&mut self, row: &[Value]) -> io::Result<()> {
        let mut begin = b"{";
        for ((name, is_json), value) in self.names.iter().zip(row) {
            self.out.write_all(begin)?;
            self.out.write_all(name.as_bytes())?;
            begin = b",";
            match value {
                Value::Null => self.out.write_all(b"null")?,
                Value::Text(text) if *is_json => write_json(&mut self.out, text)?,
                Value::Text(text) => serde_json::to_writer(&mut self.out, text)?,
                Value::Real(real) => serde_json::to_writer(&mut self.out, real)?,
                Value::Int(_) | Value::Flag(_) => write!(self.out, "{}", plain(value))?,
                other => write!(self.out, "\"{}\"", plain(other))?,
            }
        }
        self.out.write_all(b"}\n")
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// JSON on one line; what is none after all, as text.
fn write_json(out: &mut impl Write, text: &str) -> io::Result<()> {
    if serde_json::from_str::<&RawValue>(text).is_ok() {
        if !text.contains(['\n', '\r']) {
            return out.write_all(text.as_bytes());
        }
        let value: serde_json::Value = serde_json::from_str(text)?;
        return Ok(serde_json::to_writer(out, &value)?);
    }
    Ok(serde_json::to_writer(out, text)?)
}

/// A value other than text as text: no quotes, no line ends.
fn plain(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => {
            bytes
                .iter()
                .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
                    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
                    text.extend([digit(byte >> 4), digit(byte & 15)]);
                    text
                })
        }
        other => crate::print::shown(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_spreadsheet_would_run_gets_an_apostrophe() {
        for text in [
            "=1+1", "+84", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1",
        ] {
            assert_eq!(harmless(text, false), format!("'{text}"));
            assert_eq!(harmless(text, true), text);
        }
        for text in ["", "a=1", "Điện thoại", "1-2", " x", "'=1"] {
            assert_eq!(harmless(text, false), text);
        }
        let mut file = Vec::new();
        let mut csv = Csv {
            out: csv::Writer::from_writer(&mut file),
            raw: false,
        };
        let row = [
            Value::Int(-5),
            Value::Real(-0.5),
            Value::from("-5"),
            Value::from("=\"a\",1"),
        ];
        csv.row(&row).expect("a row");
        csv.finish().expect("an end");
        assert_eq!(
            String::from_utf8(file).expect("text"),
            "-5,-0.5,'-5,\"'=\"\"a\"\",1\"\n"
        );
    }

    #[test]
    fn a_line_of_json_is_one_line() {
        for (text, line) in [
            ("{\"a\": [1]}", "{\"a\": [1]}"),
            ("{\n\"a\":\r\n1}", "{\"a\":1}"),
            ("no json", "\"no json\""),
            ("{} {}", "\"{} {}\""),
        ] {
            let mut out = Vec::new();
            write_json(&mut out, text).expect("written");
            assert_eq!(String::from_utf8(out).expect("text"), line);
        }
    }
}
