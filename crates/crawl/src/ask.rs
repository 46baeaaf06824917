//! The requests that are made at all. What they answer is in `page`; there is no other way to name a
//! path of the site.

use crate::Origin;

/// One request to the site. Nothing but numbers enters its path, and no path of reviews, customers,
/// carts or accounts can be said. Routes: tiki-surface.md §1.
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
    /// One page of 40 products of a category, best sellers first (L1).
    Listing {
        /// The category.
        category: i64,
        /// From 1; the site shows 50 pages at most, and past the end an empty one.
        page: u32,
    },
    /// A product with all its fields (D1).
    Detail {
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
            Self::Listing { category, page } => format!(
                "/api/personalish/v1/blocks/listings?limit=40&sort=top_seller&category={category}&page={page}"
            ),
            Self::Detail {
                product,
                spid: None,
            } => {
                format!("/api/v2/products/{product}?platform=web")
            }
            Self::Detail {
                product,
                spid: Some(spid),
            } => {
                format!("/api/v2/products/{product}?platform=web&spid={spid}")
            }
        }
    }

    /// The whole address.
    pub fn url(&self, origin: &Origin) -> String {
        format!("{origin}{}", self.path())
    }
}
