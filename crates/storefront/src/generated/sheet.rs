//! Everything that is known of one product on one day, before it takes the shape of an answer.

use serde_json::{Value, json};

use crate::draw::{Draw, Topic};
use crate::generated::market::{self, Price, Stock};
use crate::generated::offers::{self, Brand, Offer};
use crate::generated::words::ORIGINS;
use crate::generated::{Catalogue, text};
use crate::slug::slug;

/// One product in so many has a `url_key` that does not end in its id: 2 of 122,355 in a public
/// corpus.
const ODD_URL_ONE_IN: u64 = 60_000;

/// A product that is on the site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) id: u64,
    pub(crate) born: i64,
    pub(crate) draw: Draw,
    pub(crate) position: u64,
}

/// Its values on a day.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) id: u64,
    pub(crate) draw: Draw,
    pub(crate) age_days: i64,
    /// Place of the primary leaf in the tree.
    pub(crate) place: usize,
    pub(crate) name: String,
    pub(crate) url_key: String,
    /// Absent for books.
    pub(crate) brand: Option<Brand>,
    /// Of books.
    pub(crate) authors: Vec<String>,
    pub(crate) price: Price,
    pub(crate) sold: i64,
    pub(crate) reviews: i64,
    pub(crate) rating_tenths: i64,
    pub(crate) stock: Stock,
    /// The offer that the site shows first.
    pub(crate) offer: Offer,
    /// Which of the offers that is.
    pub(crate) offer_at: usize,
    pub(crate) offers: usize,
    pub(crate) origin: &'static str,
}

impl Sheet {
    pub(crate) fn of(catalogue: &Catalogue, product: &Product, day: i64) -> Self {
        let Product {
            id,
            born,
            draw,
            position,
        } = *product;
        let leaf = catalogue.slots.leaf(position);
        let place = catalogue.tree.leafs().get(leaf).copied().unwrap_or(0);
        let kind = catalogue.kinds.get(leaf).copied();
        let books = kind.is_some_and(|kind| kind.domain().books);
        let brand = (!books).then(|| offers::brand(draw));
        let name = match (&brand, kind) {
            (Some(brand), Some(kind)) => text::name(draw, kind.noun(), brand.name),
            _ => text::title(draw),
        };
        let people = if books {
            1 + draw.of(Topic::Brand).below(8) / 7
        } else {
            0
        };
        let authors = (0..people).map(|at| text::person(draw.of(Topic::Brand).at(20 + at)));
        let pace = catalogue.settings.pace;
        let sold = market::sold(market::sales_rate(draw), born, day);
        let reviews = market::reviews(draw, sold);
        let count = offers::offer_count(draw);
        let offer_at = market::current_offer(draw, count, pace, day);
        let odd = draw.of(Topic::Identity).one_in(ODD_URL_ONE_IN);
        let words = slug(&name);
        Self {
            id,
            draw,
            age_days: day - born,
            place,
            url_key: if odd { words } else { format!("{words}-p{id}") },
            name,
            brand,
            authors: authors.collect(),
            price: market::price(draw, &catalogue.settings, day),
            sold,
            reviews,
            rating_tenths: market::rating_tenths(draw, reviews),
            stock: market::stock(draw, day),
            offer: offers::offer(draw, id, offer_at, catalogue.settings.products),
            offer_at,
            offers: count,
            origin: draw.of(Topic::Badge).at(9).word(&ORIGINS),
        }
    }

    /// `<url_key>.html?spid=<spid>`.
    pub(crate) fn url_path(&self) -> String {
        format!("{}.html?spid={}", self.url_key, self.offer.spid)
    }

    /// An int where it can be one, else a float: the site does both.
    pub(crate) fn rating(&self) -> Value {
        if self.rating_tenths % 10 == 0 {
            json!(self.rating_tenths / 10)
        } else {
            json!(self.rating_tenths as f64 / 10.0)
        }
    }

    /// The seller's number for the product, 13 digits.
    pub(crate) fn seller_sku(&self) -> String {
        digits(self.draw.of(Topic::Seller).at(90 + self.offer_at as u64))
    }

    /// The site's own number for it, 13 digits.
    pub(crate) fn master_sku(&self) -> String {
        digits(self.draw.of(Topic::Identity).at(1))
    }

    /// Pictures, 0 to 14; the median is 4.
    pub(crate) fn image_count(&self) -> u64 {
        match self.draw.of(Topic::Image).below(100) {
            0 => 0,
            n @ 1..80 => 1 + n % 7,
            n => n % 15,
        }
    }

    /// The path of picture `at` below the image host. Nothing is served there.
    pub(crate) fn image(&self, at: u64) -> String {
        let draw = self.draw.of(Topic::Image).at(at);
        let name = format!("{:016x}{:016x}", draw.bits(), draw.at(1).bits());
        let (a, b, c) = (&name[0..2], &name[2..4], &name[4..6]);
        format!("ts/product/{a}/{b}/{c}/{name}.jpg")
    }

    pub(crate) fn thumbnail_url(&self) -> String {
        format!("https://salt.tikicdn.com/cache/280x280/{}", self.image(0))
    }

    pub(crate) fn is_authentic(&self) -> bool {
        self.offer.seller.official || self.draw.of(Topic::Badge).chance(30)
    }

    pub(crate) fn is_freeship(&self) -> bool {
        self.draw.of(Topic::Badge).at(1).chance(55)
    }

    pub(crate) fn is_fast(&self) -> bool {
        self.draw.of(Topic::Badge).at(2).chance(25)
    }

    pub(crate) fn is_top_brand(&self) -> bool {
        self.draw.of(Topic::Badge).at(3).chance(20)
    }
}

fn digits(draw: Draw) -> String {
    draw.between(1_000_000_000_000, 9_999_999_999_999)
        .to_string()
}
