//! The merge, rule by rule.

use warehouse::{Merge, Outcome};

use crate::products::{both, detail, detailed, listed, listing};
use crate::store::{Arrival, Store, at, merge};

on_both!(
    a_new_product_has_a_row_a_look_and_a_first_change,
    an_unchanged_look_writes_one_observation_and_nothing_else,
    a_change_is_told_with_its_difference,
    a_late_look_mends_history_and_leaves_the_present,
    the_same_key_again_changes_nothing,
    at_one_instant_a_detail_beats_a_listing,
    gone_and_seen_again,
    a_404_that_is_not_believed_is_unobserved,
    null_never_erases,
    a_product_may_have_no_detail,
    a_cached_detail_stands_beside_a_fresh_listing,
    no_price_overflows,
    memberships_are_of_every_category_and_one_is_primary,
    a_page_without_a_path_tells_no_other_category,
    a_batch_is_bounded_and_all_is_loaded,
);

const HISTORY: &str = "SELECT kind, changed, price, previous_price, price_change,
    price_change_percent FROM product_history ORDER BY product_id, observed_at";

async fn a_new_product_has_a_row_a_look_and_a_first_change(store: Store) {
    let arrival = both((listing(5, 100_000), at(1)), (detail(5, 100_000), at(2)));
    assert_eq!(store.one("r", arrival).await, Outcome::New);
    assert_eq!(
        store.rows(HISTORY).await.len(),
        2,
        "the detail says its stock"
    );
    assert_eq!(store.rows(HISTORY).await[0], "first|first|100000|~|~|~");
    let looks = "SELECT source, price, stock_status, stock_quantity FROM observations
        ORDER BY observed_at";
    assert_eq!(
        store.rows(looks).await,
        ["listing|100000|~|~", "detail|100000|available|1000"]
    );
    let sql = "SELECT name, sku, price, seller_name, stock_quantity, category_id, estimated_revenue
        FROM products";
    assert_eq!(
        store.cell(sql).await,
        "Sản phẩm 5|M5|100000|Nhà Sách|1000|7|1000000"
    );
    assert_eq!(store.cell("SELECT looks FROM product_current").await, "2");
}

async fn an_unchanged_look_writes_one_observation_and_nothing_else(store: Store) {
    store.one("r1", listed(listing(5, 100), at(1))).await;
    let row = "SELECT * FROM products";
    let before = store.rows(row).await;
    let later = Merge {
        now: at(2_000_000),
        ..merge()
    };
    let outcomes = store
        .bring("r2", vec![listed(listing(5, 100), at(2))], &later)
        .await;
    assert_eq!(outcomes, [Outcome::Unchanged]);
    assert_eq!(store.rows(row).await, before);
    assert_eq!(store.warehouse.totals().await.expect("totals"), (1, 2, 1));
}

async fn a_change_is_told_with_its_difference(store: Store) {
    store.one("r1", listed(listing(5, 200), at(1))).await;
    let outcome = store.one("r2", listed(listing(5, 150), at(2))).await;
    assert_eq!(outcome, Outcome::Changed);
    assert_eq!(
        store.rows(HISTORY).await,
        ["first|first|200|~|~|~", "price|price|150|200|-50|-25"]
    );
    store.one("r3", listed(listing(5, 200), at(3))).await;
    assert_eq!(
        store.rows(HISTORY).await.len(),
        3,
        "a price that comes back is a change"
    );
    assert_eq!(store.cell("SELECT price FROM products").await, "200");
}

async fn a_late_look_mends_history_and_leaves_the_present(store: Store) {
    store.one("r1", listed(listing(5, 100), at(1))).await;
    store.one("r2", listed(listing(5, 100), at(30))).await;
    let late = store.one("r3", listed(listing(5, 80), at(10))).await;
    assert_eq!(late, Outcome::Late);
    assert_eq!(
        store.rows(HISTORY).await,
        [
            "first|first|100|~|~|~",
            "price|price|80|100|-20|-20",
            "price|price|100|80|20|25"
        ]
    );
    assert_eq!(store.cell("SELECT price FROM products").await, "100");
    // Earlier than all: it becomes the first.
    store.one("r4", listed(listing(5, 100), at(0))).await;
    assert_eq!(store.rows(HISTORY).await.len(), 3);
    assert_eq!(store.rows(HISTORY).await[0], "first|first|100|~|~|~");
}

