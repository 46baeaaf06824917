//! Four loaders at once: 1,000 observations of 10 products, of which none fits in one run. Nobody is
//! locked out, and history is the fold of the looks.
//!
//! Not here: the loaders of one run (`rivals`), the order of loading by one (`orders`, `rules`).

use std::collections::BTreeMap;
use std::ops::Range;

use catalog::{Change, Instant, Look, Source, Values};
use warehouse::Warehouse;

use crate::orders::Chance;
use crate::products::{both, detail, listed, listing};
use crate::store::{Arrival, Store, at, merge, wish};

const LOADERS: usize = 4;
const PRODUCTS: i64 = 10;
/// Seeds whose products share their runs: a run for each seed of its own would mostly begin and end.
const GROUP: u64 = 10;
/// Looks of a product: a hundred at different minutes.
const LOOKS: usize = 100;

/// What one run brings: a record of each product.
type Delivery = Vec<Arrival>;

/// The deliveries of each loader, of a product of a seed one record each, and all looks of each product in the order of their times.
#[derive(Default)]
struct Plan {
    loaders: Vec<Vec<Delivery>>,
    looks: BTreeMap<i64, Vec<Look>>,
}

/// Deals the looks of each product to the loaders at random: records of two looks, and in the end of
/// one, which may be *gone*.
fn deal(plan: &mut Plan, chance: &mut Chance, first: i64) {
    let each = LOOKS / LOADERS;
    let records = each.div_ceil(2);
    plan.loaders
        .resize_with(LOADERS, || (0..records).map(|_| Vec::new()).collect());
    for id in first..first + PRODUCTS {
        let mut minutes: Vec<i64> = (0..LOOKS as i64).map(|n| n * 7).collect();
        for n in (1..minutes.len()).rev() {
            minutes.swap(n, chance.next(n as u64 + 1) as usize);
        }
        let looks = plan.looks.entry(id).or_default();
        for (loader, mine) in minutes.chunks(each).enumerate() {
            for (n, minutes) in mine.chunks(2).enumerate() {
                let arrival = record(chance, id, minutes);
                looks.extend(looks_of(&arrival));
                plan.loaders[loader][n].push(arrival);
            }
        }
        looks.sort_by_key(|look| look.observed_at);
    }
}

fn record(chance: &mut Chance, id: i64, minutes: &[i64]) -> Arrival {
    let mut seen = listing(id, 100 + chance.next(3) as i64);
    seen.sales_count = chance.maybe(&[10, 11, 12]);
    seen.seller_id = chance.maybe(&[1, 2]);
    let [first, second] = minutes else {
        return match chance.next(2) {
            0 => Arrival::Gone(id, at(minutes[0])),
            _ => listed(seen, at(minutes[0])),
        };
    };
    let mut told = detail(id, 100 + chance.next(3) as i64);
    told.stock_status =
        [None, Some("available"), Some("gone")][chance.next(3) as usize].map(Into::into);
    both((seen, at(*first)), (told, at(*second)))
}

fn looks_of(arrival: &Arrival) -> Vec<Look> {
    match arrival {
        Arrival::Product(product) => product.looks().to_vec(),
        Arrival::Gone(_, at) => vec![Look {
            observed_at: *at,
            source: Source::Detail,
            gone: true,
            values: Values::default(),
        }],
    }
}

/// Makes the runs, of which each only waits to be loaded; their ids by loader.
async fn stage(store: &Store, seed: u64, loaders: Vec<Vec<Delivery>>) -> Vec<Vec<String>> {
    let mut runs = vec![Vec::new(); LOADERS];
    for (loader, deliveries) in loaders.into_iter().enumerate() {
        for (n, delivery) in deliveries.into_iter().enumerate() {
            let run = format!("{seed}-{loader}-{n}");
            store.create_run(&run).await;
            let ids: Vec<i64> = delivery.iter().map(Arrival::id).collect();
            store.plan(&run, &ids, None).await;
            store.stage_by(7, &run, delivery).await;
            store.finish_run(&run).await;
            runs[loader].push(run);
        }
    }
    runs
}

