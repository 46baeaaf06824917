//! H1 and H2: HTML pages with the site's state in `__NEXT_DATA__`.
//!
//! The listing inside a page is another schema than the API's, and a product page carries its
//! customers' reviews beside the product. The rest of the page is as small as it can be: the
//! real one is 0.5 to 1.2 MB.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::answers::{HOME, categories, listing};
use crate::query::{Listing, Parameters};
use crate::reply::Reply;
use crate::site::Site;

/// Where the state of a page begins and ends.
const STATE_BEGINS: &str = "<script id=\"__NEXT_DATA__\" type=\"application/json\">";
const STATE_ENDS: &str = "</script>";
/// What a page says at most as the size of a category.
const MAX_SHOWN_COUNT: u64 = 10_000;

/// H1. The page always asks with advertisements, as the site's own server does.
pub(crate) fn category(
    site: &Site,
    id: u64,
    parameters: &Parameters,
    moved: i64,
    day: i64,
) -> Reply {
    let Some(place) = site.tree().place(id) else {
        return Reply::error_page(StatusCode::NOT_FOUND, "Không tìm thấy danh mục");
    };
    let query = Listing {
        ads: true,
        limit: 40,
        moved,
        ..Listing::of(parameters)
    };
    let page = listing::page(site, place, parameters, &query, day);
    let node = site.tree().node(place);
    let mut data = categories::category(site, place, day, false);
    data["product_count"] = json!(site.product_count(place, day).min(MAX_SHOWN_COUNT));
    data["ancestors"] = json!(categories::ancestors(site, place));
    let mut paging = page.paging.clone();
    paging["total_text"] = json!(page.real_total.to_string());
    let items: Vec<Value> = page
        .items
        .into_iter()
        .map(|item| server_side(site, item, day))
        .collect();
    let children: Vec<Value> = categories::children(site, id)
        .iter()
        .map(|child| categories::category(site, *child, day, true))
        .collect();
    let state = json!({
        "catalog": {
            "loading": false,
            "error": false,
            "categoryData": data,
            "data": items,
            "paging": paging,
            "filters": listing::filters(site, Some(place), &page.window, day),
            "sort_options": listing::sort_options(query.sort),
            "queryParams": { "category": id.to_string(), "page": query.page },
            "reviewData": {},
            "type": "CATEGORY",
            "trace_id": page.trace_id,
        },
        "catalogv2": { "categories": { "loading": false, "request": {}, "response": {
            "data": children, "show_max": 2, "params": { "parent_id": id.to_string() },
            "expanded_category_id": node.children.first().map(|at| site.tree().node(*at).id),
        }, "error": null, "firstLoaded": false } },
    });
    let next = next_data(
        "/Catalog/Category",
        &json!({ "urlKey": node.url_key, "categoryId": id.to_string() }),
        &state,
    );
    let crumbs = json!({ "@context": "https://schema.org", "@type": "BreadcrumbList",
        "itemListElement": site.tree().line(place).iter().zip(1_u64..).map(|(node, at)| json!({
            "@type": "ListItem", "position": at,
            "item": { "@id": format!("{HOME}/{}", node.url_path()), "name": node.name }
        })).collect::<Vec<_>>() });
    Reply::html(html(
        &node.name,
        &format!("{HOME}/{}", node.url_path()),
        &crumbs,
        &next,
    ))
}

/// H2 in its three spellings.
pub(crate) fn product(site: &Site, id: u64, parameters: &Parameters, day: i64) -> Reply {
    let detail = match parameters.get("spid").map(str::parse) {
        None => site.detail(id, None, day),
        Some(Ok(spid)) => site.detail(id, Some(spid), day),
        Some(Err(_)) => None,
    };
    let Some(detail) = detail else {
        return Reply::error_page(StatusCode::NOT_FOUND, "Không tìm thấy sản phẩm");
    };
    let data = detail.into_value();
    let text = |name: &str| data[name].as_str().unwrap_or("").to_owned();
    let (name, key) = (text("name"), text("url_key"));
    let canonical = format!("{HOME}/{key}.html");
    let schema = json!({ "@context": "https://schema.org", "@graph": [{ "@type": "Product",
        "name": name, "url": canonical, "sku": data["sku"], "offers": { "@type": "Offer",
            "price": data["price"], "priceCurrency": "VND" } }] });
    let reviews: Vec<Value> = site
        .reviewers(id)
        .into_iter()
        .map(|person| {
            json!({ "id": person.id, "content": person.words, "rating": 5,
                "created_by": { "id": person.id, "full_name": person.name } })
        })
        .collect();
    let reviews = json!({ "reviews": { "response": { "data": reviews } } });
    let asked = json!({ "name": key, "id": id.to_string(),
        "spid": parameters.get("spid").unwrap_or("") });
    let state = json!({
        "productv2": {
            "productData": {
                "request": { "productId": id.to_string(), "isServer": true },
                "response": { "data": data },
                "error": null,
                "loading": false,
                "firstLoaded": true,
            },
            "reviewData": reviews,
        },
        "catalog": { "reviewData": reviews },
    });
    Reply::html(html(
        &name,
        &canonical,
        &schema,
        &next_data("/ProductPage", &asked, &state),
    ))
}

