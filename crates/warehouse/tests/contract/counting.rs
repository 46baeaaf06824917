//! Nothing leaves a run uncounted.

use warehouse::{DetailOutcome, Error};

use crate::listings::{listed_run, page_of};
use crate::products::{listed, listing};
use crate::store::{Arrival, Store, answer, at, merge};

on_both!(
    all_identities_hold_at_the_end_of_a_run,
    a_seeded_break_is_named,
    a_fenced_load_writes_nothing,
    a_redone_run_adds_up_again,
);

/// A run of three listed products and one recheck, each with another end.
async fn whole_run(store: &Store) {
    store
        .bring("r0", vec![listed(listing(9, 1), at(0))], &merge())
        .await;
    let items = vec![listing(1, 1), listing(2, 1), listing(3, 1)];
    listed_run(store, "r", &[(7, page_of(items, at(1)))]).await;
    store.plan("r", &[1, 2, 3], Some(7)).await;
    store.plan("r", &[9], None).await;
    let attempt = store.attempt("r", "crawl-product-details").await;
    let asks = store
        .warehouse
        .next_details(&attempt, 9)
        .await
        .expect("a claim")
        .expect("four");
    let answers = asks.into_iter().map(|ask| {
        let outcome = match ask.product_id {
            2 => DetailOutcome::Unfetched("503".into()),
            _ => DetailOutcome::Gone,
        };
        answer(ask, outcome)
    });
    store
        .warehouse
        .commit_details(&attempt, answers.collect())
        .await
        .expect("kept");
    store.end(&attempt).await;
    stage(store).await;
    store.load_staged("r", &merge()).await;
}

async fn stage(store: &Store) {
    let mut arrivals: Vec<Arrival> = (1..=3).map(|id| listed(listing(id, 1), at(1))).collect();
    arrivals.push(Arrival::Gone(9, at(5)));
    store.stage("r", arrivals).await;
}

async fn all_identities_hold_at_the_end_of_a_run(store: Store) {
    whole_run(&store).await;
    let counts = store.warehouse.identities("r").await.expect("counts");
    assert_eq!(counts.broken(), Vec::<String>::new());
    let products = counts.products;
    assert_eq!(
        (
            products.listed,
            products.rechecked,
            products.new,
            products.gone
        ),
        (3, 1, 3, 1)
    );
    let details = counts.details;
    assert_eq!((details.due, details.gone, details.unfetched), (4, 3, 1));
    assert_eq!(counts.incomplete_categories, 0);
    let names = store.warehouse.listed_names("r", 2).await.expect("names");
    assert_eq!(names[0], (1, "Sản phẩm 1".to_owned()));
    assert_eq!(
        store
            .warehouse
            .answered_rechecks("r")
            .await
            .expect("a count"),
        1
    );
    assert_eq!(
        store.warehouse.crawled("r", 9).await.expect("rows").len(),
        4
    );
}

async fn a_seeded_break_is_named(store: Store) {
    whole_run(&store).await;
    for (fault, named) in [
        ("UPDATE listing_pages SET items = 5", "items seen: 5"),
        (
            "UPDATE listing_pages SET items = 3, state = 'lost'",
            "pages planned: 1",
        ),
        (
            "UPDATE staged_products SET products = products - 1",
            "products listed and",
        ),
        (
            "UPDATE run_products SET detail = 'due' WHERE product_id = 2",
            "details due: 4",
        ),
        (
            "DELETE FROM run_products WHERE product_id = 3",
            "products listed by items: 3",
        ),
    ] {
        store.seed(fault).await;
        let broken = store
            .warehouse
            .identities("r")
            .await
            .expect("counts")
            .broken();
        assert!(
            broken.iter().any(|line| line.contains(named)),
            "{fault}: {broken:?}"
        );
    }
}

async fn a_fenced_load_writes_nothing(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    store.stage("r", vec![listed(listing(1, 1), at(1))]).await;
    let first = store.attempt("r", "load-products").await;
    let wish = crate::store::wish("r", "load-products");
    let second = store.warehouse.begin_attempt(&wish, |_| true).await;
    let second = second.expect("an answer").expect("taken over");
    let fenced = store.warehouse.load_batch(&first, &merge()).await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert_eq!(store.warehouse.totals().await.expect("totals"), (0, 0, 0));
    assert_eq!(store.warehouse.staged_count("r").await.expect("a count"), 1);
    let loaded = store
        .warehouse
        .load_batch(&second, &merge())
        .await
        .expect("a batch");
    assert_eq!(loaded.map(|batch| batch.len()), Some(1));
}

async fn a_redone_run_adds_up_again(store: Store) {
    whole_run(&store).await;
    store.finish_run("r").await;
    let digest = store.warehouse.digest().await.expect("a digest");
    let steps = ["transform-products", "load-products"];
    store
        .warehouse
        .redo("r", "transform-products", &steps)
        .await
        .expect("open again");
    let broken = store
        .warehouse
        .identities("r")
        .await
        .expect("counts")
        .broken();
    assert!(!broken.is_empty(), "nothing is loaded yet");
    stage(&store).await;
    store.load_staged("r", &merge()).await;
    let counts = store.warehouse.identities("r").await.expect("counts");
    assert_eq!(counts.broken(), Vec::<String>::new());
    assert_eq!((counts.products.unchanged, counts.products.gone), (3, 1));
    assert_eq!(store.warehouse.digest().await.expect("a digest"), digest);
}
