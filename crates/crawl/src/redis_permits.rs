//! Permits from Redis: one schedule for each origin, kept by one script on the server's clock. Not here:
//! the pace of all processes, and falling back to another source.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, InfoDict, RedisError, Script};
use tokio::time::Instant;

use crate::Origin;
use crate::permit::{Grant, PermitError, PermitSource, SCHEDULE_AHEAD, Taking};
use crate::rate::MOST_SPACING;

/// How long connecting may take, and how long one command.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long an idle schedule is kept; the next request then waits a second.
const KEEP_S: u64 = 24 * 60 * 60;

const SCRIPT: &str = include_str!("permits.lua");

/// The schedule of an origin in a Redis server, for every process that uses the same server and database.
///
/// Each call lasts half a second at most. A server without the schedule (new, flushed, restarted with or
/// without a snapshot, its clock set back) begins empty after a second of silence. Needs Redis 5 or
/// newer and leave to call `INFO`, `EVALSHA` and `SCRIPT`.
pub struct RedisPermits {
    client: Client,
    address: String,
    key: String,
    script: Script,
    link: Mutex<Option<Link>>,
}

/// A connection and the run of the server that it leads to.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    server: String,
}

impl RedisPermits {
    /// Permits for an origin from the server and database of a `redis://` URL. Does not connect yet.
    pub fn new(url: &str, origin: &Origin) -> Result<Self, PermitError> {
        let client = Client::open(url)
            .map_err(|error| PermitError::source("this is no URL of a Redis database", error))?;
        let address = client.get_connection_info().addr().to_string();
        let key = format!("tiki:permits:1:{origin}");
        let script = Script::new(SCRIPT);
        Ok(Self {
            client,
            address,
            key,
            script,
            link: Mutex::new(None),
        })
    }

    /// Forgets what was granted, so that the schedule begins empty after a second of silence: for a
    /// change from another source to this one.
    pub async fn forget(&self) -> Result<(), PermitError> {
        let mut link = self.link().await?;
        let mut command = redis::cmd("DEL");
        let done = command
            .arg(&self.key)
            .query_async::<()>(&mut link.connection)
            .await;
        done.map_err(|error| self.lost(error))
    }

    async fn grant(&self, want: u32, spacing: Duration) -> Result<Grant, PermitError> {
        let spacing = spacing.clamp(Duration::from_micros(1), MOST_SPACING);
        let mut link = self.link().await?;
        // Rounded up: never faster than asked.
        let spacing_us = spacing.as_nanos().div_ceil(1000) as u64;
        let mut call = self.script.key(&self.key);
        call.arg(want.max(1))
            .arg(spacing_us)
            .arg(SCHEDULE_AHEAD.as_micros() as u64);
        call.arg(&link.server).arg(KEEP_S);
        let sent = Instant::now();
        let answer = call.invoke_async::<(u32, u64)>(&mut link.connection).await;
        let age = sent.elapsed();
        let (count, wait_us) = answer.map_err(|error| self.lost(error))?;
        let (wait, spacing) = (
            Duration::from_micros(wait_us),
            Duration::from_micros(spacing_us),
        );
        Ok(Grant {
            count,
            wait,
            spacing,
            age,
            probe: false,
        })
    }

    async fn link(&self) -> Result<Link, PermitError> {
        if let Some(link) = self.kept().clone() {
            return Ok(link);
        }
        let link = self.connect().await.map_err(|error| self.lost(error))?;
        *self.kept() = Some(link.clone());
        Ok(link)
    }

    async fn connect(&self) -> Result<Link, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut command = redis::cmd("INFO");
        let info: InfoDict = command.arg("server").query_async(&mut connection).await?;
        let Some(server) = info.get::<String>("run_id") else {
            return Err((ErrorKind::UnexpectedReturnType, "INFO tells no run_id").into());
        };
        Ok(Link { connection, server })
    }

    /// After any error the connection is not believed any more.
    fn lost(&self, error: RedisError) -> PermitError {
        *self.kept() = None;
        PermitError::source(
            format!("Redis at {} does not give any", self.address),
            error,
        )
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PermitSource for RedisPermits {
    fn take(&self, want: u32, spacing: Duration) -> Taking<'_> {
        Box::pin(self.grant(want, spacing))
    }
}

impl fmt::Debug for RedisPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (&self.address, &self.key);
        f.debug_struct("RedisPermits")
            .field("at", fields.0)
            .field("key", fields.1)
            .finish_non_exhaustive()
    }
}
