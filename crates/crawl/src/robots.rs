//! What the site allows. Reading it from the site is `client`'s; keeping it between processes, if
//! anybody wants to, is the caller's.

use std::fmt;
use std::time::Duration;

use texting_robots::Robot;

use crate::Ask;
use crate::rate::MOST_SPACING;

/// How long a robots.txt may be believed after it was read (RFC 9309, 2.4).
pub const ROBOTS_FRESH: Duration = Duration::from_hours(24);

/// How much of a robots.txt is read; the rest is ignored (RFC 9309, 2.5).
pub const ROBOTS_MAX_BYTES: usize = 500 * 1024;

/// The rules of the site for our user agent.
///
/// It has no clock: whoever keeps one for long reads it again after [`ROBOTS_FRESH`].
pub struct Robots {
    rules: Option<Robot>,
    text: String,
}

/// A robots.txt that cannot be understood, so nothing may be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("robots.txt cannot be understood: {0}")]
pub struct RobotsError(String);

impl Robots {
    /// The rules in a text for a user agent: those of the groups that name its product (letters, `-` and
    /// `_`; a version after it says nothing), else those for `*`. A page of HTML or JSON is no robots.txt.
    /// Reads [`ROBOTS_MAX_BYTES`], down to the last whole line: of a text of that size more may have been cut.
    pub fn parse(user_agent: &str, text: &[u8]) -> Result<Self, RobotsError> {
        let mut text = text;
        if text.len() >= ROBOTS_MAX_BYTES {
            text = &text[..ROBOTS_MAX_BYTES];
            let whole = text.iter().rposition(|byte| ends_line(*byte)).unwrap_or(0);
            text = &text[..whole];
        }
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        if matches!(text.trim_ascii_start().first(), Some(b'<' | b'{')) {
            return Err(RobotsError("it is a page or JSON, and no rules".to_owned()));
        }
        let product = String::from_utf8_lossy(product(user_agent.as_bytes()));
        let rules = Robot::new(&product, &comparable(text))
            .map_err(|error| RobotsError(format!("{error:#}")))?;
        Ok(Self {
            rules: Some(rules),
            text: String::from_utf8_lossy(text).into_owned(),
        })
    }

    /// No rules at all: what a site says that has no robots.txt (4xx).
    pub fn allow_all() -> Self {
        Self {
            rules: None,
            text: String::new(),
        }
    }

    /// Whether this may be asked. robots.txt itself always may.
    pub fn allows(&self, ask: &Ask) -> bool {
        match &self.rules {
            Some(rules) if *ask != Ask::Robots => {
                let path = decoded(ask.path().as_bytes());
                rules.allowed(&String::from_utf8_lossy(&path))
            }
            _ => true,
        }
    }

    /// The time that the site wants between two requests, an hour at most. [`crate::Client::fetch`]
    /// keeps to it.
    pub fn crawl_delay(&self) -> Option<Duration> {
        let seconds = f64::from(self.rules.as_ref()?.delay?);
        let delay = Duration::try_from_secs_f64(seconds).ok()?;
        (!delay.is_zero()).then(|| delay.min(MOST_SPACING))
    }

    /// The text as it was read, empty if there is none.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The product that a user agent names (RFC 9309, 2.2.1).
fn product(user_agent: &[u8]) -> &[u8] {
    let is_of_it = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
    let end = user_agent.iter().position(|byte| !is_of_it(byte));
    &user_agent[..end.unwrap_or(user_agent.len())]
}

/// A text whose agents are products and whose paths are decoded, which is how they are compared.
fn comparable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| ends_line(*byte)) {
        match agent(line).map(product) {
            Some(product) if !product.is_empty() => {
                out.extend_from_slice(b"User-agent: ");
                out.extend_from_slice(product);
                out.push(b'\n');
            }
            _ => out.extend_from_slice(&decoded(line)),
        }
    }
    out
}

fn ends_line(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

/// The agent that a line names, spelt in any of the ways that are read.
fn agent(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    let named = ["user-agent", "user agent", "useragent"];
    let len = named.iter().map(|name| name.len()).find(|len| {
        let key = line.get(..*len).map(<[u8]>::to_ascii_lowercase);
        key.is_some_and(|key| named.iter().any(|name| name.as_bytes() == key))
    })?;
    let rest = &line[len..];
    let value = rest.trim_ascii_start();
    let spaced = value.len() < rest.len();
    match value.strip_prefix(b":") {
        Some(value) => Some(value.trim_ascii_start()),
        None => spaced.then_some(value),
    }
}

/// Percent-encoded bytes that need not be encoded as they are, and the hex digits of the others large
/// (RFC 9309, 2.2.2; RFC 3986, 6.2.2).
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = tail.get(..2).filter(|_| *first == b'%');
        let Some((byte, hex)) = hex.and_then(|hex| Some((unhex(hex)?, hex))) else {
            out.push(*first);
            continue;
        };
        rest = &tail[2..];
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend(hex.to_ascii_uppercase());
        }
    }
    out
}

fn unhex(hex: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(hex[0])? * 16 + digit(hex[1])?).ok()
}

