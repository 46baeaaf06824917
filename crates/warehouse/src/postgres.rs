//! The shared warehouse: a bounded pool of connections to PostgreSQL 15 or newer.
//!
//! Not here: SQL of our own tables.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, Result};
use crate::tls;

const OLDEST_SERVER: i64 = 150_000;

/// Limits of the pool.
#[derive(Clone, Debug)]
pub struct PoolLimits {
    /// Connections at most.
    pub max_connections: usize,
    /// How long a caller waits for a free connection, and for a new one to be made.
    pub wait: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
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

/// Makes the pool and asks the server for its version.
pub(crate) async fn open(url: &str, schema: &str, limits: &PoolLimits) -> Result<Pool> {
    let shown = || without_password(url);
    let (address, wish) = tls::split(url);
    let mut config: tokio_postgres::Config = address
        .parse()
        // What the parser saw may be a part of the password.
        .map_err(|_| {
            let why =
                "it does not parse; write special characters of the password as %40 and so on";
            Error::Address(shown(), why.into())
        })?;
    // A statement is planned for the sizes that tables have now, not for those of an empty warehouse.
    let options = format!(
        "{} -c search_path={schema} -c statement_timeout={} -c timezone=UTC -c jit=off \
         -c plan_cache_mode=force_custom_plan",
        config.get_options().unwrap_or(""),
        limits.statement_timeout.as_millis()
    );
    config.options(options.trim());
    config.connect_timeout(limits.wait);
    config.keepalives_idle(Duration::from_mins(1));
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
        .map_err(|error| Error::Address(shown(), error.to_string()))?;
    let client = get(&pool).await?;
    let text = "SHOW server_version_num";
    let row = client
        .query_one(text, &[])
        .await
        .map_err(|e| Error::postgres(text, e))?;
    let version: i64 = row.get::<_, String>(0).parse().unwrap_or(0);
    if version < OLDEST_SERVER {
        return Err(Error::Schema(format!(
            "PostgreSQL {version} is too old: 15 or newer is needed"
        )));
    }
    Ok(pool)
}

/// A connection on loan.
pub(crate) async fn get(pool: &Pool) -> Result<Object> {
    use deadpool_postgres::PoolError;
    match pool.get().await {
        Ok(object) => Ok(object),
        Err(PoolError::Backend(error)) => Err(Error::connect(error)),
        Err(PoolError::Timeout(kind)) => {
            let (size, wait) = (
                pool.status().max_size,
                pool.timeouts().wait.unwrap_or_default(),
            );
            Err(Error::Busy(format!(
                "no connection after {} s ({kind:?}; the pool holds {size} at most)",
                wait.as_secs()
            )))
        }
        Err(error) => Err(Error::Unreachable(error.into())),
    }
}

/// The address as it may be shown: without user, password and parameters.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let host = match place.rsplit_once('@') {
        Some((_, host)) => host,
        // The question mark may stand in the password.
        None if parameters.contains('@') => "…",
        None => place,
    };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            (
                "postgres://u:p@w@h:5432/crawl_data?password=x",
                "postgres://h:5432/crawl_data",
            ),
            ("postgres://h/crawl_data", "postgres://h/crawl_data"),
            ("postgres://u:p?w@h/crawl_data", "postgres://…"),
            ("postgres://u:p/w@h/crawl_data", "postgres://h/crawl_data"),
        ] {
            assert_eq!(super::without_password(url), shown);
        }
    }
}
