//! Products as a page of a category shows them, in both of the site's schemas: the envelope of the
//! JSON API and the state of the HTML page, reduced by `next_data`.
//!
//! Not here: which item of several wins, and positions (`pipeline`).

use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3Default;

use crate::address::{image_url, product_url};
use crate::columns;
use crate::facets::{Facets, RawFilter, facets};
use crate::json::{self, List, Object, Present, Scalar};
use crate::quantity::parse_quantity;
use crate::text::clean_some;
use crate::{Rejection, RejectionReason, Values};

/// A product as a listing page shows it. Texts are clean; an empty one is `None`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    /// The site's product id (master product), positive.
    pub product_id: i64,
    /// The offer that is shown (seller product id).
    pub spid: Option<i64>,
    /// Canonical: `https://tiki.vn/<url_path>`.
    pub url: String,
    /// Clean; empty where the site sent none (then [`check`](Self::check) refuses it).
    pub name: String,
    /// The thumbnail.
    pub image_url: Option<String>,
    /// The site's word, `OEM` for no brand.
    pub brand: Option<String>,
    /// The seller's own number for the product.
    pub seller_sku: Option<String>,
    /// The seller whose offer is shown.
    pub seller_id: Option<i64>,
    /// The site calls the shop official.
    pub seller_is_official: Option<bool>,
    /// Category ids from the root, such as `1/2/8322/316`.
    pub category_path: Option<String>,
    /// đồng, as the site wrote it: [`check`](Self::check) knows the bounds.
    pub price: Option<i64>,
    /// đồng, never below `price`.
    pub original_price: Option<i64>,
    /// Percent off: the site's integer, else rounded half up.
    pub discount_percent: Option<i64>,
    /// Pieces sold since the product exists.
    pub sales_count: Option<i64>,
    /// 0.0 to 5.0; `None` without reviews.
    pub rating_average: Option<f64>,
    /// Reviews since the product exists.
    pub review_count: Option<i64>,
}

/// An element of a listing.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every item is organic")]
pub enum ListingItem {
    /// A product in its place.
    Organic(Listing),
    /// An advertisement, which repeats a product.
    Ad {
        /// The product it advertises.
        product_id: Option<i64>,
    },
    /// An element without a positive id.
    Malformed(Rejection),
}

/// Where a page stands among the pages of its category.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paging {
    /// From 1.
    pub current_page: i64,
    /// The last page that is not empty.
    pub last_page: i64,
    /// Organic items of a page.
    pub per_page: i64,
    /// Items of all pages; the site stops at 2,000.
    pub total: i64,
}

/// One page of a category.
#[derive(Clone, PartialEq, Debug)]
pub struct ListingAnswer {
    /// In the site's order; empty past the end.
    pub items: Vec<ListingItem>,
    /// `None` where the site left it out.
    pub paging: Option<Paging>,
    /// Empty where the site left them out.
    pub facets: Facets,
}

impl Listing {
    /// A hash of what makes a detail worth another look: name, url, thumbnail, spid, seller id,
    /// price and original price. The same in every version and on every machine.
    pub fn fingerprint(&self) -> i64 {
        let mut hash = Xxh3Default::new();
        frame_text(&mut hash, Some(&self.name));
        frame_text(&mut hash, Some(&self.url));
        frame_text(&mut hash, self.image_url.as_deref());
        for number in [self.spid, self.seller_id, self.price, self.original_price] {
            match number {
                None => hash.update(&[0]),
                Some(value) => {
                    hash.update(&[1]);
                    hash.update(&value.to_le_bytes());
                }
            }
        }
        hash.digest().cast_signed()
    }

    /// The rejection rules, as [`Product::new`](crate::Product::new) applies them.
    pub fn check(&self) -> Result<(), Rejection> {
        columns::check(self.product_id, &self.name, self.price)
    }

    /// What this says of the columns that change from look to look.
    pub(crate) fn values(&self) -> Values {
        Values {
            price: self.price,
            original_price: self.original_price,
            discount_percent: self.discount_percent,
            sales_count: self.sales_count,
            rating_average: self.rating_average,
            review_count: self.review_count,
            seller_id: self.seller_id,
            spid: self.spid,
            stock_status: None,
            stock_quantity: None,
        }
    }
}

/// Length and bytes, so that no two lists of fields give the same input to the hash.
fn frame_text(hash: &mut Xxh3Default, text: Option<&str>) {
    let Some(text) = text else {
        return hash.update(&[0]);
    };
    hash.update(&[1]);
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAnswer<'a> {
    #[serde(borrow)]
    data: List<&'a RawValue>,
    #[serde(borrow)]
    paging: Object<RawPaging<'a>>,
    #[serde(borrow)]
    filters: List<Object<RawFilter<'a>>>,
    error: Present,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawPaging<'a> {
    #[serde(borrow)]
    current_page: Scalar<'a>,
    #[serde(borrow)]
    last_page: Scalar<'a>,
    #[serde(borrow)]
    per_page: Scalar<'a>,
    #[serde(borrow)]
    total: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawItem<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    seller_product_id: Scalar<'a>,
    #[serde(borrow)]
    seller_id: Scalar<'a>,
    #[serde(borrow)]
    sku: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    url_key: Scalar<'a>,
    #[serde(borrow)]
    url_path: Scalar<'a>,
    #[serde(borrow)]
    thumbnail_url: Scalar<'a>,
    #[serde(borrow)]
    brand_name: Scalar<'a>,
    #[serde(borrow)]
    primary_category_path: Scalar<'a>,
    #[serde(borrow)]
    price: Scalar<'a>,
    #[serde(borrow)]
    original_price: Scalar<'a>,
    #[serde(borrow)]
    discount_rate: Scalar<'a>,
    #[serde(borrow)]
    rating_average: Scalar<'a>,
    #[serde(borrow)]
    review_count: Scalar<'a>,
    #[serde(borrow)]
    quantity_sold: Object<RawSold<'a>>,
    #[serde(borrow)]
    is_from_official_store: Scalar<'a>,
    #[serde(borrow)]
    visible_impression_info: Object<RawVisible<'a>>,
    #[serde(borrow)]
    impression_info: List<Object<RawImpression<'a>>>,
    #[serde(borrow)]
    advertisement: Option<&'a RawValue>,
}

