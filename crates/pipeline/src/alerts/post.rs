//! Sending what is due: channels side by side, each of them one message after the other.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use warehouse::Warehouse;

use super::channel::{Channel, Sender};

/// The pauses between two tries; after the last one a delivery is given up.
pub const PAUSES: [Duration; 8] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    Duration::from_hours(24),
];

/// The longest time for which a channel is left alone because it asks for that.
const MOST_WAIT: Duration = Duration::from_hours(24);

/// How long noting what became of a message may take after its sender has run out of time.
const NOTING_SECONDS: u64 = 20;

/// What became of what was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// Taken by the other side.
    pub sent: u64,
    /// Tried in vain; tried again later, or given up.
    pub failed: u64,
}

impl Posted {
    /// Of all channels together; the first error, where there is one.
    pub(super) fn sum<E>(all: impl IntoIterator<Item = Result<Self, E>>) -> Result<Self, E> {
        all.into_iter().try_fold(Self::default(), |sum, one| {
            let one = one?;
            Ok(Self {
                sent: sum.sent + one.sent,
                failed: sum.failed + one.failed,
            })
        })
    }
}

impl Sender {
    /// Sends what is due within a time. A channel that fails is not tried with the next message.
    pub async fn post_due(
        &self,
        warehouse: &Warehouse,
        limit: Duration,
    ) -> warehouse::Result<Posted> {
        let end = Instant::now() + limit;
        let channels = self.channels().iter();
        let all = join_all(channels.map(|channel| self.post_to(warehouse, channel, end))).await;
        Posted::sum(all)
    }

    async fn post_to(
        &self,
        warehouse: &Warehouse,
        channel: &Channel,
        end: Instant,
    ) -> warehouse::Result<Posted> {
        let mut posted = Posted::default();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(posted);
            }
            let lease = i64::try_from(left.as_secs() + NOTING_SECONDS).unwrap_or(i64::MAX);
            let Some(claimed) = warehouse.claim_delivery(channel.name(), lease).await? else {
                return Ok(posted);
            };
            let left = end.saturating_duration_since(Instant::now());
            let Err(not) = self.post(channel, &claimed.alert, left).await else {
                warehouse.delivered(&claimed).await?;
                posted.sent += 1;
                continue;
            };
            tracing::warn!(
                channel = channel.name(),
                alert = claimed.alert.id,
                tries = claimed.tries,
                why = not.why,
                "an alert was not sent"
            );
            let pause = pause(claimed.tries, not.wait);
            warehouse.not_delivered(&claimed, &not.why, pause).await?;
            posted.failed += 1;
            return Ok(posted);
        }
    }
}

/// The seconds to wait after this try, from 1; `None`: it was the last one.
pub(super) fn pause(tries: i64, asked: Option<Duration>) -> Option<i64> {
    let index = usize::try_from(tries - 1).ok()?;
    let pause = PAUSES.get(index)?;
    let wait = asked.unwrap_or_default().min(MOST_WAIT).max(*pause);
    i64::try_from(wait.as_secs()).ok()
}
