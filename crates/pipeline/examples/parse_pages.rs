//! What making records costs by itself: takes a run's stored pages into memory, then unpacks and parses them
//! and makes a record of each product, in one thread. `cargo xtask bench transform` holds the step against it.
//!
//! `parse_pages <url of a warehouse> <run>`. The run must wait to be transformed; its products are claimed, so the
//! warehouse is to be thrown away. Prints `<records> <bytes unpacked> <seconds>`.
//!
//! Not here: what the step does besides (shapes, states, what is staged).
#![allow(clippy::print_stdout, reason = "what it measured is its answer")]

use std::error::Error;
use std::time::Instant;

use catalog::{BodyLimits, Product, Seen, Source, parse_detail, read_body};
use warehouse::{AttemptRequest, Host, Options, ToTransform, Warehouse};

/// Products of a claim.
const BATCH: i64 = 1000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(run)) = (arguments.next(), arguments.next()) else {
        return Err("parse_pages <url of a warehouse> <run>".into());
    };
    let products = products(&url, &run).await?;
    let (mut records, mut bytes) = (Vec::with_capacity(products.len()), 0);
    let begun = Instant::now();
    for product in &products {
        let (record, size) = record(product)?;
        records.push(record);
        bytes += size;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} {bytes} {seconds:.6}", records.len());
    Ok(())
}

async fn products(url: &str, run: &str) -> Result<Vec<ToTransform>, Box<dyn Error>> {
    let warehouse = Warehouse::open(url, &Options::default()).await?;
    let wish = AttemptRequest {
        run: run.into(),
        step: "transform-products".into(),
        shard: 0,
        attempt: None,
        join: true,
        host: Host {
            name: "here".into(),
            process: std::process::id().to_string(),
        },
    };
    let begun = warehouse.begin_attempt(&wish, |_| true).await?;
    let attempt = begun.map_err(|host| format!("{} is at work", host.process))?;
    let mut products = Vec::new();
    while let Some(claimed) = warehouse.next_to_transform(&attempt, BATCH).await? {
        if claimed.products.is_empty() {
            break;
        }
        products.extend(claimed.products);
    }
    Ok(products)
}

/// A product's record and the size of its detail.
fn record(product: &ToTransform) -> Result<(Product, usize), Box<dyn Error>> {
    let page = product.page.as_ref().ok_or("a product without a detail")?;
    let body = read_body(&page.body, page.encoding, &BodyLimits::default())?;
    let size = body.len();
    let refused = |rejection: catalog::Rejection| format!("{rejection:?}");
    let detail = Seen {
        value: parse_detail(&body, product.product_id).map_err(refused)?,
        at: page.fetched_at,
        source: Source::Detail,
    };
    let listing = product.listing.as_ref().map(|(listing, _)| listing.clone());
    let made = Product::new(listing, Some(detail), product.listed_in, |_| true);
    Ok((made.map_err(refused)?, size))
}
