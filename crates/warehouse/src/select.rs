//! A person's own question: one reading statement, with limits.
//!
//! Not here: the program's own statements.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio_postgres::SimpleQueryMessage;

use crate::error::{Error, Result};
use crate::open::{Store, Warehouse};
use crate::postgres::GRACE;

/// Steps of SQLite's machine between two looks at the clock.
const PATIENCE_STEPS: i32 = 10_000;

/// An answer as text; NULL is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
    /// The limit cut the answer.
    pub cut: bool,
}

impl Warehouse {
    /// Answers one reading statement: at most `limit` rows, within `patience`. A statement that
    /// would write is refused by the database itself.
    pub async fn select(&self, sql: &str, limit: usize, patience: Duration) -> Result<Table> {
        let answer = match &self.store {
            Store::Postgres(..) => {
                let call = self.select_postgres(sql, limit, patience);
                let longest = patience.saturating_add(GRACE);
                let answer = tokio::time::timeout(longest, call).await;
                answer.unwrap_or_else(|_| Err(Error::silent("to a question", longest)))
            }
            Store::Sqlite(pool) => tokio::task::block_in_place(|| {
                select_sqlite(&mut pool.read_only()?, sql, limit, patience)
            }),
        };
        match answer {
            Err(Error::Slow(text)) if text.contains("statement timeout") => {
                Err(Error::Patience(patience))
            }
            // The transaction is one that only reads.
            Err(Error::Unwritable(text)) if text.contains("read-only") => {
                Err(Error::ReadOnly(text))
            }
            answer => answer,
        }
    }

    async fn select_postgres(&self, sql: &str, limit: usize, patience: Duration) -> Result<Table> {
        let statement = sql.trim().trim_end_matches(';');
        // A cursor stops reading at the limit, and takes a reading statement only.
        let mut tx = self.answer().await?;
        let millis = patience.as_millis().max(1);
        tx.plain(&format!("SET LOCAL statement_timeout = {millis}"))
            .await?;
        tx.single(&format!("DECLARE answer NO SCROLL CURSOR FOR {statement}"))
            .await?;
        let fetch = format!("FETCH {} FROM answer", limit.saturating_add(1));
        let messages = tx.plain(&fetch).await?;
        tx.end().await?;
        let mut table = Table::default();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    table.columns = columns.iter().map(|c| c.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|n| row.get(n).map(str::to_owned));
                    table.rows.push(cells.collect());
                }
                _ => {}
            }
        }
        table.cut = table.rows.len() > limit;
        table.rows.truncate(limit);
        Ok(table)
    }
}

fn select_sqlite(
    connection: &mut Connection,
    sql: &str,
    limit: usize,
    patience: Duration,
) -> Result<Table> {
    let fail = |e| Error::sqlite(sql, e);
    let deadline = Instant::now() + patience;
    let over = move || Instant::now() > deadline;
    connection
        .progress_handler(PATIENCE_STEPS, Some(over))
        .map_err(fail)?;
    answer_sqlite(connection, sql, limit).map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => Error::Patience(patience),
        _ => fail(error),
    })
}

fn answer_sqlite(connection: &Connection, sql: &str, limit: usize) -> rusqlite::Result<Table> {
    let mut statement = connection.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut table = Table {
        columns,
        ..Table::default()
    };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if table.rows.len() == limit {
            table.cut = true;
            break;
        }
        let cell = |n: usize| -> rusqlite::Result<Option<String>> {
            Ok(match row.get_ref(n)? {
                ValueRef::Null => None,
                ValueRef::Integer(int) => Some(int.to_string()),
                ValueRef::Real(real) => Some(real.to_string()),
                ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => Some(format!("<{} bytes>", bytes.len())),
            })
        };
        table.rows.push(
            (0..table.columns.len())
                .map(cell)
                .collect::<rusqlite::Result<_>>()?,
        );
    }
    Ok(table)
}
