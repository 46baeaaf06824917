//! What the site answered, as bytes. What the bytes mean is `catalog`'s.

use std::time::Duration;

use bytes::Bytes;
use catalog::{Encoding, Instant};

/// Which of the site's two ways a page came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PageSource {
    /// The JSON API.
    Api,
    /// An HTML page, of which only the JSON that was asked for is left.
    Html,
}

impl PageSource {
    /// The word stored with a page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Html => "html",
        }
    }

    /// The source of a stored word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Api, Self::Html]
            .into_iter()
            .find(|source| source.as_str() == word)
    }
}

/// A body with its circumstances.
///
/// It carries the body twice, as received and unpacked: whether it unpacks within the limits has to be
/// found out before it is believed, so whoever parses it right away need not do it again. Who only
/// stores it drops the second.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status of the answer.
    pub status: u16,
    /// Which way it came.
    pub source: PageSource,
    /// The body as received, still compressed; of HTML the JSON that it holds, plain.
    pub body: Bytes,
    /// How `body` is compressed.
    pub encoding: Encoding,
    /// The body, unpacked. The same memory as `body` where that is plain.
    pub unpacked: Bytes,
    /// The `Content-Type`, at most 200 characters of it.
    pub content_type: Option<String>,
    /// The site's clock, from its `Date`; not known of an answer that was kept by a cache (`Age`).
    pub site_date: Option<Instant>,
    /// From sending to the last byte.
    pub took: Duration,
}

/// An answer that can be believed.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200, JSON by name and by its first byte, within the limits, and no challenge. (Not parsed: it may
    /// still be cut short or speak of another id.) Of an HTML page: the JSON in it that
    /// was asked for, as `catalog` reduces it.
    Good(Page),
    /// The site says that there is no such thing.
    Gone {
        /// 404 or 410.
        status: u16,
        /// What it said about it; nothing of an HTML page, which may hold anything.
        page: Page,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_by_its_word() {
        for source in [PageSource::Api, PageSource::Html] {
            assert_eq!(PageSource::parse(source.as_str()), Some(source));
        }
        assert_eq!(PageSource::parse("auto"), None);
    }
}
