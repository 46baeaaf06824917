//! What moves: prices, sales, reviews, offers, stock. Each is a function of the product and the
//! day; nothing changes within a day.

use crate::draw::{Draw, Topic};
use crate::settings::{Generated, Pace, Prices};

/// Prices in VND by share per million. Public corpus of 122,355 products (2026-06): p1 10.4k,
/// median 229k, p99 13.35M, max 194.4M; the points between are ours.
const PRICES: [(i64, i64); 13] = [
    (0, 1_500),
    (10_000, 10_400),
    (50_000, 27_000),
    (100_000, 45_000),
    (250_000, 105_000),
    (500_000, 229_000),
    (750_000, 590_000),
    (900_000, 1_900_000),
    (950_000, 4_200_000),
    (990_000, 13_350_000),
    (998_000, 32_000_000),
    (999_800, 80_000_000),
    (1_000_000, 194_400_000),
];
const MAX_PRICE: i64 = 194_400_000;
/// One product in so many costs nothing: 34 of 198,940 in a public corpus.
const FREE_ONE_IN: u64 = 6_000;
/// Of the prices, 92 % are multiples of 1,000.
const ROUND_PERCENT: u64 = 92;
/// Products in a hundred that keep to popular prices where prices are round.
const POPULAR_PERCENT: u64 = 60;
/// The popular prices, rising; ours. What costs more than the last one keeps its own price.
const POPULAR: [i64; 20] = [
    9_000, 19_000, 29_000, 39_000, 49_000, 69_000, 99_000, 149_000, 199_000, 299_000, 399_000,
    499_000, 699_000, 999_000, 1_490_000, 1_990_000, 2_990_000, 4_990_000, 7_990_000, 9_990_000,
];
/// Sales in thousandths a day, by share per million; ours, long-tailed.
const SALES_RATES: [(i64, i64); 8] = [
    (0, 0),
    (200_000, 0),
    (500_000, 25),
    (750_000, 250),
    (900_000, 1_700),
    (990_000, 22_000),
    (999_000, 150_000),
    (1_000_000, 600_000),
];
/// Products in a thousand that are on the site but cannot be bought.
const DISCONTINUED_PER_MILLE: u64 = 6;
/// Further ones that cannot be bought for two weeks.
const PAUSED_PER_MILLE: u64 = 15;
/// Length of the spans in which the stock state stays the same, in days.
const STOCK_SPAN: i64 = 14;

/// A price and what it is compared with, VND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    pub(crate) price: i64,
    pub(crate) original: i64,
}

impl Price {
    pub(crate) fn discount(self) -> i64 {
        self.original - self.price
    }

    /// Percent, rounded half up.
    pub(crate) fn discount_rate(self) -> i64 {
        if self.original <= 0 {
            return 0;
        }
        (self.discount() * 200 + self.original) / (self.original * 2)
    }
}

/// Days in which a price makes on average two changes: one new level, and in every second span a
/// sale that begins and ends.
const fn price_span(pace: Pace) -> i64 {
    match pace {
        Pace::Real => 1_330,
        Pace::Lively => 25,
    }
}

/// The price on `day`.
pub(crate) fn price(product: Draw, settings: &Generated, day: i64) -> Price {
    let draw = product.of(Topic::Price);
    if draw.at(1).one_in(FREE_ONE_IN) {
        return Price {
            price: 0,
            original: 0,
        };
    }
    let round = Rounding::of(product, settings.prices);
    let base = draw.quantile(&PRICES);
    let span = price_span(settings.pace);
    let time = day.wrapping_add(product.of(Topic::Phase).between(0, span - 1));
    let (block, within) = (time.div_euclid(span), time.rem_euclid(span));
    let level = product.of(Topic::Level).on(block).between(75, 125);
    let usual = round.apply(base * level / 100);
    let percent = product.of(Topic::Discount).below(100);
    let listed = if percent < 35 {
        0
    } else {
        base * 125 / (160 - percent.cast_signed())
    };
    let original = round.apply(listed).max(usual);
    sale(
        product,
        block,
        within,
        span,
        Price {
            price: usual,
            original,
        },
        round,
    )
}

