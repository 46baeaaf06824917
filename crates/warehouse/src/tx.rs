//! A transaction in either database, and the three ways to run a statement in it.
//!
//! A transaction that is dropped without [`Tx::commit`] leaves nothing behind.
//!
//! Not here: what any statement means.

use deadpool_postgres::Object;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::ToSql;

use crate::dialect::{Dialect, marks, unnest};
use crate::error::{Error, Result};
use crate::sqlite::Loan;
use crate::value::{Column, Row, Value};

/// A transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Sqlite(Loan),
    /// `None` once committed.
    Postgres(Option<Object>),
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A step writes.
    Write,
    /// A step reads.
    Read,
    /// A person asks; one snapshot, as for reading.
    Answer,
}

/// A step touches few rows of large tables, each by its key. PostgreSQL would plan by statistics that
/// do not know the rows of a run that has just begun, take them for none, and read and sort them all
/// for every batch; so it is told to go by the keys.
macro_rules! by_index {
    () => {
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
    };
}

/// How a bulk statement names its columns: name and type, the type as in [`crate::dialect`].
pub(crate) type Columns = [(&'static str, &'static str)];

impl Tx {
    pub(crate) fn begin_sqlite(loan: Loan, write: bool) -> Result<Self> {
        let text = if write { "BEGIN IMMEDIATE" } else { "BEGIN" };
        blocking(|| {
            loan.connection()?
                .execute_batch(text)
                .map_err(|e| Error::sqlite(text, e))
        })?;
        Ok(Self {
            inner: Inner::Sqlite(loan),
        })
    }

