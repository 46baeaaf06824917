//! The one reader of bodies: bytes from outside, unpacked within limits.
//!
//! Not here: waiting for the bytes and how long (`crawl`), and what they mean.

use std::io::{ErrorKind, Read};

use flate2::bufread::GzDecoder;

use crate::{Rejection, RejectionReason};

/// How a stored body is packed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// One gzip member.
    Gzip,
}

impl Encoding {
    /// The encoding of a `Content-Encoding` header; none is identity. `None`: one that we never
    /// asked for.
    pub fn from_header(header: Option<&str>) -> Option<Self> {
        match header
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
            .as_str()
        {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// The word stored with a page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
        }
    }

    /// The encoding of a stored word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Identity, Self::Gzip]
            .into_iter()
            .find(|encoding| encoding.as_str() == word)
    }
}

/// What a body may be at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyLimits {
    /// As received, bytes.
    pub max_stored_bytes: usize,
    /// Unpacked, bytes.
    pub max_bytes: usize,
    /// Unpacked bytes for each received one; not applied to bodies of up to 64 KiB unpacked.
    pub max_ratio: usize,
    /// Arrays and objects within each other.
    pub max_depth: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max_stored_bytes: 4 << 20,
            max_bytes: 16 << 20,
            max_ratio: 200,
            max_depth: 64,
        }
    }
}

/// Bodies up to here may be packed as well as they like.
const RATIO_FREE_BYTES: usize = 64 << 10;

/// Why a body is not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BodyError {
    /// Over `max_stored_bytes`.
    #[error("body of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// As received.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Over `max_bytes`.
    #[error("body unpacks to more than {max} bytes")]
    TooLargeUnpacked {
        /// The limit.
        max: usize,
    },
    /// Over `max_ratio`.
    #[error("body unpacks to more than {max} times its size")]
    RatioTooHigh {
        /// The limit.
        max: usize,
    },
    /// Over `max_depth`.
    #[error("body is nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// It ends before its end.
    #[error("body ends early")]
    Truncated,
    /// It does not unpack, or something follows it.
    #[error("body is corrupt: {0}")]
    Corrupt(String),
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        let reason = match &error {
            BodyError::TooLarge { .. }
            | BodyError::TooLargeUnpacked { .. }
            | BodyError::RatioTooHigh { .. } => RejectionReason::TooLarge,
            BodyError::TooDeep { .. } => RejectionReason::TooDeep,
            BodyError::Truncated => RejectionReason::Truncated,
            BodyError::Corrupt(_) => RejectionReason::Corrupt,
        };
        Self::new(reason, None, error)
    }
}

/// The bytes of a stored body. Unpacking stops at the first limit it meets; depth is checked where
/// the body begins as JSON does.
pub fn read_body(
    stored: &[u8],
    encoding: Encoding,
    limits: &BodyLimits,
) -> Result<Vec<u8>, BodyError> {
    if stored.len() > limits.max_stored_bytes {
        return Err(BodyError::TooLarge {
            bytes: stored.len(),
            max: limits.max_stored_bytes,
        });
    }
    let body = match encoding {
        Encoding::Identity if stored.len() > limits.max_bytes => {
            return Err(BodyError::TooLargeUnpacked {
                max: limits.max_bytes,
            });
        }
        Encoding::Identity => stored.to_vec(),
        Encoding::Gzip => unpack(stored, limits)?,
    };
    if begins_as_json(&body) && is_deeper_than(&body, limits.max_depth) {
        return Err(BodyError::TooDeep {
            max: limits.max_depth,
        });
    }
    Ok(body)
}

fn unpack(stored: &[u8], limits: &BodyLimits) -> Result<Vec<u8>, BodyError> {
    let by_ratio = stored
        .len()
        .saturating_mul(limits.max_ratio)
        .max(RATIO_FREE_BYTES);
    let most = limits.max_bytes.min(by_ratio);
    let mut unpacked = GzDecoder::new(stored);
    let mut body = Vec::with_capacity(stored.len().saturating_mul(4).min(most));
    let one_more = (most as u64).saturating_add(1);
    match unpacked.by_ref().take(one_more).read_to_end(&mut body) {
        Ok(_) if body.len() <= most => {}
        Ok(_) if most == limits.max_bytes => {
            return Err(BodyError::TooLargeUnpacked { max: most });
        }
        Ok(_) => {
            return Err(BodyError::RatioTooHigh {
                max: limits.max_ratio,
            });
        }
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(BodyError::Truncated),
        Err(error) => return Err(BodyError::Corrupt(error.to_string())),
    }
    match unpacked.into_inner().len() {
        0 => Ok(body),
        left => Err(BodyError::Corrupt(format!("{left} bytes follow the end"))),
    }
}