async fn load(warehouse: Warehouse, runs: Vec<String>) {
    let merge = merge();
    for run in runs {
        let wish = wish(&run, "load-products");
        let attempt = warehouse.begin_attempt(&wish, |_| false).await;
        let attempt = attempt.expect("an answer").expect("begun");
        loop {
            let batch = warehouse.load_batch(&attempt, &merge).await;
            if batch.expect("a batch, and no lock in a circle").is_none() {
                break;
            }
        }
        warehouse
            .end_attempt(&attempt, None, None)
            .await
            .expect("an end");
    }
}

/// A change as both databases tell it.
fn told(id: i64, change: &Change) -> String {
    let changed: Vec<&str> = change.changed.iter().map(|kind| kind.as_str()).collect();
    let values = &change.values;
    let number = |value: Option<i64>| value.map_or("~".into(), |value| value.to_string());
    format!(
        "{id}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        minutes(change.observed_at),
        change.kind.as_str(),
        changed.join(","),
        number(values.price),
        number(values.sales_count),
        number(values.seller_id),
        values.stock_status.as_deref().unwrap_or("~"),
        number(change.previous_price),
        number(change.price_change)
    )
}

fn minutes(instant: Instant) -> i64 {
    instant.millis_since(at(0)) / 60_000
}

async fn check(store: &Store, seed: u64, looks: &BTreeMap<i64, Vec<Look>>) {
    let minute = crate::rule::minute(store, "observed_at");
    let (mut history, mut present) = (Vec::new(), Vec::new());
    for (id, looks) in looks {
        let (known, changes) = catalog::fold(looks);
        history.extend(changes.iter().map(|change| told(*id, change)));
        let known = known.expect("it was looked at");
        let price = known.values.price.expect("a price");
        present.push(format!(
            "{id}|{price}|{}|{}",
            i64::from(known.gone),
            looks.len()
        ));
    }
    let first = looks.keys().next().expect("a product");
    let last = looks.keys().next_back().expect("a product");
    let range = format!("BETWEEN {first} AND {last}");
    let sql = format!(
        "SELECT product_id, {minute}, kind, changed, price, sales_count, seller_id, stock_status,
            previous_price, price_change FROM product_history WHERE product_id {range}
         ORDER BY product_id, observed_at"
    );
    assert_eq!(store.rows(&sql).await, history, "seeds from {seed}");
    let sql = format!(
        "SELECT id, price, CASE WHEN delisted_at IS NULL THEN 0 ELSE 1 END, looks
         FROM product_current WHERE id {range} ORDER BY id"
    );
    assert_eq!(store.rows(&sql).await, present, "seeds from {seed}");
}

async fn four_loaders(store: Store, seeds: Range<u64>) {
    let mut left = seeds.end;
    while left > seeds.start {
        let first = left.saturating_sub(GROUP).max(seeds.start);
        let mut plan = Plan::default();
        for seed in first..left {
            deal(&mut plan, &mut Chance(seed), 1 + seed as i64 * PRODUCTS);
        }
        let all: usize = plan.looks.values().map(Vec::len).sum();
        assert_eq!(all as u64, 1000 * (left - first));
        let mut runs = stage(&store, first, plan.loaders).await;
        // A product must be known before it can be found gone.
        let known = runs[0].remove(0);
        load(store.again().await, vec![known]).await;
        let mut tasks = Vec::new();
        for runs in runs {
            tasks.push(tokio::spawn(load(store.again().await, runs)));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
        check(&store, first, &plan.looks).await;
        left = first;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_loaders_of_sqlite_come_to_the_fold_of_the_looks() {
    four_loaders(Store::sqlite().await, 0..2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_loaders_of_postgres_come_to_the_fold_of_the_looks() {
    four_loaders(Store::postgres().await, 0..2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "slow: 50 seeds of 1,000 observations"]
async fn four_loaders_of_sqlite_come_to_the_fold_of_the_looks_whatever_the_seed() {
    four_loaders(Store::sqlite().await, 0..50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "slow: 50 seeds of 1,000 observations"]
async fn four_loaders_of_postgres_come_to_the_fold_of_the_looks_whatever_the_seed() {
    four_loaders(Store::postgres().await, 0..50).await;
}
