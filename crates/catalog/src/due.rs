//! When a detail is due: the law *Listing first*.
//!
//! Not here: how many details a run may ask (its budget), asking them (`crawl`).

use xxhash_rust::xxh3::xxh3_64;

use crate::Instant;

/// Which details a run asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DetailPolicy {
    /// Those that can tell something new.
    #[default]
    Auto,
    /// Of every listed product.
    Always,
    /// None; no rechecks either.
    Never,
}

impl DetailPolicy {
    /// The word of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// The policy of a word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Auto, Self::Always, Self::Never]
            .into_iter()
            .find(|policy| policy.as_str() == word)
    }
}

/// Why a detail is due. Ordered by what it can teach; the first comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The product was never detailed.
    New,
    /// Its listing differs from the one at its last detail.
    Changed,
    /// It is followed and was not listed: only a detail tells whether it is gone.
    Recheck,
    /// A boundary of its own has passed since the last detail, or every detail is asked.
    Aged,
}

impl Reason {
    /// The word stored in `run_products.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Recheck => "recheck",
            Self::Aged => "aged",
        }
    }
}

/// What is known of a product when the plan is made.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The product.
    pub product_id: i64,
    /// Whether this run listed it.
    pub listed: bool,
    /// The fingerprint of its listing in this run.
    pub fingerprint: Option<i64>,
    /// When a detail last answered (*gone* counts), and the fingerprint then.
    pub last_detail: Option<(Instant, Option<i64>)>,
    /// When it was first seen; `None`: only now.
    pub first_seen: Option<Instant>,
    /// The run before had no room for its detail.
    pub deferred: bool,
    /// The run before asked for its detail in vain.
    pub failed: bool,
}

/// Why a product's detail is due now; `None`: it is not. `ttl_millis` is the time between two
/// boundaries, at least one millisecond.
pub fn due(
    candidate: &Candidate,
    policy: DetailPolicy,
    now: Instant,
    ttl_millis: i64,
) -> Option<Reason> {
    if policy == DetailPolicy::Never {
        return None;
    }
    if !candidate.listed {
        return Some(Reason::Recheck);
    }
    let Some((last, fingerprint)) = candidate.last_detail else {
        return Some(Reason::New);
    };
    if fingerprint != candidate.fingerprint {
        return Some(Reason::Changed);
    }
    let aged = boundary(candidate.product_id, now, ttl_millis)
        > boundary(candidate.product_id, last, ttl_millis);
    (aged || policy == DetailPolicy::Always).then_some(Reason::Aged)
}

/// The place of a detail in the plan, the lowest first: what the run before had no room for; then by
/// reason; then the one that was asked, or at least seen, longest ago. What failed in the run before comes
/// last: what the site never answers would else stand before all others every day.
pub fn rank(candidate: &Candidate, reason: Reason) -> i64 {
    const CLASS: i64 = 1_000_000_000_000_000;
    let class = match reason {
        _ if candidate.deferred => 0,
        _ if candidate.failed => 5,
        Reason::New => 1,
        Reason::Changed => 2,
        Reason::Recheck => 3,
        Reason::Aged => 4,
    };
    let asked = candidate.last_detail.map(|(at, _)| at);
    let since = asked.or(candidate.first_seen);
    class * CLASS + since.map_or(CLASS - 1, |at| at.millis().clamp(0, CLASS - 1))
}

/// How many of the product's boundaries lie before an instant. They are shifted by a hash of the id
/// over the whole time between two, so that a first day does not come back as one peak.
fn boundary(product_id: i64, at: Instant, ttl_millis: i64) -> i64 {
    let ttl = ttl_millis.max(1);
    let shift = (xxh3_64(&product_id.to_le_bytes()) % ttl.unsigned_abs()).cast_signed();
    at.millis().saturating_sub(shift).div_euclid(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn at(day: i64) -> Instant {
        Instant::from_millis(1_700_000_000_000 + day * DAY)
    }

    fn candidate(listed: bool, last: Option<(i64, i64)>) -> Candidate {
        Candidate {
            product_id: 42,
            listed,
            fingerprint: Some(1),
            last_detail: last.map(|(day, fingerprint)| (at(day), Some(fingerprint))),
            first_seen: None,
            deferred: false,
            failed: false,
        }
    }

    #[test]
    fn a_detail_is_due_when_it_can_tell_something_new() {
        use DetailPolicy::{Always, Auto, Never};
        for (name, candidate, policy, expected) in [
            (
                "never detailed",
                candidate(true, None),
                Auto,
                Some(Reason::New),
            ),
            (
                "listed otherwise",
                candidate(true, Some((0, 2))),
                Auto,
                Some(Reason::Changed),
            ),
            (
                "not listed",
                candidate(false, Some((0, 1))),
                Auto,
                Some(Reason::Recheck),
            ),
            ("asked just now", candidate(true, Some((10, 1))), Auto, None),
            (
                "asked long ago",
                candidate(true, Some((2, 1))),
                Auto,
                Some(Reason::Aged),
            ),
            (
                "always",
                candidate(true, Some((10, 1))),
                Always,
                Some(Reason::Aged),
            ),
            ("never", candidate(true, None), Never, None),
            ("never, not listed", candidate(false, None), Never, None),
        ] {
            assert_eq!(due(&candidate, policy, at(10), 7 * DAY), expected, "{name}");
        }
    }

    #[test]
    fn what_had_no_room_comes_first_what_failed_last_and_between_them_what_can_teach_most() {
        let deferred = Candidate {
            deferred: true,
            ..candidate(true, Some((9, 1)))
        };
        let failed = Candidate {
            failed: true,
            ..candidate(true, None)
        };
        let seen_before = Candidate {
            first_seen: Some(at(3)),
            ..candidate(true, None)
        };
        let order = [
            rank(&deferred, Reason::Aged),
            rank(&seen_before, Reason::New),
            rank(&candidate(true, None), Reason::New),
            rank(&candidate(true, Some((2, 2))), Reason::Changed),
            rank(&candidate(true, Some((5, 2))), Reason::Changed),
            rank(&candidate(false, Some((1, 1))), Reason::Recheck),
            rank(&candidate(true, Some((1, 1))), Reason::Aged),
            rank(&failed, Reason::New),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn a_first_day_does_not_come_back_as_one_peak() {
        let mut per_day = [0; 7];
        for product_id in 0..7000 {
            let candidate = Candidate {
                product_id,
                ..candidate(true, Some((0, 1)))
            };
            let day = (1..=7).find(|day| {
                due(&candidate, DetailPolicy::Auto, at(*day), 7 * DAY) == Some(Reason::Aged)
            });
            per_day[usize::try_from(day.unwrap() - 1).unwrap()] += 1;
        }
        assert!(
            per_day.iter().all(|count| (900..1100).contains(count)),
            "{per_day:?}"
        );
    }
}
