//! The values that settings take: reading them, and saying what is allowed.
//!
//! Not here: which settings there are (`setting`).

use std::net::SocketAddr;
use std::time::Duration;

use catalog::Instant;
use crawl::{Origin, Proxy};
use jiff::tz::TimeZone;
use pipeline::Cron;
use pipeline::alerts::{mailboxes, smtp_server};
use url::Url;

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Whole {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A number.
    Number {
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
    /// A time such as `36h`, in milliseconds.
    Span {
        /// The least.
        min_ms: u64,
        /// The most.
        max_ms: u64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// Ids or URLs of categories.
    Categories,
    /// A name of the time zone database.
    Zone,
    /// `system` or an instant.
    Clock,
    /// A filter of log lines.
    Filter,
    /// The site's address.
    Origin,
    /// An address of this machine and a port.
    Listen,
    /// A cron expression or `off`.
    Schedule,
    /// A text that is never shown.
    Secret,
    /// The address of a webhook, which is never shown.
    Hook {
        /// Whether another machine may be told over plain HTTP.
        plain: bool,
    },
    /// The address of a server of mail, which is never shown.
    Smtp,
    /// A proxy, of which user and password are never shown.
    Proxy,
    /// Addresses of people with commas between them.
    Mailboxes,
    /// Exit codes with commas between them, or `none`.
    Exits,
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Of `Text`, `Secret`, `Mailboxes`, `Word` and `Filter`.
    Text(String),
    /// Of `Whole`.
    Whole(i64),
    /// Of `Number`.
    Number(f64),
    /// Of `Span`.
    Span(Duration),
    /// Of `Categories` and `Exits`.
    Ids(Vec<i64>),
    /// Of `Zone`.
    Zone(TimeZone),
    /// Of `Clock`; `None` is the machine's.
    Clock(Option<Instant>),
    /// Of `Origin`.
    Origin(Origin),
    /// Of `Listen`.
    Listen(SocketAddr),
    /// Of `Schedule`; `None` is off.
    Schedule(Option<Cron>),
    /// Of `Proxy`; `None` is none.
    Proxy(Option<Proxy>),
    /// Of `Hook` and `Smtp`.
    Hook(Option<Url>),
}

impl Kind {
    /// Reads a value; otherwise what is wrong with it, without the value itself.
    pub(crate) fn parse(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        let wrong = || format!("is not {}", self.describe());
        match self {
            Self::Text | Self::Secret => Ok(Value::Text(text.into())),
            Self::Hook { .. } | Self::Smtp if text.is_empty() => Ok(Value::Hook(None)),
            Self::Smtp => smtp_server(text)
                .map(|url| Value::Hook(Some(url)))
                .ok_or_else(wrong),
            Self::Proxy if text.is_empty() => Ok(Value::Proxy(None)),
            Self::Proxy => match Proxy::parse(text) {
                Ok(proxy) => Ok(Value::Proxy(Some(proxy))),
                Err(error) => Err(format!("is not right: {error}")),
            },
            Self::Mailboxes if text.is_empty() || mailboxes(text).is_some() => {
                Ok(Value::Text(text.into()))
            }
            Self::Hook { plain } => parse_hook(text, plain)
                .map(|url| Value::Hook(Some(url)))
                .ok_or_else(wrong),
            Self::Exits => parse_exits(text).map(Value::Ids).ok_or_else(wrong),
            Self::Whole { min, max } => {
                let number = text
                    .parse()
                    .ok()
                    .filter(|number| (min..=max).contains(number));
                number.map(Value::Whole).ok_or_else(wrong)
            }
            Self::Number { min, max } => {
                let number = text
                    .parse()
                    .ok()
                    .filter(|number| (min..=max).contains(number));
                number.map(Value::Number).ok_or_else(wrong)
            }
            Self::Span { min_ms, max_ms } => {
                let bounds = Duration::from_millis(min_ms)..=Duration::from_millis(max_ms);
                let span = parse_span(text).filter(|span| bounds.contains(span));
                span.map(Value::Span).ok_or_else(wrong)
            }
            Self::Word(words) if words.contains(&text) => Ok(Value::Text(text.into())),
            Self::Word(_) | Self::Mailboxes => Err(wrong()),
            Self::Categories => parse_categories(text).map(Value::Ids),
            Self::Zone => TimeZone::get(text).map(Value::Zone).map_err(|_| wrong()),
            Self::Schedule if text == "off" => Ok(Value::Schedule(None)),
            Self::Schedule => Cron::parse(text)
                .map(|cron| Value::Schedule(Some(cron)))
                .map_err(|why| format!("{} ({why})", wrong())),
            Self::Listen => text.parse().map(Value::Listen).map_err(|_| wrong()),
            Self::Clock if text == "system" => Ok(Value::Clock(None)),
            Self::Clock => text
                .parse()
                .map(|at| Value::Clock(Some(at)))
                .map_err(|_| wrong()),
            Self::Filter => match text.parse::<tracing_subscriber::EnvFilter>() {
                Ok(_) => Ok(Value::Text(text.into())),
                Err(error) => Err(format!("is no filter of log lines ({error})")),
            },
            Self::Origin => Origin::parse(text)
                .map(Value::Origin)
                .map_err(|error| format!("is not right: {error}")),
        }
    }

    /// What is allowed, in words.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Text | Self::Secret => "text".into(),
            Self::Hook { plain: true } => "an address that begins with https:// or http://".into(),
            Self::Hook { plain: false } => {
                "an address that begins with https:// (http:// to this machine only)".into()
            }
            Self::Smtp => "smtps://user:password@host, smtp://user:password@host?tls=required, or \
                 smtp://host?tls=opportunistic (with a password, or without tls, on this machine only)"
                .into(),
            Self::Proxy => "http://[user:password@]host[:port], or the same with https (without a port 80, of https 443)".into(),
            Self::Mailboxes => {
                "addresses such as ops@example.com or Ops <ops@example.com>, with commas between them".into()
            }
            Self::Exits => {
                let codes: Vec<String> = EXITS.iter().map(ToString::to_string).collect();
                format!(
                    "none or some of {}, with commas between them",
                    codes.join(", ")
                )
            }
            Self::Whole {
                min,
                max: 1_000_000_000,
            } => format!("a whole number, {min} or more"),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Span { min_ms, max_ms } => format!(
                "a time with its unit, such as 7d, 36h, 90m, 30s or 500ms, from {} to {}",
                show_span(Duration::from_millis(min_ms)),
                show_span(Duration::from_millis(max_ms))
            ),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Categories => "ids or URLs of categories with commas between them".into(),
            Self::Zone => "a time zone such as Asia/Ho_Chi_Minh or UTC".into(),
            Self::Clock => "system or an instant such as 2026-11-24T19:00:00.000Z".into(),
            Self::Filter => "a filter such as info or warn,crawl=debug".into(),
            Self::Origin => "a URL such as https://tiki.vn".into(),
            Self::Schedule => "off or a cron expression of five fields such as 0 2 * * *".into(),
            Self::Listen => "an address and a port such as 127.0.0.1:8090 or [::]:8090".into(),
        }
    }
}

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads `7d`, `1d12h`, `1.5h`, `500ms`. Without a unit there is no saying what was meant.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let next = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(next);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
        millis += number.parse::<f64>().ok()? * *scale as f64;
        rest = tail;
    }
    if text.is_empty() || !millis.is_finite() || millis > 1e15 {
        return None;
    }
    Some(Duration::from_millis(millis.round() as u64))
}

