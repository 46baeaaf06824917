//! Products and categories from the HTML pages, where the API refuses or cannot be read.

use storefront::{Fault, Faults, Misbehaviour, Only, RouteClass, When};

use crate::world::{STORES, Store, World, generated};

fn forbidden() -> Misbehaviour {
    Misbehaviour::Status {
        code: 403,
        retry_after_s: None,
    }
}

/// What the warehouse knows of each product, but for what only one of the two ways tells.
async fn known(world: &World) -> Vec<Vec<Option<String>>> {
    world
        .ask(
            "SELECT id, spid, name, url, price, original_price, brand, seller_id, seller_name,
                review_count, rating_average, sales_count, description, stock_status
             FROM products ORDER BY id",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_refuses_is_replaced_by_its_pages_and_history_says_so() {
    for store in STORES {
        let world = World::new(store, generated(200)).await;
        assert_eq!(world.run("api").await.exit_code, 0);
        let by_api = known(&world).await;

        let mut world = World::new(store, generated(200)).await;
        world.scope.source = "auto".into();
        for (route, of) in [
            (RouteClass::Detail, "detail"),
            (RouteClass::Listing, "listing"),
        ] {
            let rule = Faults::one(route, When::Always, forbidden());
            world.front.set_faults(&rule).unwrap();
            let id = format!("auto-{of}");
            world.day(i64::from(of != "detail"));
            let report = world.run(&id).await;
            assert_eq!(report.exit_code, 0, "{store:?} {of}: {:?}", world.notes);
            assert_eq!(report.totals.details.unfetched, 0, "{store:?} {of}");
            let pages = world
                .ask(&format!(
                    "SELECT DISTINCT source FROM pages WHERE kind = '{of}' AND run_id = '{id}'"
                ))
                .await;
            assert_eq!(pages, [[Some("html".to_owned())]], "{store:?} {of}");
            let sources = world
                .ask(&format!(
                    "SELECT COUNT(*) FROM observations WHERE run_id = '{id}' AND source LIKE '%html%'"
                ))
                .await;
            assert_ne!(sources[0][0].as_deref(), Some("0"), "{store:?} {of}");
            if of == "detail" {
                assert_eq!(known(&world).await, by_api, "{store:?}");
            }
        }
    }
}

/// The API refuses every detail, and these pages of products lead home; `None`: all of them.
fn no_pages(of: &[Option<u64>]) -> Faults {
    let mut faults = Faults::one(RouteClass::Detail, When::Always, forbidden());
    faults.rules.extend(of.iter().map(|subject| Fault {
        route: RouteClass::ProductPage,
        only: subject.map(|subject| Only::Subject { subject }),
        when: When::Always,
        what: Misbehaviour::RedirectHome,
    }));
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_a_page_stops_nobody_where_the_api_refuses() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.run("api").await;
    let asked = world
        .ask("SELECT product_id FROM run_products WHERE detail = 'good' ORDER BY rank, product_id")
        .await;
    let id = |nth: usize| asked[nth][0].as_deref().and_then(|id| id.parse().ok());
    // Before any page can have stood in, and when the page is asked first.
    let dead = [id(0), id(asked.len() - 5)];
    assert!(dead[0].is_some() && dead[1].is_some(), "{asked:?}");

    world = World::new(Store::Sqlite, generated(200)).await;
    world.scope.source = "auto".into();
    world.front.set_faults(&no_pages(&dead)).unwrap();
    let report = world.run("auto").await;
    let details = report.totals.details;
    assert_eq!(report.exit_code, 0, "{details:?}: {:?}", world.notes);
    assert_eq!(details.unfetched, 2, "{details:?}");
    assert_eq!(details.good, details.due - 2, "{details:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_refuses_where_no_page_stands_in_is_a_refusal() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.scope.source = "auto".into();
    world.front.set_faults(&no_pages(&[None])).unwrap();
    let report = world.run("closed").await;
    assert_eq!(report.exit_code, 20, "{:?}", world.notes);
    let asked = world.front.counts().routes["detail"];
    assert!(asked < 20, "{asked} details were asked of a closed site");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_all_missing_say_of_no_product_that_it_is_gone() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    assert_eq!(world.run("api").await.exit_code, 0);
    world.day(1);
    world.scope.source = "auto".into();
    let missing = Misbehaviour::Status {
        code: 404,
        retry_after_s: None,
    };
    let mut faults = Faults::one(RouteClass::Detail, When::Always, forbidden());
    faults.rules.push(Fault {
        route: RouteClass::ProductPage,
        only: None,
        when: When::Always,
        what: missing,
    });
    world.front.set_faults(&faults).unwrap();
    let report = world.run("moved").await;
    assert_eq!(report.exit_code, 20, "{:?}", world.notes);
    assert_eq!(report.totals.details.gone, 0, "{:?}", report.totals.details);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_whose_shape_broke_is_replaced_by_its_pages() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.scope.source = "auto".into();
    let fault = Misbehaviour::ErrorObject { code: 500 };
    let rule = Faults::one(RouteClass::Detail, When::Always, fault);
    world.front.set_faults(&rule).unwrap();
    let report = world.run("broken").await;
    assert_eq!(report.exit_code, 0, "{:?}", world.notes);
    assert_eq!(
        report.totals.details.good, report.totals.details.due,
        "{:?}",
        report.totals.details
    );
    // After three the page is asked first, so the API is not asked for every product in vain.
    let counts = world.front.counts();
    let (api, html) = (counts.routes["detail"], counts.routes["product_page"]);
    assert!(api < html / 2, "{api} of the API, {html} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_alone_give_a_whole_run_once_the_roots_are_known() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.scope.source = "html".into();
    let report = world.run("html").await;
    assert_eq!(report.exit_code, 0, "{:?}", world.notes);
    assert!(report.totals.products.new > 0);
    let counts = world.front.counts();
    assert!(!counts.routes.contains_key("detail"), "{counts:?}");
    assert!(!counts.routes.contains_key("listing"), "{counts:?}");
    assert_eq!(counts.routes["categories"], 1, "only the roots");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_not_got_around_by_the_pages() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.scope.source = "auto".into();
    let rule = Faults::one(RouteClass::Detail, When::Always, Misbehaviour::Challenge);
    world.front.set_faults(&rule).unwrap();
    let report = world.run("challenged").await;
    assert_eq!(report.exit_code, 20, "{:?}", world.notes);
    let counts = world.front.counts();
    assert!(!counts.routes.contains_key("product_page"), "{counts:?}");
}
