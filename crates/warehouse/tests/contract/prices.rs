//! No price overflows: neither those that the catalogue believes nor whatever stands in a row.

use catalog::{Listing, PRICE_MAX};

use crate::orders::Chance;
use crate::products::{listed, listing};
use crate::store::{Arrival, Store, at, merge};

on_both!(
    what_is_computed_of_any_price_is_exact_or_at_its_limit,
    a_row_with_any_number_is_merged,
);

const PRICES: [i64; 6] = [0, 1, 999, 499_999, PRICE_MAX - 1, PRICE_MAX];
const COUNTS: [i64; 5] = [0, 1, 9_223_372, i64::MAX - 1, i64::MAX];

/// Every price with every original price and every count of sales, each a product that then comes to
/// each other price.
async fn what_is_computed_of_any_price_is_exact_or_at_its_limit(store: Store) {
    let mut goods: Vec<(i64, i64, i64)> = Vec::new();
    for price in PRICES {
        for original in PRICES {
            goods.extend(COUNTS.map(|sales| (price, original, sales)));
        }
    }
    let mut chance = Chance(11);
    // Another price before, at random and of the same products, so that differences are told.
    for (run, minute) in [("r1", 1), ("r2", 100), ("r0", 50)] {
        let arrivals = (1_i64..).zip(&goods).map(|(id, (price, original, sales))| {
            let now = minute == 100;
            let mut value: Listing = listing(id, *price);
            value.sales_count = Some(*sales);
            if !now {
                value.price = Some(PRICES[chance.next(6) as usize]);
                value.sales_count = Some(COUNTS[chance.next(5) as usize]);
            }
            // As the catalogue reads them: no original below the price, no rating without reviews.
            value.original_price = Some(*original).filter(|_| Some(*original) >= value.price);
            value.review_count = value.sales_count;
            if value.review_count == Some(0) {
                value.rating_average = None;
            }
            listed(value, at(minute))
        });
        store.bring(run, arrivals.collect(), &merge()).await;
    }
    let sql = "SELECT id, price, original_price, estimated_revenue, discount_amount,
        discount_percent FROM products ORDER BY id";
    let expected: Vec<String> = (1_i64..)
        .zip(&goods)
        .map(|(id, (price, original, sales))| {
            let exact = i128::from(*price) * i128::from(*sales);
            let revenue = i64::try_from(exact).unwrap_or(i64::MAX);
            let print = |value: Option<i64>| value.map_or("~".into(), |value| value.to_string());
            let revenue = print((exact > 0).then_some(revenue));
            let original = (original >= price).then_some(*original);
            let off = original.map(|original| original - price);
            let percent = original.filter(|original| *original > 0).map(|original| {
                let (price, original) = (i128::from(*price), i128::from(original));
                i64::try_from(((original - price) * 200 + original) / (2 * original))
                    .expect("small")
            });
            let (original, percent) = (print(original), print(percent));
            let off = print(off.filter(|off| *off > 0));
            format!("{id}|{price}|{original}|{revenue}|{off}|{percent}")
        })
        .collect();
    let rows = store.rows(sql).await;
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    let wrong = "SELECT COUNT(*) FROM product_history WHERE price_change <> price - previous_price
        OR (price <> previous_price AND price_change IS NULL)";
    assert_eq!(store.cell(wrong).await, "0");
}

/// Rows as no version of this program wrote them, at the limits of their type.
async fn a_row_with_any_number_is_merged(store: Store) {
    let limits = [i64::MIN, i64::MIN + 1, -1, i64::MAX];
    let ids = 1..=limits.len() as i64;
    let bring = |minute: i64, price: i64| -> Vec<Arrival> {
        ids.clone()
            .map(|id| listed(listing(id, price), at(minute)))
            .collect()
    };
    store.bring("r1", bring(100, 5), &merge()).await;
    for (id, limit) in ids.clone().zip(limits) {
        let columns = "price = @, original_price = @, sales_count = @, review_count = @,
            discount_percent = @";
        let set = columns.replace('@', &limit.to_string());
        for (table, key) in [
            ("products", "id"),
            ("observations", "product_id"),
            ("product_history", "product_id"),
        ] {
            let sql = format!("UPDATE {table} SET {set} WHERE {key} = {id}");
            store.seed(&sql).await;
        }
    }
    // In order, late, gone, and late again, over what stands there.
    store.bring("r2", bring(300, PRICE_MAX), &merge()).await;
    store.bring("r3", bring(200, 0), &merge()).await;
    let gone = ids.clone().map(|id| Arrival::Gone(id, at(400)));
    store.bring("r4", gone.collect(), &merge()).await;
    store.bring("r5", bring(50, PRICE_MAX), &merge()).await;
    let sql = "SELECT product_id, changed, price, previous_price, price_change
        FROM product_history ORDER BY product_id, observed_at";
    let rows = store.rows(sql).await;
    let expect = |id: i64, limit: i64| -> Vec<String> {
        let by = |from: i64, to: i64| to.checked_sub(from).map_or("~".into(), |by| by.to_string());
        let up = by(limit, 0);
        let down = by(PRICE_MAX, limit);
        vec![
            format!("{id}|first|{PRICE_MAX}|~|~"),
            format!("{id}|price,sales|{limit}|{PRICE_MAX}|{down}"),
            format!("{id}|price,sales|0|{limit}|{up}"),
            format!("{id}|price|{PRICE_MAX}|0|{PRICE_MAX}"),
            format!("{id}|delisted|{PRICE_MAX}|{PRICE_MAX}|~"),
        ]
    };
    let expected: Vec<String> = ids
        .zip(limits)
        .flat_map(|(id, limit)| expect(id, limit))
        .collect();
    assert_eq!(rows, expected);
}