fn begins_as_json(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    matches!(
        body.iter().find(|byte| !byte.is_ascii_whitespace()),
        Some(b'{' | b'[')
    )
}

/// Whether JSON nests deeper than a limit; brackets in texts do not count.
pub(crate) fn is_deeper_than(json: &[u8], max_depth: usize) -> bool {
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = after_text(after),
            b'{' | b'[' => {
                depth += 1;
                if depth > max_depth {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// What follows a text's closing quote; nothing where it has none.
fn after_text(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        let Some(at) = first_of_text(rest) else {
            return &[];
        };
        match rest.get(at) {
            Some(b'"') => return rest.get(at + 1..).unwrap_or_default(),
            // What follows a backslash never ends the text.
            Some(b'\\') => rest = rest.get(at + 2..).unwrap_or_default(),
            _ => rest = rest.get(at + 1..).unwrap_or_default(),
        }
    }
}

/// Where a JSON text has its first quote, backslash or control character. Most of a body is text, so it
/// is looked at eight bytes at a time.
pub(crate) fn first_of_text(text: &[u8]) -> Option<usize> {
    let ones = u64::from_ne_bytes([0x01; 8]);
    let tops = u64::from_ne_bytes([0x80; 8]);
    let (chunks, left) = text.as_chunks::<8>();
    for (number, chunk) in chunks.iter().enumerate() {
        let eight = u64::from_le_bytes(*chunk);
        // A byte below the subtracted one borrows from its highest bit. What stands after such a byte may
        // be wrong by that borrow; the first is not.
        let below = |bytes: u64, least: u64| bytes.wrapping_sub(ones * least) & !bytes & tops;
        let is = |byte: u8| below(eight ^ u64::from_ne_bytes([byte; 8]), 1);
        let found = is(b'"') | is(b'\\') | below(eight, 0x20);
        if found != 0 {
            return Some(number * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = left
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    Some(chunks.len() * 8 + at)
}

/// What [`looks_like_challenge`] says of an HTML page without one of the site's own markers.
pub const HTML_PAGE: &str = "html-page";

const CHALLENGE_MARKERS: [&str; 3] = ["_wafchallengeid", "waf-jschallenge", "TTGCaptcha"];

/// Whether the site answered with a challenge instead of data, and by which marker:
/// `_wafchallengeid`, `waf-jschallenge` or `TTGCaptcha`, else [`HTML_PAGE`] for any other HTML
/// (which is a refusal only where JSON was asked). A body that begins as JSON does is data.
pub fn looks_like_challenge(body: &[u8], content_type: Option<&str>) -> Option<&'static str> {
    if begins_as_json(body) {
        return None;
    }
    let found = CHALLENGE_MARKERS
        .into_iter()
        .find(|marker| contains(body, marker.as_bytes()));
    found.or_else(|| {
        let begins = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
        let named = content_type.is_some_and(|name| name.to_ascii_lowercase().contains("html"));
        (begins || named).then_some(HTML_PAGE)
    })
}

/// Looks for the first byte of the word before it compares words.
pub(crate) fn contains(body: &[u8], word: &[u8]) -> bool {
    let Some(first) = word.first() else {
        return true;
    };
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(word) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts_only() {
        for (text, depth) in [
            ("{}", 1),
            (r#"[{"a":[]}]"#, 3),
            (r#""[[[""#, 0),
            (r#"["\"[[[", {}]"#, 2),
            (r#"["\\", [{"x":"\\\""}]]"#, 3),
            (r#"["[[[["#, 1),
            (r#"["\"#, 1),
            ("]]][[", 2),
        ] {
            // Wherever in eight bytes the quotes and backslashes stand.
            for filler in 0..20 {
                let long = text.replace('"', &format!(r#""{}"#, "ệ".repeat(filler)));
                for text in [text, &long, &text.replace(',', &" ".repeat(filler))] {
                    let body = text.as_bytes();
                    assert!(!is_deeper_than(body, depth), "{text} {depth}");
                    assert!(depth == 0 || is_deeper_than(body, depth - 1), "{text}");
                }
            }
        }
    }
}