    pub(crate) async fn begin_postgres(object: Object, purpose: Purpose) -> Result<Self> {
        let text = match purpose {
            Purpose::Write => concat!("BEGIN; ", by_index!()),
            Purpose::Read => concat!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ",
                by_index!()
            ),
            Purpose::Answer => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let tx = Self {
            inner: Inner::Postgres(Some(object)),
        };
        tx.object()?
            .batch_execute(text)
            .await
            .map_err(|e| Error::postgres(text, e))?;
        Ok(tx)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::Sqlite(_) => Dialect::Sqlite,
            Inner::Postgres(_) => Dialect::Postgres,
        }
    }

    fn object(&self) -> Result<&Object> {
        match &self.inner {
            Inner::Postgres(Some(object)) => Ok(object),
            _ => Err(Error::Stored("a transaction used after its end".into())),
        }
    }

    /// The connection to SQLite; `None`: it is PostgreSQL.
    fn loan(&self) -> Option<&Loan> {
        match &self.inner {
            Inner::Sqlite(loan) => Some(loan),
            Inner::Postgres(_) => None,
        }
    }

    /// Makes everything since the beginning last.
    pub(crate) async fn commit(mut self) -> Result<()> {
        self.finish("COMMIT").await
    }

    /// Leaves nothing behind. Unlike a dropped transaction it gives its connection back.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.finish("ROLLBACK").await
    }

    async fn finish(&mut self, text: &'static str) -> Result<()> {
        if let Some(loan) = self.loan() {
            let done = blocking(|| {
                loan.connection()?
                    .execute_batch(text)
                    .map_err(|e| Error::sqlite(text, e))
            });
            return done;
        }
        let client = self.object()?;
        let done = client.batch_execute(text).await;
        done.map_err(|e| Error::postgres(text, e))?;
        if let Inner::Postgres(object) = &mut self.inner {
            object.take();
        }
        Ok(())
    }

    /// Runs a statement; the number of rows that it touched.
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let text = self.dialect().translate(sql);
        if let Some(loan) = self.loan() {
            return blocking(|| {
                let fail = |e| Error::sqlite(&text, e);
                let connection = loan.connection()?;
                let mut statement = connection.prepare_cached(&text).map_err(fail)?;
                let count = statement
                    .execute(rusqlite::params_from_iter(params))
                    .map_err(fail)?;
                Ok(count as u64)
            });
        }
        let client = self.object()?;
        let fail = |e| Error::postgres(&text, e);
        let statement = client.prepare_cached(&text).await.map_err(fail)?;
        let count = client.execute(&statement, &borrowed(params)).await;
        count.map_err(fail)
    }

    /// Runs a statement that answers rows.
    pub(crate) async fn rows(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let text = self.dialect().translate(sql);
        if let Some(loan) = self.loan() {
            return blocking(|| sqlite_rows(loan, &text, params));
        }
        let client = self.object()?;
        let fail = |e| Error::postgres(&text, e);
        let statement = client.prepare_cached(&text).await.map_err(fail)?;
        let rows = client.query(&statement, &borrowed(params)).await;
        let rows = rows.map_err(fail)?;
        rows.iter()
            .map(|row| postgres_row(row).map_err(fail))
            .collect()
    }

    /// Runs a statement that answers one row or none.
    pub(crate) async fn row(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Runs statements without parameters, separated by semicolons.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<()> {
        let text = self.dialect().translate(sql);
        if let Some(loan) = self.loan() {
            return blocking(|| {
                let done = loan.connection()?.execute_batch(&text);
                done.map_err(|e| Error::sqlite(&text, e))
            });
        }
        let done = self.object()?.batch_execute(&text).await;
        done.map_err(|e| Error::postgres(&text, e))
    }

    /// Runs a person's own text in PostgreSQL; the answers as text.
    pub(crate) async fn plain(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
        let answer = self.object()?.simple_query(sql).await;
        answer.map_err(|e| Error::postgres(sql, e))
    }

    /// Runs a person's own words in PostgreSQL, which takes them only if they are one statement.
    pub(crate) async fn single(&mut self, sql: &str) -> Result<()> {
        let done = self.object()?.execute(sql, &[]).await;
        done.map(drop).map_err(|e| Error::postgres(sql, e))
    }

    /// The next rows of a cursor in PostgreSQL.
    pub(crate) async fn fetch(&self, sql: &str) -> Result<Vec<Row>> {
        let fail = |e| Error::postgres(sql, e);
        let rows = self.object()?.query(sql, &[]).await.map_err(fail)?;
        rows.iter().map(|r| postgres_row(r).map_err(fail)).collect()
    }

    /// Inserts rows; `tail` is what follows the values (`ON CONFLICT …`). No two rows may have the
    /// same key where the tail updates. The number of rows written.
    pub(crate) async fn insert(
        &mut self,
        table: &str,
        columns: &Columns,
        tail: &str,
        rows: &[Vec<Value>],
    ) -> Result<u64> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        match self.dialect() {
            Dialect::Sqlite => {
                let values = marks(columns);
                let sql = format!("INSERT INTO {table} ({names}) VALUES ({values}) {tail}");
                self.each_sqlite(&sql, rows)
            }
            Dialect::Postgres => {
                let from = unnest(columns, &names);
                let sql =
                    format!("INSERT INTO {table} ({names}) SELECT {names} FROM {from} {tail}");
                self.bulk_postgres(&sql, columns.len(), rows).await
            }
        }
    }

    /// Inserts rows into a table with a serial `id`; each id, with the value of the column number `key`
    /// of its row.
    pub(crate) async fn insert_serial(
        &mut self,
        table: &str,
        columns: &Columns,
        key: usize,
        rows: &[Vec<Value>],
    ) -> Result<Vec<Row>> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let (key_name, names) = (names[key], names.join(", "));
        if self.dialect() == Dialect::Sqlite {
            let values = marks(columns);
            let sql = format!("INSERT INTO {table} ({names}) VALUES ({values})");
            // RETURNING would make a table for the answer of every row.
            return self.on_sqlite(&sql, |statement| {
                let insert = |row: &Vec<Value>| {
                    let id = statement.insert(rusqlite::params_from_iter(row))?;
                    Ok(Row(vec![Value::Int(id), row[key].clone()]))
                };
                rows.iter().map(insert).collect()
            });
        }
        let from = unnest(columns, &names);
        let sql = format!(
            "INSERT INTO {table} ({names}) SELECT {names} FROM {from} RETURNING id, {key_name}"
        );
        self.bulk_rows(&sql, columns.len(), rows).await
    }

    /// Runs a reading statement for many keys. `{keys}` stands in it for a table `d` of the key
    /// columns; the statement orders nothing beyond the rows of one key.
    pub(crate) async fn lookup(
        &mut self,
        keys: &Columns,
        sql: &str,
        rows: &[Vec<Value>],
    ) -> Result<Vec<Row>> {
        let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
        if self.dialect() == Dialect::Postgres {
            let from = unnest(keys, &names.join(", "));
            return self
                .bulk_rows(&sql.replace("{keys}", &from), keys.len(), rows)
                .await;
        }
        let marks: Vec<String> = (1_usize..)
            .zip(&names)
            .map(|(n, name)| format!("${n} AS {name}"))
            .collect();
        let sql = sql.replace("{keys}", &format!("(SELECT {}) AS d", marks.join(", ")));
        self.each_sqlite_rows(&sql, rows)
    }

    /// Deletes the rows with some keys.
    pub(crate) async fn delete(
        &mut self,
        table: &str,
        keys: &Columns,
        rows: &[Vec<Value>],
    ) -> Result<u64> {
        let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
        let sqlite = self.dialect() == Dialect::Sqlite;
        let found: Vec<String> = (1_usize..)
            .zip(&names)
            .map(|(n, name)| {
                if sqlite {
                    format!("{name} = ${n}")
                } else {
                    format!("t.{name} = d.{name}")
                }
            })
            .collect();
        let found = found.join(" AND ");
        if sqlite {
            return self.each_sqlite(&format!("DELETE FROM {table} WHERE {found}"), rows);
        }
        let from = unnest(keys, &names.join(", "));
        let sql = format!("DELETE FROM {table} AS t USING {from} WHERE {found}");
        self.bulk_postgres(&sql, keys.len(), rows).await
    }

    /// Deletes the rows of products from an instant on: id and instant.
    pub(crate) async fn delete_from(&mut self, table: &str, rows: &[Vec<Value>]) -> Result<u64> {
        match self.dialect() {
            Dialect::Sqlite => {
                let sql =
                    format!("DELETE FROM {table} WHERE product_id = $1 AND observed_at >= $2");
                self.each_sqlite(&sql, rows)
            }
            Dialect::Postgres => {
                let columns: &Columns = &[("id", "bigint"), ("at", "{time}")];
                let from = unnest(columns, "id, at");
                let sql = format!(
                    "DELETE FROM {table} AS t USING {from}
                     WHERE t.product_id = d.id AND t.observed_at >= d.at"
                );
                self.bulk_postgres(&sql, columns.len(), rows).await
            }
        }
    }

    /// Sets columns of rows that are found by the first `keys` columns. The number of rows set.
    pub(crate) async fn update(
        &mut self,
        table: &str,
        columns: &Columns,
        keys: usize,
        rows: &[Vec<Value>],
    ) -> Result<u64> {
        self.update_and(table, columns, keys, "", rows).await
    }

    /// The same, and `also` sets what is the same in every row (`, claim = NULL`).
    pub(crate) async fn update_and(
        &mut self,
        table: &str,
        columns: &Columns,
        keys: usize,
        also: &str,
        rows: &[Vec<Value>],
    ) -> Result<u64> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let pairs = |range: std::ops::Range<usize>, left: &str, join: &str| {
            let of = |n: usize| match self.dialect() {
                Dialect::Sqlite => format!("{left}{} = ${}", names[n], n + 1),
                Dialect::Postgres => format!("{left}{} = d.{}", names[n], names[n]),
            };
            range.map(of).collect::<Vec<_>>().join(join)
        };
        let set = pairs(keys..names.len(), "", ", ");
        let found = pairs(0..keys, "t.", " AND ");
        match self.dialect() {
            Dialect::Sqlite => {
                let sql = format!("UPDATE {table} AS t SET {set}{also} WHERE {found}");
                self.each_sqlite(&sql, rows)
            }
            Dialect::Postgres => {
                let from = unnest(columns, &names.join(", "));
                let sql = format!("UPDATE {table} AS t SET {set}{also} FROM {from} WHERE {found}");
                self.bulk_postgres(&sql, columns.len(), rows).await
            }
        }
    }

    fn each_sqlite(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<u64> {
        self.on_sqlite(sql, |statement| {
            let mut execute = |row| statement.execute(rusqlite::params_from_iter(row));
            rows.iter()
                .try_fold(0, |n, row: &Vec<Value>| Ok(n + execute(row)? as u64))
        })
    }

    fn each_sqlite_rows(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<Vec<Row>> {
        self.on_sqlite(sql, |statement| {
            let mut answer = Vec::with_capacity(rows.len());
            for row in rows {
                read_all(statement, row, &mut answer)?;
            }
            Ok(answer)
        })
    }

    /// Works with one statement of SQLite.
    fn on_sqlite<T>(
        &mut self,
        sql: &str,
        work: impl FnOnce(&mut rusqlite::Statement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let text = self.dialect().translate(sql);
        let Inner::Sqlite(loan) = &self.inner else {
            return Err(Error::Stored("row by row is for SQLite".into()));
        };
        blocking(|| {
            let fail = |e| Error::sqlite(&text, e);
            let connection = loan.connection()?;
            let mut statement = connection.prepare_cached(&text).map_err(fail)?;
            work(&mut statement).map_err(fail)
        })
    }

    async fn bulk_postgres(&mut self, sql: &str, width: usize, rows: &[Vec<Value>]) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let client = self.object()?;
        let fail = |e| Error::postgres(sql, e);
        let statement = client.prepare_cached(sql).await.map_err(fail)?;
        let columns: Vec<Column<'_>> = (0..width).map(|index| Column { rows, index }).collect();
        let params: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as _).collect();
        client.execute(&statement, &params).await.map_err(fail)
    }

    async fn bulk_rows(
        &mut self,
        sql: &str,
        width: usize,
        rows: &[Vec<Value>],
    ) -> Result<Vec<Row>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let client = self.object()?;
        let fail = |e| Error::postgres(sql, e);
        let statement = client.prepare_cached(sql).await.map_err(fail)?;
        let columns: Vec<Column<'_>> = (0..width).map(|index| Column { rows, index }).collect();
        let params: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as _).collect();
        let answer = client.query(&statement, &params).await.map_err(fail)?;
        answer
            .iter()
            .map(|row| postgres_row(row).map_err(fail))
            .collect()
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        // A connection in the middle of a transaction never goes back to the pool.
        if let Inner::Postgres(object) = &mut self.inner
            && let Some(object) = object.take()
        {
            drop(Object::take(object));
        }
    }
}

