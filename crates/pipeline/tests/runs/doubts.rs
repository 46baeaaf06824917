//! Slips of the site in the tree and in listings, which are asked about again before they are believed.

use storefront::{Fault, Faults, Misbehaviour, Only, RouteClass, When};

use crate::world::{Store, World, generated};

/// The first so many answers about a category are spoilt.
fn slip(route: RouteClass, category: u64, when: When, what: Misbehaviour) -> Faults {
    Faults {
        rules: vec![Fault {
            route,
            only: Some(Only::Subject { subject: category }),
            when,
            what,
        }],
        throttle: None,
    }
}

fn gone() -> Misbehaviour {
    Misbehaviour::Status {
        code: 404,
        retry_after_s: None,
    }
}

async fn number(world: &World, sql: &str) -> u64 {
    let rows = world.ask(sql).await;
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

/// The categories of a run, in order.
async fn taken(world: &World, run: &str) -> Vec<Vec<Option<String>>> {
    let sql = format!(
        "SELECT category_id FROM run_categories WHERE run_id = '{run}' AND selected
         ORDER BY walk_order"
    );
    world.ask(&sql).await
}

/// A world whose run `before` took the whole tree, two days later, and a category of it that has children.
async fn with_a_tree() -> (World, u64) {
    let mut world = World::new(Store::Sqlite, generated(300)).await;
    world.scope.max_categories = 0;
    world.run("before").await;
    let parent = "SELECT MIN(parent_id) FROM categories WHERE is_leaf = 1 AND parent_id <> 2";
    let parent = number(&world, parent).await;
    world.day(2);
    (world, parent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_with_children_that_is_gone_once_keeps_them() {
    let (world, parent) = with_a_tree().await;
    let faults = slip(RouteClass::Category, parent, When::First(1), gone());
    world.front.set_faults(&faults).unwrap();
    let report = world.run("after").await;
    assert_eq!(report.exit_code, 0, "{:?}", world.notes);
    assert_eq!(taken(&world, "after").await, taken(&world, "before").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_that_lost_its_children_is_told() {
    let (mut world, parent) = with_a_tree().await;
    world.with(|settings| settings.max_attempts = 2);
    let faults = slip(RouteClass::Category, parent, When::Always, gone());
    world.front.set_faults(&faults).unwrap();
    world.run("after").await;
    let told = format!("category {parent} has no children any more");
    let notes = world.notes.lock().unwrap().clone();
    assert!(
        notes.iter().any(|note| note.starts_with(&told)),
        "{notes:?}"
    );
    // The rest of the tree is kept, and that one is asked alone.
    assert_eq!(world.run("again").await.exit_code, 0, "{:?}", world.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_listing_is_believed_where_there_is_but_one_try() {
    let mut world = World::new(Store::Sqlite, generated(300)).await;
    world.run("before").await;
    let leaf = number(&world, "SELECT MIN(category_id) FROM listings").await;
    world.with(|settings| settings.max_attempts = 1);
    world.day(1);
    let faults = slip(
        RouteClass::Listing,
        leaf,
        When::Always,
        Misbehaviour::EmptyListing,
    );
    world.front.set_faults(&faults).unwrap();
    assert_eq!(world.run("after").await.exit_code, 0, "{:?}", world.notes);
    let failed = "SELECT COUNT(*) FROM listing_pages WHERE state = 'failed'";
    assert_eq!(number(&world, failed).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_empty_though_the_tree_announces_products_is_asked_again_and_told() {
    let mut world = World::new(Store::Sqlite, generated(300)).await;
    world.run("before").await;
    let empty = Misbehaviour::EmptyListing;
    let leaf = number(&world, "SELECT MIN(category_id) FROM listings").await;
    world.day(1);
    let faults = slip(RouteClass::Listing, leaf, When::First(1), empty.clone());
    world.front.set_faults(&faults).unwrap();
    let report = world.run("once").await;
    let listed =
        format!("SELECT COUNT(*) FROM listings WHERE category_id = {leaf} AND run_id = 'once'");
    assert!(number(&world, &listed).await > 0, "{:?}", world.notes);
    assert_eq!(report.exit_code, 0);

    world.with(|settings| settings.max_attempts = 2);
    world.day(2);
    let faults = slip(RouteClass::Listing, leaf, When::Always, empty);
    world.front.set_faults(&faults).unwrap();
    let report = world.run("always").await;
    let whole = world.warehouse.completeness("always", 100).await.unwrap();
    let of_it = whole
        .iter()
        .find(|of| of.category_id.unsigned_abs() == leaf)
        .unwrap();
    assert_eq!(of_it.why.as_deref(), Some(warehouse::EMPTY_LISTING));
    assert!(
        of_it.announced > 0 && of_it.missing == of_it.announced,
        "{of_it:?}"
    );
    let notes = world.notes.lock().unwrap();
    let told = format!("not listed whole: {leaf}");
    assert!(notes.iter().any(|note| note.contains(&told)), "{notes:?}");
    assert_eq!(report.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_without_end_is_left_at_its_sixteenth_level() {
    let mut world = World::new(Store::Sqlite, generated(200)).await;
    world.with(|settings| settings.max_attempts = 1);
    let faults = Faults::one(
        RouteClass::Category,
        When::Always,
        Misbehaviour::EndlessTree,
    );
    world.front.set_faults(&faults).unwrap();
    let request = world.request("endless");
    let run = world.pipeline.begin_run(&request).await.unwrap();
    let error = world.pipeline.run(&run).await.unwrap_err();
    assert!(error.to_string().contains("more than 16 levels"), "{error}");
    assert_eq!(world.front.counts().routes["categories"], 16);
    let notes = world.notes.lock().unwrap();
    let told = "categories that could not be read: 1";
    assert!(notes.iter().any(|note| note.starts_with(told)), "{notes:?}");
}
