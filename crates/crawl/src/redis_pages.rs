//! Pages in a Redis server, in front of those in the warehouse and shared by all processes. What an entry
//! looks like is in `page_cache`; whether a page is still good enough is the caller's to decide.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Client, ErrorKind, InfoDict, RedisError, RedisResult};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::page_cache::{CacheTtl, CachedPage, ENTRY_MAX_BYTES, PageKey};

/// How long one call of the page cache may take, connecting included.
pub const CACHE_PATIENCE: Duration = Duration::from_millis(250);

/// How long a server of the page cache that was lost is not asked.
pub const CACHE_PAUSE: Duration = Duration::from_secs(5);

/// How old a reading of the server's memory may be when a page is put.
const MEMORY_FRESH: Duration = Duration::from_secs(5);

/// The database of a URL that names none. Airflow's broker lives in 0, where Redis begins.
const DATABASE: u32 = 1;

/// Why a Redis URL cannot be used. The URL is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// Not a `redis://` URL with a host.
    #[error("a Redis server is a URL such as redis://127.0.0.1:6379/1")]
    Url,
    /// What follows the host is no number.
    #[error("a Redis URL ends with the number of a database, such as /1")]
    Database,
    /// Database 0.
    #[error("database 0 is where Airflow's broker lives; choose another, such as /1")]
    BrokerDatabase,
}

/// A `redis://` URL that names its database, which is never 0: without a number it is 1.
pub fn own_database(url: &str) -> Result<String, CacheError> {
    let mut url = Url::parse(url).map_err(|_| CacheError::Url)?;
    if url.scheme() != "redis" {
        return Err(CacheError::Url);
    }
    let database = match url.path().trim_matches('/') {
        "" => DATABASE,
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().map_err(|_| CacheError::Database)?
        }
        _ => return Err(CacheError::Database),
    };
    if database == 0 {
        return Err(CacheError::BrokerDatabase);
    }
    url.set_path(&format!("/{database}"));
    // Whatever else the client would refuse: no host, an unknown protocol.
    Client::open(url.as_str()).map_err(|_| CacheError::Url)?;
    Ok(url.into())
}

/// What the cache knows about a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// This.
    Hit(CachedPage),
    /// Nothing.
    Miss,
    /// Redis cannot be asked now.
    Lost,
}

/// The pages of an origin in a Redis server, for every process that uses the same server and database.
/// Cheap to clone; clones share their connection.
///
/// Never in the way: no call fails or takes longer than [`CACHE_PATIENCE`], and a server that did not
/// answer is not asked again for [`CACHE_PAUSE`]. An entry that cannot be read is deleted and missed.
/// Needs leave to call `GETRANGE`, `SET`, `DEL` and `INFO`.
#[derive(Clone)]
pub struct RedisPages {
    server: Arc<Server>,
    origin_id: Arc<str>,
    ttl: CacheTtl,
    memory_limit_bytes: u64,
    room: Arc<tokio::sync::Mutex<Room>>,
}

/// What may be put until the server's memory is read again.
#[derive(Default)]
struct Room {
    read_at: Option<Instant>,
    bytes: u64,
    told: bool,
}

impl RedisPages {
    /// Pages of an origin in the server and database of a `redis://` URL ([`own_database`]). Nothing is
    /// put while the whole server, not just these pages, uses more than `memory_limit_bytes`; it is read
    /// every few seconds, so several processes may pass it by what they put meanwhile. Does not connect
    /// yet.
    pub fn new(
        url: &str,
        origin_id: &str,
        ttl: CacheTtl,
        memory_limit_bytes: u64,
    ) -> Result<Self, CacheError> {
        Ok(Self {
            server: Arc::new(Server::new(&own_database(url)?)?),
            origin_id: origin_id.into(),
            ttl,
            memory_limit_bytes,
            room: Arc::default(),
        })
    }

