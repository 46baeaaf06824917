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
use crate::pace::{Breaker, Pace};
use crate::permit::{Grant, HostPermit, PERMIT_VALID, PermitError, PermitSource, Report};
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
    /// How often the breaker was found or made open: slots from before are void.
    trips: AtomicU64,
    /// The pace where no source keeps one, as the rate is off: only its breaker counts.
    own_pace: Mutex<Pace>,
    begun: Instant,
}

/// When one request may be sent.
#[derive(Clone, Copy, Debug)]
struct Slot {
    from: Instant,
    void_after: Instant,
    trips: u64,
    probe: bool,
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
            trips: AtomicU64::new(0),
            own_pace: Mutex::new(Pace::default()),
            begun: Instant::now(),
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

    /// Waits for leave to send one request, unless the breaker is open: then it says so at once.
    /// Dropping the future gives the place up; nobody else loses by it.
    pub async fn permit(&self) -> Result<HostPermit, PermitError> {
        if self.inner.rate == Rate::Off {
            return self.own_permit();
        }
        let Some(source) = &self.inner.source else {
            return Err(PermitError::NoSource);
        };
        for _ in 0..MOST_MISSES {
            let slot = self.slot(source.as_ref()).await?;
            sleep_until(slot.from).await;
            let permit = HostPermit::new(Some(slot.void_after), slot.probe);
            // Whoever has the probe goes while all others are held.
            let is_held = !slot.probe && slot.trips != self.trips();
            if !permit.is_void() && !is_held {
                return Ok(permit);
            }
            tracing::debug!("a permit became void before it could be used");
        }
        Err(PermitError::Void)
    }

    /// A permit where nothing is rationed; the breaker of this process alone decides.
    fn own_permit(&self) -> Result<HostPermit, PermitError> {
        let (mut pace, now) = (self.own_pace(), self.now_micros());
        let probe = match pace.breaker(now) {
            Breaker::Open { left } => return Err(PermitError::Pause(left)),
            Breaker::HalfOpen => {
                pace.take_probe(now);
                true
            }
            Breaker::Closed => false,
        };
        Ok(HostPermit::new(None, probe))
    }

    /// Tells all processes what an answer said about the site.
    pub(crate) async fn report(&self, report: Report) {
        match report {
            Report::Slower { keep_permille } => {
                tracing::debug!(keep_permille, "the site shows signs of strain");
            }
            Report::Trip { probe, .. } => {
                tracing::warn!(probe, "the site is left alone for a while");
            }
            Report::Mended => tracing::info!("the site answers again"),
        }
        if self.inner.rate == Rate::Off {
            let now = self.now_micros();
            return self.own_pace().apply(report, now);
        }
        let Some(source) = &self.inner.source else {
            return;
        };
        let trip = matches!(report, Report::Trip { .. });
        self.tripped(trip);
        let told = timeout(ANSWER_LIMIT, source.report(report)).await;
        // Also what was granted before the source knew.
        self.tripped(trip);
        let error = match told {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => PermitError::Late(ANSWER_LIMIT),
        };
        tracing::warn!(%error, ?report, "the other processes do not know");
    }

    fn trips(&self) -> u64 {
        self.inner.trips.load(Ordering::SeqCst)
    }

    fn tripped(&self, tripped: bool) {
        self.inner.trips.fetch_add(tripped.into(), Ordering::SeqCst);
    }

    fn own_pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        let pace = self.inner.own_pace.lock();
        pace.unwrap_or_else(PoisonError::into_inner)
    }

    fn now_micros(&self) -> i64 {
        i64::try_from(self.inner.begun.elapsed().as_micros()).unwrap_or(i64::MAX)
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
        let (trips, begun) = (self.trips(), Instant::now());
        let taken = timeout(ANSWER_LIMIT, source.take(want, spacing)).await;
        let error = match taken {
            Ok(Ok(grant)) if grant.age <= PERMIT_VALID || grant.count == 0 => {
                *trouble = Trouble::default();
                if grant.count == 0 {
                    sleep(grant.wait.clamp(LEAST_PAUSE, MOST_SPACING)).await;
                } else {
                    self.hand_out(grant, want, trips);
                }
                return;
            }
            Ok(Ok(grant)) => PermitError::Late(grant.age),
            Ok(Err(error @ PermitError::Pause(_))) => {
                *trouble = Trouble::default();
                self.tripped(true);
                return self.tell_all(&error);
            }
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
            return self.tell_all(&error);
        }
        if trouble.failures == 1 {
            tracing::warn!(%error, "no request goes out until the source of permits answers");
        }
        sleep(SOURCE_BACKOFF.delay(trouble.failures, 1.0).min(left)).await;
    }

    fn tell_all(&self, error: &PermitError) {
        for sender in self.queue().drain(..) {
            // A worker that went away needs no answer.
            drop(sender.send(Err(error.clone())));
        }
    }

    fn hand_out(&self, grant: Grant, want: u32, trips: u64) {
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
                trips,
                probe: grant.probe,
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
