//! The way to the site: the real one, one on this machine, or the demo's own.
//!
//! Not here: asking it (`crawl`), what is asked (`pipeline`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use catalog::Instant;
use crawl::{
    CacheTtl, Client, ClientError, Gate, Origin, PermitSource, Rate, RedisPages, RedisPermits,
};
use pipeline::{Clock, Exit, Listener, Pipeline, Scope, Site, SitePermits};
use storefront::{Content, Generated, Pace, Storefront};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use warehouse::Warehouse;

use crate::Context;
use crate::failure::{Failure, Outcome};
use crate::setting::secrets;

/// The seed of the demo's shop.
const DEMO_SEED: u64 = 7;

/// How long a site on this machine may take to say which it is.
const IDENTITY_PATIENCE: Duration = Duration::from_secs(5);

/// The most that is read of that answer.
const IDENTITY_MAX_BYTES: u64 = 64 * 1024;

/// An open way to a site.
pub(crate) struct Way {
    site: Site,
    /// Which site, whatever its port.
    pub(crate) origin_id: String,
    /// The demo's shop, while it is open.
    pub(crate) shop: Option<Storefront>,
}

impl Way {
    /// To the site of the settings. The warehouse is bound to it.
    pub(crate) async fn to_site(context: &Context, warehouse: &Warehouse) -> Outcome<Self> {
        let config = &context.config;
        config.check_clock()?;
        config.check_categories()?;
        let rate = check_rate(context)?;
        let origin_id = identity(&config.origin).await?;
        warehouse.bind_origin(&origin_id).await?;
        let site = site(context, warehouse, config.origin.clone(), rate)?;
        let site = site.with_pages(pages(context, &origin_id)?);
        Ok(Self {
            site,
            origin_id,
            shop: None,
        })
    }

    /// The same without the shared cache, with permits from another warehouse than the one that is filled.
    pub(crate) async fn to_site_alone(
        context: &Context,
        warehouse: &Warehouse,
        permits: &Warehouse,
    ) -> Outcome<Self> {
        let config = &context.config;
        config.check_clock()?;
        let rate = check_rate(context)?;
        let origin_id = identity(&config.origin).await?;
        warehouse.bind_origin(&origin_id).await?;
        Ok(Self {
            site: site(context, permits, config.origin.clone(), rate)?,
            origin_id,
            shop: None,
        })
    }

    /// To the site of the settings, for steps that ask it nothing: it need not be up.
    pub(crate) fn unasked(context: &Context, warehouse: &Warehouse) -> Outcome<Self> {
        let config = &context.config;
        config.check_clock()?;
        let rate = check_rate(context)?;
        let site = site(context, warehouse, config.origin.clone(), rate)?;
        Ok(Self {
            site,
            origin_id: String::new(),
            shop: None,
        })
    }

    /// To a shop in this process, whose clock stands at an instant.
    pub(crate) async fn to_demo(
        context: &Context,
        warehouse: &Warehouse,
        products: u64,
        at: Instant,
    ) -> Outcome<Self> {
        let goods = Generated {
            seed: DEMO_SEED,
            products,
            pace: Pace::Lively,
            ..Generated::default()
        };
        Self::to_shop(context, warehouse, goods, at).await
    }

    /// The same, to a shop of these goods.
    pub(crate) async fn to_shop(
        context: &Context,
        warehouse: &Warehouse,
        goods: Generated,
        at: Instant,
    ) -> Outcome<Self> {
        let shop = Storefront::start(storefront::Settings {
            content: Content::Generated(goods),
            clock: storefront::Clock::frozen_at(at.millis()),
            ..storefront::Settings::default()
        });
        let shop = shop.await.map_err(|error| {
            Failure::new(Exit::Machine, "cannot open the simulated shop").because(&error)
        })?;
        let origin_id = shop.origin_id();
        warehouse.bind_origin(&origin_id).await?;
        let bug = |error| Failure::new(Exit::Bug, "the shop's address").because(&error);
        let origin = Origin::parse(&shop.base_url()).map_err(bug)?;
        let seconds = if context.config.rate_is_default {
            0.0
        } else {
            context.config.rate
        };
        let rate = Rate::new(seconds, &origin).map_err(|error| slow_down(&error))?;
        let site = site(context, warehouse, origin, rate)?;
        Ok(Self {
            site,
            origin_id,
            shop: Some(shop),
        })
    }

    /// A pipeline that goes this way, and the shop to be kept open meanwhile.
    pub(crate) fn pipeline(
        self,
        context: &Context,
        warehouse: &Warehouse,
        clock: Clock,
        listener: Listener,
    ) -> (Pipeline, Option<Storefront>) {
        let mut settings = context.config.pipeline.clone();
        settings.redis_url.clone_from(&context.config.redis_url);
        settings.hidden = secrets();
        // Nobody is to be told of a simulated shop's troubles.
        settings.alerts.tells &= self.shop.is_none();
        let pipeline = Pipeline::new(
            warehouse.clone(),
            Some(self.site),
            clock,
            settings,
            listener,
            context.stop.clone(),
        );
        (pipeline, self.shop)
    }
}

