//! Rows as Parquet: in groups of rows that are held in memory, column by column, until they are written.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use warehouse::Field;
use warehouse::schema::Kind;
use warehouse::value::Value;

/// A group of rows ends when it has so many, or so many bytes.
const GROUP_ROWS: usize = 50_000;
const GROUP_BYTES: usize = 32 << 20;

/// A Parquet file: every column may be NULL; Snappy.
pub(super) struct Parquet<W: Write + Send> {
    out: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

/// The cells of a group in one column; NULLs are in `present` alone.
struct Column {
    present: Vec<i16>,
    cells: Cells,
}

enum Cells {
    Integers(Vec<i64>),
    Reals(Vec<f64>),
    Flags(Vec<bool>),
    Bytes(Vec<ByteArray>),
}

impl<W: Write + Send> Parquet<W> {
    pub(super) fn new(out: W, fields: &[&Field]) -> io::Result<Self> {
        let types: Result<Vec<_>, _> = fields.iter().map(|field| column_type(field)).collect();
        let schema = Type::group_type_builder("rows")
            .with_fields(types.map_err(as_io)?)
            .build();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("tiki ", env!("CARGO_PKG_VERSION")).into())
            .build();
        let schema = Arc::new(schema.map_err(as_io)?);
        let out = SerializedFileWriter::new(out, schema, Arc::new(properties));
        let column = |field: &&Field| Column {
            present: Vec::new(),
            cells: match field.kind {
                Kind::Integer | Kind::Time => Cells::Integers(Vec::new()),
                Kind::Real => Cells::Reals(Vec::new()),
                Kind::Flag => Cells::Flags(Vec::new()),
                Kind::Text | Kind::Json | Kind::Bytes => Cells::Bytes(Vec::new()),
            },
        };
        Ok(Self {
            out: out.map_err(as_io)?,
            columns: fields.iter().map(column).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    pub(super) fn row(&mut self, row: &[Value]) -> io::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(row) {
            self.bytes += column.push(value)?;
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
            self.write_group().map_err(as_io)?;
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.out.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut out) = group.next_column()? else {
                return Err(ParquetError::General("a column too many".into()));
            };
            let present = Some(column.present.as_slice());
            match &mut column.cells {
                Cells::Integers(cells) => {
                    out.typed::<Int64Type>().write_batch(cells, present, None)?;
                    cells.clear();
                }
                Cells::Reals(cells) => {
                    out.typed::<DoubleType>()
                        .write_batch(cells, present, None)?;
                    cells.clear();
                }
                Cells::Flags(cells) => {
                    out.typed::<BoolType>().write_batch(cells, present, None)?;
                    cells.clear();
                }
                Cells::Bytes(cells) => {
                    out.typed::<ByteArrayType>()
                        .write_batch(cells, present, None)?;
                    cells.clear();
                }
            }
            column.present.clear();
            out.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group().map_err(as_io)?;
        }
        self.out.finish().map(drop).map_err(as_io)
    }
}

impl Column {
    /// The bytes that the value takes.
    fn push(&mut self, value: &Value) -> io::Result<usize> {
        let size = match (&mut self.cells, value) {
            (_, Value::Null) => {
                self.present.push(0);
                return Ok(2);
            }
            (Cells::Integers(cells), Value::Int(int)) => {
                cells.push(*int);
                8
            }
            (Cells::Integers(cells), Value::Time(time)) => {
                cells.push(time.millis());
                8
            }
            (Cells::Reals(cells), Value::Real(real)) => {
                cells.push(*real);
                8
            }
            (Cells::Flags(cells), Value::Flag(flag)) => {
                cells.push(*flag);
                1
            }
            (Cells::Bytes(cells), Value::Text(text)) => {
                cells.push(ByteArray::from(text.as_str()));
                text.len() + size_of::<ByteArray>()
            }
            (Cells::Bytes(cells), Value::Bytes(bytes)) => {
                cells.push(ByteArray::from(bytes.clone()));
                bytes.len() + size_of::<ByteArray>()
            }
            (_, other) => {
                let what = format!("a column holds {other:?}, which is not of its type");
                return Err(io::Error::other(what));
            }
        };
        self.present.push(1);
        Ok(size + 2)
    }
}

fn column_type(field: &Field) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match field.kind {
        Kind::Integer => (Physical::INT64, None),
        Kind::Real => (Physical::DOUBLE, None),
        Kind::Flag => (Physical::BOOLEAN, None),
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Kind::Bytes => (Physical::BYTE_ARRAY, None),
        Kind::Time => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
        ),
    };
    Type::primitive_type_builder(&field.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
        .map(Arc::new)
}

/// The failure of the file below, where there was one.
fn as_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        other => io::Error::other(other),
    }
}
