//! What an answer is worth: believed, gone, or an error with its meaning. No I/O.

use bytes::Bytes;
use catalog::{
    BodyError, BodyLimits, Encoding, HTML_PAGE, Reduced, Rejection, RejectionReason,
    looks_like_challenge, read_body, reduce_categories, reduce_html,
};

use crate::client::Received;
use crate::{Answer, Ask, FetchErrorKind, Page, PageSource, Retry, Robots};

/// A body as it is kept and unpacked.
struct Opened {
    body: Bytes,
    encoding: Encoding,
    unpacked: Bytes,
}

impl Opened {
    fn plain(body: Bytes) -> Self {
        Self {
            unpacked: body.clone(),
            encoding: Encoding::Identity,
            body,
        }
    }
}

/// What an answer to anything but robots.txt is.
pub(crate) fn answer(
    ask: &Ask,
    received: Received,
    limits: &BodyLimits,
) -> Result<Answer, FetchErrorKind> {
    let (status, source) = (received.head.status, ask.source());
    let opened = open(&received, limits);
    if source == PageSource::Html && status == 200 {
        return reduced(ask, received, &opened?);
    }
    let body = opened
        .as_ref()
        .map_or(&received.body, |opened| &opened.unpacked);
    refuse_challenge(status, body, received.head.content_type.as_deref())?;
    match (status, source) {
        (200, _) => {
            let opened = opened?;
            expect_json(&received, &opened.unpacked)?;
            Ok(Answer::Good(page(received, source, opened)))
        }
        (404 | 410, PageSource::Api) => Ok(Answer::Gone {
            status,
            page: page(received, source, opened?),
        }),
        // Nothing of a page of HTML leaves but what was asked for.
        (404 | 410, PageSource::Html) => Ok(Answer::Gone {
            status,
            page: page(received, source, Opened::plain(Bytes::new())),
        }),
        _ => Err(failure(received)),
    }
}

/// What was asked for, out of a page of HTML. What holds that is no challenge, whatever words are in it.
fn reduced(ask: &Ask, received: Received, opened: &Opened) -> Result<Answer, FetchErrorKind> {
    let html = &opened.unpacked;
    let rejection = match reduce(ask, html) {
        Ok(json) => {
            let json = Opened::plain(Bytes::from(json));
            return Ok(Answer::Good(page(received, PageSource::Html, json)));
        }
        Err(rejection) => rejection,
    };
    Err(no_state(&received, html, rejection))
}

/// A page that does not hold what was asked for; it may be a challenge.
fn no_state(received: &Received, html: &[u8], rejection: Rejection) -> FetchErrorKind {
    match looks_like_challenge(html, received.head.content_type.as_deref()) {
        Some(marker) if marker != HTML_PAGE => challenge(received.head.status, marker),
        _ => FetchErrorKind::NoState(rejection),
    }
}

fn reduce(ask: &Ask, html: &[u8]) -> Result<Vec<u8>, Rejection> {
    if let Ask::CategoryChildren { .. } = ask {
        return reduce_categories(html);
    }
    let seen = match (reduce_html(html)?, ask) {
        (Reduced::Product(json), Ask::ProductPage { .. })
        | (Reduced::Listing(json), Ask::CategoryPage { .. }) => return Ok(json),
        (Reduced::Product(_), _) => "a product",
        (Reduced::Listing(_), _) => "a listing",
    };
    let (reason, field) = (RejectionReason::WrongShape, "props.initialState");
    Err(Rejection::new(reason, Some(field), seen))
}

/// What an answer to robots.txt allows (RFC 9309, 2.3.1).
pub(crate) fn robots(
    received: Received,
    user_agent: &str,
    limits: &BodyLimits,
) -> Result<Robots, FetchErrorKind> {
    let status = received.head.status;
    // Some servers call every file HTML, so here only the text itself says that it is.
    refuse_challenge(status, &received.body, None)?;
    if matches!(status, 400..=499) && status != 429 {
        return Ok(Robots::allow_all());
    }
    if !matches!(status, 200..=299) {
        return Err(failure(received));
    }
    let text = if received.head.content_encoding.is_some() {
        open(&received, limits)?.unpacked
    } else {
        // A plain one that is too long is cut, not refused.
        received.body.clone()
    };
    refuse_challenge(status, &text, None)?;
    Robots::parse(user_agent, &text).map_err(FetchErrorKind::Robots)
}

