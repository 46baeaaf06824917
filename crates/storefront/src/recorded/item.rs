//! From a recorded detail to a listing item, and back.

use serde_json::{Map, Value, json};

/// A listing item with what the detail says; what it does not say is absent.
pub(crate) fn from_detail(detail: &Value, path: &str) -> Value {
    let mut item = Map::new();
    for key in [
        "id",
        "sku",
        "name",
        "url_key",
        "url_path",
        "price",
        "original_price",
        "discount",
        "discount_rate",
        "rating_average",
        "review_count",
        "quantity_sold",
        "thumbnail_url",
    ] {
        if let Some(value) = detail.get(key) {
            item.insert(key.to_owned(), value.clone());
        }
    }
    let seller = detail
        .get("current_seller")
        .filter(|seller| seller.is_object());
    let spid = seller.and_then(|seller| seller.get("product_id"));
    // A string in the detail, a number in a listing.
    let spid = spid.and_then(|spid| match spid {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    for (key, value) in [
        ("seller_product_id", spid.map(Value::from)),
        (
            "seller_id",
            seller.and_then(|seller| seller.get("id").cloned()),
        ),
    ] {
        if let Some(value) = value {
            item.insert(key.to_owned(), value);
        }
    }
    let brand = detail
        .get("brand")
        .and_then(|brand| brand.get("name"))
        .cloned();
    item.insert("brand_name".to_owned(), brand.unwrap_or_else(|| json!("")));
    item.insert("list_price".to_owned(), json!(0));
    item.insert("primary_category_path".to_owned(), json!(path));
    Value::Object(item)
}

/// The detail of a product that only a listing showed: the fields both have, nothing invented.
pub(crate) fn as_detail(item: &Value) -> Value {
    let mut detail = Map::new();
    for key in [
        "id",
        "name",
        "url_key",
        "url_path",
        "price",
        "original_price",
        "discount",
        "discount_rate",
        "rating_average",
        "review_count",
        "quantity_sold",
        "thumbnail_url",
    ] {
        if let Some(value) = item.get(key) {
            detail.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(detail)
}

/// A whole number; 0 when absent.
pub(crate) fn number(item: &Value, key: &str) -> i64 {
    item.get(key).and_then(Value::as_i64).unwrap_or(0)
}

/// Units sold; 0 when the item does not say.
pub(crate) fn sold(item: &Value) -> i64 {
    item.get("quantity_sold")
        .map_or(0, |sold| number(sold, "value"))
}

/// Tenths of a star.
pub(crate) fn rating_tenths(item: &Value) -> i64 {
    let stars = item
        .get("rating_average")
        .and_then(Value::as_f64)
        .unwrap_or(0.0);
    (stars * 10.0).round() as i64
}
