//! Reproducible chance: every draw is a pure function of a seed and the path that led to it.
//!
//! No state and no order: the same question always gets the same answer, which is what lets a
//! catalogue of ten million products exist without being stored. Integers only, so that the same
//! seed means the same catalogue on every machine.

/// What a draw is about. The numbers are part of what a seed means: append, never reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Topic {
    Tree = 1,
    LeafSize,
    Order,
    Life,
    Generation,
    Identity,
    Price,
    Rounding,
    Discount,
    Level,
    Sale,
    Phase,
    SalesRate,
    Reviews,
    Rating,
    Offer,
    Seller,
    Brand,
    Stock,
    Name,
    Model,
    Trap,
    Text,
    Image,
    Variant,
    Ad,
    Permutation,
    Badge,
}

/// A point in the space of chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The origin of everything drawn from `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x5851_F42D_4C95_7F2D))
    }

    /// The draw about `topic`.
    pub(crate) const fn of(self, topic: Topic) -> Self {
        self.at(0xA076_1D64_78BD_642F ^ topic as u64)
    }

    /// The `number`-th draw of this kind.
    pub(crate) const fn at(self, number: u64) -> Self {
        Self(mix(
            self.0.rotate_left(17) ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93)
        ))
    }

    /// The draw for a day or a span of days, which may be negative.
    pub(crate) const fn on(self, day: i64) -> Self {
        self.at(day.cast_unsigned())
    }

    /// The 64 bits themselves.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Uniform in `0..bound`; 0 for a bound of 0.
    pub(crate) const fn below(self, bound: u64) -> u64 {
        ((self.0 as u128 * bound as u128) >> 64) as u64
    }

    /// Uniform in `low..=high`.
    pub(crate) const fn between(self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).cast_unsigned()).cast_signed()
    }

    /// True for one draw in `n`.
    pub(crate) const fn one_in(self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// True for `percent` of a hundred draws.
    pub(crate) const fn chance(self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `from`, which is never empty here; the first words of the tables are the fallback.
    pub(crate) fn pick<T: Copy>(self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len() as u64) as usize).copied()
    }

    /// One of `words`, or nothing at all from an empty table.
    pub(crate) fn word(self, words: &[&'static str]) -> &'static str {
        self.pick(words).unwrap_or("")
    }

    /// A value from a distribution given by its quantiles: `(share per million, value)` in rising
    /// order, the first at 0 and the last at 1,000,000; straight lines between them.
    pub(crate) fn quantile(self, points: &[(i64, i64)]) -> i64 {
        let share = self.below(1_000_000).cast_signed();
        for pair in points.windows(2) {
            let [(from, low), (to, high)] = pair else {
                continue;
            };
            if share < *to {
                return low + (high - low) * (share - from) / (to - from).max(1);
            }
        }
        points.last().map_or(0, |(_, value)| *value)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
