//! A transaction in either database, and the three ways to run a statement in it.
//!
//! A transaction that is dropped without [`Tx::commit`] leaves nothing behind.
//!
//! Not here: what any statement means.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::ToSql;

use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::postgres::answered;
use crate::sqlite::{Loan, tell_cost};
use crate::value::{Row, Value};

/// A transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Sqlite(Loan),
    /// The connection, `None` once committed; and how long an answer is waited for.
    Postgres(Option<Object>, Duration),
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

impl Tx {
    pub(crate) fn begin_sqlite(loan: Loan, write: bool) -> Result<Self> {
        let text = if write { "BEGIN IMMEDIATE" } else { "BEGIN" };
        blocking(|| {
            loan.connection()?
                .execute_batch(text)
                .map_err(|e| Error::sqlite(text, e))?;
            loan.is_in_place()
        })?;
        Ok(Self {
            inner: Inner::Sqlite(loan),
        })
    }

    pub(crate) async fn begin_postgres(
        object: Object,
        purpose: Purpose,
        limit: Duration,
    ) -> Result<Self> {
        let text = match purpose {
            Purpose::Write => concat!("BEGIN; ", by_index!()),
            Purpose::Read => concat!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ",
                by_index!()
            ),
            Purpose::Answer => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let tx = Self {
            inner: Inner::Postgres(Some(object), limit),
        };
        tx.answered(text, tx.object()?.batch_execute(text)).await?;
        Ok(tx)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::Sqlite(_) => Dialect::Sqlite,
            Inner::Postgres(..) => Dialect::Postgres,
        }
    }

    pub(crate) fn object(&self) -> Result<&Object> {
        match &self.inner {
            Inner::Postgres(Some(object), _) => Ok(object),
            _ => Err(Error::Stored("a transaction used after its end".into())),
        }
    }

    /// Waits for PostgreSQL's answer. Whoever gives up drops the transaction, and with it the connection.
    pub(crate) async fn answered<T>(
        &self,
        text: &str,
        call: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let limit = match &self.inner {
            Inner::Postgres(_, limit) => *limit,
            Inner::Sqlite(_) => Duration::MAX,
        };
        answered(limit, text, call).await
    }

    /// The connection to SQLite; `None`: it is PostgreSQL.
    fn loan(&self) -> Option<&Loan> {
        match &self.inner {
            Inner::Sqlite(loan) => Some(loan),
            Inner::Postgres(..) => None,
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
            return blocking(|| {
                let done = loan.connection()?.execute_batch(text);
                done.map_err(|e| Error::sqlite(text, e))
            });
        }
        let done = self.object()?.batch_execute(text);
        self.answered(text, done).await?;
        if let Inner::Postgres(object, _) = &mut self.inner {
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
                tell_cost(&statement, &text);
                Ok(count as u64)
            });
        }
        self.execute_postgres(&text, &borrowed(params)).await
    }

    /// Runs a statement that answers rows.
    pub(crate) async fn rows(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let text = self.dialect().translate(sql);
        if let Some(loan) = self.loan() {
            return blocking(|| sqlite_rows(loan, &text, params));
        }
        self.query_postgres(&text, &borrowed(params)).await
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
        let done = self.object()?.batch_execute(&text);
        self.answered(&text, done).await
    }

    /// Runs a person's own text in PostgreSQL; the answers as text.
    pub(crate) async fn plain(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
        self.answered(sql, self.object()?.simple_query(sql)).await
    }

    /// Runs a person's own words in PostgreSQL, which takes them only if they are one statement.
    pub(crate) async fn single(&mut self, sql: &str) -> Result<()> {
        let done = self.answered(sql, self.object()?.execute(sql, &[])).await;
        done.map(drop)
    }

    /// The next rows of a cursor in PostgreSQL.
    pub(crate) async fn fetch(&self, sql: &str) -> Result<Vec<Row>> {
        let client = self.object()?;
        let call = async {
            let rows = client.query(sql, &[]).await?;
            Ok(rows.into_iter().map(Row::from).collect())
        };
        self.answered(sql, call).await
    }

    /// Works with one statement of SQLite.
    pub(crate) fn on_sqlite<T>(
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
            let done = work(&mut statement).map_err(fail);
            tell_cost(&statement, &text);
            done
        })
    }

    pub(crate) async fn execute_postgres(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64> {
        let client = self.object()?;
        let call = async {
            let statement = client.prepare_cached(sql).await?;
            client.execute(&statement, params).await
        };
        self.answered(sql, call).await
    }

    pub(crate) async fn query_postgres(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let client = self.object()?;
        let call = async {
            let statement = client.prepare_cached(sql).await?;
            let answer = client.query(&statement, params).await?;
            Ok(answer.into_iter().map(Row::from).collect())
        };
        self.answered(sql, call).await
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        // A connection in the middle of a transaction never goes back to the pool.
        if let Inner::Postgres(object, _) = &mut self.inner
            && let Some(object) = object.take()
        {
            drop(Object::take(object));
        }
    }
}

pub(crate) fn borrowed<T: ToSql + Sync>(params: &[T]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as _).collect()
}

fn sqlite_rows(loan: &Loan, text: &str, params: &[Value]) -> Result<Vec<Row>> {
    let fail = |e| Error::sqlite(text, e);
    let connection = loan.connection()?;
    let mut statement = connection.prepare_cached(text).map_err(fail)?;
    let mut rows = Vec::new();
    read_all(&mut statement, params, &mut rows).map_err(fail)?;
    tell_cost(&statement, text);
    Ok(rows)
}

/// Adds every row that a statement answers.
pub(crate) fn read_all(
    statement: &mut rusqlite::Statement<'_>,
    params: &[Value],
    rows: &mut Vec<Row>,
) -> rusqlite::Result<()> {
    let width = statement.column_count();
    let mut answer = statement.query(rusqlite::params_from_iter(params))?;
    while let Some(row) = answer.next()? {
        // A list that is collected of results does not know how long it will be, and grows again and again.
        let mut values = Vec::with_capacity(width);
        for n in 0..width {
            values.push(Value::from_sqlite(row.get_ref(n)?));
        }
        rows.push(values.into());
    }
    Ok(())
}

/// SQLite works in the calling thread; the runtime is told, so that other tasks move on.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
