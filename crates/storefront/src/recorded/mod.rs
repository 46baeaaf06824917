//! A recorded catalogue: bodies that the real site once sent, served from a folder.
//!
//! Time stands still in it: the clock moves only the `Date` header.

mod attach;
mod folder;
mod item;

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

pub use folder::{FolderError, FolderErrorKind};

use crate::query::{Listing, Sort, WINDOW};
use crate::site::{Detail, Window};
use crate::tree::Tree;

/// What a folder holds, arranged as a site.
#[derive(Debug)]
pub(crate) struct Recording {
    tree: Tree,
    products: Vec<Recorded>,
    by_id: HashMap<u64, usize>,
    /// Numbers of the products, by leaf number.
    by_leaf: Vec<Vec<usize>>,
    digest: String,
}

/// A product of the folder.
#[derive(Debug)]
struct Recorded {
    id: u64,
    /// As recorded, or derived from the detail.
    item: Value,
    /// As received; none when only a listing item was recorded.
    detail: Option<Bytes>,
    /// Place of its leaf.
    place: usize,
}

impl Recording {
    /// Reads the folder.
    ///
    /// # Errors
    /// [`FolderError`], which names the file.
    pub(crate) fn read(folder: &Path) -> Result<Self, FolderError> {
        let folder::Folder {
            trees,
            items,
            details,
            digest,
        } = folder::Folder::read(folder)?;
        let mut arranged = attach::Arrangement::new(&trees);
        let mut products: Vec<Recorded> = Vec::new();
        let mut by_id: HashMap<u64, usize> = HashMap::new();
        for (id, item) in items {
            if by_id.contains_key(&id) {
                continue;
            }
            let place = arranged.place_of_item(&item);
            by_id.insert(id, products.len());
            products.push(Recorded {
                id,
                item,
                detail: None,
                place,
            });
        }
        for (id, body, detail) in details {
            if let Some(product) = by_id.get(&id).and_then(|at| products.get_mut(*at)) {
                product.detail = Some(body);
                continue;
            }
            let place = arranged.place_of_detail(&detail);
            by_id.insert(id, products.len());
            products.push(Recorded {
                id,
                item: detail,
                detail: Some(body),
                place,
            });
        }
        let mut tree = arranged.into_tree();
        tree.number_leafs();
        for product in &mut products {
            if product.item.get("primary_category_path").is_none() {
                product.item = item::from_detail(&product.item, &tree.id_path(product.place));
            }
        }
        let mut by_leaf = vec![Vec::new(); tree.leafs().len()];
        for (at, product) in products.iter().enumerate() {
            if let Some(leaf) = by_leaf.get_mut(tree.node(product.place).leafs.start) {
                leaf.push(at);
            }
        }
        Ok(Self {
            tree,
            products,
            by_id,
            by_leaf,
            digest,
        })
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The first 16 hex digits of a SHA-256 over all files that are served, names included.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn product_count(&self, place: usize) -> u64 {
        let leafs = self
            .by_leaf
            .get(self.tree.node(place).leafs.clone())
            .unwrap_or(&[]);
        leafs.iter().map(Vec::len).sum::<usize>() as u64
    }

    pub(crate) fn window(&self, place: usize, listing: &Listing) -> Window {
        let mut kept: Vec<&Recorded> = self
            .listed(place)
            .filter(|product| {
                let item = &product.item;
                listing.filter.keeps(
                    item::number(item, "price"),
                    item::number(item, "brand_id").cast_unsigned(),
                    item::number(item, "seller_id").cast_unsigned(),
                    item::rating_tenths(item),
                )
            })
            .collect();
        kept.sort_by_key(|product| {
            let price = item::number(&product.item, "price");
            match listing.sort {
                Sort::Default | Sort::TopSeller => item::sold(&product.item).saturating_neg(),
                Sort::Newest => -product.id.cast_signed(),
                Sort::PriceUp => price,
                Sort::PriceDown => price.saturating_neg(),
            }
        });
        let ids = kept.iter().take(WINDOW).map(|product| product.id).collect();
        Window {
            total: kept.len() as u64,
            ids,
            ..Window::default()
        }
    }

    pub(crate) fn item(&self, id: u64) -> Option<Value> {
        Some(self.product(id)?.item.clone())
    }

    /// The recorded body; of a product that only a listing showed, what the listing said.
    pub(crate) fn detail(&self, id: u64) -> Option<Detail> {
        let product = self.product(id)?;
        Some(match &product.detail {
            Some(body) => Detail::Recorded(body.clone()),
            None => Detail::Made(item::as_detail(&product.item)),
        })
    }

    pub(crate) fn places(&self) -> u64 {
        self.products.len() as u64
    }

    pub(crate) fn url_path_at(&self, place: u64) -> Option<String> {
        let product = self.products.get(usize::try_from(place).ok()?)?;
        product.item.get("url_path")?.as_str().map(str::to_owned)
    }

    /// The place of the leaf that lists a product.
    pub(crate) fn home(&self, id: u64) -> Option<usize> {
        Some(self.product(id)?.place)
    }

    fn product(&self, id: u64) -> Option<&Recorded> {
        self.products.get(*self.by_id.get(&id)?)
    }

    /// The products under a category.
    fn listed(&self, place: usize) -> impl Iterator<Item = &Recorded> {
        let leafs = self
            .by_leaf
            .get(self.tree.node(place).leafs.clone())
            .unwrap_or(&[]);
        leafs
            .iter()
            .flatten()
            .filter_map(|at| self.products.get(*at))
    }
}
