//! Values on their way in and out of either database.

use bytes::{BufMut, Bytes, BytesMut};
use catalog::Instant;
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type};

use crate::error::{Error, Result};

/// Bytes of one message of COPY, about.
const COPY_PIECE: usize = 1 << 16;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Milliseconds from 1970 to PostgreSQL's epoch, 2000-01-01.
const POSTGRES_EPOCH_MILLIS: i64 = 946_684_800_000;

/// A value of a column or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// A number.
    Real(f64),
    /// Text; also JSON.
    Text(String),
    /// Yes or no: `boolean` in PostgreSQL, 0 or 1 in SQLite.
    Flag(bool),
    /// An instant: `timestamptz` in PostgreSQL, text in SQLite.
    Time(Instant),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Ids for `{among:$n}`.
    Ids(Vec<i64>),
}

macro_rules! from {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self { Self::$variant(value.into()) }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self { value.map_or(Self::Null, Into::into) }
        }
    )*};
}
from!(i64 => Int, i32 => Int, u32 => Int, f64 => Real, String => Text, &str => Text, &String => Text, bool => Flag, Instant => Time, Vec<u8> => Bytes);

/// The list of a statement's parameters.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::value::Value::from($value)),*] };
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use rusqlite::types::Value as Owned;
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Int(int) => ToSqlOutput::Borrowed(ValueRef::Integer(*int)),
            Self::Real(real) => ToSqlOutput::Borrowed(ValueRef::Real(*real)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Flag(flag) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*flag))),
            Self::Time(time) => ToSqlOutput::Owned(Owned::Text(time.to_string())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Ids(ids) => {
                let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
                ToSqlOutput::Owned(Owned::Text(format!("[{}]", list.join(","))))
            }
        })
    }
}

impl Value {
    pub(crate) fn from_sqlite(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(int) => Self::Int(int),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }

    /// Writes the value in PostgreSQL's binary form of a type.
    fn write(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, BoxError> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int(int) => match *ty {
                Type::INT4 => out.put_i32(i32::try_from(*int)?),
                Type::FLOAT8 => out.put_f64(*int as f64),
                Type::BOOL => out.put_u8(u8::from(*int != 0)),
                Type::TEXT => out.put_slice(int.to_string().as_bytes()),
                _ => out.put_i64(*int),
            },
            Self::Real(real) => out.put_f64(*real),
            Self::Text(text) => {
                if *ty == Type::JSONB {
                    out.put_u8(1);
                }
                out.put_slice(text.as_bytes());
            }
            Self::Flag(flag) => out.put_u8(u8::from(*flag)),
            Self::Time(time) => out.put_i64((time.millis() - POSTGRES_EPOCH_MILLIS) * 1000),
            Self::Bytes(bytes) => out.put_slice(bytes),
            Self::Ids(ids) => return ids.to_sql(ty, out),
        }
        Ok(IsNull::No)
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, BoxError> {
        self.write(ty, out)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    tokio_postgres::types::to_sql_checked!();
}

/// One column of many rows, as a PostgreSQL array.
#[derive(Debug)]
pub(crate) struct Column<'a> {
    pub(crate) rows: &'a [Vec<Value>],
    pub(crate) index: usize,
}

impl ToSql for Column<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, BoxError> {
        let Kind::Array(element) = ty.kind() else {
            return Err(format!("{ty} is no array").into());
        };
        let has_null = self.rows.iter().any(|row| row[self.index] == Value::Null);
        out.put_i32(1);
        out.put_i32(i32::from(has_null));
        out.put_u32(element.oid());
        out.put_i32(i32::try_from(self.rows.len())?);
        out.put_i32(1);
        for row in self.rows {
            put_sized(&row[self.index], element, out)?;
        }
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    tokio_postgres::types::to_sql_checked!();
}

/// Rows in the form of PostgreSQL's binary COPY: a head, each row with the length of every value, an end.
pub(crate) struct CopyRows {
    types: Vec<Type>,
    out: BytesMut,
}

impl CopyRows {
    pub(crate) fn new(columns: &[(&str, &str)]) -> Self {
        let mut out = BytesMut::with_capacity(2 * COPY_PIECE);
        out.put_slice(b"PGCOPY\n\xff\r\n\0");
        out.put_u64(0);
        Self {
            types: columns.iter().map(|(_, ty)| postgres_type(ty)).collect(),
            out,
        }
    }

    /// Adds a row; what is to be sent, once there is enough of it.
    pub(crate) fn row(&mut self, row: &[Value]) -> Result<Option<Bytes>> {
        let put = |out: &mut BytesMut, types: &[Type]| {
            out.put_i16(i16::try_from(row.len())?);
            for (value, ty) in row.iter().zip(types) {
                put_sized(value, ty, out)?;
            }
            Ok::<_, BoxError>(())
        };
        put(&mut self.out, &self.types).map_err(|error| Error::Stored(error.to_string()))?;
        if self.out.len() < COPY_PIECE {
            return Ok(None);
        }
        let piece = self.out.split().freeze();
        self.out.reserve(2 * COPY_PIECE);
        Ok(Some(piece))
    }

    /// The rest.
    pub(crate) fn end(mut self) -> Bytes {
        self.out.put_i16(-1);
        self.out.freeze()
    }
}

