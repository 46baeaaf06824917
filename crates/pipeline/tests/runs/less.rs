//! What a month of runs asks of the site, and what it learns by it.
#![expect(clippy::print_stdout, reason = "the figures are for people")]

use std::collections::HashMap;
use std::time::Duration;

use storefront::{Content, Counts, Generated, Pace};

use crate::world::{Store, World};

const MONTH: i64 = 30;

/// A shop that moves as the real one does.
fn real(products: u64, leafs: u32) -> Content {
    Content::Generated(Generated {
        seed: 11,
        products,
        leaf_categories: Some(leafs),
        pace: Pace::Real,
        ..Generated::default()
    })
}

/// What a month's days asked and saw, the first day left out.
#[derive(Debug, Default)]
struct Month {
    details: Vec<u64>,
    listing_requests: u64,
    requests: u64,
    observed: i64,
    sightings: i64,
}

fn asked(counts: &Counts, route: &str) -> u64 {
    counts.routes.get(route).copied().unwrap_or(0)
}

async fn month(world: &World) -> Month {
    let mut month = Month::default();
    for day in 0..MONTH {
        world.day(day);
        let before = world.front.counts();
        let report = world.run(&format!("day-{day}")).await;
        assert_eq!(report.exit_code, 0, "day {day}: {:?}", world.notes);
        let after = world.front.counts();
        if day == 0 {
            continue;
        }
        let since = |route| asked(&after, route) - asked(&before, route);
        month.details.push(since("detail"));
        month.listing_requests += since("listing");
        month.requests += after.requests - before.requests;
        let products = report.totals.products;
        month.observed += products.new + products.changed + products.unchanged + products.gone;
        month.sightings += report.totals.items.listed + report.totals.items.repeats;
    }
    month
}

impl Month {
    fn per_listing(&self) -> f64 {
        self.observed as f64 / self.listing_requests as f64
    }

    fn per_request(&self) -> f64 {
        self.observed as f64 / self.requests as f64
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: three months of runs"]
async fn a_month_without_a_cap_asks_little_evenly_and_observes_everything() {
    for (days, least) in [(7, 5.0), (60, 20.0)] {
        let mut world = World::new(Store::Sqlite, real(1_800, 1)).await;
        world.scope.max_categories = 0;
        world.scope.max_products = 0;
        world.with(|settings| settings.detail_ttl = Duration::from_hours(24 * days));
        let month = month(&world).await;
        let mean = month.details.iter().sum::<u64>() as f64 / month.details.len() as f64;
        let most = *month.details.iter().max().unwrap();
        println!(
            "ttl {days} d: {:.1} observed per listing request, {:.2} per request, details a day \
             {mean:.0}, at most {most}",
            month.per_listing(),
            month.per_request()
        );
        assert!(most as f64 <= 1.5 * mean, "{days}: {month:?}");
        assert!(month.per_listing() >= 35.0, "{days}: {month:?}");
        assert!(month.per_request() >= least, "{days}: {month:?}");
    }
    // Where every seventh product is in several categories a page cannot show 40 new ones.
    let mut world = World::new(Store::Sqlite, real(3_000, 3)).await;
    world.scope.max_categories = 0;
    world.scope.max_products = 0;
    let month = month(&world).await;
    let sightings = month.sightings as f64 / month.listing_requests as f64;
    println!("{sightings:.1} sightings per listing request");
    assert!(sightings >= 35.0, "{month:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a month of runs"]
async fn under_a_cap_every_product_once_seen_is_observed_daily_or_deferred() {
    let mut world = World::new(Store::Sqlite, real(1_600, 4)).await;
    world.scope.max_categories = 0;
    world.scope.max_products = 100;
    for day in 0..MONTH {
        // In the second half there is less room than there is to ask.
        let budget = if day < MONTH / 2 { 0 } else { 40 };
        world.with(|settings| settings.detail_budget = budget);
        world.day(day);
        let report = world.run(&format!("day-{day}")).await;
        assert_eq!(report.exit_code, 0, "day {day}: {:?}", world.notes);
        let forgotten = world
            .ask(&format!(
                "SELECT p.id FROM products p WHERE p.delisted_at IS NULL AND NOT EXISTS (
                    SELECT 1 FROM observations o WHERE o.product_id = p.id AND o.run_id = 'day-{day}')
                 AND NOT EXISTS (SELECT 1 FROM run_products r WHERE r.product_id = p.id
                    AND r.run_id = 'day-{day}' AND r.detail = 'deferred')"
            ))
            .await;
        assert_eq!(forgotten, Vec::<Vec<Option<String>>>::new(), "day {day}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a month of runs"]
async fn what_had_no_room_comes_first_next_time_so_nothing_starves() {
    let mut world = World::new(Store::Sqlite, real(600, 1)).await;
    world.scope.max_categories = 0;
    world.scope.max_products = 0;
    // 600 products want a detail each week: 86 a day, and 600 on the first.
    world.with(|settings| settings.detail_budget = 100);
    let mut waiting: HashMap<String, i64> = HashMap::new();
    for day in 0..MONTH {
        world.day(day);
        let report = world.run(&format!("day-{day}")).await;
        assert!(report.totals.details.due - report.totals.details.deferred <= 100);
        let deferred = world
            .ask(&format!(
                "SELECT product_id FROM run_products WHERE run_id = 'day-{day}'
                    AND detail = 'deferred'"
            ))
            .await;
        let now: Vec<String> = deferred
            .into_iter()
            .filter_map(|row| row[0].clone())
            .collect();
        waiting.retain(|id, _| now.contains(id));
        for id in now {
            let days = waiting.entry(id).or_default();
            *days += 1;
            assert!(*days <= 8, "deferred for {days} days");
        }
    }
}
