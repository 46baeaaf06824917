//! The generated site, asked as a crawler asks it.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use storefront::{Content, Generated, Pace, Prices, Settings, StartError, Storefront};
use support::{DAY, Shop, generated, ids};

#[tokio::test]
async fn the_tree_counts_what_its_leafs_list() {
    let shop = Shop::open(generated(700)).await;
    let roots = shop
        .json("/api/v2/categories?parent_id=2&include=children")
        .await;
    let menu = shop.json("/raiden/v2/menu-config?platform=desktop").await;
    let root_ids = ids(&roots);
    let links = menu["menu_block"]["items"].as_array().expect("items");
    assert_eq!(links.len(), root_ids.len());
    for (link, id) in links.iter().zip(&root_ids) {
        assert!(
            link["link"]
                .as_str()
                .expect("a link")
                .ends_with(&format!("/c{id}"))
        );
    }
    let mut open = roots["data"].as_array().expect("data").clone();
    let mut leafs = 0;
    while let Some(category) = open.pop() {
        let id = &category["id"];
        let listed = shop
            .json(&format!("/api/v2/products?category={id}&limit=100"))
            .await;
        assert_eq!(
            listed["paging"]["total"], category["product_count"],
            "{category}"
        );
        let answer = shop
            .json(&format!(
                "/api/v2/categories?parent_id={id}&include=children"
            ))
            .await;
        let children = answer["data"].as_array().expect("data").clone();
        assert_eq!(
            category["is_leaf"],
            Value::from(children.is_empty()),
            "{category}"
        );
        for child in &children {
            assert_eq!(child["parent_id"], *id);
            assert_eq!(
                child["level"].as_u64(),
                category["level"].as_u64().map(|above| above + 1)
            );
        }
        leafs += u32::from(children.is_empty());
        open.extend(children);
    }
    assert_eq!(leafs, 6);
    shop.site.stop().await;
}

#[tokio::test]
async fn the_first_five_leafs_of_a_demo_hold_a_hundred_products_each_on_every_day() {
    for products in [500, 700, 3_000] {
        let shop = Shop::open(generated(products)).await;
        for day in [DAY, DAY + 15, DAY + 30] {
            shop.site.clock().set_day(day);
            for (leaf, count) in shop.leafs().await.into_iter().take(5) {
                assert!(
                    count >= 100,
                    "{products} products, leaf {leaf}: {count} on {day}"
                );
            }
        }
    }
}

#[tokio::test]
async fn paging_obeys_the_law_of_the_window() {
    let shop = Shop::open(Settings {
        content: Content::Generated(Generated {
            seed: 3,
            products: 5_000,
            leaf_categories: Some(2),
            pace: Pace::Real,
            prices: Prices::Spread,
        }),
        ..Settings::default()
    })
    .await;
    let (leaf, total) = shop.leafs().await[0];
    assert_eq!(total, 2_000);
    for (limit, pages) in [(40, 50), (100, 20), (2, 1_000), (1_000, 20)] {
        let listing = format!("/api/personalish/v1/blocks/listings?category={leaf}&limit={limit}");
        let page = shop.json(&listing).await;
        assert_eq!(page["paging"]["last_page"], pages, "limit {limit}");
        assert_eq!(page["paging"]["per_page"], limit.min(100));
        let past = shop.json(&format!("{listing}&page={}", pages + 1)).await;
        assert_eq!(ids(&past), Vec::<u64>::new());
        assert_eq!(past["paging"]["total"], 2_000);
    }
    let mut seen = BTreeSet::new();
    for page in 1..=20 {
        let path = format!("/api/v2/products?category={leaf}&limit=100&page={page}");
        seen.extend(ids(&shop.json(&path).await));
    }
    assert_eq!(seen.len(), 2_000);
    let count =
        shop.json("/api/v2/categories?parent_id=2").await["data"][0]["product_count"].clone();
    assert!(count.as_u64() > Some(2_000), "{count}");
}

