//! A believed record: what a listing and a detail say about one product.
//!
//! Not here: its JSON form (`staged`), what changed since before (`fold`), computed columns
//! (`computed`).

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::fold::carry;
use crate::{Day, Detail, Instant, Listing, Look, Rejection, RejectionReason, Source, Values};

/// A value, when its page was fetched and which kind of page it was.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen<T> {
    /// What the page said.
    pub value: T,
    /// When it was fetched; a page from a cache keeps its first time.
    pub at: Instant,
    /// A listing kind for a `Listing`, a detail kind for a `Detail`; the other kind is read as the
    /// one that fits.
    pub source: Source,
}

/// What a product is called and where it stands: of the newer of listing and detail, missing fields
/// filled from the older. Texts are clean.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Never empty.
    pub name: String,
    /// Canonical: `https://tiki.vn/…`.
    pub url: String,
    /// The thumbnail.
    pub image_url: Option<String>,
    /// The last id of the listing's category path, else the detail's category if it is a leaf, else
    /// the first category in walk order that listed the product.
    pub category_id: Option<i64>,
    /// The listing's category ids from the root, such as `1/2/8322/316`.
    pub category_path: Option<String>,
    /// The site's word, `OEM` for no brand.
    pub brand: Option<String>,
    /// The seller's own number for the product; never that of another seller than the newer's.
    pub seller_sku: Option<String>,
    /// The site calls the shop official; never said of another seller than the newer's.
    pub seller_is_official: Option<bool>,
}

impl Identity {
    /// Makes the category that of the path, where there is one: a page that does not tell the path tells no
    /// other category either.
    pub fn keep_to_path(&mut self) {
        if let Some(id) = self.category_path.as_deref().and_then(last_id) {
            self.category_id = Some(id);
        }
    }
}

/// What only a detail says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Details {
    /// When the detail was fetched.
    pub observed_at: Instant,
    /// The master product's number.
    pub sku: Option<String>,
    /// The site's id of the brand.
    pub brand_id: Option<i64>,
    /// The seller that `seller_name` names.
    pub seller_id: Option<i64>,
    /// The seller's name, clean.
    pub seller_name: Option<String>,
    /// Text, one line per block.
    pub description: Option<String>,
    /// JSON text, see [`Detail::specifications`].
    pub specifications: Option<String>,
    /// JSON text, see [`Detail::images`].
    pub images: Option<String>,
    /// The site's word.
    pub stock_status: Option<String>,
    /// Pieces; 1000 is the site's placeholder.
    pub stock_quantity: Option<i64>,
    /// `YYYY-MM-DD` in Asia/Ho_Chi_Minh: the day of the detail less the days that the site says.
    pub site_created_on: Option<String>,
}

/// A believed record. Only [`Product::new`] and [`Product::from_staged`] make one, and both apply
/// every rule.
#[derive(Clone, PartialEq, Debug)]
pub struct Product {
    id: i64,
    looks: Vec<Look>,
    identity: Identity,
    details: Option<Details>,
}

/// What [`Product::from_staged`] read, before the rules.
pub(crate) struct Parts {
    pub(crate) id: i64,
    pub(crate) looks: Vec<Look>,
    pub(crate) identity: Identity,
    pub(crate) details: Option<Details>,
}

impl Product {
    /// The only maker. `listed_in` is the first category in walk order that listed the product;
    /// `is_leaf` answers from the tree that was walked. The detail's category counts as a leaf if
    /// the site or the tree says so.
    ///
    /// Rejected is only: id not positive, no name, price missing, negative or over
    /// [`PRICE_MAX`](crate::PRICE_MAX) in either half, two halves of different ids, or no half.
    pub fn new(
        listing: Option<Seen<Listing>>,
        detail: Option<Seen<Detail>>,
        listed_in: Option<i64>,
        is_leaf: impl Fn(i64) -> bool,
    ) -> Result<Self, Rejection> {
        if let Some(listing) = &listing {
            listing.value.check()?;
        }
        if let Some(detail) = &detail {
            detail.value.check()?;
        }
        let id = match (&listing, &detail) {
            (Some(listing), Some(detail)) if listing.value.product_id != detail.value.id => {
                let seen = format!("{} with {}", listing.value.product_id, detail.value.id);
                return Err(Rejection::new(
                    RejectionReason::ForeignBody,
                    Some("id"),
                    seen,
                ));
            }
            (Some(listing), _) => listing.value.product_id,
            (None, Some(detail)) => detail.value.id,
            (None, None) => {
                let seen = "neither a listing nor a detail";
                return Err(Rejection::new(RejectionReason::Nothing, None, seen));
            }
        };
        let looks = looks(listing.as_ref(), detail.as_ref());
        let mut identity = identity(listing, detail.as_ref());
        identity.category_id = identity
            .category_path
            .as_deref()
            .and_then(last_id)
            .or_else(|| leaf(detail.as_ref()?, is_leaf))
            .or(listed_in);
        Ok(Self {
            id,
            looks,
            identity,
            details: detail.map(details),
        })
    }

    /// For `staged`, which has applied every rule.
    pub(crate) fn from_parts(parts: Parts) -> Self {
        let Parts {
            id,
            looks,
            identity,
            details,
        } = parts;
        Self {
            id,
            looks,
            identity,
            details,
        }
    }

