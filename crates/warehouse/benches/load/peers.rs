//! Others that do the same work, and whether all did it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::Python;
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

/// Panics if a load by others did not do all its work.
pub(crate) async fn check(url: &str, day: Day, count: i64) {
    let row = connect(url)
        .await
        .query_one(FOUND, &[])
        .await
        .expect("counts");
    let found: [i64; 4] = [0, 1, 2, 3].map(|n| row.get(n));
    assert_eq!(found, expected(day, count), "a peer after {}", day.name());
}
