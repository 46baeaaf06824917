//! Pages that faulty rules had read, derived anew by this program.
//!
//! The program has no fault to switch on. So the real program crawls, the test itself stages and loads
//! what faulty rules of a lower number would have made of the stored pages, and the real program redoes
//! the run.

use catalog::{BodyLimits, Detail, ListingItem, Product, Seen, Source};
use serde_json::Value;
use warehouse::{
    Attempt, AttemptRequest, Host, Merge, Options, ToTransform, Transformed, TransformedBatch,
    Warehouse,
};

use crate::tiki::{Shop, Tiki};

const RUN: &str = "r";
const CRAWLS: [&str; 3] = [
    "crawl-categories",
    "extract-product-urls",
    "crawl-product-details",
];

async fn attempt(warehouse: &Warehouse, step: &str) -> Attempt {
    let wish = AttemptRequest {
        run: RUN.into(),
        step: step.into(),
        shard: 0,
        attempt: None,
        join: false,
        host: Host {
            name: "here".into(),
            process: "1".into(),
        },
    };
    let begun = warehouse.begin_attempt(&wish, |_| false).await;
    begun.expect("an answer").expect("nobody else is at work")
}

/// A parser that takes the original price for the price, a part of the name for the name, and says
/// nothing of the description.
fn faulty(product: ToTransform) -> Transformed {
    let (listing, listing_page) = product.listing.unzip();
    let detail_page = product.page.as_ref().map(|page| page.id);
    let detail = product.page.map(|page| {
        let body = catalog::read_body(&page.body, page.encoding, &BodyLimits::default());
        let value = catalog::parse_detail(&body.expect("a body"), product.product_id);
        Seen {
            value: misread_detail(value.expect("a detail")),
            at: page.fetched_at,
            source: Source::Detail,
        }
    });
    let made = Product::new(listing, detail, product.listed_in, |_| false);
    Transformed::Staged {
        product: Box::new(made.expect("a record")),
        listing_page_id: listing_page,
        detail_page_id: detail_page,
        detail_rejected: None,
    }
}

fn misread_detail(detail: Detail) -> Detail {
    Detail {
        price: detail.original_price.or(detail.price),
        name: detail
            .name
            .chars()
            .take(4)
            .collect::<String>()
            .trim()
            .into(),
        description: None,
        ..detail
    }
}

/// Lists the run's products as a program with faulty rules would.
async fn list_faulty(warehouse: &Warehouse) {
    let lower = catalog::DERIVATION - 1;
    let pages = warehouse.outdated_listings(RUN, lower + 2, 0, 1000).await;
    let work = attempt(warehouse, "transform-products").await;
    for id in pages.expect("pages") {
        let page = warehouse
            .page(id)
            .await
            .expect("an answer")
            .expect("a page");
        let body = catalog::read_body(&page.body, page.encoding, &BodyLimits::default());
        let mut answer = catalog::parse_listing(&body.expect("a body")).expect("a listing");
        for item in &mut answer.items {
            if let ListingItem::Organic(listing) = item {
                listing.price = listing.original_price.or(listing.price);
                listing.brand = None;
            }
        }
        let kept = warehouse.commit_listing_anew(&work, lower, id, &answer);
        kept.await.expect("kept");
    }
    warehouse
        .end_attempt(&work, None, None)
        .await
        .expect("an end");
}

/// Loads the run as a program with faulty rules would.
async fn load_faulty(url: &str) {
    let warehouse = Warehouse::open(url, &Options::default()).await;
    let warehouse = warehouse.expect("a warehouse");
    list_faulty(&warehouse).await;
    let transform = attempt(&warehouse, "transform-products").await;
    let now = warehouse.time().await.expect("a time");
    while let Some(claimed) = warehouse
        .next_to_transform(&transform, 100)
        .await
        .expect("a claim")
    {
        let batch: Vec<Transformed> = claimed.products.into_iter().map(faulty).collect();
        let lower = catalog::DERIVATION - 1;
        let batch = TransformedBatch::derived(claimed.batch, lower, &batch);
        let stored = warehouse.commit_batch(&transform, batch.expect("a batch"), &[], now);
        stored.await.expect("a staged batch");
    }
    let closed = warehouse.close_step(&transform, 0, "{}").await;
    assert!(closed.expect("an answer"));
    warehouse
        .end_attempt(&transform, None, None)
        .await
        .expect("an end");
    let load = attempt(&warehouse, "load-products").await;
    let merge = Merge {
        believe_gone: true,
        now,
    };
    while let Some(loaded) = warehouse.load_batch(&load, &merge).await.expect("a batch") {
        assert!(!loaded.is_empty(), "nobody else holds any");
    }
    let closed = warehouse.close_step(&load, 0, "{}").await;
    assert!(closed.expect("an answer"));
    warehouse
        .end_attempt(&load, None, None)
        .await
        .expect("an end");
    let done = warehouse
        .finish_run(RUN, warehouse::RunState::Done, 0, "{}", None)
        .await;
    done.expect("an end");
}

fn check(clean: &Tiki, tiki: &Tiki, url: &str) {
    for step in CRAWLS {
        tiki.ends(0, &["step", step, "--run", RUN]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(load_faulty(url));
    let content = ["digest", "--content"];
    assert_ne!(tiki.out(&content), clean.out(&content));
    let redo = ["run", "--from", "transform-products", "--run", RUN];
    let told = tiki.out(&redo);
    assert!(told.contains("corrected: "), "{told}");
    assert_eq!(tiki.out(&content), clean.out(&content));
    let show = ["step", "load-products", "--run", RUN];
    let report = |tiki: &Tiki| -> Value {
        let out = tiki.out(&show);
        serde_json::from_str(out.lines().last().expect("a line")).expect("JSON")
    };
    let stats = &report(tiki)["load_stats"];
    let rows = |column: &str| stats["corrected"][column].as_i64().unwrap_or(0);
    let (products, looks) = (
        tiki.out(&[
            "sql",
            "select count(*) from products where description is not null",
            "--json",
        ]),
        tiki.out(&["sql", "select count(*) from observations", "--json"]),
    );
    assert!(rows("price") > 0 && rows("name") > 0, "{stats}");
    assert!(
        products.contains(&rows("description").to_string()),
        "{products} {stats}"
    );
    assert!(looks.contains(char::is_numeric), "{looks}");
    assert_eq!(stats["withdrawn_count"], 0);
    // Nothing is corrected twice.
    let told = tiki.out(&redo);
    assert!(!told.contains("corrected: "), "{told}");
    assert_eq!(
        report(tiki)["load_stats"]["corrected"],
        serde_json::json!({})
    );
    assert_eq!(tiki.out(&content), clean.out(&content));
}

#[test]
fn pages_that_faulty_rules_had_read_come_to_a_clean_load() {
    let shop = Shop::open(&Tiki::new(), &["--products", "150", "--day", "2026-11-01"]);
    let clean = shop.home();
    clean.ends(0, &["run"]);
    let tiki = shop.home();
    let url = format!("sqlite:{}", tiki.path("data/tiki.db").display());
    check(&clean, &tiki, &url);
}

#[test]
fn pages_in_postgres_that_faulty_rules_had_read_come_to_a_clean_load() {
    let shop = Shop::open(&Tiki::new(), &["--products", "150", "--day", "2026-11-01"]);
    let clean = shop.home();
    clean.ends(0, &["run"]);
    let url = testkit::Postgres::shared().fresh_database();
    let tiki = shop.home().with("TIKI_DATABASE_URL", &url);
    check(&clean, &tiki, &url);
}
