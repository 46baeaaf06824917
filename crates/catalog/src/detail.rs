//! A product as its own page shows it, in every era of the site's answers (2021 to 2026).
//!
//! Not here: whether it is believed together with a listing (`product`).

use serde::Deserialize;

use crate::address::{image_url, product_url};
use crate::attributes::{RawGroup, RawImage, image_urls, specifications};
use crate::columns;
use crate::description::description_text;
use crate::json::{self, List, Object, Present, Scalar};
use crate::listing::{RawSold, sold};
use crate::outline::outline;
use crate::text::{clean_some, decode, tidy};
use crate::{Rejection, RejectionReason, Values};

/// A product as its own page shows it. Texts are clean; an empty one is `None`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Detail {
    /// The site's product id (master product), positive.
    pub id: i64,
    /// The offer that is shown: the product id of the current seller.
    pub spid: Option<i64>,
    /// The master product's number.
    pub sku: Option<String>,
    /// The current seller's own number for the product.
    pub seller_sku: Option<String>,
    /// Clean, never empty.
    pub name: String,
    /// Canonical: `https://tiki.vn/<url_path>`.
    pub url: String,
    /// The thumbnail, else the first image.
    pub image_url: Option<String>,
    /// Id, name and whether the site calls it a leaf.
    pub category: Option<(i64, String, bool)>,
    /// Category ids from the root down.
    pub breadcrumbs: Vec<i64>,
    /// The site's id of the brand.
    pub brand_id: Option<i64>,
    /// The site's word, `OEM` for no brand.
    pub brand: Option<String>,
    /// The current seller.
    pub seller_id: Option<i64>,
    /// The current seller's name.
    pub seller_name: Option<String>,
    /// Always `None` today: details do not say it.
    pub seller_is_official: Option<bool>,
    /// đồng, 0 to [`PRICE_MAX`](crate::PRICE_MAX); never `None` in what [`parse_detail`] returns.
    pub price: Option<i64>,
    /// đồng, never below `price` (`list_price` in 2021).
    pub original_price: Option<i64>,
    /// Percent off: the site's integer, else rounded half up.
    pub discount_percent: Option<i64>,
    /// Pieces sold since the product exists.
    pub sales_count: Option<i64>,
    /// 0.0 to 5.0; `None` without reviews.
    pub rating_average: Option<f64>,
    /// Reviews since the product exists.
    pub review_count: Option<i64>,
    /// The site's word, such as `available` or `discontinued`.
    pub stock_status: Option<String>,
    /// Pieces; 1000 is the site's placeholder.
    pub stock_quantity: Option<i64>,
    /// Text, see [`description_text`].
    pub description: Option<String>,
    /// JSON text: `[{"name", "attributes": [{"code"?, "name", "value"}]}]`.
    pub specifications: Option<String>,
    /// JSON text: an array of addresses.
    pub images: Option<String>,
    /// Whole days between the product's creation and the answer.
    pub day_ago_created: Option<i64>,
}

/// Far more days than the site exists.
const DAYS_MAX: i64 = 36_500;

/// The longest number of a product, in characters: an index of PostgreSQL takes no text of more than 2,704 bytes.
const SKU_MAX_CHARS: usize = 255;

impl Detail {
    /// The rejection rules, as [`Product::new`](crate::Product::new) applies them.
    pub fn check(&self) -> Result<(), Rejection> {
        columns::check(self.id, &self.name, self.price)
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
            stock_status: self.stock_status.clone(),
            stock_quantity: self.stock_quantity,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawDetail<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
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
    price: Scalar<'a>,
    #[serde(borrow)]
    list_price: Scalar<'a>,
    #[serde(borrow)]
    original_price: Scalar<'a>,
    #[serde(borrow)]
    discount_rate: Scalar<'a>,
    #[serde(borrow)]
    rating_average: Scalar<'a>,
    #[serde(borrow)]
    review_count: Scalar<'a>,
    #[serde(borrow)]
    all_time_quantity_sold: Scalar<'a>,
    #[serde(borrow)]
    quantity_sold: Object<RawSold<'a>>,
    #[serde(borrow)]
    inventory_status: Scalar<'a>,
    #[serde(borrow)]
    stock_item: Object<RawStock<'a>>,
    #[serde(borrow)]
    brand: Object<RawNamed<'a>>,
    #[serde(borrow)]
    categories: Object<RawNamed<'a>>,
    #[serde(borrow)]
    breadcrumbs: List<Object<RawCrumb<'a>>>,
    #[serde(borrow)]
    current_seller: Object<RawSeller<'a>>,
    #[serde(borrow)]
    specifications: List<Object<RawGroup<'a>>>,
    #[serde(borrow)]
    images: List<Object<RawImage<'a>>>,
    #[serde(borrow)]
    description: Scalar<'a>,
    #[serde(borrow)]
    day_ago_created: Scalar<'a>,
    error: Present,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawStock<'a> {
    #[serde(borrow)]
    qty: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawNamed<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    is_leaf: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawCrumb<'a> {
    #[serde(borrow)]
    category_id: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSeller<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    sku: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    product_id: Scalar<'a>,
}

/// The product of a detail's body, or of a product page reduced by
/// [`reduce_html`](crate::reduce_html). `asked` is the id that was asked for. Every rejection rule
/// is applied.
pub fn parse_detail(body: &[u8], asked: i64) -> Result<Detail, Rejection> {
    json::read(body, |body| {
        let raw: RawDetail<'_> = json::object(body)?;
        let detail = detail(&raw, asked_id(&raw.id, raw.error, body, asked)?);
        detail.check()?;
        Ok(detail)
    })
}

/// Whether a body is a detail that [`parse_detail`] makes a record of, for a fraction of its cost: only
/// what the rejection rules ask for is looked at. (So a body that says any other field twice is
/// found out only by `parse_detail`.)
pub fn judge_detail(body: &[u8], asked: i64) -> Result<(), Rejection> {
    json::read(body, |body| {
        let raw = match RawJudged::outlined(body) {
            Some(raw) => raw,
            None => json::object(body)?,
        };
        let id = asked_id(&raw.id, raw.error, body, asked)?;
        let name = clean_some(raw.name.text()).unwrap_or_default();
        columns::check(id, &name, raw.price.money())
    })
}

/// The fields of [`RawDetail`] that the rejection rules ask for.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RawJudged<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    price: Scalar<'a>,
    error: Present,
}

