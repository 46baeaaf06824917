//! The rules of columns that a listing and a detail share.
//!
//! Not here: values carried from an older look (`fold`) and columns computed from others
//! (`computed`).

use crate::fold::discount_percent;
use crate::{Rejection, RejectionReason};

/// The highest price that is believed, đồng.
pub const PRICE_MAX: i64 = 1_000_000_000_000;

/// The original price and the percent off it: an original price that is below the price or out of
/// bounds is not believed, and then neither is what the site says to be off it.
pub(crate) fn discount(
    price: Option<i64>,
    original: Option<i64>,
    percent: Option<i64>,
) -> (Option<i64>, Option<i64>) {
    let believed = original.filter(|value| (price.unwrap_or(0).max(0)..=PRICE_MAX).contains(value));
    if original.is_some() && believed.is_none() {
        return (None, None);
    }
    let percent = percent
        .filter(|value| (0..=100).contains(value))
        .or_else(|| {
            let (price, original) = (price?, believed?);
            discount_percent(price, original)
        });
    (believed, percent)
}

/// A rating is 0 to 5 and is not said without reviews; the site writes 0 for "not rated".
pub(crate) fn rating(average: Option<f64>, reviews: Option<i64>) -> Option<f64> {
    let average = average.filter(|value| (0.0..=5.0).contains(value))?;
    match reviews {
        Some(0) => None,
        None if average == 0.0 => None,
        // No negative zero.
        _ => Some(average + 0.0),
    }
}

/// The rules by which a record is rejected. `id` is the product's.
pub(crate) fn check(id: i64, name: &str, price: Option<i64>) -> Result<(), Rejection> {
    let refuse = |reason, field, seen: &dyn std::fmt::Display| {
        Err(Rejection::new(reason, Some(field), seen))
    };
    if id <= 0 {
        return refuse(RejectionReason::BadId, "id", &id);
    }
    if name.trim().is_empty() {
        return refuse(RejectionReason::NoName, "name", &name);
    }
    match price {
        None => refuse(RejectionReason::NoPrice, "price", &"no whole number"),
        Some(value) if value < 0 => refuse(RejectionReason::NegativePrice, "price", &value),
        Some(value) if value > PRICE_MAX => refuse(RejectionReason::PriceTooHigh, "price", &value),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_original_price_is_never_below_the_price() {
        for (price, original, percent, expected) in [
            (Some(75), Some(100), Some(24), (Some(100), Some(24))),
            (Some(75), Some(100), None, (Some(100), Some(25))),
            (Some(75), Some(100), Some(250), (Some(100), Some(25))),
            (Some(995), Some(1000), None, (Some(1000), Some(1))),
            (Some(100), Some(75), Some(25), (None, None)),
            (Some(100), Some(0), Some(0), (None, None)),
            (Some(0), Some(0), None, (Some(0), None)),
            (Some(100), None, Some(9), (None, Some(9))),
            (None, Some(PRICE_MAX + 1), None, (None, None)),
        ] {
            assert_eq!(
                discount(price, original, percent),
                expected,
                "{price:?} {original:?}"
            );
        }
    }

    #[test]
    fn a_rating_needs_reviews() {
        for (average, reviews, expected) in [
            (Some(4.8), Some(3), Some(4.8)),
            (Some(4.8), Some(0), None),
            (Some(0.0), Some(0), None),
            (Some(0.0), None, None),
            (Some(4.5), None, Some(4.5)),
            (Some(5.1), Some(3), None),
            (Some(f64::NAN), Some(3), None),
            (None, Some(3), None),
        ] {
            assert_eq!(
                rating(average, reviews),
                expected,
                "{average:?} {reviews:?}"
            );
        }
    }
}
