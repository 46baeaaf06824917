//! The wish to stop: said once, heard between batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A wish to stop; clones are the same wish.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    said: AtomicBool,
    bell: Notify,
}

impl Stop {
    /// Says it.
    pub fn say(&self) {
        self.inner.said.store(true, Ordering::SeqCst);
        self.inner.bell.notify_waiters();
    }

    /// Whether it was said.
    pub fn is_said(&self) -> bool {
        self.inner.said.load(Ordering::SeqCst)
    }

    /// Waits until it is said.
    pub async fn heard(&self) {
        loop {
            let bell = self.inner.bell.notified();
            if self.is_said() {
                return;
            }
            bell.await;
        }
    }
}
