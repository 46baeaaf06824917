//! Who sells a product and under which name it is made: sellers, brands, offers, variants.

use crate::draw::{Draw, Topic};
use crate::generated::words::{BRANDS, COLOURS, SELLERS, SIZES};
use crate::slug::slug;

/// The site's own shop.
const OWN_SELLER: u64 = 1;
/// The site's "no brand" brand.
const NO_BRAND_ID: u64 = 111_461;

/// A shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seller {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) store_id: u64,
    pub(crate) official: bool,
    pub(crate) best_store: bool,
    pub(crate) logo: String,
}

impl Seller {
    /// The shop with this id. Ids: 1, then 100, 107, 114 …
    fn with_id(id: u64) -> Self {
        let draw = Draw::new(id).of(Topic::Seller);
        let picture = format!("{:016x}{:016x}", draw.at(1).bits(), draw.at(2).bits());
        let (a, b) = picture.split_at(4);
        // Absolute at some sellers, a relative path at others.
        let prefix = if draw.at(3).chance(50) {
            "https://vcdn.tikicdn.com/ts/seller/"
        } else {
            ""
        };
        let name = if id == OWN_SELLER {
            "Tiki Trading".to_owned()
        } else {
            let word = draw.word(&SELLERS);
            let branch = id / 7 / SELLERS.len() as u64;
            if branch == 0 {
                word.to_owned()
            } else {
                format!("{word} {branch}")
            }
        };
        Self {
            id,
            name,
            store_id: 30_000 + id,
            official: id == OWN_SELLER || draw.at(4).chance(15),
            best_store: draw.at(5).chance(5),
            logo: format!("{prefix}{a}/{b}.jpg"),
        }
    }

    pub(crate) fn link(&self) -> String {
        format!("https://tiki.vn/cua-hang/{}", slug(&self.name))
    }
}

/// One seller's offer of a product.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) seller: Seller,
    pub(crate) spid: u64,
    /// Compared with the current offer, percent.
    pub(crate) price_percent: i64,
}

/// How many offers a product has.
pub(crate) fn offer_count(product: Draw) -> usize {
    let draw = product.of(Topic::Seller);
    if draw.at(1).chance(72) {
        1
    } else {
        draw.at(2).between(2, 4) as usize
    }
}

/// The id of the seller behind offer `at`; a third of the offers are the site's own.
pub(crate) fn seller_id(product: Draw, at: usize, products: u64) -> u64 {
    let draw = product.of(Topic::Seller).at(10 + at as u64);
    if at == 0 && draw.chance(34) {
        return OWN_SELLER;
    }
    // Long-tailed: the product of two draws favours the first shops.
    let shops = (products / 40).clamp(8, 60_000);
    let rank = draw.at(1).below(draw.at(2).below(shops) + 1);
    100 + rank * 7
}

/// The seller product id of offer or variant `at` of product `id`.
pub(crate) fn spid(id: u64, at: usize) -> u64 {
    id + 2 + 2 * at as u64
}

/// Offer `at` of product `id`.
pub(crate) fn offer(product: Draw, id: u64, at: usize, products: u64) -> Offer {
    Offer {
        seller: Seller::with_id(seller_id(product, at, products)),
        spid: spid(id, at),
        price_percent: product.of(Topic::Offer).at(50 + at as u64).between(97, 118),
    }
}

/// A maker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Brand {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
}

/// The brand of a product that is no book: three in ten have none, which the site calls OEM.
pub(crate) fn brand(product: Draw) -> Brand {
    let draw = product.of(Topic::Brand);
    if draw.chance(30) {
        return Brand {
            id: NO_BRAND_ID,
            name: "OEM",
        };
    }
    // Smaller numbers are more frequent.
    let rank = draw.at(1).below(draw.at(2).below(BRANDS.len() as u64) + 1);
    brand_at(rank)
}

fn brand_at(rank: u64) -> Brand {
    let name = BRANDS.get(rank as usize).copied().unwrap_or("OEM");
    Brand {
        id: 20_000 + rank * 13,
        name,
    }
}

/// The name of a brand id.
pub(crate) fn brand_name(id: u64) -> Option<&'static str> {
    if id == NO_BRAND_ID {
        return Some("OEM");
    }
    let rank = id.checked_sub(20_000)? / 13;
    let brand = BRANDS.get(rank as usize)?;
    (brand_at(rank).id == id).then_some(brand)
}

/// The name of a seller id.
pub(crate) fn seller_name(id: u64) -> String {
    Seller::with_id(id).name
}

/// A choice within a configurable product.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) child_id: u64,
    pub(crate) spid: u64,
    pub(crate) option1: &'static str,
    pub(crate) option2: Option<&'static str>,
    /// Compared with the product's price, percent.
    pub(crate) price_percent: i64,
}

/// The variants of a product; empty for a simple one. Only a product with a single offer has
/// variants here (on the site both go together).
pub(crate) fn variants(product: Draw, id: u64) -> Vec<Variant> {
    let draw = product.of(Topic::Variant);
    if offer_count(product) > 1 || !draw.chance(12) {
        return Vec::new();
    }
    let count = draw.at(1).between(2, 6) as usize;
    let two = draw.at(2).chance(40);
    (0..count)
        .map(|at| Variant {
            child_id: spid(id, at) - 1,
            spid: spid(id, at),
            option1: COLOURS[at % COLOURS.len()],
            option2: two.then(|| SIZES[at % SIZES.len()]),
            price_percent: if at > 0 && draw.at(3).chance(30) {
                100 + 5 * at as i64
            } else {
                100
            },
        })
        .collect()
}
