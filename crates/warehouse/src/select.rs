//! A person's own question: one reading statement, with limits.
//!
//! Not here: the program's own statements.

use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use tokio_postgres::SimpleQueryMessage;

use crate::error::{Error, Result};
use crate::open::Warehouse;

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
        if self.is_postgres() {
            self.select_postgres(sql, limit, patience).await
        } else {
            self.select_sqlite(sql, limit, patience).await
        }
    }

    async fn select_postgres(&self, sql: &str, limit: usize, patience: Duration) -> Result<Table> {
        let client = self.postgres_client().await?;
        let fail = |e| Error::postgres(sql, e);
        // A cursor stops reading at the limit, and takes a single reading statement only.
        let statement = sql.trim().trim_end_matches(';');
        let text = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; DECLARE answer NO SCROLL CURSOR \
             FOR {statement}",
            patience.as_millis()
        );
        if statement.contains(';') {
            return Err(Error::Address(
                "the statement".into(),
                "only one is answered".into(),
            ));
        }
        let answer = match client.batch_execute(&text).await {
            Ok(()) => {
                client
                    .simple_query(&format!("FETCH {} FROM answer", limit + 1))
                    .await
            }
            Err(error) => Err(error),
        };
        let ended = client.batch_execute("ROLLBACK").await;
        let messages = answer.map_err(fail)?;
        ended.map_err(fail)?;
        let mut table = Table::default();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    table.columns = columns.iter().map(|c| c.name().to_owned()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    table.rows.push(
                        (0..row.len())
                            .map(|n| row.get(n).map(str::to_owned))
                            .collect(),
                    );
                }
                _ => {}
            }
        }
        table.cut = table.rows.len() > limit;
        table.rows.truncate(limit);
        Ok(table)
    }

    async fn select_sqlite(&self, sql: &str, limit: usize, patience: Duration) -> Result<Table> {
        let mut loan = self.sqlite_loan().await?;
        let connection = loan.connection_mut()?;
        let fail = |e| Error::sqlite(sql, e);
        tokio::task::block_in_place(|| {
            let deadline = Instant::now() + patience;
            let over = move || Instant::now() > deadline;
            connection
                .progress_handler(10_000, Some(over))
                .map_err(fail)?;
            connection
                .pragma_update(None, "query_only", true)
                .map_err(fail)?;
            let answer = answer_sqlite(connection, sql, limit);
            connection
                .pragma_update(None, "query_only", false)
                .map_err(fail)?;
            connection
                .progress_handler(0, None::<fn() -> bool>)
                .map_err(fail)?;
            answer.map_err(fail)
        })
    }
}

fn answer_sqlite(
    connection: &rusqlite::Connection,
    sql: &str,
    limit: usize,
) -> rusqlite::Result<Table> {
    let mut statement = connection.prepare(sql)?;
    let columns: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
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