fn next_data(page: &str, query: &Value, state: &Value) -> Value {
    json!({
        "props": { "initialState": state, "pageProps": {} },
        "page": page,
        "query": query,
        "buildId": "storefront",
        "assetPrefix": "",
        "isFallback": false,
        "dynamicIds": [],
        "customServer": true,
        "gip": true,
        "appGip": true,
        "scriptLoader": [],
    })
}

/// The item of the API in the schema of the page: some keys gone, some new.
fn server_side(site: &Site, mut item: Value, day: i64) -> Value {
    let id = item["id"].as_u64().unwrap_or(0);
    let homes = site.homes(id, day);
    let lines = homes.iter().flat_map(|home| site.tree().line(*home));
    let ids: BTreeSet<u64> = lines.map(|node| node.id).collect();
    let leaf = homes
        .first()
        .map(|home| site.tree().node(*home).name.as_str());
    let detail = site
        .detail(id, None, day)
        .map_or(Value::Null, crate::site::Detail::into_value);
    let Some(map) = item.as_object_mut() else {
        return item;
    };
    for key in [
        "list_price",
        "inventory_status",
        "seller",
        "type",
        "author_name",
        "book_cover",
        "short_description",
        "stock_item",
        "inventory",
        "installment_info",
        "tiki_live",
        "order_count",
        "favourite_count",
        "is_visible",
        "option_color",
        "url_review",
        "salable_type",
        "freegift_items",
        "url_attendant_input_form",
        "productset_group_name",
    ] {
        map.remove(key);
    }
    if map.get("advertisement").is_some_and(Value::is_null) {
        map.remove("advertisement");
    }
    let seller_sku = map.get("sku").cloned().unwrap_or(Value::Null);
    let authentic = map
        .get("visible_impression_info")
        .and_then(|info| info.get("amplitude")?.get("is_authentic").cloned());
    for (key, value) in [
        ("seller_name", detail["current_seller"]["name"].clone()),
        ("brand_id", detail["brand"]["id"].clone()),
        ("category_ids", json!(ids)),
        ("primary_category_name", json!(leaf)),
        ("master_product_sku", detail["sku"].clone()),
        ("seller_product_sku", seller_sku),
        ("is_authentic", authentic.unwrap_or(json!(0))),
        ("is_tikinow_delivery", json!(false)),
        ("is_nextday_delivery", json!(false)),
        ("is_from_official_store", json!(false)),
        ("isGiftAvailable", json!(false)),
        ("layout_type", json!("grid_view")),
    ] {
        if !value.is_null() {
            map.insert(key.to_owned(), value);
        }
    }
    item
}

fn html(title: &str, canonical: &str, schema: &Value, next: &Value) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let schema = in_script(schema);
    let next = in_script(next);
    format!(
        "<!DOCTYPE html><html lang=\"vi\"><head><meta charset=\"utf-8\"/><title>{title}</title>\
         <link rel=\"canonical\" href=\"{canonical}\"/>\
         <script type=\"application/ld+json\">{schema}</script></head>\
         <body><div id=\"__next\"><h1>{title}</h1></div>\
         {STATE_BEGINS}{next}{STATE_ENDS}</body></html>"
    )
}

/// A page whose product or listing has been changed; none where it has neither.
pub(crate) fn with_state(
    page: &[u8],
    change: impl FnOnce(&mut Map<String, Value>),
) -> Option<String> {
    let page = std::str::from_utf8(page).ok()?;
    let (before, rest) = page.split_once(STATE_BEGINS)?;
    let (state, after) = rest.split_once(STATE_ENDS)?;
    let mut next: Value = serde_json::from_str(state).ok()?;
    let product = "/props/initialState/productv2/productData/response/data";
    let shown = if next.pointer(product).is_some() {
        product
    } else {
        "/props/initialState/catalog"
    };
    change(next.pointer_mut(shown)?.as_object_mut()?);
    let state = in_script(&next);
    Some(format!("{before}{STATE_BEGINS}{state}{STATE_ENDS}{after}"))
}

/// JSON that cannot end the script element it stands in (Next.js escapes these too).
fn in_script(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}