#[tokio::test]
async fn sorts_and_filters_do_what_they_say() {
    let shop = Shop::open(generated(700)).await;
    let leaf = shop.leafs().await[0].0;
    let list = async |query: &str| {
        shop.json(&format!(
            "/api/v2/products?category={leaf}&limit=100{query}"
        ))
        .await
    };
    let column = |page: &Value, of: &dyn Fn(&Value) -> i64| -> Vec<i64> {
        page["data"]
            .as_array()
            .expect("data")
            .iter()
            .map(of)
            .collect()
    };
    let price = |item: &Value| item["price"].as_i64().expect("a price");
    let seller = |item: &Value| item["seller_id"].as_i64().expect("a seller");
    let sold = |item: &Value| {
        item["visible_impression_info"]["amplitude"]["all_time_quantity_sold"]
            .as_i64()
            .expect("int")
    };
    assert!(column(&list("&sort=price,asc").await, &price).is_sorted());
    assert!(
        column(&list("&sort=price,desc").await, &price)
            .iter()
            .rev()
            .is_sorted()
    );
    assert!(column(&list("").await, &sold).iter().rev().is_sorted());
    let cheap = column(&list("&price=0,200000").await, &price);
    assert!(
        !cheap.is_empty() && cheap.iter().all(|price| *price <= 200_000),
        "{cheap:?}"
    );
    let own = column(&list("&seller=1").await, &seller);
    assert!(
        !own.is_empty() && own.iter().all(|seller| *seller == 1),
        "{own:?}"
    );
    let page = list("").await;
    let brands = page["filters"].as_array().expect("filters");
    let brand = brands
        .iter()
        .find(|filter| filter["code"] == "seller")
        .expect("a seller filter");
    assert!(brand["values"][0]["query_value"].is_u64());
}

#[tokio::test]
async fn advertised_items_repeat_organic_ones_and_come_on_top() {
    let shop = Shop::open(generated(700)).await;
    let leaf = shop.leafs().await[0].0;
    let plain = shop
        .json(&format!("/api/v2/products?category={leaf}"))
        .await;
    let path = format!("/api/personalish/v1/blocks/listings?category={leaf}&include=advertisement");
    let mixed = shop.json(&path).await;
    assert_eq!(ids(&plain).len(), 40);
    assert!(plain["data"][0]["advertisement"].is_null());
    let items = mixed["data"].as_array().expect("data");
    assert_eq!(items.len(), 55);
    let is_ad = |item: &&Value| {
        let marked = item["impression_info"][0]["metadata"]["is_ad"] == 1;
        assert_eq!(marked, !item["advertisement"].is_null());
        marked
    };
    let at: Vec<usize> = (0..55).filter(|at| is_ad(&&items[*at])).collect();
    assert_eq!(at, (0..5).chain(10..15).chain(20..25).collect::<Vec<_>>());
    let organic: Vec<u64> = (items.iter().filter(|item| !is_ad(item)))
        .filter_map(|item| item["id"].as_u64())
        .collect();
    assert_eq!(organic, ids(&plain));
    assert_eq!(mixed["paging"]["total"], plain["paging"]["total"]);
}

#[tokio::test]
async fn a_listing_item_and_its_detail_agree() {
    let shop = Shop::open(generated(700)).await;
    let (mut configurable, mut unsellable, mut unbranded) = (0, 0, 0);
    for (leaf, _) in shop.leafs().await {
        let page = shop
            .json(&format!("/api/v2/products?category={leaf}&limit=100"))
            .await;
        for item in page["data"].as_array().expect("data") {
            let (id, spid) = (&item["id"], &item["seller_product_id"]);
            let detail = shop
                .json(&format!("/api/v2/products/{id}?platform=web&spid={spid}"))
                .await;
            for key in [
                "id",
                "name",
                "price",
                "original_price",
                "discount_rate",
                "rating_average",
                "review_count",
                "url_key",
                "url_path",
            ] {
                assert_eq!(item[key], detail[key], "{key} of {id}");
            }
            assert_eq!(detail["list_price"], detail["original_price"]);
            assert_eq!(item["list_price"], 0);
            let name = item["name"].as_str().expect("a name");
            assert!((6..=255).contains(&name.chars().count()), "{name}");
            let html = detail["description"].as_str().expect("a description");
            assert!(
                html.contains("<p>Giá sản phẩm trên Tiki đã bao gồm thuế"),
                "{html}"
            );
            let tail = detail["breadcrumbs"]
                .as_array()
                .and_then(|crumbs| crumbs.last());
            assert_eq!(tail.expect("a tail")["category_id"], 0);
            if detail["inventory_status"] == "discontinued" {
                assert!(detail["current_seller"].is_null() && detail.get("stock_item").is_none());
                unsellable += 1;
            } else {
                let said = detail["current_seller"]["product_id"]
                    .as_str()
                    .expect("a string");
                assert_eq!(said, spid.to_string());
                assert_eq!(detail["current_seller"]["id"], item["seller_id"]);
                assert!(detail["stock_item"]["qty"].as_i64() > Some(0));
            }
            let variants = detail.get("configurable_products");
            assert_eq!(variants.is_some(), detail["type"] == "configurable");
            configurable += u32::from(variants.is_some());
            unbranded += u32::from(detail.get("brand").is_none());
        }
    }
    assert!(configurable > 10 && unsellable > 3 && unbranded > 50);
}

