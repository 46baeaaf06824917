//! A product as the listing API shows it. The page adds what depends on the request.

use serde_json::{Map, Value, json};

use crate::draw::Topic;
use crate::generated::Catalogue;
use crate::generated::sheet::{Product, Sheet};
use crate::generated::text::sold_text;

/// Of a thousand items, so many say nothing about sales: 6 of 840 in public captures.
const NO_SALES_PER_MILLE: u64 = 7;

pub(crate) fn item(catalogue: &Catalogue, product: &Product, day: i64) -> Value {
    let sheet = Sheet::of(catalogue, product, day);
    let quiet = sheet.draw.of(Topic::SalesRate).at(1).below(1_000) < NO_SALES_PER_MILLE;
    let sold = json!({ "text": sold_text(sheet.sold, false), "value": sheet.sold });
    let fields = json!({
        "id": sheet.id,
        "sku": sheet.seller_sku(),
        "name": sheet.name,
        "url_key": sheet.url_key,
        "url_path": sheet.url_path(),
        "seller_product_id": sheet.offer.spid,
        "seller_id": sheet.offer.seller.id,
        "productset_id": 1_000 + sheet.place,
        "price": sheet.price.price,
        "original_price": sheet.price.original,
        "list_price": 0,
        "discount": sheet.price.discount(),
        "discount_rate": sheet.price.discount_rate(),
        "rating_average": sheet.rating(),
        "review_count": sheet.reviews,
        "order_count": 0,
        "favourite_count": 0,
        "availability": 1,
        "product_reco_score": 0,
        "quantity_sold": if quiet { Value::Null } else { sold },
        "brand_name": sheet.brand.as_ref().map_or("", |brand| brand.name),
        "thumbnail_url": sheet.thumbnail_url(),
        "thumbnail_width": 280,
        "thumbnail_height": 280,
        "primary_category_path": catalogue.tree.id_path(sheet.place),
        "shippable": true,
    });
    let mut item = empty_fields();
    if let Value::Object(fields) = fields {
        item.extend(fields);
    }
    // Moved in: inside `json!` they would be copied.
    item.insert("badges_new".to_owned(), Value::Array(badges_new(&sheet)));
    let amplitude = Map::from_iter([("amplitude".to_owned(), amplitude(catalogue, &sheet))]);
    item.insert(
        "visible_impression_info".to_owned(),
        Value::Object(amplitude),
    );
    if sheet.is_freeship() {
        let badge = json!([{ "code": "product_image_badge", "image":
            "https://salt.tikicdn.com/ts/upload/freeship.png",
            "placement": "badge_overlay_product_image", "type": "image_badge" }]);
        item.insert("badges_v3".to_owned(), badge);
    }
    Value::Object(item)
}

/// Keys that are always there and say nothing.
fn empty_fields() -> Map<String, Value> {
    let mut fields = Map::new();
    for key in [
        "author_name",
        "short_description",
        "type",
        "inventory_status",
        "salable_type",
        "url_review",
        "productset_group_name",
        "url_attendant_input_form",
    ] {
        fields.insert(key.to_owned(), json!(""));
    }
    for key in [
        "seller",
        "stock_item",
        "inventory",
        "installment_info",
        "tiki_live",
        "advertisement",
        "book_cover",
    ] {
        fields.insert(key.to_owned(), Value::Null);
    }
    for key in ["badges", "freegift_items", "option_color"] {
        fields.insert(key.to_owned(), json!([]));
    }
    // `is_visible` is false although the item is shown.
    for key in [
        "has_ebook",
        "is_visible",
        "is_flower",
        "is_gift_card",
        "bundle_deal",
    ] {
        fields.insert(key.to_owned(), json!(false));
    }
    fields
}

fn badges_new(sheet: &Sheet) -> Vec<Value> {
    let mut badges = Vec::new();
    if sheet.is_fast() {
        badges.push(json!({ "code": "tikinow", "placement": "delivery_info",
            "type": "delivery_info_badge", "text": "Giao siêu tốc 2h", "icon_width": 32,
            "icon_height": 16, "icon": "https://salt.tikicdn.com/ts/tka/now.png" }));
    }
    if sheet.is_authentic() {
        badges.push(
            json!({ "code": "authentic_brand", "placement": "under_product_image",
            "type": "icon_badge", "icon_width": 89, "icon_height": 20,
            "icon": "https://salt.tikicdn.com/ts/tka/authentic.png" }),
        );
    }
    if let Some(brand) = &sheet.brand {
        badges.push(
            json!({ "code": "brand_name", "placement": "above_product_name",
            "type": "text_above_product_name", "text": brand.name.to_uppercase(),
            "text_color": "#808089" }),
        );
    }
    badges
}

/// Tracking values. `is_authentic` is an int here and a bool in the detail.
fn amplitude(catalogue: &Catalogue, sheet: &Sheet) -> Value {
    let line = catalogue.tree.line(sheet.place);
    let mut values = json!({
        "all_time_quantity_sold": sheet.sold,
        "is_authentic": u8::from(sheet.is_authentic()),
        "is_flash_deal": false,
        "is_freeship_xtra": sheet.is_freeship(),
        "is_hero": false,
        "is_imported": sheet.origin != "Việt Nam",
        "is_top_brand": sheet.is_top_brand(),
        "layout": "grid_view",
        "master_product_sku": sheet.master_sku(),
        "number_of_reviews": sheet.reviews,
        "origin": sheet.origin,
        "price": sheet.price.price,
        "product_rating": sheet.rating(),
        "search_rank": 0,
        "seller_id": sheet.offer.seller.id,
        "seller_product_id": sheet.offer.spid,
        "seller_product_sku": sheet.seller_sku(),
        "seller_type": if sheet.offer.seller.official { "OFFICIAL_STORE" } else { "NONE" },
        "standard_delivery_estimate": 0,
        "earliest_delivery_estimate": 0,
        "tikinow_delivery_estimate": if sheet.is_fast() { json!(0.21) } else { json!(0) },
        "tikipro_delivery_estimate": 0,
        "variant": false,
    });
    if let Some(map) = values.as_object_mut() {
        if let Some(brand) = &sheet.brand {
            map.insert("brand_name".to_owned(), json!(brand.name));
        }
        for (at, node) in line.iter().enumerate().take(4) {
            map.insert(format!("category_l{}_name", at + 1), json!(node.name));
        }
        if let Some(leaf) = line.last() {
            map.insert("primary_category_name".to_owned(), json!(leaf.name));
        }
    }
    values
}
