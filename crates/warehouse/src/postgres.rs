//! The shared warehouse: a bounded pool of connections to PostgreSQL 15 or newer.
//!
//! Not here: SQL of our own tables.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address;
use crate::error::{Error, Result};
use crate::lease::LEASE_SECONDS;
use crate::open::Options;
use crate::tls;

const OLDEST_SERVER: i64 = 150_000;

/// A transaction that is silent for so long is ended by the server: its worker's lease is over too.
/// Without it a worker that is lost between two statements would hold its locks for ever.
const SILENT_TRANSACTION: Duration = Duration::from_secs(LEASE_SECONDS.unsigned_abs());

/// How long a network may swallow what was sent.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How often a silent connection is tried; after three tries it is lost.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// How much later than the server's own limit a statement is given up here: for a server, a proxy or
/// a network that does not answer at all.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Limits of the pool.
#[derive(Clone, Debug)]
pub struct PoolLimits {
    /// Connections at most, of this process.
    pub max_connections: usize,
    /// How long a caller waits for a free connection, and for a new one to be made.
    pub wait: Duration,
    /// How long one statement may take in PostgreSQL.
    pub statement_timeout: Duration,
}

impl PoolLimits {
    /// How long an answer to a statement is waited for.
    pub(crate) fn answer(&self) -> Duration {
        self.statement_timeout.saturating_add(GRACE)
    }
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            max_connections: 8,
            wait: Duration::from_secs(10),
            statement_timeout: Duration::from_mins(5),
        }
    }
}

/// Makes the pool and asks the server for its version; `other` is a database of the same server to open in
/// place of the one that the address names.
pub(crate) async fn open(url: &str, other: Option<&str>, options: &Options) -> Result<Pool> {
    let limits = &options.limits;
    let (mut config, wish) = address::parse(url)?;
    if let Some(name) = other {
        config.dbname(name);
    }
    // A statement is planned for the sizes that tables have now, not for those of an empty warehouse.
    let settings = format!(
        "{} -c search_path={} -c statement_timeout={} -c lock_timeout={} \
         -c idle_in_transaction_session_timeout={} -c timezone=UTC -c jit=off \
         -c plan_cache_mode=force_custom_plan",
        config.get_options().unwrap_or(""),
        options.schema,
        limits.statement_timeout.as_millis(),
        options.busy.as_millis(),
        SILENT_TRANSACTION.as_millis(),
    );
    config.options(settings.trim());
    config.connect_timeout(limits.wait);
    config.keepalives_idle(KEEPALIVE);
    config.keepalives_interval(KEEPALIVE);
    config.keepalives_retries(2);
    config.tcp_user_timeout(UNACKNOWLEDGED);
    if config.get_application_name().is_none() {
        config.application_name("tiki");
    }
    let manager = Manager::from_config(
        config,
        MakeRustlsConnect::new(tls::config(&wish)?),
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    let pool = Pool::builder(manager)
        .max_size(limits.max_connections)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(limits.wait),
            create: Some(limits.wait),
            recycle: Some(limits.wait),
        })
        .build()
        .map_err(|error| Error::Address(address::without_password(url), error.to_string()))?;
    check_server(&pool, limits.wait).await?;
    Ok(pool)
}

async fn check_server(pool: &Pool, limit: Duration) -> Result<()> {
    let client = get(pool).await?;
    let text = "SELECT current_setting('server_version_num'), current_setting('server_encoding')";
    let said = answered(limit, text, client.query_one(text, &[])).await?;
    let version: i64 = said.get::<_, String>(0).parse().unwrap_or(0);
    if version < OLDEST_SERVER {
        return Err(Error::Schema(format!(
            "PostgreSQL {version} is too old: 15 or newer is needed"
        )));
    }
    let encoding: String = said.get(1);
    if encoding != "UTF8" {
        return Err(Error::Schema(format!(
            "the database keeps texts in {encoding}, which has no room for all of them: make one with ENCODING 'UTF8' \
             TEMPLATE template0"
        )));
    }
    Ok(())
}

/// Waits for an answer of the server, `limit` at most.
pub(crate) async fn answered<T>(
    limit: Duration,
    text: &str,
    call: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(done) => done.map_err(|error| Error::postgres(text, error)),
        Err(_) => Err(Error::silent("to a statement", limit)),
    }
}

/// A connection on loan.
pub(crate) async fn get(pool: &Pool) -> Result<Object> {
    use deadpool_postgres::{PoolError, TimeoutType};
    let wait = pool.timeouts().wait.unwrap_or_default();
    match pool.get().await {
        Ok(object) => Ok(object),
        Err(PoolError::Backend(error)) => Err(Error::connect(error)),
        Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::Exhausted {
            size: pool.status().max_size,
            wait,
        }),
        Err(PoolError::Timeout(_)) => Err(Error::silent("while connecting", wait)),
        Err(error) => Err(Error::Unreachable(error.into())),
    }
}
