//! A look: what one page said about one product at one time.

use crate::Instant;

/// Which kind of page said it. Ordered by weight: at one time the later one wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// A category's page, taken from its HTML.
    ListingHtml,
    /// A category's page of the JSON API.
    Listing,
    /// A product's page, taken from its HTML.
    DetailHtml,
    /// A product of the JSON API.
    Detail,
}

impl Source {
    /// The word stored in `observations.source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ListingHtml => "listing-html",
            Self::Listing => "listing",
            Self::DetailHtml => "detail-html",
            Self::Detail => "detail",
        }
    }

    /// Whether it is a detail, and no listing.
    pub fn is_detail(self) -> bool {
        matches!(self, Self::Detail | Self::DetailHtml)
    }

    /// The source of a stored word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::ListingHtml,
            Self::Listing,
            Self::DetailHtml,
            Self::Detail,
        ]
        .into_iter()
        .find(|source| source.as_str() == word)
    }
}

/// The values of a product that change from look to look. `None`: the source said nothing.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Values {
    /// đồng, 0 to 10¹².
    pub price: Option<i64>,
    /// đồng, never below `price`.
    pub original_price: Option<i64>,
    /// Percent off the original price: the site's integer.
    pub discount_percent: Option<i64>,
    /// Pieces sold since the product exists.
    pub sales_count: Option<i64>,
    /// 0.0 to 5.0, never said without reviews.
    pub rating_average: Option<f64>,
    /// Reviews since the product exists.
    pub review_count: Option<i64>,
    /// The seller whose offer is shown.
    pub seller_id: Option<i64>,
    /// The offer that is shown (seller product id).
    pub spid: Option<i64>,
    /// The site's word, such as `available`; details only.
    pub stock_status: Option<String>,
    /// Pieces; 1000 is the site's placeholder. Details only.
    pub stock_quantity: Option<i64>,
}

impl Values {
    /// These values, and where they say nothing those of another source.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            price: self.price.or(other.price),
            original_price: self.original_price.or(other.original_price),
            discount_percent: self.discount_percent.or(other.discount_percent),
            sales_count: self.sales_count.or(other.sales_count),
            rating_average: self.rating_average.or(other.rating_average),
            review_count: self.review_count.or(other.review_count),
            seller_id: self.seller_id.or(other.seller_id),
            spid: self.spid.or(other.spid),
            stock_status: self.stock_status.or_else(|| other.stock_status.clone()),
            stock_quantity: self.stock_quantity.or(other.stock_quantity),
        }
    }
}

/// What one page said about one product at one time.
#[derive(Clone, PartialEq, Debug)]
pub struct Look {
    /// When the page was fetched.
    pub observed_at: Instant,
    /// Which kind of page.
    pub source: Source,
    /// The site says that the product is no more; then `values` are empty.
    pub gone: bool,
    /// What it said.
    pub values: Values,
}
