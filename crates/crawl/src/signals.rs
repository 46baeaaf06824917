//! What the answers of this process say about how the site feels: whether to ask less, or not at all
//! for a while. No I/O and no clock.
//!
//! Not here: what comes of it for all processes (`pace`), and what an error means for the request
//! itself (`error`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::FetchErrorKind as Kind;
use crate::permit::Report;

/// So many answers in a row that ask for patience, or no connection so often, open the breaker.
const TRIP_AFTER: u32 = 8;

/// Failures are counted among so many answers.
const RECENT: u32 = 10;

/// So many failures among them are no accident.
const FAILURES: u32 = 2;

/// How fast answers come is known after so many.
const ANSWERS_KNOWN: u32 = 30;

/// A new answer moves the running mean by one part in so many.
const MEAN_OF: u32 = 8;

/// What is left of the rate after a 429, in thousandths.
const KEEP_THROTTLED: u16 = 500;

/// After failures.
const KEEP_FAILING: u16 = 700;

/// When answers become slow.
const KEEP_SLOW: u16 = 800;

/// The least by which answers have to become slower to mean something.
const SLOWER_BY: Duration = Duration::from_millis(250);

/// The signs seen so far, of one process.
pub(crate) struct Signals {
    /// How long the breaker opens at least.
    pause: Duration,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// 429, 503 and no connection since the last answer.
    in_a_row: u32,
    /// A bit for each of the last answers: whether it was a failure.
    recent: u16,
    latency: Latency,
}

/// How long answers take. Anything but a mean that doubles is noise: pages differ in size.
#[derive(Default)]
struct Latency {
    answers: u32,
    mean: Duration,
    /// The least that the mean was since enough answers are known.
    least: Duration,
}

/// One answer, as far as it is a sign.
enum Sign {
    /// An answer that can be believed, and how long it took.
    Good(Duration),
    /// 429, with the time to stay away.
    Throttled(Option<Duration>),
    /// 503, with the time to stay away.
    Busy(Option<Duration>),
    /// No connection.
    Unreachable,
    /// Another 5xx, a time-out, a connection that broke.
    Failure,
    /// A challenge or a refusal: the step stops by itself.
    Refused,
    /// The site answered, though with nothing to believe.
    Strange,
}

impl Signals {
    /// No answer yet. `pause`: the first pause of the breaker, and the shortest.
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            seen: Mutex::default(),
        }
    }

    /// Counts an answer that took so long or failed so, and says what all processes should know.
    /// `probe`: its request was the probe of a breaker that is half open.
    pub(crate) fn note(&self, answer: Result<Duration, &Kind>, probe: bool) -> Option<Report> {
        let sign = sign(answer)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let slower = seen.slower(&sign);
        let asked_to_wait = match sign {
            Sign::Throttled(wait) | Sign::Busy(wait) => wait.filter(|wait| !wait.is_zero()),
            _ => None,
        };
        let answered = matches!(sign, Sign::Good(_) | Sign::Strange);
        if probe && answered {
            return Some(Report::Mended);
        }
        if !probe && asked_to_wait.is_none() && seen.in_a_row < TRIP_AFTER {
            return slower;
        }
        *seen = Seen::default();
        let least = asked_to_wait.unwrap_or_default().max(self.pause);
        Some(Report::Trip { least, probe })
    }
}

impl Seen {
    fn slower(&mut self, sign: &Sign) -> Option<Report> {
        match sign {
            Sign::Good(_) => self.in_a_row = 0,
            Sign::Throttled(_) | Sign::Busy(_) | Sign::Unreachable => self.in_a_row += 1,
            Sign::Failure | Sign::Refused | Sign::Strange => {}
        }
        let failed = matches!(sign, Sign::Busy(_) | Sign::Failure);
        self.recent = (self.recent << 1 | u16::from(failed)) & ((1 << RECENT) - 1);
        let keep_permille = match sign {
            Sign::Throttled(_) => KEEP_THROTTLED,
            _ if failed && self.recent.count_ones() >= FAILURES => KEEP_FAILING,
            Sign::Good(took) if self.latency.rose(*took) => KEEP_SLOW,
            _ => return None,
        };
        Some(Report::Slower { keep_permille })
    }
}

impl Latency {
    /// Takes in an answer. Where it shows that answers have become slow, the counting begins anew: what
    /// is slow now is usual then.
    fn rose(&mut self, took: Duration) -> bool {
        self.answers += 1;
        if self.answers == 1 {
            self.mean = took;
        }
        self.mean = (self.mean * (MEAN_OF - 1) + took) / MEAN_OF;
        if self.answers <= ANSWERS_KNOWN {
            self.least = self.mean;
            return false;
        }
        self.least = self.least.min(self.mean);
        let rose = self.mean > self.least * 2 && self.mean > self.least + SLOWER_BY;
        if rose {
            *self = Self::default();
        }
        rose
    }
}

