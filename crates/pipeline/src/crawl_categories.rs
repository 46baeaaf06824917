//! `crawl-categories`: walks the tree, only as far as the run needs it.

use std::collections::VecDeque;

use catalog::Category;
use crawl::{Answer, Ask, Page};
use serde_json::{Map, Value, json};
use warehouse::{CategoryNode, NewPage, PageKind, Walk};

use crate::fetch::{Fare, Flight, REFUSED_FOR, Verdict, kept, refusal, seen};
use crate::report::{bounded, keys, short};
use crate::site::{Errand, Landed, Spare};
use crate::steps::Work;
use crate::{Error, Exit, Result, Step};

/// The cache tier of pages in the warehouse.
const WAREHOUSE_TIER: &str = "warehouse";

/// The site's own root: its children are the roots of the menu.
const ROOT: i64 = 2;

/// Levels of a tree at most, the root counted: no site has so many (this one 7 at most, by all that is known),
/// and a tree in which each category has one more child has no end.
const MOST_LEVELS: usize = 16;

impl Work<'_> {
    /// Asks for the children of categories until enough leaves are known.
    pub(crate) async fn crawl_categories(&self) -> Result<Exit> {
        let chosen = !self.scope.categories.is_empty();
        let starts = if chosen {
            self.scope.categories.clone()
        } else {
            vec![ROOT]
        };
        // Categories that were asked for are taken whole.
        let leaves = if chosen { 0 } else { self.scope.max_categories };
        self.warehouse().begin_walk(&self.attempt, &starts).await?;
        let mut fare = Fare::new();
        self.knock().await?;
        let mut flight = Flight::new(self.pipeline, self.scope.source()).await?;
        let mut queue = VecDeque::new();
        let mut done = 0;
        let mut ending: Option<Error> = None;
        loop {
            ending = ending.or_else(|| self.check_stop().err());
            let (mut wait, mut kept) = (false, false);
            if ending.is_some() {
                // What is in flight is still stored; what was only claimed goes back.
                queue.clear();
            } else if queue.is_empty() && flight.len() < self.settings().workers {
                let n = i64::try_from(self.settings().workers - flight.len()).unwrap_or(1);
                let warehouse = self.warehouse();
                match warehouse.next_categories(&self.attempt, leaves, n).await? {
                    Walk::Ask(nodes) => queue.extend(nodes),
                    Walk::Wait => wait = true,
                    Walk::Done => {}
                }
            }
            while flight.len() < self.settings().workers
                && let Some(node) = queue.pop_front()
            {
                if self.take_kept(&node).await? {
                    kept = true;
                } else {
                    let (parent, attempts) = (node.category_id, node.attempts);
                    let errand = Errand {
                        ask: Ask::Categories { parent },
                        spare: Spare::Since(self.categories_since()),
                        attempts,
                    };
                    flight.send(node, errand);
                }
            }
            if let Some((node, answer)) = flight.land().await? {
                ending = ending.or(refusal(self.take_category(&node, answer, &mut fare).await)?);
                done += 1;
                self.progress(Step::CrawlCategories, done, done + queue.len() as u64);
            } else if let Some(error) = ending {
                return Err(error);
            } else if wait {
                self.idle().await?;
            } else if queue.is_empty() && !kept {
                break;
            }
        }
        self.count_shared_cache().await?;
        fare.verdict()?;
        if fare.given_up() > 0 {
            self.warn(format!(
                "categories that could not be read: {}; what lies below is not listed (`tiki errors`)",
                fare.given_up()
            ));
        }
        self.check_leaves(leaves, &fare).await?;
        Ok(Exit::Done)
    }

    /// Refuses a tree without a leaf. Only here, where the tree was walked: who closes a run that the
    /// site refused finds none either, and is to come to its end.
    async fn check_leaves(&self, leaves: i64, fare: &Fare) -> Result<()> {
        let (warehouse, excluded) = (self.warehouse(), &self.scope.exclude);
        let selected = warehouse.select_leaves(&self.attempt, leaves, excluded);
        if selected.await? > 0 {
            return Ok(());
        }
        let (_, failed) = warehouse.selected_count(&self.run.id).await?;
        // Who works beside this one may have forgotten the walk already.
        let is_there = warehouse.walked(&self.run.id).await? > 0;
        if is_there && failed == 0 && !self.scope.categories.is_empty() {
            return Err(Error::Usage(
                "none of the categories asked for has a leaf with products".into(),
            ));
        }
        // The next try asks for all of it again.
        let asked = warehouse.forget_walk(&self.attempt).await?;
        let site = self.pipeline.site()?;
        site.forget_children(&asked, self.scope.source()).await;
        let why = match failed {
            0 => String::new(),
            failed => format!(", and {failed} cannot be read: {}", fare.last_failure()),
        };
        Err(Error::Refused {
            seen: format!("its tree shows no category with products that is not excluded{why}"),
            retry_after: REFUSED_FOR,
        })
    }

    /// The site was seen to answer with an empty list where there are children. So nobody believes it of the
    /// root, and of a category that has some by its parent's word only with the last try. The same goes for
    /// *gone*.
    fn doubts_emptiness(&self, node: &CategoryNode) -> bool {
        let is_last = node.attempts + 1 >= self.settings().max_attempts;
        node.category_id == ROOT || !(self.is_named(node) || is_last)
    }

    /// Whether a person asked for this very category.
    fn is_named(&self, node: &CategoryNode) -> bool {
        self.scope.categories.contains(&node.category_id)
    }

    /// Says that a category lost its children, after all tries.
    fn warn_of_childless(&self, node: &CategoryNode) {
        if !self.is_named(node) {
            self.warn(format!(
                "category {} has no children any more: it is listed itself",
                node.category_id
            ));
        }
    }

    /// Children that were fetched from here on are young enough.
    fn categories_since(&self) -> catalog::Instant {
        let ttl = i64::try_from(self.settings().category_ttl.as_millis()).unwrap_or(i64::MAX);
        let now = self.pipeline.clock().now();
        now.plus_millis(1_i64.saturating_sub(ttl))
    }

    /// Takes a category's children from a page that is young enough.
    async fn take_kept(&self, node: &CategoryNode) -> Result<bool> {
        let page = self
            .warehouse()
            .newest_page(
                PageKind::Categories,
                node.category_id,
                self.categories_since(),
            )
            .await?;
        let Some(page) = page else { return Ok(false) };
        let limits = catalog::BodyLimits::default();
        let Ok(body) = catalog::read_body(&page.body, page.encoding, &limits) else {
            return Ok(false);
        };
        let Ok(answer) = catalog::parse_categories(&body) else {
            return Ok(false);
        };
        if answer.categories.is_empty() && node.category_id == ROOT {
            return Ok(false);
        }
        self.commit(node, None, answer.categories).await?;
        let hit = [(WAREHOUSE_TIER, 1, 0)];
        self.warehouse().count_cache(&self.attempt, &hit).await?;
        Ok(true)
    }

    /// The children that an answer tells, and the page that told them; else why it is not to be believed.
    /// `is_vain`: nothing of the tree was read so far.
    fn read_children(
        &self,
        node: &CategoryNode,
        answer: Answer,
        is_vain: bool,
    ) -> std::result::Result<(Option<Page>, Vec<Category>), String> {
        let (page, children) = match answer {
            Answer::Good(page) => {
                let answer = catalog::parse_categories(&page.unpacked);
                let answer = answer.map_err(|rejection| rejection.to_string())?;
                (Some(page), answer.categories)
            }
            // A tree whose root is gone is no tree; of another the rest may be known already.
            Answer::Gone { status, .. }
                if (is_vain && self.is_named(node)) || self.doubts_emptiness(node) =>
            {
                return Err(format!("the site answers {status}"));
            }
            // A category that is gone has no children.
            Answer::Gone { .. } => (None, Vec::new()),
        };
        if children.is_empty() && self.doubts_emptiness(node) {
            return Err("an empty list".to_owned());
        }
        if !children.is_empty() && node.level() >= MOST_LEVELS {
            return Err(format!("a tree of more than {MOST_LEVELS} levels"));
        }
        Ok((page, children))
    }

    async fn take_category(
        &self,
        node: &CategoryNode,
        landed: Landed,
        fare: &mut Fare,
    ) -> Result<()> {
        let now = landed
            .kept_at
            .unwrap_or_else(|| self.pipeline.clock().now());
        let (text, verdict) = match landed.answer {
            Ok(answer) => {
                let site = self.pipeline.site()?;
                site.clock().check(&answer, self.pipeline.clock())?;
                match self.read_children(node, answer, fare.is_vain()) {
                    Ok((page, children)) => {
                        fare.answered();
                        if children.is_empty() {
                            self.warn_of_childless(node);
                        }
                        let page = page.as_ref();
                        let page = page
                            .map(|page| kept(PageKind::Categories, node.category_id, page, now));
                        return self.commit(node, page, children).await;
                    }
                    Err(why) => {
                        let text = format!("children of category {}: {why}", node.category_id);
                        let verdict = fare.unreadable(text.clone(), node.attempts, self.settings());
                        (text, verdict)
                    }
                }
            }
            Err(error) => {
                let text = seen(&error);
                let verdict =
                    fare.failed(&error.kind, text.clone(), node.attempts, self.settings());
                (text, verdict)
            }
        };
        // Without a single answer the tree is not given up: another attempt asks again.
        let stop = verdict == Verdict::Stop || (verdict == Verdict::GiveUp && fare.is_vain());
        let (seconds, counts) = match verdict {
            Verdict::Again { seconds, counts } => (Some(seconds), counts),
            Verdict::GiveUp if !stop => (None, true),
            Verdict::GiveUp => (Some(0.0), true),
            Verdict::Stop => (Some(0.0), false),
        };
        self.warehouse()
            .fail_category(&self.attempt, node, &text, seconds, counts)
            .await?;
        if stop { Err(fare.refusal()) } else { Ok(()) }
    }

    async fn commit(
        &self,
        node: &CategoryNode,
        page: Option<NewPage>,
        children: Vec<Category>,
    ) -> Result<()> {
        let now = self.pipeline.clock().now();
        let warehouse = self.warehouse();
        // What a named category does not have may be there for the next run.
        let page = page.filter(|_| !(self.is_named(node) && children.is_empty()));
        warehouse
            .commit_category(
                &self.attempt,
                node,
                page.as_ref(),
                &children,
                &self.scope.exclude,
                now,
            )
            .await?;
        Ok(())
    }

    /// Ends the walk and reports what the run takes.
    pub(crate) async fn settle_categories(&self) -> Result<Map<String, Value>> {
        let leaves = if self.scope.categories.is_empty() {
            self.scope.max_categories
        } else {
            0
        };
        self.warehouse()
            .select_leaves(&self.attempt, leaves, &self.scope.exclude)
            .await?;
        let limit = i64::try_from(self.settings().list_limit).unwrap_or(i64::MAX);
        let selected = self.warehouse().selected(&self.run.id, limit).await?;
        let (count, _) = self.warehouse().selected_count(&self.run.id).await?;
        let list = selected
            .iter()
            .map(|(id, name, n)| json!({ "id": id, "name": short(name), "product_count": n }));
        let list = bounded(list, self.settings().list_limit);
        Ok(keys([
            ("categories", list),
            ("category_count", json!(count)),
        ]))
    }
}
