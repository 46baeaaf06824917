//! Categories that are listed whole, in slices and by a second look.

use catalog::{Order, Slice};
use warehouse::{Attempt, ListingAsk};

use crate::shop::{
    CATEGORY, LISTING_STEP, Shop, ask_all, begin, bring, by_slice, claim, end, list,
};
use crate::store::{Store, wish};

on_both!(
    a_category_has_no_end_of_slices,
    slow_five_thousand_products_are_listed_by_their_prices,
    slow_one_price_of_three_thousand_is_listed_by_brand,
    slow_a_brand_that_does_not_answer_leaves_the_other_ways,
    what_moved_is_found_by_a_second_look,
    there_is_no_third_look,
    a_limit_makes_no_slices_and_no_second_look,
    slow_workers_that_look_again_at_once_plan_it_once,
    nothing_is_planned_while_a_page_is_still_to_answer,
    what_failed_comes_first_in_the_next_run,
    slow_a_page_that_failed_plans_none_of_a_slice_that_is_gone,
    what_failed_is_remembered_over_a_run_that_listed_nothing,
    a_second_look_that_failed_is_not_asked_in_the_next_run,
    a_limit_keeps_what_failed_beyond_it_away,
);

const PRICE: i64 = 99_000;

/// Prices in no order, every one of them once.
fn spread(id: i64) -> i64 {
    10_000 + id * 7919 % 10_007 * 100
}

async fn count(store: &Store, condition: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM listing_pages WHERE {condition}");
    store.cell(&sql).await.parse().expect("a number")
}

async fn a_category_has_no_end_of_slices(store: Store) {
    let attempt = begin(&store, "r", 5000, 0).await;
    let known = warehouse::MOST_SLICES - 2;
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {known})
         INSERT INTO listing_pages (run_id, category_id, slice, page, state, urgent, attempts, items,
            ads, repeats, malformed, total)
         SELECT run_id, category_id, 'price=' || i || ',' || i, 1, 'ok', urgent, 0, 1, 0, 0, 0, 1
         FROM listing_pages CROSS JOIN n WHERE page = 1"
    );
    store.seed(&sql).await;
    // There is room for one more, and a split is into two to four.
    let shop = Shop::of(5000, spread);
    let first = claim(&store.warehouse, &attempt, 1).await;
    bring(&store.warehouse, &attempt, &shop, &first[0], 0).await;
    assert_eq!(count(&store, "state = 'pending'").await, 0);
    assert_eq!(count(&store, "split = 'endless'").await, 1);
    let whole = store.warehouse.completeness("r", 9).await;
    let why = whole.expect("an answer")[0].why.clone();
    assert_eq!(why.as_deref(), Some(warehouse::TOO_MANY_SLICES));
}

async fn slow_five_thousand_products_are_listed_by_their_prices(store: Store) {
    let shop = Shop::of(5000, spread);
    let attempt = begin(&store, "r", 5000, 0).await;
    let asked = list(&store, &attempt, &shop, 0).await;
    assert_eq!((asked[0].slice, asked[0].page), (Slice::default(), 1));
    let pages = by_slice(&asked);
    assert_eq!(pages[&Slice::default()], 1, "it is listed in slices");
    let by_price = |slice: &Slice| {
        *slice
            == Slice {
                price: slice.price,
                ..Slice::default()
            }
    };
    assert!(pages.keys().all(by_price), "{pages:?}");
    // 125 pages hold them; a first page of a slice that is split is asked besides.
    assert!(asked.len() < 160, "{} pages", asked.len());
    let planned = count(&store, "run_id = 'r'").await;
    let looked = store.warehouse.look_again(&attempt).await;
    assert!(!looked.expect("an answer"), "it is whole");
    assert_eq!(count(&store, "run_id = 'r'").await, planned);
    let counts = end(&store, &attempt, 0).await;
    assert_eq!((counts.items.listed, counts.products.new), (5000, 5000));
    assert_eq!((counts.items.beyond, counts.incomplete_categories), (0, 0));
    assert_eq!(counts.pages.planned, asked.len() as i64);
}

