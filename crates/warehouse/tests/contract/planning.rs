//! The plan of a run.

use warehouse::{KnownProduct, PlannedProduct};

use crate::listings::{listed_run, page_of};
use crate::products::{listed, listing};
use crate::store::{Arrival, Store, at};

on_both!(
    listed_products_come_in_id_order_from_their_first_category,
    followed_products_that_were_not_listed_are_found,
    what_lies_beyond_the_budget_is_deferred,
    a_plan_goes_on_where_it_stopped,
);

const STEP: &str = "crawl-product-details";

async fn listed_products_come_in_id_order_from_their_first_category(store: Store) {
    // Category 8 is asked for first, so it is the first in walk order.
    let pages = [
        (8, page_of(vec![listing(3, 1), listing(1, 1)], at(1))),
        (
            7,
            page_of(vec![listing(1, 2), listing(2, 1), listing(4, 1)], at(1)),
        ),
    ];
    listed_run(&store, "r", &pages).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        // Two rows at a time: a product may have one in each category.
        let page = store
            .warehouse
            .listed_products("r", after, 2)
            .await
            .expect("products");
        let Some(last) = page.last() else { break };
        after = last.product_id;
        seen.extend(page);
    }
    let brief: Vec<(i64, Option<i64>)> = seen
        .iter()
        .map(|product| (product.product_id, product.listed_in))
        .collect();
    assert_eq!(
        brief,
        [(1, Some(8)), (2, Some(7)), (3, Some(8)), (4, Some(7))]
    );
    assert_eq!(seen[0].fingerprint, Some(listing(1, 1).fingerprint()));
    assert_eq!((seen[0].spid, seen[0].last_detail), (Some(10), None));
    let names = store.warehouse.listed_names("r", 10).await.expect("names");
    assert!(names.is_empty(), "nothing is planned yet");
}

async fn followed_products_that_were_not_listed_are_found(store: Store) {
    let arrivals = (1..=40).map(|id| listed(listing(id, 1), at(1))).collect();
    store.bring("r1", arrivals, &crate::store::merge()).await;
    store
        .bring("r2", vec![Arrival::Gone(35, at(2))], &crate::store::merge())
        .await;
    // It lists all but two in the middle of long stretches of listed ones.
    let items = (1..=40)
        .filter(|id| ![13, 38].contains(id))
        .map(|id| listing(id, 1));
    listed_run(&store, "r3", &[(7, page_of(items.collect(), at(3)))]).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = store
            .warehouse
            .unlisted_products("r3", after, 5, false)
            .await
            .expect("products");
        let Some(last) = page.last() else { break };
        after = last.product_id;
        seen.extend(
            page.iter()
                .map(|product| (product.product_id, product.listed_in)),
        );
    }
    assert_eq!(seen, [(13, None), (38, None)], "35 is gone already");
}

fn planned(id: i64, rank: i64, reason: Option<&'static str>) -> PlannedProduct {
    PlannedProduct {
        known: KnownProduct {
            product_id: id,
            listed_in: Some(7),
            fingerprint: Some(1),
            spid: Some(2),
            last_detail: None,
        },
        reason,
        rank,
    }
}

async fn what_lies_beyond_the_budget_is_deferred(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", STEP).await;
    let plan = [
        planned(1, 5, Some("new")),
        planned(2, 1, Some("changed")),
        planned(3, 5, Some("new")),
        planned(4, 9, Some("recheck")),
        planned(5, 0, None),
    ];
    store
        .warehouse
        .commit_plan(&attempt, &plan, "listed 5")
        .await
        .expect("a plan");
    store
        .warehouse
        .end_plan(&attempt, 2, "whole")
        .await
        .expect("an end");
    let asks = store
        .warehouse
        .next_details(&attempt, 9)
        .await
        .expect("a claim")
        .expect("two");
    let ids: Vec<i64> = asks.iter().map(|ask| ask.product_id).collect();
    assert_eq!(ids, [2, 1], "the lowest rank first, then the lowest id");
    assert_eq!(
        (asks[0].spid, asks[0].fingerprint, asks[0].attempts),
        (Some(2), Some(1), 0)
    );
    let counts = store.warehouse.detail_counts("r").await.expect("counts");
    let mut counts: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{word} {n}"))
        .collect();
    counts.sort();
    assert_eq!(counts, ["deferred 2", "due 2", "none 1"]);
    // Enough for all, and no bound: nothing more is deferred.
    store
        .warehouse
        .end_plan(&attempt, 2, "whole")
        .await
        .expect("again");
    store
        .warehouse
        .end_plan(&attempt, 0, "whole")
        .await
        .expect("no bound");
    assert_eq!(
        store.warehouse.open_rows(&attempt).await.expect("a count"),
        2
    );
    assert_eq!(store.warehouse.listed_due("r").await.expect("a count"), 2);
}

async fn a_plan_goes_on_where_it_stopped(store: Store) {
    store.create_run("r").await;
    let first = store.attempt("r", STEP).await;
    let stretch = [planned(1, 0, Some("new"))];
    store
        .warehouse
        .commit_plan(&first, &stretch, "listed 1")
        .await
        .expect("a stretch");
    let taken = store
        .warehouse
        .begin_attempt(&crate::store::wish("r", STEP), |_| true)
        .await;
    taken.expect("an answer").expect("taken over");
    let late = store
        .warehouse
        .commit_plan(&first, &[planned(2, 0, None)], "listed 2")
        .await;
    assert!(matches!(late, Err(warehouse::Error::Fenced(_))), "{late:?}");
    let step = store
        .warehouse
        .step("r", STEP)
        .await
        .expect("a step")
        .expect("begun");
    assert_eq!(step.planned_to.as_deref(), Some("listed 1"));
    assert_eq!(store.cell("SELECT COUNT(*) FROM run_products").await, "1");
}
