//! How fast the site may be asked just now, and whether at all: a share of the rate that is cut at signs
//! of trouble and grows back (additive increase, multiplicative decrease), and a circuit breaker.
//!
//! Not here: what counts as trouble (`signals`), where a pace is kept (the sources of permits; the
//! gate for a rate that is off), and any clock: every `now_micros` is the time of the one clock that
//! belongs to the place where the pace is kept.

use std::time::Duration;

use crate::permit::Report;
use crate::rate::MOST_SPACING;

/// The whole rate, in thousandths.
pub const FULL_SHARE: u16 = 1000;

/// The least that is left of a rate: a thirty-second.
pub const LEAST_SHARE: u16 = 31;

/// The most that is asked right after a breaker has closed.
const MENDED_SHARE: u16 = 500;

/// A thousandth of the rate comes back each so often: half of it in 100 s.
const RECOVERY_MICROS: i64 = 200_000;

/// Answers in flight tell of the same trouble, so cuts count once in so long.
const CUT_MICROS: i64 = 1_000_000;

/// How long a probe may take before another one goes.
pub const PROBE_TIME: Duration = Duration::from_secs(30);

/// Doubling ends here.
const MOST_DOUBLED: Duration = Duration::from_mins(15);

/// The longest pause: what a `Retry-After` is believed for at most.
pub const MOST_PAUSE: Duration = Duration::from_hours(1);

/// The pace of all processes, as numbers to keep in one place. Times are microseconds of one clock.
///
/// Any numbers are a pace: one that lies in the future, because its clock was set back, is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The share of the rate at `share_at_micros`, in thousandths.
    pub share: u16,
    /// When the share was last cut.
    pub share_at_micros: i64,
    /// While the breaker is open or its probe under way: until when nobody asks.
    pub open_until_micros: i64,
    /// The last pause of a breaker that has not closed again; 0: it is closed.
    pub pause_micros: i64,
}

/// The state of the circuit breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breaker {
    /// Requests go out.
    Closed,
    /// Nobody asks, also while a probe is under way.
    Open {
        /// For so long.
        left: Duration,
    },
    /// The pause is over: one request may go, and decides ([`Pace::take_probe`]).
    HalfOpen,
}

impl Default for Pace {
    /// The whole rate, and a closed breaker.
    fn default() -> Self {
        Self {
            share: FULL_SHARE,
            share_at_micros: 0,
            open_until_micros: 0,
            pause_micros: 0,
        }
    }
}

impl Pace {
    /// The share of the rate now, in thousandths, [`LEAST_SHARE`] to [`FULL_SHARE`]. It grows by 50
    /// each 10 s since it was cut: from a half to the whole in 100 s.
    pub fn share(&self, now_micros: i64) -> u16 {
        let since = now_micros.saturating_sub(self.share_at_micros);
        let stored = self.share.clamp(LEAST_SHARE, FULL_SHARE);
        let missing = i64::from(FULL_SHARE - stored);
        let back = since / RECOVERY_MICROS;
        // So far in the future that no recovery lasts as long: the clock was set back.
        if back >= missing || back < -i64::from(FULL_SHARE) {
            return FULL_SHARE;
        }
        stored + u16::try_from(back).unwrap_or(0)
    }

    /// The time from request to request, given that of the whole rate; [`MOST_SPACING`] at most.
    pub fn spacing(&self, full: Duration, now_micros: i64) -> Duration {
        let wide = full.saturating_mul(FULL_SHARE.into()) / u32::from(self.share(now_micros));
        wide.min(MOST_SPACING.max(full))
    }

    /// Whether anybody may ask now.
    pub fn breaker(&self, now_micros: i64) -> Breaker {
        if self.pause_micros <= 0 {
            return Breaker::Closed;
        }
        let left = self.open_until_micros.saturating_sub(now_micros);
        // Twice as long as any pause: the clock was set back.
        if left <= 0 || left > 2 * micros(MOST_PAUSE) {
            return Breaker::HalfOpen;
        }
        Breaker::Open {
            left: Duration::from_micros(left.unsigned_abs()),
        }
    }

    /// What a report makes of it.
    pub fn apply(&mut self, report: Report, now_micros: i64) {
        match report {
            Report::Slower { keep_permille } => self.cut(keep_permille, now_micros),
            Report::Trip { least, probe } => self.trip(least, probe, now_micros),
            Report::Mended => self.mend(now_micros),
        }
    }

