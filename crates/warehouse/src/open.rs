//! Opening a warehouse by its address, and beginning transactions in it.
//!
//! Not here: what is done in them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::Instant;

use crate::address;
use crate::comments;
use crate::error::{Error, Result};
use crate::lease::Host;
use crate::migrations::{self, Migrated, SchemaState};
use crate::params;
use crate::postgres::{self, PoolLimits};
use crate::sqlite;
use crate::turns::Turn;
use crate::tx::{Purpose, Tx};

/// How long a person's question may take in PostgreSQL, whatever its own limit is.
const LONGEST_ANSWER: Duration = Duration::from_hours(24);

/// The catalogue's database: an SQLite file or a schema of a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct Warehouse {
    pub(crate) store: Store,
    address: String,
}

/// Which database it is.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Sqlite(sqlite::Pool),
    /// The pool, and how long an answer to a statement is waited for.
    Postgres(deadpool_postgres::Pool, Duration),
}

/// How to open a warehouse.
#[derive(Clone, Debug)]
pub struct Options {
    /// The PostgreSQL schema (`public`; the demo's is `demo`). SQLite has none.
    pub schema: String,
    /// Limits of the connections.
    pub limits: PoolLimits,
    /// How long a lock of another is waited for: SQLite's one writer, any lock of PostgreSQL.
    pub busy: Duration,
    /// An SQLite file must be there already, and is opened so that nothing can be written to it.
    pub only_looks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: "public".into(),
            limits: PoolLimits::default(),
            busy: Duration::from_secs(30),
            only_looks: false,
        }
    }
}

impl Warehouse {
    /// Opens `sqlite:<path>` (made where there is none, but see [`Options::only_looks`]) or
    /// `postgres://…`. Makes no tables:
    /// [`Warehouse::migrate`] does.
    pub async fn open(url: &str, options: &Options) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if path.as_os_str().is_empty() || path.starts_with(":memory:") {
                return Err(Error::Address(url.into(), "the path is missing".into()));
            }
            return Self::of_file(&path, options);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::of_database(url, None, options).await;
        }
        // Nothing of it is shown: what is no address may be a password.
        Err(Error::Address(
            "…".into(),
            "begin it with sqlite: or postgres://".into(),
        ))
    }

    /// Opens a file of SQLite.
    pub(crate) fn of_file(path: &Path, options: &Options) -> Result<Self> {
        let pool = sqlite::Pool::open(path, options)?;
        let address = format!("sqlite:{}", path.display());
        Ok(Self {
            store: Store::Sqlite(pool),
            address,
        })
    }

    /// Opens the database of an address, or another one of the same server.
    pub(crate) async fn of_database(
        url: &str,
        other: Option<&str>,
        options: &Options,
    ) -> Result<Self> {
        check_schema(&options.schema)?;
        let pool = postgres::open(url, other, options).await?;
        Ok(Self {
            store: Store::Postgres(pool, options.limits.answer()),
            address: address::without_password(url),
        })
    }

    /// Brings the schema and its comments up to date, in one transaction; `schema` as in
    /// [`Options::schema`]. Refused while a process works in the warehouse ([`Error::AtWork`]).
    pub async fn migrate(&self, schema: &str) -> Result<Migrated> {
        self.migrate_past(schema, |_| false).await
    }

    /// The same; the lease of a process of which `is_dead` is known does not count.
    pub async fn migrate_past(
        &self,
        schema: &str,
        is_dead: impl Fn(&Host) -> bool,
    ) -> Result<Migrated> {
        check_schema(schema)?;
        let mut tx = self.begin().await?;
        Turn::Schema.take(&mut tx).await?;
        if self.is_postgres() && schema != "public" {
            tx.batch(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))
                .await?;
        }
        let done = migrations::migrate(&mut tx, is_dead).await?;
        comments::write(&mut tx).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Refuses a schema that is not this program's: a newer one, or one that is to be migrated first
    /// ([`Error::Schema`]). `false`: there are no tables yet.
    pub async fn check_schema(&self) -> Result<bool> {
        let mut tx = self.read().await?;
        let has_tables = migrations::check(&mut tx).await?;
        tx.end().await?;
        Ok(has_tables)
    }

    /// Whether there are tables of a schema that this program knows, be it an older one ([`Error::Schema`] for
    /// any other).
    pub async fn is_made(&self) -> Result<bool> {
        let mut tx = self.read().await?;
        let state = migrations::state(&mut tx).await?;
        tx.end().await?;
        match state {
            SchemaState::Absent => Ok(false),
            SchemaState::Older(_) | SchemaState::Current(_) => Ok(true),
            SchemaState::Foreign(why) => Err(Error::Schema(why)),
        }
    }

    /// Ties the warehouse to the site that it keeps; refused when it keeps another.
    pub async fn bind_origin(&self, origin: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "INSERT INTO warehouse_info (key, value) VALUES ('origin', $1) ON CONFLICT DO NOTHING",
            params![origin],
        )
        .await?;
        let row = tx
            .row("SELECT value FROM warehouse_info WHERE key = 'origin'", &[])
            .await?;
        let kept = row.map(|row| row.text(0)).transpose()?.unwrap_or_default();
        tx.commit().await?;
        if kept == origin {
            Ok(())
        } else {
            Err(Error::Origin {
                kept,
                asked: origin.into(),
            })
        }
    }

    /// The database's own time.
    pub async fn time(&self) -> Result<Instant> {
        let mut tx = self.read().await?;
        let row = tx.row("SELECT {now}", &[]).await?;
        tx.commit().await?;
        row.ok_or_else(|| Error::Stored("no time".into()))?.time(0)
    }

    /// Where it is, without secrets.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The file, for SQLite.
    pub fn file(&self) -> Option<&Path> {
        match &self.store {
            Store::Sqlite(pool) => Some(pool.path()),
            Store::Postgres(..) => None,
        }
    }

    /// Whether it is a PostgreSQL database.
    pub fn is_postgres(&self) -> bool {
        matches!(self.store, Store::Postgres(..))
    }

    /// A transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        self.transaction(Purpose::Write).await
    }

    /// A transaction that reads one snapshot for a step: few rows by their keys.
    pub(crate) async fn read(&self) -> Result<Tx> {
        self.transaction(Purpose::Read).await
    }

    /// A transaction that reads one snapshot for a person: any rows in any way.
    pub(crate) async fn answer(&self) -> Result<Tx> {
        self.transaction(Purpose::Answer).await
    }

    async fn transaction(&self, purpose: Purpose) -> Result<Tx> {
        let writes = purpose == Purpose::Write;
        match &self.store {
            Store::Sqlite(pool) => Tx::begin_sqlite(pool.lend(writes).await?, writes),
            Store::Postgres(pool, limit) => {
                // A person says how long an answer may take.
                let limit = match purpose {
                    Purpose::Answer => (*limit).max(LONGEST_ANSWER),
                    _ => *limit,
                };
                Tx::begin_postgres(postgres::get(pool).await?, purpose, limit).await
            }
        }
    }
}

pub(crate) fn check_schema(schema: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c == '_';
    if !schema.is_empty() && schema.len() <= 63 && schema.chars().all(fits) {
        return Ok(());
    }
    Err(Error::Address(schema.into(), "no name of a schema".into()))
}
