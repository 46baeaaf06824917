//! *Derivation*: pages derived anew by higher rules come to the digest of a clean load, whatever the
//! lower rules had made of them, in whatever order; with the same number nothing changes.

use std::collections::{BTreeMap, HashMap};

use catalog::{Detail, Instant, Listing, Product, Rejection, RejectionReason};
use warehouse::{Outcome, RejectionToStore, Transformed, TransformedBatch};

use crate::products;
use crate::store::{Store, at, merge};

on_both!(
    an_older_page_derived_anew_leaves_the_newest_name,
    a_record_that_higher_rules_refuse_is_taken_back,
    what_is_corrected_is_counted_once,
    what_only_a_lost_listing_told_of_the_seller_stays,
    what_a_lost_listing_told_stays_where_its_detail_is_kept,
);

/// What rules make of the pages of a run: a record, or a refusal.
type Made = BTreeMap<i64, Option<Product>>;

const STEPS: [&str; 2] = ["transform-products", "load-products"];

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next(n) == 0
    }

    fn maybe<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let n = self.next(of.len() as u64 + 1) as usize;
        of.get(n).cloned()
    }

    fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for n in (1..count).rev() {
            order.swap(n, self.next(n as u64 + 1) as usize);
        }
        order
    }
}

/// The pages of a product in a run.
#[derive(Clone)]
struct Pages {
    listing: (Listing, Instant),
    detail: Option<(Detail, Instant)>,
}

/// Pages that say all sorts of things, a few NULLs among them.
fn pages(chance: &mut Chance, run: usize, id: i64) -> Pages {
    let price = 100 * (1 + chance.next(3) as i64);
    let mut listing = products::listing(id, price);
    listing.name = format!("Tên {}", chance.next(2));
    listing.brand = chance.maybe(&["Một".into(), "Hai".into()]);
    listing.seller_id = chance.maybe(&[1, 2]);
    listing.seller_sku = chance.maybe(&["a".into(), "b".into()]);
    listing.sales_count = chance.maybe(&[10, 20, 30]);
    let mut detail = products::detail(id, price);
    detail.name = format!("Tên {}", chance.next(2));
    detail.seller_id = listing.seller_id;
    detail.seller_name = listing.seller_id.map(|id| format!("Người bán {id}"));
    detail.brand = chance.maybe(&["Một".into(), "Hai".into()]);
    detail.description = chance.maybe(&["Mô tả".into(), "Mô tả khác".into()]);
    detail.sku = chance.maybe(&["M1".into(), "M2".into()]);
    let minute = run as i64 * 1000 + id;
    let apart = if chance.one_in(2) { 50 } else { -50 };
    Pages {
        listing: (listing, at(minute)),
        detail: chance.one_in(2).then(|| (detail, at(minute + apart))),
    }
}

/// What rules with a fault read of them.
fn misread(chance: &mut Chance, pages: &Pages) -> Pages {
    let mut wrong = pages.clone();
    let listing = &mut wrong.listing.0;
    match chance.next(6) {
        0 => listing.name = "Tên sai".into(),
        1 => listing.price = listing.price.map(|price| price * 10),
        2 => listing.brand = chance.maybe(&["Sai".into()]),
        3 => listing.seller_id = chance.maybe(&[2, 3]),
        _ => {}
    }
    if let Some((detail, _)) = &mut wrong.detail {
        match chance.next(7) {
            0 => detail.name = "Tên sai".into(),
            1 => detail.price = detail.price.map(|price| price * 10),
            2 => detail.description = chance.maybe(&["Sai".into()]),
            3 => detail.stock_status = None,
            4 => detail.seller_name = chance.maybe(&["Ai đó".into()]),
            5 => detail.sku = chance.maybe(&["M9".into()]),
            _ => {}
        }
    }
    wrong
}

/// The record that rules make, which now and then refuse all or the detail alone.
fn made(chance: &mut Chance, pages: &Pages) -> Option<Product> {
    if chance.one_in(8) {
        return None;
    }
    let detail = pages.detail.clone().filter(|_| !chance.one_in(8));
    Some(products::product(Some(pages.listing.clone()), detail))
}

fn stand(run: usize) -> String {
    format!("r{run}")
}

