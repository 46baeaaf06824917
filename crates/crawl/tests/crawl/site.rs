//! A server of the test's own, for answers that no shop should give.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::response::Response;
use crawl::{Answer, Ask, Client, FetchErrorKind, Gate, Origin, Page, Rate, Robots, Settings};

/// A request as the server saw it.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) peer: SocketAddr,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

/// The server; it ends with the test's runtime.
pub(crate) struct Site {
    pub(crate) origin: Origin,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Site {
    pub(crate) async fn start(
        answer: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&seen);
        let serve = move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
            let seen = Seen {
                at: Instant::now(),
                peer,
                path: request.uri().to_string(),
                headers: request.headers().clone(),
            };
            book.lock().unwrap().push(seen.clone());
            let response = answer(&seen);
            async move { response }
        };
        let app = Router::new()
            .fallback(serve)
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let origin = Origin::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { origin, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Short limits, so that a test of one is quick.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.origin.clone());
        settings.request_timeout = Duration::from_secs(20);
        settings
    }

    /// One request for a product, with the default settings.
    pub(crate) async fn fetch(&self) -> Result<Answer, FetchErrorKind> {
        fetch(&client(self.settings())).await
    }
}

pub(crate) const DETAIL: Ask = Ask::Detail {
    product: 7,
    spid: Some(8),
};

pub(crate) fn client(settings: Settings) -> Client {
    Client::new(settings, Gate::new(Rate::Off, None)).unwrap()
}

pub(crate) async fn fetch(client: &Client) -> Result<Answer, FetchErrorKind> {
    client
        .fetch(&DETAIL, &Robots::allow_all())
        .await
        .map_err(|error| error.kind)
}

/// The page of a good answer.
pub(crate) fn good(answer: Result<Answer, FetchErrorKind>) -> Page {
    match answer {
        Ok(Answer::Good(page)) => page,
        other => panic!("expected a good page, not {other:?}"),
    }
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

pub(crate) fn json(body: impl Into<Body>) -> Response {
    reply(200, &[JSON], body)
}
