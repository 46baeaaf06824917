//! One leaf with far more products than a listing shows, and prices that many of them share.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use storefront::{Clock, Content, Generated, Prices, Settings};
use support::{DAY, Shop, ids};

fn large(products: u64) -> Settings {
    Settings {
        content: Content::Generated(Generated {
            seed: 7,
            products,
            leaf_categories: Some(1),
            prices: Prices::Round,
            ..Generated::default()
        }),
        clock: Clock::frozen_at_day(DAY),
        ..Settings::default()
    }
}

fn total(page: &Value) -> u64 {
    page["paging"]["total"].as_u64().expect("a total")
}

#[tokio::test]
async fn a_few_prices_of_a_large_leaf_hold_more_than_a_listing_shows() {
    let shop = Shop::open(large(50_000)).await;
    assert_eq!(shop.site.origin_id(), "storefront:7:50000:leafs=1:round");
    let leaf = shop.leafs().await;
    assert_eq!(leaf.len(), 1);
    let list = format!("/api/v2/products?category={}", leaf[0].0);
    let all = async |low: i64, high: i64| {
        total(
            &shop
                .json(&format!("{list}&limit=1&price={low},{high}"))
                .await,
        )
    };
    let mut full = Vec::new();
    for price in [99_000, 149_000, 199_000, 299_000, 499_000] {
        if all(price, price).await == 2_000 {
            full.push(price);
        }
        // What lies between the popular prices is no crowd.
        assert!(all(price + 1_000, price + 4_000).await < 2_000);
    }
    assert!(full.len() >= 3, "{full:?}");
    // A slice of one price shows that price only, and its own sellers.
    let page = shop
        .json(&format!("{list}&price=199000,199000&limit=100"))
        .await;
    let items = page["data"].as_array().expect("items");
    assert!(items.iter().all(|item| item["price"] == 199_000));
    assert_eq!(ids(&page).len(), 100);
    let sellers = page["filters"].as_array().expect("filters").iter();
    let sellers = sellers.filter(|filter| filter["code"] == "seller");
    let most = sellers
        .filter_map(|filter| filter["values"][0]["count"].as_u64())
        .max();
    assert!(most > Some(10), "{most:?}");
}

#[tokio::test]
async fn filtered_pages_of_a_large_leaf_are_answered_quickly() {
    let shop = Shop::open(large(50_000)).await;
    let leaf = shop.leafs().await[0].0;
    let before = Instant::now();
    for step in 0..200 {
        let low = step * 5_000;
        let path = format!(
            "/api/v2/products?category={leaf}&limit=1&price={low},{}",
            low + 4_999
        );
        assert!(total(&shop.json(&path).await) > 0, "{path}");
    }
    // Each is a window that nobody asked for before. If each drew all products anew, an idle
    // machine would take longer than this, in a build for tests.
    let took = before.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}
