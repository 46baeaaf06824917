//! The requests that are made at all. What they answer is in `page`; there is no other way to name a
//! path of the site.

use catalog::Slice;

use crate::{Origin, PageSource};

/// The address of a category has a name before its number. The number alone counts, so ours is the
/// same word for all.
const SLUG: &str = "danh-muc";

/// One request to the site. Nothing but numbers enters its path, and no path of reviews, customers,
/// carts or accounts can be said. Routes: tiki-surface.md §1.
///
/// The JSON API is the first way in; the HTML pages, ten times as large, are the second, for where the
/// API refuses (`TIKI_SOURCE` `auto`) or is not wanted (`html`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ask {
    /// What the site allows.
    Robots,
    /// The children of a category (C1). The roots of the menu are the children of 2.
    ///
    /// Without `include=children`: that answer nests a level of smaller objects, without level and
    /// parent, so it would be a second schema for the same thing.
    Categories {
        /// The category whose children are asked for.
        parent: i64,
    },
    /// One page of 40 products of a category, or of a slice of it (L1).
    Listing {
        /// The category.
        category: i64,
        /// From 1; the site shows 50 pages at most, and past the end an empty one.
        page: u32,
        /// Which of its products, in which order. `again` changes nothing about the request.
        slice: Slice,
    },
    /// A product with all its fields (D1).
    Detail {
        /// The product's id.
        product: i64,
        /// The offer that is wanted; without it the site chooses one.
        spid: Option<i64>,
    },
    /// The page of a category or of a slice of it, as people see it (H1): the second way to a listing.
    CategoryPage {
        /// The category.
        category: i64,
        /// From 1.
        page: u32,
        /// As in [`Ask::Listing`].
        slice: Slice,
    },
    /// The page of a category for the categories below it (H1): the second way to the children. The root
    /// of the menu, 2, has no page.
    CategoryChildren {
        /// The category whose children are asked for.
        category: i64,
    },
    /// The page of a product, as people see it (H2): the second way to a detail.
    ProductPage {
        /// The product's id.
        product: i64,
        /// The offer that is wanted; without it the site chooses one.
        spid: Option<i64>,
    },
}

impl Ask {
    /// Path and query, as sent and as checked against robots.txt.
    pub fn path(&self) -> String {
        match *self {
            Self::Robots => "/robots.txt".to_owned(),
            Self::Categories { parent } => format!("/api/v2/categories?parent_id={parent}"),
            Self::Listing {
                category,
                page,
                slice,
            } => {
                let (order, filters) = (slice.order.as_str(), filters(&slice));
                format!(
                    "/api/personalish/v1/blocks/listings?limit=40&sort={order}&category={category}&page={page}{filters}"
                )
            }
            Self::Detail { product, spid } => {
                let spid = spid.map_or_else(String::new, |spid| format!("&spid={spid}"));
                format!("/api/v2/products/{product}?platform=web{spid}")
            }
            Self::CategoryPage {
                category,
                page,
                slice,
            } => {
                let (order, filters) = (slice.order.as_str(), filters(&slice));
                format!("/{SLUG}/c{category}?page={page}&sort={order}{filters}")
            }
            Self::CategoryChildren { category } => format!("/{SLUG}/c{category}"),
            Self::ProductPage { product, spid } => {
                let spid = spid.map_or_else(String::new, |spid| format!("?spid={spid}"));
                format!("/product-p{product}.html{spid}")
            }
        }
    }

    /// Which of the site's two ways it goes.
    pub fn source(&self) -> PageSource {
        match self {
            Self::CategoryPage { .. }
            | Self::CategoryChildren { .. }
            | Self::ProductPage { .. } => PageSource::Html,
            Self::Robots | Self::Categories { .. } | Self::Listing { .. } | Self::Detail { .. } => {
                PageSource::Api
            }
        }
    }

    /// The whole address.
    pub fn url(&self, origin: &Origin) -> String {
        format!("{origin}{}", self.path())
    }
}

/// What narrows a listing down, as the API and the pages both read it.
fn filters(slice: &Slice) -> String {
    let price = slice.price;
    let price = price.map(|(low, high)| format!("&price={low},{high}"));
    let brand = slice.brand.map(|id| format!("&brand={id}"));
    let seller = slice.seller.map(|id| format!("&seller={id}"));
    [price, brand, seller].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use catalog::Order;

    use super::*;

    const WHOLE: Slice = Slice {
        price: None,
        brand: None,
        seller: None,
        order: Order::TopSeller,
        again: false,
    };
    const NARROW: Slice = Slice {
        price: Some((0, 99_000)),
        brand: Some(5),
        seller: Some(6),
        order: Order::Cheapest,
        again: true,
    };

    fn listing(page: u32, slice: Slice) -> Ask {
        Ask::Listing {
            category: 8322,
            page,
            slice,
        }
    }

    fn category_page(page: u32, slice: Slice) -> Ask {
        Ask::CategoryPage {
            category: 8322,
            page,
            slice,
        }
    }

    fn product_page(spid: Option<i64>) -> Ask {
        Ask::ProductPage { product: 7, spid }
    }

    fn detail(spid: Option<i64>) -> Ask {
        Ask::Detail { product: 7, spid }
    }

    #[test]
    fn a_path_holds_numbers_and_known_words_only() {
        use PageSource::{Api, Html};
        let list = "/api/personalish/v1/blocks/listings?limit=40&sort=";
        let whole = format!("{list}top_seller&category=8322&page=1");
        let narrow =
            format!("{list}price,asc&category=8322&page=50&price=0,99000&brand=5&seller=6");
        let narrow_page = "/danh-muc/c8322?page=2&sort=price,asc&price=0,99000&brand=5&seller=6";
        for (ask, source, path) in [
            (listing(1, WHOLE), Api, whole.as_str()),
            (listing(50, NARROW), Api, &narrow),
            (
                category_page(2, WHOLE),
                Html,
                "/danh-muc/c8322?page=2&sort=top_seller",
            ),
            (category_page(2, NARROW), Html, narrow_page),
            (detail(None), Api, "/api/v2/products/7?platform=web"),
            (
                detail(Some(8)),
                Api,
                "/api/v2/products/7?platform=web&spid=8",
            ),
            (
                Ask::CategoryChildren { category: 8322 },
                Html,
                "/danh-muc/c8322",
            ),
            (product_page(None), Html, "/product-p7.html"),
            (product_page(Some(8)), Html, "/product-p7.html?spid=8"),
        ] {
            assert_eq!((ask.path().as_str(), ask.source()), (path, source));
        }
    }
}
