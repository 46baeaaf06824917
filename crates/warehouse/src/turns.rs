//! Turns that processes take in PostgreSQL: what only one may do at a time in a database.
//!
//! In SQLite a transaction that writes is alone in the file, so there each has its turn anyway. Not here:
//! claims and leases (`lease`), the folder of backups (`backup`).

use crate::dialect::Dialect;
use crate::error::Result;
use crate::params;
use crate::tx::Tx;

/// What is done in turns; its number is the key of an advisory lock. They are one space for a whole
/// database, whatever its schemas, and stay as they are: an older program may be at work.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub(crate) enum Turn {
    /// Migrating, and putting a backup in the place of the tables.
    Schema = 0x7469_6b69,
    /// Deciding which run begins.
    Run = 0x7469_6b6a,
    /// Loading: loaders of one run share it, those of another run wait.
    Load = 0x7469_6b6b,
    /// Writing alerts, so that two do not tell the same.
    Alert = 0x7469_6b6c,
    /// Deciding who cleans up.
    Cleaning = 0x7469_6b6d,
    /// Proving a backup, for as long as the connection lasts.
    Proof = 0x7469_6b6e,
}

impl Turn {
    /// The key of its lock.
    pub(crate) fn key(self) -> i64 {
        self as i64
    }

    /// Waits for it; it lasts until the end of the transaction.
    pub(crate) async fn take(self, tx: &mut Tx) -> Result<()> {
        self.lock(tx, "SELECT pg_advisory_xact_lock($1)").await
    }

    /// Waits until nobody has it alone, and shares it until the end of the transaction.
    pub(crate) async fn share(self, tx: &mut Tx) -> Result<()> {
        self.lock(tx, "SELECT pg_advisory_xact_lock_shared($1)")
            .await
    }

    async fn lock(self, tx: &mut Tx, sql: &str) -> Result<()> {
        if tx.dialect() == Dialect::Postgres {
            tx.rows(sql, params![self.key()]).await?;
        }
        Ok(())
    }
}
