//! `crawl-product-details`: asks the details that are due, in the order of the plan.

use serde_json::{Map, Value, json};
use tokio::time::MissedTickBehavior;
use warehouse::{DetailAnswer, DetailOutcome};

use crate::fetch::{Fare, IDLE, Verdict, is_free, seen};
use crate::report::{bounded, keys, round3};
use crate::steps::Work;
use crate::{Error, Exit, Result, Step};
use crew::{Crew, Landed};
use store::Store;

mod crew;
mod store;

/// More is claimed as soon as no more than this waits for a worker.
const LOW: usize = 100;

impl Work<'_> {
    /// Makes the plan and asks until nothing is due.
    pub(crate) async fn crawl_product_details(&self) -> Result<Exit> {
        self.plan().await?;
        let total = self
            .warehouse()
            .open_rows(&self.attempt)
            .await?
            .unsigned_abs();
        if total == 0 {
            return Ok(Exit::Done);
        }
        let mut fare = Fare::new();
        let asked = self.ask_details(&mut fare, total).await;
        self.count_shared_cache().await?;
        asked?;
        fare.verdict()?;
        if fare.given_up() > 0 {
            let text = format!("{} details could not be fetched", fare.given_up());
            self.warn(text);
        }
        Ok(Exit::Done)
    }

    async fn ask_details(&self, fare: &mut Fare, total: u64) -> Result<()> {
        let mut store = Store::new(self.warehouse(), &self.attempt);
        let asked = self.ask_and_store(&mut store, fare, total).await;
        // A transaction under way ends before the attempt does.
        let stored = store.ended().await;
        asked.and(stored.map(drop))
    }

    /// Keeps the workers busy while the warehouse stores and claims.
    async fn ask_and_store(&self, store: &mut Store, fare: &mut Fare, total: u64) -> Result<()> {
        let mut crew = Crew::new(self).await?;
        let mut ending: Option<Error> = None;
        let mut done = 0;
        // Few answers ring no bell, and neither do the wish to stop and the end of a wait.
        let mut tick = tokio::time::interval(IDLE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut idle = crew.is_at_rest();
            for landed in crew.landed() {
                match self.judge(landed, fare) {
                    Ok((answer, refusal)) => {
                        store.add(answer);
                        ending = ending.or(refusal);
                        done += 1;
                    }
                    // What landed before it is still stored.
                    Err(error) => ending = ending.or(Some(error)),
                }
            }
            ending = ending.or_else(|| self.check_stop().err());
            if ending.is_some() {
                // What is in flight is still stored; what was only claimed goes back.
                crew.recall();
            }
            crew.work();
            idle &= crew.is_at_rest();
            store.begin(idle, ending.is_none() && crew.queued() <= LOW);
            if idle && store.is_at_rest() {
                match ending {
                    Some(error) => return Err(error),
                    None if store.is_nothing_left() => return Ok(()),
                    None => {
                        self.idle().await?;
                        continue;
                    }
                }
            }
            tokio::select! {
                news = crew.news() => news?,
                claimed = store.ended(), if !store.is_at_rest() => {
                    crew.add(claimed?);
                    self.progress(Step::CrawlProductDetails, done, total.max(done));
                }
                _ = tick.tick() => {}
            }
        }
    }

    /// What became of a detail, and whether the site refuses.
    fn judge(&self, landed: Landed, fare: &mut Fare) -> Result<(DetailAnswer, Option<Error>)> {
        let Landed { ask, at, found } = landed;
        let error = match found? {
            Err(error) => error,
            Ok(outcome) => {
                fare.answered();
                return Ok((DetailAnswer { ask, at, outcome }, None));
            }
        };
        let text = seen(&error);
        let verdict = fare.failed(&error.kind, text.clone(), ask.attempts, self.settings());
        let refusal = (verdict == Verdict::Stop).then(|| fare.refusal());
        let outcome = match verdict {
            Verdict::GiveUp => DetailOutcome::Unfetched(text),
            Verdict::Again { seconds, counts } => DetailOutcome::Later {
                seconds,
                counts,
                error: text,
            },
            // A try that counts, so that it does not stop the next run before all others.
            Verdict::Stop => DetailOutcome::Later {
                seconds: 0.0,
                counts: !is_free(&error.kind),
                error: text,
            },
        };
        Ok((DetailAnswer { ask, at, outcome }, refusal))
    }

    /// Ends the asking and reports what became of each product.
    pub(crate) async fn settle_details(&self) -> Result<Map<String, Value>> {
        // A step that is closed without having run has no plan yet.
        self.plan().await?;
        let warehouse = self.warehouse();
        warehouse.settle_details(&self.attempt).await?;
        let totals = warehouse.identities(&self.run.id).await?;
        let (details, products) = (totals.details, totals.products);
        let answered = warehouse.answered_rechecks(&self.run.id).await?;
        let total = products.listed + products.rechecked;
        let succeeded = products.listed + answered;
        let elapsed = warehouse
            .worked(&self.attempt)
            .await?
            .claimed
            .unwrap_or(0.0);
        let rate = if elapsed > 0.0 {
            succeeded as f64 / elapsed
        } else {
            0.0
        };
        let stats = json!({
            "total": total,
            "succeeded": succeeded,
            "failed": total - succeeded,
            "good": details.good,
            "gone": details.gone,
            "rejected": details.rejected,
            "unfetched": details.unfetched,
            "deferred": details.deferred,
            "elapsed": round3(elapsed),
            "rate": round3(rate),
        });
        let limit = i64::try_from(self.settings().list_limit).unwrap_or(i64::MAX);
        let crawled = warehouse.crawled(&self.run.id, limit).await?;
        let list = crawled
            .into_iter()
            .map(|(id, detail)| json!({ "id": id, "detail": detail }));
        let list = bounded(list, self.settings().list_limit);
        Ok(keys([("crawled_products", list), ("crawl_stats", stats)]))
    }
}