/// Stages and loads what rules of a number made; the true records are at hand for the other runs.
async fn derive(
    store: &Store,
    run: &str,
    derivation: i64,
    records: &Made,
    truth: &HashMap<(String, i64), Product>,
) -> Vec<(i64, Outcome)> {
    let attempt = store.attempt(run, STEPS[0]).await;
    while let Some(claimed) = store
        .warehouse
        .next_to_transform(&attempt, 3)
        .await
        .expect("a claim")
    {
        let made: Vec<Transformed> = claimed
            .products
            .iter()
            .map(|claimed| transformed(claimed.product_id, records[&claimed.product_id].as_ref()))
            .collect();
        let made = TransformedBatch::derived(claimed.batch, derivation, &made);
        store
            .warehouse
            .commit_batch(&attempt, made.expect("a batch"), &[], at(0))
            .await
            .expect("a staged batch");
    }
    store.end(&attempt).await;
    let attempt = store.attempt(run, STEPS[1]).await;
    let of = |product: warehouse::ToTransform| {
        let key = (product.run, product.product_id);
        truth.get(&key).cloned()
    };
    let mut outcomes = Vec::new();
    while let Some(batch) = store
        .warehouse
        .load_deriving(&attempt, &merge(), &of)
        .await
        .expect("a batch")
    {
        outcomes.extend(batch);
    }
    store.end(&attempt).await;
    store.finish_run(run).await;
    outcomes.sort_by_key(|(id, _)| *id);
    outcomes
}

fn transformed(product_id: i64, made: Option<&Product>) -> Transformed {
    match made {
        Some(product) => Transformed::Staged {
            product: Box::new(product.clone()),
            listing_page_id: None,
            detail_page_id: None,
            detail_rejected: None,
        },
        None => Transformed::Rejected {
            product_id,
            rejection: RejectionToStore {
                product_id: Some(product_id),
                category_id: None,
                page_id: None,
                rejection: Rejection::new(RejectionReason::Nothing, None, "a test"),
            },
        },
    }
}

async fn begin(store: &Store, run: &str, made: &Made) {
    store.create_run(run).await;
    let ids: Vec<i64> = made.keys().copied().collect();
    store.plan(run, &ids, None).await;
}

async fn again(store: &Store, run: &str) {
    let redo = store.warehouse.redo(run, STEPS[0], &STEPS).await;
    redo.expect("opened again");
}

async fn digest(store: &Store) -> String {
    store.warehouse.digest().await.expect("a digest")
}

fn truth_of(runs: &[Made]) -> HashMap<(String, i64), Product> {
    let mut truth = HashMap::new();
    for (run, made) in runs.iter().enumerate() {
        let records = made
            .iter()
            .filter_map(|(id, made)| Some((*id, made.clone()?)));
        truth.extend(records.map(|(id, product)| ((stand(run), id), product)));
    }
    truth
}

/// Everything that can be asked of the tables that a clean load fills, in rows that tell what differs.
async fn tables(store: &Store) -> Vec<String> {
    let mut rows = store
        .rows("SELECT product_id, observed_at, source, price, seller_id FROM observations ORDER BY 1, 2")
        .await;
    rows.extend(
        store
            .rows(
                "SELECT id, observed_at, detail_observed_at, content_at, name, brand, seller_sku,
                    seller_name, sku, description, identity_hash, details_hash FROM products ORDER BY 1",
            )
            .await,
    );
    rows
}

const RUNS: usize = 4;

