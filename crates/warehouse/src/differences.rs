//! What differs between two warehouses of one kind: today's, and a backup that was restored beside it.
//!
//! Both are read side by side in the order of their keys, each in one snapshot and a page at a time, so
//! that nothing in memory grows with the catalogue.
//!
//! Not here: restoring the one (`backup`), whether they hold the same at all (`digest`).

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::digest;
use crate::error::Result;
use crate::open::Warehouse;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// Rows of each side that are held in memory at once.
const PAGE: i64 = 500;

/// Runs that are named.
const RUNS: usize = 20;

/// What was found today, and what in the backup.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Both<T> {
    /// Today.
    pub now: T,
    /// In the backup.
    pub then: T,
}

/// How two warehouses differ.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Differences {
    /// Rows of every table; `None`: there is no such table.
    pub rows: BTreeMap<String, Both<Option<i64>>>,
    /// The time of the newest look.
    pub newest_observation: Both<Option<String>>,
    /// Products that are in both and say something else, times and velocity apart.
    pub products_changed: u64,
    /// Products of today that the backup does not have.
    pub products_gone: u64,
    /// Products of the backup that are not there today.
    pub products_back: u64,
    /// How many runs of today the backup does not have.
    pub runs_gone: u64,
    /// The newest of these, the newest first.
    pub newest_runs_gone: Vec<String>,
}

impl Differences {
    /// Compares today's warehouse with a backup's. Writes nothing.
    pub(crate) async fn between(now: &Warehouse, then: &Warehouse) -> Result<Self> {
        let mut found = Self::default();
        for (name, count) in counts(now).await? {
            found.rows.entry(name).or_default().now = Some(count);
        }
        for (name, count) in counts(then).await? {
            found.rows.entry(name).or_default().then = Some(count);
        }
        let mut sides = Both {
            now: now.answer().await?,
            then: then.answer().await?,
        };
        found.newest_observation = Both {
            now: newest(&mut sides.now).await?,
            then: newest(&mut sides.then).await?,
        };
        found.products(&mut sides).await?;
        found.runs(&mut sides).await?;
        sides.now.end().await?;
        sides.then.end().await?;
        Ok(found)
    }

    async fn products(&mut self, sides: &mut Both<Tx>) -> Result<()> {
        let sql = format!(
            "SELECT {} FROM products WHERE id > $1 ORDER BY id LIMIT $2",
            digest::PRODUCTS
        );
        side_by_side(sides, &sql, |now, then| match (now, then) {
            (Some(_), None) => self.products_gone += 1,
            (None, Some(_)) => self.products_back += 1,
            (now, then) if now != then => self.products_changed += 1,
            _ => {}
        })
        .await
    }

    async fn runs(&mut self, sides: &mut Both<Tx>) -> Result<()> {
        let sql = "SELECT number, id FROM runs WHERE number > $1 ORDER BY number LIMIT $2";
        let mut newest = VecDeque::new();
        // A number may have been given again after an earlier restore.
        side_by_side(sides, sql, |now, then| match now {
            Some([_, Value::Text(id)]) if now != then => {
                self.runs_gone += 1;
                newest.push_front(id.clone());
                newest.truncate(RUNS);
            }
            _ => {}
        })
        .await?;
        self.newest_runs_gone = newest.into();
        Ok(())
    }
}

/// Rows of every table, without those of the database itself.
async fn counts(warehouse: &Warehouse) -> Result<BTreeMap<String, i64>> {
    let tables = warehouse.inventory().await?.tables;
    let mut tx = warehouse.answer().await?;
    let mut counts = BTreeMap::new();
    for name in tables
        .into_iter()
        .filter(|name| !name.starts_with("sqlite_"))
    {
        let quoted = name.replace('"', "\"\"");
        let sql = format!("SELECT COUNT(*) FROM \"{quoted}\"");
        let row = tx.row(&sql, &[]).await?;
        counts.insert(name, row.map_or(Ok(0), |row| row.int(0))?);
    }
    tx.end().await?;
    Ok(counts)
}

async fn newest(tx: &mut Tx) -> Result<Option<String>> {
    let row = tx
        .row("SELECT MAX(observed_at) FROM observations", &[])
        .await?;
    let time = row.map_or(Ok(None), |row| row.opt_time(0))?;
    Ok(time.map(|time| time.to_string()))
}

/// Gives the rows of both sides to `tell`, those of the same key together. A row begins with its key, a
/// number; `sql` takes the key after which to begin, and how many rows.
async fn side_by_side(
    sides: &mut Both<Tx>,
    sql: &str,
    mut tell: impl FnMut(Option<&[Value]>, Option<&[Value]>),
) -> Result<()> {
    let (mut now, mut then) = (Rows::new(sql), Rows::new(sql));
    loop {
        let next = (
            now.key(&mut sides.now).await?,
            then.key(&mut sides.then).await?,
        );
        match next {
            (None, None) => return Ok(()),
            (Some(a), Some(b)) if a == b => tell(now.take().as_deref(), then.take().as_deref()),
            (Some(a), b) if b.is_none_or(|b| a < b) => tell(now.take().as_deref(), None),
            _ => tell(None, then.take().as_deref()),
        }
    }
}

/// Rows of one side, read a page at a time.
struct Rows<'a> {
    sql: &'a str,
    page: VecDeque<(i64, Vec<Value>)>,
    after: i64,
    ended: bool,
}

impl<'a> Rows<'a> {
    fn new(sql: &'a str) -> Self {
        Self {
            sql,
            page: VecDeque::new(),
            after: i64::MIN,
            ended: false,
        }
    }

    /// The key of the next row; `None`: there is none any more.
    async fn key(&mut self, tx: &mut Tx) -> Result<Option<i64>> {
        if self.page.is_empty() && !self.ended {
            let rows = tx.rows(self.sql, &[self.after.into(), PAGE.into()]).await?;
            let keyed = |row: Row| Ok((row.int(0)?, row.into_values()?));
            self.page = rows.into_iter().map(keyed).collect::<Result<_>>()?;
            self.ended = self.page.is_empty();
        }
        Ok(self.page.front().map(|(key, _)| *key))
    }

    fn take(&mut self) -> Option<Vec<Value>> {
        let (key, values) = self.page.pop_front()?;
        self.after = key;
        Some(values)
    }
}
