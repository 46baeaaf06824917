//! A run costs what changed, not what is stored: counted in rows that are read, so it does not depend on
//! time. The same day is brought to a small warehouse and to one of ten times as much.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::products::{listed, listing};
use crate::store::{Arrival, Store, at, keep_from, merge};

const SMALL: i64 = 2_000;
const LARGE: i64 = 20_000;

/// Looks of each product.
const LOOKS: i64 = 5;

/// Products of the day.
const DAY: i64 = 200;

/// The large warehouse may cost so much more, for deeper trees and pages that split elsewhere.
const MOST: f64 = 1.5;

/// Below so many it does not matter what costs how much.
const FEW: i64 = 2_000;

/// A catalogue with looks of five days, each of a closed run, and a page of each product.
async fn fill(store: &Store, products: i64) {
    let sqlite = store.folder.is_some();
    let numbers = |n: &str, upto: i64| {
        if sqlite {
            format!(
                "WITH RECURSIVE {n}(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM {n} WHERE i < {upto})"
            )
        } else {
            format!("WITH {n}(i) AS (SELECT generate_series(1::bigint, {upto}))")
        }
    };
    let time = |minutes: i64| format!("'{}'", at(minutes));
    let mut sql = format!(
        "INSERT INTO products (id, name, search_name, url, price, observed_at, created_at, updated_at,
            identity_hash, content_at)
         {} SELECT i, 'n', 'n', 'u', 100, {now}, {now}, {now}, 1, {now} FROM p;\n",
        numbers("p", products),
        now = time(0)
    );
    for look in 0..LOOKS {
        let (minutes, run) = (look * 10, format!("old{look}"));
        let now = time(minutes);
        write!(sql,
            "INSERT INTO runs (id, number, owner, state, scope, scope_key, clock_at, created_at, finished_at)
             VALUES ('{run}', {}, 'cli', 'done', '{{}}', 'all', {now}, {now}, {now});
             INSERT INTO observations (product_id, observed_at, source, gone, run_id, price, sales_count,
                derivation)
             {} SELECT i, {now}, 'listing', {}, '{run}', 100, 10, 1 FROM p;
             INSERT INTO pages (kind, subject, source, encoding, body, fetched_at, run_id)
             {} SELECT 'detail', i * {step}, 'api', 'identity', '', {now}, '{run}' FROM p;\n",
            look + 1,
            numbers("p", products),
            if sqlite { "0" } else { "FALSE" },
            numbers("p", if look < 2 { DAY } else { products }),
            step = if look < 2 { products / DAY } else { 1 },
        ).expect("a text takes all");
        // The runs that are old enough to go had as many products and batches in either warehouse.
        write!(
            sql,
            "INSERT INTO staged_products (run_id, state, products, outcome)
             {} SELECT '{run}', 'loaded', 0, 'unchanged' FROM p;
             INSERT INTO run_products (run_id, product_id, rank, detail, attempts, outcome)
             {} SELECT '{run}', i * {}, 0, 'none', 0, 'unchanged' FROM p;\n",
            numbers("p", if look < 2 { DAY } else { products } / 10),
            numbers("p", DAY),
            products / DAY
        )
        .expect("a text takes all");
        if look >= 2 {
            writeln!(
                sql,
                "UPDATE runs SET pages_cleaned = {yes} WHERE id = '{run}';",
                yes = if sqlite { "1" } else { "TRUE" }
            )
            .expect("a text takes all");
        }
    }
    write!(
        sql,
        "INSERT INTO product_history (product_id, observed_at, kind, changed, price, sales_count)
         {} SELECT i, {}, 'first', 'first', 100, 10 FROM p;\n",
        numbers("p", products),
        time(0)
    )
    .expect("a text takes all");
    store.seed(&sql).await;
}

