//! The first 2,000 products of a category in an order, which is all a listing can show.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::generated::table::{self, Row};
use crate::generated::{Catalogue, offers};
use crate::query::{Filter, Listing, Sort, WINDOW};
use crate::site::{Facet, Window};

/// Windows that are kept, the last ones asked for; each holds at most 16 kB of ids.
const KEPT: usize = 256;
/// Values a filter offers.
const MAX_FACETS: usize = 30;

#[derive(Debug, PartialEq, Eq)]
struct Key {
    place: usize,
    sort: Sort,
    filter: Filter,
    day: i64,
}

/// Cached windows.
#[derive(Debug, Default)]
pub(crate) struct Windows(Mutex<VecDeque<(Key, Arc<Window>)>>);

impl Windows {
    pub(crate) fn of(
        &self,
        catalogue: &Catalogue,
        place: usize,
        listing: &Listing,
        day: i64,
    ) -> Arc<Window> {
        let key = Key {
            place,
            sort: listing.sort,
            filter: listing.filter.clone(),
            day,
        };
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, window)) = kept.iter().find(|(other, _)| *other == key) {
                return Arc::clone(window);
            }
        }
        let window = Arc::new(scan(catalogue, &key));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(&window)));
        window
    }
}

/// Looks at each product of the category once and keeps the best 2,000.
fn scan(catalogue: &Catalogue, key: &Key) -> Window {
    match catalogue.tables.of(catalogue, key.place, key.day) {
        Some(table) => best(table.iter().copied(), key),
        None => best(table::rows(catalogue, key.place, key.day), key),
    }
}

fn best(rows: impl Iterator<Item = Row>, key: &Key) -> Window {
    let mut total = 0;
    let mut best: BinaryHeap<Reverse<(i64, u64, u64, u64)>> = BinaryHeap::new();
    for row in rows {
        let filter = &key.filter;
        if !filter.keeps(row.price, row.brand, row.seller, row.rating_tenths) {
            continue;
        }
        total += 1;
        best.push(Reverse((
            worth(&row, key.sort),
            row.id,
            row.brand,
            row.seller,
        )));
        if best.len() > WINDOW {
            best.pop();
        }
    }
    // Counted over what the window shows (the site counts over all).
    let mut brands: BTreeMap<u64, u64> = BTreeMap::new();
    let mut sellers: BTreeMap<u64, u64> = BTreeMap::new();
    let mut ids = Vec::with_capacity(best.len());
    for Reverse((_, id, brand, seller)) in best.into_sorted_vec() {
        ids.push(id);
        *brands.entry(brand).or_default() += 1;
        *sellers.entry(seller).or_default() += 1;
    }
    brands.remove(&table::NO_BRAND);
    Window {
        total,
        ids,
        brands: top(brands, |id| {
            offers::brand_name(id).unwrap_or("OEM").to_owned()
        }),
        sellers: top(sellers, offers::seller_name),
    }
}

/// Higher comes first; ties by the higher id.
fn worth(row: &Row, sort: Sort) -> i64 {
    match sort {
        Sort::Default => row.sold,
        Sort::TopSeller => row.rate,
        Sort::Newest => row.born,
        Sort::PriceUp => -row.price,
        Sort::PriceDown => row.price,
    }
}

fn top(counts: BTreeMap<u64, u64>, name: impl Fn(u64) -> String) -> Vec<Facet> {
    let mut sorted: Vec<(u64, u64)> = counts.into_iter().collect();
    sorted.sort_by_key(|(id, count)| (Reverse(*count), *id));
    sorted.truncate(MAX_FACETS);
    sorted
        .into_iter()
        .map(|(id, count)| Facet {
            id,
            count,
            name: name(id),
        })
        .collect()
}
