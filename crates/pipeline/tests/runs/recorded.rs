//! The site's own bodies, served again and crawled into both warehouses. Expected values come from
//! the bodies by code of this file alone. The samples are no part of the project; without them
//! nothing here is tested, and the test says so.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use storefront::Content;

use crate::world::{STORES, World};

/// The columns that are compared, as text.
const COLUMNS: [&str; 22] = [
    "id",
    "name",
    "price",
    "original_price",
    "discount_percent",
    "discount_amount",
    "rating_average",
    "review_count",
    "sales_count",
    "brand_id",
    "brand",
    "seller_id",
    "seller_name",
    "spid",
    "sku",
    "url",
    "image_url",
    "stock_status",
    "stock_quantity",
    "estimated_revenue",
    "price_category",
    "site_created_on",
];

fn samples() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/real-tiki"
    ));
    if folder.join("detail").is_dir() {
        return Some(folder);
    }
    let mut aloud = std::io::stderr();
    writeln!(aloud, "NOT RUN: no real samples at {}", folder.display()).expect("a terminal");
    None
}

fn plain(text: &str) -> String {
    let text = text.replace("&quot;", "\"").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(plain).filter(|text| !text.is_empty())
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Days since 1970 as a date.
fn date(days: i64) -> String {
    let at = catalog::Instant::from_millis(days * 86_400_000).to_string();
    at[..10].to_owned()
}

/// What a body says of the compared columns.
fn expected(body: &Value, today: i64) -> Vec<Option<String>> {
    let price = number(&body["price"]).expect("a price");
    let listed = number(&body["original_price"]).or_else(|| number(&body["list_price"]));
    let original = listed.filter(|original| *original >= price && *original > 0);
    let reviews = number(&body["review_count"]);
    let rating = body["rating_average"]
        .as_f64()
        .filter(|_| reviews != Some(0));
    let sales =
        number(&body["all_time_quantity_sold"]).or_else(|| number(&body["quantity_sold"]["value"]));
    let seller = &body["current_seller"];
    let revenue = sales
        .filter(|sales| *sales > 0 && price > 0)
        .map(|sales| sales * price);
    let class = match price {
        0 => None,
        1..500_000 => Some("budget"),
        500_000..2_000_000 => Some("mid-range"),
        2_000_000..10_000_000 => Some("premium"),
        _ => Some("luxury"),
    };
    let whole = |value: Option<i64>| value.map(|value| value.to_string());
    vec![
        whole(number(&body["id"])),
        text(&body["name"]),
        Some(price.to_string()),
        whole(original),
        whole(number(&body["discount_rate"]).filter(|_| original.is_some())),
        whole(
            original
                .map(|original| original - price)
                .filter(|off| *off > 0),
        ),
        rating.map(|rating| rating.to_string()),
        whole(reviews),
        whole(sales),
        whole(number(&body["brand"]["id"])),
        text(&body["brand"]["name"]),
        whole(number(&seller["id"])),
        text(&seller["name"]),
        whole(number(&seller["product_id"])),
        text(&body["sku"]),
        text(&body["url_path"]).map(|path| format!("https://tiki.vn/{path}")),
        text(&body["thumbnail_url"]),
        text(&body["inventory_status"]),
        whole(number(&body["stock_item"]["qty"])),
        whole(revenue),
        class.map(str::to_owned),
        number(&body["day_ago_created"]).map(|ago| date(today - ago)),
    ]
}

/// Counts what a JSON text holds: list items, or attributes of groups.
fn count(json: Option<&String>, attributes: bool) -> usize {
    let Some(json) = json else { return 0 };
    let value: Value = serde_json::from_str(json).expect("stored JSON");
    let list = value.as_array().expect("a list").clone();
    if attributes {
        list.iter()
            .map(|group| group["attributes"].as_array().map_or(0, Vec::len))
            .sum()
    } else {
        list.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_detail_is_loaded_as_its_body_says() {
    let Some(folder) = samples() else { return };
    let mut bodies = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("detail")).expect("details") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a body");
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        bodies.insert(number(&body["id"]).expect("an id"), body);
    }
    assert!(bodies.len() >= 41, "{}", bodies.len());
    for store in STORES {
        let mut world = World::new(store, Content::Recorded(folder.clone())).await;
        world.scope.max_categories = 0;
        world.scope.max_products = 0;
        world.scope.details = "always".into();
        let report = world.run("first").await;
        assert_eq!(report.exit_code, 0, "{store:?}: {:?}", world.notes);
        assert_eq!(report.totals.products.rejected, 0, "{store:?}");
        assert_eq!(report.totals.details.rejected, 0, "{store:?}");
        compare(&world, &bodies).await;
        let digest = world.warehouse.content_digest().await.expect("a digest");
        world.day(1);
        let second = world.run("second").await;
        assert_eq!(second.totals.products.new, 0, "{store:?}");
        assert_eq!(second.totals.products.changed, 0, "{store:?}");
        assert_eq!(
            world.warehouse.content_digest().await.expect("a digest"),
            digest,
            "{store:?}"
        );
    }
}

async fn compare(world: &World, bodies: &BTreeMap<i64, Value>) {
    let today = pipeline::Clock::now(&world.clock).millis() + 7 * 3_600_000;
    let today = today.div_euclid(86_400_000);
    let mut wrong = Vec::new();
    for (id, body) in bodies {
        let sql = format!(
            "SELECT {}, description, specifications, images FROM products WHERE id = {id}",
            COLUMNS.join(", ")
        );
        let rows = world.ask(&sql).await;
        let Some(row) = rows.first() else {
            wrong.push(format!("{id} is missing"));
            continue;
        };
        for ((column, seen), said) in COLUMNS.iter().zip(row).zip(expected(body, today)) {
            if *seen != said {
                wrong.push(format!("{id} {column}: {seen:?}, the body says {said:?}"));
            }
        }
        let images = body["images"].as_array().map_or(0, Vec::len);
        if count(row[24].as_ref(), false) != images {
            wrong.push(format!("{id} images: {:?}, the body has {images}", row[24]));
        }
        let attributes: usize = body["specifications"].as_array().map_or(0, |groups| {
            groups
                .iter()
                .map(|group| group["attributes"].as_array().map_or(0, Vec::len))
                .sum()
        });
        if count(row[23].as_ref(), true) != attributes {
            wrong.push(format!(
                "{id} specifications: {:?}, the body has {attributes}",
                row[23]
            ));
        }
        let has_text = body["description"]
            .as_str()
            .is_some_and(|html| html.contains("<p"));
        if has_text
            && row[22]
                .as_ref()
                .is_none_or(|text| text.contains('<') && text.contains("</"))
        {
            wrong.push(format!("{id} description: {:?}", row[22]));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} fields are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