/// `{"text": "Đã bán 2k", "value": 2326}`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct RawSold<'a> {
    #[serde(borrow)]
    text: Scalar<'a>,
    #[serde(borrow)]
    value: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawVisible<'a> {
    #[serde(borrow)]
    amplitude: Object<RawAmplitude<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAmplitude<'a> {
    #[serde(borrow)]
    seller_type: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawImpression<'a> {
    #[serde(borrow)]
    metadata: Object<RawMetadata<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawMetadata<'a> {
    #[serde(borrow)]
    is_ad: Scalar<'a>,
}

/// The items of `{"data": […], "paging": {…}, "filters": […]}`, of either schema.
pub fn parse_listing(body: &[u8]) -> Result<ListingAnswer, Rejection> {
    json::read(body, |body| {
        let raw: RawAnswer<'_> = json::object(body)?;
        let Some(data) = raw.data.0 else {
            return Err(json::unexpected(raw.error, "data", body));
        };
        let items = data.iter().map(|element| element_of(element)).collect();
        Ok(ListingAnswer {
            items,
            paging: raw.paging.0.as_ref().and_then(paging),
            facets: facets(&raw.filters),
        })
    })
}

fn paging(raw: &RawPaging<'_>) -> Option<Paging> {
    Some(Paging {
        current_page: raw.current_page.count()?,
        last_page: raw.last_page.count()?,
        per_page: raw.per_page.count()?,
        total: raw.total.count()?,
    })
}

/// Each element by itself: what cannot be read of one is not to take the others along.
fn element_of(raw: &RawValue) -> ListingItem {
    let body = raw.get().as_bytes();
    if body.first() != Some(&b'{') {
        let seen = "an item that is no object";
        return ListingItem::Malformed(Rejection::new(RejectionReason::BadId, None, seen));
    }
    let read = json::read(body, |body| json::object(body).map(|raw| item(&raw)));
    read.unwrap_or_else(ListingItem::Malformed)
}

fn item(raw: &RawItem<'_>) -> ListingItem {
    if is_ad(raw) {
        return ListingItem::Ad {
            product_id: raw.id.id(),
        };
    }
    match raw.id.id() {
        Some(id) => ListingItem::Organic(listing(raw, id)),
        None => ListingItem::Malformed(Rejection::new(RejectionReason::BadId, Some("id"), &raw.id)),
    }
}

fn is_ad(raw: &RawItem<'_>) -> bool {
    let marked = raw.impression_info.iter().any(|impression| {
        let metadata = impression
            .0
            .as_ref()
            .and_then(|info| info.metadata.0.as_ref());
        metadata.is_some_and(|metadata| metadata.is_ad.flag() == Some(true))
    });
    marked
        || raw
            .advertisement
            .is_some_and(|value| !NOTHING.contains(&value.get()))
}

/// Ways to say that an item is no advertisement.
const NOTHING: [&str; 6] = ["null", "false", "0", "\"\"", "{}", "[]"];

fn listing(raw: &RawItem<'_>, product_id: i64) -> Listing {
    let price = raw.price.money();
    // `list_price` is always 0 in listings.
    let (original_price, discount_percent) =
        columns::discount(price, raw.original_price.money(), raw.discount_rate.int());
    let review_count = raw.review_count.count();
    Listing {
        product_id,
        spid: raw.seller_product_id.id(),
        url: product_url(raw.url_path.text(), raw.url_key.text(), product_id),
        name: clean_some(raw.name.text()).unwrap_or_default(),
        image_url: raw.thumbnail_url.text().and_then(image_url),
        brand: clean_some(raw.brand_name.text()),
        seller_sku: clean_some(raw.sku.printed().as_deref()),
        seller_id: raw.seller_id.id(),
        seller_is_official: seller_is_official(raw),
        category_path: raw.primary_category_path.text().and_then(category_path),
        price,
        original_price,
        discount_percent,
        sales_count: raw.quantity_sold.0.as_ref().and_then(sold),
        rating_average: columns::rating(raw.rating_average.real(), review_count),
        review_count,
    }
}

/// The exact number, else the one in the text.
pub(crate) fn sold(raw: &RawSold<'_>) -> Option<i64> {
    raw.value
        .count()
        .or_else(|| parse_quantity(raw.text.text()?))
}

/// Both the API and the HTML schema say it in the tracking data. The flag of the HTML schema was seen to be
/// false of every item, official shops' too, so it counts only where nothing else is said.
fn seller_is_official(raw: &RawItem<'_>) -> Option<bool> {
    let tracked = raw.visible_impression_info.0.as_ref();
    let tracked = tracked.and_then(|info| info.amplitude.0.as_ref()?.seller_type.text());
    match tracked.map(str::trim) {
        Some(word) if !word.is_empty() => Some(word == "OFFICIAL_STORE"),
        _ => raw.is_from_official_store.flag(),
    }
}

/// Positive ids with slashes between them.
pub(crate) fn category_path(text: &str) -> Option<String> {
    let text = text.trim();
    let is_id = |part: &str| {
        part.bytes().all(|b| b.is_ascii_digit()) && part.parse::<i64>().is_ok_and(|id| id > 0)
    };
    (text.len() <= 200 && text.split('/').all(is_id)).then(|| text.to_owned())
}
