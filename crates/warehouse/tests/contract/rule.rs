//! A rule of the merge, checked in every order of loading and in every batching.
//!
//! Not here: the rules (`rules`).

use std::collections::BTreeMap;

use warehouse::Outcome;

use crate::store::{Arrival, Store, merge};

/// Records of one product, and what must follow from them whatever the order.
pub(crate) struct Rule {
    /// Made for the id of a product.
    pub(crate) records: Vec<fn(i64) -> Arrival>,
    /// Some orders of loading and what becomes of each record then.
    pub(crate) outcomes: &'static [(&'static [usize], &'static [Outcome])],
    /// `minute|source|price`, gone without a price.
    pub(crate) looks: &'static [&'static str],
    /// `minute|changed|price|sales|seller|stock|previous price|price change`.
    pub(crate) history: &'static [&'static str],
    /// `minute of the last change|of the last new detail|since when gone|price|sales|seller|its
    /// name|stock|description|name`; `?` is not compared.
    pub(crate) product: &'static str,
}

/// All orders in which a rule's records can be loaded: a product must be known before it can be found
/// gone (a 404 of one that never was is not kept).
fn orders(rule: &Rule) -> Vec<Vec<usize>> {
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in &rule.records {
        let longer = |order: &Vec<usize>| -> Vec<Vec<usize>> {
            let left = (0..rule.records.len()).filter(|n| !order.contains(n));
            left.map(|n| [&order[..], &[n]].concat()).collect()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders.retain(|order| matches!(rule.records[order[0]](1), Arrival::Product(_)));
    orders
}

/// Loads a rule's records in every order, each order into a product of its own: all of these in one
/// batch, and again each in a batch of its own.
pub(crate) async fn check(store: &Store, rule: &Rule) {
    let orders = orders(rule);
    let before: i64 = store
        .cell("SELECT COUNT(*) FROM products")
        .await
        .parse()
        .expect("a number");
    let mut first = before + 1;
    for batch in [10_000, 1] {
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); orders.len()];
        for round in 0..rule.records.len() {
            let products = (first..).zip(&orders);
            let arrivals = products.map(|(id, order)| rule.records[order[round]](id));
            let run = format!("r{first}-{round}");
            let brought = store
                .bring_by(batch, &run, arrivals.collect(), &merge())
                .await;
            for (outcomes, outcome) in outcomes.iter_mut().zip(brought) {
                outcomes.push(outcome);
            }
        }
        check_rows(store, rule, first, &orders).await;
        for (order, expected) in rule.outcomes {
            let nth = orders.iter().position(|known| known == order);
            let found = &outcomes[nth.expect("an order of this rule")];
            assert_eq!(&found[..], *expected, "{order:?}, batches of {batch}");
        }
        first += orders.len() as i64;
    }
}

async fn check_rows(store: &Store, rule: &Rule, first: i64, orders: &[Vec<usize>]) {
    let minute = |column: &str| minute(store, column);
    let seen = minute("observed_at");
    let looks = format!(
        "SELECT product_id, {seen}, CASE WHEN gone THEN 'gone' ELSE source END, price
         FROM observations ORDER BY product_id, observed_at"
    );
    let history = format!(
        "SELECT product_id, {seen}, changed, price, sales_count, seller_id, stock_status,
            previous_price, price_change FROM product_history ORDER BY product_id, observed_at"
    );
    let products = format!(
        "SELECT id, {seen}, {}, {}, price, sales_count, seller_id, seller_name, stock_status,
            description, name FROM products",
        minute("detail_observed_at"),
        minute("delisted_at")
    );
    let (looks, history) = (
        by_product(store, &looks).await,
        by_product(store, &history).await,
    );
    let products = by_product(store, &products).await;
    for (id, order) in (first..).zip(orders) {
        assert_eq!(looks[&id], rule.looks, "looks, loaded as {order:?}");
        assert_eq!(history[&id], rule.history, "history, loaded as {order:?}");
        let [found] = &products[&id][..] else {
            panic!("one row, not {:?}", products[&id]);
        };
        assert_eq!(found, rule.product, "the present, loaded as {order:?}");
    }
    let kinds = "SELECT COUNT(*) FROM product_history WHERE changed <> kind
        AND changed NOT LIKE kind || ',%'";
    assert_eq!(
        store.cell(kinds).await,
        "0",
        "the kind is the first of all that changed"
    );
}

/// A column of times in minutes after the beginning of a test's time.
pub(crate) fn minute(store: &Store, column: &str) -> String {
    if store.warehouse.is_postgres() {
        format!("CAST((EXTRACT(EPOCH FROM {column}) - 1700000000) / 60 AS bigint)")
    } else {
        format!("(unixepoch({column}) - 1700000000) / 60")
    }
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
