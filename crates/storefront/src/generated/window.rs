//! The first 2,000 products of a category in an order, which is all a listing can show.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::generated::sheet::Product;
use crate::generated::{Catalogue, market, offers};
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
    let leafs = &catalogue.tree.node(key.place).leafs;
    let guests = catalogue.slots.guests(leafs);
    let mut total = 0;
    let mut best: BinaryHeap<Reverse<(i64, u64)>> = BinaryHeap::new();
    for position in catalogue.slots.primary(leafs).chain(guests) {
        let Some(product) = catalogue.product_at(position, key.day) else {
            continue;
        };
        if !key.filter.is_empty() && !keeps(catalogue, &product, key) {
            continue;
        }
        total += 1;
        best.push(Reverse((worth(catalogue, &product, key), product.id)));
        if best.len() > WINDOW {
            best.pop();
        }
    }
    let ids = best
        .into_sorted_vec()
        .into_iter()
        .map(|Reverse((_, id))| id)
        .collect();
    let mut window = Window {
        total,
        ids,
        brands: Vec::new(),
        sellers: Vec::new(),
    };
    count_facets(catalogue, &mut window, key.day);
    window
}

fn keeps(catalogue: &Catalogue, product: &Product, key: &Key) -> bool {
    let draw = product.draw;
    let price = market::price(draw, catalogue.settings.pace, key.day).price;
    let sold = market::sold(market::sales_rate(draw), product.born, key.day);
    let rating = market::rating_tenths(draw, market::reviews(draw, sold));
    let seller = current_seller(catalogue, product, key.day);
    let brand = brand_id(catalogue, product);
    key.filter.keeps(price, brand, seller, rating)
}

/// Higher comes first; ties by the higher id.
fn worth(catalogue: &Catalogue, product: &Product, key: &Key) -> i64 {
    let rate = market::sales_rate(product.draw);
    let price = || market::price(product.draw, catalogue.settings.pace, key.day).price;
    match key.sort {
        Sort::Default => market::sold(rate, product.born, key.day),
        Sort::TopSeller => rate,
        Sort::Newest => product.born,
        Sort::PriceUp => -price(),
        Sort::PriceDown => price(),
    }
}

fn current_seller(catalogue: &Catalogue, product: &Product, day: i64) -> u64 {
    let count = offers::offer_count(product.draw);
    let at = market::current_offer(product.draw, count, catalogue.settings.pace, day);
    offers::seller_id(product.draw, at, catalogue.settings.products)
}

/// 0 for books, which have no brand.
fn brand_id(catalogue: &Catalogue, product: &Product) -> u64 {
    let kind = catalogue.kinds.get(catalogue.slots.leaf(product.position));
    if kind.is_some_and(|kind| kind.domain().books) {
        return 0;
    }
    offers::brand(product.draw).id
}

/// Counts brands and sellers over what the window shows (the site counts over all).
fn count_facets(catalogue: &Catalogue, window: &mut Window, day: i64) {
    let mut brands: BTreeMap<u64, u64> = BTreeMap::new();
    let mut sellers: BTreeMap<u64, u64> = BTreeMap::new();
    for product in window
        .ids
        .iter()
        .filter_map(|id| catalogue.product(*id, day))
    {
        *brands.entry(brand_id(catalogue, &product)).or_default() += 1;
        *sellers
            .entry(current_seller(catalogue, &product, day))
            .or_default() += 1;
    }
    brands.remove(&0);
    window.brands = top(brands, |id| {
        offers::brand_name(id).unwrap_or("OEM").to_owned()
    });
    window.sellers = top(sellers, offers::seller_name);
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
