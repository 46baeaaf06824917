//! What runs of several days leave behind.

use pipeline::{Exit, Step, StepRequest};

use crate::world::{STORES, Store, World, generated};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_loads_what_the_site_lists_and_a_second_one_changes_nothing() {
    for store in STORES {
        let world = World::new(store, generated(300)).await;
        let first = world.run("first").await;
        assert_eq!(first.exit_code, 0, "{store:?}: {:?}", world.notes);
        let products = first.totals.products;
        assert!(products.new > 50, "{store:?}: {products:?}");
        assert_eq!(products.new, products.listed, "{store:?}");
        assert_eq!(
            first.totals.details.good, first.totals.details.due,
            "{store:?}"
        );
        let digest = world.warehouse.digest().await.unwrap();

        let second = world.run("second").await;
        assert_eq!(
            second.totals.products.unchanged, products.listed,
            "{store:?}: same instant"
        );
        assert_eq!(
            second.totals.details.due, 0,
            "{store:?}: nothing new to learn"
        );
        assert_eq!(world.warehouse.digest().await.unwrap(), digest, "{store:?}");
        let counts = world.front.counts();
        assert_eq!(counts.disallowed, 0, "{store:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_days_leave_a_history_that_follows_the_site() {
    for store in STORES {
        let world = World::new(store, generated(300)).await;
        for day in 0..10 {
            world.day(day);
            let report = world.run(&format!("day-{day}")).await;
            assert_eq!(
                report.exit_code, 0,
                "{store:?} day {day}: {:?}",
                world.notes
            );
        }
        let changes = world
            .ask("SELECT COUNT(*) FROM product_history WHERE price_change <> 0")
            .await;
        let changes: i64 = changes[0][0].as_deref().unwrap().parse().unwrap();
        assert!(changes > 20, "{store:?}: {changes}");
        let wrong = world
            .ask(
                "SELECT p.id FROM products p JOIN product_history h ON h.product_id = p.id
                 WHERE h.observed_at = (SELECT MAX(n.observed_at) FROM product_history n
                    WHERE n.product_id = p.id)
                 AND (p.price <> h.price OR p.observed_at < h.observed_at)",
            )
            .await;
        assert_eq!(wrong, Vec::<Vec<Option<String>>>::new(), "{store:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_whose_children_are_all_excluded_is_no_leaf() {
    let mut world = World::new(Store::Sqlite, generated(300)).await;
    world.scope.max_categories = 0;
    world.run("all").await;
    let rows = world
        .ask("SELECT id, parent_id FROM categories WHERE is_leaf ORDER BY path")
        .await;
    let number = |cell: &Option<String>| -> i64 { cell.as_deref().unwrap().parse().unwrap() };
    let parent = number(&rows[0][1]);
    let children = rows.iter().filter(|row| number(&row[1]) == parent);
    world.scope.exclude = children.map(|row| number(&row[0])).collect();
    let report = world.run("without").await;
    let taken = world
        .ask("SELECT category_id FROM run_categories WHERE run_id = 'without' AND selected")
        .await;
    assert_eq!(
        taken.len(),
        rows.len() - world.scope.exclude.len(),
        "{report:?}"
    );
    assert!(
        taken.iter().all(|row| number(&row[0]) != parent),
        "{taken:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_counts_do_not_add_up_ends_as_a_bug() {
    let world = World::new(Store::Sqlite, generated(200)).await;
    let run = world
        .pipeline
        .begin_run(&world.request("first"))
        .await
        .unwrap();
    let before = Step::ALL
        .into_iter()
        .filter(|step| *step < Step::SendNotification);
    for step in before {
        world
            .pipeline
            .step(&StepRequest::new("first", step))
            .await
            .unwrap();
    }
    let file = rusqlite::Connection::open(world.warehouse.file().unwrap()).unwrap();
    let seeded = file.execute(
        "UPDATE listing_pages SET items = items + 1 WHERE page = 1",
        [],
    );
    assert_eq!(seeded.unwrap(), 3);
    let error = world.pipeline.run(&run).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Bug, "{error}");
    assert!(error.to_string().contains("items seen"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_chosen_category_rechecks_none_of_the_others() {
    for store in STORES {
        let mut world = World::new(store, generated(300)).await;
        let all = world.run("all").await.totals.products.listed;
        let taken = world.warehouse.selected("all", 1).await.unwrap();
        world.day(1);
        world.scope.categories = vec![taken[0].0];
        let report = world.run("one").await;
        let products = report.totals.products;
        assert!(products.listed < all, "{store:?}: {products:?}");
        assert!(products.rechecked < 10, "{store:?}: {products:?}");
    }
}
