//! Sending one request and taking in its answer. What an answer is worth is decided in `judge`, how
//! often requests go out in `gate`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

use crate::addresses::PublicAddresses;
use crate::receive::{self, Head};
use crate::robots::ROBOTS_MAX_BYTES;
use crate::signals::Signals;
use crate::{
    Answer, Ask, FetchError, FetchErrorKind, Gate, HostPermit, PageSource, PermitError, Proxy,
    RateError, Robots, Settings, judge, tls,
};

/// How much is read of the body of an answer that is an error anyway.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// How long that body may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(2);

/// How long an unused connection is kept; less than servers usually do.
const IDLE: Duration = Duration::from_secs(30);

/// The way to the site; clones share its connections.
///
/// Keep-alive over HTTP/1.1 (`http`) or HTTP/2 (`https`), no redirect followed, no proxy but that of the
/// settings, no cookie, no second try; a site that has a name is asked at public addresses only, or by the
/// proxy.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    gate: Gate,
    signals: Signals,
    settings: Settings,
    in_flight: Semaphore,
}

/// Settings that no client can be made from.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The gate is faster than the origin may be asked.
    #[error("the site cannot be asked at this rate")]
    Rate(#[from] RateError),
    /// A rate, and no source of permits.
    #[error(transparent)]
    Permits(PermitError),
    /// Empty, or with characters that no header may have.
    #[error("a user agent is a line of visible ASCII characters with a product name first")]
    UserAgent,
    /// No request could ever be in flight.
    #[error("at least one request has to be in flight")]
    NoneInFlight,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refuses.
    #[error("cannot set up HTTP")]
    Http(#[from] reqwest::Error),
}

/// What came back for a request.
pub(crate) struct Received {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    /// For a body that was over its limit, its size as far as it is known; `body` is then not all of it.
    pub(crate) over: Option<usize>,
    pub(crate) took: Duration,
}

/// A request that was sent.
struct Sent<'a> {
    took: Duration,
    probe: bool,
    /// Until all processes know what there is to know, nobody else goes in its place.
    _place: SemaphorePermit<'a>,
}