async fn slow_one_price_of_three_thousand_is_listed_by_brand(store: Store) {
    let shop = Shop::of(3000, |_| PRICE);
    let attempt = begin(&store, "r", 3000, 0).await;
    let first = ask_all(&store.warehouse, &attempt, &shop, 0).await;
    let crowded = Slice {
        price: Some((PRICE, PRICE)),
        ..Slice::default()
    };
    assert_eq!(by_slice(&first)[&crowded], 50, "all that the site shows");
    let listed = "SELECT COUNT(*) FROM listings";
    assert_eq!(store.cell(listed).await, "2000");
    let looked = store.warehouse.look_again(&attempt).await;
    assert!(looked.expect("an answer"));
    let rest = list(&store, &attempt, &shop, 0).await;
    let pages = by_slice(&rest);
    assert_eq!((pages.len(), rest.len()), (30, 90), "each brand: {pages:?}");
    assert!(pages.keys().all(|slice| slice.brand.is_some()));
    let counts = end(&store, &attempt, 0).await;
    assert_eq!((counts.items.listed, counts.products.new), (3000, 3000));
    assert_eq!(counts.incomplete_categories, 0);
}

async fn slow_a_brand_that_does_not_answer_leaves_the_other_ways(store: Store) {
    let mut shop = Shop::of(3000, |_| PRICE);
    let brand = Slice {
        price: Some((PRICE, PRICE)),
        brand: Some(105),
        ..Slice::default()
    };
    shop.failing.push((brand, 1));
    let attempt = begin(&store, "r", 3000, 0).await;
    let asked = list(&store, &attempt, &shop, 0).await;
    let pages = by_slice(&asked);
    assert!(pages.keys().any(|slice| slice.seller.is_some()));
    assert!(
        pages.keys().all(|slice| slice.order == Order::TopSeller),
        "by seller it became whole: {pages:?}"
    );
    let counts = end(&store, &attempt, 0).await;
    assert_eq!(counts.items.listed, 3000);
    assert_eq!((counts.pages.failed, counts.incomplete_categories), (1, 1));
}

fn moving(restless: bool) -> Shop {
    Shop {
        moved: vec![41, 42, 85],
        restless,
        ..Shop::of(100, spread)
    }
}

const AGAIN: Slice = Slice {
    price: None,
    brand: None,
    seller: None,
    order: Order::TopSeller,
    again: true,
};

fn pages_of(asked: &[ListingAsk]) -> Vec<(Slice, i64)> {
    asked.iter().map(|ask| (ask.slice, ask.page)).collect()
}

async fn what_moved_is_found_by_a_second_look(store: Store) {
    let attempt = begin(&store, "r", 100, 0).await;
    let asked = list(&store, &attempt, &moving(false), 0).await;
    let whole = Slice::default();
    let expected = [
        (whole, 1),
        (whole, 2),
        (whole, 3),
        (AGAIN, 1),
        (AGAIN, 2),
        (AGAIN, 3),
    ];
    assert_eq!(pages_of(&asked), expected);
    let found = "SELECT slice FROM listings WHERE product_id IN (41, 42, 85) ORDER BY product_id";
    assert_eq!(store.rows(found).await, ["again"; 3]);
    let counts = end(&store, &attempt, 0).await;
    assert_eq!((counts.items.listed, counts.items.seen), (100, 200));
    assert_eq!((counts.items.repeats, counts.pages.planned), (100, 6));
    assert_eq!((counts.pages.ok, counts.incomplete_categories), (6, 0));
}

async fn there_is_no_third_look(store: Store) {
    let attempt = begin(&store, "r", 100, 0).await;
    let asked = list(&store, &attempt, &moving(true), 0).await;
    assert_eq!(asked.len(), 6, "{asked:?}");
    let counts = end(&store, &attempt, 0).await;
    assert_eq!((counts.items.listed, counts.incomplete_categories), (97, 1));
}

async fn a_limit_makes_no_slices_and_no_second_look(store: Store) {
    let mut shop = Shop::of(5000, spread);
    shop.moved = vec![50];
    let attempt = begin(&store, "r", 5000, 120).await;
    let asked = list(&store, &attempt, &shop, 120).await;
    let whole = Slice::default();
    let expected = [(whole, 1), (whole, 2), (whole, 3), (whole, 4)];
    assert_eq!(pages_of(&asked), expected, "one page more for the repeat");
    let counts = end(&store, &attempt, 120).await;
    assert_eq!((counts.items.listed, counts.items.beyond), (120, 39));
    assert_eq!(counts.incomplete_categories, 1);
}

/// The same step, as another process joins it.
async fn join(store: &Store, run: &str) -> Attempt {
    let mut wish = wish(run, LISTING_STEP);
    wish.join = true;
    let begun = store.warehouse.begin_attempt(&wish, |_| false).await;
    begun.expect("an answer").expect("there is room for it")
}

