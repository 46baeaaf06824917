//! Before a run walks the tree of a real site: does the site answer at all? It is asked robots.txt, one
//! category, one listing page and one detail, one after the other; a refusal there ends the run at
//! once, with what was seen and what can be done about it.
//!
//! Not here: any other failure, which the steps survive as always.

use catalog::{ListingItem, Slice};
use crawl::{Answer, Ask, FetchErrorKind, Page, Rate};

use warehouse::PageKind;

use crate::fetch::{REFUSED_FOR, kept, seen};
use crate::site::Answered;
use crate::steps::Work;
use crate::{Error, Result};

/// The site's own root, whose children are the roots of the menu.
const ROOT: i64 = 2;

/// What a person may choose when the site refuses.
pub(crate) const CHOICES: &str = "choices: wait and run again (it goes on from here); be slower \
    (TIKI_RATE_LIMIT); say who you are (TIKI_USER_AGENT_CONTACT) and ask the site for leave; where only the \
    API refuses, take the HTML pages of categories that you name (TIKI_SOURCE=html with --category: the \
    roots of the tree have no page). A challenge is never answered";

impl Work<'_> {
    /// Asks the site four things once, when the run has asked nothing yet. Only where a rate is kept: a
    /// site on this machine without one is a simulation.
    pub(crate) async fn knock(&self) -> Result<()> {
        let site = self.pipeline.site()?;
        if site.client().gate().rate() == Rate::Off || self.has_begun().await? {
            return Ok(());
        }
        let robots = self.pipeline.robots().await?;
        let source = self.scope.source();
        let mut asked = vec!["robots.txt answers".to_owned()];
        let parent = self.scope.categories.first().copied().unwrap_or(ROOT);
        let ask = Ask::Categories { parent };
        let (answer, _) = site.ask(&ask, &robots, source).await;
        heard(&mut asked, "a category", &answer)?;
        self.keep_children(parent, &answer).await?;
        let Some(category) = first_child(&answer).or(self.scope.categories.first().copied()) else {
            return Ok(());
        };
        let slice = Slice::default();
        let ask = Ask::Listing {
            category,
            page: 1,
            slice,
        };
        let (answer, _) = site.ask(&ask, &robots, source).await;
        heard(&mut asked, "a listing page", &answer)?;
        let Some((product, spid)) = first_product(&answer) else {
            return Ok(());
        };
        let ask = Ask::Detail { product, spid };
        let (answer, _) = site.ask(&ask, &robots, source).await;
        heard(&mut asked, "a detail", &answer)
    }

    /// Keeps the children that were told, so that the walk need not ask again.
    async fn keep_children(&self, parent: i64, answer: &Answered) -> Result<()> {
        let Ok(Answer::Good(page)) = answer else {
            return Ok(());
        };
        if has_children(page) {
            let now = self.pipeline.clock().now();
            let page = kept(PageKind::Categories, parent, page, now);
            self.warehouse().keep_page(&self.attempt, page).await?;
        }
        Ok(())
    }

    /// Whether the walk has had an answer before.
    async fn has_begun(&self) -> Result<bool> {
        Ok(self.warehouse().walked(&self.run.id).await? > 0)
    }
}

/// Notes what came; a refusal ends the run.
fn heard(asked: &mut Vec<String>, what: &str, answer: &Answered) -> Result<()> {
    let Err(error) = answer else {
        asked.push(format!("{what} answers"));
        return Ok(());
    };
    let refuses = matches!(
        error.kind,
        FetchErrorKind::Refused { .. } | FetchErrorKind::Redirect { .. }
    );
    if !refuses {
        return Ok(());
    }
    let before = asked.join(", ");
    Err(Error::Refused {
        seen: format!("{before}, but {what} does not: {}. {CHOICES}", seen(error)),
        retry_after: REFUSED_FOR,
    })
}

/// Whether a page tells of children. What tells of none may be a slip of the site, and is not kept for others.
pub(crate) fn has_children(page: &Page) -> bool {
    catalog::parse_categories(&page.unpacked).is_ok_and(|answer| !answer.categories.is_empty())
}

fn first_child(answer: &Answered) -> Option<i64> {
    let Ok(Answer::Good(page)) = answer else {
        return None;
    };
    let children = catalog::parse_categories(&page.unpacked).ok()?;
    children.categories.first().map(|category| category.id)
}

fn first_product(answer: &Answered) -> Option<(i64, Option<i64>)> {
    let Ok(Answer::Good(page)) = answer else {
        return None;
    };
    let listing = catalog::parse_listing(&page.unpacked).ok()?;
    listing.items.iter().find_map(|item| match item {
        ListingItem::Organic(listing) => Some((listing.product_id, listing.spid)),
        _ => None,
    })
}
