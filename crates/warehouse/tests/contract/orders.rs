//! *The order of loading cannot matter*: random looks, loaded in many orders, each look in a load of
//! its own, come to what the plain model says.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Detail, Instant, Listing, Product, Seen, Source};

use crate::model::{
    Columns, Kind, ModelLook, ORIGINAL, PERCENT, PRICE, QUANTITY, RATING, REVIEWS, SALES, SELLER,
    SPID, STOCK, tell, word,
};
use crate::store::{Arrival, Store, at, keep_from, merge};

/// Looks of a product at most; all their orders are `ORDERS`, or as many random ones.
const LOOKS: usize = 6;
const ORDERS: usize = 24;

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    pub(crate) fn maybe(&mut self, of: &[i64]) -> Option<i64> {
        let n = self.next(of.len() as u64 + 1) as usize;
        of.get(n).copied()
    }
}

/// One to six looks at different times; the earliest loaded may be any but *gone* alone.
fn looks(chance: &mut Chance) -> Vec<ModelLook> {
    let count = 1 + chance.next(LOOKS as u64) as usize;
    let mut times: BTreeSet<u64> = BTreeSet::new();
    while times.len() < count {
        // Minutes, so that some are closer than the hour that a velocity needs.
        times.insert(chance.next(400));
    }
    let mut looks: Vec<ModelLook> = times
        .into_iter()
        .map(|minutes| {
            let kind = match chance.next(6) {
                0 => Kind::Gone,
                1 | 2 => Kind::Detail,
                _ => Kind::Listing,
            };
            ModelLook {
                at: at(minutes as i64),
                kind,
                said: said(chance, kind),
                name: chance.next(2),
            }
        })
        .collect();
    if looks.iter().all(|look| look.kind == Kind::Gone) {
        looks[0].kind = Kind::Listing;
        looks[0].said = said(chance, Kind::Listing);
    }
    looks
}

fn said(chance: &mut Chance, kind: Kind) -> Columns {
    let mut said: Columns = [None; 10];
    let price = [0, 100, 150, 1_000_000_000_000][chance.next(4) as usize];
    said[PRICE] = Some(price);
    said[ORIGINAL] = chance
        .maybe(&[price, 200, 1_000_000_000_000])
        .filter(|o| *o >= price);
    said[PERCENT] = chance.maybe(&[0, 30]);
    if said[ORIGINAL].is_some() && said[PERCENT].is_none() {
        // The catalogue fills it in.
        said[PERCENT] = said[ORIGINAL]
            .filter(|original| *original > 0)
            .map(|original| {
                ((original - price) as f64 * 100.0 / original as f64 + 0.5).floor() as i64
            });
    }
    said[SALES] = chance.maybe(&[5, 9, 9, 70]);
    said[REVIEWS] = chance.maybe(&[0, 3, 4]);
    said[RATING] = chance.maybe(&[45, 50]).filter(|_| said[REVIEWS] != Some(0));
    said[SELLER] = chance.maybe(&[1, 2]);
    said[SPID] = chance.maybe(&[11, 12]);
    if kind == Kind::Detail {
        said[SELLER] = Some(1 + chance.next(2) as i64);
        said[STOCK] = chance.maybe(&[1, 2]);
        said[QUANTITY] = chance.maybe(&[0, 1000]);
    }
    said
}

/// The record that a page with this look becomes. Nothing but values, name and seller differs.
fn arrival(id: i64, look: &ModelLook) -> Arrival {
    let said = &look.said;
    let rating_average = said[RATING].map(|tenths| tenths as f64 / 10.0);
    let (name, url) = (look.name.to_string(), format!("https://tiki.vn/p{id}.html"));
    let listing = || Listing {
        product_id: id,
        name: name.clone(),
        url: url.clone(),
        price: said[PRICE],
        original_price: said[ORIGINAL],
        discount_percent: said[PERCENT],
        sales_count: said[SALES],
        rating_average,
        review_count: said[REVIEWS],
        seller_id: said[SELLER],
        spid: said[SPID],
        ..Listing::default()
    };
    let detail = || Detail {
        id,
        name: name.clone(),
        url: url.clone(),
        price: said[PRICE],
        original_price: said[ORIGINAL],
        discount_percent: said[PERCENT],
        sales_count: said[SALES],
        rating_average,
        review_count: said[REVIEWS],
        seller_id: said[SELLER],
        seller_name: said[SELLER].map(|seller| format!("Người bán {seller}")),
        spid: said[SPID],
        stock_status: said[STOCK].map(word),
        stock_quantity: said[QUANTITY],
        description: Some("Mô tả".into()),
        ..Detail::default()
    };
    let (listing, detail) = match look.kind {
        Kind::Gone => return Arrival::Gone(id, look.at),
        Kind::Listing => (Some(listing()), None),
        Kind::Detail => (None, Some(detail())),
    };
    let (at, source) = (look.at, Source::Listing);
    let listing = listing.map(|value| Seen { value, at, source });
    let source = Source::Detail;
    let detail = detail.map(|value| Seen { value, at, source });
    let product = Product::new(listing, detail, Some(7), |_| false).expect("a believed record");
    Arrival::Product(Box::new(product))
}

