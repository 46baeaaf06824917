//! How a category is listed whole although the site shows only [`WINDOW`] products of any listing:
//! by windows of prices, and where one price has too many products, by brand, by seller and in
//! other orders.
//!
//! Not here: asking and counting (`crawl`, `warehouse`), when a level of a crowded price has shown
//! enough (`warehouse`), what a slice is (`slice`).

use crate::facets::{Facet, Facets};
use crate::listing::{ListingAnswer, ListingItem};
use crate::slice::{Order, Slice};

/// Products that the site shows of one listing at most.
pub const WINDOW: i64 = 2_000;

/// The highest price of the windows, đồng: fifty times the dearest product ever seen.
pub const PRICE_TOP: i64 = 10_000_000_000;

/// What to do after the first page of a slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Split {
    /// The site shows all of it: read pages 2 to `last`.
    Pages {
        /// The last page that is not empty, as the site says; below 2 when the first was all.
        last: i64,
    },
    /// Too many products: list these instead. They are 2 to 4 windows of prices without a common
    /// price, each smaller than the slice, and together they are the slice.
    Into(Vec<Slice>),
    /// Too many products, and no window to cut: read pages 2 to `last`, and later what
    /// [`crowded_more`] names.
    Crowded {
        /// The last page that is not empty, as the site says.
        last: i64,
    },
}

/// What the answer of a slice's first page means for it. `None`: the site did not say how much
/// there is, so the pages are asked one by one until one is empty.
pub fn split(slice: &Slice, answer: &ListingAnswer) -> Option<Split> {
    let paging = answer.paging?;
    let last = paging.last_page;
    // The site never says a number above the window, so one that says it shows just a part.
    if paging.total < WINDOW {
        return Some(Split::Pages { last });
    }
    if slice.brand.is_some() || slice.seller.is_some() || slice.order != Order::TopSeller {
        return Some(Split::Crowded { last });
    }
    let window = slice.price.unwrap_or((0, PRICE_TOP));
    let mut prices = prices(answer);
    let seen = prices.len();
    prices.retain(|price| (window.0..=window.1).contains(price));
    // A site that does not heed the window would be cut down to every single price.
    if slice.price.is_some() && prices.len() * 2 <= seen {
        return Some(Split::Pages { last });
    }
    if window.0 >= window.1 {
        return Some(Split::Crowded { last });
    }
    prices.sort_unstable();
    let cut = |(low, high)| Slice {
        price: Some((low, high)),
        ..*slice
    };
    Some(Split::Into(windows(window, &prices).map(cut).collect()))
}

/// The slices that show more of a slice that is [`Split::Crowded`], level by level: 1 each brand,
/// 2 each seller, 3 the other orders. A brand's slice has no level 1 and a seller's no level 2. Any
/// other level is empty.
///
/// `facets` are those of the slice. Brands [merged](Facets::merge) from all slices of the category
/// find more, as a site names only the largest ones of each; merged sellers cost more than they
/// find.
pub fn crowded_more(slice: &Slice, facets: &Facets, level: u8) -> Vec<Slice> {
    if slice.order != Order::TopSeller {
        return Vec::new();
    }
    let filled = |facet: &&Facet| facet.count != Some(0);
    match level {
        1 if slice.brand.is_none() => {
            let brands = facets.brands.iter().filter(filled);
            let only = |facet: &Facet| Slice {
                brand: Some(facet.id),
                ..*slice
            };
            brands.map(only).collect()
        }
        2 if slice.seller.is_none() => {
            let sellers = facets.sellers.iter().filter(filled);
            let only = |facet: &Facet| Slice {
                seller: Some(facet.id),
                ..*slice
            };
            sellers.map(only).collect()
        }
        3 => {
            let in_order = |order: &Order| Slice {
                order: *order,
                ..*slice
            };
            orders(slice).iter().map(in_order).collect()
        }
        _ => Vec::new(),
    }
}

/// The orders that show other products than the best sellers. At one price an order by price would
/// show whatever comes first.
fn orders(slice: &Slice) -> &'static [Order] {
    match slice.price {
        Some((low, high)) if low >= high => &[Order::Newest, Order::Popular],
        _ => &[
            Order::Newest,
            Order::Popular,
            Order::Cheapest,
            Order::Dearest,
        ],
    }
}

/// The prices of an answer's products, advertisements left out.
fn prices(answer: &ListingAnswer) -> Vec<i64> {
    let price = |item: &ListingItem| match item {
        ListingItem::Organic(listing) => listing.price,
        ListingItem::Ad { .. } | ListingItem::Malformed(_) => None,
    };
    answer.items.iter().filter_map(price).collect()
}

/// A window in parts, from the sorted prices seen in it.
fn windows((low, high): (i64, i64), prices: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    let mut cuts = match crowd(prices) {
        Some(price) => vec![price.saturating_sub(1), price],
        None => quartiles(prices),
    };
    // A cut is the last price of a window; the highest price of all ends the last one.
    cuts.retain(|cut| (low..high).contains(cut));
    cuts.dedup();
    if cuts.is_empty() {
        cuts.push(middle(low, high));
    }
    let starts: Vec<i64> = cuts.iter().map(|cut| cut + 1).collect();
    std::iter::once(low)
        .chain(starts)
        .zip(cuts.into_iter().chain([high]))
}

/// The price that more than 30 % of the products have.
fn crowd(prices: &[i64]) -> Option<i64> {
    let same = prices.chunk_by(|a, b| a == b);
    let largest = same.max_by_key(|same| same.len())?;
    let crowded = largest.len() * 10 > prices.len() * 3;
    largest.first().copied().filter(|_| crowded)
}

/// Up to three prices that leave about as many products on either side. A cut at a price leaves
/// that price below it, so a round price ends a window and is found to be crowded soon.
fn quartiles(prices: &[i64]) -> Vec<i64> {
    let at = |quarter: usize| prices.get((prices.len() * quarter / 4).checked_sub(1)?);
    (1..4).filter_map(at).copied().collect()
}

/// The geometric middle of a window; below `high`, never below `low`.
fn middle(low: i64, high: i64) -> i64 {
    let log = |price: i64| (price as f64).ln_1p();
    let middle = f64::midpoint(log(low), log(high)).exp_m1() as i64;
    middle.clamp(low, high - 1)
}
