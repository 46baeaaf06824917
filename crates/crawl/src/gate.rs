//! The hands in which this process holds its permits. Which slots there are is the source's decision
//! (`permit`, `redis_permits`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::Backoff;
use crate::permit::{Grant, HostPermit, PERMIT_VALID, PermitError, PermitSource};
use crate::rate::{MOST_SPACING, Rate, second_worth};

/// The shortest wait before a source with a full schedule is asked again.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// How long a source may take to answer before it counts as failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How often one worker may miss its slot in a row.
const MOST_MISSES: u32 = 10;

/// Waits between two tries with a source that fails.
const SOURCE_BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

/// Gives permits to the workers of this process; clones are the same gate.
///
/// It asks the source for as many slots as workers wait, a second's worth at most, and lets each worker
/// go at its slot. It is never open: while the source fails, everybody waits, and after the patience
/// (10 s unless set) everybody is told.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    rate: Rate,
    source: Option<Arc<dyn PermitSource>>,
    patience: Duration,
    /// The spacing that robots.txt demands, in microseconds.
    least_spacing_us: AtomicU64,
    waiting: Mutex<VecDeque<oneshot::Sender<Result<Slot, PermitError>>>>,
    /// Whoever holds it asks the source, for all who wait.
    turn: tokio::sync::Mutex<Trouble>,
}

/// When one request may be sent.
#[derive(Clone, Copy, Debug)]
struct Slot {
    from: Instant,
    void_after: Instant,
}

/// Since when the source fails.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    failures: u32,
}

impl Gate {
    /// A gate for a rate. A rate that is off needs no source; any other without one gives no permit.
    pub fn new(rate: Rate, source: Option<Arc<dyn PermitSource>>) -> Self {
        Self::with_patience(rate, source, Duration::from_secs(10))
    }

    /// The same, with the time for which a failing source is asked again before workers are told.
    pub fn with_patience(
        rate: Rate,
        source: Option<Arc<dyn PermitSource>>,
        patience: Duration,
    ) -> Self {
        let inner = Inner {
            rate,
            source,
            patience,
            least_spacing_us: AtomicU64::new(0),
            waiting: Mutex::new(VecDeque::new()),
            turn: tokio::sync::Mutex::new(Trouble::default()),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The rate that it was made for.
    pub fn rate(&self) -> Rate {
        self.inner.rate
    }

    /// Whether permits can come at all.
    pub(crate) fn has_source(&self) -> bool {
        self.inner.rate == Rate::Off || self.inner.source.is_some()
    }

    /// From now on never closer together than this, whatever the rate (robots.txt's Crawl-delay; zero
    /// takes it back, an hour is the most). A rate that is off stays off.
    pub fn space_at_least(&self, spacing: Duration) {
        let micros = spacing.min(MOST_SPACING).as_micros() as u64;
        self.inner.least_spacing_us.store(micros, Ordering::Relaxed);
    }

    /// The spacing in force; `None` when the rate is off.
    pub fn spacing(&self) -> Option<Duration> {
        let least = Duration::from_micros(self.inner.least_spacing_us.load(Ordering::Relaxed));
        self.inner.rate.spacing().map(|spacing| spacing.max(least))
    }

    /// Waits for leave to send one request. Dropping the future gives the place up; nobody else loses
    /// by it.
    pub async fn permit(&self) -> Result<HostPermit, PermitError> {
        if self.inner.rate == Rate::Off {
            return Ok(HostPermit::new(None));
        }
        let Some(source) = &self.inner.source else {
            return Err(PermitError::NoSource);
        };
        for _ in 0..MOST_MISSES {
            let slot = self.slot(source.as_ref()).await?;
            sleep_until(slot.from).await;
            let permit = HostPermit::new(Some(slot.void_after));
            if !permit.is_void() {
                return Ok(permit);
            }
            tracing::debug!("a permit became void before it could be used");
        }
        Err(PermitError::Void)
    }

    /// Queues for a slot. One of the waiting asks the source for all of them; if it is dropped, the
    /// next one does.
    async fn slot(&self, source: &dyn PermitSource) -> Result<Slot, PermitError> {
        let (sender, mut mine) = oneshot::channel();
        self.queue().push_back(sender);
        tokio::select! {
            biased;
            slot = &mut mine => slot.unwrap_or(Err(PermitError::Void)),
            mut trouble = self.inner.turn.lock() => loop {
                match mine.try_recv() {
                    Ok(slot) => break slot,
                    Err(oneshot::error::TryRecvError::Closed) => break Err(PermitError::Void),
                    Err(oneshot::error::TryRecvError::Empty) => {}
                }
                self.ask(source, &mut trouble).await;
            },
        }
    }

    /// Asks the source once, and hands out what it granted or waits before the next time.
    async fn ask(&self, source: &dyn PermitSource, trouble: &mut Trouble) {
        let spacing = self.spacing().unwrap_or(MOST_SPACING);
        let want = self.count_waiting().min(second_worth(spacing));
        let begun = Instant::now();
        let taken = timeout(ANSWER_LIMIT, source.take(want, spacing)).await;
        let error = match taken {
            Ok(Ok(grant)) if grant.age <= PERMIT_VALID || grant.count == 0 => {
                *trouble = Trouble::default();
                if grant.count == 0 {
                    sleep(grant.wait.clamp(LEAST_PAUSE, MOST_SPACING)).await;
                } else {
                    self.hand_out(grant, want);
                }
                return;
            }
            Ok(Ok(grant)) => PermitError::Late(grant.age),
            Ok(Err(error)) => error,
            Err(_) => PermitError::Late(begun.elapsed()),
        };
        self.bear(error, trouble).await;
    }

    /// Waits before a failing source is asked again, or tells everybody when patience has ended.
    async fn bear(&self, error: PermitError, trouble: &mut Trouble) {
        let since = *trouble.since.get_or_insert_with(Instant::now);
        trouble.failures += 1;
        let left = self.inner.patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            *trouble = Trouble::default();
            for sender in self.queue().drain(..) {
                // A worker that went away needs no answer.
                drop(sender.send(Err(error.clone())));
            }
            return;
        }
        if trouble.failures == 1 {
            tracing::warn!(%error, "no request goes out until the source of permits answers");
        }
        sleep(SOURCE_BACKOFF.delay(trouble.failures, 1.0).min(left)).await;
    }

    fn hand_out(&self, grant: Grant, want: u32) {
        let now = Instant::now();
        let first = now + grant.wait.min(MOST_SPACING);
        let spacing = grant.spacing.min(MOST_SPACING);
        let valid = PERMIT_VALID.saturating_sub(grant.age);
        let mut queue = self.queue();
        for number in 0..grant.count.min(want) {
            let from = first + spacing * number;
            let mut slot = Ok(Slot {
                from,
                void_after: from + valid,
            });
            // Whoever went away meanwhile does not cost the next one a slot.
            while let Some(sender) = queue.pop_front() {
                match sender.send(slot) {
                    Ok(()) => break,
                    Err(returned) => slot = returned,
                }
            }
        }
    }

    fn count_waiting(&self) -> u32 {
        let mut queue = self.queue();
        queue.retain(|sender| !sender.is_closed());
        // The one who asks is among them.
        u32::try_from(queue.len()).unwrap_or(u32::MAX).max(1)
    }

    fn queue(
        &self,
    ) -> std::sync::MutexGuard<'_, VecDeque<oneshot::Sender<Result<Slot, PermitError>>>> {
        self.inner
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("rate", &self.inner.rate)
            .finish_non_exhaustive()
    }
}