async fn the_same_key_again_changes_nothing(store: Store) {
    let arrival = || both((listing(5, 100), at(1)), (detail(5, 100), at(2)));
    store.one("r1", arrival()).await;
    let (digest, row) = (
        store.warehouse.digest().await.expect("a digest"),
        store.rows("SELECT * FROM products").await,
    );
    assert_eq!(store.one("r2", arrival()).await, Outcome::Unchanged);
    let other = listed(listing(5, 999), at(1));
    assert_eq!(store.one("r3", other).await, Outcome::Unchanged);
    assert_eq!(store.warehouse.digest().await.expect("a digest"), digest);
    assert_eq!(store.rows("SELECT * FROM products").await, row);
}

async fn at_one_instant_a_detail_beats_a_listing(store: Store) {
    let mut renamed = detail(5, 90);
    renamed.name = "Tên mới".into();
    store.one("r1", listed(listing(5, 100), at(1))).await;
    store.one("r2", detailed(renamed.clone(), at(1))).await;
    store.one("r3", listed(listing(6, 100), at(1))).await;
    store.one("r4", detailed(renamed.clone(), at(2))).await;
    let sql = "SELECT source, price FROM observations WHERE product_id = 5 ORDER BY observed_at";
    assert_eq!(store.rows(sql).await, ["detail|90", "detail|90"]);
    assert_eq!(
        store
            .cell("SELECT name, price FROM products WHERE id = 5")
            .await,
        "Tên mới|90"
    );
    assert_eq!(
        store
            .cell("SELECT kind, price FROM product_history WHERE product_id = 5")
            .await,
        "first|90"
    );
    // The other way round the listing changes nothing.
    let outcome = store.one("r5", listed(listing(5, 70), at(2))).await;
    assert_eq!(outcome, Outcome::Unchanged);
    assert_eq!(store.rows(sql).await, ["detail|90", "detail|90"]);
}

async fn gone_and_seen_again(store: Store) {
    store.one("r1", listed(listing(5, 100), at(1))).await;
    assert_eq!(
        store.one("r2", Arrival::Gone(5, at(2))).await,
        Outcome::Gone
    );
    assert_eq!(
        store.one("r3", Arrival::Gone(5, at(3))).await,
        Outcome::Gone
    );
    let live = "SELECT COUNT(*) FROM products WHERE delisted_at IS NULL";
    assert_eq!(store.cell(live).await, "0");
    let row = "SELECT CASE WHEN delisted_at = (SELECT observed_at FROM product_history
        WHERE kind = 'delisted') THEN 'when first gone' END, price FROM products";
    assert_eq!(store.cell(row).await, "when first gone|100");
    assert_eq!(
        store.one("r4", listed(listing(5, 90), at(4))).await,
        Outcome::Changed
    );
    assert_eq!(store.cell(live).await, "1");
    assert_eq!(
        store
            .rows("SELECT kind, changed, price FROM product_history ORDER BY observed_at")
            .await,
        [
            "first|first|100",
            "delisted|delisted|100",
            "relisted|relisted,price|90"
        ]
    );
    // Found gone while it was live again: history tells both.
    assert_eq!(
        store.one("r5", Arrival::Gone(5, at(9))).await,
        Outcome::Gone
    );
    store.one("r6", listed(listing(5, 90), at(6))).await;
    assert_eq!(store.cell(live).await, "0");
    let unknown = store.one("r7", Arrival::Gone(77, at(2))).await;
    assert_eq!(unknown, Outcome::Unobserved, "it was never loaded");
    assert_eq!(
        store
            .cell("SELECT COUNT(*) FROM observations WHERE product_id = 77")
            .await,
        "0"
    );
}

