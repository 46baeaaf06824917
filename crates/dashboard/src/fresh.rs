//! One answer for all who ask at about the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// An answer that is kept for a while. While one caller makes it the others wait for the same, so however
/// many ask, it is made by one at a time and no more often than its life allows.
#[derive(Debug)]
pub(crate) struct Fresh<T> {
    life: Duration,
    kept: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Fresh<T> {
    /// Nothing yet.
    pub(crate) fn new(life: Duration) -> Self {
        Self {
            life,
            kept: Mutex::new(None),
        }
    }

    /// The kept answer if it is young enough, else a new one.
    pub(crate) async fn get(&self, make: impl Future<Output = T>) -> Arc<T> {
        let mut kept = self.kept.lock().await;
        if let Some((made, answer)) = kept.as_ref()
            && made.elapsed() < self.life
        {
            return Arc::clone(answer);
        }
        let answer = Arc::new(make.await);
        *kept = Some((Instant::now(), Arc::clone(&answer)));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_get_the_answer_that_one_of_them_makes() {
        let (fresh, made, go) = (
            Fresh::new(Duration::from_hours(1)),
            AtomicUsize::new(0),
            Notify::new(),
        );
        let ask = async || {
            let make = async {
                let number = made.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                number
            };
            *fresh.get(make).await
        };
        // Each is asked, in this order, before any is answered.
        let answers = tokio::join!(ask(), ask(), ask(), async {
            go.notify_one();
            7
        });
        assert_eq!(answers, (0, 0, 0, 7));
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_old_is_made_anew_and_one_that_nobody_waits_for_is_not_kept() {
        let fresh = Fresh::new(Duration::ZERO);
        assert_eq!(*fresh.get(async { 1 }).await, 1);
        assert_eq!(*fresh.get(async { 2 }).await, 2);
        let kept = Fresh::new(Duration::from_hours(1));
        let given_up = tokio::time::timeout(
            Duration::from_millis(1),
            kept.get(std::future::pending::<i32>()),
        );
        given_up.await.expect_err("it never ends");
        assert_eq!(*kept.get(async { 3 }).await, 3);
        assert_eq!(*kept.get(async { 4 }).await, 3);
    }
}
