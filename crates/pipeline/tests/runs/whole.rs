//! Listing categories whole, whatever the site shows of them.
#![expect(clippy::print_stdout, reason = "the figures are for people")]

use storefront::{Content, Fault, Faults, Generated, Misbehaviour, Prices, RouteClass, When};

use crate::world::{STORES, Store, World, generated};

fn crowded(products: u64) -> Content {
    Content::Generated(Generated {
        seed: 5,
        products,
        leaf_categories: Some(1),
        prices: Prices::Round,
        ..Generated::default()
    })
}

fn number(rows: &[Vec<Option<String>>]) -> i64 {
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

/// Lists the only category of a shop; what the report says of it, and the requests.
async fn list(products: u64, store: Store) -> (warehouse::Completeness, u64) {
    let mut world = World::new(store, crowded(products)).await;
    world.scope.max_categories = 0;
    world.scope.max_products = 0;
    world.scope.details = "never".into();
    let report = world.run("whole").await;
    assert_eq!(report.exit_code, 0, "{:?}", world.notes);
    let rows = world.warehouse.completeness("whole", 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    let listed = world
        .ask("SELECT COUNT(DISTINCT product_id) FROM listings")
        .await;
    assert_eq!(rows[0].listed, number(&listed));
    let requests = world.front.counts().routes["listing"];
    (rows.into_iter().next().unwrap(), requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_of_five_thousand_is_listed_whole() {
    for store in STORES {
        let (category, requests) = list(5_000, store).await;
        println!("{category:?} in {requests} requests");
        assert!(category.announced > 4_000);
        assert_eq!(category.why, None, "{category:?}");
        assert!(
            category.missing * 1000 <= category.announced,
            "{category:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a listing of 50,000 products"]
async fn a_category_of_fifty_thousand_with_round_prices_is_listed_to_one_in_a_thousand() {
    let (category, requests) = list(50_000, Store::Sqlite).await;
    println!("{category:?} in {requests} requests");
    assert!(category.announced > 45_000, "{category:?}");
    assert!(
        category.missing * 1000 <= category.announced,
        "{category:?}"
    );
    assert_eq!(category.why, None, "{category:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_move_while_they_are_listed_are_found_again() {
    let mut world = World::new(Store::Sqlite, crowded(600)).await;
    world.scope.max_categories = 0;
    world.scope.max_products = 0;
    world.scope.details = "never".into();
    world
        .front
        .set_faults(&Faults::one(
            RouteClass::Listing,
            When::Between(3, 12),
            Misbehaviour::Moving { by: 3 },
        ))
        .unwrap();
    let report = world.run("moving").await;
    assert_eq!(report.exit_code, 0);
    let rows = world.warehouse.completeness("moving", 10).await.unwrap();
    assert_eq!(rows[0].missing, 0, "{rows:?}");
    let again = world
        .ask("SELECT COUNT(*) FROM listing_pages WHERE slice = 'again'")
        .await;
    assert!(number(&again) > 0, "there was a second look");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_failed_is_asked_first_by_the_next_run() {
    let mut world = World::new(Store::Sqlite, generated(600)).await;
    world.scope.max_categories = 3;
    world.scope.max_products = 0;
    world.scope.details = "never".into();
    world.with(|settings| (settings.max_attempts, settings.workers) = (1, 1));
    world
        .front
        .set_faults(&Faults {
            rules: vec![Fault {
                route: RouteClass::Listing,
                only: Some(storefront::Only::Parameter {
                    parameter: "page".into(),
                    value: Some("2".into()),
                }),
                when: When::Always,
                what: Misbehaviour::Status {
                    code: 500,
                    retry_after_s: None,
                },
            }],
            throttle: None,
        })
        .unwrap();
    let first = world.run("first").await;
    assert!(first.totals.pages.failed > 0, "{:?}", first.totals.pages);
    let rows = world.warehouse.completeness("first", 10).await.unwrap();
    assert!(rows.iter().any(|row| row.why.is_some()), "{rows:?}");

    world.front.set_faults(&Faults::default()).unwrap();
    world.day(1);
    let second = world.run("second").await;
    assert_eq!(second.totals.pages.failed, 0);
    let order = world
        .ask(
            "SELECT MIN(CASE WHEN urgent THEN page_id END), MIN(CASE WHEN page = 1 THEN page_id END)
             FROM listing_pages WHERE run_id = 'second'",
        )
        .await;
    let of = |at: usize| -> i64 { order[0][at].as_deref().unwrap().parse().unwrap() };
    assert!(of(0) < of(1), "{order:?}");
}