/// A time in the largest unit that shows it whole.
pub(crate) fn show_span(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let whole = |(_, scale): &&(&str, u64)| millis.is_multiple_of(*scale);
    let (unit, scale) = UNITS.iter().rev().find(whole).unwrap_or(&UNITS[0]);
    format!("{}{unit}", millis / scale)
}

/// Exit codes of a run or step that somebody may want to be told of.
const EXITS: [i64; 8] = [1, 2, 10, 11, 20, 30, 70, 130];

fn parse_exits(text: &str) -> Option<Vec<i64>> {
    if text == "none" {
        return Some(Vec::new());
    }
    let code = |word: &str| word.trim().parse().ok().filter(|code| EXITS.contains(code));
    text.split(',').map(code).collect()
}

fn parse_hook(text: &str, plain: bool) -> Option<Url> {
    let url = Url::parse(text).ok().filter(Url::has_host)?;
    let here = crawl::is_loopback(&url);
    let fits = match url.scheme() {
        "https" => true,
        "http" => plain || here,
        _ => false,
    };
    fits.then_some(url)
}

/// How many categories a list may name.
const MAX_CATEGORIES: usize = 10_000;

fn parse_categories(text: &str) -> Result<Vec<i64>, String> {
    let mut ids = Vec::new();
    for word in text
        .split([',', ' ', '\n'])
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        let id = word.parse().ok().filter(|id| *id > 0);
        let Some(id) = id.or_else(|| catalog::category_id_from_url(word)) else {
            let shown: String = word.chars().take(80).collect();
            return Err(format!(
                "has {shown:?}, which is neither the id nor the URL of a category \
                 (1846, https://tiki.vn/laptop/c8095)"
            ));
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > MAX_CATEGORIES {
            return Err(format!("names more than {MAX_CATEGORIES} categories"));
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, millis) in [
            ("7d", Some(604_800_000)),
            ("36h", Some(129_600_000)),
            ("90m", Some(5_400_000)),
            ("1d12h", Some(129_600_000)),
            ("1.5h", Some(5_400_000)),
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("7", None),
            ("", None),
            ("d", None),
            ("7x", None),
            ("7 days", None),
            ("-1d", None),
            ("99999999999999999999d", None),
            ("1..2h", None),
        ] {
            assert_eq!(
                parse_span(text),
                millis.map(Duration::from_millis),
                "{text}"
            );
        }
        for text in ["7d", "36h", "90m", "30s", "500ms"] {
            assert_eq!(show_span(parse_span(text).unwrap()), text);
        }
    }

    #[test]
    fn a_value_outside_its_bounds_is_refused_in_words() {
        let workers = Kind::Whole { min: 1, max: 64 };
        for (kind, text, said) in [
            (workers, "0", "from 1 to 64"),
            (workers, "65", "from 1 to 64"),
            (workers, "five", "from 1 to 64"),
            (
                Kind::Number {
                    min: 0.0,
                    max: 100.0,
                },
                "NaN",
                "from 0 to 100",
            ),
            (Kind::Word(&["auto", "api"]), "xml", "one of auto, api"),
            (Kind::Zone, "Mars/Base", "time zone"),
            (Kind::Clock, "yesterday", "instant"),
            (Kind::Origin, "http://tiki.vn", "https only"),
            (Kind::Categories, "1846,laptops", "laptops"),
            (Kind::Filter, "=,=", "filter"),
            (Kind::Exits, "1,99", "some of 1, 2"),
            (Kind::Smtp, "smtp://mail.example.com", "tls=required"),
            (Kind::Smtp, "smtp://u:p@h?tls=opportunistic", "tls=required"),
            (Kind::Smtp, "smtp://u:p@h?tls=none", "tls=required"),
            (Kind::Smtp, "https://mail.example.com", "smtps://"),
            (Kind::Mailboxes, "ops@example.com, nobody", "such as"),
            (Kind::Mailboxes, "a@b.c\r\nBcc: d@e.f", "such as"),
            (Kind::Proxy, "socks5://u:p@h:1080", "http or https"),
            (Kind::Proxy, "http://h:1/path", "no path"),
            (Kind::Exits, "", "none or"),
            (Kind::Hook { plain: false }, "http://h/x", "https://"),
            (Kind::Hook { plain: false }, "hooks.slack.com/x", "https://"),
            (Kind::Hook { plain: true }, "ftp://h/x", "http://"),
        ] {
            let error = kind.parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!(workers.parse("64"), Ok(Value::Whole(64)));
        let ids = Kind::Categories.parse("1846, https://tiki.vn/laptop/c8095,1846");
        assert_eq!(ids, Ok(Value::Ids(vec![1846, 8095])));
        let here = Kind::Hook { plain: false }.parse("http://127.0.0.1:1/x");
        assert!(matches!(here, Ok(Value::Hook(Some(_)))), "{here:?}");
        for url in [
            "smtps://u:p@h",
            "smtp://u:p@h?tls=required",
            "smtp://h?tls=opportunistic",
        ] {
            assert!(
                matches!(Kind::Smtp.parse(url), Ok(Value::Hook(Some(_)))),
                "{url}"
            );
        }
        assert_eq!(Kind::Exits.parse("none"), Ok(Value::Ids(vec![])));
        assert_eq!(Kind::Exits.parse("1, 20"), Ok(Value::Ids(vec![1, 20])));
    }
}