    /// The page that is cached under a key. It may be older than what was put last, if that was not kept.
    pub async fn get(&self, key: &PageKey) -> Lookup {
        let name = key.name(&self.origin_id);
        let looked = self.server.ask(self.look(&name)).await;
        looked.unwrap_or(Lookup::Lost)
    }

    /// Caches a page, if the server answers and has room, the page is no larger than
    /// [`crate::CACHED_BODY_MAX_BYTES`], and its kind is kept at all.
    pub async fn put(&self, key: &PageKey, page: &CachedPage) {
        let name = key.name(&self.origin_id);
        let Some(seconds) = self.ttl.seconds(key.kind, page.status) else {
            return;
        };
        let Some(entry) = page.entry(&name) else {
            let bytes = page.body.len();
            tracing::debug!(key = name, bytes, "a page is too large for the cache");
            return;
        };
        self.server.ask(self.keep(&name, &entry, seconds)).await;
    }

    /// Deletes a page whose body turned out to be unreadable, or of another id.
    pub async fn forget(&self, key: &PageKey) {
        let name = key.name(&self.origin_id);
        tracing::warn!(
            key = name,
            "a cached page is not what it should be: deleted"
        );
        let deletion = async {
            let mut link = self.server.link().await?;
            delete(&mut link, &name).await
        };
        self.server.ask(deletion).await;
    }

    /// The memory that the server uses, bytes; `None` if it cannot be asked now.
    pub async fn memory(&self) -> Option<u64> {
        let reading = async {
            let mut link = self.server.link().await?;
            used_memory(&mut link).await
        };
        self.server.ask(reading).await
    }

    /// The entries of the database, all keys counted; `None` if it cannot be asked now.
    pub async fn entries(&self) -> Option<u64> {
        let reading = async {
            let mut link = self.server.link().await?;
            redis::cmd("DBSIZE").query_async::<u64>(&mut link).await
        };
        self.server.ask(reading).await
    }

    async fn look(&self, name: &str) -> RedisResult<Lookup> {
        let mut link = self.server.link().await?;
        let mut command = redis::cmd("GETRANGE");
        // Of an entry that is too long, no more than the longest that can be right.
        command.arg(name).arg(0).arg(ENTRY_MAX_BYTES - 1);
        let flaw = match command.query_async::<Vec<u8>>(&mut link).await {
            // No entry, or an empty one: Redis does not tell them apart.
            Ok(entry) if entry.is_empty() => return Ok(Lookup::Miss),
            Ok(entry) => match CachedPage::read(Bytes::from(entry), name) {
                Ok(page) => return Ok(Lookup::Hit(page)),
                Err(flaw) => flaw,
            },
            Err(error) if error.code() == Some("WRONGTYPE") => "it is no string",
            Err(error) => return Err(error),
        };
        tracing::warn!(key = name, flaw, "a cached page cannot be read: deleted");
        delete(&mut link, name).await?;
        Ok(Lookup::Miss)
    }

    async fn keep(&self, name: &str, entry: &[u8], seconds: u64) -> RedisResult<()> {
        let mut link = self.server.link().await?;
        if !self.has_room(&mut link, name.len() + entry.len()).await? {
            return Ok(());
        }
        let mut command = redis::cmd("SET");
        command.arg(name).arg(entry).arg("EX").arg(seconds);
        match command.query_async::<()>(&mut link).await {
            // The server has a limit of its own, and reading still works.
            Err(error) if error.code() == Some("OOM") => {
                self.room.lock().await.close(&self.server.address);
                Ok(())
            }
            done => done,
        }
    }

