//! From looks to history: a fold in time order that carries known values forward and writes a row
//! whenever one of them changes.
//!
//! The order in which looks were *loaded* is no matter of this module: it sees them in the order of
//! their own times, one look a time.

use crate::{Instant, Look, Values};

/// What is known of a product after a look.
#[derive(Clone, PartialEq, Debug)]
pub struct Known {
    /// The time of the last look.
    pub observed_at: Instant,
    /// The newest value of each column that any look so far said.
    pub values: Values,
    /// The last look said that the product is no more.
    pub gone: bool,
    /// When a look last said `sales_count`.
    pub sales_said_at: Option<Instant>,
    /// Pieces sold a day when the sales count last changed: since the look that said one before;
    /// `None` under an hour and when it fell.
    pub sales_velocity: Option<f64>,
}

/// Why a row of history was written. Ordered: the first that matches names the row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ChangeKind {
    /// The earliest look.
    First,
    /// The product is gone.
    Delisted,
    /// It was gone and is seen again.
    Relisted,
    /// Price, original price or discount.
    Price,
    /// Seller or offer.
    Seller,
    /// The stock status.
    Stock,
    /// Sales, rating or reviews.
    Sales,
}

impl ChangeKind {
    const ALL: [Self; 7] = [
        Self::First,
        Self::Delisted,
        Self::Relisted,
        Self::Price,
        Self::Seller,
        Self::Stock,
        Self::Sales,
    ];

    /// The word stored in `product_history.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Delisted => "delisted",
            Self::Relisted => "relisted",
            Self::Price => "price",
            Self::Seller => "seller",
            Self::Stock => "stock",
            Self::Sales => "sales",
        }
    }

    /// The kind of a stored word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A row of `product_history`.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// When it was seen.
    pub observed_at: Instant,
    /// The first kind that matches.
    pub kind: ChangeKind,
    /// Every kind that matches, in order; never empty. It holds `Delisted` when the earliest look
    /// was *gone*, so that the last row alone tells whether a product is.
    pub changed: Vec<ChangeKind>,
    /// What is known after it.
    pub values: Values,
    /// The price known before, đồng.
    pub previous_price: Option<i64>,
    /// Price less previous price, đồng; `None` unless both are known and differ.
    pub price_change: Option<i64>,
    /// The change in percent of the previous price, two decimals; `None` where that is 0.
    pub price_change_percent: Option<f64>,
    /// As in [`Known`].
    pub sales_velocity: Option<f64>,
}

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: f64 = 86_400_000.0;

/// One look on: what is known after it, and the row of history that it writes, if any.
pub fn step(before: Option<&Known>, look: &Look) -> (Known, Option<Change>) {
    let Some(before) = before else {
        let after = Known {
            observed_at: look.observed_at,
            values: settle(look.values.clone(), &look.values),
            gone: look.gone,
            sales_said_at: look.values.sales_count.map(|_| look.observed_at),
            sales_velocity: None,
        };
        let mut changed = vec![ChangeKind::First];
        if look.gone {
            changed.push(ChangeKind::Delisted);
        }
        let change = change(None, &after, changed);
        return (after, Some(change));
    };
    let values = if look.gone {
        before.values.clone()
    } else {
        carry(&before.values, &look.values)
    };
    let said_sales = !look.gone && look.values.sales_count.is_some();
    let mut after = Known {
        observed_at: look.observed_at,
        values,
        gone: look.gone,
        sales_said_at: if said_sales {
            Some(look.observed_at)
        } else {
            before.sales_said_at
        },
        sales_velocity: before.sales_velocity,
    };
    if before.values.sales_count != after.values.sales_count {
        after.sales_velocity = velocity(before, &after);
    }
    let changed = compare(before, &after);
    let row = (!changed.is_empty()).then(|| change(Some(before), &after, changed));
    (after, row)
}

/// All of a product's history from its looks, which must be in the order of their times.
pub fn fold<'a>(looks: impl IntoIterator<Item = &'a Look>) -> (Option<Known>, Vec<Change>) {
    let mut known = None;
    let mut rows = Vec::new();
    for look in looks {
        let (after, row) = step(known.as_ref(), look);
        rows.extend(row);
        known = Some(after);
    }
    (known, rows)
}

/// The newest value of each column: what the look said, else what was known.
pub(crate) fn carry(before: &Values, said: &Values) -> Values {
    settle(said.clone().or(before), said)
}

/// Applies the column rules to carried values: a value carried from an older look must not
/// contradict what the newest one said (docs/adr/0003-carried-values.md).
fn settle(mut values: Values, said: &Values) -> Values {
    if values.original_price < values.price {
        values.original_price = None;
    }
    if said.discount_percent.is_none() || values.original_price.is_none() {
        values.discount_percent = match (values.price, values.original_price) {
            (Some(price), Some(original)) => discount_percent(price, original),
            _ => None,
        };
    }
    if values.review_count == Some(0) {
        values.rating_average = None;
    }
    values
}

/// Percent off, rounded half up; `None` when the original price is 0 or below the price.
pub(crate) fn discount_percent(price: i64, original: i64) -> Option<i64> {
    if original <= 0 || price < 0 || price > original {
        return None;
    }
    let off = i128::from(original) - i128::from(price);
    i64::try_from((off * 200 + i128::from(original)) / (2 * i128::from(original))).ok()
}

fn compare(before: &Known, after: &Known) -> Vec<ChangeKind> {
    let (old, new) = (&before.values, &after.values);
    let price = old.price != new.price
        || old.original_price != new.original_price
        || old.discount_percent != new.discount_percent;
    let sales = old.sales_count != new.sales_count
        || old.rating_average != new.rating_average
        || old.review_count != new.review_count;
    [
        (after.gone && !before.gone, ChangeKind::Delisted),
        (before.gone && !after.gone, ChangeKind::Relisted),
        (price, ChangeKind::Price),
        (
            old.seller_id != new.seller_id || old.spid != new.spid,
            ChangeKind::Seller,
        ),
        (old.stock_status != new.stock_status, ChangeKind::Stock),
        (sales, ChangeKind::Sales),
    ]
    .into_iter()
    .filter_map(|(differs, kind)| differs.then_some(kind))
    .collect()
}

fn change(before: Option<&Known>, after: &Known, changed: Vec<ChangeKind>) -> Change {
    let previous_price = before.and_then(|known| known.values.price);
    let price_change = match (previous_price, after.values.price) {
        // Whatever stands in a row: what does not fit is not told.
        (Some(old), Some(new)) if old != new => new.checked_sub(old),
        _ => None,
    };
    let price_change_percent = match (price_change, previous_price) {
        (Some(by), Some(old)) if old > 0 => Some(round2(by as f64 / old as f64 * 100.0)),
        _ => None,
    };
    Change {
        observed_at: after.observed_at,
        kind: changed.first().copied().unwrap_or(ChangeKind::First),
        changed,
        values: after.values.clone(),
        previous_price,
        price_change,
        price_change_percent,
        sales_velocity: after.sales_velocity,
    }
}

fn velocity(before: &Known, after: &Known) -> Option<f64> {
    let (old, new) = (before.values.sales_count?, after.values.sales_count?);
    let elapsed = after.observed_at.millis_since(before.sales_said_at?);
    (new > old && elapsed >= HOUR_MILLIS)
        .then(|| round2((new as f64 - old as f64) / (elapsed as f64 / DAY_MILLIS)))
}

/// Rounded to two decimals, halves away from zero.
pub(crate) fn round2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
