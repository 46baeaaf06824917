//! Opening a warehouse by its address, and beginning transactions in it.
//!
//! Not here: what is done in them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::Instant;

use crate::comments;
use crate::error::{Error, Result};
use crate::migrations::{self, Migrated};
use crate::params;
use crate::postgres::{self, PoolLimits};
use crate::sqlite;
use crate::tx::{Purpose, Tx};

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
    Postgres(deadpool_postgres::Pool),
}

/// How to open a warehouse.
#[derive(Clone, Debug)]
pub struct Options {
    /// The PostgreSQL schema (`public`; the demo's is `demo`). SQLite has none.
    pub schema: String,
    /// Limits of the PostgreSQL pool.
    pub limits: PoolLimits,
    /// How long a writer waits for another process's SQLite transaction.
    pub busy: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: "public".into(),
            limits: PoolLimits::default(),
            busy: Duration::from_secs(30),
        }
    }
}

impl Warehouse {
    /// Opens `sqlite:<path>` (made where there is none) or `postgres://…`. Makes no tables:
    /// [`Warehouse::migrate`] does.
    pub async fn open(url: &str, options: &Options) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if path.as_os_str().is_empty() || path.starts_with(":memory:") {
                return Err(Error::Address(url.into(), "the path is missing".into()));
            }
            let pool = sqlite::Pool::open(&path, options.busy)?;
            let address = format!("sqlite:{}", path.display());
            return Ok(Self {
                store: Store::Sqlite(pool),
                address,
            });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let schema = &options.schema;
            check_schema(schema)?;
            let pool = postgres::open(url, schema, &options.limits).await?;
            let address = postgres::without_password(url);
            return Ok(Self {
                store: Store::Postgres(pool),
                address,
            });
        }
        // Nothing of it is shown: what is no address may be a password.
        Err(Error::Address(
            "…".into(),
            "begin it with sqlite: or postgres://".into(),
        ))
    }

    /// Brings the schema and its comments up to date; `schema` as in [`Options::schema`].
    pub async fn migrate(&self, schema: &str) -> Result<Migrated> {
        check_schema(schema)?;
        let mut tx = self.begin().await?;
        migrations::lock(&mut tx).await?;
        if self.is_postgres() && schema != "public" {
            tx.batch(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"))
                .await?;
        }
        let done = migrations::migrate(&mut tx).await?;
        comments::write(&mut tx).await?;
        tx.commit().await?;
        Ok(done)
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
            Store::Postgres(_) => None,
        }
    }

    /// Whether it is a PostgreSQL database.
    pub fn is_postgres(&self) -> bool {
        matches!(self.store, Store::Postgres(_))
    }

    /// A transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        match &self.store {
            Store::Sqlite(pool) => Tx::begin_sqlite(pool.lend(true).await?, true),
            Store::Postgres(pool) => {
                Tx::begin_postgres(postgres::get(pool).await?, Purpose::Write).await
            }
        }
    }

    /// A transaction that reads one snapshot for a step: few rows by their keys.
    pub(crate) async fn read(&self) -> Result<Tx> {
        self.snapshot(Purpose::Read).await
    }

    /// A transaction that reads one snapshot for a person: any rows in any way.
    pub(crate) async fn answer(&self) -> Result<Tx> {
        self.snapshot(Purpose::Answer).await
    }

    async fn snapshot(&self, purpose: Purpose) -> Result<Tx> {
        match &self.store {
            Store::Sqlite(pool) => Tx::begin_sqlite(pool.lend(false).await?, false),
            Store::Postgres(pool) => Tx::begin_postgres(postgres::get(pool).await?, purpose).await,
        }
    }
}

fn check_schema(schema: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c == '_';
    if !schema.is_empty() && schema.len() <= 63 && schema.chars().all(fits) {
        return Ok(());
    }
    Err(Error::Address(schema.into(), "no name of a schema".into()))
}
