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

/// Whether what is said is newer or older than what is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Age {
    Newer,
    Older,
}

/// Whose number and rank are meant: those of the seller who is shown now, or of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seller {
    Shown,
    Another,
}

/// How what is said meets what is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting {
    pub(crate) identity: Age,
    pub(crate) details: Age,
    pub(crate) said_seller: Seller,
    pub(crate) kept_seller: Seller,
}

impl Present {
    /// What a product that was not known before tells.
    pub(crate) fn of(product: &Product) -> Self {
        let nothing = Self::default();
        Self {
            identity: product.identity().clone(),
            ..nothing.with_details(product, Age::Newer)
        }
    }

    /// What is known when a product tells something.
    pub(crate) fn meet(&self, product: &Product, meeting: Meeting) -> Self {
        let mut present = self.with_details(product, meeting.details);
        let (said, kept, age) = (product.identity(), &self.identity, meeting.identity);
        // A seller's own number and rank never stand beside another seller.
        let (said_sku, said_official) = match meeting.said_seller {
            Seller::Shown => (said.seller_sku.as_ref(), said.seller_is_official),
            Seller::Another => (None, None),
        };
        let (kept_sku, kept_official) = match meeting.kept_seller {
            Seller::Shown => (kept.seller_sku.as_ref(), kept.seller_is_official),
            Seller::Another => (None, None),
        };
        present.identity = Identity {
            name: match age {
                Age::Newer => said.name.clone(),
                Age::Older => kept.name.clone(),
            },
            url: match age {
                Age::Newer => said.url.clone(),
                Age::Older => kept.url.clone(),
            },
            image_url: pick(age, said.image_url.as_ref(), kept.image_url.as_ref()),
            category_id: pick(age, said.category_id.as_ref(), kept.category_id.as_ref()),
            category_path: pick(
                age,
                said.category_path.as_ref(),
                kept.category_path.as_ref(),
            ),
            brand: pick(age, said.brand.as_ref(), kept.brand.as_ref()),
            seller_sku: pick(age, said_sku, kept_sku),
            seller_is_official: pick(age, said_official.as_ref(), kept_official.as_ref()),
        };
        present.identity.keep_to_path();
        present
    }

    /// Takes from another what it does not have itself, but for what is the seller's own ([`Self::fill_seller`]).
    pub(crate) fn fill(&mut self, other: &Self) {
        let (identity, others) = (&mut self.identity, &other.identity);
        fill(&mut identity.image_url, others.image_url.as_ref());
        fill(&mut identity.category_id, others.category_id.as_ref());
        fill(&mut identity.category_path, others.category_path.as_ref());
        fill(&mut identity.brand, others.brand.as_ref());
        fill(&mut self.sku, other.sku.as_ref());
        fill(&mut self.brand_id, other.brand_id.as_ref());
        fill(&mut self.description, other.description.as_ref());
        fill(&mut self.specifications, other.specifications.as_ref());
        fill(&mut self.images, other.images.as_ref());
        fill(&mut self.site_created_on, other.site_created_on.as_ref());
        if self.named_seller_id.is_none() {
            self.named_seller_id = other.named_seller_id;
            self.named_seller_name.clone_from(&other.named_seller_name);
        }
        self.identity.keep_to_path();
    }

    /// Takes from another of the same seller the number and rank that it does not have itself.
    pub(crate) fn fill_seller(&mut self, other: &Self) {
        let (identity, others) = (&mut self.identity, &other.identity);
        fill(&mut identity.seller_sku, others.seller_sku.as_ref());
        let is_official = others.seller_is_official.as_ref();
        fill(&mut identity.seller_is_official, is_official);
    }

    /// Whether the seller whose name is known is this one.
    pub(crate) fn names(&self, seller_id: Option<i64>) -> bool {
        self.named_seller_id.is_some() && self.named_seller_id == seller_id
    }

    fn with_details(&self, product: &Product, age: Age) -> Self {
        let Some(said) = product.details() else {
            return self.clone();
        };
        // A seller and its name come and go together.
        let named = said.seller_id.is_some() && said.seller_name.is_some();
        let rename = named && (age == Age::Newer || self.named_seller_id.is_none());
        Self {
            identity: self.identity.clone(),
            sku: pick(age, said.sku.as_ref(), self.sku.as_ref()),
            brand_id: pick(age, said.brand_id.as_ref(), self.brand_id.as_ref()),
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
            description: pick(age, said.description.as_ref(), self.description.as_ref()),
            specifications: pick(
                age,
                said.specifications.as_ref(),
                self.specifications.as_ref(),
            ),
            images: pick(age, said.images.as_ref(), self.images.as_ref()),
            // The site counts whole days, so two details may differ by one: the earliest is kept.
            site_created_on: match (&said.site_created_on, &self.site_created_on) {
                (Some(said), Some(kept)) => Some(said.min(kept).clone()),
                (said, kept) => said.clone().or_else(|| kept.clone()),
            },
        }
    }
}

fn fill<T: Clone>(own: &mut Option<T>, other: Option<&T>) {
    if own.is_none() {
        *own = other.cloned();
    }
}

fn pick<T: Clone>(age: Age, said: Option<&T>, kept: Option<&T>) -> Option<T> {
    match age {
        Age::Newer => said.or(kept).cloned(),
        Age::Older => kept.or(said).cloned(),
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
        frame(&mut hash, text.map(String::as_bytes));
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
        frame(&mut hash, text.map(String::as_bytes));
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
