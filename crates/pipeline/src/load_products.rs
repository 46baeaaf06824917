//! `load-products`: merges staged products into the warehouse's present and history.

use serde_json::{Map, Value, json};
use warehouse::{GoneCounts, Merge};

use crate::report::{keys, round3};
use crate::steps::Work;
use crate::transform_products::{CATEGORIES, record};
use crate::{Exit, Result, Step};

/// Under so many known products a run may believe this many 404s.
const FEW_KNOWN: i64 = 50;
const FEW_GONE: i64 = 5;

/// What stands in the ledger about a run's 404s.
const BELIEVED: &str = "gone believed";
const DOUBTED: &str = "gone doubted";

impl Work<'_> {
    /// Loads batches until nothing is staged.
    pub(crate) async fn load_products(&self) -> Result<Exit> {
        self.check_drift().await?;
        let believe_gone = self.believes_gone().await?;
        let total = self
            .warehouse()
            .open_rows(&self.attempt)
            .await?
            .unsigned_abs();
        let leaves = self.warehouse().leaves(CATEGORIES).await?;
        let derive = |product| record(product, &leaves);
        let mut done = 0;
        loop {
            self.check_stop()?;
            let merge = Merge {
                believe_gone,
                now: self.pipeline.clock().now(),
            };
            let loaded = self
                .warehouse()
                .load_deriving(&self.attempt, &merge, &derive)
                .await?;
            match loaded {
                None => break,
                Some(outcomes) if outcomes.is_empty() => self.idle().await?,
                Some(outcomes) => done += outcomes.len() as u64,
            }
            self.progress(Step::LoadProducts, done, total.max(done));
        }
        self.quality(believe_gone).await
    }

    /// Whether what was loaded is as good as it should be.
    async fn quality(&self, believe_gone: bool) -> Result<Exit> {
        let totals = self.warehouse().identities(&self.run.id).await?;
        let (products, details, items) = (totals.products, totals.details, totals.items);
        let limit = self.settings().max_rejected_percent;
        let mut exit = Exit::Done;
        for (what, rejected, all) in [
            (
                "products",
                products.rejected,
                products.listed + products.rechecked,
            ),
            (
                "details that were answered",
                details.rejected,
                details.good + details.gone + details.rejected,
            ),
            (
                "items of the listings",
                items.malformed,
                items.seen - items.ads,
            ),
        ] {
            let percent = rejected as f64 * 100.0 / all.max(1) as f64;
            if percent > limit {
                self.warn(format!(
                    "{percent:.1} % of the {what} were rejected (limit {limit} %, \
                     TIKI_MAX_REJECTED_PERCENT): see `tiki rejections`"
                ));
                exit = Exit::Quality;
            }
        }
        if items.seen > 0 && products.listed == 0 {
            self.warn(format!(
                "of {} items that the site listed none is a product: see `tiki rejections`",
                items.seen
            ));
            exit = Exit::Quality;
        }
        if !believe_gone {
            let evidence = self.warehouse().gone_counts(&self.run.id).await?;
            let seen = if evidence.gone as f64 > self.gone_at_most(&evidence) {
                "the site answers 404 for too many products to be believed"
            } else {
                "no detail answered well when the site answered 404, so it is not believed"
            };
            self.warn(format!(
                "{seen} ({} 404s in this run; limit {} % of the known products, TIKI_MAX_GONE_PERCENT): none of \
                 them was marked as delisted",
                details.gone,
                self.settings().max_gone_percent
            ));
            exit = Exit::Quality;
        }
        Ok(exit)
    }

    /// Whether this run believes its 404s; decided once, before anything is loaded.
    async fn believes_gone(&self) -> Result<bool> {
        let warehouse = self.warehouse();
        let step = warehouse.step(&self.run.id, &self.attempt.step).await?;
        if let Some(decided) = step.and_then(|step| step.planned_to) {
            return Ok(decided == BELIEVED);
        }
        let evidence = warehouse.gone_counts(&self.run.id).await?;
        let bound = self.gone_at_most(&evidence);
        let believes =
            evidence.gone == 0 || (evidence.controls > 0 && evidence.gone as f64 <= bound);
        if !believes {
            warehouse.doubt_gone(&self.attempt).await?;
        }
        let word = if believes { BELIEVED } else { DOUBTED };
        warehouse.commit_plan(&self.attempt, &[], word).await?;
        Ok(believes)
    }

    /// So many 404s may be believed.
    fn gone_at_most(&self, evidence: &GoneCounts) -> f64 {
        if evidence.known < FEW_KNOWN {
            FEW_GONE as f64
        } else {
            evidence.known as f64 * self.settings().max_gone_percent / 100.0
        }
    }

    /// Reports what was loaded.
    pub(crate) async fn load_report(&self) -> Result<Map<String, Value>> {
        let totals = self.warehouse().identities(&self.run.id).await?.products;
        let loaded = totals.new + totals.changed + totals.unchanged + totals.late;
        let elapsed = self.warehouse().worked(&self.attempt).await?.claimed;
        let corrected = self.warehouse().corrected(&self.run.id).await?;
        let stats = json!({
            "total_products": totals.listed + totals.rechecked,
            "db_loaded": loaded,
            "inserted_count": totals.new,
            "updated_count": totals.changed,
            "unchanged_count": totals.unchanged,
            "late_count": totals.late,
            "gone_count": totals.gone,
            "success_count": loaded + totals.gone,
            "failed_count": totals.rejected,
            "unobserved_count": totals.unobserved,
            "corrected": corrected.columns,
            "withdrawn_count": corrected.withdrawn,
            "file_loaded": 0,
            "errors": [],
            "processing_time": round3(elapsed.unwrap_or(0.0)),
        });
        Ok(keys([("load_stats", stats)]))
    }
}