/// The products of the demo's shop whose name this is.
pub(crate) fn demo_products(origin_id: &str) -> Option<u64> {
    let rest = origin_id.strip_prefix(&format!("storefront:{DEMO_SEED}:"))?;
    rest.strip_suffix(":lively")?.parse().ok()
}

/// The clock of the settings.
pub(crate) fn clock(context: &Context) -> Clock {
    context.config.clock.map_or(Clock::System, Clock::simulated)
}

/// What a run would crawl.
pub(crate) fn scope(context: &Context, origin_id: &str) -> Scope {
    let config = &context.config;
    Scope {
        origin: origin_id.to_owned(),
        categories: config.categories.clone(),
        exclude: config.exclude.clone(),
        max_categories: config.max_categories,
        max_products: config.max_products,
        details: config.details.clone(),
        source: config.source.clone(),
    }
}

fn site(context: &Context, warehouse: &Warehouse, origin: Origin, rate: Rate) -> Outcome<Site> {
    let config = &context.config;
    let source: Option<Arc<dyn PermitSource>> = match rate {
        Rate::Off => None,
        Rate::Every(_) => {
            let redis = match &config.redis_url {
                Some(url) => Some(RedisPermits::new(url, &origin).map_err(|error| {
                    Failure::usage("TIKI_REDIS_URL cannot be used").because(&error)
                })?),
                None => None,
            };
            let (warehouse, name) = (warehouse.clone(), origin.to_string());
            Some(Arc::new(SitePermits::new(warehouse, name, redis)))
        }
    };
    let settings = crawl::Settings {
        proxy: config.proxy.clone(),
        user_agent: crawl::Settings::honest_user_agent(config.contact.as_deref()),
        connect_timeout: config.connect_timeout,
        request_timeout: config.request_timeout,
        breaker_pause: config.breaker_pause,
        max_in_flight: config.pipeline.workers,
        ..crawl::Settings::new(origin)
    };
    let client = Client::new(settings, Gate::new(rate, source)).map_err(|error| match error {
        ClientError::UserAgent => {
            Failure::usage("TIKI_USER_AGENT_CONTACT cannot be so").because(&error)
        }
        _ => Failure::usage("cannot ask the site so").because(&error),
    })?;
    Ok(Site::new(client))
}

/// The rate of the settings, if the site may be asked so.
pub(crate) fn check_rate(context: &Context) -> Outcome<Rate> {
    let config = &context.config;
    Rate::new(config.rate, &config.origin).map_err(|error| slow_down(&error))
}

/// The shared cache of pages, where there is a Redis.
fn pages(context: &Context, origin_id: &str) -> Outcome<Option<RedisPages>> {
    let config = &context.config;
    let Some(url) = &config.redis_url else {
        return Ok(None);
    };
    let ttl = CacheTtl {
        categories: config.pipeline.category_ttl,
        detail: config.pipeline.detail_ttl,
        gone: config.gone_ttl,
    };
    RedisPages::new(url, origin_id, ttl, config.redis_memory)
        .map(Some)
        .map_err(|error| Failure::usage("TIKI_REDIS_URL cannot be used").because(&error))
}

fn slow_down(error: &crawl::RateError) -> Failure {
    Failure::usage("TIKI_RATE_LIMIT cannot be so")
        .because(error)
        .help(
            "seconds between two requests: 0.5 is two a second; off this machine 0.2 is the least",
        )
}

/// Which site an origin is: its address, or for one on this machine what it says it is.
async fn identity(origin: &Origin) -> Outcome<String> {
    if !origin.is_loopback() || origin.is_secure() {
        return Ok(origin.to_string());
    }
    let asked = tokio::time::timeout(IDENTITY_PATIENCE, ask_identity(origin)).await;
    match asked {
        Ok(Ok(Some(id))) => Ok(id),
        Ok(Ok(None)) => Ok("loopback".into()),
        Ok(Err(error)) => Err(Failure::new(
            Exit::Refused,
            format!("cannot reach the site at {origin}"),
        )
        .because(&error)
        .help("is it running? `tiki storefront` serves one; TIKI_ORIGIN says where it is")),
        Err(_) => Err(
            Failure::new(Exit::Refused, format!("{origin} does not answer"))
                .help("is it a `tiki storefront`? TIKI_ORIGIN says where the site is"),
        ),
    }
}

/// Asks a storefront's own control route, which is not part of the site and needs no permit.
async fn ask_identity(origin: &Origin) -> io::Result<Option<String>> {
    let url = url::Url::parse(&origin.to_string()).map_err(io::Error::other)?;
    let host = url.host_str().unwrap_or("127.0.0.1");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((bare, port)).await?;
    let request = format!(
        "GET /__storefront/origin HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(IDENTITY_MAX_BYTES)
        .read_to_end(&mut answer)
        .await?;
    let answer = String::from_utf8_lossy(&answer);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json: Option<serde_json::Value> = serde_json::from_str(body.trim()).ok();
    Ok(json.and_then(|json| Some(json.get("origin_id")?.as_str()?.to_owned())))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_demo_is_known_by_its_name() {
        use super::demo_products;
        assert_eq!(demo_products("storefront:7:700:lively"), Some(700));
        assert_eq!(demo_products("storefront:8:700:lively"), None);
        assert_eq!(demo_products("https://tiki.vn"), None);
    }
}
