//! How fast products are loaded, to look at: `cargo test --release -p warehouse --test speed --
//! --ignored --nocapture`. Nothing is bound here.
#![allow(clippy::print_stdout, reason = "a figure to look at")]

use std::time::Instant;

use catalog::{Detail, Listing, Product, Seen, Source};
use warehouse::{
    Attempt, AttemptRequest, Host, KnownProduct, Merge, NewRun, Options, PlannedProduct, RunState,
    Transformed, Warehouse,
};

const PRODUCTS: i64 = 20_000;
const BATCHES: [i64; 3] = [200, 500, 2000];

fn at(day: i64) -> catalog::Instant {
    catalog::Instant::from_millis(1_700_000_000_000 + day * 86_400_000)
}

/// A record of about a kilobyte; `price` and `day` tell it apart from the day before.
fn product(id: i64, price: i64, day: i64) -> Product {
    let listing = Listing {
        product_id: id,
        spid: Some(id * 10),
        url: format!("https://tiki.vn/san-pham-so-{id}-cua-cua-hang-p{id}.html"),
        name: format!("Sản phẩm số {id} của cửa hàng, loại tốt"),
        price: Some(price),
        original_price: Some(price * 2),
        sales_count: Some(10),
        seller_id: Some(1),
        ..Listing::default()
    };
    let detail = (day == 0).then(|| Detail {
        id,
        url: listing.url.clone(),
        name: listing.name.clone(),
        price: Some(price),
        seller_id: Some(1),
        seller_name: Some("Nhà Sách".into()),
        description: Some("Mô tả dài. ".repeat(60)),
        specifications: Some(r#"[{"name":"Chung","attributes":[]}]"#.into()),
        ..Detail::default()
    });
    let seen = |at| (at, Source::Listing);
    let (at_listing, source) = seen(at(day));
    let listing = Seen {
        value: listing,
        at: at_listing,
        source,
    };
    let detail = detail.map(|value| Seen {
        value,
        at: at(day).plus_millis(1000),
        source: Source::Detail,
    });
    Product::new(Some(listing), detail, Some(7), |_| false).expect("a record")
}

async fn attempt(warehouse: &Warehouse, run: &str, step: &str) -> Attempt {
    let wish = AttemptRequest {
        run: run.into(),
        step: step.into(),
        shard: 0,
        attempt: None,
        join: true,
        host: Host {
            name: "here".into(),
            process: "1".into(),
        },
    };
    let begun = warehouse.begin_attempt(&wish, |_| false).await;
    begun.expect("an answer").expect("begun")
}

async fn create(warehouse: &Warehouse, day: i64) -> String {
    let run = format!("day {day}");
    let new = NewRun {
        id: run.clone(),
        owner: "cli".into(),
        scope: "{}".into(),
        scope_key: "all".into(),
        clock_at: at(day),
    };
    let made = warehouse.create_run(&new).await.expect("an answer");
    made.expect("a run");
    run
}

async fn plan(
    warehouse: &Warehouse,
    attempt: &Attempt,
    products: i64,
    reason: Option<&'static str>,
) {
    let ids: Vec<i64> = (1..=products).collect();
    for stretch in ids.chunks(1000) {
        let planned = stretch.iter().map(|id| PlannedProduct {
            known: KnownProduct {
                product_id: *id,
                listed_in: Some(7),
                fingerprint: None,
                spid: None,
                last_detail: None,
                first_seen: None,
                deferred: false,
            },
            reason,
            rank: id % 7,
        });
        let planned: Vec<PlannedProduct> = planned.collect();
        warehouse
            .commit_plan(attempt, &planned, "x")
            .await
            .expect("a plan");
    }
}

async fn transform(warehouse: &Warehouse, run: &str, batch: i64, record: impl Fn(i64) -> Product) {
    let attempt = attempt(warehouse, run, "transform-products").await;
    while let Some(claimed) = warehouse
        .next_to_transform(&attempt, batch)
        .await
        .expect("a claim")
    {
        let staged = claimed.iter().map(|claimed| Transformed::Staged {
            product: Box::new(record(claimed.product_id)),
            listing_page_id: None,
            detail_page_id: None,
            detail_rejected: None,
        });
        let staged: Vec<Transformed> = staged.collect();
        warehouse
            .commit_transformed(&attempt, &staged, &[], at(0))
            .await
            .expect("staged");
    }
}

async fn load(warehouse: &Warehouse, run: &str, batch: i64, day: i64) -> Attempt {
    let attempt = attempt(warehouse, run, "load-products").await;
    let merge = Merge {
        batch,
        believe_gone: true,
        now: at(day),
    };
    while warehouse
        .load_batch(&attempt, &merge)
        .await
        .expect("a batch")
        .is_some()
    {}
    attempt
}

/// Seconds of planning, staging and loading.
async fn day(warehouse: &Warehouse, day: i64, batch: i64, price: impl Fn(i64) -> i64) -> [f64; 3] {
    let run = create(warehouse, day).await;
    let mut laps = Laps::begin();
    let details = attempt(warehouse, &run, "crawl-product-details").await;
    plan(warehouse, &details, PRODUCTS, None).await;
    laps.end("plan");
    transform(warehouse, &run, batch, |id| product(id, price(id), day)).await;
    laps.end("stage");
    load(warehouse, &run, batch, day).await;
    laps.end("load");
    warehouse
        .finish_run(&run, RunState::Done, 0, "{}")
        .await
        .expect("an end");
    [laps.took[0].1, laps.took[1].1, laps.took[2].1]
}

/// Names and seconds.
struct Laps {
    begun: Instant,
    took: Vec<(&'static str, f64)>,
}

impl Laps {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            took: Vec::new(),
        }
    }

    fn end(&mut self, name: &'static str) {
        self.took.push((name, self.begun.elapsed().as_secs_f64()));
        self.begun = Instant::now();
    }

    fn print(&self) -> String {
        let laps = self
            .took
            .iter()
            .map(|(name, seconds)| format!("{name} {seconds:.1} s"));
        laps.collect::<Vec<_>>().join(", ")
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "torture: prints figures, checks nothing"]
async fn torture_products_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    for batch in BATCHES {
        let file = format!("sqlite:{}/{batch}.db", folder.path().display());
        let database = tokio::task::block_in_place(|| testkit::Postgres::shared().fresh_database());
        for url in [file, database] {
            let warehouse = Warehouse::open(&url, &Options::default())
                .await
                .expect("a warehouse");
            warehouse.migrate("public").await.expect("a schema");
            let kind = if warehouse.is_postgres() {
                "postgres"
            } else {
                "sqlite"
            };
            for (n, name) in (0_i64..).zip(["new", "unchanged", "10 % changed", "all changed"]) {
                let price = |id: i64| match n {
                    2 if id % 10 == 0 => 900,
                    3 => 800,
                    _ => 1000,
                };
                let seconds = day(&warehouse, n, batch, price).await;
                let [plan, stage, load] = seconds.map(|seconds| PRODUCTS as f64 / seconds);
                println!(
                    "{kind:>8}, batch {batch:>4}, {name:<12}: plan {plan:>7.0}/s, stage {stage:>7.0}/s, \
                     load {load:>7.0}/s"
                );
            }
        }
    }
}

