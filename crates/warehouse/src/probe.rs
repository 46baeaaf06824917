//! What a probe asks of a warehouse: little, and nothing that another waits for.
//!
//! Not here: what is well and what is not (`pipeline`).

use catalog::Instant;

use crate::error::{Error, Result};
use crate::migrations::{self, SchemaState};
use crate::open::Warehouse;
use crate::params;

/// A run that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodRun {
    /// Its id.
    pub id: String,
    /// The database's time of its end.
    pub finished_at: Instant,
}

/// What a warehouse says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The database's time.
    pub time: Instant,
    /// How its schema stands to this program's.
    pub schema: SchemaState,
    /// The run that ended with 0 last; `None` also where the schema is not this program's.
    pub last_good: Option<GoodRun>,
}

impl Warehouse {
    /// Asks a warehouse how it is. Writes nothing and takes no lock that keeps a worker waiting.
    pub async fn probe(&self) -> Result<Probe> {
        let mut tx = self.read().await?;
        let row = tx.row("SELECT {now}", &[]).await?;
        let time = row
            .ok_or_else(|| Error::Stored("no time".into()))?
            .time(0)?;
        let schema = migrations::state(&mut tx).await?;
        let mut last_good = None;
        if matches!(schema, SchemaState::Current(_)) {
            let sql = "SELECT id, finished_at FROM runs
                 WHERE state = 'done' AND exit_code = 0 AND finished_at IS NOT NULL
                 ORDER BY finished_at DESC LIMIT 1";
            let row = tx.row(sql, params![]).await?;
            let good = |row: crate::value::Row| -> Result<GoodRun> {
                Ok(GoodRun {
                    id: row.text(0)?,
                    finished_at: row.time(1)?,
                })
            };
            last_good = row.map(good).transpose()?;
        }
        tx.end().await?;
        Ok(Probe {
            time,
            schema,
            last_good,
        })
    }
}
