//! Requests in flight: workers that take asks from one queue and put down what came of them.
//!
//! A worker goes on by itself, so whoever looks after them all is woken once for many answers, not for
//! each. What cannot be told from the answer alone is left to the step: after a failure no worker takes
//! another ask until it has looked.
//!
//! Not here: what a failure means (`fetch`), storing (`store`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalog::{DetailPolicy, Instant};
use crawl::{Answer, Ask, FetchError};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::Instrument;
use warehouse::{DetailAsk, DetailOutcome, PageKind};

use crate::fetch::kept;
use crate::second_way::Judged;
use crate::site::{Errand, Spare};
use crate::steps::Work;
use crate::{Clock, Error, Result, Site, SourceChoice};

/// Answers that are worth a look.
const MANY: usize = 100;

/// What came of one ask.
pub(super) struct Landed {
    pub(super) ask: DetailAsk,
    /// When it came.
    pub(super) at: Instant,
    /// The outer error: the clocks differ, so nothing can be believed.
    pub(super) found: Result<std::result::Result<DetailOutcome, FetchError>>,
}

/// Workers and what they work on.
pub(super) struct Crew {
    tasks: JoinSet<()>,
    most: usize,
    desk: Arc<Desk>,
}

/// What all workers share.
struct Desk {
    site: Arc<Site>,
    source: SourceChoice,
    /// The time between two boundaries of a detail, milliseconds; `None`: no kept page will do.
    ttl_millis: Option<i64>,
    clock: Clock,
    /// Rung when there is something to look at.
    bell: Notify,
    papers: Mutex<Papers>,
}

#[derive(Default)]
struct Papers {
    queue: VecDeque<DetailAsk>,
    /// No more than were ever claimed and not yet looked at.
    landed: Vec<Landed>,
    /// Something failed that nobody has looked at.
    on_hold: bool,
}

impl Crew {
    /// A crew of as many workers as the settings say; nobody works yet.
    pub(super) async fn new(work: &Work<'_>) -> Result<Self> {
        let site = work.pipeline.site()?;
        // A site that does not say what it allows ends the step before it begins.
        work.pipeline.robots().await?;
        let takes_kept = work.scope.policy() == DetailPolicy::Auto;
        let desk = Desk {
            site,
            source: work.scope.source(),
            ttl_millis: takes_kept.then(|| work.settings().detail_ttl_millis()),
            clock: work.pipeline.clock().clone(),
            bell: Notify::new(),
            papers: Mutex::default(),
        };
        Ok(Self {
            tasks: JoinSet::new(),
            most: work.settings().workers,
            desk: Arc::new(desk),
        })
    }

    /// Asks that no worker has taken.
    pub(super) fn queued(&self) -> usize {
        self.desk.papers().queue.len()
    }

    pub(super) fn add(&self, asks: Vec<DetailAsk>) {
        self.desk.papers().queue.extend(asks);
    }

    /// Forgets what no worker has taken.
    pub(super) fn recall(&self) {
        self.desk.papers().queue.clear();
    }

    /// Whether nobody works; then everything has landed that was taken.
    pub(super) fn is_at_rest(&self) -> bool {
        self.tasks.is_empty()
    }

    /// What has landed since the last time.
    pub(super) fn landed(&self) -> Vec<Landed> {
        std::mem::take(&mut self.desk.papers().landed)
    }

    /// Lets as many work as there is work for. Ends a hold, so first look at what has landed.
    pub(super) fn work(&mut self) {
        let free = self.most.saturating_sub(self.tasks.len());
        let hands = {
            let mut papers = self.desk.papers();
            papers.on_hold = false;
            free.min(papers.queue.len())
        };
        for _ in 0..hands {
            let worker = Arc::clone(&self.desk).serve();
            self.tasks.spawn(worker.in_current_span());
        }
    }

    /// Waits until there is something to look at. Dropping the future loses nothing.
    pub(super) async fn news(&mut self) -> Result<()> {
        tokio::select! {
            () = self.desk.bell.notified() => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                ended.map_err(|error| Error::Bug(format!("a request ended in a panic: {error}")))
            }
        }
    }
}

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One worker, until nothing is left to take.
    async fn serve(self: Arc<Self>) {
        while let Some(ask) = self.take() {
            let landed = self.fetch(ask).await;
            self.put(landed);
        }
    }

    fn take(&self) -> Option<DetailAsk> {
        let mut papers = self.papers();
        if papers.on_hold {
            return None;
        }
        let ask = papers.queue.pop_front();
        if papers.queue.len() == super::LOW {
            self.bell.notify_one();
        }
        ask
    }

    fn put(&self, landed: Landed) {
        let failed = !matches!(landed.found, Ok(Ok(_)));
        let mut papers = self.papers();
        papers.landed.push(landed);
        papers.on_hold |= failed;
        if failed || papers.landed.len() == MANY {
            self.bell.notify_one();
        }
    }

    async fn fetch(&self, ask: DetailAsk) -> Landed {
        let errand = self.errand(&ask);
        let landed = self.site.run(&errand, self.source).await;
        let now = self.clock.now();
        let at = landed.kept_at.unwrap_or(now);
        self.site.keep(&errand, &landed, now).await;
        let judged = landed.judged;
        let found = match landed.answer {
            Err(error) => Ok(Err(error)),
            Ok(answer) => {
                let checked = self.site.clock().check(&answer, &self.clock);
                checked.map(|()| Ok(outcome(answer, judged, &ask, at)))
            }
        };
        Landed { ask, at, found }
    }

    /// A request, which a page of the shared cache may make unnecessary; never that of a recheck.
    fn errand(&self, ask: &DetailAsk) -> Errand {
        let spare = match (self.ttl_millis, ask.fingerprint) {
            (Some(ttl_millis), Some(_)) => Spare::NotDue {
                fingerprint: ask.fingerprint,
                now: self.clock.now(),
                ttl_millis,
            },
            _ => Spare::No,
        };
        let (product, spid) = (ask.product_id, ask.spid);
        Errand {
            ask: Ask::Detail { product, spid },
            spare,
            attempts: ask.attempts,
        }
    }
}

/// What an answer of the site says of a detail.
fn outcome(answer: Answer, judged: Judged, ask: &DetailAsk, at: Instant) -> DetailOutcome {
    let page = match answer {
        Answer::Good(page) => page,
        Answer::Gone { .. } => return DetailOutcome::Gone,
    };
    let judged = judged.unwrap_or_else(|| catalog::judge_detail(&page.unpacked, ask.product_id));
    let page = kept(PageKind::Detail, ask.product_id, &page, at);
    match judged {
        Ok(()) => DetailOutcome::Good(page),
        Err(rejection) => DetailOutcome::Rejected(rejection, page),
    }
}