    /// Keeps only so many thousandths of the share; not within a second of the cut before.
    pub fn cut(&mut self, keep_permille: u16, now_micros: i64) {
        let since = now_micros.saturating_sub(self.share_at_micros);
        if (0..CUT_MICROS).contains(&since) {
            return;
        }
        let kept = u32::from(self.share(now_micros)) * u32::from(keep_permille.min(FULL_SHARE));
        self.set_share((kept / u32::from(FULL_SHARE)) as u16, now_micros);
    }

    /// Opens the breaker for at least `least` ([`MOST_PAUSE`] at most). Each time that it opens before it
    /// has closed doubles the pause, up to 15 minutes.
    ///
    /// `probe`: it was the probe that failed. Any other answer that comes while it is open was under
    /// way before, so it says nothing new, but for how long to stay away.
    pub fn trip(&mut self, least: Duration, probe: bool, now_micros: i64) {
        let least = micros(least.min(MOST_PAUSE)).max(1);
        let is_open = matches!(self.breaker(now_micros), Breaker::Open { .. });
        if is_open && !probe {
            let until = now_micros.saturating_add(least);
            self.open_until_micros = self.open_until_micros.max(until);
            return;
        }
        let doubled = self
            .pause_micros
            .saturating_mul(2)
            .min(micros(MOST_DOUBLED));
        self.pause_micros = least.max(doubled);
        self.open_until_micros = now_micros.saturating_add(self.pause_micros);
    }

    /// Takes the one probe of a breaker that is half open: for [`PROBE_TIME`] nobody else asks. If
    /// nothing is heard of it by then, another one may go.
    pub fn take_probe(&mut self, now_micros: i64) {
        self.open_until_micros = now_micros.saturating_add(micros(PROBE_TIME));
    }

    /// Closes the breaker after a probe that was answered well, at half the rate at most.
    pub fn mend(&mut self, now_micros: i64) {
        if self.pause_micros <= 0 {
            return;
        }
        (self.pause_micros, self.open_until_micros) = (0, 0);
        self.set_share(self.share(now_micros).min(MENDED_SHARE), now_micros);
    }

