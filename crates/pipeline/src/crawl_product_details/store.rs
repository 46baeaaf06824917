//! Storing details and claiming the next ones beside the asking, so that neither waits for the other.
//!
//! One thing is under way at a time: what has landed is stored, then more is claimed if it is wanted.
//! So what waits here is never more than a claim and what is in flight.
//!
//! Not here: asking, and what an answer is worth (`crawl_product_details`).

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use warehouse::{Attempt, DetailAnswer, DetailAsk, DetailOutcome, Warehouse};

use crate::fetch::IDLE;
use crate::{Error, Result};

/// Answers that are worth a transaction, also by the bytes of their bodies, and how long fewer wait for
/// others.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// Details claimed at once.
const CLAIM: i64 = 500;

/// What was claimed; the inner `None`: nothing is left; the outer: nothing was wanted.
type Claimed = Option<Option<Vec<DetailAsk>>>;

/// The warehouse's side of asking details.
pub(super) struct Store {
    warehouse: Warehouse,
    attempt: Attempt,
    landed: Vec<DetailAnswer>,
    landed_bytes: usize,
    /// When the first of `landed` came.
    since: Instant,
    /// When it makes sense to claim again.
    claim_from: Instant,
    nothing_left: bool,
    under_way: Option<JoinHandle<Result<Claimed>>>,
}

impl Store {
    pub(super) fn new(warehouse: &Warehouse, attempt: &Attempt) -> Self {
        Self {
            warehouse: warehouse.clone(),
            attempt: attempt.clone(),
            landed: Vec::new(),
            landed_bytes: 0,
            since: Instant::now(),
            claim_from: Instant::now(),
            nothing_left: false,
            under_way: None,
        }
    }

    /// Takes an answer, to be stored with others.
    pub(super) fn add(&mut self, answer: DetailAnswer) {
        if self.landed.is_empty() {
            self.since = Instant::now();
        }
        if let DetailOutcome::Good(page) | DetailOutcome::Rejected(_, page) = &answer.outcome {
            self.landed_bytes += page.body.len();
        }
        self.landed.push(answer);
    }

    /// Whether nothing is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.under_way.is_none()
    }

    /// Whether a claim found that nothing is left to ask, nor claimed by anybody.
    pub(super) fn is_nothing_left(&self) -> bool {
        self.nothing_left
    }

    /// Begins what there is to do, if it is at rest: to store (`all`: however little has landed), and
    /// to claim where that is wanted and may find something.
    pub(super) fn begin(&mut self, all: bool, wants: bool) {
        let many = self.landed.len() >= BATCH || self.landed_bytes >= BATCH_BYTES;
        let few = !many && !all && self.since.elapsed() < PATIENCE;
        let stores = !self.landed.is_empty() && !few;
        // What is stored may be the last that kept a claim from finding that nothing is left.
        let may_find = Instant::now() >= self.claim_from || (stores && all);
        let claims = wants && !self.nothing_left && may_find;
        if self.under_way.is_some() || !(stores || claims) {
            return;
        }
        let landed = if stores {
            self.landed_bytes = 0;
            std::mem::take(&mut self.landed)
        } else {
            Vec::new()
        };
        let (warehouse, attempt) = (self.warehouse.clone(), self.attempt.clone());
        let work = async move {
            if stores {
                warehouse.commit_details(&attempt, landed).await?;
            }
            if !claims {
                return Ok(None);
            }
            Ok(Some(warehouse.next_details(&attempt, CLAIM).await?))
        };
        // SQLite works in the thread that asks it, so that is none of those that serve requests.
        let runtime = Handle::current();
        self.under_way = Some(spawn_blocking(move || runtime.block_on(work)));
    }

    /// Waits for the end of what is under way, and hands out what it claimed. Dropping the future
    /// loses nothing.
    pub(super) async fn ended(&mut self) -> Result<Vec<DetailAsk>> {
        let Some(task) = &mut self.under_way else {
            return Ok(Vec::new());
        };
        let ended = task.await;
        self.under_way = None;
        let ended = ended.map_err(|error| Error::Bug(format!("storing ended: {error}")))?;
        let asks = match ended? {
            None => return Ok(Vec::new()),
            Some(None) => {
                self.nothing_left = true;
                return Ok(Vec::new());
            }
            Some(Some(asks)) => asks,
        };
        if asks.is_empty() {
            // Others hold the rest, or it waits for its next try.
            self.claim_from = Instant::now() + IDLE;
        }
        Ok(asks)
    }
}
