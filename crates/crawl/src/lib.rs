//! The only door to the site: HTTP, robots.txt, permits (the rate over all processes), and what an
//! error means for a second try.
//!
//! Not here: retrying (the listing's durable state does, in `pipeline`), parsing (`catalog`), keeping
//! pages (`warehouse`), and every clock but the monotonic one: a time of day arrives from the site or
//! as an argument.
//!
//! Each request goes through [`Client::fetch`], which asks robots.txt, waits for a place among the
//! requests in flight and for a [`HostPermit`], sends once, follows nothing, and reads no more than
//! the limits of a body.

mod ask;
mod backoff;
mod client;
mod error;
mod gate;
mod judge;
mod origin;
mod page;
mod permit;
mod rate;
mod receive;
mod redis_permits;
mod robots;
mod settings;
mod tls;

pub use ask::Ask;
pub use backoff::Backoff;
pub use client::{Client, ClientError};
pub use error::{FetchError, FetchErrorKind, Retry};
pub use gate::Gate;
pub use origin::{Origin, OriginError};
pub use page::{Answer, Page};
pub use permit::{
    Grant, HostPermit, PERMIT_VALID, PermitError, PermitSource, SCHEDULE_AHEAD, Taking,
};
pub use rate::{LEAST_SPACING, MOST_SPACING, Rate, RateError};
pub use redis_permits::RedisPermits;
pub use robots::{ROBOTS_FRESH, ROBOTS_MAX_BYTES, Robots, RobotsError};
pub use settings::Settings;
