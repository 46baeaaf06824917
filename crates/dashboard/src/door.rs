//! Who is let in, and with what words everybody is sent away: methods, hosts, bodies, headers, time.
//!
//! Not here: what is answered (`routes`), how many may come at once (`server`).

use std::net::IpAddr;
use std::sync::Arc;
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hosts {
    /// Those that name this machine only: whoever makes a browser believe that a name of his is this
    /// machine (DNS rebinding) must not read along.
    Loopback,
    /// Those too.
    Named(Arc<[String]>),
    /// Any.
    All,
}

impl Hosts {
    /// Those of an address that is listened on, and those that the settings name.
    pub(crate) fn of(address: IpAddr, named: &[String]) -> Self {
        match (address.is_loopback(), named) {
            (true, []) => Self::Loopback,
            (false, []) => Self::All,
            (_, named) => Self::Named(named.into()),
        }
    }

    fn takes(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (host, another) = (hosts.next(), hosts.next());
        let name = host.and_then(|host| name(host.to_str().ok()?));
        match self {
            _ if another.is_some() => false,
            Self::All => true,
            Self::Loopback => name.is_some_and(is_loopback),
            Self::Named(known) => name.is_some_and(|name| {
                is_loopback(name) || known.iter().any(|known| known.eq_ignore_ascii_case(name))
            }),
        }
    }
}

/// The value of a Host header without its port.
fn name(host: &str) -> Option<&str> {
    match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || port.starts_with(':') => Some(name),
            _ => None,
        },
        None => host.split(':').next(),
    }
}

/// Whether a name is this machine's own.
fn is_loopback(name: &str) -> bool {
    let ip: Option<IpAddr> = name.parse().ok();
    name.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback())
}

/// Stands before every route.
pub(crate) async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut answer = match refusal(&hosts, &request) {
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

fn refusal(hosts: &Hosts, request: &Request) -> Option<Response> {
    if !hosts.takes(request.headers()) {
        let why = "this server answers for localhost and the hosts of TIKI_HOSTS only\n";
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
    fn a_host_is_one_that_is_answered_for_or_is_not() {
        let (loopback, other) = ([127, 0, 0, 1].into(), [0, 0, 0, 0].into());
        let named = ["prices.example".to_owned()];
        let all = [
            Hosts::of(loopback, &[]),
            Hosts::of(loopback, &named),
            Hosts::of(other, &named),
            Hosts::of(other, &[]),
        ];
        for (host, taken) in [
            ("localhost", [true, true, true, true]),
            ("LocalHost:8090", [true, true, true, true]),
            ("127.0.0.1:8090", [true, true, true, true]),
            ("127.0.0.1", [true, true, true, true]),
            ("[::1]:8090", [true, true, true, true]),
            ("[::1]", [true, true, true, true]),
            ("Prices.example:80", [false, true, true, true]),
            ("evil.example:8090", [false, false, false, true]),
            ("localhost.evil.example", [false, false, false, true]),
            ("prices.example.evil.example", [false, false, false, true]),
            ("127.0.0.1.evil.example", [false, false, false, true]),
            ("[::1].evil.example", [false, false, false, true]),
            ("192.168.0.7:8090", [false, false, false, true]),
            ("", [false, false, false, true]),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(
                all.clone().map(|hosts| hosts.takes(&headers)),
                taken,
                "{host}"
            );
        }
        let none = all.clone().map(|hosts| hosts.takes(&HeaderMap::new()));
        assert_eq!(none, [false, false, false, true]);
        let mut twice = HeaderMap::new();
        twice.append(HOST, HeaderValue::from_static("localhost"));
        twice.append(HOST, HeaderValue::from_static("localhost"));
        assert_eq!(all.map(|hosts| hosts.takes(&twice)), [false; 4]);
    }
}
