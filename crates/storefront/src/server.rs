//! The storefront as a running HTTP server on loopback.

use std::future::IntoFuture;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::answers::{self, control};
use crate::clock::Clock;
use crate::counts::{Counts, Tally};
use crate::faults::{FaultState, Faults, Misbehaviour, Verdict};
use crate::generated::Catalogue;
use crate::query::Parameters;
use crate::recorded::Recording;
use crate::reply::{Reply, takes_gzip};
use crate::route::Route;
use crate::settings::{Content, Generated, Pace, Settings, StartError};
use crate::site::Site;
use crate::spoil;

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
    tally: Tally,
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
            tally: Tally::new(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let router = axum::Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let server = axum::serve(listener, router).with_graceful_shutdown(async move {
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
    /// `storefront:<seed>:<products>`, with `:leafs=<n>` and `:lively` where they are set, or
    /// `replay:<first 16 hex digits of the folder's SHA-256>`.
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
    } = settings;
    let leafs = leaf_categories.map_or(String::new(), |leafs| format!(":leafs={leafs}"));
    let pace = match pace {
        Pace::Real => "",
        Pace::Lively => ":lively",
    };
    format!("storefront:{seed}:{products}{leafs}{pace}")
}

/// Every request of the site.
async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if let Some(name) = path.strip_prefix(control::PREFIX) {
        return shared.control(name, request).await;
    }
    let query = request.uri().query();
    let route = Route::of(request.method().as_str(), &path, query);
    let parameters = Parameters::of(query);
    let gzip = takes_gzip(request.headers());
    let _in_flight = shared.tally.arrived(route.name(), route.is_forbidden());
    let now = Instant::now();
    let verdict = route
        .class()
        .map_or(Verdict::default(), |class| shared.faults.next(class, now));
    let wait = shared.latency + verdict.delay;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let spoilt = verdict.what.is_some();
    let (response, body_bytes) = shared.answer(route, parameters, gzip, verdict.what).await;
    let status = response.status().as_u16();
    shared.tally.answered(status, body_bytes, spoilt);
    response
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

    /// The good answer, unless a fault makes another one of it.
    async fn answer(
        self: &Arc<Self>,
        route: Route,
        parameters: Parameters,
        gzip: bool,
        fault: Option<Misbehaviour>,
    ) -> (Response<Body>, u64) {
        if let Some(reply) = fault.as_ref().and_then(spoil::instead) {
            return reply.into_response(gzip, &self.clock);
        }
        let reply = self.good(route, parameters).await;
        match fault {
            Some(Misbehaviour::TruncatedGzip) => reply.into_truncated(&self.clock),
            Some(Misbehaviour::CutOff) => reply.into_cut_off(&self.clock),
            Some(fault) => spoil::spoilt(reply, &fault).into_response(gzip, &self.clock),
            None => reply.into_response(gzip, &self.clock),
        }
    }

    /// Large categories take a while to look through, so the work leaves the serving threads.
    async fn good(self: &Arc<Self>, route: Route, parameters: Parameters) -> Reply {
        let shared = Arc::clone(self);
        let day = self.clock.day();
        let work = tokio::task::spawn_blocking(move || {
            answers::answer(&shared.site, &route, &parameters, day)
        });
        work.await.unwrap_or_else(|_| {
            Reply::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the storefront itself failed",
            )
        })
    }
}