fn failure(received: Received) -> FetchErrorKind {
    let head = received.head;
    match head.status {
        status @ (401 | 403) => FetchErrorKind::Refused {
            status: Some(status),
            marker: format!("status {status}"),
            challenge: false,
        },
        429 => FetchErrorKind::Throttled {
            retry_after: head.retry_after,
        },
        300..=399 => {
            let to = head.location.unwrap_or_else(|| "nowhere".to_owned());
            FetchErrorKind::Redirect { to }
        }
        status @ 500..=599 => FetchErrorKind::Server {
            status,
            retry_after: head.retry_after,
        },
        status => FetchErrorKind::Status(status),
    }
}

/// A body that is all there, within its limits, and unpacks.
fn open(received: &Received, limits: &BodyLimits) -> Result<Opened, FetchErrorKind> {
    let named = received.head.content_encoding.as_deref();
    let encoding = Encoding::from_header(named)
        .ok_or_else(|| FetchErrorKind::Encoding(named.unwrap_or_default().to_owned()))?;
    if let Some(bytes) = received.over {
        let max = limits.max_stored_bytes;
        return Err(FetchErrorKind::Body(BodyError::TooLarge { bytes, max }));
    }
    let unpacked = read_body(&received.body, encoding, limits).map_err(FetchErrorKind::Body)?;
    let body = received.body.clone();
    Ok(match encoding {
        Encoding::Identity => Opened::plain(body),
        Encoding::Gzip => Opened {
            body,
            encoding,
            unpacked: Bytes::from(unpacked),
        },
    })
}

/// A challenge or CAPTCHA under any status. Any other page of HTML is only no answer: a server that
/// stumbles over one thing shows one too.
fn refuse_challenge(
    status: u16,
    body: &[u8],
    content_type: Option<&str>,
) -> Result<(), FetchErrorKind> {
    match looks_like_challenge(body, content_type) {
        Some(marker) if marker != HTML_PAGE => Err(challenge(status, marker)),
        _ => Ok(()),
    }
}

fn challenge(status: u16, marker: &str) -> FetchErrorKind {
    FetchErrorKind::Refused {
        status: Some(status),
        marker: format!("status {status}, {marker}"),
        challenge: true,
    }
}

fn expect_json(received: &Received, body: &[u8]) -> Result<(), FetchErrorKind> {
    let content_type = received.head.content_type.as_deref();
    let named = content_type.is_none_or(|name| name.to_ascii_lowercase().contains("json"));
    if named && matches!(first_byte(body), Some(b'{' | b'[')) {
        return Ok(());
    }
    Err(FetchErrorKind::NotJson {
        content_type: received.head.content_type.clone(),
    })
}

/// The first byte that says something.
fn first_byte(body: &[u8]) -> Option<u8> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    body.trim_ascii_start().first().copied()
}

fn page(received: Received, source: PageSource, opened: Opened) -> Page {
    Page {
        status: received.head.status,
        source,
        body: opened.body,
        encoding: opened.encoding,
        unpacked: opened.unpacked,
        content_type: received.head.content_type,
        site_date: received.head.site_date,
        took: received.took,
    }
}

/// Whether a body that cannot be read is worth another try.
pub(crate) fn retry_body(error: &BodyError) -> Retry {
    match error {
        BodyError::Truncated | BodyError::Corrupt(_) => Retry::Backoff,
        BodyError::TooLarge { .. }
        | BodyError::TooLargeUnpacked { .. }
        | BodyError::RatioTooHigh { .. }
        | BodyError::TooDeep { .. } => Retry::Never,
    }
}
