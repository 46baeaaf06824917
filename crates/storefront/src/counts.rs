//! How much was asked, and how politely. Counted in real time, whatever the site's clock says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Seconds of the histogram that are kept, the latest.
const MAX_SECONDS: usize = 86_400;
/// Requests remembered for the busiest second; more in one second are not told apart.
const MAX_RECENT: usize = 1_000_000;

/// What was asked since the start, or since the counting began anew. Requests to `/__storefront/…` are not among it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Requests by route: `robots`, `categories`, `menu`, `listing`, `detail`, `category_page`,
    /// `product_page`, `sitemap`, `reviews`, `disallowed`, `unknown`, `wrong_method`.
    pub routes: BTreeMap<String, u64>,
    /// Answers by status code. A request that is still waiting has none yet, one whose connection
    /// was reset gets none.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests for paths that robots.txt disallows and for reviews (personal data); each got a
    /// 403. A polite crawler leaves this at 0.
    pub disallowed: u64,
    /// Answers spoilt by a fault, delays not counted.
    pub faults: u64,
    /// Most requests that arrived within any 1,000 ms.
    pub busiest_second: u64,
    /// Most requests that were being answered at the same time; a body that is slow or large on
    /// request counts until its end.
    pub most_in_flight: u64,
    /// Body bytes sent, as sent (compressed where compressed).
    pub body_bytes: u64,
    /// `(second since the start, requests)`, only seconds with requests, the last 86,400 of them.
    pub per_second: Vec<(u64, u64)>,
}

/// The requests of each second since the counting began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seconds {
    /// Requests in the first second, in the second one, and so on to the last one that had any;
    /// zeros included, the last 86,400 at most.
    pub seconds: Vec<u64>,
    /// As in [`Counts`]: seconds that begin anywhere.
    pub busiest_second: u64,
}

/// The counting itself.
#[derive(Debug)]
pub(crate) struct Tally(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    counts: Counts,
    seconds: VecDeque<(u64, u64)>,
    recent: VecDeque<Duration>,
    in_flight: u64,
}

/// A request that is being answered; dropping it ends the answer.
pub(crate) struct InFlight(Arc<Tally>);

impl InFlight {
    /// More of the body has gone out.
    pub(crate) fn sent(&self, body_bytes: u64) {
        self.0.lock().counts.body_bytes += body_bytes;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.in_flight = inner.in_flight.saturating_sub(1);
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner::new(Instant::now())))
    }

    /// Forgets all but the requests that are being answered.
    pub(crate) fn restart(&self) {
        let mut inner = self.lock();
        let in_flight = inner.in_flight;
        *inner = Inner::new(Instant::now());
        inner.in_flight = in_flight;
        inner.counts.most_in_flight = in_flight;
    }

    /// A request arrived.
    pub(crate) fn arrived(self: &Arc<Self>, route: &'static str, forbidden: bool) -> InFlight {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let now = inner.began.elapsed();
        inner.in_flight += 1;
        inner.note(now);
        let counts = &mut inner.counts;
        counts.requests += 1;
        counts.disallowed += u64::from(forbidden);
        counts.most_in_flight = counts.most_in_flight.max(inner.in_flight);
        match counts.routes.get_mut(route) {
            Some(count) => *count += 1,
            None => {
                counts.routes.insert(route.to_owned(), 1);
            }
        }
        InFlight(Arc::clone(self))
    }

    /// It was answered, or without a status it was not.
    pub(crate) fn answered(&self, status: Option<u16>, body_bytes: u64, spoilt: bool) {
        let mut inner = self.lock();
        let counts = &mut inner.counts;
        if let Some(status) = status {
            *counts.statuses.entry(status).or_default() += 1;
        }
        counts.body_bytes += body_bytes;
        counts.faults += u64::from(spoilt);
    }

    pub(crate) fn read(&self) -> Counts {
        let inner = self.lock();
        let mut counts = inner.counts.clone();
        counts.per_second = inner.seconds.iter().copied().collect();
        counts
    }

    pub(crate) fn seconds(&self) -> Seconds {
        let inner = self.lock();
        let last = inner.seconds.back().map_or(0, |(second, _)| second + 1);
        let first = last.saturating_sub(MAX_SECONDS as u64);
        let mut seconds = vec![0; (last - first) as usize];
        for (second, count) in &inner.seconds {
            let at = second.checked_sub(first).map(|at| at as usize);
            if let Some(slot) = at.and_then(|at| seconds.get_mut(at)) {
                *slot = *count;
            }
        }
        Seconds {
            seconds,
            busiest_second: inner.counts.busiest_second,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(began: Instant) -> Self {
        Self {
            began,
            counts: Counts::default(),
            seconds: VecDeque::new(),
            recent: VecDeque::new(),
            in_flight: 0,
        }
    }

    /// Notes a request in the histogram and in the sliding second.
    fn note(&mut self, now: Duration) {
        let second = now.as_secs();
        match self.seconds.back_mut() {
            Some((last, count)) if *last >= second => *count += 1,
            _ => self.seconds.push_back((second, 1)),
        }
        if self.seconds.len() > MAX_SECONDS {
            self.seconds.pop_front();
        }
        self.recent.push_back(now);
        let full = |first: &Duration| now.saturating_sub(*first) >= Duration::from_secs(1);
        while self.recent.len() > MAX_RECENT || self.recent.front().is_some_and(full) {
            self.recent.pop_front();
        }
        self.counts.busiest_second = self.counts.busiest_second.max(self.recent.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_may_begin_anywhere() {
        let mut inner = Inner::new(Instant::now());
        for ms in [0, 600, 1_100, 1_200, 1_599, 1_600, 3_000] {
            inner.note(Duration::from_millis(ms));
        }
        // 600, 1100, 1200, 1599 lie within one second; 1600 is a full second after 600.
        assert_eq!(inner.counts.busiest_second, 4);
        assert_eq!(Vec::from(inner.seconds), vec![(0, 2), (1, 4), (3, 1)]);
    }
}
