//! What the next run would fetch, from what the warehouse knows and without a request.
//!
//! With a finished run of the same scope: the site is taken to list again what it listed then, so
//! products that will be new and prices that will have moved since are not in it. Without one: about
//! the most that the limits allow. Bytes are the means of recorded answers, as sent.
//!
//! Not here: the plan of a run at work (`pipeline`), printing (`plan`).

use catalog::{Candidate, Instant, due};
use pipeline::Scope;
use serde::Serialize;
use warehouse::{PageKind, Run, RunState, Warehouse};

use crate::Context;
use crate::failure::Outcome;
use crate::way::clock;

/// Bytes of a recorded answer as sent: a detail, a listing page, a category's children.
const DETAIL_BYTES: i64 = 4_000;
const LISTING_BYTES: i64 = 17_000;
const CATEGORY_BYTES: i64 = 5_000;

/// Products of a listing page.
const PAGE_PRODUCTS: i64 = 40;

/// Products that are looked at in one stretch.
const STRETCH: i64 = 1000;

/// Categories that are looked at; the site has some 3,000.
const MAX_CATEGORIES: i64 = 20_000;

/// Runs in which the last one of the same scope is looked for.
const LAST_RUNS: i64 = 50;

/// What a run would fetch.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Estimate {
    /// `run <id>`, or `limits`: then every number is about the most there can be.
    pub(crate) from: String,
    /// Products by reason for a detail: `new`, `changed`, `recheck`, `aged`; `none`: not due.
    pub(crate) products: Vec<(String, i64)>,
    /// Details that would be asked; null: nobody knows.
    pub(crate) details: Option<i64>,
    /// Details beyond the budget.
    pub(crate) deferred: i64,
    /// Listing pages.
    pub(crate) listing_pages: Option<i64>,
    /// Requests for the category tree.
    pub(crate) category_requests: Option<i64>,
    /// Requests before all else: robots.txt and, of a site that is asked at a rate, one of each kind.
    pub(crate) first_requests: i64,
    /// All requests: the sum of the details, the listing pages, and those for the tree and before all else.
    pub(crate) requests: Option<i64>,
    /// Seconds between two requests; 0: off.
    pub(crate) seconds_per_request: f64,
    /// Minutes at that rate.
    pub(crate) minutes: Option<f64>,
    /// Gigabytes over the network.
    pub(crate) gigabytes: Option<f64>,
}

/// What a run asks before all else: robots.txt, and of a site that is asked at a rate also a category, a
/// listing page and a detail.
const FIRST_ASKS: i64 = 4;

/// The estimate for a scope. A warehouse without runs is as good as none.
pub(crate) async fn of(
    context: &Context,
    warehouse: Option<&Warehouse>,
    scope: &Scope,
) -> Outcome<Estimate> {
    let last = match warehouse {
        Some(warehouse) => last_run(warehouse, scope)
            .await?
            .map(|run| (warehouse, run)),
        None => None,
    };
    let mut estimate = match last {
        Some((warehouse, run)) => from_run(context, warehouse, scope, &run).await?,
        None => from_limits(scope),
    };
    let budget = context.config.pipeline.detail_budget;
    if let Some(details) = estimate
        .details
        .filter(|details| budget > 0 && *details > budget)
    {
        estimate.deferred = details - budget;
        estimate.details = Some(budget);
    }
    let Estimate {
        details,
        listing_pages,
        category_requests,
        ..
    } = estimate;
    let all = details.zip(listing_pages).zip(category_requests);
    // The demo goes without a rate unless one is asked for.
    let demo = scope.origin.starts_with("storefront:") && !context.config.origin.is_loopback();
    let rate = if demo && context.config.rate_is_default {
        0.0
    } else {
        context.config.rate
    };
    estimate.seconds_per_request = rate;
    let before = if rate > 0.0 { FIRST_ASKS } else { 1 };
    estimate.first_requests = before;
    estimate.requests = all.map(|((details, pages), tree)| details + pages + tree + before);
    let minutes = |requests: i64| requests as f64 * rate / 60.0;
    estimate.minutes = estimate
        .requests
        .map(|requests| round(minutes(requests), 1));
    estimate.gigabytes = all.map(|((details, pages), tree)| {
        let bytes = details * DETAIL_BYTES + pages * LISTING_BYTES + tree * CATEGORY_BYTES;
        round(bytes as f64 / 1e9, 4)
    });
    Ok(estimate)
}

