//! The schema, step by step. Every file under `migrations/` is applied once, in order, under a lock
//! (what is for one database alone is nothing in the other); a file that was changed after it had been
//! applied, or a schema newer than this program, is refused.
//!
//! Not here: the meaning of any table (`schema`).

use sha2::{Digest, Sha256};

use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::lease::Host;
use crate::params;
use crate::tx::Tx;

/// A file, and the database that it is for; `None`: both.
type Migration = (&'static str, &'static str, Option<Dialect>);

const MIGRATIONS: [Migration; 8] = [
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
    (
        "0005_trust",
        include_str!("../migrations/0005_trust.sql"),
        None,
    ),
    (
        "0006_batches",
        include_str!("../migrations/0006_batches.sql"),
        None,
    ),
    (
        "0007_alerts",
        include_str!("../migrations/0007_alerts.sql"),
        None,
    ),
    (
        "0008_failures",
        include_str!("../migrations/0008_failures.sql"),
        None,
    ),
];

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The names of the files applied now, in order.
    pub applied: Vec<String>,
    /// The name of the newest file applied at all.
    pub version: String,
}

impl Migrated {
    /// Whether there were no tables before.
    pub fn is_new(&self) -> bool {
        self.applied.len() == MIGRATIONS.len()
    }
}

/// Refuses a database in which somebody else's tables have our names.
async fn refuse_others(tx: &mut Tx) -> Result<()> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE name IN ('products', 'categories', 'runs')",
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_name IN ('products', 'categories', 'runs')"
        }
    };
    match tx.row(sql, &[]).await? {
        None => Ok(()),
        Some(row) => Err(Error::Schema(format!(
            "this database has a table {} that no tiki made: give tiki a database of its own",
            row.text(0)?
        ))),
    }
}

/// Brings the schema up to date in one transaction that has its [`Turn::Schema`](crate::turns::Turn). Nobody
/// may work in the warehouse meanwhile; `is_dead` tells of whom it is known that he does not.
pub(crate) async fn migrate(tx: &mut Tx, is_dead: impl Fn(&Host) -> bool) -> Result<Migrated> {
    tx.batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at {time} NOT NULL)",
    )
    .await?;
    let taken = taken(tx).await?;
    if taken == 0 {
        refuse_others(tx).await?;
    }
    if (1..MIGRATIONS.len()).contains(&taken) {
        end_all_work(tx, is_dead).await?;
    }
    let mut applied = Vec::new();
    for (name, sql, only) in MIGRATIONS.iter().skip(taken) {
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
    Ok(Migrated {
        applied,
        version: newest().to_owned(),
    })
}

/// How many steps a warehouse has taken; another program's are refused.
async fn taken(tx: &mut Tx) -> Result<usize> {
    let rows = tx
        .rows(
            "SELECT name, checksum FROM schema_migrations ORDER BY name",
            &[],
        )
        .await?;
    if let Some(row) = rows.get(MIGRATIONS.len()) {
        return Err(newer(&row.text(0)?));
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
    Ok(rows.len())
}

/// Refuses a schema that this program can only write to after it was migrated, or not at all. `false`:
/// there are no tables yet.
pub(crate) async fn check(tx: &mut Tx) -> Result<bool> {
    match state(tx).await? {
        SchemaState::Absent => Ok(false),
        SchemaState::Current(_) => Ok(true),
        SchemaState::Older(name) => Err(Error::Schema(format!(
            "the warehouse has the schema {name}, which is older than this program's {}: bring it up to \
             date with `tiki migrate`, or with the next `tiki run`",
            newest()
        ))),
        SchemaState::Foreign(why) => Err(Error::Schema(why)),
    }
}

/// How the schema of a warehouse stands to this program's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// There are no tables yet.
    Absent,
    /// Its newest step, which is not this program's newest.
    Older(String),
    /// Its newest step, which is this program's.
    Current(String),
    /// A newer program's, or another build's: why.
    Foreign(String),
}

/// Refuses a schema that this user may not enter: to PostgreSQL it looks as if no table were there.
async fn may_enter(tx: &mut Tx) -> Result<()> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let closed = "SELECT nspname::text FROM pg_namespace
         WHERE nspname = current_setting('search_path') AND NOT has_schema_privilege(oid, 'USAGE')";
    match tx.row(closed, &[]).await? {
        Some(row) => Err(Error::Denied(format!(
            "permission denied for schema {}",
            row.text(0)?
        ))),
        None => Ok(()),
    }
}