impl<'a> RawJudged<'a> {
    /// The short way, for nearly every body; `None`: this one takes the long way.
    fn outlined(body: &'a [u8]) -> Option<Self> {
        let [id, name, price, error] = outline(body, ["id", "name", "price", "error"])?;
        Some(Self {
            id: field(id)?,
            name: field(name)?,
            price: field(price)?,
            error: field(error)?,
        })
    }
}

/// A field that may be absent; `None`: it cannot be read.
fn field<'a, T: Deserialize<'a> + Default>(value: Option<&'a [u8]>) -> Option<T> {
    value.map_or_else(
        || Some(T::default()),
        |value| serde_json::from_slice(value).ok(),
    )
}

/// The id of the body, which must be the one that was asked.
fn asked_id(id: &Scalar<'_>, error: Present, body: &[u8], asked: i64) -> Result<i64, Rejection> {
    let Some(id) = id.id() else {
        if error.0 {
            return Err(json::unexpected(error, "error", body));
        }
        return Err(Rejection::new(RejectionReason::BadId, Some("id"), id));
    };
    if id == asked {
        return Ok(id);
    }
    let seen = format!("{id} where {asked} was asked");
    Err(Rejection::new(
        RejectionReason::ForeignBody,
        Some("id"),
        seen,
    ))
}

fn detail(raw: &RawDetail<'_>, id: i64) -> Detail {
    let price = raw.price.money();
    let original = raw.original_price.money().filter(|value| *value > 0);
    let (original_price, discount_percent) = columns::discount(
        price,
        original.or_else(|| raw.list_price.money()),
        raw.discount_rate.int(),
    );
    let review_count = raw.review_count.count();
    let seller = raw.current_seller.0.as_ref();
    let brand = raw.brand.0.as_ref();
    let images = image_urls(&raw.images);
    let description = raw.description.text().map(description_text);
    Detail {
        id,
        spid: seller.and_then(|seller| seller.product_id.id()),
        sku: raw.sku.printed().as_deref().and_then(sku),
        seller_sku: seller.and_then(|seller| clean_some(seller.sku.printed().as_deref())),
        name: clean_some(raw.name.text()).unwrap_or_default(),
        url: product_url(raw.url_path.text(), raw.url_key.text(), id),
        image_url: raw
            .thumbnail_url
            .text()
            .and_then(image_url)
            .or_else(|| images.first().cloned()),
        category: raw.categories.0.as_ref().and_then(category),
        breadcrumbs: raw
            .breadcrumbs
            .iter()
            .filter_map(|crumb| crumb.0.as_ref()?.category_id.id())
            .take(20)
            .collect(),
        brand_id: brand.and_then(|brand| brand.id.id()),
        brand: brand.and_then(|brand| clean_some(brand.name.text())),
        seller_id: seller.and_then(|seller| seller.id.id()),
        seller_name: seller.and_then(|seller| clean_some(seller.name.text())),
        seller_is_official: None,
        price,
        original_price,
        discount_percent,
        sales_count: raw
            .all_time_quantity_sold
            .count()
            .or_else(|| raw.quantity_sold.0.as_ref().and_then(sold)),
        rating_average: columns::rating(raw.rating_average.real(), review_count),
        review_count,
        stock_status: clean_some(raw.inventory_status.text()),
        stock_quantity: raw
            .stock_item
            .0
            .as_ref()
            .and_then(|stock| stock.qty.count()),
        description: description.filter(|text| !text.is_empty()),
        specifications: specifications(&raw.specifications),
        images: if images.is_empty() {
            None
        } else {
            serde_json::to_string(&images).ok()
        },
        day_ago_created: raw.day_ago_created.count().filter(|days| *days <= DAYS_MAX),
    }
}

fn sku(text: &str) -> Option<String> {
    let text = tidy(&decode(text), SKU_MAX_CHARS);
    (!text.is_empty()).then_some(text)
}

fn category(raw: &RawNamed<'_>) -> Option<(i64, String, bool)> {
    let name = clean_some(raw.name.text()).unwrap_or_default();
    Some((raw.id.id()?, name, raw.is_leaf.flag().unwrap_or(false)))
}
