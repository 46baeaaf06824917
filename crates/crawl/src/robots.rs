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
    /// The rules in a text for a user agent: those of the group that names its product (the part
    /// before the first `/`), else those for `*`. A page of HTML or JSON is no robots.txt. Reads [`ROBOTS_MAX_BYTES`], down to the last whole line.
    pub fn parse(user_agent: &str, text: &[u8]) -> Result<Self, RobotsError> {
        let mut text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        if text.len() > ROBOTS_MAX_BYTES {
            text = &text[..ROBOTS_MAX_BYTES];
            let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
            text = &text[..whole];
        }
        if matches!(text.trim_ascii_start().first(), Some(b'<' | b'{')) {
            return Err(RobotsError("it is a page or JSON, and no rules".to_owned()));
        }
        let product = user_agent.split(['/', ' ']).next().unwrap_or_default();
        let rules = Robot::new(product, text).map_err(|error| RobotsError(format!("{error:#}")))?;
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
            Some(rules) if *ask != Ask::Robots => rules.allowed(&ask.path()),
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
    }
}