/// Half of the spans hold a sale; before two of five sales the original price is raised.
fn sale(product: Draw, block: i64, within: i64, span: i64, usual: Price, round: Rounding) -> Price {
    let draw = product.of(Topic::Sale).on(block);
    if !draw.chance(50) {
        return usual;
    }
    let longest = (span / 4).min(20);
    let length = draw.at(1).between(2, longest);
    let starts = draw.at(2).between(5, span - length - 3);
    let mut price = usual;
    let raised = draw.at(3).chance(40);
    if raised && (starts - 4..starts + length + 2).contains(&within) {
        price.original = round.apply(usual.original * draw.at(4).between(115, 140) / 100);
    }
    if (starts..starts + length).contains(&within) {
        price.price = round.apply(usual.price * (100 - draw.at(5).between(8, 45)) / 100);
    }
    price.original = price.original.max(price.price);
    price
}

/// What a seller does to a price before showing it.
#[derive(Clone, Copy, Debug)]
enum Rounding {
    /// Most prices end in three zeros, the others in a habit of their own.
    Ending(i64),
    /// The nearest popular price.
    Popular,
}

impl Rounding {
    fn of(product: Draw, prices: Prices) -> Self {
        let draw = product.of(Topic::Rounding);
        if prices == Prices::Round && draw.at(2).chance(POPULAR_PERCENT) {
            return Self::Popular;
        }
        if draw.chance(ROUND_PERCENT) {
            return Self::Ending(0);
        }
        Self::Ending([500, 900, 990, 250, 700, 137][draw.at(1).below(6) as usize])
    }

    fn apply(self, price: i64) -> i64 {
        let ending = |ending: i64| (price.max(1_000) / 1_000 * 1_000 + ending).min(MAX_PRICE);
        match self {
            Self::Ending(habit) => ending(habit),
            Self::Popular if POPULAR.last().is_some_and(|last| price > *last) => ending(0),
            Self::Popular => {
                let nearest = POPULAR.iter().min_by_key(|point| point.abs_diff(price));
                nearest.copied().unwrap_or(price)
            }
        }
    }
}

/// Sales a day in thousandths.
pub(crate) fn sales_rate(product: Draw) -> i64 {
    product.of(Topic::SalesRate).quantile(&SALES_RATES)
}

/// Sold since it was born.
pub(crate) fn sold(rate: i64, born: i64, day: i64) -> i64 {
    rate.saturating_mul(day.saturating_sub(born).max(0)) / 1_000
}

/// Reviews among `sold`: 2 to 12 % of the buyers write one.
pub(crate) fn reviews(product: Draw, sold: i64) -> i64 {
    sold.saturating_mul(product.of(Topic::Reviews).between(20, 120)) / 1_000
}

/// Tenths of a star; 0 without reviews. Moves a little as reviews come in.
pub(crate) fn rating_tenths(product: Draw, reviews: i64) -> i64 {
    if reviews <= 0 {
        return 0;
    }
    let draw = product.of(Topic::Rating);
    let usual = if draw.chance(40) {
        50
    } else {
        draw.at(1).between(38, 49)
    };
    let drift = draw.on(reviews / 50).between(-1, 1);
    (usual + drift).clamp(10, 50)
}

/// Which of `offers` is the current one.
pub(crate) fn current_offer(product: Draw, offers: usize, pace: Pace, day: i64) -> usize {
    let span = match pace {
        Pace::Real => 400,
        Pace::Lively => 40,
    };
    let draw = product.of(Topic::Offer);
    let time = day.wrapping_add(draw.at(1).between(0, span - 1));
    draw.on(time.div_euclid(span)).below(offers.max(1) as u64) as usize
}

/// The stock of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stock {
    /// False: `discontinued`, without a seller.
    pub(crate) sellable: bool,
    /// Usually 1,000, which is not a real quantity.
    pub(crate) quantity: i64,
    pub(crate) backorder: bool,
}

