//! How far a limit of products lets a category be listed.

use warehouse::ListingAsk;

use crate::listings::{answer, ask, begin, organic, take};
use crate::products::listing;
use crate::store::{Store, at};

on_both!(
    a_limit_plans_the_pages_that_it_needs,
    repeats_make_one_more_page_whoever_answers_last,
    a_page_that_is_given_up_last_makes_one_more_page_as_well,
    without_paging_a_limit_asks_as_far_as_it_needs,
    what_is_followed_is_never_beyond_the_limit,
    a_limit_of_any_size_is_taken,
);

async fn a_limit_plans_the_pages_that_it_needs(store: Store) {
    let attempt = begin(&store, "r").await;
    let first = ask(&store, &attempt).await;
    take(
        &store,
        &attempt,
        &first[0],
        &answer(organic(&[1, 2, 3]), 1, 9),
        7,
        at(1),
    )
    .await
    .expect("kept");
    let pages: Vec<i64> = ask(&store, &attempt)
        .await
        .iter()
        .map(|ask| ask.page)
        .collect();
    assert_eq!(pages, [2, 3], "seven of three a page");
}

async fn repeats_make_one_more_page_whoever_answers_last(store: Store) {
    for (run, order) in [("r1", [0, 1]), ("r2", [1, 0])] {
        let attempt = begin(&store, run).await;
        let first = ask(&store, &attempt).await;
        let next = answer(organic(&[1, 2, 3]), 1, 9);
        take(&store, &attempt, &first[0], &next, 7, at(1))
            .await
            .expect("kept");
        let rest = ask(&store, &attempt).await;
        let answers = [
            answer(organic(&[4, 5, 6]), 2, 9),
            answer(organic(&[4, 5, 6]), 3, 9),
        ];
        for n in order {
            assert!(ask(&store, &attempt).await.is_empty());
            take(&store, &attempt, &rest[n], &answers[n], 7, at(1))
                .await
                .expect("kept");
        }
        let more = ask(&store, &attempt).await;
        assert_eq!(
            more.iter().map(|ask| ask.page).collect::<Vec<_>>(),
            [4],
            "{run}"
        );
        let last = answer(organic(&[7, 8, 9]), 4, 9);
        take(&store, &attempt, &more[0], &last, 7, at(1))
            .await
            .expect("kept");
        assert!(ask(&store, &attempt).await.is_empty());
        store.end(&attempt).await;
        store.finish_run(run).await;
    }
}

async fn a_page_that_is_given_up_last_makes_one_more_page_as_well(store: Store) {
    let attempt = begin(&store, "r").await;
    let fail = async |asked: &ListingAsk, wait| {
        let warehouse = &store.warehouse;
        let failed = warehouse.fail_listing(&attempt, asked, "503", wait, true, 7);
        failed.await.expect("kept");
    };
    let pages = |asks: &[ListingAsk]| -> Vec<i64> { asks.iter().map(|ask| ask.page).collect() };
    let first = ask(&store, &attempt).await;
    let items = answer(organic(&[1, 2, 3]), 1, 9);
    let taken = take(&store, &attempt, &first[0], &items, 7, at(1)).await;
    taken.expect("kept");
    let rest = ask(&store, &attempt).await;
    let repeats = answer(organic(&[1, 2, 3]), 2, 9);
    let taken = take(&store, &attempt, &rest[0], &repeats, 7, at(1)).await;
    taken.expect("kept");
    fail(&rest[1], Some(0.0)).await;
    let again = ask(&store, &attempt).await;
    assert_eq!(pages(&again), [3], "it is not given up yet");
    fail(&again[0], None).await;
    let instead = ask(&store, &attempt).await;
    assert_eq!(pages(&instead), [4]);
    fail(&instead[0], None).await;
    assert!(
        ask(&store, &attempt).await.is_empty(),
        "not after two in a row"
    );
}

async fn without_paging_a_limit_asks_as_far_as_it_needs(store: Store) {
    let attempt = begin(&store, "r").await;
    let pages: [&[i64]; 4] = [&[1, 2, 3], &[4, 5, 6], &[7, 8, 9], &[]];
    let mut asked = Vec::new();
    loop {
        let asks = ask(&store, &attempt).await;
        let Some(one) = asks.first() else { break };
        let mut answer = answer(organic(pages[one.page as usize - 1]), one.page, 0);
        answer.paging = None;
        take(&store, &attempt, one, &answer, 5, at(1))
            .await
            .expect("kept");
        asked.extend(asks.iter().map(|ask| ask.page));
    }
    assert_eq!(asked, [1, 2], "five are listed");
}

async fn what_is_followed_is_never_beyond_the_limit(store: Store) {
    let known = [3, 5].map(|id| crate::products::listed(listing(id, 100), at(0)));
    store
        .bring("r1", known.into(), &crate::store::merge())
        .await;
    let attempt = begin(&store, "r2").await;
    let asks = ask(&store, &attempt).await;
    let only = answer(organic(&[1, 2, 3, 4, 5, 6]), 1, 1);
    take(&store, &attempt, &asks[0], &only, 2, at(1))
        .await
        .expect("kept");
    let settled = store.warehouse.settle_listing(&attempt, 2).await;
    settled.expect("settled");
    let beyond = "SELECT product_id FROM listings WHERE beyond ORDER BY product_id";
    assert_eq!(store.rows(beyond).await, ["4", "6"]);
    let listed = store.warehouse.listed_products("r2", 0, 9).await;
    let ids: Vec<i64> = listed
        .expect("products")
        .iter()
        .map(|product| product.product_id)
        .collect();
    assert_eq!(ids, [1, 2, 3, 5]);
    let items = store
        .warehouse
        .identities("r2")
        .await
        .expect("counts")
        .items;
    assert_eq!((items.seen, items.listed, items.beyond), (6, 4, 2));
}

async fn a_limit_of_any_size_is_taken(store: Store) {
    for (run, limit) in [("r1", i64::from(i32::MAX) + 1), ("r2", i64::MAX)] {
        let attempt = begin(&store, run).await;
        let begun = store.warehouse.begin_listing(&attempt, limit).await;
        begun.expect("begun");
        let first = ask(&store, &attempt).await;
        let only = answer(organic(&[1, 2, 3]), 1, 1);
        let taken = take(&store, &attempt, &first[0], &only, limit, at(1)).await;
        taken.expect("kept");
        let settled = store.warehouse.settle_listing(&attempt, limit).await;
        settled.expect("settled");
        store.end(&attempt).await;
        store.finish_run(run).await;
    }
}
