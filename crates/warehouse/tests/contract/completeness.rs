//! How whole a run listed its categories.

use catalog::Slice;
use warehouse::Completeness;

use crate::listings::{listed_run, page_of};
use crate::products::listing;
use crate::shop::{CATEGORY, Shop, ask_all, begin, end, list};
use crate::store::{Store, at};

on_both!(
    a_category_is_whole_or_says_why_not,
    one_in_a_thousand_may_be_missing,
    what_has_no_id_is_not_missing,
    a_site_that_does_not_say_is_measured_by_its_tree,
    a_listing_that_shows_nothing_is_not_believed_before_the_tree,
    slow_more_at_one_price_than_the_site_shows_is_told,
    categories_come_in_the_order_of_the_tree,
);

fn spread(id: i64) -> i64 {
    10_000 + id * 100
}

async fn of_run(store: &Store, run: &str) -> Completeness {
    let all = store.warehouse.completeness(run, 10).await;
    let all = all.expect("an answer");
    assert_eq!(all.len(), 1, "{all:?}");
    let one = all.into_iter().next().expect("one");
    assert_eq!((one.category_id, one.name.as_str()), (CATEGORY, "Sách"));
    one
}

/// Lists a shop with a limit (0: none), and whether its counts say the same.
async fn measure(
    store: &Store,
    run: &str,
    shop: &Shop,
    announced: i64,
    limit: i64,
) -> Completeness {
    let attempt = begin(store, run, announced, limit).await;
    list(store, &attempt, shop, limit).await;
    let counts = end(store, &attempt, limit).await;
    let one = of_run(store, run).await;
    let incomplete = i64::from(one.why.is_some());
    assert_eq!(counts.incomplete_categories, incomplete, "{one:?}");
    one
}

fn numbers(one: &Completeness) -> (i64, i64, i64, Option<&str>) {
    (one.announced, one.listed, one.missing, one.why.as_deref())
}

async fn a_category_is_whole_or_says_why_not(store: Store) {
    // What the listing says of itself is newer than what the tree says.
    let shop = Shop::of(100, spread);
    let whole = measure(&store, "whole", &shop, 120, 0).await;
    assert_eq!(numbers(&whole), (100, 100, 0, None));
    let attempt = begin(&store, "stopped", 100, 0).await;
    let first = crate::shop::claim(&store.warehouse, &attempt, 1).await;
    crate::shop::bring(&store.warehouse, &attempt, &shop, &first[0], 0).await;
    end(&store, &attempt, 0).await;
    let why = Some("0 pages failed, 2 were not asked");
    let stopped = of_run(&store, "stopped").await;
    assert_eq!(numbers(&stopped), (100, 40, 60, why));
    let failing = Shop {
        failing: vec![(Slice::default(), 2)],
        ..shop.clone()
    };
    let failed = measure(&store, "failed", &failing, 100, 0).await;
    let why = Some("1 pages failed, 0 were not asked");
    assert_eq!(numbers(&failed), (100, 60, 40, why));
    let limited = measure(&store, "limited", &shop, 100, 40).await;
    let why = Some("the limit of products of a category");
    assert_eq!(numbers(&limited), (100, 40, 60, why));
    let moving = Shop {
        moved: vec![41, 42],
        restless: true,
        ..shop
    };
    let moved = measure(&store, "moved", &moving, 100, 0).await;
    let why = Some("items moved while they were listed");
    assert_eq!(numbers(&moved), (100, 98, 2, why));
}

async fn one_in_a_thousand_may_be_missing(store: Store) {
    let mut shop = Shop {
        moved: vec![500],
        restless: true,
        ..Shop::of(1000, spread)
    };
    let whole = measure(&store, "r1", &shop, 1000, 0).await;
    assert_eq!(numbers(&whole), (1000, 999, 1, None));
    let looks = "SELECT COUNT(*) FROM listing_pages WHERE slice = 'again'";
    assert_eq!(store.cell(looks).await, "0");
    shop.moved.push(501);
    let moved = measure(&store, "r2", &shop, 1000, 0).await;
    assert_eq!((moved.listed, moved.missing), (998, 2));
    assert!(moved.why.is_some());
    assert_eq!(store.cell(looks).await, "25", "once, all of it");
}

