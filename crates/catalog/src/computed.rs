//! Columns that are computed from the values of one look. They are outside the content hash.
//!
//! Not here: `sales_velocity`, which needs two looks (`fold`).

use crate::Values;
use crate::fold::round2;

/// The computed columns; each is `None` where what it needs is not known.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Computed {
    /// Lifetime sales times today's price, đồng, `i64::MAX` at most; `None` where either is 0.
    pub estimated_revenue: Option<i64>,
    /// Original price less price, đồng; `None` unless positive.
    pub discount_amount: Option<i64>,
    /// `budget` under 500,000 đồng, `mid-range` under 2,000,000, `premium` under 10,000,000, else
    /// `luxury`; `None` for price 0.
    pub price_category: Option<&'static str>,
    /// 0 to 100, two decimals: up to 50 for 100,000 sales, 30 for a rating of 5, up to 20 for
    /// 10,000 reviews; `None` where none of them is above 0.
    pub popularity_score: Option<f64>,
    /// Rating for each million đồng, two decimals, not bounded; `None` without rating or price.
    pub value_score: Option<f64>,
}

/// Computes them.
pub fn compute(values: &Values) -> Computed {
    let price = values.price.filter(|price| *price > 0);
    Computed {
        estimated_revenue: revenue(price, values.sales_count),
        discount_amount: discount(values.price, values.original_price),
        price_category: price.map(price_category),
        popularity_score: popularity(values),
        value_score: value(price, values.rating_average),
    }
}

fn revenue(price: Option<i64>, sales: Option<i64>) -> Option<i64> {
    let sales = sales.filter(|sales| *sales > 0)?;
    Some(price?.saturating_mul(sales))
}

fn discount(price: Option<i64>, original: Option<i64>) -> Option<i64> {
    original?.checked_sub(price?).filter(|amount| *amount > 0)
}

fn price_category(price: i64) -> &'static str {
    match price {
        ..500_000 => "budget",
        500_000..2_000_000 => "mid-range",
        2_000_000..10_000_000 => "premium",
        _ => "luxury",
    }
}

fn popularity(values: &Values) -> Option<f64> {
    let share = |count: Option<i64>, full: f64, points: f64| {
        (count.unwrap_or(0).max(0) as f64 / full * points).min(points)
    };
    let rating = values.rating_average.unwrap_or(0.0).clamp(0.0, 5.0) / 5.0 * 30.0;
    let total = share(values.sales_count, 100_000.0, 50.0)
        + rating
        + share(values.review_count, 10_000.0, 20.0);
    (total > 0.0).then(|| round2(total))
}

fn value(price: Option<i64>, rating: Option<f64>) -> Option<f64> {
    let rating = rating.filter(|rating| *rating > 0.0)?;
    Some(round2(rating / (price? as f64 / 1_000_000.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(price: i64, original: i64, sales: i64, rating: f64, reviews: i64) -> Values {
        Values {
            price: Some(price),
            original_price: Some(original),
            sales_count: Some(sales),
            rating_average: Some(rating),
            review_count: Some(reviews),
            ..Values::default()
        }
    }

    #[test]
    fn columns_are_computed_by_the_documented_formulas() {
        let computed = compute(&values(147_000, 389_000, 2_326, 4.8, 323));
        assert_eq!(computed.estimated_revenue, Some(341_922_000));
        assert_eq!(computed.discount_amount, Some(242_000));
        assert_eq!(computed.price_category, Some("budget"));
        // 2326/100000*50 + 4.8/5*30 + 323/10000*20 = 1.163 + 28.8 + 0.646
        assert_eq!(computed.popularity_score, Some(30.61));
        assert_eq!(computed.value_score, Some(32.65));
        let most = compute(&values(1_000_000_000_000, 0, i64::MAX, 5.0, i64::MAX));
        assert_eq!(most.estimated_revenue, Some(i64::MAX));
        assert_eq!(most.popularity_score, Some(100.0));
        assert_eq!(most.discount_amount, None);
    }

    #[test]
    fn what_is_not_known_is_not_computed() {
        assert_eq!(compute(&Values::default()), Computed::default());
        let zero = Values {
            rating_average: None,
            ..values(0, 0, 5, 0.0, 0)
        };
        let computed = compute(&zero);
        assert_eq!(computed.estimated_revenue, None);
        assert_eq!(computed.price_category, None);
        assert_eq!(computed.value_score, None);
        assert_eq!(
            computed.popularity_score,
            Some(0.0),
            "5 sales are 0.0025 points"
        );
        assert_eq!(compute(&values(0, 0, 0, 0.0, 0)).popularity_score, None);
    }

    #[test]
    fn a_price_has_one_category() {
        for (price, expected) in [
            (1, "budget"),
            (499_999, "budget"),
            (500_000, "mid-range"),
            (1_999_999, "mid-range"),
            (2_000_000, "premium"),
            (9_999_999, "premium"),
            (10_000_000, "luxury"),
        ] {
            assert_eq!(
                compute(&values(price, price, 0, 0.0, 0)).price_category,
                Some(expected)
            );
        }
    }
}