/// Four workers look again at once; whether each found something to ask.
async fn look_at_once(store: &Store, run: &str) -> Vec<bool> {
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push((store.again().await, join(store, run).await));
    }
    let looks: Vec<_> = workers
        .into_iter()
        .map(|(warehouse, attempt)| {
            tokio::spawn(async move { warehouse.look_again(&attempt).await })
        })
        .collect();
    let mut found = Vec::new();
    for look in looks {
        found.push(look.await.expect("no panic").expect("an answer"));
    }
    found
}

async fn slow_workers_that_look_again_at_once_plan_it_once(store: Store) {
    let shop = Shop::of(3000, |_| PRICE);
    let attempt = begin(&store, "r", 3000, 0).await;
    ask_all(&store.warehouse, &attempt, &shop, 0).await;
    assert_eq!(look_at_once(&store, "r").await, [true; 4]);
    assert_eq!(count(&store, "state = 'pending'").await, 30, "each brand");
    assert_eq!(look_at_once(&store, "r").await, [true; 4]);
    assert_eq!(
        count(&store, "state = 'pending'").await,
        30,
        "no seller yet"
    );
    let by_brand = ask_all(&store.warehouse, &attempt, &shop, 0).await;
    assert_eq!(by_brand.len(), 90, "three pages of each brand");
    assert_eq!(look_at_once(&store, "r").await, [false; 4]);
    let counts = end(&store, &attempt, 0).await;
    assert_eq!(
        (counts.items.listed, counts.incomplete_categories),
        (3000, 0)
    );
}

async fn nothing_is_planned_while_a_page_is_still_to_answer(store: Store) {
    let attempt = begin(&store, "r", 100, 0).await;
    let shop = moving(false);
    let first = claim(&store.warehouse, &attempt, 9).await;
    bring(&store.warehouse, &attempt, &shop, &first[0], 0).await;
    let rest = claim(&store.warehouse, &attempt, 9).await;
    bring(&store.warehouse, &attempt, &shop, &rest[1], 0).await;
    let looked = store.warehouse.look_again(&attempt).await;
    assert!(looked.expect("an answer"), "page 2 is on its way");
    assert_eq!(count(&store, "slice = 'again'").await, 0);
    bring(&store.warehouse, &attempt, &shop, &rest[0], 0).await;
    let looked = store.warehouse.look_again(&attempt).await;
    assert!(looked.expect("an answer"));
    assert_eq!(count(&store, "slice = 'again'").await, 3);
    list(&store, &attempt, &shop, 0).await;
    end(&store, &attempt, 0).await;
}

async fn what_failed_comes_first_in_the_next_run(store: Store) {
    let mut shop = Shop::of(100, spread);
    shop.failing.push((Slice::default(), 3));
    let attempt = begin(&store, "r1", 100, 0).await;
    let asked = ask_all(&store.warehouse, &attempt, &shop, 0).await;
    assert_eq!(asked.len(), 3);
    let looked = store.warehouse.look_again(&attempt).await;
    assert!(!looked.expect("an answer"), "what failed did not move");
    let counts = end(&store, &attempt, 0).await;
    assert_eq!((counts.pages.failed, counts.incomplete_categories), (1, 1));

    shop.failing.clear();
    let attempt = begin(&store, "r2", 100, 0).await;
    let urgent = "SELECT category_id, page FROM listing_pages WHERE run_id = 'r2' AND urgent";
    assert_eq!(store.rows(urgent).await, [format!("{CATEGORY}|3")]);
    let first = claim(&store.warehouse, &attempt, 1).await;
    assert_eq!(first[0].page, 3);
    bring(&store.warehouse, &attempt, &shop, &first[0], 0).await;
    let rest = list(&store, &attempt, &shop, 0).await;
    let rest: Vec<i64> = rest.iter().map(|ask| ask.page).collect();
    assert_eq!(rest, [1, 2], "the third has answered");
    let counts = end(&store, &attempt, 0).await;
    assert_eq!(
        (counts.items.listed, counts.incomplete_categories),
        (100, 0)
    );

    // A run that was stopped has pages that nobody asked; both kinds in one claim, in order.
    let attempt = begin(&store, "r3", 100, 0).await;
    assert_eq!(count(&store, "run_id = 'r3' AND urgent").await, 0);
    let first = claim(&store.warehouse, &attempt, 1).await;
    bring(&store.warehouse, &attempt, &shop, &first[0], 0).await;
    let counts = end(&store, &attempt, 0).await;
    assert_eq!(counts.pages.unasked, 2);
    let attempt = begin(&store, "r4", 100, 0).await;
    let pages = claim(&store.warehouse, &attempt, 9).await;
    let pages: Vec<i64> = pages.iter().map(|ask| ask.page).collect();
    assert_eq!(pages, [2, 3, 1]);
}

