//! How fast the site is asked, as a setting. Keeping to it is the work of `gate` and the permit sources.

use std::time::Duration;

use crate::Origin;

/// The shortest time between two requests to a site that is not this machine.
pub const LEAST_SPACING: Duration = Duration::from_millis(200);

/// The longest time between two requests that can be asked for.
pub const MOST_SPACING: Duration = Duration::from_hours(1);

/// The time between two requests, over all workers and processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rate {
    /// As fast as answers come. For a loopback origin only; [`crate::Client::new`] refuses any other.
    Off,
    /// One request each so often. Not below [`LEAST_SPACING`] off this machine, which
    /// [`crate::Client::new`] checks again.
    Every(Duration),
}

/// A rate that the site may not be asked at.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RateError {
    /// Not a number of seconds from 0 to 3600.
    #[error("{0} is not a number of seconds between two requests (0 to 3600)")]
    NotSeconds(f64),
    /// 0 and an origin that is not this machine.
    #[error("a rate of 0 (off) is for a loopback origin only, and {0} is none")]
    Off(String),
    /// Under [`LEAST_SPACING`] and an origin that is not this machine.
    #[error("{seconds} s between two requests is too fast for {origin}: not below 0.2")]
    TooFast {
        /// What was wanted.
        seconds: f64,
        /// Of whom.
        origin: String,
    },
}

impl Rate {
    /// A rate of one request each `seconds` (0: off), if this origin may be asked so.
    pub fn new(seconds: f64, origin: &Origin) -> Result<Self, RateError> {
        let wanted = Duration::try_from_secs_f64(seconds).ok();
        let Some(spacing) = wanted.filter(|spacing| *spacing <= MOST_SPACING) else {
            return Err(RateError::NotSeconds(seconds));
        };
        let rate = if seconds == 0.0 {
            Self::Off
        } else {
            // A schedule counts in microseconds.
            Self::Every(spacing.max(Duration::from_micros(1)))
        };
        rate.check(origin)?;
        Ok(rate)
    }

    /// Whether this origin may be asked so, however the rate was made.
    pub(crate) fn check(self, origin: &Origin) -> Result<(), RateError> {
        if origin.is_loopback() {
            return Ok(());
        }
        match self {
            Self::Off => Err(RateError::Off(origin.to_string())),
            Self::Every(spacing) if spacing < LEAST_SPACING => Err(RateError::TooFast {
                seconds: spacing.as_secs_f64(),
                origin: origin.to_string(),
            }),
            Self::Every(_) => Ok(()),
        }
    }

    /// The time between two requests; `None` when off.
    pub fn spacing(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Every(spacing) => Some(spacing),
        }
    }
}

/// How many requests a second holds at this spacing, at least 1.
pub(crate) fn second_worth(spacing: Duration) -> u32 {
    let micros = spacing.as_micros().clamp(1, 1_000_000) as u32;
    1_000_000 / micros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_checked_against_its_origin() {
        let site = Origin::parse("https://tiki.vn").unwrap();
        let here = Origin::parse("http://127.0.0.1:1").unwrap();
        assert_eq!(Rate::new(0.0, &here), Ok(Rate::Off));
        assert_eq!(
            Rate::new(0.0025, &here),
            Ok(Rate::Every(Duration::from_micros(2500)))
        );
        assert_eq!(
            Rate::new(0.5, &site),
            Ok(Rate::Every(Duration::from_millis(500)))
        );
        assert_eq!(
            Rate::new(0.2, &site),
            Ok(Rate::Every(Duration::from_millis(200)))
        );
        assert!(matches!(Rate::new(0.0, &site), Err(RateError::Off(_))));
        assert!(matches!(
            Rate::new(0.199, &site),
            Err(RateError::TooFast { .. })
        ));
        for nonsense in [-1.0, f64::NAN, f64::INFINITY, 3601.0, 1e300] {
            assert!(matches!(
                Rate::new(nonsense, &here),
                Err(RateError::NotSeconds(_))
            ));
        }
    }

    #[test]
    fn a_second_holds_at_least_one_request() {
        for (spacing_ms, worth) in [(5000, 1), (1000, 1), (501, 1), (500, 2), (25, 40)] {
            assert_eq!(second_worth(Duration::from_millis(spacing_ms)), worth);
        }
        assert_eq!(second_worth(Duration::ZERO), 1_000_000);
    }
}