/// Rows that sequential scans read, for each row of a table: a scan a batch would show as hundreds.
async fn print_scans(warehouse: &Warehouse) {
    let sql = "SELECT relname, n_live_tup, seq_scan, seq_tup_read FROM pg_stat_user_tables
        WHERE seq_tup_read > 0 ORDER BY seq_tup_read DESC";
    let table = warehouse
        .select(sql, 20, std::time::Duration::from_secs(9))
        .await;
    for row in table.expect("an answer").rows {
        let cells: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
        println!(
            "{}: {} rows, {} scans read {}",
            cells[0], cells[1], cells[2], cells[3]
        );
    }
}

async fn ask_all(warehouse: &Warehouse, attempt: &Attempt) {
    while let Some(asks) = warehouse.next_details(attempt, 100).await.expect("a claim") {
        let answers = asks.into_iter().map(|ask| warehouse::DetailAnswer {
            ask,
            at: at(0),
            outcome: warehouse::DetailOutcome::Gone,
        });
        warehouse
            .commit_details(attempt, answers.collect())
            .await
            .expect("kept");
    }
}

async fn large_day(warehouse: &Warehouse, day: i64) {
    const ROWS: i64 = 100_000;
    let run = create(warehouse, day).await;
    let mut laps = Laps::begin();
    let details = attempt(warehouse, &run, "crawl-product-details").await;
    let mut after = 0;
    while let Some(last) = warehouse
        .unlisted_products(&run, after, 1000, false)
        .await
        .expect("products")
        .last()
    {
        after = last.product_id;
    }
    laps.end("unlisted");
    plan(warehouse, &details, ROWS, Some("new")).await;
    laps.end("plan");
    warehouse
        .end_plan(&details, ROWS / 2, "whole")
        .await
        .expect("an end");
    laps.end("budget");
    ask_all(warehouse, &details).await;
    laps.end("details");
    transform(warehouse, &run, 500, |id| product(id, 1000, day)).await;
    laps.end("transform");
    let attempt = load(warehouse, &run, 500, day).await;
    laps.end("load");
    warehouse
        .finish_run(&run, RunState::Done, 0, "{}")
        .await
        .expect("an end");
    let keep = warehouse::Retention {
        observations: at(day),
        pages: at(day),
        listings: at(day),
        ledger: at(day),
        late_millis: 0,
    };
    let mut cleaned = 0;
    for kind in warehouse::Kind::ALL {
        cleaned += warehouse
            .clean(&attempt, &keep, kind)
            .await
            .expect("cleaned");
    }
    laps.end("clean");
    println!(
        "{} {run}: {}; cleaned {cleaned}",
        warehouse.address(),
        laps.print()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures, checks nothing"]
async fn no_batch_reads_a_whole_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite:{}", folder.path().join("tiki.db").display());
    let database = tokio::task::block_in_place(|| testkit::Postgres::shared().fresh_database());
    for url in [file, database] {
        let warehouse = Warehouse::open(&url, &Options::default())
            .await
            .expect("a warehouse");
        warehouse.migrate("public").await.expect("a schema");
        large_day(&warehouse, 0).await;
        large_day(&warehouse, 1).await;
        if warehouse.is_postgres() {
            print_scans(&warehouse).await;
        }
    }
}