impl Estimate {
    /// The first line of a run against the real site.
    pub(crate) fn first_line(&self) -> String {
        let rate = self.seconds_per_request;
        let per = if rate > 0.0 {
            format!("one request each {rate} s")
        } else {
            "no rate".into()
        };
        let Some((requests, minutes)) = self.requests.zip(self.minutes) else {
            return format!("{per}; how many requests is not known before the tree is walked");
        };
        let most = if self.from == "limits" {
            "up to about "
        } else {
            "about "
        };
        let seconds = (minutes * 60.0) as i64;
        let end =
            jiff::ZonedDateTime::now().saturating_add(jiff::SignedDuration::from_secs(seconds));
        format!(
            "{per}, {most}{requests} requests, done {} {}",
            if self.from == "limits" {
                "by"
            } else {
                "at about"
            },
            end.strftime("%H:%M (%Y-%m-%d)")
        )
    }
}

async fn last_run(warehouse: &Warehouse, scope: &Scope) -> Outcome<Option<Run>> {
    let key = scope.to_json();
    let runs = warehouse.runs(LAST_RUNS).await?;
    Ok(runs
        .into_iter()
        .find(|run| run.state == RunState::Done && run.scope_key == key))
}

/// The most that the limits allow.
fn from_limits(scope: &Scope) -> Estimate {
    let categories = match (scope.categories.len(), scope.max_categories) {
        (0, 0) => None,
        (0, most) => Some(most),
        // Each category asked for may have any number of leaves below it.
        (..) => None,
    };
    let products = categories
        .filter(|_| scope.max_products > 0)
        .map(|n| n * scope.max_products);
    // Advertisements repeat items, so that a page gives a little less than it holds.
    let pages =
        products.map(|products| products.div_euclid(PAGE_PRODUCTS - 8) + categories.unwrap_or(0));
    Estimate {
        from: "limits".into(),
        products: Vec::new(),
        details: if scope.details == "never" {
            Some(0)
        } else {
            products
        },
        deferred: 0,
        listing_pages: pages,
        // A walk to the first leaves asks for a path of about three levels before each.
        category_requests: categories.map(|n| n + 4),
        first_requests: 0,
        requests: None,
        seconds_per_request: 0.0,
        minutes: None,
        gigabytes: None,
    }
}

