//! What a day changes, and what it does not.

mod support;

use std::collections::BTreeMap;

use support::{DAY, Shop, generated};

/// Every product that the leafs list: id → (price, seller, spid, sold).
async fn listed(shop: &Shop) -> BTreeMap<u64, (i64, u64, u64, i64)> {
    let mut all = BTreeMap::new();
    for (leaf, total) in shop.leafs().await {
        for page in 1..=total.div_ceil(100) {
            let path = format!("/api/v2/products?category={leaf}&limit=100&page={page}");
            for item in shop.json(&path).await["data"].as_array().expect("data") {
                let number = |key: &str| item[key].as_u64().expect("a number");
                let sold = item["quantity_sold"]["value"].as_i64().unwrap_or(0);
                let price = number("price").cast_signed();
                let seen = (
                    price,
                    number("seller_id"),
                    number("seller_product_id"),
                    sold,
                );
                let before = all.insert(number("id"), seen);
                assert!(
                    before.is_none_or(|before| before == seen),
                    "two faces of one product"
                );
            }
        }
    }
    all
}

#[tokio::test]
async fn the_same_seed_and_day_give_the_same_bytes() {
    let (one, other) = (
        Shop::open(generated(300)).await,
        Shop::open(generated(300)).await,
    );
    one.site.clock().set_day(DAY + 9);
    other.site.clock().set_day(DAY + 4);
    let leaf = one.leafs().await[0].0;
    let id = listed(&one).await.into_keys().next().expect("a product");
    let paths = [
        "/robots.txt".to_owned(),
        "/api/v2/categories?parent_id=2&include=children".to_owned(),
        format!("/api/personalish/v1/blocks/listings?category={leaf}&include=advertisement"),
        format!("/x/c{leaf}?page=2"),
        format!("/api/v2/products/{id}"),
        format!("/p/{id}"),
        "/clover/sitemap/product_master/1".to_owned(),
    ];
    let mut differ = 0;
    for path in &paths {
        differ += u32::from(one.get(path).await.body != other.get(path).await.body);
    }
    assert!(differ >= 3, "{differ} answers differ between days");
    other.site.clock().set_day(DAY + 9);
    for path in &paths {
        assert_eq!(
            one.get(path).await.body,
            other.get(path).await.body,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_month_brings_prices_arrivals_departures_sellers_and_sales() {
    let shop = Shop::open(generated(700)).await;
    let first = listed(&shop).await;
    assert_eq!(first, listed(&shop).await, "nothing changes within a day");
    let (mut yesterday, mut changed, mut looked, mut sellers) = (first.clone(), 0, 0, 0);
    for day in 1..=30 {
        shop.site.clock().set_day(DAY + day);
        let today = listed(&shop).await;
        for (id, (price, seller, _, sold)) in &today {
            let Some((old_price, old_seller, _, old_sold)) = yesterday.get(id) else {
                continue;
            };
            assert!(sold >= old_sold, "sales of {id} fell");
            looked += 1;
            changed += u32::from(price != old_price);
            sellers += u32::from(seller != old_seller);
        }
        yesterday = today;
    }
    let share = f64::from(changed) / f64::from(looked);
    assert!(
        (0.05..0.11).contains(&share),
        "{share} of the prices change in a day"
    );
    assert!(sellers > 5, "{sellers} sellers changed");
    let gone: Vec<u64> = first
        .keys()
        .filter(|id| !yesterday.contains_key(id))
        .copied()
        .collect();
    let new = yesterday
        .keys()
        .filter(|id| !first.contains_key(id))
        .count();
    assert!(gone.len() > 3 && new > 3, "{} gone, {new} new", gone.len());
    for id in &gone {
        assert_eq!(
            shop.get(&format!("/api/v2/products/{id}")).await.status,
            404,
            "{id}"
        );
        assert_eq!(shop.get(&format!("/p/{id}")).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn the_date_header_follows_the_clock() {
    let shop = Shop::open(generated(10)).await;
    let moved = shop
        .post("/__storefront/clock?millis=1767225600000", String::new())
        .await;
    assert_eq!(moved.json()["day"], 20_454);
    let answer = shop.get("/robots.txt").await;
    assert_eq!(answer.header("date"), "Thu, 01 Jan 2026 00:00:00 GMT");
    shop.post("/__storefront/clock?day=20455", String::new())
        .await;
    assert_eq!(shop.site.clock().day(), 20_455);
    assert_eq!(
        shop.get("/robots.txt").await.header("date"),
        "Fri, 02 Jan 2026 05:00:00 GMT"
    );
    assert_eq!(
        shop.post("/__storefront/clock", String::new()).await.status,
        400
    );
}
