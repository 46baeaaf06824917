//! The storefront as a running HTTP server on loopback.

use std::future::IntoFuture;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, Response, StatusCode};
use futures_util::TryStreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::answers::{self, control};
use crate::clock::Clock;
use crate::counts::{Counts, InFlight, Seconds, Tally};
use crate::faults::{Faults, Misbehaviour};
use crate::generated::Catalogue;
use crate::listener::{LineEnd, Lines};
use crate::query::Parameters;
use crate::recorded::Recording;
use crate::reply::{self, Reply, takes_gzip};
use crate::route::Route;
use crate::settings::{Content, Generated, Pace, Prices, Settings, StartError};
use crate::site::Site;
use crate::verdict::{Asked, FaultState, Verdict};
use crate::{spoil, stream};

/// How long [`Storefront::stop`] waits for answers that are on their way.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A running site. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Storefront {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    site: Site,
    origin_id: String,
    clock: Clock,
    latency: Duration,
    faults: FaultState,
    tally: Arc<Tally>,
}

impl Storefront {
    /// Reads or grows the catalogue, then listens on 127.0.0.1.
    ///
    /// # Errors
    /// A catalogue or faults outside their bounds, a folder that cannot be served, a port that
    /// cannot be bound.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings {
            content,
            port,
            clock,
            latency,
            faults,
        } = settings;
        faults.check().map_err(StartError::Faults)?;
        let (site, origin_id) = open(content, clock.day()).await?;
        let rules = FaultState::default();
        rules.set(&faults);
        let refused = |source| StartError::Listen { port, source };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Arc::new(Shared {
            site,
            origin_id,
            clock,
            latency: latency.min(Settings::MAX_LATENCY),
            faults: rules,
            tally: Arc::new(Tally::new()),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let router = axum::Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<LineEnd>();
        let server = axum::serve(Lines(listener), router).with_graceful_shutdown(async move {
            // A dropped sender means the same: nobody wants the site any more.
            drop(stopped.await);
        });
        let serving = tokio::spawn(async move {
            // It ends only when it is told to; accept errors are retried inside.
            drop(server.into_future().await);
        });
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            serving,
        })
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What tells this catalogue from any other, whatever the port:
    /// `storefront:<seed>:<products>`, with `:leafs=<n>`, `:lively` and `:round` where they are
    /// set, in this order, or `replay:<first 16 hex digits of the folder's SHA-256>`.
    pub fn origin_id(&self) -> String {
        self.shared.origin_id.clone()
    }

    /// The site's clock.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// Replaces the faults and starts their counting anew.
    ///
    /// # Errors
    /// [`StartError::Faults`] when they are outside their bounds; then nothing changes.
    pub fn set_faults(&self, faults: &Faults) -> Result<(), StartError> {
        faults.check().map_err(StartError::Faults)?;
        self.shared.faults.set(faults);
        Ok(())
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.shared.tally.read()
    }

    /// How the requests so far lay in time.
    pub fn seconds(&self) -> Seconds {
        self.shared.tally.seconds()
    }

    /// Counts from nothing again, seconds included; what is being answered stays in flight.
    pub fn restart_counts(&self) {
        self.shared.tally.restart();
    }

    /// Stops listening and waits up to two seconds for answers that are on their way.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(STOP_PATIENCE, &mut self.serving)
            .await
            .is_err()
        {
            self.serving.abort();
        }
    }
}