/// The stock on `day`.
pub(crate) fn stock(product: Draw, day: i64) -> Stock {
    let draw = product.of(Topic::Stock);
    let time = day.wrapping_add(draw.at(1).between(0, STOCK_SPAN - 1));
    let span = draw.on(time.div_euclid(STOCK_SPAN));
    let gone = draw.at(2).below(1_000) < DISCONTINUED_PER_MILLE;
    let paused = span.below(1_000) < PAUSED_PER_MILLE;
    let counted = draw.at(3).one_in(12);
    Stock {
        sellable: !gone && !paused,
        quantity: if counted {
            span.at(1).between(1, 400)
        } else {
            1_000
        },
        backorder: draw.at(4).one_in(5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(pace: Pace, prices: Prices) -> Generated {
        Generated {
            pace,
            prices,
            ..Generated::default()
        }
    }

    fn prices(market: Generated, day: i64, count: u64) -> Vec<Price> {
        let root = Draw::new(5).of(Topic::Identity);
        (0..count)
            .map(|at| price(root.at(at), &market, day))
            .collect()
    }

    #[test]
    fn prices_have_the_distribution_of_the_site() {
        let mut all: Vec<i64> = prices(market(Pace::Real, Prices::Spread), 20_500, 60_000)
            .iter()
            .map(|price| price.price)
            .collect();
        let round = all.iter().filter(|price| *price % 1_000 == 0).count();
        let free = all.iter().filter(|price| **price == 0).count();
        all.sort_unstable();
        let at = |percent: usize| all[all.len() * percent / 100];
        assert!((8_500..12_500).contains(&at(1)), "p1 {}", at(1));
        assert!((200_000..260_000).contains(&at(50)), "p50 {}", at(50));
        assert!((11_000_000..16_000_000).contains(&at(99)), "p99 {}", at(99));
        assert!(all.last().is_some_and(|most| *most <= MAX_PRICE));
        assert!((90..=94).contains(&(round * 100 / all.len())), "{round}");
        assert!((1..40).contains(&free), "{free}");
    }

    #[test]
    fn prices_change_at_the_pace_that_was_asked_for() {
        for (pace, low, high) in [(Pace::Real, 5, 30), (Pace::Lively, 600, 950)] {
            let (mut changed, days, count) = (0, 25, 4_000_u64);
            let market = market(pace, Prices::Spread);
            for day in 20_500..20_500 + days {
                let (before, after) = (prices(market, day, count), prices(market, day + 1, count));
                let pairs = before.iter().zip(&after);
                changed += pairs
                    .filter(|(one, other)| one.price != other.price)
                    .count();
            }
            let per_myriad = changed as i64 * 10_000 / (days * count.cast_signed());
            assert!(
                (low..=high).contains(&per_myriad),
                "{pace:?}: {per_myriad} of 10,000 a day"
            );
        }
    }

    #[test]
    fn the_original_price_is_never_below_the_price() {
        for kind in [Prices::Spread, Prices::Round] {
            for day in 20_000..20_050 {
                for price in prices(market(Pace::Lively, kind), day, 300) {
                    assert!(price.original >= price.price, "{price:?}");
                    assert!((0..100).contains(&price.discount_rate()), "{price:?}");
                }
            }
        }
    }

    #[test]
    fn round_prices_gather_at_a_few_points_and_leave_the_rest_spread() {
        let mut holders: std::collections::BTreeMap<i64, u64> = std::collections::BTreeMap::new();
        for price in prices(market(Pace::Real, Prices::Round), 20_500, 50_000) {
            *holders.entry(price.price).or_default() += 1;
        }
        let most = holders.values().copied().max().unwrap_or(0);
        let crowded: Vec<_> = holders
            .iter()
            .filter(|(_, count)| **count > 2_000)
            .collect();
        let lonely: u64 = holders.values().filter(|count| **count < 200).sum();
        assert!(
            most < 5_000 && (4..10).contains(&crowded.len()),
            "{crowded:?}"
        );
        assert!(lonely > 10_000, "{lonely}");
    }

    #[test]
    fn no_day_breaks_the_arithmetic() {
        let draw = Draw::new(1);
        for day in [i64::MIN, -1, 0, i64::MAX] {
            let price = price(draw, &market(Pace::Lively, Prices::Round), day);
            assert!(price.price >= 0);
            assert!(stock(draw, day).quantity > 0);
            assert!(sold(600_000, 19_000, day) >= 0);
        }
    }
}
