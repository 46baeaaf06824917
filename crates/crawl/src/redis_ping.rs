//! Whether a Redis server answers. Not here: what it holds for us.

use std::io::{Error as IoError, ErrorKind};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use tokio::time::timeout;

/// A Redis server that does not answer as it should.
#[derive(Debug, thiserror::Error)]
#[error("Redis{at} does not answer")]
pub struct PingError {
    /// Its host and port, without secrets; empty where the URL is none.
    at: String,
    #[source]
    source: RedisError,
}

/// Asks the server of a `redis://` URL for a `PING`, as the URL's user and in its database, and waits
/// `patience` at most. Leaves nothing there.
pub async fn ping_redis(url: &str, patience: Duration) -> Result<(), PingError> {
    ask_once(url, patience, async |mut connection| {
        redis::cmd("PING").query_async::<()>(&mut connection).await
    })
    .await
}

/// Asks a server over a connection that ends with the answer, and waits `patience` at most for all of it.
pub(crate) async fn ask_once<T>(
    url: &str,
    patience: Duration,
    ask: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
) -> Result<T, PingError> {
    let client = Client::open(url).map_err(|source| PingError {
        at: String::new(),
        source,
    })?;
    let at = format!(" at {}", client.get_connection_info().addr());
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience))
        .set_response_timeout(Some(patience));
    let asked = async {
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        ask(connection).await
    };
    let silent = |_| {
        let text = format!("no answer in {patience:?}");
        Err(IoError::new(ErrorKind::TimedOut, text).into())
    };
    let answer = timeout(patience, asked).await.unwrap_or_else(silent);
    answer.map_err(|source| PingError { at, source })
}
