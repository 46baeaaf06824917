//! Asking for many things at once, and what a failure means for the next try.
//!
//! The listing's durable state counts the tries; there is one budget, and no retry anywhere else.
//!
//! Not here: which things (the steps).

use std::sync::Arc;
use std::time::Duration;

use catalog::Instant;
use crawl::{Backoff, FetchErrorKind, Page, PermitError, ProxyTrouble, Retry};
use tokio::task::JoinSet;
use tokio::time::Instant as Moment;
use tracing::Instrument;
use warehouse::{NewPage, PageKind};

use crate::second_way::{CLOSED_AFTER, SourceChoice};
use crate::site::{Errand, Landed, chain};
use crate::{Error, Pipeline, Result};

/// The longest wait after a first failure, and the longest of all.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_mins(1),
};

/// A site that refuses without saying for how long is left alone for so long.
pub(crate) const REFUSED_FOR: Duration = Duration::from_mins(15);

/// While the breaker is open, whether it is still is seen again after so long at the latest.
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// So many things in a row, each asked for the first time, that all brought the site's answer but no JSON:
/// it is a page that the site shows to us.
const NO_DATA_AFTER: u32 = CLOSED_AFTER;

/// The same of things to which the site said anything but an answer: it refuses in words of its own, or is in
/// trouble for all. More than a moment of trouble: the pace falls with each failure. That nothing came at all is the
/// breaker's to sit out: many requests in flight are lost in one moment.
const NO_ANSWER_AFTER: u32 = 20;

/// The cache tier of pages in Redis.
const SHARED_TIER: &str = "redis";

/// How long to wait for others who hold the rest.
pub(crate) const IDLE: Duration = Duration::from_millis(100);

/// What to do about a failed request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Ask again after so many seconds; whether the try counts.
    Again { seconds: f64, counts: bool },
    /// Give up.
    GiveUp,
    /// The site refuses: stop the step.
    Stop,
}

/// How a step's requests fare, to tell a bad day from a refusal.
#[derive(Debug)]
pub(crate) struct Fare {
    answered: u64,
    failed: u64,
    last_failure: String,
    /// The proxy that failed then, and how.
    last_proxy: Option<(String, ProxyTrouble)>,
    /// How long the site asked to be left alone, when it last said so.
    leave_alone: Option<Duration>,
    stalled_since: Option<Moment>,
    /// Things in the place of whose data something else came, since the last answer.
    no_data: u32,
    /// Things to which something else than an answer was said, since the last one.
    no_answer: u32,
}

impl Fare {
    pub(crate) fn new() -> Self {
        Self {
            answered: 0,
            failed: 0,
            last_failure: String::new(),
            last_proxy: None,
            leave_alone: None,
            stalled_since: None,
            no_data: 0,
            no_answer: 0,
        }
    }

    /// An answer came.
    pub(crate) fn answered(&mut self) {
        self.answered += 1;
        self.last_proxy = None;
        self.leave_alone = None;
        self.stalled_since = None;
        (self.no_data, self.no_answer) = (0, 0);
    }

    /// A request failed: what to do with it. It may be the matter of this one thing, until too many in a row
    /// failed.
    pub(crate) fn failed(
        &mut self,
        kind: &FetchErrorKind,
        seen: String,
        attempts: i64,
        settings: &crate::Settings,
    ) -> Verdict {
        let verdict = self.failed_alone(kind, seen, attempts, settings);
        // Another try of the same one is no further sign.
        if attempts == 0 {
            self.no_answer += u32::from(is_said(kind));
            self.no_data += u32::from(matches!(kind, FetchErrorKind::NotJson { .. }));
        }
        if self.no_data >= NO_DATA_AFTER || self.no_answer >= NO_ANSWER_AFTER {
            return Verdict::Stop;
        }
        verdict
    }

