//! The plan of a run: which details it asks, why, and in which order.
//!
//! Not here: when a detail is due (`catalog`), asking (`crawl_product_details`).

use catalog::{Candidate, DetailPolicy, due, rank};
use warehouse::{KnownProduct, PlannedProduct};

use crate::steps::Work;
use crate::{Error, Result};

/// Candidates that one transaction plans.
const STRETCH: i64 = 1000;

/// What stands in the ledger when a plan is whole.
const WHOLE: &str = "whole";

/// How far a plan has come: the half, and the last product of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Listed(i64),
    Unlisted(i64),
}

impl Place {
    fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self::Listed(0));
        };
        let (half, id) = text.split_once(' ').unwrap_or((text, ""));
        match (half, id.parse()) {
            ("listed", Ok(id)) => Ok(Self::Listed(id)),
            ("unlisted", Ok(id)) => Ok(Self::Unlisted(id)),
            _ => Err(Error::Bug(format!("{text:?} is no place in a plan"))),
        }
    }

    fn print(self) -> String {
        match self {
            Self::Listed(id) => format!("listed {id}"),
            Self::Unlisted(id) => format!("unlisted {id}"),
        }
    }
}

impl Work<'_> {
    /// Makes the plan, or goes on where it stopped.
    pub(crate) async fn plan(&self) -> Result<()> {
        let warehouse = self.warehouse();
        let step = warehouse.step(&self.run.id, &self.attempt.step).await?;
        let planned_to = step.and_then(|step| step.planned_to);
        if planned_to.as_deref() == Some(WHOLE) {
            return Ok(());
        }
        // A run of chosen categories follows their products alone.
        let chosen = !self.scope.categories.is_empty();
        let mut place = Place::parse(planned_to.as_deref())?;
        loop {
            self.check_stop()?;
            let candidates = match place {
                Place::Listed(after) => {
                    warehouse
                        .listed_products(&self.run.id, after, STRETCH)
                        .await?
                }
                Place::Unlisted(_) if self.scope.policy() == DetailPolicy::Never => Vec::new(),
                Place::Unlisted(after) => {
                    warehouse
                        .unlisted_products(&self.run.id, after, STRETCH, chosen)
                        .await?
                }
            };
            let Some(last) = candidates.last().map(|last| last.product_id) else {
                match place {
                    Place::Listed(_) => place = Place::Unlisted(0),
                    Place::Unlisted(_) => break,
                }
                continue;
            };
            let planned: Vec<PlannedProduct> = candidates
                .into_iter()
                .map(|candidate| self.decide(candidate))
                .collect();
            place = match place {
                Place::Listed(_) => Place::Listed(last),
                Place::Unlisted(_) => Place::Unlisted(last),
            };
            warehouse
                .commit_plan(&self.attempt, &planned, &place.print())
                .await?;
        }
        let budget = self.settings().detail_budget;
        Ok(warehouse.end_plan(&self.attempt, budget, WHOLE).await?)
    }

    fn decide(&self, known: KnownProduct) -> PlannedProduct {
        let candidate = Candidate {
            product_id: known.product_id,
            listed: known.listed_in.is_some(),
            fingerprint: known.fingerprint,
            last_detail: known.last_detail,
            first_seen: known.first_seen,
            deferred: known.deferred,
            failed: known.failed,
        };
        let ttl = self.settings().detail_ttl_millis();
        let reason = due(&candidate, self.scope.policy(), self.run.clock_at, ttl);
        PlannedProduct {
            rank: reason.map_or(0, |reason| rank(&candidate, reason)),
            reason: reason.map(catalog::Reason::as_str),
            known,
        }
    }
}