#[tokio::test]
async fn an_unknown_product_and_a_foreign_offer_are_404() {
    let shop = Shop::open(generated(100)).await;
    let leaf = shop.leafs().await[0].0;
    let page = shop
        .json(&format!("/api/v2/products?category={leaf}&limit=2"))
        .await;
    let (one, other) = (&page["data"][0], &page["data"][1]);
    for (path, status) in [
        (format!("/api/v2/products/{}", one["id"]), 200),
        (
            format!("/product-detail/api/v1/products/{}", one["id"]),
            200,
        ),
        (format!("/p/{}", one["id"]), 200),
        (
            format!(
                "/api/v2/products/{}?spid={}",
                one["id"], other["seller_product_id"]
            ),
            404,
        ),
        (format!("/api/v2/products/{}?spid=x", one["id"]), 404),
        ("/api/v2/products/5".to_owned(), 404),
        ("/api/v2/products/18446744073709551615".to_owned(), 404),
        ("/p/5".to_owned(), 404),
        ("/nothing/c5".to_owned(), 404),
        ("/api/v2/categories?parent_id=5".to_owned(), 200),
        ("/api/v2/products?category=5".to_owned(), 200),
        ("/api/v2/products".to_owned(), 400),
        ("/nowhere".to_owned(), 404),
    ] {
        assert_eq!(shop.get(&path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn each_variant_and_each_offer_is_asked_by_its_own_number() {
    let shop = Shop::open(generated(700)).await;
    let (mut variants, mut offers) = (0, 0);
    for (leaf, _) in shop.leafs().await {
        let page = shop
            .json(&format!("/api/v2/products?category={leaf}&limit=40"))
            .await;
        for id in ids(&page) {
            let detail = shop.json(&format!("/api/v2/products/{id}")).await;
            for variant in detail["configurable_products"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let spid = &variant["id"];
                let chosen = shop
                    .json(&format!("/api/v2/products/{id}?spid={spid}"))
                    .await;
                assert_eq!(chosen["price"], variant["price"]);
                let selected = chosen["configurable_products"]
                    .as_array()
                    .expect("variants");
                let selected = selected.iter().find(|variant| variant["selected"] == true);
                assert_eq!(selected.expect("a selected one")["id"], *spid);
                variants += 1;
            }
            for offer in detail["other_sellers"].as_array().into_iter().flatten() {
                let spid = offer["product_id"].as_str().expect("a string");
                let chosen = shop
                    .json(&format!("/api/v2/products/{id}?spid={spid}"))
                    .await;
                assert_eq!(chosen["current_seller"]["id"], offer["id"]);
                assert_eq!(chosen["price"], offer["price"]);
                offers += 1;
            }
        }
    }
    assert!(variants > 20 && offers > 20, "{variants} {offers}");
}

#[tokio::test]
async fn a_catalogue_outside_its_bounds_does_not_start() {
    for (products, leafs) in [(9, None), (10_000_001, None), (10, Some(11)), (10, Some(0))] {
        let content = Content::Generated(Generated {
            products,
            leaf_categories: leafs,
            ..Generated::default()
        });
        let started = Storefront::start(Settings {
            content,
            ..Settings::default()
        })
        .await;
        assert!(
            matches!(started, Err(StartError::OutOfBounds { .. })),
            "{products} {leafs:?}"
        );
    }
}