/// Reads or grows the content away from the threads that serve.
async fn open(content: Content, day: i64) -> Result<(Site, String), StartError> {
    let work = tokio::task::spawn_blocking(move || match content {
        Content::Generated(settings) => {
            let origin = generated_origin(&settings);
            let catalogue = Catalogue::new(settings)?;
            catalogue.warm_up(day);
            Ok((Site::Generated(Box::new(catalogue)), origin))
        }
        Content::Recorded(folder) => {
            let recording = Recording::read(&folder)?;
            let origin = format!("replay:{}", recording.digest());
            Ok((Site::Recorded(Box::new(recording)), origin))
        }
    });
    match work.await {
        Ok(opened) => opened,
        // The runtime is shutting down or the work panicked; both end the caller as well.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

fn generated_origin(settings: &Generated) -> String {
    let Generated {
        seed,
        products,
        leaf_categories,
        pace,
        prices,
    } = settings;
    let leafs = leaf_categories.map_or(String::new(), |leafs| format!(":leafs={leafs}"));
    let pace = match pace {
        Pace::Real => "",
        Pace::Lively => ":lively",
    };
    let prices = match prices {
        Prices::Spread => "",
        Prices::Round => ":round",
    };
    format!("storefront:{seed}:{products}{leafs}{pace}{prices}")
}

/// Every request of the site.
async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<LineEnd>,
    request: Request,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if let Some(name) = path.strip_prefix(control::PREFIX) {
        return shared.control(name, request).await;
    }
    let query = request.uri().query();
    let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
    let route = Route::of(request.method().as_str(), &path, query);
    let parameters = Parameters::of(query);
    let gzip = takes_gzip(request.headers());
    let in_flight = shared.tally.arrived(route.name(), route.is_forbidden());
    let verdict = shared.judge(&route, &parameters);
    let wait = shared.latency + verdict.delay;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if verdict.what == Some(Misbehaviour::Reset) {
        line.reset();
        shared.tally.answered(None, 0, true);
        return Response::new(Body::empty());
    }
    let spoilt = verdict.what.is_some();
    let streamed = verdict.what.as_ref().is_some_and(Misbehaviour::is_streamed);
    let question = Question {
        route,
        parameters,
        target,
        gzip,
    };
    let (response, body_bytes) = shared.answer(question, verdict).await;
    let status = response.status().as_u16();
    shared.tally.answered(Some(status), body_bytes, spoilt);
    if streamed {
        return response.map(|body| counted(body, in_flight));
    }
    response
}

/// A request for the site.
struct Question {
    route: Route,
    parameters: Parameters,
    /// Path and query.
    target: String,
    gzip: bool,
}

/// A body that is in flight until its end and counts what goes out.
fn counted(body: Body, in_flight: InFlight) -> Body {
    Body::from_stream(body.into_data_stream().inspect_ok(move |piece| {
        in_flight.sent(piece.len() as u64);
    }))
}

impl Shared {
    async fn control(&self, name: &str, request: Request) -> Response<Body> {
        let method = request.method().clone();
        let parameters = Parameters::of(request.uri().query());
        let body = match method {
            Method::POST => {
                axum::body::to_bytes(request.into_body(), control::MAX_BODY_BYTES).await
            }
            _ => Ok(bytes::Bytes::new()),
        };
        let controls = control::Controls {
            tally: &self.tally,
            clock: &self.clock,
            faults: &self.faults,
            origin_id: &self.origin_id,
        };
        let reply = match body {
            Ok(body) => controls.answer(method.as_str(), name, &parameters, &body),
            Err(_) => Reply::error(StatusCode::PAYLOAD_TOO_LARGE, "a body over 64 kB"),
        };
        reply.into_response(false, &self.clock).0
    }

    fn judge(&self, route: &Route, parameters: &Parameters) -> Verdict {
        let Some(class) = route.class() else {
            return Verdict::default();
        };
        let asked = Asked {
            class,
            subject: route.subject(parameters),
            parameters,
        };
        self.faults.next(&asked, Instant::now())
    }

    /// The good answer, unless a fault makes another one of it, with the number of its body
    /// bytes; 0 of a streamed one, which is counted as it goes.
    async fn answer(
        self: &Arc<Self>,
        question: Question,
        verdict: Verdict,
    ) -> (Response<Body>, u64) {
        let (gzip, clock) = (question.gzip, &self.clock);
        let Some(fault) = verdict.what else {
            return self.good(question, 0).await.into_response(gzip, clock);
        };
        if let Some(reply) = spoil::instead(&fault, &question.target) {
            return reply.into_response(gzip, clock);
        }
        match fault {
            Misbehaviour::GzipBomb { gigabytes } => {
                let body = stream::bomb(gigabytes).unwrap_or_default();
                return (reply::endless(body, true, clock), 0);
            }
            Misbehaviour::Huge { megabytes } => {
                return (reply::endless(stream::huge(megabytes), false, clock), 0);
            }
            _ => {}
        }
        let good = self.good(question, verdict.moved).await;
        match fault {
            Misbehaviour::TruncatedGzip => good.into_truncated(clock),
            Misbehaviour::CutOff => good.into_cut_off(clock),
            Misbehaviour::SlowBody { ms } => {
                let send = |body| stream::slow(body, Duration::from_millis(ms));
                (good.into_slow(gzip, clock, send), 0)
            }
            Misbehaviour::Trickle { bytes_per_second } => {
                let send = |body| stream::trickle(body, bytes_per_second);
                (good.into_slow(gzip, clock, send), 0)
            }
            fault => spoil::spoilt(good, &fault).into_response(gzip, clock),
        }
    }

    /// Large categories take a while to look through, so the work leaves the serving threads.
    async fn good(self: &Arc<Self>, question: Question, moved: i64) -> Reply {
        let shared = Arc::clone(self);
        let day = self.clock.day();
        let work = tokio::task::spawn_blocking(move || {
            let Question {
                route, parameters, ..
            } = question;
            answers::answer(&shared.site, &route, &parameters, moved, day)
        });
        work.await.unwrap_or_else(|_| {
            Reply::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the storefront itself failed",
            )
        })
    }
}