async fn a_404_that_is_not_believed_is_unobserved(store: Store) {
    store.one("r1", listed(listing(5, 100), at(1))).await;
    let digest = store.warehouse.digest().await.expect("a digest");
    let doubting = Merge {
        believe_gone: false,
        ..merge()
    };
    let outcomes = store
        .bring("r2", vec![Arrival::Gone(5, at(2))], &doubting)
        .await;
    assert_eq!(outcomes, [Outcome::Unobserved]);
    assert_eq!(store.warehouse.digest().await.expect("a digest"), digest);
    assert_eq!(
        store.warehouse.outcome_counts("r2").await.expect("counts"),
        [("unobserved".to_owned(), 1)]
    );
}

async fn null_never_erases(store: Store) {
    let mut rich = listing(5, 100);
    rich.brand = Some("Hãng".into());
    rich.seller_sku = Some("S1".into());
    rich.seller_is_official = Some(true);
    store
        .one("r1", both((rich, at(1)), (detail(5, 100), at(2))))
        .await;
    let mut poor = detail(5, 100);
    (poor.description, poor.sku, poor.brand_id, poor.images) = (None, None, None, None);
    (poor.seller_name, poor.stock_status, poor.stock_quantity) = (None, None, None);
    (poor.sales_count, poor.rating_average, poor.review_count) = (None, None, None);
    let row = "SELECT brand, seller_sku, seller_is_official, description, sku, brand_id, images,
        seller_name, stock_status, sales_count, rating_average, review_count, updated_at
        FROM products";
    let before = store.rows(row).await;
    assert!(!before[0].contains('~'), "{before:?}");
    assert_eq!(
        store.one("r2", detailed(poor, at(3))).await,
        Outcome::Unchanged
    );
    assert_eq!(store.rows(row).await, before);
}

async fn a_product_may_have_no_detail(store: Store) {
    store.one("r1", listed(listing(5, 100), at(1))).await;
    let sql = "SELECT detail_observed_at, description, seller_name, stock_status FROM products";
    assert_eq!(store.cell(sql).await, "~|~|~|~");
    assert_eq!(
        store.one("r2", detailed(detail(5, 100), at(2))).await,
        Outcome::Changed
    );
    let sql = "SELECT CASE WHEN detail_observed_at = observed_at THEN 'then' END, description
        FROM products";
    assert_eq!(store.cell(sql).await, "then|Mô tả");
}

async fn a_cached_detail_stands_beside_a_fresh_listing(store: Store) {
    let cached = || (detail(5, 100), at(1));
    store
        .one("r1", both((listing(5, 100), at(2)), cached()))
        .await;
    let outcome = store
        .one("r2", both((listing(5, 90), at(9)), cached()))
        .await;
    assert_eq!(outcome, Outcome::Changed);
    let outcome = store
        .one("r3", both((listing(5, 90), at(12)), cached()))
        .await;
    assert_eq!(outcome, Outcome::Unchanged);
    assert_eq!(store.warehouse.totals().await.expect("totals"), (1, 4, 2));
    assert_eq!(
        store.cell("SELECT price, stock_status FROM products").await,
        "90|available"
    );
    // A detail that is older than the present is late for prices and new for details.
    let mut older = detail(5, 70);
    older.description = Some("Mô tả mới".into());
    assert_eq!(store.one("r4", detailed(older, at(5))).await, Outcome::Late);
    assert_eq!(
        store.cell("SELECT price, description FROM products").await,
        "90|Mô tả mới"
    );
}

async fn no_price_overflows(store: Store) {
    let mut dear = listing(5, catalog::PRICE_MAX);
    (dear.original_price, dear.sales_count) = (Some(catalog::PRICE_MAX), Some(i64::MAX));
    for (n, price) in [0, catalog::PRICE_MAX, 0, 1, catalog::PRICE_MAX]
        .into_iter()
        .enumerate()
    {
        let run = format!("r{n}");
        let value = catalog::Listing {
            price: Some(price),
            ..dear.clone()
        };
        store.one(&run, listed(value, at(n as i64 * 90))).await;
    }
    assert_eq!(
        store
            .rows(
                "SELECT price, price_change, price_change_percent FROM product_history
            ORDER BY observed_at"
            )
            .await
            .len(),
        5
    );
    assert_eq!(
        store
            .cell("SELECT price, estimated_revenue FROM products")
            .await,
        format!("{}|{}", catalog::PRICE_MAX, i64::MAX)
    );
}

