//! An entry of the shared page cache: what is kept, under which key, and how its bytes tell whether they
//! can be believed. The server that holds it is in `redis_pages`; pages themselves live in the warehouse.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use catalog::{Encoding, Instant};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

/// The most bytes, as received, that the body of a cached page may have. A larger page is not cached.
pub const CACHED_BODY_MAX_BYTES: usize = 512 << 10;

/// The most bytes that an entry may have.
pub(crate) const ENTRY_MAX_BYTES: usize = HEADER_BYTES + CACHED_BODY_MAX_BYTES;

/// The form of keys and entries. An entry of another number is of another key, so none is ever misread.
const FORMAT: u8 = 1;

const MAGIC: [u8; 4] = *b"tiki";

/// Magic, format, status, encoding, whether there is a fingerprint; when fetched, fingerprint, hash of
/// the key, length of the body, checksum of all the rest. Numbers are little endian.
const HEADER_BYTES: usize = SUMMED_BYTES + 8;
const SUMMED_BYTES: usize = 4 + 4 + 8 + 8 + 8 + 4;

/// A kind of page that is cached at all. Listings are not: they are asked for news.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CachedKind {
    /// The children of a category.
    Categories,
    /// A product with all its fields.
    Detail,
}

impl CachedKind {
    /// The word in the key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Categories => "categories",
            Self::Detail => "detail",
        }
    }
}

/// Which page. Of which origin is said once, with the cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PageKey {
    /// What kind of page it is.
    pub kind: CachedKind,
    /// The way it was asked for: `api` or `html`.
    pub source: &'static str,
    /// The parent category's id, or the product's.
    pub subject: i64,
    /// The offer that was asked for; `None` where the site chose.
    pub spid: Option<i64>,
}

impl PageKey {
    /// `tiki:page:1:<origin>:<source>:<kind>:<id>:<spid or ->`. Two pages never share a key, because a
    /// text in it holds no colon.
    pub(crate) fn name(&self, origin_id: &str) -> String {
        let (origin, source) = (escaped(origin_id), escaped(self.source));
        let (kind, subject) = (self.kind.as_str(), self.subject);
        let spid = self.spid.map_or("-".to_owned(), |spid| spid.to_string());
        format!("tiki:page:{FORMAT}:{origin}:{source}:{kind}:{subject}:{spid}")
    }
}

/// A text with all but ASCII letters, digits, `.`, `_` and `-` percent-encoded, so that it is one word.
fn escaped(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            word.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            _ = write!(word, "%{byte:02X}");
        }
    }
    word
}

/// What the site had said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cached {
    /// Here it is.
    Good,
    /// There is no such thing.
    Gone,
}

/// A page as it is cached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedPage {
    /// What the site had said.
    pub status: Cached,
    /// How `body` is compressed.
    pub encoding: Encoding,
    /// The body as received, at most [`CACHED_BODY_MAX_BYTES`].
    pub body: Bytes,
    /// When it was fetched from the site. It may lie in the future: the clock was another machine's.
    pub fetched_at: Instant,
    /// The fingerprint of the listing it was fetched for.
    pub fingerprint: Option<i64>,
}

impl CachedPage {
    /// The entry under a key; `None` for a body that is too large.
    pub(crate) fn entry(&self, name: &str) -> Option<Vec<u8>> {
        if self.body.len() > CACHED_BODY_MAX_BYTES {
            return None;
        }
        let status = match self.status {
            Cached::Good => 0,
            Cached::Gone => 1,
        };
        let encoding = match self.encoding {
            Encoding::Identity => 0,
            Encoding::Gzip => 1,
        };
        let mut entry = Vec::with_capacity(HEADER_BYTES + self.body.len());
        entry.extend(MAGIC);
        entry.extend([
            FORMAT,
            status,
            encoding,
            u8::from(self.fingerprint.is_some()),
        ]);
        entry.extend(self.fetched_at.millis().to_le_bytes());
        entry.extend(self.fingerprint.unwrap_or_default().to_le_bytes());
        entry.extend(xxh3_64(name.as_bytes()).to_le_bytes());
        entry.extend((self.body.len() as u32).to_le_bytes());
        entry.extend(checksum(&entry, &self.body).to_le_bytes());
        entry.extend(&self.body);
        Some(entry)
    }

