//! The site as the steps see it: a client, robots.txt read once a day, the shared cache of pages in front
//! of it, and a second way where the first is closed.
//!
//! Not here: what to ask (the steps), what an error means (`fetch`).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use catalog::{BodyLimits, Candidate, DetailPolicy};
use crawl::{
    Answer, Ask, Cached, CachedKind, CachedPage, Client, FetchError, FetchErrorKind, Lookup, Page,
    PageKey, PageSource, ROBOTS_FRESH, RedisPages, Retry, Robots,
};
use tokio::sync::Mutex;
use tracing::Instrument;

use crate::clocks::SiteClock;
use crate::knock::has_children;
use crate::second_way::{self, CLOSED_AFTER, Judged, SecondWays, SourceChoice};
use crate::{Error, Result};

/// The way to the site.
pub struct Site {
    client: Client,
    robots: Mutex<Option<(Arc<Robots>, Instant)>>,
    pages: Option<RedisPages>,
    second_ways: SecondWays,
    /// Milliseconds; see [`Site::distrust_before`].
    trusted_since: AtomicI64,
    site_clock: SiteClock,
    hits: AtomicI64,
    misses: AtomicI64,
}

/// A request, and the kept page that would make it unnecessary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errand {
    pub(crate) ask: Ask,
    pub(crate) spare: Spare,
    /// Tries so far.
    pub(crate) attempts: i64,
}

/// When a kept page is as good as the site's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spare {
    /// Never.
    No,
    /// Children of a category that were fetched at this instant or later.
    Since(catalog::Instant),
    /// A detail that would not be due if it had been fetched by this run's warehouse.
    NotDue {
        fingerprint: Option<i64>,
        now: catalog::Instant,
        ttl_millis: i64,
    },
}

/// What came of an errand.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) answer: Answered,
    /// Whether it can be read; `None`: nobody has looked.
    pub(crate) judged: Judged,
    /// When a kept page was fetched; `None`: it came from the site, now.
    pub(crate) kept_at: Option<catalog::Instant>,
}