fn postgres_row(row: &tokio_postgres::Row) -> std::result::Result<Row, tokio_postgres::Error> {
    (0..row.len())
        .map(|index| row.try_get(index))
        .collect::<std::result::Result<_, _>>()
        .map(Row)
}

fn borrowed(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as _).collect()
}

fn sqlite_rows(loan: &Loan, text: &str, params: &[Value]) -> Result<Vec<Row>> {
    let fail = |e| Error::sqlite(text, e);
    let connection = loan.connection()?;
    let mut statement = connection.prepare_cached(text).map_err(fail)?;
    let mut rows = Vec::new();
    read_all(&mut statement, params, &mut rows).map_err(fail)?;
    Ok(rows)
}

/// Adds every row that a statement answers.
fn read_all(
    statement: &mut rusqlite::Statement<'_>,
    params: &[Value],
    rows: &mut Vec<Row>,
) -> rusqlite::Result<()> {
    let width = statement.column_count();
    let mut answer = statement.query(rusqlite::params_from_iter(params))?;
    while let Some(row) = answer.next()? {
        let values: rusqlite::Result<Vec<Value>> = (0..width)
            .map(|n| row.get_ref(n).map(Value::from_sqlite))
            .collect();
        rows.push(Row(values?));
    }
    Ok(())
}

/// SQLite works in the calling thread; the runtime is told, so that other tasks move on.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
