//! What a permit is and where permits come from. Waiting for them is in `gate`; the source in Redis
//! is in `redis_permits`, the one in the warehouse in `pipeline`.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// How long a permit holds from the moment of its slot; unused by then it is void.
///
/// This is the whole burst of the law of rate. Slots themselves lie strictly a spacing apart, so the
/// requests of any second belong to slots of 1.1 seconds: a second's worth and a tenth of one.
pub const PERMIT_VALID: Duration = Duration::from_millis(100);

/// How far ahead of its clock a source may grant. So a schedule that was lost (a flushed Redis,
/// another source) can begin anew after a second and a spacing of silence, and no slot of the old one
/// is left.
pub const SCHEDULE_AHEAD: Duration = Duration::from_secs(1);

/// A stretch of the schedule of all processes: `count` slots, `spacing` apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// How many slots, at most as many as were wanted. 0: the schedule is full for the next second.
    pub count: u32,
    /// From now to the first slot; with a `count` of 0, to the moment when asking again makes sense.
    pub wait: Duration,
    /// From slot to slot. A source may space wider than asked, never closer.
    pub spacing: Duration,
    /// The most time that may have passed since the source read its clock, so by how much the slots
    /// may lie earlier than `wait` says. What is older than [`PERMIT_VALID`] is void. Zero if the clock
    /// was read in this process just now.
    pub age: Duration,
    /// The one probe of a breaker that is half open; `count` is 1 then.
    pub probe: bool,
}

/// What answers say about how the site feels, for all processes to keep to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// Ask less.
    Slower {
        /// So many thousandths of the rate in force.
        keep_permille: u16,
    },
    /// Open the breaker.
    Trip {
        /// For at least so long.
        least: Duration,
        /// Whether it was the probe of a half-open breaker that failed.
        probe: bool,
    },
    /// The probe was answered well: close the breaker.
    Mended,
}

/// The future answer of a [`PermitSource`].
pub type Taking<'a> = Pin<Box<dyn Future<Output = Result<Grant, PermitError>> + Send + 'a>>;

/// The end of telling a [`PermitSource`] something.
pub type Reporting<'a> = Pin<Box<dyn Future<Output = Result<(), PermitError>> + Send + 'a>>;

/// The one place where permits of all processes come from: Redis ([`crate::RedisPermits`]) or a row of
/// the warehouse.
///
/// A source grants every slot once, none earlier than a spacing after the one before it, none earlier
/// than now, and none later than [`SCHEDULE_AHEAD`] from now. One that cannot know what was granted
/// before begins empty, [`SCHEDULE_AHEAD`] and a spacing from now.
///
/// One that keeps the [`crate::Pace`] of all processes spaces slots wider by the share in force, grants
/// nothing while the breaker is open, and a single slot, as a probe, when it is half open.
pub trait PermitSource: Send + Sync {
    /// Takes up to `want` (at least 1) slots. Answers within a few seconds, if with an error;
    /// [`PermitError::Pause`] while the breaker is open.
    fn take(&self, want: u32, spacing: Duration) -> Taking<'_>;

    /// Takes in what all processes should keep to. A source that keeps no pace forgets it.
    fn report(&self, report: Report) -> Reporting<'_> {
        tracing::debug!(?report, "nobody keeps a pace");
        Box::pin(async { Ok(()) })
    }
}

/// Why there is no permit, and so no request. Cheap to clone: all who wait are told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PermitError {
    /// A rate without a place to keep it in.
    #[error("a rate needs a source of permits, and there is none")]
    NoSource,
    /// The source does not answer, or not as it should.
    #[error("no permit: {what}")]
    Source {
        /// What was tried, with whom; without secrets.
        what: String,
        /// What came of it.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The source answers, but so late that its slots have passed.
    #[error("no permit: the source answered after {} ms, and a slot is void after {}", .0.as_millis(), PERMIT_VALID.as_millis())]
    Late(Duration),
    /// The breaker is open: nobody may ask for so long. The source does not fail; it says so.
    #[error("the site is left alone for another {} s", .0.as_secs_f64().ceil())]
    Pause(Duration),
    /// This process slept through each slot that it was given.
    #[error("no permit could be used in time: this machine is too busy")]
    Void,
}

impl PermitError {
    /// A source that failed: what was tried, and what came of it.
    pub fn source(what: impl Into<String>, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Source {
            what: what.into(),
            source: Arc::new(source),
        }
    }
}

/// Leave to send one request now. Made by [`crate::Gate::permit`] only, and given up by sending.
#[must_use = "a permit that is not used is lost to all processes"]
pub struct HostPermit {
    void_after: Option<Instant>,
    probe: bool,
}

impl HostPermit {
    pub(crate) fn new(void_after: Option<Instant>, probe: bool) -> Self {
        Self { void_after, probe }
    }

    /// Whether its request is the one that decides if the breaker closes.
    pub fn is_probe(&self) -> bool {
        self.probe
    }

    /// Whether its time has passed. A permit of a rate that is off never is.
    pub fn is_void(&self) -> bool {
        self.void_after.is_some_and(|end| Instant::now() > end)
    }
}

impl fmt::Debug for HostPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostPermit")
            .field("void", &self.is_void())
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}
