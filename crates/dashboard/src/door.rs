//! Who is let in, and with what words everybody is sent away: methods, hosts, bodies, headers, time.
//!
//! Not here: what is answered (`routes`), how many may come at once (`server`).

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName,
    REFERRER_POLICY, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;

/// How long a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Nothing but our own style sheet is loaded, and nobody shows our pages in his.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Of every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// Which hosts are answered for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hosts {
    /// Those that name this machine only: whoever makes a browser believe that a name of his is this
    /// machine (DNS rebinding) must not read along.
    Loopback,
    /// Any.
    All,
}

impl Hosts {
    /// Those of an address that is listened on.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_loopback() {
            Self::Loopback
        } else {
            Self::All
        }
    }

    fn takes(self, headers: &HeaderMap) -> bool {
        let mut named = headers.get_all(HOST).iter();
        match (self, named.next(), named.next()) {
            (_, _, Some(_)) | (Self::Loopback, None, _) => false,
            (Self::All, ..) => true,
            (Self::Loopback, Some(host), None) => host.to_str().is_ok_and(is_loopback),
        }
    }
}

/// Whether the value of a Host header names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || port.starts_with(':') => name,
            _ => return false,
        },
        None => host.split(':').next().unwrap_or_default(),
    };
    let ip: Option<IpAddr> = name.parse().ok();
    name.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback())
}

/// Stands before every route.
pub(crate) async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut answer = match refusal(hosts, &request) {
        Some(refusal) => refusal,
        None => match timeout(REQUEST_LIMIT, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "this took too long\n"),
        },
    };
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn refusal(hosts: Hosts, request: &Request) -> Option<Response> {
    if !hosts.takes(request.headers()) {
        let why = "this server answers for localhost, 127.0.0.1 and [::1] only\n";
        return Some(plain(StatusCode::MISDIRECTED_REQUEST, why));
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let why = "nothing can be changed here: GET and HEAD only\n";
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, why);
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allowed);
        return Some(answer);
    }
    let headers = request.headers();
    let length = headers.get(CONTENT_LENGTH);
    let is_empty = length.is_none_or(|length| length == "0");
    if !is_empty || headers.contains_key(TRANSFER_ENCODING) {
        let why = "a request has no body here\n";
        return Some(plain(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    None
}

/// A short text.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_this_machine_or_is_not() {
        for (host, ours) in [
            ("localhost", true),
            ("LocalHost:8090", true),
            ("127.0.0.1:8090", true),
            ("127.0.0.1", true),
            ("[::1]:8090", true),
            ("[::1]", true),
            ("evil.example:8090", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("[::1].evil.example", false),
            ("192.168.0.7:8090", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), ours, "{host}");
        }
    }
}
