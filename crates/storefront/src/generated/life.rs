//! Which product takes a place on a day: births, delistings, relistings.

use crate::draw::{Draw, Topic};
use crate::generated::slots::Slots;

/// 2024-01-01, where the counting of generations begins.
const ANCHOR_DAY: i64 = 19_723;
/// Places in a hundred whose product is replaced from time to time. With periods of 180 to 720
/// days that is about 0.07 % of the products a day; the real site lost 0.03 to 0.5 % a day.
const CHANGING_PERCENT: u64 = 30;
/// Ids of the first products; the ids below were taken before 2013.
const FIRST_ID: u64 = 1_000_000;
/// Ids a product takes: its own and those of its offers and variants.
const STRIDE: u64 = 16;
/// Age at the anchor of those that stay, in days.
const AGES: [(i64, i64); 5] = [
    (0, 0),
    (300_000, 200),
    (600_000, 700),
    (900_000, 1_900),
    (1_000_000, 4_000),
];

/// The product that has a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) id: u64,
    /// The day it was first on sale.
    pub(crate) born: i64,
    /// Everything about it is drawn from here.
    pub(crate) draw: Draw,
}

/// Who has the place with `number` on `day`; none while it is empty.
pub(crate) fn life(slots: &Slots, root: Draw, number: u64, day: i64) -> Option<Life> {
    let draw = root.of(Topic::Life).at(number);
    let (generation, born) = if draw.chance(CHANGING_PERCENT) {
        let period = draw.at(1).between(180, 720);
        let phase = draw.at(2).between(0, period - 1);
        let time = day.checked_sub(ANCHOR_DAY)?.checked_add(phase)?;
        if time < 0 {
            return None;
        }
        let (round, within) = (time / period, time % period);
        if is_away(draw.of(Topic::Generation).on(round), period, within) {
            return None;
        }
        (
            round.unsigned_abs() + 1,
            ANCHOR_DAY - phase + round * period,
        )
    } else {
        (0, ANCHOR_DAY - draw.at(3).quantile(&AGES))
    };
    if day < born {
        return None;
    }
    Some(Life {
        id: id_of(slots, draw, generation, number),
        born,
        draw: root.of(Topic::Identity).at(number).at(generation),
    })
}

/// The number of the place that `id` would have, whether or not it exists.
pub(crate) fn number_of(slots: &Slots, id: u64) -> Option<u64> {
    let place = id.checked_sub(FIRST_ID)? / STRIDE;
    Some(place % slots.products().max(1))
}

fn id_of(slots: &Slots, draw: Draw, generation: u64, number: u64) -> u64 {
    let jitter = draw.of(Topic::Generation).at(generation).below(3);
    FIRST_ID + (generation * slots.products() + number) * STRIDE + jitter
}

/// Delisted for good at the end of its time (3 to 14 % of the period before the next product
/// comes), or for some days in the middle of it.
fn is_away(draw: Draw, period: i64, within: i64) -> bool {
    let ends = period * draw.between(86, 97) / 100;
    let gap = draw.at(1).chance(20) && {
        let starts = period / 3 + draw.at(2).between(0, period / 4);
        (starts..starts + draw.at(3).between(3, 20)).contains(&within)
    };
    within >= ends || gap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_place_and_is_never_given_twice() {
        let slots = Slots::new(&[300, 400], Draw::new(3));
        let mut owners = std::collections::HashMap::new();
        for number in 0..slots.products() {
            for day in (20_000..24_000).step_by(30) {
                if let Some(life) = life(&slots, Draw::new(3), number, day) {
                    assert_eq!(number_of(&slots, life.id), Some(number));
                    assert_eq!(*owners.entry(life.id).or_insert(number), number);
                    assert!(life.born <= day);
                }
            }
        }
        assert!(owners.len() > 1_200, "{}", owners.len());
    }

    #[test]
    fn some_products_come_and_some_go_every_month() {
        let slots = Slots::new(&[1_000], Draw::new(9));
        let on = |day| -> std::collections::BTreeSet<u64> {
            let all = 0..slots.products();
            all.filter_map(|number| life(&slots, Draw::new(9), number, day))
                .map(|l| l.id)
                .collect()
        };
        let (before, after) = (on(20_500), on(20_530));
        let (gone, new) = (
            before.difference(&after).count(),
            after.difference(&before).count(),
        );
        assert!((5..60).contains(&gone), "{gone}");
        assert!((5..60).contains(&new), "{new}");
        assert!(before.len() > 950, "{}", before.len());
    }

    #[test]
    fn no_day_breaks_the_arithmetic() {
        let slots = Slots::new(&[20], Draw::new(9));
        for day in [i64::MIN, -1, 0, 3_000_000, i64::MAX] {
            for number in 0..20 {
                let _present = life(&slots, Draw::new(9), number, day).is_some();
            }
        }
    }
}
