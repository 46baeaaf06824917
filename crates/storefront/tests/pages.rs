//! HTML pages and sitemaps.

mod support;

use serde_json::Value;
use support::{Shop, generated, ids};

fn next_data(page: &str) -> Value {
    let (_, rest) = page
        .split_once("<script id=\"__NEXT_DATA__\" type=\"application/json\">")
        .expect("a state");
    let (state, _) = rest.split_once("</script>").expect("an end");
    serde_json::from_str(state).expect("JSON")
}

#[tokio::test]
async fn a_category_page_lists_what_the_api_lists_in_its_own_schema() {
    let shop = Shop::open(generated(700)).await;
    let leaf = shop.leafs().await[0].0;
    let api = shop
        .json(&format!("/api/v2/products?category={leaf}&page=2"))
        .await;
    let answer = shop.get(&format!("/any-slug/c{leaf}?page=2")).await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let next = next_data(&answer.text());
    assert_eq!(next["page"], "/Catalog/Category");
    assert_eq!(next["query"]["categoryId"], leaf.to_string());
    let catalog = &next["props"]["initialState"]["catalog"];
    assert_eq!(catalog["categoryData"]["id"], leaf);
    assert_eq!(
        catalog["categoryData"]["ancestors"][0]["include_in_menu"],
        "1"
    );
    assert!(catalog["paging"]["total_text"].is_string());
    let items = catalog["data"].as_array().expect("items");
    assert_eq!(items.len(), 55);
    let organic: Vec<&Value> = items
        .iter()
        .filter(|item| item.get("advertisement").is_none())
        .collect();
    let organic_ids: Vec<u64> = organic
        .iter()
        .filter_map(|item| item["id"].as_u64())
        .collect();
    assert_eq!(organic_ids, ids(&api));
    for item in organic {
        assert!(item.get("list_price").is_none() && item.get("inventory_status").is_none());
        assert!(
            item["category_ids"]
                .as_array()
                .is_some_and(|ids| !ids.is_empty())
        );
        assert!(item["primary_category_name"].is_string());
        assert!(item["is_authentic"].is_u64());
    }
    assert!(items.iter().any(|item| item["seller_name"].is_string()));
}

#[tokio::test]
async fn a_product_page_carries_the_detail_and_customers_beside_it() {
    let shop = Shop::open(generated(50)).await;
    let leaf = shop.leafs().await[0].0;
    let page = shop
        .json(&format!("/api/v2/products?category={leaf}&limit=1"))
        .await;
    let (id, key) = (
        &page["data"][0]["id"],
        page["data"][0]["url_key"].as_str().expect("a key"),
    );
    let detail = shop.json(&format!("/api/v2/products/{id}")).await;
    let mut bodies = Vec::new();
    for path in [
        format!("/{key}.html"),
        format!("/product-p{id}.html"),
        format!("/p/{id}"),
    ] {
        let answer = shop.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        bodies.push(answer.text());
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0], bodies[2]);
    assert!(bodies[0].contains(&format!(
        "<link rel=\"canonical\" href=\"https://tiki.vn/{key}.html\""
    )));
    let next = next_data(&bodies[0]);
    assert_eq!(next["page"], "/ProductPage");
    let state = &next["props"]["initialState"];
    assert_eq!(
        state["productv2"]["productData"]["response"]["data"],
        detail
    );
    let reviews = &state["productv2"]["reviewData"]["reviews"]["response"]["data"];
    assert!(reviews[0]["created_by"]["full_name"].is_string());
    assert_eq!(
        state["catalog"]["reviewData"],
        state["productv2"]["reviewData"]
    );
}

#[tokio::test]
async fn sitemaps_name_every_category_and_every_product() {
    let shop = Shop::open(generated(700)).await;
    let index = shop
        .get("/clover/sitemap_categories_index.xml")
        .await
        .text();
    assert!(
        index.contains("/clover/sitemap_categories_1.xml</loc>"),
        "{index}"
    );
    let categories = shop.get("/clover/sitemap_categories_1.xml").await.text();
    for (leaf, _) in shop.leafs().await {
        assert!(categories.contains(&format!("/c{leaf}</loc>")), "{leaf}");
    }
    let index = shop.get("/clover/sitemap/product_master").await.text();
    assert!(
        index.contains("/clover/sitemap/product_master/1</loc>"),
        "{index}"
    );
    let products = shop.get("/clover/sitemap/product_master/1").await.text();
    let roots = shop.json("/api/v2/categories?parent_id=2").await;
    let counts = roots["data"].as_array().expect("data").iter();
    let listed: u64 = counts
        .filter_map(|root| root["product_count"].as_u64())
        .sum();
    let named = products.matches("<loc>").count() as u64;
    // A product with homes in two roots is counted in both.
    assert!(named > 600 && named <= listed, "{named} of {listed}");
    for path in [
        "/clover/sitemap_categories_2.xml",
        "/clover/sitemap/product_master/0",
    ] {
        assert_eq!(shop.get(path).await.status, 404, "{path}");
    }
}
