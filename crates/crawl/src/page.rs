//! What the site answered, as bytes. What the bytes mean is `catalog`'s.

use std::time::Duration;

use bytes::Bytes;
use catalog::{Encoding, Instant};

/// A body with its circumstances.
///
/// It carries the body twice, as received and unpacked: whether it unpacks within the limits has to be
/// found out before it is believed, so whoever parses it right away need not do it again. Who only
/// stores it drops the second.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status of the answer.
    pub status: u16,
    /// The body as received, still compressed.
    pub body: Bytes,
    /// How `body` is compressed.
    pub encoding: Encoding,
    /// The body, unpacked. The same memory as `body` where that is plain.
    pub unpacked: Bytes,
    /// The `Content-Type`, at most 200 characters of it.
    pub content_type: Option<String>,
    /// The site's clock, from its `Date`.
    pub site_date: Option<Instant>,
    /// From sending to the last byte.
    pub took: Duration,
}

/// An answer that can be believed.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200, JSON by name and by its first byte, within the limits, and no challenge. (Not parsed: it may
    /// still be cut short or speak of another id.)
    Good(Page),
    /// The site says that there is no such thing.
    Gone {
        /// 404 or 410.
        status: u16,
        /// What it said about it.
        page: Page,
    },
}