    fn failed_alone(
        &mut self,
        kind: &FetchErrorKind,
        seen: String,
        attempts: i64,
        settings: &crate::Settings,
    ) -> Verdict {
        self.note(kind, seen);
        let free = is_free(kind);
        if free {
            let since = *self.stalled_since.get_or_insert_with(Moment::now);
            let ahead = match kind.retry() {
                Retry::After(wait) => wait,
                _ => Duration::ZERO,
            };
            if since.elapsed() + ahead > settings.stall_limit {
                self.leave_alone = Some(ahead).filter(|wait| !wait.is_zero());
                return Verdict::Stop;
            }
        }
        if let FetchErrorKind::Permit(PermitError::Pause(wait)) = kind {
            return Verdict::Again {
                seconds: wait.min(&PAUSE_MOST).as_secs_f64(),
                counts: false,
            };
        }
        let attempt = u32::try_from(attempts + 1).unwrap_or(u32::MAX);
        let seconds = match kind.retry() {
            Retry::Stop => {
                // What an earlier failure asked for is not what this one does.
                self.leave_alone = None;
                return Verdict::Stop;
            }
            Retry::Never => {
                self.failed += 1;
                return Verdict::GiveUp;
            }
            Retry::After(wait) => {
                self.leave_alone = Some(wait);
                wait.as_secs_f64()
            }
            Retry::Backoff => BACKOFF.delay(attempt, chance()).as_secs_f64(),
        };
        if !free && attempts + 1 >= settings.max_attempts {
            self.failed += 1;
            return Verdict::GiveUp;
        }
        Verdict::Again {
            seconds,
            counts: !free,
        }
    }

    fn note(&mut self, kind: &FetchErrorKind, seen: String) {
        match kind {
            FetchErrorKind::Proxy { proxy, trouble } => {
                self.last_proxy = Some((proxy.clone(), trouble.clone()));
            }
            // That nobody may ask now is what came of the failure before.
            FetchErrorKind::Permit(_) => {}
            _ => self.last_proxy = None,
        }
        self.last_failure = seen;
    }

    /// An answer came that cannot be read: the next one may.
    pub(crate) fn unreadable(
        &mut self,
        seen: String,
        attempts: i64,
        settings: &crate::Settings,
    ) -> Verdict {
        (self.last_failure, self.last_proxy) = (seen, None);
        if attempts + 1 >= settings.max_attempts {
            self.failed += 1;
            return Verdict::GiveUp;
        }
        let attempt = u32::try_from(attempts + 1).unwrap_or(u32::MAX);
        let seconds = BACKOFF.delay(attempt, chance()).as_secs_f64();
        Verdict::Again {
            seconds,
            counts: true,
        }
    }

    /// Nothing could be read so far.
    pub(crate) fn is_vain(&self) -> bool {
        self.answered == 0
    }

    /// Nothing was answered although something was asked: the site cannot be reached.
    pub(crate) fn verdict(&self) -> Result<()> {
        if self.answered == 0 && self.failed > 0 {
            return Err(self.refusal());
        }
        Ok(())
    }

    /// What was seen of the last request that failed.
    pub(crate) fn last_failure(&self) -> &str {
        &self.last_failure
    }

    /// Requests that were given up.
    pub(crate) fn given_up(&self) -> u64 {
        self.failed
    }

    /// The site refuses or cannot be reached, with what was seen last.
    pub(crate) fn refusal(&self) -> Error {
        let retry_after = self.leave_alone.unwrap_or(REFUSED_FOR);
        match self.last_proxy.clone() {
            Some((proxy, trouble)) => Error::Proxy {
                proxy,
                trouble,
                retry_after,
            },
            None => Error::Refused {
                seen: self.last_failure.clone(),
                retry_after,
            },
        }
    }
}

/// Whether a failure costs no try: nothing was asked, or the site only wants to wait.
pub(crate) fn is_free(kind: &FetchErrorKind) -> bool {
    matches!(
        kind,
        FetchErrorKind::Throttled { .. } | FetchErrorKind::Permit(_)
    )
}