/// An order of loading; a product must be known before it can be found gone.
fn shuffled(chance: &mut Chance, looks: &[ModelLook], nth: usize) -> Vec<ModelLook> {
    let mut order: Vec<ModelLook> = looks.to_vec();
    match nth {
        0 => {}
        1 => order.reverse(),
        _ => order = mixed(chance, looks),
    }
    let known = order.iter().position(|look| look.kind != Kind::Gone);
    let known = order.remove(known.unwrap_or(0));
    order.insert(0, known);
    order
}

fn mixed(chance: &mut Chance, looks: &[ModelLook]) -> Vec<ModelLook> {
    let mut order = looks.to_vec();
    for n in (1..order.len()).rev() {
        order.swap(n, chance.next(n as u64 + 1) as usize);
    }
    order
}

/// The answer of a question as rows by product.
async fn by_product(store: &Store, sql: &str) -> BTreeMap<i64, Vec<String>> {
    let mut rows: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for row in store.rows(sql).await {
        let (id, rest) = row.split_once('|').expect("an id before the rest");
        rows.entry(id.parse().expect("an id"))
            .or_default()
            .push(rest.into());
    }
    rows
}

/// A column of times as both databases print it.
fn time(store: &Store, column: &str) -> String {
    if store.warehouse.is_postgres() {
        let form = r#"YYYY-MM-DD"T"HH24:MI:SS.MS"Z""#;
        format!("to_char({column} AT TIME ZONE 'UTC', '{form}')")
    } else {
        column.into()
    }
}

/// Compares all with the model, of the looks only those from an instant on.
async fn check(store: &Store, sets: &[Vec<ModelLook>], order: usize, from: Instant) {
    let values = "price, original_price, discount_percent, sales_count, rating_average,
        review_count, seller_id, spid, stock_status";
    let observed = time(store, "observed_at");
    let gone = "CASE WHEN gone THEN 'true' ELSE 'false' END";
    let looks = format!(
        "SELECT product_id, {observed}, source, {gone}, {values}, stock_quantity FROM observations
         ORDER BY product_id, observed_at"
    );
    let history = format!(
        "SELECT product_id, {observed}, kind, changed, {values}, previous_price, price_change
         FROM product_history ORDER BY product_id, observed_at"
    );
    let products = format!(
        "SELECT id, {observed}, {}, {}, {values}, stock_quantity, name, seller_name FROM products",
        time(store, "detail_observed_at"),
        time(store, "delisted_at")
    );
    let velocities = "SELECT product_id, sales_velocity FROM product_history
        ORDER BY product_id, observed_at";
    let velocity_now = "SELECT id, sales_velocity FROM products";
    let (looks, history) = (
        by_product(store, &looks).await,
        by_product(store, &history).await,
    );
    let products = by_product(store, &products).await;
    let velocities = by_product(store, velocities).await;
    let velocity_now = by_product(store, velocity_now).await;
    for (id, set) in (1_i64..).zip(sets) {
        let told = tell(set);
        let context = format!("product {id}, order {order}: {set:#?}");
        let none = Vec::new();
        assert_eq!(
            since(looks.get(&id).unwrap_or(&none), from),
            since(&told.observations, from),
            "{context}"
        );
        assert_eq!(history[&id], told.history, "{context}");
        assert_eq!(products[&id], [told.product], "{context}");
        for (seen, expected) in velocities[&id].iter().zip(&told.velocities) {
            assert_near(seen, *expected, &context);
        }
        let last = told.velocities.last().copied().flatten();
        assert_near(&velocity_now[&id][0], last, &context);
    }
}

/// Rows that begin with a time, from an instant on.
fn since(rows: &[String], from: Instant) -> Vec<&String> {
    let from = from.to_string();
    rows.iter().filter(|row| **row >= from).collect()
}

