//! A product of a batch that is being loaded, read as far as it is needed.
//!
//! Most records say nothing new, and to see that takes their looks and two hashes. The rest of a record is read
//! where something may be told.
//!
//! Not here: the batch (`batches`), whether something is told (`decide`).

use std::ops::Range;
use std::sync::Arc;

use catalog::{Instant, Look, Product, Rejection, RejectionReason, Source, Values};

use crate::error::{Error, Result};
use crate::merge_read::Current;
use crate::present;

/// A record in brief.
pub(crate) struct Brief {
    /// As [`Product::looks`].
    pub(crate) looks: Vec<Look>,
    /// Of identity and details.
    pub(crate) hashes: (i64, Option<i64>),
}

impl Brief {
    pub(crate) fn of(product: &Product) -> Self {
        Self {
            looks: product.looks().to_vec(),
            hashes: hashes(product),
        }
    }

    /// The time of the newer of listing and detail.
    pub(crate) fn identity_at(&self) -> Option<Instant> {
        self.looks.last().map(|look| look.observed_at)
    }

    /// The time of its details.
    pub(crate) fn detailed_at(&self) -> Option<Instant> {
        let detail = self.looks.iter().find(|look| is_detail(look));
        detail.map(|look| look.observed_at)
    }
}

/// Whether it is the look of a detail.
pub(crate) fn is_detail(look: &Look) -> bool {
    !look.gone && look.source.is_detail()
}

/// Of identity and details.
pub(crate) fn hashes(product: &Product) -> (i64, Option<i64>) {
    (
        present::identity_hash(product.identity()),
        product.details().map(present::details_hash),
    )
}

/// A product that waits to be loaded.
pub(crate) struct Staged {
    pub(crate) product_id: i64,
    /// `None`: found gone, or withdrawn.
    pub(crate) brief: Option<Brief>,
    /// The record, where it was read.
    pub(crate) product: Option<Product>,
    /// Where the record stands in the text of its batch.
    pub(crate) text: (Arc<String>, Range<usize>),
    pub(crate) gone_at: Option<Instant>,
    /// The number of the rules that derived it.
    pub(crate) derivation: i64,
    /// Lower rules made a record of these pages, and these rules make none.
    pub(crate) withdrawn: bool,
    pub(crate) listing_page_id: Option<i64>,
    pub(crate) detail_page_id: Option<i64>,
}

/// A staged row that no record can be made of.
pub(crate) struct Broken {
    pub(crate) product_id: i64,
    pub(crate) page_id: Option<i64>,
    pub(crate) rejection: Rejection,
}

impl Staged {
    /// The looks in the order of their times, each with its page.
    pub(crate) fn looks(&self) -> Vec<(Look, Option<i64>)> {
        let gone = self.gone_at.map(|observed_at| Look {
            observed_at,
            source: Source::Detail,
            gone: true,
            values: Values::default(),
        });
        gone.iter()
            .chain(self.said())
            .map(|look| (look.clone(), self.page_of(look.source)))
            .collect()
    }

    fn said(&self) -> &[Look] {
        self.brief.as_ref().map_or(&[], |brief| &brief.looks)
    }

    /// Whether a listing showed it.
    pub(crate) fn is_listed(&self) -> bool {
        self.listing_page_id.is_some() || self.said().iter().any(|look| !is_detail(look))
    }

    /// Whether it has a look that is not newer than what is known, or takes one away.
    pub(crate) fn is_late(&self, current: &Current) -> bool {
        let first = self.said().first().map(|look| look.observed_at);
        let oldest = self.gone_at.into_iter().chain(first).min();
        self.withdrawn || oldest <= Some(current.newest_look)
    }

    /// Whether a look says another number of sales.
    pub(crate) fn sells_other_than(&self, current: &Current) -> bool {
        let known = current.known.values.sales_count;
        self.said().iter().any(|look| {
            let said = look.values.sales_count;
            said.is_some() && said != known
        })
    }

    /// Whether its record may tell something new, so that it must be read.
    pub(crate) fn may_tell(&self, current: Option<&Current>) -> bool {
        let (Some(brief), Some(current)) = (&self.brief, current) else {
            return self.brief.is_some();
        };
        let (identity, details) = brief.hashes;
        let seller = current.known.values.seller_id;
        let sold_by_another = |look: &Look| {
            let said = look.values.seller_id;
            said.is_some() && said != seller
        };
        identity != current.hashes.0
            || (details.is_some() && details != current.hashes.1)
            || brief.looks.iter().any(sold_by_another)
            || self.is_late(current)
    }

    /// Reads the record.
    pub(crate) fn read(&mut self) -> std::result::Result<(), Rejection> {
        let (text, place) = &self.text;
        let record = text.get(place.clone()).unwrap_or_default();
        self.product = Some(Product::from_staged(self.product_id, record)?);
        Ok(())
    }

    /// The record that was read.
    pub(crate) fn record(&self) -> Result<&Product> {
        let missing = || Error::Stored(format!("the record of {} was not read", self.product_id));
        self.product.as_ref().ok_or_else(missing)
    }

    /// The row as one that the warehouse refuses.
    pub(crate) fn refused(&self, said: &str) -> Broken {
        self.broken(Rejection::new(RejectionReason::Unstorable, None, said))
    }

    /// The row as one that is set aside.
    pub(crate) fn broken(&self, rejection: Rejection) -> Broken {
        Broken {
            product_id: self.product_id,
            page_id: self.detail_page_id.or(self.listing_page_id),
            rejection,
        }
    }

    fn page_of(&self, source: Source) -> Option<i64> {
        if source.is_detail() {
            self.detail_page_id
        } else {
            self.listing_page_id
        }
    }
}
