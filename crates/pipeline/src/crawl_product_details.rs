//! `crawl-product-details`: asks the details that are due, in the order of the plan.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use catalog::DetailPolicy;
use crawl::{Answer, Ask};
use serde_json::{Map, Value, json};
use warehouse::{DetailAnswer, DetailAsk, DetailOutcome, PageKind};

use crate::fetch::{Fare, Flight, Verdict, kept, seen};
use crate::report::{bounded, keys, round3};
use crate::site::{Errand, Landed, Spare, check_clock};
use crate::steps::Work;
use crate::{Error, Event, Exit, Result, Step};

/// Answers that one transaction stores at most, and how long an answer waits for others.
const BATCH: usize = 100;
const PATIENCE: Duration = Duration::from_millis(300);

/// Details claimed at once.
const CLAIM: i64 = 200;

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
            self.pipeline.tell(Event::Warning(text));
        }
        Ok(Exit::Done)
    }

    async fn ask_details(&self, fare: &mut Fare, total: u64) -> Result<()> {
        let mut flight = Flight::new(self.pipeline, self.scope.source()).await?;
        let mut queue: VecDeque<DetailAsk> = VecDeque::new();
        let mut batch = Batch::new();
        let mut ending: Option<Error> = None;
        let mut more = true;
        let mut done = 0;
        loop {
            ending = ending.or_else(|| self.check_stop().err());
            if ending.is_some() {
                // What is in flight is still stored; what was only claimed goes back.
                queue.clear();
            } else if more && queue.is_empty() && flight.len() < self.settings().workers {
                match self.warehouse().next_details(&self.attempt, CLAIM).await? {
                    Some(asks) => queue.extend(asks),
                    None => more = false,
                }
            }
            while flight.len() < self.settings().workers
                && let Some(ask) = queue.pop_front()
            {
                let errand = self.errand(&ask);
                flight.send(ask, errand);
            }
            if let Some((ask, answer)) = flight.land().await? {
                let (answer, refusal) = self.judge(ask, answer, fare)?;
                batch.add(answer);
                ending = ending.or(refusal);
                done += 1;
            }
            let idle = flight.is_empty() && queue.is_empty();
            if batch.is_ripe() || idle {
                self.warehouse()
                    .commit_details(&self.attempt, batch.take())
                    .await?;
                self.progress(Step::CrawlProductDetails, done, total.max(done));
            }
            match (idle, ending) {
                (true, Some(error)) => return Err(error),
                (true, None) if !more => return Ok(()),
                (true, None) => {
                    self.idle().await?;
                    ending = None;
                }
                (false, kept) => ending = kept,
            }
        }
    }

    /// A request, which a page of the shared cache may make unnecessary; never that of a recheck.
    fn errand(&self, ask: &DetailAsk) -> Errand {
        let (product, spid) = (ask.product_id, ask.spid);
        let spare = if ask.fingerprint.is_some() && self.scope.policy() == DetailPolicy::Auto {
            Spare::NotDue {
                fingerprint: ask.fingerprint,
                now: self.pipeline.clock().now(),
                ttl_millis: self.settings().detail_ttl_millis(),
            }
        } else {
            Spare::No
        };
        let ask = Ask::Detail { product, spid };
        Errand { ask, spare }
    }

    /// What became of a detail, and whether the site refuses.
    fn judge(
        &self,
        ask: DetailAsk,
        landed: Landed,
        fare: &mut Fare,
    ) -> Result<(DetailAnswer, Option<Error>)> {
        let at = landed
            .kept_at
            .unwrap_or_else(|| self.pipeline.clock().now());
        let page = match landed.answer {
            Ok(answer) => {
                check_clock(&answer, self.pipeline.clock())?;
                fare.answered();
                match answer {
                    Answer::Good(page) => page,
                    Answer::Gone { .. } => {
                        return Ok((
                            DetailAnswer {
                                ask,
                                at,
                                outcome: DetailOutcome::Gone,
                            },
                            None,
                        ));
                    }
                }
            }
            Err(error) => {
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
                    Verdict::Stop => DetailOutcome::Later {
                        seconds: 0.0,
                        counts: false,
                        error: text,
                    },
                };
                return Ok((DetailAnswer { ask, at, outcome }, refusal));
            }
        };
        let judged = catalog::judge_detail(&page.unpacked, ask.product_id);
        let page = kept(PageKind::Detail, ask.product_id, &page, at);
        let outcome = match judged {
            Ok(()) => DetailOutcome::Good(page),
            Err(rejection) => DetailOutcome::Rejected(rejection, page),
        };
        Ok((DetailAnswer { ask, at, outcome }, None))
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
            .step_seconds(&self.run.id, &self.attempt.step)
            .await?
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

/// Answers that wait to be stored together.
struct Batch {
    answers: Vec<DetailAnswer>,
    since: Instant,
}

impl Batch {
    fn new() -> Self {
        Self {
            answers: Vec::new(),
            since: Instant::now(),
        }
    }

    fn add(&mut self, answer: DetailAnswer) {
        if self.answers.is_empty() {
            self.since = Instant::now();
        }
        self.answers.push(answer);
    }

    fn is_ripe(&self) -> bool {
        self.answers.len() >= BATCH || (!self.answers.is_empty() && self.since.elapsed() > PATIENCE)
    }

    fn take(&mut self) -> Vec<DetailAnswer> {
        std::mem::take(&mut self.answers)
    }
}