/// The two divide in another order, so the last of two decimals may differ.
fn assert_near(seen: &str, expected: Option<f64>, context: &str) {
    let seen: Option<f64> = seen.parse().ok();
    let near = match (seen, expected) {
        (Some(a), Some(b)) => (a - b).abs() < 0.011,
        (a, b) => a.is_none() && b.is_none(),
    };
    assert!(near, "velocity {seen:?}, not {expected:?}: {context}");
}

/// Loads the sets in one of the orders, the nth look of every product in the nth load.
async fn load(store: &Store, sets: &[Vec<ModelLook>], order: usize, seed: u64) {
    let mut chance = Chance(seed ^ (order as u64) << 32);
    let orders: Vec<Vec<ModelLook>> = sets
        .iter()
        .map(|set| shuffled(&mut chance, set, order))
        .collect();
    for round in 0..LOOKS {
        let arrivals: Vec<Arrival> = (1_i64..)
            .zip(&orders)
            .filter_map(|(id, order)| Some(arrival(id, order.get(round)?)))
            .collect();
        store.bring(&format!("r{round}"), arrivals, &merge()).await;
    }
}

async fn any_order_comes_to_the_model(mut stores: Vec<Store>, products: usize, seed: u64) {
    let mut chance = Chance(seed);
    let sets: Vec<Vec<ModelLook>> = (0..products).map(|_| looks(&mut chance)).collect();
    let mut digests = Vec::new();
    for (order, store) in stores.drain(..).enumerate() {
        load(&store, &sets, order, seed).await;
        check(&store, &sets, order, at(0)).await;
        digests.push(store.warehouse.digest().await.expect("a digest"));
    }
    let first = &digests[0];
    assert!(digests.iter().all(|digest| digest == first), "{digests:?}");
}

/// Looks before an instant, or known ones, come first, in time order; then they are cleaned up; then the
/// rest come in any order.
async fn cleaned_looks_are_not_missed(store: Store) {
    const PRODUCTS: usize = 150;
    let (horizon, mut chance) = (at(200), Chance(20_261_129));
    let sets: Vec<Vec<ModelLook>> = (0..PRODUCTS).map(|_| looks(&mut chance)).collect();
    let parts: Vec<(Vec<ModelLook>, Vec<ModelLook>)> = sets
        .iter()
        .map(|set| {
            let order = shuffled(&mut chance, set, 0);
            let (mut early, late): (Vec<_>, Vec<_>) = order[1..]
                .iter()
                .cloned()
                .partition(|look| look.at < horizon);
            early.insert(0, order[0].clone());
            let late = if late.is_empty() {
                late
            } else {
                mixed(&mut chance, &late)
            };
            (early, late)
        })
        .collect();
    for (name, late) in [("early", false), ("late", true)] {
        for round in 0..LOOKS {
            let arrivals: Vec<Arrival> = (1_i64..)
                .zip(&parts)
                .filter_map(|(id, (early, rest))| {
                    let part = if late { rest } else { early };
                    Some(arrival(id, part.get(round)?))
                })
                .collect();
            store
                .bring(&format!("{name}{round}"), arrivals, &merge())
                .await;
        }
        if !late {
            let removed = store.clean("cleaning", &keep_from(horizon)).await;
            assert!(removed > PRODUCTS as u64, "{removed}");
        }
    }
    check(&store, &sets, 0, horizon).await;
}

on_both!(cleaned_looks_are_not_missed);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_of_loading_into_sqlite_comes_to_the_model() {
    let mut stores = Vec::new();
    for _ in 0..ORDERS {
        stores.push(Store::sqlite().await);
    }
    any_order_comes_to_the_model(stores, 200, 20_261_124).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_of_loading_into_postgres_comes_to_the_model() {
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(Store::postgres().await);
    }
    any_order_comes_to_the_model(stores, 150, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_have_the_same_digest() {
    let mut chance = Chance(3);
    let sets: Vec<Vec<ModelLook>> = (0..60).map(|_| looks(&mut chance)).collect();
    let mut digests = Vec::new();
    for store in [Store::sqlite().await, Store::postgres().await] {
        load(&store, &sets, 2, 3).await;
        digests.push((
            store.warehouse.digest().await.expect("a digest"),
            store.warehouse.content_digest().await.expect("a digest"),
        ));
    }
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0].0, digests[0].1);
}