/// What would be due if the site listed again what it listed in a run.
async fn from_run(
    context: &Context,
    warehouse: &Warehouse,
    scope: &Scope,
    run: &Run,
) -> Outcome<Estimate> {
    let now = clock(context).now();
    let ttl = context.config.pipeline.detail_ttl_millis();
    let mut counts: Vec<(String, i64)> = ["new", "changed", "recheck", "aged", "none"]
        .map(|word| (word.to_owned(), 0))
        .into();
    let chosen = !scope.categories.is_empty();
    let mut listed_not_due = 0;
    for listed in [true, false] {
        let mut after = 0;
        loop {
            let stretch = if listed {
                warehouse.listed_products(&run.id, after, STRETCH).await?
            } else {
                warehouse
                    .unlisted_products(&run.id, after, STRETCH, chosen)
                    .await?
            };
            let Some(last) = stretch.last() else { break };
            after = last.product_id;
            for known in &stretch {
                let candidate = Candidate {
                    product_id: known.product_id,
                    listed,
                    fingerprint: known.fingerprint,
                    last_detail: known.last_detail,
                    first_seen: known.first_seen,
                    deferred: known.deferred,
                    failed: known.failed,
                };
                let reason = due(&candidate, scope.policy(), now, ttl);
                let word = reason.map_or("none", catalog::Reason::as_str);
                listed_not_due += i64::from(listed && reason.is_none());
                if let Some((_, count)) = counts.iter_mut().find(|(name, _)| name == word) {
                    *count += 1;
                }
            }
        }
    }
    add_control(&mut counts, listed_not_due);
    let details = counts
        .iter()
        .filter(|(word, _)| word != "none")
        .map(|(_, count)| count)
        .sum();
    Ok(Estimate {
        from: format!("run {}", run.id),
        products: counts,
        details: Some(details),
        deferred: 0,
        listing_pages: Some(warehouse.identities(&run.id).await?.pages.planned),
        category_requests: Some(stale_categories(context, warehouse, now).await?),
        first_requests: 0,
        requests: None,
        seconds_per_request: 0.0,
        minutes: None,
        gigabytes: None,
    })
}

/// Where anything is rechecked, one listed product that is not due is asked too.
fn add_control(counts: &mut Vec<(String, i64)>, listed_not_due: i64) {
    let rechecks = counts
        .iter()
        .any(|(word, count)| word == "recheck" && *count > 0);
    if rechecks && listed_not_due > 0 {
        if let Some((_, none)) = counts.iter_mut().find(|(word, _)| word == "none") {
            *none -= 1;
        }
        counts.push(("control".into(), 1));
    }
}

/// Categories whose children were asked for before, and are older than they may be.
async fn stale_categories(context: &Context, warehouse: &Warehouse, now: Instant) -> Outcome<i64> {
    let ttl = i64::try_from(context.config.pipeline.category_ttl.as_millis()).unwrap_or(i64::MAX);
    let fresh = now.plus_millis(1_i64.saturating_sub(ttl));
    let ever = Instant::from_millis(i64::MIN);
    let known = warehouse.categories(MAX_CATEGORIES).await?;
    let ids = known.rows.iter().filter_map(|row| match row.first() {
        Some(warehouse::value::Value::Int(id)) => Some(*id),
        _ => None,
    });
    let mut stale = 0;
    // 2 is the site's own root, which is no category of the tree.
    for id in std::iter::once(2).chain(ids) {
        let asked = warehouse
            .newest_page(PageKind::Categories, id, ever)
            .await?;
        stale += i64::from(asked.is_some_and(|page| page.fetched_at < fresh));
    }
    Ok(stale)
}

fn round(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::layers::Layers;
    use crate::screen::Screen;

    #[tokio::test]
    async fn a_first_run_is_estimated_by_its_limits() {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers {
            folder: folder.path().to_owned(),
            ..Layers::default()
        };
        let resolved = layers.resolve().unwrap();
        let context = Context {
            config: Config::new(&resolved).unwrap(),
            resolved,
            screen: Screen::new(true, false),
            stop: pipeline::Stop::default(),
        };
        let mut scope = crate::way::scope(&context, "https://tiki.vn");
        let first = of(&context, None, &scope).await.unwrap();
        assert_eq!((first.details, first.listing_pages), (Some(500), Some(20)));
        assert_eq!(first.first_requests, FIRST_ASKS);
        assert_eq!(
            first.requests,
            Some(500 + 20 + first.category_requests.unwrap() + first.first_requests)
        );
        let line = first.first_line();
        assert!(
            line.starts_with("one request each 0.5 s, up to about 533 requests, done by "),
            "{line}"
        );
        scope.max_categories = 0;
        let whole = of(&context, None, &scope).await.unwrap();
        assert_eq!(whole.requests, None);
        assert!(
            whole
                .first_line()
                .contains("not known before the tree is walked")
        );
    }
}
