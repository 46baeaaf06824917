//! One site, two kinds of content.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::generated::Catalogue;
use crate::query::Listing;
use crate::recorded::Recording;
use crate::tree::Tree;

/// Most advertised items that are mixed into a page, as on the site.
pub(crate) const MAX_ADS: usize = 15;

/// What is for sale.
#[derive(Debug)]
pub(crate) enum Site {
    Generated(Box<Catalogue>),
    Recorded(Box<Recording>),
}

/// The part of a category that can be listed in one order: at most 2,000 products.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Distinct products in the category that the filter keeps.
    pub(crate) total: u64,
    /// The ids of the first of them.
    pub(crate) ids: Vec<u64>,
    pub(crate) brands: Vec<Facet>,
    pub(crate) sellers: Vec<Facet>,
}

/// A value of a filter.
#[derive(Debug)]
pub(crate) struct Facet {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) count: u64,
}

/// A customer: what an HTML page carries beside the product and nobody may store.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) words: String,
}

/// A product body.
#[derive(Debug)]
pub(crate) enum Detail {
    Made(Value),
    /// As it was once received.
    Recorded(Bytes),
}

impl Detail {
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Made(value) => Bytes::from(value.to_string()),
            Self::Recorded(body) => body,
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Made(value) => value,
            Self::Recorded(body) => serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }
}

impl Site {
    pub(crate) fn tree(&self) -> &Tree {
        match self {
            Self::Generated(catalogue) => catalogue.tree(),
            Self::Recorded(recording) => recording.tree(),
        }
    }

    /// Distinct products in the category at `place`.
    pub(crate) fn product_count(&self, place: usize, day: i64) -> u64 {
        match self {
            Self::Generated(catalogue) => catalogue.product_count(place, day),
            Self::Recorded(recording) => recording.product_count(place),
        }
    }

    pub(crate) fn window(&self, place: usize, listing: &Listing, day: i64) -> Arc<Window> {
        match self {
            Self::Generated(catalogue) => catalogue.window(place, listing, day),
            Self::Recorded(recording) => Arc::new(recording.window(place, listing)),
        }
    }

    /// The listing item of a product, without what belongs to the page.
    pub(crate) fn item(&self, id: u64, day: i64) -> Option<Value> {
        match self {
            Self::Generated(catalogue) => catalogue.item(id, day),
            Self::Recorded(recording) => recording.item(id),
        }
    }

    /// The detail of a product that is on the site; a recorded one whatever the `spid`.
    pub(crate) fn detail(&self, id: u64, spid: Option<u64>, day: i64) -> Option<Detail> {
        match self {
            Self::Generated(catalogue) => catalogue.detail(id, spid, day).map(Detail::Made),
            Self::Recorded(recording) => recording.detail(id),
        }
    }

    /// Places for products in the sitemap; not all of them are taken.
    pub(crate) fn places(&self) -> u64 {
        match self {
            Self::Generated(catalogue) => catalogue.places(),
            Self::Recorded(recording) => recording.places(),
        }
    }

    /// The `url_path` of the product at a place, if there is one.
    pub(crate) fn url_path_at(&self, place: u64, day: i64) -> Option<String> {
        match self {
            Self::Generated(catalogue) => catalogue.url_path_at(place, day),
            Self::Recorded(recording) => recording.url_path_at(place),
        }
    }

    /// Invented customers; none where the content is recorded.
    pub(crate) fn reviewers(&self, id: u64) -> Vec<Person> {
        match self {
            Self::Generated(catalogue) => catalogue.reviewers(id),
            Self::Recorded(_) => Vec::new(),
        }
    }

    /// Places of all leafs that list a product, its primary one first.
    pub(crate) fn homes(&self, id: u64, day: i64) -> Vec<usize> {
        match self {
            Self::Generated(catalogue) => catalogue.homes(id, day),
            Self::Recorded(recording) => recording.home(id).into_iter().collect(),
        }
    }
}
