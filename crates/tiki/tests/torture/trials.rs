//! Trials, two at a time, and what they came to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Trials at a time: one waits for its server or its disk while the other works.
const AT_A_TIME: u64 = 2;

/// SplitMix64: the same moments in every session.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

/// How many trials there were, and which ended in another warehouse than an undisturbed run.
#[derive(Default)]
pub(crate) struct Tally {
    faults: AtomicU64,
    trials: AtomicU64,
    different: Mutex<Vec<String>>,
}

impl Tally {
    /// Counts a fault.
    pub(crate) fn fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Counts a trial that was resumed to its end.
    pub(crate) fn compare(&self, trial: &str, found: &str, expected: &str) {
        self.trials.fetch_add(1, Ordering::Relaxed);
        if found != expected {
            let mut different = self
                .different
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            different.push(format!("{trial}: {found}, not {expected}"));
        }
    }

    /// Prints what it came to, and fails if there was a difference.
    pub(crate) fn close(self, what: &str) {
        let (faults, trials) = (self.faults(), self.trials.into_inner());
        let different = self
            .different
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        println!(
            "{what}: {faults} faults in {trials} trials, {} differences",
            different.len()
        );
        assert!(different.is_empty(), "{what}: {different:#?}");
        assert!(faults > 0 && trials > 0, "{what}: nothing was tried");
    }
}

/// Makes trials 0, 1, 2 … until one says that it was the last, or fails.
pub(crate) fn in_turns(trial: impl Fn(u64) -> bool + Sync) {
    let (next, last) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                let _end = OnEnd(&last);
                while !last.load(Ordering::Relaxed) {
                    if !trial(next.fetch_add(1, Ordering::Relaxed)) {
                        return;
                    }
                }
            });
        }
    });
}

/// Says that it ends, however it does.
struct OnEnd<'a>(&'a AtomicBool);

impl Drop for OnEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