/// Whether the site said something that is no answer; else nothing came, or it only wants to wait.
fn is_said(kind: &FetchErrorKind) -> bool {
    matches!(
        kind,
        FetchErrorKind::Refused { .. }
            | FetchErrorKind::Server { .. }
            | FetchErrorKind::Redirect { .. }
            | FetchErrorKind::Status(_)
            | FetchErrorKind::Body(_)
            | FetchErrorKind::Encoding(_)
            | FetchErrorKind::NotJson { .. }
            | FetchErrorKind::NoState(_)
    )
}

/// A chance from 0 to 1: the jitter of a wait, of no consequence for any record.
fn chance() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// Requests in flight, each with what it was asked for.
pub(crate) struct Flight<T> {
    tasks: JoinSet<(T, Landed)>,
    site: Arc<crate::Site>,
    source: SourceChoice,
    clock: crate::Clock,
}

impl<T: Send + 'static> Flight<T> {
    pub(crate) async fn new(pipeline: &Pipeline, source: SourceChoice) -> Result<Self> {
        let site = pipeline.site()?;
        // A site that does not say what it allows ends the step before it begins.
        pipeline.robots().await?;
        Ok(Self {
            tasks: JoinSet::new(),
            site,
            source,
            clock: pipeline.clock().clone(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Sends a request, unless a kept page will do.
    pub(crate) fn send(&mut self, what: T, errand: Errand) {
        let site = Arc::clone(&self.site);
        let (source, clock) = (self.source, self.clock.clone());
        let work = async move {
            let landed = site.run(&errand, source).await;
            site.keep(&errand, &landed, clock.now()).await;
            (what, landed)
        };
        self.tasks.spawn(work.in_current_span());
    }

    /// The next answer, whichever comes first; `None` when nothing is in flight.
    pub(crate) async fn land(&mut self) -> Result<Option<(T, Landed)>> {
        match self.tasks.join_next().await {
            None => Ok(None),
            Some(Ok(landed)) => Ok(Some(landed)),
            Some(Err(error)) => Err(Error::Bug(format!("a request ended in a panic: {error}"))),
        }
    }
}

/// A refusal is kept until what is in flight has landed; any other error ends the step at once.
pub(crate) fn refusal(taken: Result<()>) -> Result<Option<Error>> {
    match taken {
        Ok(()) => Ok(None),
        Err(error) if error.retry_after().is_some() => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// A page as it is kept: the body as received, with the time it was fetched.
pub(crate) fn kept(kind: PageKind, subject: i64, page: &Page, fetched_at: Instant) -> NewPage {
    NewPage {
        kind,
        subject,
        source: page.source.as_str(),
        encoding: page.encoding,
        body: page.body.to_vec(),
        fetched_at,
    }
}

/// What failed, in one line.
pub(crate) fn seen(error: &crawl::FetchError) -> String {
    chain(error)
}

impl crate::steps::Work<'_> {
    /// Notes what the shared cache of pages had since the last time.
    pub(crate) async fn count_shared_cache(&self) -> Result<()> {
        let site = self.pipeline.site()?;
        let (hits, misses) = site.take_counts();
        if hits + misses > 0 {
            let counts = [(SHARED_TIER, hits, misses)];
            self.warehouse().count_cache(&self.attempt, &counts).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_does_not_take_the_wait_of_an_earlier_failure() {
        let settings = crate::Settings::new(std::path::PathBuf::new());
        let wait = Duration::from_secs(3);
        let busy = FetchErrorKind::Server {
            status: 503,
            retry_after: Some(wait),
        };
        let challenge = FetchErrorKind::Refused {
            status: Some(403),
            marker: "a challenge".into(),
            challenge: true,
        };
        let mut fare = Fare::new();
        fare.failed(&busy, String::new(), 0, &settings);
        assert_eq!(fare.refusal().retry_after(), Some(wait));
        let verdict = fare.failed(&challenge, String::new(), 0, &settings);
        assert_eq!(verdict, Verdict::Stop);
        assert_eq!(fare.refusal().retry_after(), Some(REFUSED_FOR));
        fare.failed(&busy, String::new(), 0, &settings);
        fare.answered();
        assert_eq!(fare.refusal().retry_after(), Some(REFUSED_FOR));
    }
}
