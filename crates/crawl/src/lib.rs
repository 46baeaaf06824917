//! The only door to the site: HTTP, robots.txt, permits (the rate over all processes), and what an
//! error means for a second try.
//!
//! Not here: retrying (the listing's durable state does, in `pipeline`), parsing (`catalog`), keeping
//! pages (`warehouse`), and every clock but the monotonic one: a time of day arrives from the site or
//! as an argument.
//!
//! Each request goes through [`Client::fetch`], which asks robots.txt, waits for a place among the
//! requests in flight and for a [`HostPermit`], sends once, follows nothing, and reads no more than
//! the limits of a body. What the answers say about how the site feels is told to the source of permits,
//! so that all processes slow down, or stay away, together ([`Pace`]).

mod addresses;
mod ask;
mod backoff;
mod client;
mod error;
mod gate;
mod judge;
mod origin;
mod pace;
mod page;
mod page_cache;
mod permit;
mod proxy;
mod rate;
mod receive;
mod redis_facts;
mod redis_pages;
mod redis_permits;
mod redis_ping;
mod robots;
mod settings;
mod signals;
mod tls;

pub use ask::Ask;
pub use backoff::Backoff;
pub use client::{Client, ClientError};
pub use error::{FetchError, FetchErrorKind, Retry};
pub use gate::Gate;
pub use origin::{Origin, OriginError, is_loopback};
pub use pace::{Breaker, FULL_SHARE, LEAST_SHARE, MOST_PAUSE, PROBE_TIME, Pace};
pub use page::{Answer, Page, PageSource};
pub use page_cache::{CACHED_BODY_MAX_BYTES, CacheTtl, Cached, CachedKind, CachedPage, PageKey};
pub use permit::{
    Grant, HostPermit, PERMIT_VALID, PermitError, PermitSource, Report, Reporting, SCHEDULE_AHEAD,
    Taking,
};
pub use proxy::{Proxy, ProxyError, ProxyTrouble};
pub use rate::{LEAST_SPACING, MOST_SPACING, Rate, RateError};
pub use redis_facts::{RedisFacts, redis_facts};
pub use redis_pages::{CACHE_PATIENCE, CACHE_PAUSE, CacheError, Lookup, RedisPages, own_database};
pub use redis_permits::RedisPermits;
pub use redis_ping::{PingError, ping_redis};
pub use robots::{ROBOTS_FRESH, ROBOTS_MAX_BYTES, Robots, RobotsError};
pub use settings::Settings;
pub use tls::client_config as tls_config;