async fn what_has_no_id_is_not_missing(store: Store) {
    // Two places of the first page hold nothing that can be listed, and the total counts them.
    let mut shop = Shop {
        nameless: 2,
        moved: vec![99, 100],
        restless: true,
        ..Shop::of(100, spread)
    };
    let whole = measure(&store, "r1", &shop, 100, 0).await;
    assert_eq!(numbers(&whole), (100, 98, 0, None));
    shop.moved.push(98);
    let moved = measure(&store, "r2", &shop, 100, 0).await;
    let why = Some("items moved while they were listed");
    assert_eq!(
        numbers(&moved),
        (100, 97, 1, why),
        "a second look hides none"
    );
}

async fn a_listing_that_shows_nothing_is_not_believed_before_the_tree(store: Store) {
    let shop = Shop::of(0, spread);
    let attempt = begin(&store, "r1", 200, 0).await;
    let first = crate::shop::claim(&store.warehouse, &attempt, 1).await;
    assert_eq!(first[0].announced, 200);
    crate::shop::bring(&store.warehouse, &attempt, &shop, &first[0], 0).await;
    end(&store, &attempt, 0).await;
    let empty = of_run(&store, "r1").await;
    assert_eq!(
        numbers(&empty),
        (200, 0, 200, Some(warehouse::EMPTY_LISTING))
    );
    let none = measure(&store, "r2", &shop, catalog::UNKNOWN_COUNT, 0).await;
    assert_eq!(numbers(&none), (0, 0, 0, None));
}

async fn a_site_that_does_not_say_is_measured_by_its_tree(store: Store) {
    let shop = Shop {
        silent: true,
        ..Shop::of(100, spread)
    };
    let whole = measure(&store, "r1", &shop, 100, 0).await;
    assert_eq!(numbers(&whole), (100, 100, 0, None));
    let short = measure(&store, "r2", &shop, 150, 0).await;
    let why = Some("the site did not say how many pages there are");
    assert_eq!(numbers(&short), (150, 100, 50, why));
}

async fn slow_more_at_one_price_than_the_site_shows_is_told(store: Store) {
    // Of one brand and one seller: only other orders are left, and they show the same middle.
    let mut shop = Shop::of(6000, |_| 5000);
    for good in &mut shop.goods {
        (good.brand, good.seller) = (1, 2);
    }
    let attempt = begin(&store, "r", 6500, 0).await;
    list(&store, &attempt, &shop, 0).await;
    assert!(
        ask_all(&store.warehouse, &attempt, &shop, 0)
            .await
            .is_empty()
    );
    end(&store, &attempt, 0).await;
    let one = of_run(&store, "r").await;
    assert!((4000..6000).contains(&one.listed), "{one:?}");
    assert_eq!((one.announced, one.missing), (6500, 6500 - one.listed));
    let why = one.why.as_deref();
    assert_eq!(why, Some("more at one price than the site shows"));
}

async fn categories_come_in_the_order_of_the_tree(store: Store) {
    let pages = [
        (8, page_of(vec![listing(1, 1)], at(1))),
        (7, page_of(vec![listing(1, 1)], at(1))),
    ];
    listed_run(&store, "r", &pages).await;
    for (limit, expected) in [(0, &[][..]), (1, &[8]), (9, &[8, 7])] {
        let all = store.warehouse.completeness("r", limit).await;
        let ids: Vec<i64> = all
            .expect("an answer")
            .iter()
            .map(|one| one.category_id)
            .collect();
        assert_eq!(ids, expected);
    }
}
