//! `extract-product-urls`: lists the products of the categories that the run takes.

use std::collections::VecDeque;

use catalog::{ListingAnswer, Rejection, RejectionReason, Shapes, Slice, Source};
use crawl::{Answer, Ask};
use serde_json::{Map, Value, json};
use warehouse::{
    Completeness, EMPTY_LISTING, ListingAsk, ListingOutcome, ListingResult, PageKind,
    TOO_MANY_SLICES,
};

use crate::drift::shape_rows;
use crate::fetch::{Fare, Flight, Verdict, kept, refusal, seen};
use crate::report::{bounded, keys, short};
use crate::second_way::check_filled;
use crate::site::{Errand, Landed, Spare};
use crate::steps::Work;
use crate::{Error, Exit, Result, Step};

impl Work<'_> {
    /// Asks for listing pages until none is left.
    pub(crate) async fn extract_product_urls(&self) -> Result<Exit> {
        self.warehouse()
            .begin_listing(&self.attempt, self.scope.max_products)
            .await?;
        let mut fare = Fare::new();
        let mut flight = Flight::new(self.pipeline, self.scope.source()).await?;
        let mut queue = VecDeque::new();
        let mut done = 0;
        let mut ending: Option<Error> = None;
        loop {
            ending = ending.or_else(|| self.check_stop().err());
            let mut wait = false;
            if ending.is_some() {
                // What is in flight is still stored; what was only claimed goes back.
                queue.clear();
            } else if queue.is_empty() && flight.len() < self.settings().workers {
                let n = i64::try_from(self.settings().workers).unwrap_or(1);
                match self.warehouse().next_listings(&self.attempt, n).await? {
                    ListingOutcome::Ask(asks) => queue.extend(asks),
                    ListingOutcome::Wait => wait = true,
                    // What is still missing is found only when everything has answered.
                    ListingOutcome::Done if flight.is_empty() => {
                        wait = self.warehouse().look_again(&self.attempt).await?;
                    }
                    ListingOutcome::Done => {}
                }
            }
            while flight.len() < self.settings().workers
                && let Some(asked) = queue.pop_front()
            {
                let page = u32::try_from(asked.page).unwrap_or(1);
                let (category, slice) = (asked.category_id, asked.slice);
                let ask = Ask::Listing {
                    category,
                    page,
                    slice,
                };
                let errand = Errand {
                    ask,
                    spare: Spare::No,
                    attempts: asked.attempts,
                };
                flight.send(asked, errand);
            }
            if let Some((asked, answer)) = flight.land().await? {
                ending = ending.or(refusal(self.take_listing(&asked, answer, &mut fare).await)?);
                done += 1;
                let open = self.warehouse().open_rows(&self.attempt).await?;
                self.progress(Step::ExtractProductUrls, done, done + open.unsigned_abs());
            } else if let Some(error) = ending {
                return Err(error);
            } else if wait {
                self.idle().await?;
            } else if queue.is_empty() {
                break;
            }
        }
        fare.verdict()?;
        if fare.given_up() > 0 {
            let text = format!("{} listing pages could not be fetched", fare.given_up());
            self.warn(text);
        }
        self.warn_of_empty().await?;
        Ok(Exit::Done)
    }

    /// What was named and shows nothing may be a slip of the pen: the site answers for any number. What shows
    /// nothing though the tree announces something may be a slip of the site.
    async fn warn_of_empty(&self) -> Result<()> {
        let limit = i64::try_from(self.settings().list_limit).unwrap_or(i64::MAX);
        let all = self.warehouse().completeness(&self.run.id, limit).await?;
        let chosen = !self.scope.categories.is_empty();
        let ids = |of: &dyn Fn(&Completeness) -> bool| -> Option<String> {
            let found = all.iter().filter(|category| of(category));
            let ids: Vec<String> = found.map(|of| of.category_id.to_string()).collect();
            (!ids.is_empty()).then(|| short(&ids.join(", ")))
        };
        if let Some(ids) = ids(&|of| chosen && of.announced + of.listed == 0 && of.why.is_none()) {
            self.warn(format!(
                "the site shows nothing in categories that were asked for: {ids}; does it have them?"
            ));
        }
        for why in [EMPTY_LISTING, TOO_MANY_SLICES] {
            if let Some(ids) = ids(&|of| of.why.as_deref() == Some(why)) {
                self.warn(format!("not listed whole: {ids}: {why}"));
            }
        }
        Ok(())
    }

    async fn take_listing(
        &self,
        asked: &ListingAsk,
        landed: Landed,
        fare: &mut Fare,
    ) -> Result<()> {
        let (text, verdict) = match landed.answer {
            Ok(answer) => {
                let site = self.pipeline.site()?;
                site.clock().check(&answer, self.pipeline.clock())?;
                let read = match answer {
                    Answer::Good(page) => read_listing(asked, &page, self.settings().max_attempts)
                        .map(|listing| (page, listing))
                        .map_err(|rejection| rejection.to_string()),
                    Answer::Gone { status, .. } => Err(format!("the site answers {status}")),
                };
                match read {
                    Ok((page, listing)) => {
                        fare.answered();
                        return self.commit_listing(asked, page, &listing).await;
                    }
                    Err(text) => {
                        let verdict =
                            fare.unreadable(text.clone(), asked.attempts, self.settings());
                        (text, verdict)
                    }
                }
            }
            Err(error) => {
                let text = seen(&error);
                let verdict =
                    fare.failed(&error.kind, text.clone(), asked.attempts, self.settings());
                (text, verdict)
            }
        };
        let (seconds, counts) = match verdict {
            Verdict::Again { seconds, counts } => (Some(seconds), counts),
            Verdict::GiveUp => (None, true),
            Verdict::Stop => (Some(0.0), false),
        };
        let limit = self.scope.max_products;
        self.warehouse()
            .fail_listing(&self.attempt, asked, &text, seconds, counts, limit)
            .await?;
        if verdict == Verdict::Stop {
            Err(fare.refusal())
        } else {
            Ok(())
        }
    }

    async fn commit_listing(
        &self,
        asked: &ListingAsk,
        page: crawl::Page,
        listing: &ListingAnswer,
    ) -> Result<()> {
        let mut shapes = Shapes::default();
        let source = match page.source {
            crawl::PageSource::Api => Source::Listing,
            crawl::PageSource::Html => Source::ListingHtml,
        };
        shapes.add_listing(&page.unpacked, source);
        let kept = kept(
            PageKind::Listing,
            asked.category_id,
            &page,
            self.pipeline.clock().now(),
        );
        let result = ListingResult {
            page: kept,
            answer: listing,
            limit: self.scope.max_products,
            shapes: &shape_rows(&shapes),
        };
        let warehouse = self.warehouse();
        Ok(warehouse
            .commit_listing(&self.attempt, asked, result)
            .await?)
    }

    /// Ends the listing and reports what was listed.
    pub(crate) async fn settle_listing(&self) -> Result<Map<String, Value>> {
        self.warehouse()
            .settle_listing(&self.attempt, self.scope.max_products)
            .await?;
        let limit = i64::try_from(self.settings().list_limit).unwrap_or(i64::MAX);
        let (urls, count) = self.warehouse().listed(&self.run.id, limit).await?;
        let urls = bounded(
            urls.into_iter().map(Value::String),
            self.settings().list_limit,
        );
        Ok(keys([
            ("product_urls", urls),
            ("product_count", json!(count)),
        ]))
    }
}

/// Reads a listing page. That a category which the tree announces is empty is believed with the second try, if
/// there may be two.
fn read_listing(
    asked: &ListingAsk,
    page: &crawl::Page,
    max_attempts: i64,
) -> std::result::Result<ListingAnswer, Rejection> {
    let answer = catalog::parse_listing(&page.unpacked)?;
    check_filled(&answer, u32::try_from(asked.page).unwrap_or(1))?;
    let may_slip = asked.attempts == 0 && max_attempts > 1;
    let is_whole_listing = asked.page == 1 && asked.slice == Slice::default();
    if is_whole_listing && answer.items.is_empty() && asked.announced > 0 && may_slip {
        let reason = RejectionReason::WrongShape;
        return Err(Rejection::new(reason, Some("data"), EMPTY_LISTING));
    }
    Ok(answer)
}