impl Site {
    /// The site behind a client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            robots: Mutex::new(None),
            pages: None,
            second_ways: SecondWays::default(),
            trusted_since: AtomicI64::new(0),
            site_clock: SiteClock::default(),
            hits: AtomicI64::new(0),
            misses: AtomicI64::new(0),
        }
    }

    /// With a shared cache of pages in front of it, if there is one.
    #[must_use]
    pub fn with_pages(mut self, pages: Option<RedisPages>) -> Self {
        self.pages = pages;
        self
    }

    /// Takes nothing out of the shared cache that was fetched before: somebody refused the shape of it.
    pub(crate) fn distrust_before(&self, at: catalog::Instant) {
        self.trusted_since.store(at.millis(), Ordering::Relaxed);
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What its answers say of the time.
    pub(crate) fn clock(&self) -> &SiteClock {
        &self.site_clock
    }

    /// The shared cache of pages.
    pub(crate) fn pages(&self) -> Option<&RedisPages> {
        self.pages.as_ref()
    }

    /// Hits and misses of the shared cache since the last call.
    pub(crate) fn take_counts(&self) -> (i64, i64) {
        (
            self.hits.swap(0, Ordering::Relaxed),
            self.misses.swap(0, Ordering::Relaxed),
        )
    }

    /// What the site allows; read when there is none, and again every day.
    pub async fn robots(&self) -> Result<Arc<Robots>> {
        self.read_robots().await.map_err(|error| {
            let retry_after = match error.kind.retry() {
                Retry::After(wait) => wait,
                _ => crate::fetch::REFUSED_FOR,
            };
            let seen = chain(&error);
            match error.kind {
                FetchErrorKind::Proxy { proxy, trouble } => Error::Proxy {
                    proxy,
                    trouble,
                    retry_after,
                },
                _ => Error::Refused { seen, retry_after },
            }
        })
    }

    async fn read_robots(&self) -> std::result::Result<Arc<Robots>, FetchError> {
        let mut kept = self.robots.lock().await;
        if let Some((robots, read)) = kept.as_ref()
            && read.elapsed() < ROBOTS_FRESH
        {
            return Ok(Arc::clone(robots));
        }
        let robots = Arc::new(self.client.read_robots().await?);
        *kept = Some((Arc::clone(&robots), Instant::now()));
        Ok(robots)
    }

    /// Runs an errand: from the shared cache, else from the site, one way or the other.
    pub(crate) async fn run(&self, errand: &Errand, choice: SourceChoice) -> Landed {
        if let Some(landed) = self.spared(errand, choice).await {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return landed;
        }
        // A step may take longer than a day.
        let asked = async {
            match self.read_robots().await {
                Ok(robots) => {
                    // What failed before is rather the fault of that one thing.
                    let closed_after = (errand.attempts == 0).then_some(CLOSED_AFTER);
                    self.ask_patiently(&errand.ask, &robots, choice, closed_after)
                        .await
                }
                Err(error) => (Err(error), None),
            }
        };
        let span = tracing::debug_span!("request", attempt = errand.attempts + 1);
        let (answer, judged) = asked.instrument(span).await;
        Landed {
            answer,
            judged,
            kept_at: None,
        }
    }

    /// One answer, by the way that the run wants, and whether it can be read where that was looked at.
    pub(crate) async fn ask(
        &self,
        ask: &Ask,
        robots: &Robots,
        choice: SourceChoice,
    ) -> (Answered, Judged) {
        self.ask_patiently(ask, robots, choice, Some(1)).await
    }

    /// The same; so many refusals in a row are believed to be of everything where no page stood in yet.
    async fn ask_patiently(
        &self,
        ask: &Ask,
        robots: &Robots,
        choice: SourceChoice,
        closed_after: Option<u32>,
    ) -> (Answered, Judged) {
        let page = second_way::page_of(ask);
        let Some(page) = page.filter(|_| choice != SourceChoice::Api) else {
            return (self.ask_one_way(ask, robots, closed_after).await, None);
        };
        if choice == SourceChoice::Html {
            return (self.ask_one_way(&page, robots, closed_after).await, None);
        }
        let way = self.second_ways.of(ask);
        let mut in_vain = None;
        if way.comes_first() {
            let (instead, seen) = self.fetch_and_judge(&page, robots).await;
            if second_way::is_readable(&instead, &seen) {
                way.page_works();
                return (instead, seen);
            }
            if second_way::says_stop(&instead) {
                return (instead, seen);
            }
            in_vain = Some((instead, seen));
        }
        let (answer, judged) = self.fetch_and_judge(ask, robots).await;
        if !second_way::is_broken(&answer, &judged) {
            if answer.is_ok() {
                way.api_works();
            }
            return (answer, judged);
        }
        let in_vain = if let Some(in_vain) = in_vain {
            in_vain
        } else {
            let (instead, seen) = self.fetch_and_judge(&page, robots).await;
            let instead = way.doubt_gone(instead, || page.url(&self.client.settings().origin));
            if second_way::says_stop(&instead) {
                return (instead, seen);
            }
            if second_way::is_readable(&instead, &seen) {
                if way.page_stood_in() {
                    tracing::warn!(
                        "the API does not answer as it should; HTML pages are asked first now"
                    );
                }
                return (instead, seen);
            }
            (instead, seen)
        };
        // A detail alone can be given up: without a listing or children the rest would be missing unseen.
        let is_one = matches!(ask, Ask::Detail { .. });
        if is_one && second_way::refuses(&answer) && !way.is_closed(closed_after) {
            return in_vain;
        }
        (answer, judged)
    }

    /// The answer of the only way that the run wants. Of one detail a bare refusal is a status like any other.
    async fn ask_one_way(&self, ask: &Ask, robots: &Robots, closed_after: Option<u32>) -> Answered {
        let answer = self.client.fetch(ask, robots).await;
        let way = self.second_ways.of(ask);
        if answer.is_ok() {
            way.api_works();
        }
        let is_one = matches!(ask, Ask::Detail { .. } | Ask::ProductPage { .. });
        match answer {
            Err(FetchError { url, kind }) if is_one => {
                let kind = second_way::of_one(kind, || way.is_closed(closed_after));
                Err(FetchError { url, kind })
            }
            answer => answer,
        }
    }

    async fn fetch_and_judge(&self, ask: &Ask, robots: &Robots) -> (Answered, Judged) {
        let answer = self.client.fetch(ask, robots).await;
        let judged = second_way::judge(ask, &answer);
        (answer, judged)
    }

    /// A kept page that makes a request unnecessary.
    async fn spared(&self, errand: &Errand, choice: SourceChoice) -> Option<Landed> {
        let pages = self.pages.as_ref()?;
        let key = key_of(&errand.ask, choice.page_source())?;
        if matches!(errand.spare, Spare::No) {
            return None;
        }
        let page = match pages.get(&key).await {
            Lookup::Hit(page) => page,
            Lookup::Miss => {
                self.misses.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            Lookup::Lost => return None,
        };
        let is_old = page.fetched_at.millis() < self.trusted_since.load(Ordering::Relaxed);
        if is_old || !errand.spare.takes(&errand.ask, &page) {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let kept_at = Some(page.fetched_at);
        if let Some(answer) = answer_of(&errand.ask, key.source, page)
            && !is_childless(&errand.ask, &answer)
        {
            return Some(Landed {
                answer: Ok(answer),
                judged: Some(Ok(())),
                kept_at,
            });
        }
        pages.forget(&key).await;
        self.misses.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Takes the children of categories out of the shared cache: they came to nothing.
    pub(crate) async fn forget_children(&self, parents: &[i64], choice: SourceChoice) {
        let Some(pages) = &self.pages else { return };
        for parent in parents {
            let ask = Ask::Categories { parent: *parent };
            if let Some(key) = key_of(&ask, choice.page_source()) {
                pages.forget(&key).await;
            }
        }
    }

    /// Keeps what the site answered for other processes; only what can be read as what was asked.
    pub(crate) async fn keep(&self, errand: &Errand, landed: &Landed, now: catalog::Instant) {
        let (Some(pages), Ok(answer), None) = (&self.pages, &landed.answer, landed.kept_at) else {
            return;
        };
        if is_childless(&errand.ask, answer) {
            return;
        }
        let (status, page) = match answer {
            Answer::Good(page) if second_way::read(&errand.ask, page).is_ok() => {
                (Cached::Good, page)
            }
            Answer::Good(_) => return,
            Answer::Gone { page, .. } => (Cached::Gone, page),
        };
        let fingerprint = match errand.spare {
            // What is never taken from the cache tells nothing to others either.
            Spare::No => return,
            Spare::Since(_) => None,
            Spare::NotDue { fingerprint, .. } => fingerprint,
        };
        let Some(key) = key_of(&errand.ask, page.source) else {
            return;
        };
        let page = CachedPage {
            status,
            encoding: page.encoding,
            body: page.body.clone(),
            fetched_at: now,
            fingerprint,
        };
        pages.put(&key, &page).await;
    }
}

impl Spare {
    /// Whether a kept page will do.
    fn takes(&self, ask: &Ask, page: &CachedPage) -> bool {
        match *self {
            Self::No => false,
            Self::Since(since) => page.fetched_at >= since,
            Self::NotDue {
                fingerprint,
                now,
                ttl_millis,
            } => {
                let Ask::Detail { product, .. } = *ask else {
                    return false;
                };
                let candidate = Candidate {
                    product_id: product,
                    listed: true,
                    fingerprint,
                    last_detail: Some((page.fetched_at, page.fingerprint)),
                    first_seen: None,
                    deferred: false,
                    failed: false,
                };
                page.fetched_at <= now
                    && catalog::due(&candidate, DetailPolicy::Auto, now, ttl_millis).is_none()
            }
        }
    }
}

/// The cache's name for an answer.
fn key_of(ask: &Ask, source: PageSource) -> Option<PageKey> {
    let (kind, subject, spid) = match *ask {
        Ask::Categories { parent } => (CachedKind::Categories, parent, None),
        Ask::Detail { product, spid } => (CachedKind::Detail, product, spid),
        _ => return None,
    };
    Some(PageKey {
        kind,
        source: source.as_str(),
        subject,
        spid,
    })
}

/// Whether the children of a category are none, which may be a slip of the site.
fn is_childless(ask: &Ask, answer: &Answer) -> bool {
    let is_tree = matches!(ask, Ask::Categories { .. });
    is_tree && !matches!(answer, Answer::Good(page) if has_children(page))
}

/// The answer that a kept page stands for; `None` if it is none.
fn answer_of(ask: &Ask, source: &str, cached: CachedPage) -> Option<Answer> {
    let gone = cached.status == Cached::Gone;
    let unpacked =
        catalog::read_body(&cached.body, cached.encoding, &BodyLimits::default()).ok()?;
    let page = Page {
        status: if gone { 404 } else { 200 },
        body: cached.body,
        encoding: cached.encoding,
        unpacked: Bytes::from(unpacked),
        content_type: None,
        site_date: None,
        took: Duration::ZERO,
        source: PageSource::parse(source)?,
    };
    if gone {
        return Some(Answer::Gone { status: 404, page });
    }
    second_way::read(ask, &page)
        .is_ok()
        .then_some(Answer::Good(page))
}

/// What came of a request.
pub(crate) type Answered = std::result::Result<Answer, FetchError>;

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Some libraries repeat a cause in their own text.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}