/// The type that a word of [`crate::dialect`] stands for.
fn postgres_type(word: &str) -> Type {
    match word {
        "bigint" => Type::INT8,
        "{time}" => Type::TIMESTAMPTZ,
        "{real}" => Type::FLOAT8,
        "{flag}" => Type::BOOL,
        "{json}" => Type::JSON,
        "{bytes}" => Type::BYTEA,
        _ => Type::TEXT,
    }
}

/// A value after its length; NULL is the length -1.
fn put_sized(value: &Value, ty: &Type, out: &mut BytesMut) -> std::result::Result<(), BoxError> {
    let at = out.len();
    out.put_i32(0);
    let length = match value.write(ty, out)? {
        IsNull::Yes => -1,
        IsNull::No => i32::try_from(out.len() - at - 4)?,
    };
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> std::result::Result<Self, BoxError> {
        Ok(match *ty {
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Self::Real(f64::from_sql(ty, raw)?),
            Type::BOOL => Self::Flag(bool::from_sql(ty, raw)?),
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            Type::TIMESTAMPTZ => {
                let micros = i64::from_be_bytes(raw.try_into()?);
                let millis = micros.div_euclid(1000) + POSTGRES_EPOCH_MILLIS;
                Self::Time(Instant::from_millis(millis))
            }
            Type::JSONB => Self::Text(std::str::from_utf8(raw.get(1..).unwrap_or(&[]))?.into()),
            _ => Self::Text(std::str::from_utf8(raw)?.into()),
        })
    }
    fn from_sql_null(_: &Type) -> std::result::Result<Self, BoxError> {
        Ok(Self::Null)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row of an answer. One of PostgreSQL is read value by value, where it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Row(Cells);

#[derive(Clone, Debug)]
enum Cells {
    Values(Vec<Value>),
    Postgres(tokio_postgres::Row),
}

impl From<Vec<Value>> for Row {
    fn from(values: Vec<Value>) -> Self {
        Self(Cells::Values(values))
    }
}

impl From<tokio_postgres::Row> for Row {
    fn from(row: tokio_postgres::Row) -> Self {
        Self(Cells::Postgres(row))
    }
}

impl Row {
    /// All values.
    pub(crate) fn into_values(self) -> Result<Vec<Value>> {
        match self.0 {
            Cells::Values(values) => Ok(values),
            Cells::Postgres(row) => (0..row.len()).map(|index| answered(&row, index)).collect(),
        }
    }

    fn value(&self, index: usize) -> Result<Value> {
        match &self.0 {
            Cells::Values(values) => {
                let missing = || Error::Stored(format!("there is no column {index}"));
                values.get(index).cloned().ok_or_else(missing)
            }
            Cells::Postgres(row) => answered(row, index),
        }
    }

    pub(crate) fn opt_int(&self, index: usize) -> Result<Option<i64>> {
        match self.value(index)? {
            Value::Null => Ok(None),
            Value::Int(int) => Ok(Some(int)),
            Value::Flag(flag) => Ok(Some(i64::from(flag))),
            other => wrong(index, &other, "an integer"),
        }
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64> {
        said(index, self.opt_int(index)?)
    }

    pub(crate) fn flag(&self, index: usize) -> Result<bool> {
        Ok(self.int(index)? != 0)
    }

    pub(crate) fn opt_flag(&self, index: usize) -> Result<Option<bool>> {
        Ok(self.opt_int(index)?.map(|int| int != 0))
    }

    pub(crate) fn opt_real(&self, index: usize) -> Result<Option<f64>> {
        match self.value(index)? {
            Value::Null => Ok(None),
            Value::Real(real) => Ok(Some(real)),
            Value::Int(int) => Ok(Some(int as f64)),
            other => wrong(index, &other, "a number"),
        }
    }

    pub(crate) fn real(&self, index: usize) -> Result<f64> {
        said(index, self.opt_real(index)?)
    }

    pub(crate) fn opt_text(&self, index: usize) -> Result<Option<String>> {
        match self.value(index)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => wrong(index, &other, "text"),
        }
    }

    pub(crate) fn text(&self, index: usize) -> Result<String> {
        said(index, self.opt_text(index)?)
    }

    pub(crate) fn opt_time(&self, index: usize) -> Result<Option<Instant>> {
        match self.value(index)? {
            Value::Null => Ok(None),
            Value::Time(time) => Ok(Some(time)),
            Value::Text(text) => match text.parse() {
                Ok(time) => Ok(Some(time)),
                Err(_) => wrong(index, &Value::Text(text), "an instant"),
            },
            other => wrong(index, &other, "an instant"),
        }
    }

    pub(crate) fn time(&self, index: usize) -> Result<Instant> {
        said(index, self.opt_time(index)?)
    }

    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        match self.value(index)? {
            Value::Bytes(bytes) => Ok(bytes),
            other => wrong(index, &other, "bytes"),
        }
    }
}

fn answered(row: &tokio_postgres::Row, index: usize) -> Result<Value> {
    row.try_get(index)
        .map_err(|error| Error::Stored(format!("column {index}: {error}")))
}

fn wrong<T>(index: usize, value: &Value, wanted: &str) -> Result<T> {
    let text = format!("column {index} is {value:?}, not {wanted}");
    Err(Error::Stored(text))
}

/// What a column that is never NULL says.
fn said<T>(index: usize, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::Stored(format!("column {index} says nothing")))
}
