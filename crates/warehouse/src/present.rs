//! What is told of a product beside its values: identity and details, as `products` keeps them.
//!
//! NULL never erases. What is newer replaces; what is older only fills what is missing.
//!
//! Not here: values that change from look to look (`merge`).

use catalog::{Details, Identity, Product};
use xxhash_rust::xxh3::Xxh3Default;

/// Identity and details of a product.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Present {
    pub(crate) identity: Identity,
    pub(crate) sku: Option<String>,
    pub(crate) brand_id: Option<i64>,
    pub(crate) named_seller_id: Option<i64>,
    pub(crate) named_seller_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) specifications: Option<String>,
    pub(crate) images: Option<String>,
    pub(crate) site_created_on: Option<String>,
}

impl Present {
    /// What a product that was not known before tells.
    pub(crate) fn of(product: &Product) -> Self {
        let nothing = Self::default();
        Self {
            identity: product.identity().clone(),
            ..nothing.with_details(product, true)
        }
    }

    /// What is known when a product tells something.
    pub(crate) fn meet(
        &self,
        product: &Product,
        identity_newer: bool,
        details_newer: bool,
        seller_changed: bool,
    ) -> Self {
        let mut present = self.with_details(product, details_newer);
        let (said, kept) = (product.identity(), &self.identity);
        let official = if seller_changed {
            None
        } else {
            kept.seller_is_official
        };
        let seller_sku = if seller_changed {
            None
        } else {
            kept.seller_sku.as_ref()
        };
        present.identity = Identity {
            name: if identity_newer {
                said.name.clone()
            } else {
                kept.name.clone()
            },
            url: if identity_newer {
                said.url.clone()
            } else {
                kept.url.clone()
            },
            image_url: pick(
                identity_newer,
                said.image_url.as_ref(),
                kept.image_url.as_ref(),
            ),
            category_id: pick(
                identity_newer,
                said.category_id.as_ref(),
                kept.category_id.as_ref(),
            ),
            category_path: pick(
                identity_newer,
                said.category_path.as_ref(),
                kept.category_path.as_ref(),
            ),
            brand: pick(identity_newer, said.brand.as_ref(), kept.brand.as_ref()),
            seller_sku: pick(identity_newer, said.seller_sku.as_ref(), seller_sku),
            seller_is_official: if identity_newer {
                said.seller_is_official.or(official)
            } else {
                official.or(said.seller_is_official)
            },
        };
        present
    }

    fn with_details(&self, product: &Product, newer: bool) -> Self {
        let Some(said) = product.details() else {
            return self.clone();
        };
        // A seller and its name come and go together.
        let named = said.seller_id.is_some() && said.seller_name.is_some();
        let rename = named && (newer || self.named_seller_id.is_none());
        Self {
            identity: self.identity.clone(),
            sku: pick(newer, said.sku.as_ref(), self.sku.as_ref()),
            brand_id: pick(newer, said.brand_id.as_ref(), self.brand_id.as_ref()),
            named_seller_id: if rename {
                said.seller_id
            } else {
                self.named_seller_id
            },
            named_seller_name: if rename {
                said.seller_name.clone()
            } else {
                self.named_seller_name.clone()
            },
            description: pick(newer, said.description.as_ref(), self.description.as_ref()),
            specifications: pick(
                newer,
                said.specifications.as_ref(),
                self.specifications.as_ref(),
            ),
            images: pick(newer, said.images.as_ref(), self.images.as_ref()),
            // The site counts whole days, so two details may differ by one: the earliest is kept.
            site_created_on: match (&said.site_created_on, &self.site_created_on) {
                (Some(said), Some(kept)) => Some(said.min(kept).clone()),
                (said, kept) => said.clone().or_else(|| kept.clone()),
            },
        }
    }

    /// Whether the two differ in what details say.
    pub(crate) fn details_differ(&self, other: &Self) -> bool {
        let nameless = |present: &Self| Self {
            identity: Identity::default(),
            ..present.clone()
        };
        nameless(self) != nameless(other)
    }
}

fn pick<T: Clone>(newer: bool, said: Option<&T>, kept: Option<&T>) -> Option<T> {
    if newer {
        said.or(kept).cloned()
    } else {
        kept.or(said).cloned()
    }
}

/// A hash of what a listing or detail says a product is.
pub(crate) fn identity_hash(identity: &Identity) -> i64 {
    let mut hash = Xxh3Default::new();
    for text in [
        Some(&identity.name),
        Some(&identity.url),
        identity.image_url.as_ref(),
        identity.category_path.as_ref(),
        identity.brand.as_ref(),
        identity.seller_sku.as_ref(),
    ] {
        frame(&mut hash, text.map(|text| text.as_bytes()));
    }
    frame(
        &mut hash,
        identity
            .category_id
            .map(i64::to_le_bytes)
            .as_ref()
            .map(|b| &b[..]),
    );
    frame(
        &mut hash,
        identity
            .seller_is_official
            .map(|flag| [u8::from(flag)])
            .as_ref()
            .map(|b| &b[..]),
    );
    hash.digest().cast_signed()
}

/// A hash of what a detail says, without its time.
pub(crate) fn details_hash(details: &Details) -> i64 {
    let mut hash = Xxh3Default::new();
    for text in [
        details.sku.as_ref(),
        details.seller_name.as_ref(),
        details.description.as_ref(),
        details.specifications.as_ref(),
        details.images.as_ref(),
        details.site_created_on.as_ref(),
    ] {
        frame(&mut hash, text.map(|text| text.as_bytes()));
    }
    for number in [details.brand_id, details.seller_id] {
        frame(
            &mut hash,
            number.map(i64::to_le_bytes).as_ref().map(|b| &b[..]),
        );
    }
    hash.digest().cast_signed()
}

fn frame(hash: &mut Xxh3Default, bytes: Option<&[u8]>) {
    match bytes {
        None => hash.update(&[0]),
        Some(bytes) => {
            hash.update(&[1]);
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    }
}
