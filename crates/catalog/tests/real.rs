//! The site's own bodies: what `catalog` reads of them against what this file derives from the same
//! bytes with code of its own. The samples are no part of the project; without them nothing here is
//! tested, and the tests say so.

use std::io::Write;
use std::path::PathBuf;

use catalog::{
    Detail, Instant, Listing, ListingItem, Product, Reduced, Seen, Source, parse_categories,
    parse_detail, parse_listing, reduce_categories, reduce_html,
};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

/// The folder of the samples; `None`, said aloud, where it is absent.
fn samples() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/real-tiki"
    ));
    if folder.join("detail").is_dir() {
        return Some(folder);
    }
    // Past the capture of the test runner: a test that did not run must be seen.
    let mut aloud = std::io::stderr();
    writeln!(aloud, "NOT RUN: no real samples at {}", folder.display()).unwrap();
    None
}

fn json(name: &str) -> Option<Value> {
    let bytes = std::fs::read(samples()?.join(name)).unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

fn plain(text: &str) -> String {
    let mut decoded = text.to_owned();
    for (entity, c) in [
        ("&quot;", "\""),
        ("&#43;", "+"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ] {
        decoded = decoded.replace(entity, c);
    }
    let composed: String = decoded.nfc().collect();
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(plain).filter(|text| !text.is_empty())
}

/// The letters of HTML between its tags, without any space, up to the site's own paragraph.
fn letters(html: &str) -> String {
    let mut out = String::new();
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            c if !in_tag => out.push(c),
            _ => {}
        }
    }
    let out = plain(&out);
    let own = out
        .split("Giá sản phẩm trên Tiki đã bao gồm thuế")
        .next()
        .unwrap()
        .to_owned();
    own.split_whitespace().collect()
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

fn url(path: &Value) -> String {
    format!("https://tiki.vn/{}", path.as_str().unwrap())
}

fn check_detail(detail: &Detail, body: &Value) {
    let seller = &body["current_seller"];
    assert_eq!(Some(detail.id), body["id"].as_i64());
    assert_eq!(
        detail.spid,
        seller["product_id"].as_str().map(|id| id.parse().unwrap())
    );
    assert_eq!(detail.sku, text(&body["sku"]));
    assert_eq!(detail.seller_sku, text(&seller["sku"]));
    assert_eq!(Some(&detail.name), text(&body["name"]).as_ref());
    assert_eq!(detail.url, url(&body["url_path"]));
    assert_eq!(detail.image_url.as_deref(), body["thumbnail_url"].as_str());
    let category = &body["categories"];
    let expected = (
        category["id"].as_i64().unwrap(),
        text(&category["name"]).unwrap(),
        category["is_leaf"].as_bool().unwrap(),
    );
    assert_eq!(detail.category, Some(expected));
    let crumbs: Vec<i64> = body["breadcrumbs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|crumb| crumb["category_id"].as_i64().filter(|id| *id != 0))
        .collect();
    assert_eq!(detail.breadcrumbs, crumbs);
    assert_eq!(detail.brand_id, body["brand"]["id"].as_i64());
    assert_eq!(detail.brand, text(&body["brand"]["name"]));
    assert_eq!(detail.seller_id, seller["id"].as_i64());
    assert_eq!(detail.seller_name, text(&seller["name"]));
    assert_eq!(detail.seller_is_official, None);
    check_numbers(detail, body);
    check_texts(detail, body);
}

fn check_numbers(detail: &Detail, body: &Value) {
    let price = body["price"].as_i64();
    assert_eq!(detail.price, price);
    assert_eq!(
        detail.original_price,
        body["list_price"]
            .as_i64()
            .filter(|was| Some(*was) >= price)
    );
    assert_eq!(detail.discount_percent, body["discount_rate"].as_i64());
    assert_eq!(detail.sales_count, body["all_time_quantity_sold"].as_i64());
    assert_eq!(detail.review_count, body["review_count"].as_i64());
    let rated = body["review_count"] != 0;
    assert_eq!(
        detail.rating_average,
        body["rating_average"].as_f64().filter(|_| rated)
    );
    assert_eq!(detail.stock_status, text(&body["inventory_status"]));
    assert_eq!(detail.stock_quantity, body["stock_item"]["qty"].as_i64());
    assert_eq!(detail.day_ago_created, body["day_ago_created"].as_i64());
}

fn check_texts(detail: &Detail, body: &Value) {
    let description = detail.description.clone().unwrap_or_default();
    assert_eq!(
        squeezed(&description),
        letters(body["description"].as_str().unwrap())
    );
    assert!(
        description
            .lines()
            .all(|line| line == plain(line) && !line.is_empty())
    );

    let images: Vec<&Value> = body["images"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|image| &image["base_url"])
        .collect();
    let seen: Option<Value> = detail
        .images
        .as_deref()
        .map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(
        seen,
        (!images.is_empty()).then(|| serde_json::json!(images))
    );

    let groups = body["specifications"].as_array().unwrap();
    let seen: Value = detail
        .specifications
        .as_deref()
        .map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    assert_eq!(seen.as_array().map_or(0, Vec::len), groups.len());
    for (index, group) in groups.iter().enumerate() {
        assert_eq!(
            seen[index]["name"].as_str(),
            text(&group["name"]).as_deref()
        );
        let attributes = group["attributes"].as_array().unwrap();
        assert_eq!(
            seen[index]["attributes"].as_array().unwrap().len(),
            attributes.len()
        );
        for (at, attribute) in attributes.iter().enumerate() {
            let seen = &seen[index]["attributes"][at];
            assert_eq!(seen["name"].as_str(), text(&attribute["name"]).as_deref());
            assert_eq!(seen["code"], attribute["code"]);
            let value = match &attribute["value"] {
                Value::String(html) => letters(html),
                other => other.to_string(),
            };
            assert_eq!(squeezed(seen["value"].as_str().unwrap()), value);
        }
    }
}

#[test]
fn every_real_detail_is_read_as_its_body_says() {
    let Some(folder) = samples() else { return };
    let mut read = 0;
    for entry in std::fs::read_dir(folder.join("detail")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        let id = body["id"].as_i64().unwrap();
        let detail = parse_detail(&bytes, id).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        check_detail(&detail, &body);
        let at: Instant = "2026-11-25T01:00:00.000Z".parse().unwrap();
        let seen = Seen {
            value: detail,
            at,
            source: Source::Detail,
        };
        let product = Product::new(None, Some(seen), Some(5), |_| false).unwrap();
        let category = &body["categories"];
        let expected = if category["is_leaf"] == true {
            category["id"].as_i64()
        } else {
            Some(5)
        };
        assert_eq!(product.identity().category_id, expected);
        assert_eq!(
            Product::from_staged(product.id(), &product.to_staged()).unwrap(),
            product
        );
        read += 1;
    }
    assert!(read >= 41, "{read} details");
}

fn check_listing(listing: &Listing, item: &Value) {
    assert_eq!(Some(listing.product_id), item["id"].as_i64());
    assert_eq!(listing.spid, item["seller_product_id"].as_i64());
    assert_eq!(listing.url, url(&item["url_path"]));
    assert_eq!(Some(&listing.name), text(&item["name"]).as_ref());
    assert_eq!(listing.image_url.as_deref(), item["thumbnail_url"].as_str());
    assert_eq!(listing.brand, text(&item["brand_name"]));
    assert_eq!(listing.seller_sku.as_deref(), item["sku"].as_str());
    assert_eq!(listing.seller_id, item["seller_id"].as_i64());
    // The flag beside it is false of every item of the page, official shops' too.
    let official = item["visible_impression_info"]["amplitude"]["seller_type"] == "OFFICIAL_STORE";
    assert_eq!(listing.seller_is_official, Some(official));
    assert_eq!(
        listing.category_path.as_deref(),
        item["primary_category_path"].as_str()
    );
    assert_eq!(listing.price, item["price"].as_i64());
    assert_eq!(listing.original_price, item["original_price"].as_i64());
    assert_eq!(listing.discount_percent, item["discount_rate"].as_i64());
    assert_eq!(listing.sales_count, item["quantity_sold"]["value"].as_i64());
    assert_eq!(listing.review_count, item["review_count"].as_i64());
    let rated = item["review_count"] != 0;
    assert_eq!(
        listing.rating_average,
        item["rating_average"].as_f64().filter(|_| rated)
    );
    assert!(listing.check().is_ok());
}

#[test]
fn every_real_listing_item_of_the_api_is_read() {
    let Some(items) = json("listing_c1846_2024-07_items.json") else {
        return;
    };
    let body = serde_json::json!({"data": items, "paging": {"current_page": 1, "last_page": 50,
        "per_page": 40, "total": 2000}});
    let answer = parse_listing(&serde_json::to_vec(&body).unwrap()).unwrap();
    assert_eq!(answer.paging.map(|paging| paging.total), Some(2000));
    assert_eq!(answer.items.len(), 40);
    for (item, raw) in answer.items.iter().zip(items.as_array().unwrap()) {
        let ListingItem::Organic(listing) = item else {
            panic!("{item:?}")
        };
        check_listing(listing, raw);
    }
}

/// A page around a state, with reviews beside it.
fn page(state: &Value) -> Vec<u8> {
    format!(
        "<!doctype html><html><head><script>var a = '<b>'</script></head><body><div>x</div>\
         <script id=\"__NEXT_DATA__\" type=\"application/json\">{state}</script></body></html>"
    )
    .into_bytes()
}

#[test]
fn a_real_category_page_is_forty_products_and_fifteen_advertisements() {
    let Some(state) = json("category_page_c1954_2025-11_next_data.json") else {
        return;
    };
    let Reduced::Listing(body) = reduce_html(&page(&state)).unwrap() else {
        panic!()
    };
    let answer = parse_listing(&body).unwrap();
    let catalog = &state["props"]["initialState"]["catalog"];
    let raw = catalog["data"].as_array().unwrap();
    assert_eq!(answer.items.len(), 55);
    assert_eq!(answer.paging.map(|paging| paging.last_page), Some(50));
    let mut ads = 0;
    for (item, raw) in answer.items.iter().zip(raw) {
        match item {
            ListingItem::Organic(listing) => check_listing(listing, raw),
            ListingItem::Ad { product_id } => {
                assert!(raw.get("advertisement").is_some());
                assert_eq!(*product_id, raw["id"].as_i64());
                ads += 1;
            }
            ListingItem::Malformed(rejection) => panic!("{rejection}"),
        }
    }
    assert_eq!(ads, 15);
    let reduced: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(reduced["categoryData"]["id"], 1954);
    assert_eq!(
        reduced.as_object().unwrap().len(),
        4,
        "nothing but the listing is kept"
    );
    let first = |id, count| Some(catalog::Facet { id, count });
    let facets = answer.facets;
    assert_eq!((facets.brands.len(), facets.sellers.len()), (30, 30));
    assert_eq!(facets.brands.first().copied(), first(1_396_997, Some(1036)));
    assert_eq!(facets.sellers.first().copied(), first(159_318, Some(1469)));
}

#[test]
fn a_real_category_page_names_the_categories_below_it() {
    let Some(state) = json("category_page_c1954_2025-11_next_data.json") else {
        return;
    };
    let body = reduce_categories(&page(&state)).unwrap();
    let tree = &state["props"]["initialState"]["catalogv2"]["categories"]["response"]["data"];
    let answer = parse_categories(&body).unwrap();
    assert_eq!(answer.malformed, 0);
    let ids: Vec<i64> = answer.categories.iter().map(|c| c.id).collect();
    let raw: Vec<i64> = tree
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, raw);
    assert!(ids.len() > 5);
    assert_eq!(answer.categories[0].parent_id, Some(1954));
}

#[test]
fn a_real_product_page_is_read_as_its_state_says() {
    let Some(sample) = json("product_page_p120552065_2025-11_next_data.json") else {
        return;
    };
    // The sample was cut out below `productv2`; its reviews were not saved.
    let state = serde_json::json!({"page": sample["page"], "query": sample["query"], "props":
        {"initialState": {
            "productv2": {"productData": sample["productData"],
                          "reviewData": {"response": {"data": [{"customer": "Nguyen"}]}}},
            "catalog": {"data": [], "reviewData": [{"customer": "Nguyen"}]}}}});
    let Reduced::Product(body) = reduce_html(&page(&state)).unwrap() else {
        panic!()
    };
    assert!(!String::from_utf8(body.clone()).unwrap().contains("Nguyen"));
    let detail = parse_detail(&body, 120_552_065).unwrap();
    check_detail(&detail, &sample["productData"]["response"]["data"]);
    assert_eq!(detail.sales_count, Some(2326));
    assert_eq!(detail.discount_percent, Some(62));
}
