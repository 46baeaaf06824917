//! Places for products: which place belongs to which leaf, and which number it has.
//!
//! Positions run through the leafs in depth-first order, so what belongs to a category is a range
//! and a few guests. A permutation turns positions into numbers, so that neighbours in a category
//! do not have neighbouring ids. Everything can be computed in both directions and nothing is
//! stored per product.

use std::ops::Range;

use crate::draw::{Draw, Topic};

/// Every 8th product of a leaf may also be listed in the next leaf.
const GUEST_STEP: u64 = 8;
/// Every 40th also in the one after; these are in three categories.
const FAR_GUEST_STEP: u64 = 40;
/// Which of the 8 (and of the 40).
const GUEST_OFFSET: u64 = 3;

/// The places of a catalogue.
#[derive(Debug)]
pub(crate) struct Slots {
    products: u64,
    /// First position of each leaf, and the end.
    starts: Vec<u64>,
    multiplier: u64,
    inverse: u64,
    shift: u64,
}

impl Slots {
    pub(crate) fn new(sizes: &[u64], draw: Draw) -> Self {
        let mut starts = Vec::with_capacity(sizes.len() + 1);
        let mut next = 0;
        for size in sizes {
            starts.push(next);
            next += size;
        }
        starts.push(next);
        let draw = draw.of(Topic::Permutation);
        let (multiplier, inverse) = unit(next, draw);
        Self {
            products: next,
            starts,
            multiplier,
            inverse,
            shift: draw.at(1).below(next),
        }
    }

    pub(crate) fn products(&self) -> u64 {
        self.products
    }

