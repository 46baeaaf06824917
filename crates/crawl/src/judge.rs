//! What an answer is worth: believed, gone, or an error with its meaning. No I/O.

use bytes::Bytes;
use catalog::{BodyError, BodyLimits, Encoding, HTML_PAGE, looks_like_challenge, read_body};

use crate::client::Received;
use crate::{Answer, Ask, FetchErrorKind, Page, Retry, Robots};

/// A body as received and unpacked.
struct Opened {
    encoding: Encoding,
    unpacked: Bytes,
}

/// What an answer to anything but robots.txt is.
pub(crate) fn answer(
    ask: &Ask,
    received: Received,
    limits: &BodyLimits,
) -> Result<Answer, FetchErrorKind> {
    let status = received.head.status;
    let opened = open(&received, limits);
    let body = opened
        .as_ref()
        .map_or(&received.body, |opened| &opened.unpacked);
    refuse_challenge(status, body, received.head.content_type.as_deref())?;
    match status {
        200 => {
            let opened = opened?;
            if *ask != Ask::Robots {
                expect_json(&received, &opened.unpacked)?;
            }
            Ok(Answer::Good(page(received, opened)))
        }
        404 | 410 => Ok(Answer::Gone {
            status,
            page: page(received, opened?),
        }),
        _ => Err(failure(received)),
    }
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
    let unpacked = match encoding {
        Encoding::Identity => received.body.clone(),
        Encoding::Gzip => Bytes::from(unpacked),
    };
    Ok(Opened { encoding, unpacked })
}

/// A challenge or CAPTCHA under any status, and with 200 any page of HTML: nothing that we ask for is one.
fn refuse_challenge(
    status: u16,
    body: &[u8],
    content_type: Option<&str>,
) -> Result<(), FetchErrorKind> {
    let seen = looks_like_challenge(body, content_type);
    match seen.filter(|marker| *marker != HTML_PAGE || (200..=299).contains(&status)) {
        Some(marker) => {
            let (status, marker) = (Some(status), format!("status {status}, {marker}"));
            Err(FetchErrorKind::Refused { status, marker })
        }
        None => Ok(()),
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

fn page(received: Received, opened: Opened) -> Page {
    Page {
        status: received.head.status,
        body: received.body,
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
