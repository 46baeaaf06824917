//! The generated catalogue: a pure function of seed, number and day.

mod census;
mod detail;
mod domains;
mod item;
mod life;
mod market;
mod offers;
mod shape;
mod sheet;
mod slots;
mod table;
mod text;
mod window;
mod words;

use std::sync::Arc;

use serde_json::Value;

use crate::draw::Draw;
use crate::generated::census::Censuses;
use crate::generated::shape::LeafKind;
use crate::generated::sheet::Product;
use crate::generated::slots::Slots;
use crate::generated::table::Tables;
use crate::generated::window::Windows;
use crate::query::Listing;
use crate::settings::{Generated, StartError};
use crate::site::{Person, Window};
use crate::tree::Tree;

/// An invented catalogue. Holds the tree and a few cached listings, no products.
#[derive(Debug)]
pub(crate) struct Catalogue {
    settings: Generated,
    draw: Draw,
    tree: Tree,
    /// By leaf number.
    kinds: Vec<LeafKind>,
    slots: Slots,
    censuses: Censuses,
    tables: Tables,
    windows: Windows,
}

impl Catalogue {
    /// # Errors
    /// [`StartError::OutOfBounds`].
    pub(crate) fn new(settings: Generated) -> Result<Self, StartError> {
        let broken = |why| StartError::OutOfBounds {
            products: settings.products,
            leafs: settings.leaf_categories.unwrap_or(0),
            why,
        };
        if !(Generated::MIN_PRODUCTS..=Generated::MAX_PRODUCTS).contains(&settings.products) {
            return Err(broken("10 to 10,000,000 products"));
        }
        let leafs = settings
            .leaf_categories
            .unwrap_or(shape::default_leafs(settings.products));
        if !(1..=Generated::MAX_LEAF_CATEGORIES).contains(&leafs) {
            return Err(broken("1 to 3,000 leaf categories"));
        }
        if u64::from(leafs) > settings.products {
            return Err(broken("at most one leaf category a product"));
        }
        let draw = Draw::new(settings.seed);
        let (tree, kinds) = shape::grow(&settings, leafs as usize, draw);
        let sizes = shape::leaf_sizes(settings.products, tree.leafs().len(), draw);
        let slots = Slots::new(&sizes, draw);
        Ok(Self {
            settings,
            draw,
            tree,
            kinds,
            slots,
            censuses: Censuses::default(),
            tables: Tables::default(),
            windows: Windows::default(),
        })
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Distinct products listed in the category at `place` on `day`.
    pub(crate) fn product_count(&self, place: usize, day: i64) -> u64 {
        self.censuses.of(self, day).count(place)
    }

    /// Fills the cache that [`Catalogue::product_count`] reads.
    pub(crate) fn warm_up(&self, day: i64) {
        self.censuses.of(self, day);
    }

    pub(crate) fn window(&self, place: usize, listing: &Listing, day: i64) -> Arc<Window> {
        self.windows.of(self, place, listing, day)
    }

    /// The listing item of a product that is on the site on `day`.
    pub(crate) fn item(&self, id: u64, day: i64) -> Option<Value> {
        Some(item::item(self, &self.product(id, day)?, day))
    }

    /// The detail of a product; none when it is not on the site or `spid` is not one of its.
    pub(crate) fn detail(&self, id: u64, spid: Option<u64>, day: i64) -> Option<Value> {
        detail::detail(self, &self.product(id, day)?, spid, day)
    }

    /// Places for products, taken or not.
    pub(crate) fn places(&self) -> u64 {
        self.slots.products()
    }

    /// The `url_path` of the product at `position` (in the order of the tree), if there is one.
    pub(crate) fn url_path_at(&self, position: u64, day: i64) -> Option<String> {
        let product = self.product_at(position, day)?;
        Some(sheet::Sheet::of(self, &product, day).url_path())
    }

    /// People who reviewed a product: invented, and not to be stored by anyone.
    pub(crate) fn reviewers(&self, id: u64) -> Vec<Person> {
        let draw = self.draw.at(id);
        (0..3)
            .map(|at| Person {
                id: 900_000 + draw.at(at).below(100_000),
                name: text::person(draw.at(10 + at)),
                words: draw.at(20 + at).word(&words::SENTENCES).to_owned(),
            })
            .collect()
    }

    /// Places of all leafs that list a product, its primary one first.
    pub(crate) fn homes(&self, id: u64, day: i64) -> Vec<usize> {
        let Some(product) = self.product(id, day) else {
            return Vec::new();
        };
        let leafs = self.slots.homes(product.position);
        leafs
            .iter()
            .filter_map(|leaf| self.tree.leafs().get(*leaf).copied())
            .collect()
    }

    fn product(&self, id: u64, day: i64) -> Option<Product> {
        let number = life::number_of(&self.slots, id)?;
        let product = self.product_at(self.slots.position(number), day)?;
        (product.id == id).then_some(product)
    }

    fn product_at(&self, position: u64, day: i64) -> Option<Product> {
        let number = self.slots.number(position);
        let life = life::life(&self.slots, self.draw, number, day)?;
        Some(Product {
            id: life.id,
            born: life.born,
            draw: life.draw,
            position,
        })
    }
}
