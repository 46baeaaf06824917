//! Others that do the same work, and whether all did it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::Python;
use tokio_postgres::Client;
use warehouse::Warehouse;

use crate::ceilings::connect;
use crate::days::Day;
use crate::ours::BATCH;

/// Seconds in which `peers.py` loads the first `count` products of a database into another.
pub(crate) fn day(way: &str, source: &str, target: &str, day: Day, count: i64) -> f64 {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/load/peers.py");
    let mut command = Command::new(Python::READERS.program());
    command
        .arg(script)
        .args([way, source, target, &day.at().to_string()]);
    command
        .args([count.to_string(), BATCH.to_string()])
        .stderr(Stdio::inherit());
    let said = command.output().expect("python runs").stdout;
    let said = String::from_utf8_lossy(&said);
    said.trim().parse().expect("seconds")
}

/// Rows that must be there after a day: products, looks, changes, the sum of all prices.
fn expected(day: Day, count: i64) -> [i64; 4] {
    let changes = if day == Day::Changed { count / 10 } else { 0 };
    let prices = (1..=count).map(|id| day.price(id)).sum();
    [count, count * (day.number() + 1), count + changes, prices]
}

const FOUND: &str = "SELECT (SELECT COUNT(*) FROM products), (SELECT COUNT(*) FROM observations),
    (SELECT COUNT(*) FROM product_history), (SELECT CAST(SUM(price) AS BIGINT) FROM products)";

/// Panics if a load by the warehouse did not do all its work.
pub(crate) async fn check_ours(warehouse: &Warehouse, day: Day, count: i64) {
    let found = warehouse
        .select(FOUND, 1, Duration::from_mins(1))
        .await
        .expect("counts");
    let found: Vec<i64> = found.rows[0]
        .iter()
        .flatten()
        .filter_map(|cell| cell.parse().ok())
        .collect();
    assert_eq!(
        found,
        expected(day, count),
        "{} after {}",
        warehouse.address(),
        day.name()
    );
}

/// What all must tell alike of the first products: everything but the hashes, which each makes in its own way.
const TOLD: &str = "SELECT md5(string_agg(md5(ROW(id, spid, sku, seller_sku, name, search_name, url, image_url,
        category_id, category_path, brand_id, brand, seller_id, seller_name, seller_is_official, price,
        original_price, discount_amount, discount_percent, rating_average, review_count, sales_count,
        stock_status, stock_quantity, description, specifications, images, estimated_revenue, price_category,
        popularity_score, value_score, site_created_on, observed_at, detail_observed_at, created_at, updated_at,
        content_at)::text), '' ORDER BY id)),
    (SELECT md5(string_agg(md5(ROW(product_id, observed_at, kind, changed, price, original_price, previous_price,
        price_change, price_change_percent)::text), '' ORDER BY product_id, observed_at))
        FROM product_history WHERE product_id <= $1)
    FROM products WHERE id <= $1";

/// Panics if a load by others did not do all its work: as many rows, and the same in them as in ours.
pub(crate) async fn check(url: &str, ours: &Client, day: Day, count: i64) {
    let theirs = connect(url).await;
    let row = theirs.query_one(FOUND, &[]).await.expect("counts");
    let found: [i64; 4] = [0, 1, 2, 3].map(|n| row.get(n));
    assert_eq!(found, expected(day, count), "a peer after {}", day.name());
    let mut told = Vec::new();
    for client in [ours, &theirs] {
        let row = client.query_one(TOLD, &[&count]).await.expect("digests");
        told.push([0, 1].map(|n| row.get::<_, String>(n)));
    }
    assert_eq!(told[0], told[1], "a peer after {}", day.name());
}
