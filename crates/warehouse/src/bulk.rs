//! One statement for many rows: in PostgreSQL with a column of them as each parameter, or by COPY; in
//! SQLite again and again.
//!
//! Not here: the transaction (`tx`), what any statement means.

use futures_util::SinkExt;

use crate::dialect::{Dialect, marks, unnest};
use crate::error::Result;
use crate::tx::{Tx, borrowed, read_all};
use crate::value::{Column, CopyRows, Row, Value};

/// Ids of one request of [`Tx::read_of`].
const PART: usize = 500;

/// How a bulk statement names its columns: name and type, the type as in [`crate::dialect`].
pub(crate) type Columns = [(&'static str, &'static str)];

impl Tx {
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

    /// Inserts rows whose keys are new: by COPY where there is one, which has no word for a conflict. The
    /// server inserts while rows are still being made.
    pub(crate) async fn append(
        &mut self,
        table: &str,
        columns: &Columns,
        rows: impl ExactSizeIterator<Item = Vec<Value>>,
    ) -> Result<()> {
        if rows.len() == 0 {
            return Ok(());
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        if self.dialect() == Dialect::Sqlite {
            let sql = format!("INSERT INTO {table} ({names}) VALUES ({})", marks(columns));
            return self.each_sqlite(&sql, rows).map(drop);
        }
        let sql = format!("COPY {table} ({names}) FROM STDIN (FORMAT BINARY)");
        let client = self.object()?;
        let begun = async {
            let statement = client.prepare_cached(&sql).await?;
            client.copy_in(&statement).await
        };
        let mut sink = std::pin::pin!(self.answered(&sql, begun).await?);
        let mut copy = CopyRows::new(columns);
        for row in rows {
            if let Some(piece) = copy.row(&row)? {
                self.answered(&sql, sink.send(piece)).await?;
            }
        }
        self.answered(&sql, sink.send(copy.end())).await?;
        self.answered(&sql, sink.finish()).await.map(drop)
    }

    /// What `read` makes of the rows of some ids, by a statement in which `{among:$1}` stands for them. In PostgreSQL
    /// in several requests at once, so that the server answers one while the answer of another is read.
    pub(crate) async fn read_of<T>(
        &mut self,
        sql: &str,
        ids: &[i64],
        read: impl Fn(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        if self.dialect() == Dialect::Sqlite {
            let rows = self.rows(sql, &[Value::Ids(ids.to_vec())]).await?;
            return rows.iter().map(read).collect();
        }
        let (text, tx, read) = (&self.dialect().translate(sql), &*self, &read);
        let ask = |part: &[i64]| {
            let part = [Value::Ids(part.to_vec())];
            async move {
                let rows = tx.query_postgres(text, &borrowed(&part)).await?;
                rows.iter().map(read).collect::<Result<Vec<T>>>()
            }
        };
        let answers = futures_util::future::try_join_all(ids.chunks(PART).map(ask)).await?;
        Ok(answers.into_iter().flatten().collect())
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
                    Ok(vec![Value::Int(id), row[key].clone()].into())
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

    fn each_sqlite(
        &mut self,
        sql: &str,
        rows: impl IntoIterator<Item = impl AsRef<[Value]>>,
    ) -> Result<u64> {
        self.on_sqlite(sql, |statement| {
            let mut written = 0;
            for row in rows {
                written += statement.execute(rusqlite::params_from_iter(row.as_ref()))? as u64;
            }
            Ok(written)
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

    async fn bulk_postgres(&mut self, sql: &str, width: usize, rows: &[Vec<Value>]) -> Result<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        self.execute_postgres(sql, &borrowed(&columns(rows, width)))
            .await
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
        self.query_postgres(sql, &borrowed(&columns(rows, width)))
            .await
    }
}

fn columns(rows: &[Vec<Value>], width: usize) -> Vec<Column<'_>> {
    (0..width).map(|index| Column { rows, index }).collect()
}
