//! How many products each category lists on a day, counted once a day.

use std::sync::{Arc, Mutex, PoisonError};

use crate::generated::{Catalogue, life};

/// Days whose counts are kept.
const KEPT_DAYS: usize = 4;

/// The counts of one day, by place in the tree.
#[derive(Debug)]
pub(crate) struct Census {
    day: i64,
    counts: Vec<u64>,
}

impl Census {
    pub(crate) fn count(&self, place: usize) -> u64 {
        self.counts.get(place).copied().unwrap_or(0)
    }

    /// Looks at every place of the catalogue once.
    fn take(catalogue: &Catalogue, day: i64) -> Self {
        let slots = &catalogue.slots;
        let present = |position: u64| {
            let number = slots.number(position);
            u64::from(life::life(slots, catalogue.draw, number, day).is_some())
        };
        let own: Vec<u64> = (0..slots.leafs())
            .map(|leaf| slots.primary(&(leaf..leaf + 1)).map(present).sum())
            .collect();
        let counts = (0..catalogue.tree.len())
            .map(|place| {
                let leafs = &catalogue.tree.node(place).leafs;
                let guests: u64 = slots.guests(leafs).into_iter().map(present).sum();
                own.get(leafs.clone())
                    .map_or(0, |own| own.iter().sum::<u64>())
                    + guests
            })
            .collect();
        Self { day, counts }
    }
}

/// The censuses of the last days that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Censuses(Mutex<Vec<Arc<Census>>>);

impl Censuses {
    pub(crate) fn of(&self, catalogue: &Catalogue, day: i64) -> Arc<Census> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(census) = kept.iter().find(|census| census.day == day) {
            return Arc::clone(census);
        }
        let census = Arc::new(Census::take(catalogue, day));
        if kept.len() >= KEPT_DAYS {
            kept.remove(0);
        }
        kept.push(Arc::clone(&census));
        census
    }
}
