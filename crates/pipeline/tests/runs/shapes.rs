//! The drift gate: a site whose answers change their shape loads nothing until a person says so.
#![expect(clippy::print_stdout, reason = "the figures are for people")]

use pipeline::{Error, Exit};
use storefront::{Faults, Misbehaviour, RouteClass, When};
use warehouse::RunState;

use crate::world::{STORES, Store, World, generated};

/// Days of a healthy site before the trouble.
const HEALTHY: i64 = 4;

async fn healthy(store: Store) -> World {
    let mut world = World::new(store, generated(700)).await;
    world.scope.max_categories = 0;
    world.scope.max_products = 0;
    for day in 0..HEALTHY {
        world.day(day);
        let report = world.run(&format!("day-{day}")).await;
        assert_eq!(report.exit_code, 0, "day {day}: {:?}", world.notes);
    }
    world
}

fn fault(route: RouteClass, what: Misbehaviour) -> Faults {
    Faults::one(route, When::Always, what)
}

/// Runs and expects the run to be held.
async fn held(world: &World, id: &str) {
    let run = world.pipeline.begin_run(&world.request(id)).await.unwrap();
    let ended = world
        .pipeline
        .run(&run)
        .await
        .map(|report| report.exit_code);
    let error = ended.expect_err("the run is held");
    assert_eq!(error.exit(), Exit::Drift, "{id}: {error}");
    let run = world.warehouse.run(id).await.unwrap().unwrap();
    assert_eq!(run.state, RunState::Held, "{id}");
    let found = world.warehouse.drift(id).await.unwrap();
    assert!(found.iter().any(|row| row.stops), "{id}: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_renamed_dropped_or_retyped_holds_the_run_and_accept_loads_it() {
    let text = |text: &str| text.to_owned();
    for store in STORES {
        for (name, what) in [
            (
                "renamed",
                Misbehaviour::RenameField {
                    field: text("review_count"),
                    to: text("reviews"),
                },
            ),
            (
                "dropped",
                Misbehaviour::DropField {
                    field: text("quantity_sold"),
                },
            ),
            (
                "retyped",
                Misbehaviour::RetypeField {
                    field: text("original_price"),
                },
            ),
        ] {
            let world = healthy(store).await;
            let digest = world.warehouse.digest().await.unwrap();
            world.day(HEALTHY);
            world
                .front
                .set_faults(&fault(RouteClass::Listing, what))
                .unwrap();
            held(&world, name).await;
            assert_eq!(
                world.warehouse.digest().await.unwrap(),
                digest,
                "{store:?} {name}: nothing was loaded"
            );
            let requests = world.front.counts().requests;
            let step = pipeline::StepRequest::new(name, pipeline::Step::LoadProducts);
            let again = world.pipeline.step(&step).await.unwrap_err();
            assert!(matches!(again, Error::Drift { .. }), "{again}");

            let run = world.pipeline.accept_drift(name).await.unwrap();
            let report = world.pipeline.run(&run).await.unwrap();
            assert_eq!(report.totals.broken(), Vec::<String>::new());
            let looks = format!("SELECT COUNT(*) FROM observations WHERE run_id = '{name}'");
            assert_ne!(
                world.ask(&looks).await[0][0].as_deref(),
                Some("0"),
                "{name}"
            );
            assert_eq!(
                world.front.counts().requests,
                requests,
                "{store:?} {name}: no request"
            );
            // What a person accepted is what later runs are compared with.
            world.day(HEALTHY + 1);
            let run = world
                .pipeline
                .begin_run(&world.request("later"))
                .await
                .unwrap();
            world.pipeline.run(&run).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_held_can_be_given_up_and_counts_add_up() {
    let world = healthy(Store::Sqlite).await;
    let digest = world.warehouse.digest().await.unwrap();
    world.day(HEALTHY);
    let what = Misbehaviour::DropField {
        field: "name".into(),
    };
    world
        .front
        .set_faults(&fault(RouteClass::Detail, what))
        .unwrap();
    held(&world, "bad").await;
    let report = world.pipeline.reject_drift("bad").await.unwrap();
    assert_eq!(report.totals.broken(), Vec::<String>::new());
    assert_eq!(world.warehouse.digest().await.unwrap(), digest);
    world.front.set_faults(&Faults::default()).unwrap();
    world.day(HEALTHY + 1);
    assert_eq!(world.run("good").await.exit_code, 0);
}

/// A healthy shop and a run that is held, as its details have no names any more.
async fn without_names(store: Store) -> World {
    let world = healthy(store).await;
    world.day(HEALTHY);
    let what = Misbehaviour::DropField {
        field: "name".into(),
    };
    world
        .front
        .set_faults(&fault(RouteClass::Detail, what))
        .unwrap();
    held(&world, "bad").await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_a_run_up_goes_on_where_it_was_killed_before_the_counts() {
    for store in STORES {
        let world = without_names(store).await;
        // A run that is opened again brings the counts of its earlier end.
        for earlier in [false, true] {
            if earlier {
                let from = pipeline::Step::TransformProducts;
                let run = world.pipeline.redo("bad", from).await.unwrap();
                assert!(run.totals.is_some(), "{run:?}");
                world.pipeline.run(&run).await.expect_err("held again");
            }
            world.warehouse.reject_drift("bad").await.unwrap();
            let report = world.pipeline.reject_drift("bad").await.unwrap();
            assert_eq!(report.totals.broken(), Vec::<String>::new());
            let run = world.warehouse.run("bad").await.unwrap().unwrap();
            assert_eq!(run.state, RunState::Abandoned);
            assert_eq!(run.exit_code, Some(i64::from(Exit::Drift.code())));
            assert!(run.totals.is_some(), "{store:?}: {run:?}");
            let again = world.pipeline.reject_drift("bad").await.unwrap_err();
            assert!(again.to_string().contains("not held"), "{again}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_a_run_goes_on_where_it_was_killed_before_the_pages_were_read_anew() {
    for store in STORES {
        let world = without_names(store).await;
        let transformed = async || {
            let step = world.warehouse.step("bad", "transform-products").await;
            step.unwrap().is_some()
        };
        world.warehouse.accept_drift("bad").await.unwrap();
        assert!(transformed().await, "by the rules that did not know");
        for _ in 0..2 {
            let run = world.pipeline.accept_drift("bad").await.unwrap();
            assert_eq!(run.state, RunState::Open);
            assert!(!transformed().await, "{store:?}: to be done anew");
        }
        // Once anything was derived it goes on like any other run.
        let step = pipeline::StepRequest::new("bad", pipeline::Step::TransformProducts);
        world.pipeline.step(&step).await.unwrap();
        let again = world.pipeline.accept_drift("bad").await.unwrap_err();
        assert!(again.to_string().contains("not held"), "{again}");
        assert!(transformed().await, "{store:?}: it stays");
        let run = world.warehouse.run("bad").await.unwrap().unwrap();
        let report = world.pipeline.run(&run).await.unwrap();
        assert_eq!(report.totals.broken(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: weeks of runs"]
async fn a_drift_of_two_percent_a_day_is_caught() {
    let world = healthy(Store::Sqlite).await;
    for day in 0..20 {
        world.day(HEALTHY + day);
        let what = Misbehaviour::DropShare {
            field: "thumbnail_url".into(),
            percent: u8::try_from(2 * (day + 1)).unwrap(),
        };
        world
            .front
            .set_faults(&fault(RouteClass::Listing, what))
            .unwrap();
        let id = format!("slow-{day}");
        let digest = world.warehouse.digest().await.unwrap();
        let run = world.pipeline.begin_run(&world.request(&id)).await.unwrap();
        match world.pipeline.run(&run).await {
            Ok(report) => assert_eq!(report.exit_code, 0, "day {day}"),
            Err(Error::Drift { .. }) => {
                assert_eq!(world.warehouse.digest().await.unwrap(), digest);
                println!("caught on day {day}");
                return;
            }
            Err(error) => panic!("day {day}: {error}"),
        }
    }
    panic!("not caught in twenty days");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: many weeks of runs"]
async fn fifty_shops_of_other_categories_and_ages_stop_nothing() {
    for seed in 0..50 {
        let content = storefront::Content::Generated(storefront::Generated {
            seed,
            products: 300,
            pace: storefront::Pace::Real,
            ..storefront::Generated::default()
        });
        let mut world = World::new(Store::Sqlite, content).await;
        world.scope.max_products = 60;
        for day in 0..5 {
            // Other categories every other day.
            world.scope.max_categories = 2 + (day % 3) * 2;
            world.day(day * 20);
            let report = world.run(&format!("day-{day}")).await;
            assert_eq!(
                report.exit_code, 0,
                "seed {seed} day {day}: {:?}",
                world.notes
            );
        }
    }
}
