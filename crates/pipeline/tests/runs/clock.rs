//! What the site's `Date` says of the clocks.

use pipeline::{Error, Exit};
use storefront::{Faults, Misbehaviour, RouteClass, When};

use crate::world::{STORES, Store, World, generated};

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_now_and_then_says_nothing_of_the_clocks() {
    for route in [RouteClass::Any, RouteClass::Detail] {
        let mut world = World::new(Store::Sqlite, generated(200)).await;
        // Answers come in the order of the questions, so that no three copies come in a row.
        world.with(|settings| settings.workers = 1);
        let faults = Faults::one(route, When::Every(4), Misbehaviour::OldDate);
        world.front.set_faults(&faults).unwrap();
        let report = world.run("copies").await;
        assert_eq!(report.exit_code, 0, "{:?}", world.notes);
        assert_eq!(report.totals.details.good, report.totals.details.due);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_ends_the_step_after_what_landed_is_stored() {
    for store in STORES {
        let world = World::new(store, generated(200)).await;
        let faults = Faults::one(RouteClass::Detail, When::After(30), Misbehaviour::OldDate);
        world.front.set_faults(&faults).unwrap();
        let request = world.request("off");
        let run = world.pipeline.begin_run(&request).await.unwrap();
        let error = world.pipeline.run(&run).await.unwrap_err();
        assert!(matches!(error, Error::Clock { .. }), "{error}");
        assert_eq!(error.exit(), Exit::Usage);
        let good = world
            .ask("SELECT COUNT(*) FROM run_products WHERE detail = 'good'")
            .await;
        let good: u64 = good[0][0].as_deref().unwrap().parse().unwrap();
        assert!((30..40).contains(&good), "{good} are stored");
    }
}
