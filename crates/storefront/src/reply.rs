//! An answer before and after it becomes bytes on the wire.
//!
//! The response headers are invented: nobody recorded the real ones, apart from the content types
//! and from gzip being used.

use std::io::Write;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;

use crate::clock::Clock;

/// Bodies below this are sent as they are.
const MIN_GZIP_BYTES: usize = 256;
/// Fast rather than small: the other side is on the same machine.
const GZIP_LEVEL: u32 = 1;

/// The kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Html,
    Text,
    Xml,
}

impl Kind {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
        })
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) kind: Kind,
    pub(crate) body: Bytes,
    pub(crate) more: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, kind: Kind, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            kind,
            body: body.into(),
            more: Vec::new(),
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new(StatusCode::OK, Kind::Json, value.to_string())
    }

    pub(crate) fn html(page: String) -> Self {
        Self::new(StatusCode::OK, Kind::Html, page)
    }

    /// An error with a JSON body. Invented: the real ones are not recorded.
    pub(crate) fn error(status: StatusCode, message: &str) -> Self {
        let body = serde_json::json!({
            "error": { "code": status.as_u16(), "message": message },
            "storefront": "invented body",
        });
        Self::new(status, Kind::Json, body.to_string())
    }

    /// An error with an HTML body. Invented: the real ones are not recorded.
    pub(crate) fn error_page(status: StatusCode, message: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html><html lang=\"vi\"><head><title>{message}</title></head>\
             <body><h1>{message}</h1><!-- storefront: invented body --></body></html>"
        );
        Self::new(status, Kind::Html, page)
    }

    /// The answer as it goes out, with the number of its body bytes.
    pub(crate) fn into_response(self, gzip: bool, clock: &Clock) -> (Response<Body>, u64) {
        let (status, headers, body) = self.encoded(gzip);
        let length = body.len() as u64;
        (finish(status, headers, Body::from(body), clock), length)
    }

    /// The same answer with a body that `send` takes its time for.
    pub(crate) fn into_slow(
        self,
        gzip: bool,
        clock: &Clock,
        send: impl FnOnce(Bytes) -> Body,
    ) -> Response<Body> {
        let (status, mut headers, body) = self.encoded(gzip);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        finish(status, headers, send(body), clock)
    }

    fn encoded(self, gzip: bool) -> (StatusCode, HeaderMap, Bytes) {
        let Self {
            status,
            kind,
            mut body,
            more,
        } = self;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.content_type());
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if gzip
            && body.len() >= MIN_GZIP_BYTES
            && let Some(packed) = compress(&body)
        {
            body = packed;
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.extend(more);
        (status, headers, body)
    }

    /// The body as gzip, cut in half; the length fits what is sent.
    pub(crate) fn into_truncated(self, clock: &Clock) -> (Response<Body>, u64) {
        let packed = compress(&self.body).unwrap_or_default();
        let half = packed.slice(..packed.len() / 2);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, self.kind.content_type());
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let length = half.len() as u64;
        (
            finish(self.status, headers, Body::from(half), clock),
            length,
        )
    }

    /// The first half of the body, then the connection is closed.
    pub(crate) fn into_cut_off(self, clock: &Clock) -> (Response<Body>, u64) {
        let half = self.body.slice(..self.body.len() / 2);
        let length = half.len() as u64;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, self.kind.content_type());
        let broken = std::io::Error::other("cut off on request");
        let parts = futures_util::stream::iter([Ok(half), Err(broken)]);
        (
            finish(self.status, headers, Body::from_stream(parts), clock),
            length,
        )
    }
}

/// A JSON answer of unknown length; `packed` says that its body is gzip.
pub(crate) fn endless(body: Body, packed: bool, clock: &Clock) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, Kind::Json.content_type());
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    finish(StatusCode::OK, headers, body, clock)
}

/// Whether the client takes gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    lists
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|part| {
            let mut words = part.split(';').map(str::trim);
            let name = words.next().unwrap_or("");
            let refused = words.any(|word| matches!(word, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
        })
}

fn compress(body: &[u8]) -> Option<Bytes> {
    let room = Vec::with_capacity(body.len() / 4 + 64);
    let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn finish(status: StatusCode, mut headers: HeaderMap, body: Body, clock: &Clock) -> Response<Body> {
    headers.insert(header::SERVER, HeaderValue::from_static("storefront"));
    if let Some(date) = http_date(clock.millis()) {
        // A fault may have given it another.
        headers.entry(header::DATE).or_insert(date);
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// `Date` in the form of RFC 9110.
fn http_date(millis: i64) -> Option<HeaderValue> {
    let instant = jiff::Timestamp::from_millisecond(millis).ok()?;
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    HeaderValue::from_str(&printer.timestamp_to_rfc9110_string(&instant).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_where_it_is_taken() {
        for (accept, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(takes_gzip(&headers), expected, "{accept}");
        }
    }
}