/// `None`: nothing was sent, so there was no answer.
fn sign(answer: Result<Duration, &Kind>) -> Option<Sign> {
    Some(match answer {
        Ok(took) => Sign::Good(took),
        Err(Kind::Permit(_) | Kind::Refused { status: None, .. }) => return None,
        Err(Kind::Throttled { retry_after }) => Sign::Throttled(*retry_after),
        Err(Kind::Server {
            status: 503,
            retry_after,
        }) => Sign::Busy(*retry_after),
        Err(Kind::Connect(_) | Kind::Proxy { .. }) => Sign::Unreachable,
        Err(Kind::Server { .. } | Kind::Timeout(_) | Kind::Interrupted(_)) => Sign::Failure,
        Err(Kind::Refused { .. }) => Sign::Refused,
        Err(_) => Sign::Strange,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);
    const MINUTE: Duration = Duration::from_mins(1);
    const QUICK: Result<Duration, Kind> = Ok(Duration::from_millis(100));

    fn throttled(retry_after: Option<Duration>) -> Result<Duration, Kind> {
        Err(Kind::Throttled { retry_after })
    }

    fn server(status: u16, retry_after: Option<Duration>) -> Result<Duration, Kind> {
        Err(Kind::Server {
            status,
            retry_after,
        })
    }

    fn strange() -> Result<Duration, Kind> {
        Err(Kind::Status(400))
    }

    fn slower(keep_permille: u16) -> Report {
        Report::Slower { keep_permille }
    }

    fn trip(least: Duration, probe: bool) -> Report {
        Report::Trip { least, probe }
    }

    #[test]
    fn answers_in_a_row_say_what_all_should_know() {
        let timeout = || Err(Kind::Timeout(PAUSE));
        let refused = || {
            Err(Kind::Refused {
                status: Some(403),
                marker: String::new(),
                challenge: false,
            })
        };
        for (name, answers, last) in [
            ("one 429", vec![throttled(None)], Some(slower(500))),
            (
                "a 429 with a time",
                vec![throttled(Some(MINUTE))],
                Some(trip(MINUTE, false)),
            ),
            (
                "a 503 with a short time",
                vec![server(503, Some(PAUSE / 30))],
                Some(trip(PAUSE, false)),
            ),
            ("a 500 with a time", vec![server(500, Some(MINUTE))], None),
            (
                "a 429 with no time to wait",
                vec![throttled(Some(Duration::ZERO))],
                Some(slower(500)),
            ),
            ("one 5xx", vec![QUICK, server(502, None)], None),
            (
                "two failures",
                vec![server(500, None), QUICK, timeout()],
                Some(slower(700)),
            ),
            (
                "a good one after two",
                vec![timeout(), timeout(), QUICK],
                None,
            ),
            ("refusals", (0..20).map(|_| refused()).collect(), None),
            ("nonsense", (0..20).map(|_| strange()).collect(), None),
            (
                "seven 429",
                (0..7).map(|_| throttled(None)).collect(),
                Some(slower(500)),
            ),
            (
                "eight 429",
                (0..8).map(|_| throttled(None)).collect(),
                Some(trip(PAUSE, false)),
            ),
            (
                "eight 503",
                (0..8).map(|_| server(503, None)).collect(),
                Some(trip(PAUSE, false)),
            ),
            (
                "twenty 500",
                (0..20).map(|_| server(500, None)).collect(),
                Some(slower(700)),
            ),
        ] {
            let signals = Signals::new(PAUSE);
            let mut said = None;
            for answer in &answers {
                said = signals.note(answer.as_ref().copied(), false);
            }
            assert_eq!(said, last, "{name}");
        }
    }

    #[test]
    fn only_answers_in_a_row_open_the_breaker() {
        let signals = Signals::new(PAUSE);
        for round in 0..5 {
            for _ in 0..7 {
                let said = signals.note(throttled(None).as_ref().copied(), false);
                assert_eq!(said, Some(slower(500)), "{round}");
            }
            assert_eq!(signals.note(QUICK.as_ref().copied(), false), None);
        }
    }

    #[test]
    fn a_failure_is_forgotten_after_ten_answers() {
        let signals = Signals::new(PAUSE);
        for _ in 0..10 {
            assert_eq!(
                signals.note(server(500, None).as_ref().copied(), false),
                None
            );
            for _ in 0..9 {
                assert_eq!(signals.note(QUICK.as_ref().copied(), false), None);
            }
        }
    }

    #[test]
    fn a_probe_decides() {
        let never_sent = Err(Kind::Permit(crate::PermitError::Void));
        for (answer, said) in [
            (QUICK, Some(Report::Mended)),
            (strange(), Some(Report::Mended)),
            (throttled(None), Some(trip(PAUSE, true))),
            (throttled(Some(MINUTE)), Some(trip(MINUTE, true))),
            (server(500, None), Some(trip(PAUSE, true))),
            (Err(Kind::Timeout(PAUSE)), Some(trip(PAUSE, true))),
            (never_sent, None),
        ] {
            let signals = Signals::new(PAUSE);
            assert_eq!(
                signals.note(answer.as_ref().copied(), true),
                said,
                "{answer:?}"
            );
        }
    }

    #[test]
    fn answers_that_become_slow_are_a_sign_once() {
        for (before, after, signs) in [
            (100, 100, 0),
            (100, 190, 0),
            // Twice as slow, but by nothing that anybody feels.
            (10, 200, 0),
            (100, 1000, 1),
            (400, 790, 0),
            (400, 1000, 1),
        ] {
            let signals = Signals::new(PAUSE);
            for _ in 0..40 {
                let took = Duration::from_millis(before);
                assert_eq!(signals.note(Ok(took), false), None);
            }
            let slow =
                (0..200).filter_map(|_| signals.note(Ok(Duration::from_millis(after)), false));
            let said: Vec<_> = slow.collect();
            assert_eq!(said.len(), signs, "{before} ms, then {after} ms");
            assert!(said.iter().all(|report| *report == slower(800)));
        }
    }
}