    /// The site's product id, positive.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// One or two looks in the order of their times; of two at one time one, the detail's,
    /// with what only the listing says.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// Name, address and place.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The time of the newer of listing and detail.
    pub fn identity_at(&self) -> Instant {
        self.looks
            .last()
            .map_or_else(|| Instant::from_millis(0), |look| look.observed_at)
    }

    /// What only a detail says; `None` without a detail.
    pub fn details(&self) -> Option<&Details> {
        self.details.as_ref()
    }
}

fn looks(listing: Option<&Seen<Listing>>, detail: Option<&Seen<Detail>>) -> Vec<Look> {
    let of_listing = listing.map(|seen| {
        let source = match seen.source {
            Source::Detail => Source::Listing,
            Source::DetailHtml => Source::ListingHtml,
            fitting => fitting,
        };
        look(seen.at, source, seen.value.values())
    });
    let of_detail = detail.map(|seen| {
        let source = match seen.source {
            Source::Listing => Source::Detail,
            Source::ListingHtml => Source::DetailHtml,
            fitting => fitting,
        };
        look(seen.at, source, seen.value.values())
    });
    match (of_listing, of_detail) {
        // At one time a detail beats a listing, wherever it says something.
        (Some(l), Some(mut d)) if l.observed_at == d.observed_at => {
            d.values = carry(&l.values, &d.values);
            vec![d]
        }
        (Some(l), Some(d)) if l.observed_at > d.observed_at => vec![d, l],
        (l, d) => l.into_iter().chain(d).collect(),
    }
}

fn look(observed_at: Instant, source: Source, values: Values) -> Look {
    Look {
        observed_at,
        source,
        gone: false,
        values,
    }
}

fn identity(listing: Option<Seen<Listing>>, detail: Option<&Seen<Detail>>) -> Identity {
    let listing_is_newer = listing.as_ref().map(|seen| seen.at) > detail.map(|seen| seen.at);
    let of_listing = listing.map(|seen| (seen.value.seller_id, listing_identity(seen.value)));
    let of_detail = detail.map(|seen| (seen.value.seller_id, detail_identity(&seen.value)));
    let (newer, older) = if listing_is_newer {
        (of_listing, of_detail)
    } else {
        (of_detail, of_listing)
    };
    match (newer, older) {
        (Some((new_seller, newer)), Some((old_seller, older))) => {
            let same_seller = new_seller.is_none() || new_seller == old_seller;
            fill(newer, older, same_seller)
        }
        (newer, older) => newer
            .or(older)
            .map(|(_, identity)| identity)
            .unwrap_or_default(),
    }
}

fn fill(newer: Identity, older: Identity, same_seller: bool) -> Identity {
    Identity {
        name: newer.name,
        url: newer.url,
        image_url: newer.image_url.or(older.image_url),
        category_id: None,
        category_path: newer.category_path.or(older.category_path),
        brand: newer.brand.or(older.brand),
        seller_sku: newer
            .seller_sku
            .or(older.seller_sku.filter(|_| same_seller)),
        seller_is_official: newer
            .seller_is_official
            .or(older.seller_is_official.filter(|_| same_seller)),
    }
}

fn listing_identity(listing: Listing) -> Identity {
    Identity {
        name: listing.name,
        url: listing.url,
        image_url: listing.image_url,
        category_id: None,
        category_path: listing.category_path,
        brand: listing.brand,
        seller_sku: listing.seller_sku,
        seller_is_official: listing.seller_is_official,
    }
}

fn detail_identity(detail: &Detail) -> Identity {
    Identity {
        name: detail.name.clone(),
        url: detail.url.clone(),
        image_url: detail.image_url.clone(),
        category_id: None,
        category_path: None,
        brand: detail.brand.clone(),
        seller_sku: detail.seller_sku.clone(),
        seller_is_official: detail.seller_is_official,
    }
}

fn leaf(detail: &Seen<Detail>, is_leaf: impl Fn(i64) -> bool) -> Option<i64> {
    let (id, _, said) = detail.value.category.as_ref()?;
    (*said || is_leaf(*id)).then_some(*id)
}

/// The category at the end of a path, such as 316 of `1/2/8322/316`.
fn last_id(path: &str) -> Option<i64> {
    path.rsplit('/').next()?.parse().ok().filter(|id| *id > 0)
}

fn details(seen: Seen<Detail>) -> Details {
    let Seen {
        value: detail, at, ..
    } = seen;
    let zone = TimeZone::fixed(jiff::tz::offset(7));
    Details {
        observed_at: at,
        sku: detail.sku,
        brand_id: detail.brand_id,
        seller_id: detail.seller_id,
        seller_name: detail.seller_name,
        description: detail.description,
        specifications: detail.specifications,
        images: detail.images,
        stock_status: detail.stock_status,
        stock_quantity: detail.stock_quantity,
        site_created_on: detail
            .day_ago_created
            .map(|days| at.day(&zone).minus_days(days).to_string())
            .filter(|day| is_common_day(day)),
    }
}

/// Whether a day lies in the years 1 to 9999, which every database has.
pub(crate) fn is_common_day(day: &str) -> bool {
    let parsed = day
        .parse::<Day>()
        .is_ok_and(|parsed| parsed.to_string() == day);
    parsed && !day.starts_with("0000")
}