impl fmt::Debug for Robots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, delay) = (self.text.len(), self.crawl_delay());
        f.debug_struct("Robots")
            .field("bytes", &bytes)
            .field("crawl_delay", &delay)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use catalog::{Order, Slice};

    use super::*;

    const AGENT: &str = "tiki-data-pipeline/0.1 (+https://example.com)";
    const DETAIL: Ask = Ask::Detail {
        product: 1,
        spid: Some(2),
    };
    const LISTING: Ask = Ask::Listing {
        category: 8322,
        page: 1,
        slice: Slice {
            price: None,
            brand: None,
            seller: None,
            order: Order::TopSeller,
            again: false,
        },
    };

    #[test]
    fn the_rules_of_our_agent_hold_else_those_of_all() {
        let site = "User-agent: *\nDisallow: /checkout\nDisallow: /api/v2/me/\nDisallow: /*?*spid=\n\n\
                    User-agent: Tiki-Data-Pipeline\nDisallow: /api/personalish/\nCrawl-delay: 2.5\n";
        let ours = Robots::parse(AGENT, site.as_bytes()).unwrap();
        assert!(ours.allows(&DETAIL) && !ours.allows(&LISTING) && ours.allows(&Ask::Robots));
        assert_eq!(ours.crawl_delay(), Some(Duration::from_millis(2500)));
        let others = Robots::parse("another/1", site.as_bytes()).unwrap();
        assert!(!others.allows(&DETAIL) && others.allows(&LISTING));
        assert_eq!(others.crawl_delay(), None);
        assert_eq!(others.text(), site);
    }

    #[test]
    fn no_text_breaks_the_rules() {
        for (text, allowed) in [
            (&b""[..], true),
            (b"\xEF\xBB\xBFUser-agent: *\r\nDisallow: /api/", false),
            (b"User-agent: *\nDisallow:\n", true),
            (
                b"User-agent: *\nDisallow: /api/\nAllow: /api/v2/products/\n",
                true,
            ),
            (b"User-agent: *\nDisallow: /\n", false),
            (b"\0\xFF\xFE<html>\n*****\nDisallow", true),
            (b"Crawl-delay: -5\nCrawl-delay: NaN", true),
        ] {
            let robots = Robots::parse(AGENT, text).unwrap();
            assert_eq!(robots.allows(&DETAIL), allowed, "{}", robots.text());
        }
        assert!(Robots::allow_all().allows(&LISTING));
    }

    #[test]
    fn a_group_is_ours_whatever_follows_the_name_of_the_product() {
        for (agent, ours) in [
            ("tiki-data-pipeline/0.1.0", true),
            ("Tiki-Data-Pipeline/9 (+https://example.com)", true),
            ("tiki-data-pipeline 1", true),
            ("tiki-data-pipeline # us", true),
            ("TIKI-DATA-PIPELINE", true),
            ("tiki-data-pipeline-beta", false),
            ("tiki", false),
            ("tiki/0.1.0", false),
        ] {
            for key in ["User-agent:", "user-agent :", " USER AGENT:", "UserAgent "] {
                let site =
                    format!("User-agent: *\nDisallow:\r\n\r\n{key} {agent}\r\nDisallow: /\n");
                let robots = Robots::parse(AGENT, site.as_bytes()).unwrap();
                assert_eq!(!robots.allows(&DETAIL), ours, "{key} {agent}");
                assert_eq!(robots.text(), site);
            }
        }
    }

    #[test]
    fn what_is_percent_encoded_without_need_is_compared_decoded() {
        for (path, allowed) in [
            ("/%61pi/", false),
            ("/%61%50%49/", true),
            ("/api%2fv2", true),
            ("/api/*%73pid%3D", true),
            ("/api/*%73pid=", false),
            ("/ap%6", true),
            ("/api/%", true),
        ] {
            let site = format!("User-agent: *\nDisallow: {path}\n");
            let robots = Robots::parse(AGENT, site.as_bytes()).unwrap();
            assert_eq!(robots.allows(&DETAIL), allowed, "{path}");
        }
    }

    #[test]
    fn what_is_no_robots_txt_at_all_allows_nothing() {
        for text in ["<!DOCTYPE html><html></html>", " {\"error\": {}}"] {
            let error = Robots::parse(AGENT, text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("no rules"), "{error}");
        }
    }

    #[test]
    fn a_huge_text_is_cut_at_a_line() {
        let mut text = b"User-agent: *\n".to_vec();
        while text.len() < 2 * ROBOTS_MAX_BYTES {
            text.extend_from_slice(b"Disallow: /nowhere\n");
        }
        text.extend_from_slice(b"Disallow: /\n");
        let robots = Robots::parse(AGENT, &text).unwrap();
        assert!(robots.allows(&DETAIL) && robots.text().len() < ROBOTS_MAX_BYTES);
        assert!(robots.text().ends_with("/nowhere"));
        // As it arrives: cut already, in the middle of a rule that forbids less.
        for end in ["\n", "\r"] {
            let mut text = format!("User-agent: *{end}Disallow: /nowhere{end}#");
            while text.len() < ROBOTS_MAX_BYTES - "\nDisallow: /".len() {
                text.push(' ');
            }
            text.push_str(end);
            text.push_str("Disallow: /checkout\n");
            let robots = Robots::parse(AGENT, &text.as_bytes()[..ROBOTS_MAX_BYTES]).unwrap();
            assert!(text[..ROBOTS_MAX_BYTES].ends_with("Disallow: /"));
            assert!(robots.allows(&DETAIL), "a rule that was cut is no rule");
        }
    }
}