impl Client {
    /// A client for one origin. Connects to nothing yet.
    pub fn new(settings: Settings, gate: Gate) -> Result<Self, ClientError> {
        gate.rate().check(&settings.origin)?;
        if !gate.has_source() {
            return Err(ClientError::Permits(PermitError::NoSource));
        }
        if settings.max_in_flight == 0 {
            return Err(ClientError::NoneInFlight);
        }
        let http = http_client(&settings)?;
        let in_flight = Semaphore::new(settings.max_in_flight.min(Semaphore::MAX_PERMITS));
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                gate,
                signals: Signals::new(settings.breaker_pause),
                settings,
                in_flight,
            }),
        })
    }

    /// What it was made from.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Where its permits come from.
    pub fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    /// Reads robots.txt, with a permit like everything else.
    ///
    /// None there (4xx) allows everything. An error, also 429, a redirect, a challenge or no answer at
    /// all, means that nothing may be asked. To be read again after [`crate::ROBOTS_FRESH`].
    ///
    /// A `Crawl-delay` that is wider than the rate has passed when this returns: no slot was taken for it.
    pub async fn read_robots(&self) -> Result<Robots, FetchError> {
        let ask = Ask::Robots;
        let judged = self.ask_robots(&ask).await;
        let robots = judged.map_err(|kind| self.error(&ask, kind))?;
        let gate = &self.inner.gate;
        let before = gate.spacing();
        gate.space_at_least(robots.crawl_delay().unwrap_or_default());
        if gate.spacing() > before {
            sleep(gate.spacing().unwrap_or_default()).await;
        }
        Ok(robots)
    }

    /// One request, if robots.txt allows it: one permit, nothing repeated, nothing followed.
    ///
    /// Waits for a place in flight and a permit as long as that takes; a `Crawl-delay` of `robots` holds
    /// from here on. While the breaker is open it does not wait but says for how long that is
    /// ([`PermitError::Pause`]). Dropping the future closes the request.
    pub async fn fetch(&self, ask: &Ask, robots: &Robots) -> Result<Answer, FetchError> {
        if !robots.allows(ask) {
            let marker = format!("robots.txt disallows {}", ask.path());
            return Err(self.error(
                ask,
                FetchErrorKind::Refused {
                    status: None,
                    marker,
                    challenge: false,
                },
            ));
        }
        self.inner
            .gate
            .space_at_least(robots.crawl_delay().unwrap_or_default());
        let judged = self.ask(ask).await;
        judged.map_err(|kind| self.error(ask, kind))
    }

    async fn ask_robots(&self, ask: &Ask) -> Result<Robots, FetchErrorKind> {
        let (received, sent) = self.send(ask).await?;
        log(ask, &received, sent.took);
        let settings = &self.inner.settings;
        let judge = |received| judge::robots(received, &settings.user_agent, &settings.limits);
        self.tell(sent, received.and_then(judge)).await
    }

    async fn ask(&self, ask: &Ask) -> Result<Answer, FetchErrorKind> {
        let (received, sent) = self.send(ask).await?;
        log(ask, &received, sent.took);
        let judged = match received {
            Ok(received) => self.judge(ask, received).await,
            Err(kind) => Err(kind),
        };
        self.tell(sent, judged).await
    }

    /// Waits until it may, and sends. An error: it was not sent.
    async fn send(
        &self,
        ask: &Ask,
    ) -> Result<(Result<Received, FetchErrorKind>, Sent<'_>), FetchErrorKind> {
        // First the place, then the permit: a permit does not outlive a wait for a place.
        let place = self.inner.in_flight.acquire().await;
        let place = place.map_err(|_| FetchErrorKind::Permit(PermitError::Void))?;
        let permit = self.inner.gate.permit().await;
        let permit = permit.map_err(FetchErrorKind::Permit)?;
        let (probe, begun) = (permit.is_probe(), Instant::now());
        let limit = self.inner.settings.request_timeout;
        let received = timeout(limit, self.exchange(ask, permit)).await;
        let sent = Sent {
            took: begun.elapsed(),
            probe,
            _place: place,
        };
        let timed_out = Err(FetchErrorKind::Timeout(limit));
        Ok((received.unwrap_or(timed_out), sent))
    }

    async fn judge(&self, ask: &Ask, received: Received) -> Result<Answer, FetchErrorKind> {
        let (asked, limits) = (*ask, self.inner.settings.limits);
        let judge = move || judge::answer(&asked, received, &limits);
        match ask.source() {
            PageSource::Api => judge(),
            // Reducing a page of a megabyte takes some 8 ms.
            PageSource::Html => {
                let judged = tokio::task::spawn_blocking(judge).await;
                judged.unwrap_or_else(|error| Err(FetchErrorKind::Interrupted(Box::new(error))))
            }
        }
    }

    /// Tells the other processes what an answer says about the site.
    async fn tell<T>(
        &self,
        sent: Sent<'_>,
        judged: Result<T, FetchErrorKind>,
    ) -> Result<T, FetchErrorKind> {
        let answer = judged.as_ref().map(|_| sent.took);
        if let Some(report) = self.inner.signals.note(answer, sent.probe) {
            self.inner.gate.report(report).await;
        }
        judged
    }

    /// The only place where a request leaves; it takes the permit with it.
    async fn exchange(&self, ask: &Ask, permit: HostPermit) -> Result<Received, FetchErrorKind> {
        if permit.is_void() {
            return Err(FetchErrorKind::Permit(PermitError::Void));
        }
        let begun = Instant::now();
        let encodings = if *ask == Ask::Robots {
            "identity"
        } else {
            "gzip"
        };
        let accept = match ask.source() {
            PageSource::Api => "application/json",
            PageSource::Html => "text/html",
        };
        let request = self.inner.http.get(ask.url(&self.inner.settings.origin));
        let request = request.header(ACCEPT, accept);
        let response = request.header(ACCEPT_ENCODING, encodings).send().await;
        let response = response.map_err(|error| self.by_proxy(error))?;
        let head = Head::of(&response);
        let most = self.inner.settings.limits.max_stored_bytes;
        let (body, over) = match (ask, head.status) {
            (Ask::Robots, 200..=299) => receive::body(response, ROBOTS_MAX_BYTES).await?,
            (_, 200 | 404 | 410) => match response.content_length() {
                Some(told) if told > most as u64 => (Bytes::new(), Some(told as usize)),
                _ => receive::body(response, most).await?,
            },
            _ => {
                // The status has said enough; the body only serves to recognise a challenge.
                let body = timeout(ERROR_BODY_TIME, receive::body(response, ERROR_BODY_BYTES));
                body.await.ok().and_then(Result::ok).unwrap_or_default()
            }
        };
        Ok(Received {
            head,
            body,
            over,
            took: begun.elapsed(),
        })
    }

    /// What failed on the way: the proxy, or what is behind it, and that then says by which way.
    fn by_proxy(&self, error: reqwest::Error) -> FetchErrorKind {
        let Some(proxy) = self.inner.settings.proxy_used() else {
            return receive::transport(error);
        };
        match (Proxy::trouble(&error), receive::transport(error)) {
            (Some(trouble), FetchErrorKind::Connect(_)) => FetchErrorKind::Proxy {
                proxy: proxy.to_string(),
                trouble,
            },
            (None, FetchErrorKind::Connect(error)) => FetchErrorKind::Connect(proxy.named(error)),
            (_, kind) => kind,
        }
    }

    fn error(&self, ask: &Ask, kind: FetchErrorKind) -> FetchError {
        FetchError {
            url: ask.url(&self.inner.settings.origin),
            kind,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.inner.settings)
            .field("gate", &self.inner.gate)
            .finish_non_exhaustive()
    }
}

/// A line for each request that was sent, at debug level; what the answer is worth is told elsewhere.
fn log(ask: &Ask, received: &Result<Received, FetchErrorKind>, took: Duration) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let (path, ms) = (ask.path(), took.as_millis() as u64);
    match received {
        Ok(received) => {
            let (status, bytes) = (received.head.status, received.body.len());
            tracing::debug!(path, status, ms, bytes, "answered");
        }
        Err(kind) => tracing::debug!(path, ms, error = %kind, "not answered"),
    }
}

fn http_client(settings: &Settings) -> Result<reqwest::Client, ClientError> {
    let agent = HeaderValue::from_str(&settings.user_agent).ok();
    let named = settings
        .user_agent
        .starts_with(|first: char| first.is_ascii_alphanumeric());
    let agent = agent.filter(|agent| named && agent.to_str().is_ok());
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("vi-VN,vi"));
    let proxy = settings.proxy_used();
    let addresses = PublicAddresses {
        proxy: proxy.and_then(Proxy::name).map(str::to_owned),
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(agent.ok_or(ClientError::UserAgent)?)
        .default_headers(headers)
        .tls_backend_preconfigured(tls::client_config(&[])?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(addresses)
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(settings.max_in_flight)
        .http2_max_header_list_size(64 * 1024)
        // Whatever a hosts file or a name server says of it.
        .resolve_to_addrs(
            "localhost",
            &[
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            ],
        );
    if let Some(proxy) = proxy {
        builder = builder.proxy(proxy.for_everything()?);
    }
    if !settings.origin.is_secure() {
        builder = builder.http1_only();
    }
    Ok(builder.build()?)
}
