//! The schema, step by step. Every file under `migrations/` is applied once, in order, under a lock
//! (what is for one database alone is nothing in the other); a file that was changed after it had been applied, or a schema newer than this program, is refused.
//!
//! Not here: the meaning of any table (`schema`).

use sha2::{Digest, Sha256};

use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::params;
use crate::tx::Tx;

/// A file, and the database that it is for; `None`: both.
type Migration = (&'static str, &'static str, Option<Dialect>);

const MIGRATIONS: [Migration; 4] = [
    (
        "0001_catalogue",
        include_str!("../migrations/0001_catalogue.sql"),
        None,
    ),
    (
        "0002_runs",
        include_str!("../migrations/0002_runs.sql"),
        None,
    ),
    (
        "0003_crawl",
        include_str!("../migrations/0003_crawl.sql"),
        None,
    ),
    (
        "0004_keys",
        include_str!("../migrations/0004_keys.sql"),
        Some(Dialect::Sqlite),
    ),
];

/// Any number that is ours alone: two programs that migrate one database take turns.
const LOCK: i64 = 0x7469_6b69;

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The names of the files applied now, in order.
    pub applied: Vec<String>,
    /// The name of the newest file applied at all.
    pub version: String,
}

/// Waits for another program that migrates the same database.
pub(crate) async fn lock(tx: &mut Tx) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        let sql = "SELECT pg_advisory_xact_lock($1)";
        tx.rows(sql, params![LOCK]).await?;
    }
    Ok(())
}

/// Brings the schema up to date in one transaction that holds [`lock`].
pub(crate) async fn migrate(tx: &mut Tx) -> Result<Migrated> {
    tx.batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at {time} NOT NULL)",
    )
    .await?;
    let rows = tx
        .rows(
            "SELECT name, checksum FROM schema_migrations ORDER BY name",
            &[],
        )
        .await?;
    if let Some(row) = rows.get(MIGRATIONS.len()) {
        return Err(Error::Schema(format!(
            "the warehouse has the schema {}, which is newer than this program: use a newer tiki",
            row.text(0)?
        )));
    }
    for ((name, sql, _), row) in MIGRATIONS.iter().zip(&rows) {
        if row.text(0)? != *name || row.text(1)? != checksum(sql) {
            return Err(Error::Schema(format!(
                "the schema step {} of the warehouse is not this program's {name}: use the tiki \
                 that made the warehouse",
                row.text(0)?
            )));
        }
    }
    let mut applied = Vec::new();
    for (name, sql, only) in MIGRATIONS.iter().skip(rows.len()) {
        if only.is_none_or(|dialect| dialect == tx.dialect()) {
            tx.batch(sql).await?;
        }
        tx.execute(
            "INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, {now})",
            params![*name, checksum(sql)],
        )
        .await?;
        applied.push((*name).to_owned());
    }
    let version = MIGRATIONS
        .last()
        .map(|(name, ..)| (*name).to_owned())
        .unwrap_or_default();
    Ok(Migrated { applied, version })
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes())
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
