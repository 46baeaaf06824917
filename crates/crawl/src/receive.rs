//! Taking in an answer: its head, and its body up to a limit. Whether to believe it is decided in
//! `judge`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use catalog::Instant;
use reqwest::Response;
use reqwest::header::{
    AGE, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER,
};
use url::Url;

use crate::FetchErrorKind;

/// The longest wait that a `Retry-After` is believed for.
const MOST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How much of a header is kept.
const MOST_CHARS: usize = 200;

/// How much room is made for a body before its bytes have come.
const MOST_RESERVED: u64 = 256 * 1024;

/// What stands before the body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// As written; `None` where the body is plain.
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) site_date: Option<Instant>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) location: Option<String>,
}

impl Head {
    pub(crate) fn of(response: &Response) -> Self {
        let headers = response.headers();
        let date = text(headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        let encoding = text(headers, &CONTENT_ENCODING).map(str::to_ascii_lowercase);
        // Some caches pass the `Date` of the origin on, others write their own: with an age, it is either.
        let is_fresh = headers.get(AGE).is_none_or(|age| age == "0");
        Self {
            status: response.status().as_u16(),
            content_encoding: encoding.filter(|name| !name.is_empty() && name != "identity"),
            content_type: text(headers, &CONTENT_TYPE).map(str::to_owned),
            site_date: date.filter(|_| is_fresh).and_then(instant),
            retry_after: text(headers, &RETRY_AFTER).and_then(|value| retry_after(value, date)),
            location: text(headers, &LOCATION).map(|to| place(response.url(), to)),
        }
    }
}

/// Reads a body up to `most` bytes. A second value is there if it is longer: its size as far as it is
/// known. The rest is not read, and the connection not used again.
pub(crate) async fn body(
    mut response: Response,
    most: usize,
) -> Result<(Bytes, Option<usize>), FetchErrorKind> {
    let told = response.content_length().unwrap_or(0);
    let Some(first) = chunk(&mut response).await? else {
        return Ok((Bytes::new(), None));
    };
    if first.len() as u64 == told && first.len() <= most {
        return Ok((first, None));
    }
    let mut body = BytesMut::with_capacity(told.min(MOST_RESERVED).min(most as u64) as usize);
    let mut next = Some(first);
    while let Some(chunk_in_hand) = next {
        let room = most - body.len();
        if chunk_in_hand.len() > room {
            let size = body.len() + chunk_in_hand.len();
            body.extend_from_slice(&chunk_in_hand[..room]);
            return Ok((body.freeze(), Some(size.max(told as usize))));
        }
        body.extend_from_slice(&chunk_in_hand);
        next = chunk(&mut response).await?;
    }
    Ok((body.freeze(), None))
}

async fn chunk(response: &mut Response) -> Result<Option<Bytes>, FetchErrorKind> {
    response.chunk().await.map_err(transport)
}

/// What an error of the transport is to us.
pub(crate) fn transport(error: reqwest::Error) -> FetchErrorKind {
    let (connect, error) = (error.is_connect(), Box::new(error.without_url()));
    if connect {
        FetchErrorKind::Connect(error)
    } else {
        FetchErrorKind::Interrupted(error)
    }
}

/// A header as text, cut; `None` if it is absent or not ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    Some(value.get(..MOST_CHARS).unwrap_or(value))
}

fn instant(time: SystemTime) -> Option<Instant> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Instant::from_millis(i64::try_from(since.as_millis()).ok()?))
}

/// Both forms of RFC 9110, 10.2.3. A date is measured against the site's own `Date`, not against our
/// clock; without one it says nothing.
fn retry_after(value: &str, date: Option<SystemTime>) -> Option<Duration> {
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(MOST_RETRY_AFTER, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        until.duration_since(date?).unwrap_or_default()
    };
    Some(wait.min(MOST_RETRY_AFTER))
}

/// Where a `Location` leads, without what may be secret in it.
fn place(asked: &Url, location: &str) -> String {
    let Ok(mut to) = asked.join(location) else {
        return "an address that is none".to_owned();
    };
    to.set_query(None);
    to.set_fragment(None);
    // Fails only where there can be no user name.
    if to
        .set_username("")
        .and_then(|()| to.set_password(None))
        .is_err()
    {
        return format!("{}:…", to.scheme());
    }
    to.as_str().chars().take(MOST_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_an_hour_at_most() {
        let date = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").ok();
        for (value, date, seconds) in [
            ("0", None, Some(0)),
            ("120", None, Some(120)),
            ("86400", None, Some(3600)),
            ("99999999999999999999999", None, Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", date, Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", date, Some(60)),
            ("Sun Nov  6 08:50:37 1994", date, Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", date, Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", date, Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
            ("", date, None),
            ("-1", date, None),
            ("soon", date, None),
            ("1.5", date, None),
        ] {
            assert_eq!(
                retry_after(value, date),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_redirect_is_told_without_secrets() {
        let asked = Url::parse("https://tiki.vn/api/v2/products/1?platform=web").unwrap();
        for (location, to) in [
            ("/", "https://tiki.vn/"),
            ("//evil.example/x?token=1#y", "https://evil.example/x"),
            ("http://me:secret@tiki.vn:81/a", "http://tiki.vn:81/a"),
            ("https://", "an address that is none"),
        ] {
            assert_eq!(place(&asked, location), to);
        }
        assert_eq!(place(&asked, &"a".repeat(9000)).len(), MOST_CHARS);
    }
}