async fn any_order_comes_to_a_clean_load(store: &Store, clean: &Store, seed: u64) {
    let mut chance = Chance(seed);
    let (mut right, mut wrong): (Vec<Made>, Vec<Made>) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let (mut good, mut bad) = (Made::new(), Made::new());
        for id in 1..=12 {
            let pages = pages(&mut chance, run, id);
            good.insert(id, made(&mut chance, &pages));
            let misread = misread(&mut chance, &pages);
            bad.insert(id, made(&mut chance, &misread));
        }
        right.push(good);
        wrong.push(bad);
    }
    let truth = truth_of(&right);
    for (run, made) in right.iter().enumerate() {
        begin(clean, &stand(run), made).await;
        derive(clean, &stand(run), 2, made, &truth).await;
    }
    for run in chance.shuffled(RUNS) {
        begin(store, &stand(run), &wrong[run]).await;
        derive(store, &stand(run), 1, &wrong[run], &truth).await;
    }
    for run in chance.shuffled(RUNS) {
        again(store, &stand(run)).await;
        derive(store, &stand(run), 2, &right[run], &truth).await;
    }
    let expected = digest(clean).await;
    if digest(store).await != expected {
        assert_eq!(tables(store).await, tables(clean).await, "seed {seed}");
        panic!("the digests differ, seed {seed}");
    }
    // The same number changes nothing, and a lower one nothing either, whatever it reads.
    let run = chance.next(RUNS as u64) as usize;
    let lower = same_keys(&wrong[run], &right[run]);
    for (derivation, made) in [(2, &right[run]), (1, &lower)] {
        again(store, &stand(run)).await;
        derive(store, &stand(run), derivation, made, &truth).await;
        assert_eq!(
            digest(store).await,
            expected,
            "seed {seed}, rules {derivation}"
        );
    }
}