async fn memberships_are_of_every_category_and_one_is_primary(store: Store) {
    use crate::listings::{listed_run, page_of};
    let moved = |path: &str| {
        let mut value = listing(5, 100);
        value.category_path = Some(path.into());
        value
    };
    for (run, path, minutes) in [("r1", "1/2/7", 1), ("r2", "1/2/8", 50), ("r3", "1/2/8", 20)] {
        let pages = [
            (7, page_of(vec![listing(4, 1), moved(path)], at(minutes))),
            (8, page_of(vec![moved(path)], at(minutes + 1))),
        ];
        listed_run(&store, run, &pages).await;
        store.plan(run, &[4, 5], Some(7)).await;
        let arrivals = vec![
            listed(listing(4, 1), at(minutes)),
            listed(moved(path), at(minutes)),
        ];
        store.stage(run, arrivals).await;
        store.load_staged(run, &merge()).await;
        store.finish_run(run).await;
    }
    let sql = "SELECT product_id, category_id, position, is_primary, last_seen_at > first_seen_at
        FROM product_categories ORDER BY product_id, category_id";
    let rows: Vec<String> = store.rows(sql).await;
    let rows: Vec<String> = rows
        .iter()
        .map(|row| row.replace("|t", "|1").replace("|f", "|0"))
        .collect();
    assert_eq!(rows, ["4|7|1|1|1", "5|7|2|0|1", "5|8|1|1|1"]);
    // What is only rechecked may be of another category too.
    let wrong = "UPDATE product_categories SET is_primary = NOT is_primary WHERE product_id = 5";
    store.seed(wrong).await;
    store.one("r4", detailed(detail(5, 100), at(60))).await;
    let sql = "SELECT category_id FROM product_categories WHERE product_id = 5 AND is_primary";
    assert_eq!(store.rows(sql).await, ["8"]);
}

async fn a_page_without_a_path_tells_no_other_category(store: Store) {
    let mut shown = listing(5, 100);
    shown.category_path = Some("1/2/8".into());
    store.one("r1", listed(shown, at(1))).await;
    // By itself it would be of the category in which it is listed.
    let outcome = store.one("r2", detailed(detail(5, 100), at(2))).await;
    assert_eq!(outcome, Outcome::Changed, "details are new");
    let sql = "SELECT category_id, category_path FROM products";
    assert_eq!(store.cell(sql).await, "8|1/2/8");
    // Also where the path comes late.
    store.one("r3", detailed(detail(6, 100), at(20))).await;
    let mut late = listing(6, 100);
    late.category_path = Some("1/2/9".into());
    store.one("r4", listed(late, at(10))).await;
    let sql = "SELECT category_id, category_path FROM products WHERE id = 6";
    assert_eq!(store.cell(sql).await, "9|1/2/9");
}

async fn a_batch_is_bounded_and_all_is_loaded(store: Store) {
    let arrivals = (1..=25).map(|id| listed(listing(id, 100), at(1))).collect();
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=25).collect();
    store.plan("r", &ids, None).await;
    store.stage_by(10, "r", arrivals).await;
    let attempt = store.attempt("r", "load-products").await;
    let mut sizes = Vec::new();
    while let Some(batch) = store
        .warehouse
        .load_batch(&attempt, &merge())
        .await
        .expect("a batch")
    {
        sizes.push(batch.len());
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert!(
        store
            .warehouse
            .close_step(&attempt, 0, "{}")
            .await
            .expect("an answer")
    );
    assert_eq!(
        store.warehouse.totals().await.expect("totals"),
        (25, 25, 25)
    );
}
