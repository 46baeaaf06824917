//! Which tables and indexes a database has, whoever made them, and how often PostgreSQL found a page in
//! memory. Reads the database's own catalogue, so that it answers whatever the schema is.
//!
//! Not here: which of them there must be (`pipeline`).

use crate::dialect::Dialect;
use crate::error::Result;
use crate::open::Warehouse;
use crate::tx::Tx;
use crate::value::Row;

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Names of tables.
    pub tables: Vec<String>,
    /// Names of indexes that are in use.
    pub indexes: Vec<String>,
    /// Pages of tables that PostgreSQL found in its memory, and those that it had to read; `None` in
    /// SQLite.
    pub cached: Option<(i64, i64)>,
}

impl Warehouse {
    /// Looks. Writes nothing.
    pub async fn inventory(&self) -> Result<Inventory> {
        let mut tx = self.read().await?;
        let (tables, indexes) = match tx.dialect() {
            Dialect::Sqlite => (
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
                "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY name",
            ),
            Dialect::Postgres => (
                "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema()
                 ORDER BY 1",
                "SELECT CAST(c.relname AS TEXT) FROM pg_index i
                 JOIN pg_class c ON c.oid = i.indexrelid
                 JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = current_schema() AND i.indisvalid ORDER BY 1",
            ),
        };
        let found = Inventory {
            tables: names(&mut tx, tables).await?,
            indexes: names(&mut tx, indexes).await?,
            cached: cached(&mut tx).await?,
        };
        tx.end().await?;
        Ok(found)
    }
}

async fn names(tx: &mut Tx, sql: &str) -> Result<Vec<String>> {
    let rows = tx.rows(sql, &[]).await?;
    rows.iter().map(|row: &Row| row.text(0)).collect()
}

/// See [`Inventory::cached`].
pub(crate) async fn cached(tx: &mut Tx) -> Result<Option<(i64, i64)>> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let sql = "SELECT {int:COALESCE(SUM(heap_blks_hit), 0)}, {int:COALESCE(SUM(heap_blks_read), 0)}
         FROM pg_statio_user_tables";
    let row = tx.row(sql, &[]).await?;
    row.map(|row| Ok((row.int(0)?, row.int(1)?))).transpose()
}
