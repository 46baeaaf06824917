//! What orders and filters need to know of each product of a category.
//!
//! A large leaf is asked in many slices of price, brand and seller, and each slice looks at all
//! of its products; so the values of the last large categories are kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::generated::sheet::Product;
use crate::generated::{Catalogue, market, offers};

/// Categories with fewer places are not worth it, their windows are kept anyway.
const MIN_PLACES: u64 = 2_000;
/// Categories with more places would take too much memory (64 bytes a product).
const MAX_PLACES: u64 = 200_000;
/// Tables that are kept.
const KEPT: usize = 4;
/// The brand of books.
pub(crate) const NO_BRAND: u64 = 0;

/// One product of a category on a day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) price: i64,
    pub(crate) brand: u64,
    /// Of the offer that the site shows first.
    pub(crate) seller: u64,
    pub(crate) rating_tenths: i64,
    pub(crate) sold: i64,
    /// Sales a day in thousandths.
    pub(crate) rate: i64,
    pub(crate) born: i64,
}

impl Row {
    fn of(catalogue: &Catalogue, product: &Product, day: i64) -> Self {
        let Product {
            id,
            born,
            draw,
            position,
        } = *product;
        let settings = &catalogue.settings;
        let rate = market::sales_rate(draw);
        let sold = market::sold(rate, born, day);
        let offers = offers::offer_count(draw);
        let offer = market::current_offer(draw, offers, settings.pace, day);
        let kind = catalogue.kinds.get(catalogue.slots.leaf(position));
        let books = kind.is_some_and(|kind| kind.domain().books);
        Self {
            id,
            price: market::price(draw, settings, day).price,
            brand: if books {
                NO_BRAND
            } else {
                offers::brand(draw).id
            },
            seller: offers::seller_id(draw, offer, settings.products),
            rating_tenths: market::rating_tenths(draw, market::reviews(draw, sold)),
            sold,
            rate,
            born,
        }
    }
}

/// The products of the category at `place`, each once.
pub(crate) fn rows(catalogue: &Catalogue, place: usize, day: i64) -> impl Iterator<Item = Row> {
    let leafs = &catalogue.tree.node(place).leafs;
    let guests = catalogue.slots.guests(leafs);
    let positions = catalogue.slots.primary(leafs).chain(guests);
    positions.filter_map(move |position| {
        let product = catalogue.product_at(position, day)?;
        Some(Row::of(catalogue, &product, day))
    })
}

/// A place, a day, and the rows of that place on that day.
type Kept = (usize, i64, Arc<[Row]>);

/// The tables of the large categories that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<VecDeque<Kept>>);

impl Tables {
    /// None where a table is not worth it or too large.
    pub(crate) fn of(&self, catalogue: &Catalogue, place: usize, day: i64) -> Option<Arc<[Row]>> {
        let primary = catalogue.slots.primary(&catalogue.tree.node(place).leafs);
        if !(MIN_PLACES..=MAX_PLACES).contains(&(primary.end - primary.start)) {
            return None;
        }
        // Held while a table is made: who asks for the same one shall not make it again.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |(at, on, _): &&Kept| (*at, *on) == (place, day);
        if let Some((_, _, table)) = kept.iter().find(known) {
            return Some(Arc::clone(table));
        }
        let table: Arc<[Row]> = rows(catalogue, place, day).collect();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back((place, day, Arc::clone(&table)));
        Some(table)
    }
}