/// How the schema stands. In PostgreSQL the transaction is of no use after [`SchemaState::Absent`].
pub(crate) async fn state(tx: &mut Tx) -> Result<SchemaState> {
    may_enter(tx).await?;
    let taken = match taken(tx).await {
        // It has no ledger of its schema.
        Err(Error::Statement { .. }) | Ok(0) => return Ok(SchemaState::Absent),
        Err(Error::Schema(why)) => return Ok(SchemaState::Foreign(why)),
        taken => taken?,
    };
    let name = MIGRATIONS[taken - 1].0.to_owned();
    Ok(if taken == MIGRATIONS.len() {
        SchemaState::Current(name)
    } else {
        SchemaState::Older(name)
    })
}

/// The condition under which a program may still write: the schema is none that it does not know. `$n`
/// stands for [`known`].
pub(crate) const IS_KNOWN: &str = "(SELECT COUNT(*) FROM schema_migrations) <=";

/// How many steps this program knows.
pub(crate) fn known() -> i64 {
    MIGRATIONS.len() as i64
}

/// Refuses a schema that a newer program made meanwhile.
pub(crate) async fn refuse_newer(tx: &mut Tx) -> Result<()> {
    let sql = "SELECT COUNT(*), MAX(name) FROM schema_migrations";
    match tx.row(sql, &[]).await? {
        Some(row) if row.int(0)? > known() => Err(newer(&row.text(1)?)),
        _ => Ok(()),
    }
}

fn newer(name: &str) -> Error {
    Error::Schema(format!(
        "the warehouse has the schema {name}, which is newer than this program: use a newer tiki"
    ))
}

fn newest() -> &'static str {
    MIGRATIONS.last().map_or("", |(name, ..)| *name)
}

/// Refuses while somebody is at work, and ends all other attempts, so that a worker of an older program
/// that slept through it commits nothing into the new schema.
async fn end_all_work(tx: &mut Tx, is_dead: impl Fn(&Host) -> bool) -> Result<()> {
    let exists = "SELECT name FROM schema_migrations WHERE name = '0002_runs'";
    if tx.row(exists, &[]).await?.is_none() {
        return Ok(());
    }
    if tx.dialect() == Dialect::Postgres {
        // Whoever begins or commits meanwhile waits until the schema is the new one.
        tx.batch("LOCK TABLE attempts IN EXCLUSIVE MODE").await?;
    }
    let rows = tx
        .rows(
            "SELECT run_id, step, host, process FROM attempts
             WHERE state = 'live' AND {leased:lease_until} ORDER BY epoch",
            &[],
        )
        .await?;
    for row in &rows {
        let host = Host {
            name: row.text(2)?,
            process: row.text(3)?,
        };
        if !is_dead(&host) {
            return Err(Error::AtWork {
                run: row.text(0)?,
                step: row.text(1)?,
                host,
            });
        }
    }
    tx.execute(
        "UPDATE attempts SET state = 'fenced', ended_at = {now} WHERE state = 'live'",
        &[],
    )
    .await
    .map(drop)
}

/// A step of the schema as one of the two databases takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStep {
    /// Its name, as in the table `schema_migrations`.
    pub name: &'static str,
    /// SHA-256 of its text, as there.
    pub checksum: String,
    /// Its statements, in that database's words; empty: there it is nothing.
    pub sql: String,
}

/// All steps of the schema in their order, in the words of PostgreSQL or of SQLite.
pub fn schema_steps(postgres: bool) -> Vec<SchemaStep> {
    let dialect = if postgres {
        Dialect::Postgres
    } else {
        Dialect::Sqlite
    };
    let step = |(name, sql, only): &Migration| SchemaStep {
        name,
        checksum: checksum(sql),
        sql: match only {
            Some(only) if *only != dialect => String::new(),
            _ => dialect.translate(sql),
        },
    };
    MIGRATIONS.iter().map(step).collect()
}

/// Whether this program knows a step of the schema.
pub(crate) fn is_known(name: &str) -> bool {
    MIGRATIONS.iter().any(|(known, ..)| *known == name)
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes())
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