    fn set_share(&mut self, share: u16, now_micros: i64) {
        self.share = share.max(LEAST_SHARE);
        self.share_at_micros = now_micros;
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    /// A time of day, in microseconds.
    const NOON: i64 = 1_767_000_000 * SECOND;

    #[derive(Clone, Copy)]
    enum Do {
        Cut(u16),
        /// For at least so many seconds.
        Trip(u64),
        ProbeFails(u64),
        TakeProbe,
        Mend,
        Wait,
    }
    use Do::{Cut, Mend, ProbeFails, TakeProbe, Trip, Wait};

    fn act(pace: &mut Pace, action: Do, now: i64) {
        let trip = |least, probe| Report::Trip {
            least: Duration::from_secs(least),
            probe,
        };
        match action {
            Cut(keep_permille) => pace.apply(Report::Slower { keep_permille }, now),
            Trip(least) => pace.apply(trip(least, false), now),
            ProbeFails(least) => pace.apply(trip(least, true), now),
            TakeProbe => pace.take_probe(now),
            Mend => pace.apply(Report::Mended, now),
            Wait => {}
        }
    }

    #[test]
    fn a_share_is_cut_at_once_and_comes_back_slowly() {
        let mut pace = Pace::default();
        for (ms, action, share) in [
            (0, Wait, 1000),
            (0, Cut(500), 500),
            // In flight when it was cut.
            (10, Cut(500), 500),
            (999, Cut(500), 504),
            (10_000, Wait, 550),
            (99_800, Wait, 999),
            (100_000, Wait, 1000),
            (900_000, Wait, 1000),
            (900_000, Cut(800), 800),
            (901_000, Cut(500), 402),
            (902_000, Cut(0), LEAST_SHARE),
            (903_000, Cut(500), LEAST_SHARE),
            (913_000, Wait, 81),
            (1_100_000, Cut(2000), 1000),
        ] {
            let now = NOON + ms * 1000;
            act(&mut pace, action, now);
            assert_eq!(pace.share(now), share, "at {ms} ms");
        }
    }

    #[test]
    fn a_breaker_opens_lets_one_probe_through_and_closes() {
        let open = |seconds| Breaker::Open {
            left: Duration::from_secs(seconds),
        };
        let mut pace = Pace::default();
        for (second, action, state) in [
            (0, Mend, Breaker::Closed),
            (0, Trip(30), open(30)),
            // Under way when it opened: no doubling, but a longer time is heard.
            (5, Trip(20), open(25)),
            (6, Trip(40), open(40)),
            (45, Wait, open(1)),
            (46, Wait, Breaker::HalfOpen),
            (50, TakeProbe, open(30)),
            (55, ProbeFails(30), open(60)),
            (115, TakeProbe, open(30)),
            // The probe was lost.
            (145, Wait, Breaker::HalfOpen),
            (145, TakeProbe, open(30)),
            (146, ProbeFails(30), open(120)),
            (266, TakeProbe, open(30)),
            (267, ProbeFails(300), open(300)),
            (567, TakeProbe, open(30)),
            (568, ProbeFails(30), open(600)),
            (1168, ProbeFails(30), open(900)),
            (2068, ProbeFails(30), open(900)),
            (2968, ProbeFails(3600), open(3600)),
            (6568, ProbeFails(9999), open(3600)),
            (10_168, TakeProbe, open(30)),
            (10_169, Mend, Breaker::Closed),
            // Closed in between: it begins anew.
            (10_170, Trip(30), open(30)),
            // Another process reads the clock a little late or early.
            (10_171, Trip(3600), open(3600)),
            (10_170, Wait, open(3601)),
            (13_771, Trip(30), open(60)),
        ] {
            let now = NOON + second * SECOND;
            act(&mut pace, action, now);
            assert_eq!(pace.breaker(now), state, "at {second} s");
        }
    }

    #[test]
    fn a_mended_breaker_begins_at_a_half_at_most() {
        for (cut, share) in [(1000, 500), (800, 500), (100, 100)] {
            let mut pace = Pace::default();
            pace.cut(cut, NOON);
            pace.trip(Duration::from_micros(5), false, NOON);
            pace.mend(NOON);
            assert_eq!(pace.share(NOON), share);
            assert_eq!(pace.share(NOON + 10 * SECOND), share + 50);
        }
    }

    #[test]
    fn a_share_widens_the_spacing() {
        let (full, hour) = (Duration::from_millis(200), MOST_SPACING);
        for (share, full, spacing) in [
            (1000, full, full),
            (500, full, full * 2),
            (31, full, Duration::from_nanos(6_451_612_903)),
            (0, full, Duration::from_nanos(6_451_612_903)),
            (9999, full, full),
            (500, hour, hour),
            (1000, Duration::ZERO, Duration::ZERO),
        ] {
            let pace = Pace {
                share,
                share_at_micros: NOON,
                ..Pace::default()
            };
            assert_eq!(pace.spacing(full, NOON), spacing, "{share}");
        }
    }

    #[test]
    fn any_numbers_are_a_pace_and_none_holds_for_ever() {
        let numbers = [i64::MIN, -1, 0, 1, NOON, i64::MAX];
        for now in numbers {
            for (share, at) in [0, 31, 999, 1000, 1001, u16::MAX].into_iter().zip(numbers) {
                for until in numbers {
                    for pause in numbers {
                        let mut pace = Pace {
                            share,
                            share_at_micros: at,
                            open_until_micros: until,
                            pause_micros: pause,
                        };
                        assert!((LEAST_SHARE..=FULL_SHARE).contains(&pace.share(now)));
                        if let Breaker::Open { left } = pace.breaker(now) {
                            assert!(left <= MOST_PAUSE * 2);
                        }
                        for action in [Cut(1), TakeProbe, Trip(9), ProbeFails(1), Mend] {
                            act(&mut pace, action, now);
                        }
                    }
                }
            }
        }
        // A clock that was set back by a day.
        let mut pace = Pace::default();
        pace.cut(100, NOON);
        pace.trip(MOST_PAUSE, false, NOON);
        let before = NOON - 86_400 * SECOND;
        assert_eq!(pace.share(before), FULL_SHARE);
        assert_eq!(pace.breaker(before), Breaker::HalfOpen);
    }
}
