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
    /// The database's time of the end of its crawl: nothing that is derived anew later is any fresher.
    pub crawled_at: Instant,
}

/// What a warehouse says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The database's time.
    pub time: Instant,
    /// How its schema stands to this program's.
    pub schema: SchemaState,
    /// The run that began last of those that ended with 0; `None` also where the schema is not this program's.
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
            let sql = "SELECT r.id, COALESCE(s.finished_at, r.finished_at) FROM runs r
                 LEFT JOIN run_steps s ON s.run_id = r.id AND s.step = 'crawl-product-details'
                 WHERE r.state = 'done' AND r.exit_code = 0 AND r.finished_at IS NOT NULL
                 ORDER BY r.number DESC LIMIT 1";
            let row = tx.row(sql, params![]).await?;
            let good = |row: crate::value::Row| -> Result<GoodRun> {
                Ok(GoodRun {
                    id: row.text(0)?,
                    crawled_at: row.time(1)?,
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