    /// The page of an entry that was found under a key, or what is wrong with it.
    pub(crate) fn read(mut entry: Bytes, name: &str) -> Result<Self, &'static str> {
        if entry.len() < HEADER_BYTES {
            return Err("it is too short");
        }
        let header = entry.split_to(HEADER_BYTES);
        let body = entry;
        let mut rest = header.as_ref();
        if take(&mut rest) != Some(MAGIC) {
            return Err("it is not ours");
        }
        let words: Option<[u8; 4]> = take(&mut rest);
        let numbers = [take(&mut rest), take(&mut rest), take(&mut rest)];
        let length = take(&mut rest).map(u32::from_le_bytes);
        let sum = take(&mut rest).map(u64::from_le_bytes);
        if length != u32::try_from(body.len()).ok() {
            return Err("its body is of another length");
        }
        if sum != Some(checksum(&header[..SUMMED_BYTES], &body)) {
            return Err("its checksum is wrong");
        }
        let (Some([FORMAT, status, encoding, has_fingerprint]), [Some(at), Some(of), Some(key)]) =
            (words, numbers)
        else {
            return Err("it is of another format");
        };
        if u64::from_le_bytes(key) != xxh3_64(name.as_bytes()) {
            return Err("it is another page's");
        }
        let status = match status {
            0 => Cached::Good,
            1 => Cached::Gone,
            _ => return Err("its status is unknown"),
        };
        let encoding = match encoding {
            0 => Encoding::Identity,
            1 => Encoding::Gzip,
            _ => return Err("its encoding is unknown"),
        };
        Ok(Self {
            status,
            encoding,
            body,
            fetched_at: Instant::from_millis(i64::from_le_bytes(at)),
            fingerprint: (has_fingerprint == 1).then_some(i64::from_le_bytes(of)),
        })
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u64 {
    let mut sum = Xxh3Default::new();
    sum.update(header);
    sum.update(body);
    sum.digest()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

/// How long a page is kept, from the moment it is put. Whole seconds, rounded up; zero: not at all.
///
/// A page is as old as its `fetched_at` says, which is the reader's to judge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheTtl {
    /// The children of a category.
    pub categories: Duration,
    /// A product.
    pub detail: Duration,
    /// That there is no such thing, of either kind.
    pub gone: Duration,
}

impl Default for CacheTtl {
    /// A day, a week, and ten minutes.
    fn default() -> Self {
        Self {
            categories: Duration::from_hours(24),
            detail: Duration::from_hours(7 * 24),
            gone: Duration::from_mins(10),
        }
    }
}

impl CacheTtl {
    /// The seconds that a page is kept; `None`: not at all.
    pub(crate) fn seconds(&self, kind: CachedKind, status: Cached) -> Option<u64> {
        let ttl = match (status, kind) {
            (Cached::Gone, _) => self.gone,
            (Cached::Good, CachedKind::Categories) => self.categories,
            (Cached::Good, CachedKind::Detail) => self.detail,
        };
        let seconds = ttl
            .as_secs()
            .saturating_add(u64::from(ttl.subsec_nanos() > 0));
        (seconds > 0).then_some(seconds.min(TTL_MAX_S))
    }
}

/// A year. Redis refuses times that it cannot count.
const TTL_MAX_S: u64 = 366 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pages_never_share_a_key() {
        let key = PageKey {
            kind: CachedKind::Detail,
            source: "api",
            subject: 7,
            spid: Some(9),
        };
        let spelled = key.name("https://tiki.vn");
        assert_eq!(spelled, "tiki:page:1:https%3A%2F%2Ftiki.vn:api:detail:7:9");
        let other = |change: fn(&mut PageKey)| {
            let mut key = key;
            change(&mut key);
            key.name("https://tiki.vn")
        };
        let mut names = vec![
            spelled,
            other(|key| key.kind = CachedKind::Categories),
            other(|key| key.source = "html"),
            other(|key| key.subject = -7),
            other(|key| key.spid = None),
            other(|key| key.spid = Some(-9)),
        ];
        for origin in [
            "", "%", "%3A", ":", "a", "a:api", "a%3Aapi", "a b", "ă", "A",
        ] {
            names.push(key.name(origin));
        }
        let count = names.len();
        for name in &names {
            assert_eq!(name.split(':').count(), 8, "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "{name}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_time_to_live_is_whole_seconds_up_to_a_year() {
        for (ttl, seconds) in [
            (Duration::ZERO, None),
            (Duration::from_millis(1), Some(1)),
            (Duration::from_secs(5), Some(5)),
            (Duration::from_millis(5001), Some(6)),
            (Duration::from_secs(TTL_MAX_S), Some(TTL_MAX_S)),
            (Duration::MAX, Some(TTL_MAX_S)),
        ] {
            let all = CacheTtl {
                detail: ttl,
                ..CacheTtl::default()
            };
            assert_eq!(all.seconds(CachedKind::Detail, Cached::Good), seconds);
            assert_eq!(all.seconds(CachedKind::Detail, Cached::Gone), Some(600));
        }
    }
}