/// Records with no other keys than those of others; the rest is refused.
fn same_keys(made: &Made, of: &Made) -> Made {
    let times = |product: &Product| -> Vec<Instant> {
        let looks = product.looks().iter();
        looks.map(|look| look.observed_at).collect()
    };
    let fits = |id: &i64, made: &Product| {
        let other = of[id].as_ref();
        other.is_some_and(|other| times(other) == times(made))
    };
    made.iter()
        .map(|(id, made)| (*id, made.clone().filter(|made| fits(id, made))))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_of_deriving_anew_in_sqlite_comes_to_a_clean_load() {
    for seed in 0..6 {
        let (store, clean) = (Store::sqlite().await, Store::sqlite().await);
        any_order_comes_to_a_clean_load(&store, &clean, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_of_deriving_anew_in_postgres_comes_to_a_clean_load() {
    for seed in 100..102 {
        let (store, clean) = (Store::postgres().await, Store::postgres().await);
        any_order_comes_to_a_clean_load(&store, &clean, seed).await;
    }
}

fn named(name: &str, price: i64, minute: i64) -> Made {
    let listing = Listing {
        name: name.into(),
        ..products::listing(1, price)
    };
    let product = products::product(Some((listing, at(minute))), None);
    Made::from([(1, Some(product))])
}

/// Two runs with a fault in the name and the price.
async fn two_wrong_runs(store: &Store) -> HashMap<(String, i64), Product> {
    let truth = truth_of(&[named("Một", 100, 1), named("Hai", 100, 2)]);
    for (run, minute) in [("r0", 1), ("r1", 2)] {
        let wrong = named("Sai", 100 * minute, minute);
        begin(store, run, &wrong).await;
        derive(store, run, 1, &wrong, &truth).await;
    }
    truth
}

async fn an_older_page_derived_anew_leaves_the_newest_name(store: Store) {
    two_wrong_runs(&store).await;
    let nothing = HashMap::new();
    again(&store, "r0").await;
    derive(&store, "r0", 2, &named("Một", 100, 1), &nothing).await;
    let name = "SELECT name FROM products";
    assert_eq!(
        store.cell(name).await,
        "Sai",
        "the newest page was not derived anew"
    );
    again(&store, "r1").await;
    derive(&store, "r1", 2, &named("Hai", 100, 2), &nothing).await;
    assert_eq!(store.cell(name).await, "Hai");
    let changes = "SELECT COUNT(*) FROM product_history";
    assert_eq!(
        store.cell(changes).await,
        "1",
        "never a price change that was not"
    );
}

async fn a_record_that_higher_rules_refuse_is_taken_back(store: Store) {
    let truth = two_wrong_runs(&store).await;
    let refused = Made::from([(1, None)]);
    again(&store, "r1").await;
    let outcomes = derive(&store, "r1", 2, &refused, &truth).await;
    assert_eq!(outcomes, [(1, Outcome::Rejected)]);
    let seen = "SELECT name, price FROM products";
    assert_eq!(
        store.rows(seen).await,
        ["Một|100"],
        "told by the run before"
    );
    again(&store, "r0").await;
    derive(&store, "r0", 2, &refused, &truth).await;
    assert_eq!(store.warehouse.totals().await.expect("totals"), (0, 0, 0));
    let counts = store.warehouse.identities("r0").await.expect("counts");
    assert_eq!(counts.products.rejected, 1);
    let corrected = store.warehouse.corrected("r0").await.expect("counts");
    assert_eq!(corrected.withdrawn, 1);
}

async fn what_is_corrected_is_counted_once(store: Store) {
    let truth = two_wrong_runs(&store).await;
    again(&store, "r1").await;
    derive(&store, "r1", 2, &named("Hai", 100, 2), &truth).await;
    let corrected = store.warehouse.corrected("r1").await.expect("counts");
    let columns: Vec<(&str, i64)> = corrected
        .columns
        .iter()
        .map(|(column, rows)| (column.as_str(), *rows))
        .collect();
    assert_eq!(columns, [("name", 1), ("price", 1)]);
    assert_eq!(corrected.withdrawn, 0);
    again(&store, "r1").await;
    let outcomes = derive(&store, "r1", 2, &named("Hai", 100, 2), &truth).await;
    assert_eq!(outcomes, [(1, Outcome::Unchanged)]);
    let corrected = store.warehouse.corrected("r1").await.expect("counts");
    assert!(corrected.columns.is_empty(), "{corrected:?}");
}

fn one(product: Product) -> Made {
    Made::from([(1, Some(product))])
}

async fn what_only_a_lost_listing_told_of_the_seller_stays(store: Store) {
    let listing = Listing {
        seller_id: Some(1),
        seller_sku: Some("A".into()),
        seller_is_official: Some(true),
        ..products::listing(1, 100)
    };
    let listed = one(products::product(Some((listing, at(1))), None));
    let of = |seller_id, minute| {
        let detail = Detail {
            seller_id: Some(seller_id),
            ..products::detail(1, 100)
        };
        one(products::product(None, Some((detail, at(minute)))))
    };
    let (same, other) = (of(1, 2), of(2, 3));
    let nothing = HashMap::new();
    for (run, made) in [("r0", &listed), ("r1", &same)] {
        begin(&store, run, made).await;
        derive(&store, run, 1, made, &nothing).await;
    }
    let seller = "SELECT seller_sku, seller_is_official FROM products";
    let before = store.rows(seller).await;
    assert!(before[0].starts_with("A|"), "{before:?}");
    again(&store, "r1").await;
    derive(&store, "r1", 2, &same, &nothing).await;
    assert_eq!(store.rows(seller).await, before);
    begin(&store, "r2", &other).await;
    derive(&store, "r2", 1, &other, &nothing).await;
    let none = store.rows(seller).await;
    again(&store, "r2").await;
    derive(&store, "r2", 2, &other, &nothing).await;
    assert_eq!(
        store.rows(seller).await,
        none,
        "never beside another seller"
    );
    assert_ne!(none, before);
}

async fn what_a_lost_listing_told_stays_where_its_detail_is_kept(store: Store) {
    let listing = Listing {
        brand: Some("Hiệu".into()),
        category_path: Some("1/2/8".into()),
        ..products::listing(1, 100)
    };
    let of = |minute| (products::detail(1, 100), at(minute));
    let whole = one(products::product(Some((listing, at(1))), Some(of(2))));
    let checked = one(products::product(None, Some(of(3))));
    // Of the first run no listing is kept any more.
    store.create_run("r0").await;
    store.plan("r0", &[1], Some(7)).await;
    let halved = products::product(None, Some(of(2)));
    let truth = HashMap::from([(("r0".to_owned(), 1), halved)]);
    derive(&store, "r0", 1, &whole, &truth).await;
    begin(&store, "r1", &checked).await;
    derive(&store, "r1", 1, &checked, &truth).await;
    let told = "SELECT brand, category_path, category_id FROM products";
    let before = store.rows(told).await;
    assert_eq!(before, ["Hiệu|1/2/8|8"]);
    again(&store, "r1").await;
    derive(&store, "r1", 2, &checked, &truth).await;
    assert_eq!(store.rows(told).await, before);
}
