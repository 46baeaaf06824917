//! One product that the site never answers keeps no other one from being asked.

use storefront::{Fault, Faults, Misbehaviour, Only, RouteClass, When};

use crate::world::{Store, World, generated};

/// These products answer so, whenever they are asked; `None`: every product.
fn broken(of: &[Option<u64>], what: &Misbehaviour) -> Faults {
    let rules = of.iter().map(|subject| Fault {
        route: RouteClass::Detail,
        only: subject.map(|subject| Only::Subject { subject }),
        when: When::Always,
        what: what.clone(),
    });
    Faults {
        rules: rules.collect(),
        throttle: None,
    }
}

fn forbidden() -> Misbehaviour {
    Misbehaviour::Status {
        code: 403,
        retry_after_s: None,
    }
}

/// The first products of a run's plan.
async fn first(n: usize) -> Vec<Option<u64>> {
    let world = World::new(Store::Sqlite, generated(200)).await;
    world.run("plan").await;
    let asked = world
        .ask("SELECT product_id FROM run_products WHERE detail = 'good' ORDER BY rank, product_id")
        .await;
    let ids = asked.iter().map(|row| row[0].as_deref()?.parse().ok());
    let ids: Vec<Option<u64>> = ids.take(n).collect();
    assert!(ids.len() == n && ids.iter().all(Option::is_some), "{ids:?}");
    ids
}

async fn world(max_attempts: i64) -> World {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.with(|settings| {
        settings.max_attempts = max_attempts;
        // One after the other, in the order of the plan.
        settings.workers = 1;
    });
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn one_product_that_is_refused_or_a_page_stops_nobody() {
    let one = first(1).await;
    for what in [forbidden(), Misbehaviour::ErrorPage] {
        let world = world(2).await;
        world.front.set_faults(&broken(&one, &what)).unwrap();
        let report = world.run("first").await;
        let details = report.totals.details;
        assert_eq!(report.exit_code, 0, "{what:?}: {:?}", world.notes);
        assert_eq!((details.unfetched, details.good), (1, details.due - 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_place_of_every_detail_is_a_refusal() {
    for what in [forbidden(), Misbehaviour::ErrorPage] {
        let world = world(4).await;
        world.front.set_faults(&broken(&[None], &what)).unwrap();
        let report = world.run("first").await;
        assert_eq!(report.exit_code, 20, "{what:?}: {:?}", world.notes);
        let asked = world.front.counts().routes["detail"];
        assert!(asked < 20, "{what:?}: {asked} details were asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_products_that_are_always_refused_end_no_day_with_a_refusal() {
    let refused: Vec<Option<u64>> = first(72).await.into_iter().step_by(3).collect();
    let world = world(2).await;
    world
        .front
        .set_faults(&broken(&refused, &forbidden()))
        .unwrap();
    for day in 0..3 {
        world.day(day);
        let report = world.run(&format!("day-{day}")).await;
        assert_eq!(report.exit_code, 0, "day {day}: {:?}", world.notes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_place_of_every_listing_is_a_refusal() {
    for when in [When::Always, When::After(20)] {
        let mut world = World::new(Store::Sqlite, generated(2000)).await;
        world.scope.max_categories = 0;
        let faults = Faults::one(RouteClass::Listing, when, Misbehaviour::ErrorPage);
        world.front.set_faults(&faults).unwrap();
        let report = world.run("first").await;
        assert_eq!(report.exit_code, 20, "{:?}", world.notes);
        let asked = world.front.counts().routes["listing"];
        assert!(asked < 40, "{asked} listings were asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stopped_a_run_comes_last_in_the_next_one() {
    let front = first(3).await;
    for what in [
        forbidden(),
        Misbehaviour::ErrorPage,
        Misbehaviour::Challenge,
    ] {
        let world = world(2).await;
        world.front.set_faults(&broken(&front, &what)).unwrap();
        let report = world.run("first").await;
        assert_eq!(report.exit_code, 20, "{what:?}: {:?}", world.notes);
        // A challenge stops at the first one, so each run puts one behind the others.
        for day in 1..=3 {
            world.day(day);
            world.run(&format!("day-{day}")).await;
        }
        let left = world
            .ask(
                "SELECT p.id FROM products p LEFT JOIN product_state s ON s.product_id = p.id
                 WHERE s.detail_at IS NULL ORDER BY p.id",
            )
            .await;
        assert!(left.len() <= 3, "{what:?}: {left:?} wait behind {front:?}");
    }
}