/// A run in which one page of a slice does not answer; that slice, of more pages than that one.
async fn fail_in_a_slice(store: &Store, shop: &Shop) -> Slice {
    let attempt = begin(store, "r1", 5000, 0).await;
    let mut shop = shop.clone();
    let mut failed = None;
    loop {
        let asks = claim(&store.warehouse, &attempt, 20).await;
        if asks.is_empty() {
            break;
        }
        for ask in asks {
            if failed.is_none() && ask.page == 2 && ask.slice.price.is_some() {
                shop.failing.push((ask.slice, 2));
                failed = Some(ask.slice);
            }
            bring(&store.warehouse, &attempt, &shop, &ask, 0).await;
        }
    }
    end(store, &attempt, 0).await;
    failed.expect("a slice of two pages")
}

async fn slow_a_page_that_failed_plans_none_of_a_slice_that_is_gone(store: Store) {
    let failed = fail_in_a_slice(&store, &Shop::of(5000, spread)).await;
    // Meanwhile all prices rose, so that the category is cut elsewhere.
    let shop = Shop {
        minute: 2,
        ..Shop::of(5000, |id| spread(id) + 7050)
    };
    let attempt = begin(&store, "r2", 5000, 0).await;
    let first = claim(&store.warehouse, &attempt, 1).await;
    assert_eq!((first[0].slice, first[0].page), (failed, 2));
    let before = count(&store, "run_id = 'r2'").await;
    bring(&store.warehouse, &attempt, &shop, &first[0], 0).await;
    assert_eq!(
        count(&store, "run_id = 'r2'").await,
        before,
        "that page only"
    );
    let asked = list(&store, &attempt, &shop, 0).await;
    assert!(!by_slice(&asked).contains_key(&failed), "{failed}");
    let counts = end(&store, &attempt, 0).await;
    assert_eq!(
        (counts.items.listed, counts.incomplete_categories),
        (5000, 0)
    );
}

async fn what_failed_is_remembered_over_a_run_that_listed_nothing(store: Store) {
    let mut shop = Shop::of(100, spread);
    shop.failing.push((Slice::default(), 2));
    let attempt = begin(&store, "r1", 100, 0).await;
    list(&store, &attempt, &shop, 0).await;
    end(&store, &attempt, 0).await;
    store.create_run("r2").await;
    store.finish_run("r2").await;
    let attempt = begin(&store, "r3", 100, 0).await;
    let first = claim(&store.warehouse, &attempt, 1).await;
    assert_eq!(pages_of(&first), [(Slice::default(), 2)]);
}

async fn a_second_look_that_failed_is_not_asked_in_the_next_run(store: Store) {
    let mut shop = moving(false);
    shop.failing.push((AGAIN, 2));
    let attempt = begin(&store, "r1", 100, 0).await;
    list(&store, &attempt, &shop, 0).await;
    let counts = end(&store, &attempt, 0).await;
    assert_eq!((counts.pages.failed, counts.items.listed), (1, 98));
    begin(&store, "r2", 100, 0).await;
    assert_eq!(count(&store, "run_id = 'r2' AND urgent").await, 0);
    assert_eq!(count(&store, "run_id = 'r2'").await, 1);
}

async fn a_limit_keeps_what_failed_beyond_it_away(store: Store) {
    let mut shop = Shop::of(200, spread);
    shop.failing
        .extend([(Slice::default(), 2), (Slice::default(), 4)]);
    let attempt = begin(&store, "r1", 200, 0).await;
    list(&store, &attempt, &shop, 0).await;
    end(&store, &attempt, 0).await;
    let attempt = begin(&store, "r2", 200, 80).await;
    let pages = claim(&store.warehouse, &attempt, 9).await;
    let pages: Vec<i64> = pages.iter().map(|ask| ask.page).collect();
    assert_eq!(pages, [2, 1]);
}
