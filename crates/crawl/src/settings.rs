//! How a client behaves. Where the values come from is `tiki`'s business.

use std::time::Duration;

use catalog::BodyLimits;

use crate::{Origin, Proxy};

/// What a [`crate::Client`] is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The only host that is asked.
    pub origin: Origin,
    /// Through which proxy; a loopback origin is asked without.
    pub proxy: Option<Proxy>,
    /// Who asks, honestly: see [`Settings::honest_user_agent`].
    pub user_agent: String,
    /// How long a connection may take to stand, TLS included.
    pub connect_timeout: Duration,
    /// How long a whole request may take, its body included. Waiting for a permit does not count.
    pub request_timeout: Duration,
    /// The limits of every body.
    pub limits: BodyLimits,
    /// Requests at the same time, at least 1; further ones wait before they take a permit.
    pub max_in_flight: usize,
    /// How long everybody stays away at least after the site was overdone; it doubles while that does
    /// not help.
    pub breaker_pause: Duration,
}

impl Settings {
    /// Defaults: no proxy, an honest user agent, 10 s to connect, 30 s a request, the default limits of bodies,
    /// 5 requests in flight, 30 s of silence after the site was overdone.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            proxy: None,
            user_agent: Self::honest_user_agent(None),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            limits: BodyLimits::default(),
            max_in_flight: 5,
            breaker_pause: Duration::from_secs(30),
        }
    }

    /// The proxy, if the origin is asked through it.
    pub(crate) fn proxy_used(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.origin.is_loopback())
    }

    /// `tiki-data-pipeline/<version>`, with the address or URL of somebody to talk to behind it.
    pub fn honest_user_agent(contact: Option<&str>) -> String {
        let name = concat!("tiki-data-pipeline/", env!("CARGO_PKG_VERSION"));
        match contact {
            Some(contact) => format!("{name} (+{contact})"),
            None => name.to_owned(),
        }
    }
}
