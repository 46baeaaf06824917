//! What a site that refuses, fails or loses products leaves behind.

use pipeline::{Error, Exit, Step, StepRequest};
use storefront::{Fault, Faults, Misbehaviour, RouteClass, When};

use crate::world::{Store, World, generated};

fn fault(route: RouteClass, when: When, what: Misbehaviour) -> Faults {
    Faults {
        rules: vec![Fault {
            route,
            only: None,
            when,
            what,
        }],
        throttle: None,
    }
}

fn status(code: u16) -> Misbehaviour {
    Misbehaviour::Status {
        code,
        retry_after_s: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_in_the_tree_ends_at_once_and_the_run_goes_on_later() {
    let world = World::new(Store::Sqlite, generated(200)).await;
    world
        .front
        .set_faults(&fault(
            RouteClass::Category,
            When::Always,
            Misbehaviour::Challenge,
        ))
        .unwrap();
    let run = world
        .pipeline
        .begin_run(&world.request("first"))
        .await
        .unwrap();
    let error = world.pipeline.run(&run).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Refused, "{error}");
    assert!(
        world.front.counts().requests <= 3,
        "{:?}",
        world.front.counts()
    );

    world.front.set_faults(&Faults::default()).unwrap();
    let again = world
        .pipeline
        .begin_run(&world.request("second"))
        .await
        .unwrap();
    assert_eq!(again.id, "first", "the unfinished run goes on");
    let report = world.pipeline.run(&again).await.unwrap();
    assert_eq!(report.exit_code, 0);
    assert!(report.totals.products.new > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_among_the_details_stops_asking_and_loads_what_was_listed() {
    let world = World::new(Store::Sqlite, generated(200)).await;
    world
        .front
        .set_faults(&fault(
            RouteClass::Detail,
            When::After(20),
            Misbehaviour::Challenge,
        ))
        .unwrap();
    let report = world.run("first").await;
    assert_eq!(report.exit_code, 20, "{:?}", world.notes);
    let totals = report.totals;
    assert!(totals.details.good >= 10, "{totals:?}");
    assert!(totals.details.unfetched > 0, "{totals:?}");
    assert_eq!(
        totals.products.new, totals.products.listed,
        "prices are loaded all the same"
    );
    let asked = world.front.counts().routes["detail"];
    assert!(
        asked < 40,
        "{asked} details were asked although the site refuses"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn details_that_all_fail_leave_the_prices_of_the_listings() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.with(|settings| settings.max_attempts = 1);
    world
        .front
        .set_faults(&fault(RouteClass::Detail, When::Always, status(500)))
        .unwrap();
    let report = world.run("first").await;
    assert_eq!(report.exit_code, 20, "{:?}", world.notes);
    assert_eq!(report.totals.details.unfetched, report.totals.details.due);
    assert_eq!(report.totals.products.new, report.totals.products.listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_details_in_a_row_without_an_answer_are_a_refusal_in_whatever_words() {
    let captcha = || Misbehaviour::RedirectTo {
        to: "https://captcha.example/".into(),
    };
    // A 500 is tried again, how often before the twentieth product says it is a matter of time.
    for (what, most) in [
        (captcha(), 50),
        (status(405), 50),
        (status(451), 50),
        (status(500), 90),
    ] {
        let world = World::new(Store::Sqlite, generated(200)).await;
        let refused = fault(RouteClass::Detail, When::After(10), what.clone());
        world.front.set_faults(&refused).unwrap();
        let report = world.run("first").await;
        assert_eq!(report.exit_code, 20, "{what:?}: {:?}", world.notes);
        let asked = world.front.counts().routes["detail"];
        assert!((30..most).contains(&asked), "{what:?}: {asked} were asked");
        world.front.set_faults(&Faults::none()).unwrap();
        world.day(1);
        let report = world.run("second").await;
        assert_eq!(report.exit_code, 0, "{what:?}: {:?}", world.notes);
        let left = "SELECT COUNT(*) FROM products WHERE detail_observed_at IS NULL
            AND delisted_at IS NULL";
        assert_eq!(one(&world, left).await, "0", "{what:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_answers_404_to_everything_delists_nothing() {
    let world = World::new(Store::Sqlite, generated(200)).await;
    world.run("before").await;
    world.day(1);
    world
        .front
        .set_faults(&fault(RouteClass::Detail, When::Always, status(404)))
        .unwrap();
    let report = world.run("after").await;
    assert_eq!(report.exit_code, 10, "{:?}", world.notes);
    assert_eq!(report.totals.products.gone, 0);
    let gone = world
        .ask("SELECT id FROM products WHERE delisted_at IS NOT NULL")
        .await;
    assert!(gone.is_empty(), "{gone:?}");
    assert!(report.totals.products.unchanged + report.totals.products.changed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_left_the_site_is_delisted_by_its_recheck() {
    let world = World::new(Store::Sqlite, generated(500)).await;
    let mut gone = 0;
    for day in 0..12 {
        world.day(day * 10);
        let report = world.run(&format!("day-{day}")).await;
        gone += report.totals.products.gone;
    }
    assert!(gone > 0, "{:?}", world.notes);
    let rows = world
        .ask(
            "SELECT p.id FROM products p WHERE p.delisted_at IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM product_history h WHERE h.product_id = p.id
                AND h.kind = 'delisted' AND h.observed_at = p.delisted_at)",
        )
        .await;
    assert!(rows.is_empty(), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_goes_on_to_the_same_digest() {
    let undisturbed = World::new(Store::Sqlite, generated(200)).await;
    undisturbed.run("only").await;
    let world = World::new(Store::Sqlite, generated(200)).await;
    let stop = world.pipeline.stop().clone();
    let run = world
        .pipeline
        .begin_run(&world.request("first"))
        .await
        .unwrap();
    let front = &world.front;
    let watch = async {
        while front.counts().routes.get("detail").copied().unwrap_or(0) < 10 {
            tokio::task::yield_now().await;
        }
        stop.say();
    };
    let (outcome, ()) = tokio::join!(world.pipeline.run(&run), watch);
    assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
    // The wish to stop was said to that pipeline; another goes on.
    let mut world = world;
    world.with(|_| {});
    let report = world.run("second").await;
    assert_eq!(report.run_id, "first");
    assert_eq!(
        world.warehouse.digest().await.unwrap(),
        undisturbed.warehouse.digest().await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clean_up_of_a_run_hears_the_wish_to_stop_and_the_end_of_its_time() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.with(|settings| settings.keep.listings_days = 1);
    world.run("old").await;
    world.day(5);
    let request = world.request("new");
    world.pipeline.begin_run(&request).await.unwrap();
    let before = StepRequest::new("new", Step::MonitorInfrastructure);
    world.pipeline.step(&before).await.unwrap();
    let said = |world: &World| {
        let notes = world.notes.lock().unwrap();
        notes.iter().any(|note| note.contains("their listings go"))
    };
    let cleanup = StepRequest::new("new", Step::CleanupTempFiles);
    let late = StepRequest {
        timeout: Some(std::time::Duration::ZERO),
        ..cleanup.clone()
    };
    let error = world.pipeline.step(&late).await.unwrap_err();
    assert!(matches!(error, Error::Overtime(_)), "{error}");
    world.pipeline.stop().say();
    let error = world.pipeline.step(&cleanup).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error}");
    assert!(!said(&world), "nothing was cleaned up");
    world.with(|settings| settings.keep.listings_days = 1);
    world.pipeline.step(&cleanup).await.unwrap();
    assert!(said(&world), "{:?}", world.notes);
}

/// The one cell of an answer.
async fn one(world: &World, sql: &str) -> String {
    let rows = world.ask(sql).await;
    rows[0][0].clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_batches_are_transformed_keeps_what_is_in_hand() {
    for store in crate::world::STORES {
        let undisturbed = World::new(store, generated(200)).await;
        undisturbed.run("only").await;
        let mut world = World::new(store, generated(200)).await;
        world.with(|settings| settings.batch = 1);
        let stop = world.pipeline.stop().clone();
        let request = world.request("first");
        let run = world.pipeline.begin_run(&request).await.unwrap();
        let staged = "SELECT COUNT(*) FROM staged_products WHERE state = 'staged'";
        let watch = async {
            while one(&world, staged).await == "0" {
                tokio::task::yield_now().await;
            }
            stop.say();
        };
        let (outcome, ()) = tokio::join!(world.pipeline.run(&run), watch);
        assert!(matches!(outcome, Err(Error::Interrupted)), "{outcome:?}");
        let step = "SELECT state FROM run_steps WHERE step = 'transform-products'";
        assert_eq!(one(&world, step).await, "open", "stopped in the middle");
        let taken = "SELECT COUNT(*) FROM staged_products WHERE state = 'taken'";
        assert_eq!(one(&world, taken).await, "0", "nothing is left in hand");
        world.with(|_| {});
        let report = world.run("second").await;
        assert_eq!(report.run_id, "first");
        let digest = world.warehouse.digest().await.unwrap();
        assert_eq!(digest, undisturbed.warehouse.digest().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_of_another_scope_is_told_who_is_at_work() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world
        .pipeline
        .begin_run(&world.request("first"))
        .await
        .unwrap();
    world.scope.max_products = 7;
    let error = world
        .pipeline
        .begin_run(&world.request("second"))
        .await
        .unwrap_err();
    assert_eq!(error.exit(), Exit::Warehouse);
    assert!(
        error.to_string().contains("tiki runs close first"),
        "{error}"
    );
    let closed = world.pipeline.close_run("first").await.unwrap();
    assert_eq!(closed.totals.products.new, 0);
    assert!(
        world
            .pipeline
            .begin_run(&world.request("second"))
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_between_two_steps_is_at_work_for_a_new_one() {
    for store in crate::world::STORES {
        let world = World::new(store, generated(200)).await;
        let pipeline = &world.pipeline;
        let fresh = pipeline::RunRequest {
            fresh: true,
            ..world.request("second")
        };
        pipeline.begin_run(&world.request("first")).await.unwrap();
        let step = StepRequest::new("first", Step::CrawlCategories);
        for begun in [false, true] {
            if begun {
                pipeline.step(&step).await.unwrap();
            }
            let refused = pipeline.begin_run(&fresh).await;
            assert!(matches!(refused, Err(Error::Held(_))), "{refused:?}");
        }
        // A step that failed is followed by none.
        let late = StepRequest {
            timeout: Some(std::time::Duration::ZERO),
            ..StepRequest::new("first", Step::CrawlProductDetails)
        };
        let error = pipeline.step(&late).await.unwrap_err();
        assert!(matches!(error, Error::Overtime(_)), "{error}");
        assert_eq!(pipeline.begin_run(&fresh).await.unwrap().id, "second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_cannot_be_read_is_a_refusal_and_not_an_empty_shop() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.with(|settings| settings.max_attempts = 1);
    let broken = fault(
        RouteClass::Category,
        When::Always,
        Misbehaviour::ErrorObject { code: 500 },
    );
    world.front.set_faults(&broken).unwrap();
    let run = world
        .pipeline
        .begin_run(&world.request("first"))
        .await
        .unwrap();
    let error = world.pipeline.run(&run).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Refused, "{error}");
    world.front.set_faults(&Faults::default()).unwrap();
    let report = world.run("second").await;
    assert_eq!((report.run_id.as_str(), report.exit_code), ("first", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_page_that_fails_makes_its_category_incomplete_and_loads_the_rest() {
    let mut world = World::new(Store::Sqlite, generated(300)).await;
    world.with(|settings| settings.max_attempts = 1);
    let broken = fault(RouteClass::Listing, When::Every(3), Misbehaviour::EmptyBody);
    world.front.set_faults(&broken).unwrap();
    let report = world.run("first").await;
    assert!(report.totals.pages.failed > 0, "{:?}", report.totals);
    assert!(report.totals.products.new > 0, "{:?}", report.totals);
    assert_eq!(report.exit_code, 0, "{:?}", world.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_among_the_listings_keeps_what_came_and_asks_nothing_more() {
    let world = World::new(Store::Sqlite, generated(300)).await;
    world.run("before").await;
    let details = world.front.counts().routes["detail"];
    world.day(8);
    let broken = fault(RouteClass::Listing, When::After(2), Misbehaviour::Challenge);
    world.front.set_faults(&broken).unwrap();
    let report = world.run("after").await;
    assert_eq!(report.exit_code, 20, "{:?}", world.notes);
    assert_eq!(report.totals.pages.ok, 2, "{:?}", report.totals);
    assert!(report.totals.pages.unasked > 0, "{:?}", report.totals);
    assert!(report.totals.products.listed > 0, "{:?}", report.totals);
    assert_eq!(
        world.front.counts().routes["detail"],
        details,
        "a site that refuses is left alone"
    );
    assert!(
        world
            .notes
            .lock()
            .unwrap()
            .iter()
            .any(|note| note.contains("--from"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_gone_is_a_refusal_and_no_leaf() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.with(|settings| settings.max_attempts = 1);
    world
        .front
        .set_faults(&fault(RouteClass::Category, When::Always, status(404)))
        .unwrap();
    let run = world
        .pipeline
        .begin_run(&world.request("first"))
        .await
        .unwrap();
    let error = world.pipeline.run(&run).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Refused, "{error}");
}
