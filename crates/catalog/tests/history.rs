//! The fold of looks against a plain model of the law, written apart from it: columns are an array,
//! and every row is decided from the model's own state.

use catalog::{Change, ChangeKind, Instant, Look, Source, Values, fold, step};
use proptest::option;
use proptest::prelude::*;

/// Price, original, percent, sales, rating, reviews, seller, spid, stock, as comparable texts.
type Row = [Option<String>; 9];

const PRICE: usize = 0;
const ORIGINAL: usize = 1;
const PERCENT: usize = 2;
const SALES: usize = 3;
const RATING: usize = 4;
const REVIEWS: usize = 5;

fn row(values: &Values) -> Row {
    let print = |number: Option<i64>| number.map(|number| number.to_string());
    [
        print(values.price),
        print(values.original_price),
        print(values.discount_percent),
        print(values.sales_count),
        values.rating_average.map(|rating| format!("{rating:?}")),
        print(values.review_count),
        print(values.seller_id),
        print(values.spid),
        values.stock_status.clone(),
    ]
}

fn number(row: &Row, column: usize) -> Option<i64> {
    row[column].as_ref().map(|text| text.parse().unwrap())
}

/// What the model remembers of a product.
#[derive(Default)]
struct Model {
    row: Row,
    gone: bool,
    seen: bool,
    sales_at: Option<Instant>,
    velocity: Option<f64>,
}

/// What the model says of a look: time, kinds, row, price before, velocity.
type Written = (Instant, Vec<ChangeKind>, Row, Option<i64>, Option<f64>);

impl Model {
    fn look(&mut self, look: &Look) -> Option<Written> {
        let before = self.row.clone();
        if !look.gone {
            self.say(look);
        }
        let mut kinds = Vec::new();
        if self.seen {
            let differs = |columns: &[usize]| columns.iter().any(|c| before[*c] != self.row[*c]);
            for (kind, holds) in [
                (ChangeKind::Delisted, look.gone && !self.gone),
                (ChangeKind::Relisted, !look.gone && self.gone),
                (ChangeKind::Price, differs(&[PRICE, ORIGINAL, PERCENT])),
                (ChangeKind::Seller, differs(&[6, 7])),
                (ChangeKind::Stock, differs(&[8])),
                (ChangeKind::Sales, differs(&[SALES, RATING, REVIEWS])),
            ] {
                if holds {
                    kinds.push(kind);
                }
            }
        } else {
            kinds.push(ChangeKind::First);
            if look.gone {
                kinds.push(ChangeKind::Delisted);
            }
        }
        (self.seen, self.gone) = (true, look.gone);
        let written = (
            look.observed_at,
            kinds,
            self.row.clone(),
            number(&before, PRICE),
            self.velocity,
        );
        (!written.1.is_empty()).then_some(written)
    }

    /// Said values replace, unsaid ones stay, and what then contradicts is dropped.
    fn say(&mut self, look: &Look) {
        let said = row(&look.values);
        let old_sales = number(&self.row, SALES);
        for (column, value) in said.iter().enumerate() {
            if value.is_some() {
                self.row[column].clone_from(value);
            }
        }
        let (price, original) = (number(&self.row, PRICE), number(&self.row, ORIGINAL));
        if original.is_some() && original < price {
            self.row[ORIGINAL] = None;
        }
        let original = number(&self.row, ORIGINAL);
        if original.is_none() || said[PERCENT].is_none() {
            self.row[PERCENT] = match (price, original) {
                (Some(price), Some(original)) if original > 0 => {
                    let percent = (original - price) as f64 * 100.0 / original as f64;
                    Some(((percent + 0.5).floor() as i64).to_string())
                }
                _ => None,
            };
        }
        if self.row[REVIEWS].as_deref() == Some("0") {
            self.row[RATING] = None;
        }
        if let Some(sales) = look.values.sales_count {
            if let (Some(old), Some(since)) = (old_sales, self.sales_at)
                && sales != old
            {
                let hours = look.observed_at.millis_since(since) as f64 / 3_600_000.0;
                let a_day = (sales - old) as f64 * 24.0 / hours;
                self.velocity =
                    (sales > old && hours >= 1.0).then(|| (a_day * 100.0).round() / 100.0);
            }
            self.sales_at = Some(look.observed_at);
        }
    }
}

