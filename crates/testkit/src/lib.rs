//! What tests need of the outside world (development only): real servers in
//! folders of their own, a network between that can fail, and processes that end
//! with the test; and the Python with which analysts would read our files.
//!
//! Nothing here imitates a server, and nothing here knows our crates. A server
//! that is missing is a panic that says how to get it, never a skipped test.
//!
//! ```no_run
//! let url = testkit::Postgres::shared().fresh_database();
//! let cache = testkit::Redis::shared().fresh_url();
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "the test run hands its shared servers over in the environment"
)]

mod child;
mod commits;
mod error;
mod http_proxy;
mod postgres;
mod proxy;
mod python;
mod redis;
mod server;
mod wait;

pub use child::ChildGuard;
pub use commits::Fate;
pub use error::ServerError;
pub use http_proxy::HttpProxy;
pub use postgres::{POSTGRES_VARIABLE, Postgres};
pub use proxy::Proxy;
pub use python::{PYTHON_VARIABLE, Python};
pub use redis::{REDIS_VARIABLE, Redis};
pub use wait::wait_until;

/// A port of 127.0.0.1 on which nothing listened a moment ago.
///
/// Another process may take it before you do: whoever can bind port 0 should.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback always has a free port")
        .port()
}
