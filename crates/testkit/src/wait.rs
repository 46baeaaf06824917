//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// Returns once `condition` holds; asked every 10 ms, at most for `limit`.
///
/// Blocks the thread. Panics after `limit`, saying `what` was waited for.
pub fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(limit, condition),
        "waited {limit:?} in vain for: {what}"
    );
}

/// Whether `condition` came to hold within `limit`; asked every 10 ms.
pub(crate) fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if begun.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