    pub(crate) fn leafs(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of the product at `position`.
    pub(crate) fn number(&self, position: u64) -> u64 {
        let n = u128::from(self.products.max(1));
        ((u128::from(position) * u128::from(self.multiplier) + u128::from(self.shift)) % n) as u64
    }

    /// The position of the product with `number`.
    pub(crate) fn position(&self, number: u64) -> u64 {
        let n = u128::from(self.products.max(1));
        let moved = u128::from(number) + n - u128::from(self.shift);
        (moved % n * u128::from(self.inverse) % n) as u64
    }

    /// The primary leaf of `position`.
    pub(crate) fn leaf(&self, position: u64) -> usize {
        self.starts
            .partition_point(|start| *start <= position)
            .saturating_sub(1)
    }

    /// All leafs that list `position`, the primary one first.
    pub(crate) fn homes(&self, position: u64) -> Vec<usize> {
        let leaf = self.leaf(position);
        let offset = position - self.starts[leaf];
        let count = self.leafs();
        let mut homes = vec![leaf];
        if count > 1 && offset % GUEST_STEP == GUEST_OFFSET {
            let next = (leaf + 1) % count;
            if offset / GUEST_STEP < self.near_guests(next) {
                homes.push(next);
            }
        }
        if count > 2 && offset % FAR_GUEST_STEP == GUEST_OFFSET {
            let far = (leaf + 2) % count;
            if offset / FAR_GUEST_STEP < self.far_guests(far) {
                homes.push(far);
            }
        }
        homes
    }

    /// Positions whose primary leaf is among `leafs`.
    pub(crate) fn primary(&self, leafs: &Range<usize>) -> Range<u64> {
        match (self.starts.get(leafs.start), self.starts.get(leafs.end)) {
            (Some(start), Some(end)) => *start..*end,
            _ => 0..0,
        }
    }

    /// Positions of other leafs that are also listed in one of `leafs`, each once.
    pub(crate) fn guests(&self, leafs: &Range<usize>) -> Vec<u64> {
        let count = self.leafs();
        let mut guests = Vec::new();
        for leaf in leafs.clone().take(2) {
            let near = (leaf + count - 1) % count;
            if count > 1 && !leafs.contains(&near) {
                let start = self.starts[near] + GUEST_OFFSET;
                guests.extend((0..self.near_guests(leaf)).map(|k| start + k * GUEST_STEP));
            }
            let far = (leaf + 2 * count - 2) % count;
            if count > 2 && !leafs.contains(&far) {
                // Those that came one leaf before are there already.
                let between = (far + 1) % count;
                let listed = if leafs.contains(&between) {
                    self.near_guests(between)
                } else {
                    0
                };
                let ratio = FAR_GUEST_STEP / GUEST_STEP;
                let start = self.starts[far] + GUEST_OFFSET;
                let all = 0..self.far_guests(leaf);
                let fresh = all.filter(|k| k * ratio >= listed);
                guests.extend(fresh.map(|k| start + k * FAR_GUEST_STEP));
            }
        }
        guests
    }

    fn size(&self, leaf: usize) -> u64 {
        self.starts[leaf + 1] - self.starts[leaf]
    }

    /// Guests of `leaf` from the leaf before it; at most a sixth of its own.
    fn near_guests(&self, leaf: usize) -> u64 {
        let count = self.leafs();
        let before = self.size((leaf + count - 1) % count);
        ((before + GUEST_STEP - 1 - GUEST_OFFSET) / GUEST_STEP).min(self.size(leaf) / 6)
    }

    /// Guests of `leaf` from two leafs before; at most a twelfth of its own.
    fn far_guests(&self, leaf: usize) -> u64 {
        let count = self.leafs();
        let before = self.size((leaf + 2 * count - 2) % count);
        let most = (before + FAR_GUEST_STEP - 1 - GUEST_OFFSET) / FAR_GUEST_STEP;
        most.min(self.size(leaf) / 12)
    }
}

/// A number without a common divisor with `n`, and its inverse modulo `n`.
fn unit(n: u64, draw: Draw) -> (u64, u64) {
    if n < 3 {
        return (1, 1);
    }
    let mut candidate = n / 3 + draw.below(n / 3 + 1);
    loop {
        let (divisor, inverse) = euclid(candidate, n);
        if divisor == 1 {
            return (candidate, inverse);
        }
        candidate += 1;
    }
}

/// The greatest common divisor of `a` and `n`, and the inverse of `a` modulo `n` if that is 1.
fn euclid(a: u64, n: u64) -> (u64, u64) {
    let modulus = i128::from(n);
    let (mut r, mut next_r) = (modulus, i128::from(a));
    let (mut t, mut next_t) = (0_i128, 1_i128);
    while next_r != 0 {
        let quotient = r / next_r;
        (r, next_r) = (next_r, r - quotient * next_r);
        (t, next_t) = (next_t, t - quotient * next_t);
    }
    (r as u64, t.rem_euclid(modulus) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_positions_are_a_bijection() {
        for products in [1, 2, 3, 10, 700, 1_024] {
            let slots = Slots::new(&[products], Draw::new(products));
            let numbers: BTreeSet<u64> = (0..products).map(|at| slots.number(at)).collect();
            assert_eq!(numbers.len() as u64, products);
            for at in 0..products {
                assert_eq!(slots.position(slots.number(at)), at, "{products}");
            }
        }
    }

    #[test]
    fn membership_reads_the_same_in_both_directions() {
        for sizes in [
            vec![7],
            vec![50, 60],
            vec![120, 80, 0, 300, 41],
            vec![9, 900, 9, 900, 9, 900, 9],
        ] {
            let slots = Slots::new(&sizes, Draw::new(1));
            let leafs = slots.leafs();
            for first in 0..leafs {
                for end in first + 1..=leafs {
                    let range = first..end;
                    let mut listed: Vec<u64> = slots.primary(&range).collect();
                    listed.extend(slots.guests(&range));
                    let distinct: BTreeSet<u64> = listed.iter().copied().collect();
                    assert_eq!(distinct.len(), listed.len(), "{sizes:?} {range:?}");
                    let expected: BTreeSet<u64> = (0..slots.products())
                        .filter(|at| slots.homes(*at).iter().any(|home| range.contains(home)))
                        .collect();
                    assert_eq!(distinct, expected, "{sizes:?} {range:?}");
                }
            }
        }
    }
}