/// A day of two hundred products, one in ten of them changed, and what is cleaned up after it.
async fn day(store: &Store, products: i64) {
    let step = products / DAY;
    let arrivals: Vec<Arrival> = (1..=DAY)
        .map(|n| {
            listed(
                listing(n * step, if n % 10 == 0 { 90 } else { 100 }),
                at(1_000),
            )
        })
        .collect();
    store.bring("day", arrivals, &merge()).await;
    let counts = store.warehouse.identities("day").await.expect("counts");
    assert_eq!(counts.products.new, 0, "{counts:?}");
    store.warehouse.most_changed().await.expect("an example");
    store.warehouse.has_products().await.expect("an answer");
    store
        .warehouse
        .product_history(step, 100)
        .await
        .expect("rows");
    let mut keep = keep_from(at(25));
    (keep.pages, keep.ledger) = (at(15), at(15));
    let removed = store.clean("cleaning", &keep).await;
    assert!(removed > DAY as u64, "{removed}");
}

/// What statements cost, by their text.
type Costs = BTreeMap<String, (i64, i64)>;

/// Adds up what `warehouse::sql` traces.
#[derive(Clone, Default)]
struct Meter(Arc<Mutex<Costs>>);

#[derive(Default)]
struct Told {
    text: String,
    steps: i64,
    scanned: i64,
}

impl Visit for Told {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_i64(&mut self, field: &Field, value: i64) {
        match field.name() {
            "steps" => self.steps = value,
            "scanned" => self.scanned = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "text" {
            self.text = value.into();
        }
    }
}

impl Subscriber for Meter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "warehouse::sql"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        let mut costs = self.0.lock().expect("one thread");
        let cost = costs.entry(told.text).or_default();
        (cost.0, cost.1) = (cost.0 + told.steps, cost.1 + told.scanned);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn same(what: &str, small: i64, large: i64) {
    let most = (small as f64 * MOST) as i64 + FEW;
    assert!(
        large <= most,
        "{what}: {small} in the small warehouse, {large} in the large one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_costs_sqlite_the_same_however_much_is_stored() {
    let mut all = Vec::new();
    for products in [SMALL, LARGE] {
        let store = Store::sqlite().await;
        fill(&store, products).await;
        let meter = Meter::default();
        let guard = tracing::subscriber::set_default(meter.clone());
        day(&store, products).await;
        drop(guard);
        let costs = std::mem::take(&mut *meter.0.lock().expect("one thread"));
        assert!(costs.len() > 20, "{costs:#?}");
        all.push(costs);
    }
    for (text, (steps, scanned)) in &all[1] {
        let small = all[0].get(text).copied().unwrap_or_default();
        same(&format!("steps of {text}"), small.0, *steps);
        same(
            &format!("rows without an index of {text}"),
            small.1,
            *scanned,
        );
    }
}

/// Rows and index entries that were read, by table.
async fn read(store: &Store) -> BTreeMap<String, i64> {
    let sql = "SELECT t.relname, t.seq_tup_read + COALESCE((SELECT SUM(i.idx_tup_read)
            FROM pg_stat_user_indexes i WHERE i.relid = t.relid), 0) FROM pg_stat_user_tables t";
    let rows = store.rows(sql).await;
    let read = rows.iter().map(|row| {
        let (table, count) = row.split_once('|').expect("two cells");
        (table.to_owned(), count.parse().expect("a number"))
    });
    read.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_costs_postgres_the_same_however_much_is_stored() {
    let mut all = Vec::new();
    for products in [SMALL, LARGE] {
        let mut store = Store::postgres().await;
        fill(&store, products).await;
        // Counts arrive when the connections that made them have gone.
        let quiet = async |store: &mut Store| {
            store.warehouse = store.again().await;
            testkit::wait_until("the connections have gone", Duration::from_secs(20), || {
                tokio::task::block_in_place(|| {
                    tokio::runtime::Handle::current().block_on(async {
                        store
                            .cell("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()")
                            .await
                            == "1"
                    })
                })
            });
        };
        quiet(&mut store).await;
        let before = read(&store).await;
        day(&store, products).await;
        quiet(&mut store).await;
        let mut after = read(&store).await;
        for (table, count) in &mut after {
            *count -= before.get(table).copied().unwrap_or(0);
        }
        assert!(after["observations"] > DAY, "{after:?}");
        all.push(after);
    }
    for (table, large) in &all[1] {
        same(table, all[0][table], *large);
    }
}