fn assert_same(change: &Change, written: &Written) {
    let (at, kinds, expected, previous, velocity) = written;
    assert_eq!(change.observed_at, *at);
    assert_eq!(&change.changed, kinds);
    assert_eq!(change.kind, kinds[0]);
    assert_eq!(&row(&change.values), expected);
    assert_eq!(change.previous_price, *previous);
    let now = change.values.price;
    let by = previous
        .zip(now)
        .map(|(old, new)| new - old)
        .filter(|by| *by != 0);
    assert_eq!(change.price_change, by);
    let percent = previous
        .zip(by)
        .filter(|(old, _)| *old > 0)
        .map(|(old, by)| (by as f64 * 100.0 / old as f64 * 100.0).round() / 100.0);
    match (change.price_change_percent, percent) {
        // The two divide in another order.
        (Some(a), Some(b)) => assert!((a - b).abs() < 0.011, "{a} {b}"),
        (a, b) => assert_eq!(a, b),
    }
    match (change.sales_velocity, *velocity) {
        (Some(a), Some(b)) => assert!((a - b).abs() < 0.011, "{a} {b}"),
        (a, b) => assert_eq!(a, b),
    }
}

fn small() -> impl Strategy<Value = Option<i64>> {
    option::of(0..4_i64)
}

prop_compose! {
    fn values()(
        price in small(), over in small(), percent in small(), sales in small(), stars in 0..3_u8,
        reviews in small(), seller in small(), spid in small(), stock in 0..3_u8,
    ) -> Values {
        Values {
            price,
            original_price: price.zip(over).map(|(price, over)| price + over),
            discount_percent: percent,
            sales_count: sales,
            rating_average: (stars > 0 && reviews != Some(0)).then_some(f64::from(stars)),
            review_count: reviews,
            seller_id: seller.map(|id| id + 1),
            spid: spid.map(|id| id + 1),
            stock_status: (stock > 0).then(|| format!("s{stock}")),
            stock_quantity: None,
        }
    }
}

prop_compose! {
    fn look()(gap in 1..200_i64, gone in prop::bool::weighted(0.2), values in values(), kind in 0..4_usize)
    -> (i64, Look) {
        let source = [Source::ListingHtml, Source::Listing, Source::DetailHtml, Source::Detail][kind];
        let values = if gone { Values::default() } else { values };
        (gap, Look { observed_at: Instant::from_millis(0), source, gone, values })
    }
}

/// Looks in the order of their times, minutes to hours apart.
fn looks() -> impl Strategy<Value = Vec<Look>> {
    prop::collection::vec(look(), 0..12).prop_map(|looks| {
        let mut minutes = 29_000_000;
        looks
            .into_iter()
            .map(|(gap, look)| {
                minutes += gap;
                Look {
                    observed_at: Instant::from_millis(minutes * 60_000),
                    ..look
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_fold_is_the_plain_one_in_every_order_of_arrival(
        pair in looks().prop_flat_map(|looks| (Just(looks.clone()), Just(looks).prop_shuffle())),
    ) {
        let (in_time, mut arrived) = pair;
        let mut model = Model::default();
        let expected: Vec<Written> = in_time.iter().filter_map(|look| model.look(look)).collect();

        arrived.sort_by_key(|look| look.observed_at);
        let (known, rows) = fold(&arrived);
        prop_assert_eq!(rows.len(), expected.len());
        for (change, written) in rows.iter().zip(&expected) {
            assert_same(change, written);
        }
        prop_assert_eq!(known.as_ref().map(|known| row(&known.values)), model.seen.then_some(model.row));

        // Step by step, from any point on, it is the same.
        let mut state = None;
        let mut stepped = Vec::new();
        for look in &in_time {
            let (after, row) = step(state.as_ref(), look);
            stepped.extend(row);
            state = Some(after);
        }
        prop_assert_eq!(state, known);
        prop_assert_eq!(stepped, rows);
    }
}