    /// Whether so many bytes fit; they are counted as used. All who put wait for one reading.
    async fn has_room(&self, link: &mut MultiplexedConnection, bytes: usize) -> RedisResult<bool> {
        let mut room = self.room.lock().await;
        if room.read_at.is_none_or(|at| at.elapsed() >= MEMORY_FRESH) {
            let used = used_memory(link).await?;
            room.bytes = self.memory_limit_bytes.saturating_sub(used);
            room.read_at = Some(Instant::now());
        }
        if let Some(left) = room.bytes.checked_sub(bytes as u64) {
            room.bytes = left;
            return Ok(true);
        }
        room.close(&self.server.address);
        Ok(false)
    }
}

impl Room {
    /// Nothing more until the next reading.
    fn close(&mut self, at: &str) {
        self.bytes = 0;
        if !self.told {
            self.told = true;
            tracing::warn!(at, "Redis is full: pages are not cached while it is");
        }
    }
}

async fn delete(link: &mut MultiplexedConnection, name: &str) -> RedisResult<()> {
    redis::cmd("DEL").arg(name).query_async(link).await
}

async fn used_memory(link: &mut MultiplexedConnection) -> RedisResult<u64> {
    let info: InfoDict = redis::cmd("INFO").arg("memory").query_async(link).await?;
    let missing = (ErrorKind::UnexpectedReturnType, "INFO tells no used_memory");
    info.get("used_memory").ok_or_else(|| missing.into())
}

impl fmt::Debug for RedisPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPages")
            .field("at", &self.server.address)
            .field("origin_id", &self.origin_id)
            .field("ttl", &self.ttl)
            .field("memory_limit_bytes", &self.memory_limit_bytes)
            .finish_non_exhaustive()
    }
}

/// A server that may be lost at any moment.
struct Server {
    client: Client,
    address: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<MultiplexedConnection>,
    /// When a server that was lost is asked again.
    lost_until: Option<Instant>,
}

impl Server {
    fn new(url: &str) -> Result<Self, CacheError> {
        let client = Client::open(url).map_err(|_| CacheError::Url)?;
        let address = client.get_connection_info().addr().to_string();
        let state = Mutex::default();
        Ok(Self {
            client,
            address,
            state,
        })
    }

    /// What `call` comes to, if the server may be asked and answers in time.
    async fn ask<T>(&self, call: impl Future<Output = RedisResult<T>>) -> Option<T> {
        if !self.may_be_asked() {
            return None;
        }
        match timeout(CACHE_PATIENCE, call).await {
            Ok(Ok(answer)) => {
                self.found();
                Some(answer)
            }
            Ok(Err(error)) => {
                self.lost(&told(&error));
                None
            }
            Err(_) => {
                self.lost("no answer in time");
                None
            }
        }
    }

    /// Of those who find a pause over, one asks and the others pause on.
    fn may_be_asked(&self) -> bool {
        let (mut state, now) = (self.state(), Instant::now());
        match state.lost_until {
            None => true,
            Some(end) if now < end => false,
            Some(_) => {
                state.lost_until = Some(now + CACHE_PAUSE);
                true
            }
        }
    }

    async fn link(&self) -> RedisResult<MultiplexedConnection> {
        let kept = self.state().link.clone();
        if let Some(link) = kept {
            return Ok(link);
        }
        let link = self.client.get_multiplexed_async_connection().await?;
        self.state().link = Some(link.clone());
        Ok(link)
    }

    fn found(&self) {
        if self.state().lost_until.take().is_some() {
            tracing::info!(at = self.address, "Redis answers again: pages are cached");
        }
    }

    /// After any error the connection is not believed any more.
    fn lost(&self, error: &str) {
        let mut state = self.state();
        state.link = None;
        let first = state
            .lost_until
            .replace(Instant::now() + CACHE_PAUSE)
            .is_none();
        drop(state);
        if first {
            let at = &self.address;
            tracing::warn!(at, error, "Redis is lost: pages come from the warehouse");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error without the server's own words: some servers repeat the command they refuse, and that may be
/// the one with the password.
fn told(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Io => error.to_string(),
        _ => error.code().unwrap_or(error.category()).to_owned(),
    }
}
