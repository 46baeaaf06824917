//! What the database says of itself: its size and, in PostgreSQL, connections, transactions, blocks and
//! rows since its counters began. Writes nothing.
//!
//! Not here: what of it is too much (`pipeline`), which tables there are (`inventory`).

use std::ffi::OsString;
use std::path::Path;

use crate::error::{Error, Result};
use crate::inventory;
use crate::open::Warehouse;

/// Of the database that holds the warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseStats {
    /// A file.
    Sqlite(SqliteStats),
    /// A database of a server.
    Postgres(PostgresStats),
}

/// Sizes of files, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteStats {
    /// The database.
    pub file_bytes: u64,
    /// Its write-ahead log.
    pub log_bytes: u64,
}

/// Of one database. What is counted is counted since somebody reset the server's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostgresStats {
    /// Bytes on disk.
    pub size_bytes: i64,
    /// Connections to it.
    pub connections: i64,
    /// Transactions that ended well.
    pub commits: i64,
    /// Transactions that were rolled back.
    pub rollbacks: i64,
    /// Pages of tables that it had to read.
    pub blocks_read: i64,
    /// Pages of tables that it found in its memory.
    pub blocks_hit: i64,
    /// Rows that queries went through.
    pub rows_returned: i64,
    /// Rows that queries fetched by an index.
    pub rows_fetched: i64,
    /// Rows.
    pub rows_inserted: i64,
    /// Rows.
    pub rows_updated: i64,
    /// Rows.
    pub rows_deleted: i64,
}

impl Warehouse {
    /// Asks the database what it says of itself.
    pub async fn database_stats(&self) -> Result<DatabaseStats> {
        if let Some(file) = self.file() {
            return Ok(DatabaseStats::Sqlite(SqliteStats {
                file_bytes: bytes(file),
                log_bytes: bytes(Path::new(&log_of(file))),
            }));
        }
        let mut tx = self.read().await?;
        let sql = "SELECT {int:pg_database_size(datid)}, {int:numbackends}, {int:xact_commit},
                {int:xact_rollback}, {int:tup_returned}, {int:tup_fetched}, {int:tup_inserted},
                {int:tup_updated}, {int:tup_deleted}
             FROM pg_stat_database WHERE datname = current_database()";
        let row = tx.row(sql, &[]).await?;
        let row = row.ok_or_else(|| Error::Stored("a database without statistics".into()))?;
        let (blocks_hit, blocks_read) = inventory::cached(&mut tx).await?.unwrap_or_default();
        tx.end().await?;
        Ok(DatabaseStats::Postgres(PostgresStats {
            size_bytes: row.int(0)?,
            connections: row.int(1)?,
            commits: row.int(2)?,
            rollbacks: row.int(3)?,
            blocks_read,
            blocks_hit,
            rows_returned: row.int(4)?,
            rows_fetched: row.int(5)?,
            rows_inserted: row.int(6)?,
            rows_updated: row.int(7)?,
            rows_deleted: row.int(8)?,
        }))
    }
}

fn log_of(file: &Path) -> OsString {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name
}

/// The size of a file; 0 of one that is not there, as a log is between two runs.
fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |about| about.len())
}
