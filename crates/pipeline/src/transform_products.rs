//! `transform-products`: turns pages into records. It reads stored pages alone, so it can be redone.

use std::collections::HashSet;
use std::sync::Arc;

use catalog::{
    BodyLimits, DERIVATION, Detail, Product, Rejection, RejectionReason, Seen, Shapes, Source,
    parse_listing, read_body,
};
use serde_json::{Map, Value, json};
use tokio::task::{JoinHandle, spawn_blocking};
use warehouse::{
    Claimed, RejectionToStore, ShapeRow, StoredPage, ToTransform, Transformed, TransformedBatch,
};

use crate::drift::shape_rows;
use crate::report::{bounded, keys, short};
use crate::steps::Work;
use crate::{Error, Exit, Result, Step};

/// Categories that are remembered at most; the site has some 3,000.
pub(crate) const CATEGORIES: i64 = 100_000;

impl Work<'_> {
    /// Transforms batches until nothing waits. While one is made, the one before is stored and the pages of the
    /// next are read.
    pub(crate) async fn transform_products(&self) -> Result<Exit> {
        self.derive_listings_anew().await?;
        let leaves = Arc::new(self.warehouse().leaves(CATEGORIES).await?);
        let total = self
            .warehouse()
            .open_rows(&self.attempt)
            .await?
            .unsigned_abs();
        let mut done = 0;
        let mut under_way: Option<JoinHandle<Result<Made>>> = None;
        loop {
            let stopping = self.check_stop();
            let most = self.settings().batch;
            let claimed = match stopping {
                Ok(()) => {
                    self.warehouse()
                        .next_to_transform(&self.attempt, most)
                        .await
                }
                // What is in hand is finished.
                Err(_) if under_way.is_some() => Ok(None),
                Err(stop) => return Err(stop),
            };
            let made = match under_way.take() {
                Some(making) => {
                    let died = |error| Error::Bug(format!("transforming ended: {error}"));
                    Some(making.await.map_err(died)??)
                }
                None => None,
            };
            // What is made is stored before an error of the claim counts.
            let left = claimed.map(|claimed| {
                claimed.map(|claimed| {
                    let leaves = Arc::clone(&leaves);
                    if !claimed.products.is_empty() && self.check_stop().is_ok() {
                        under_way = Some(spawn_blocking(move || make(claimed, &leaves)));
                    }
                })
            });
            let Some(Made { batch, shapes }) = made else {
                match left? {
                    None => return Ok(Exit::Done),
                    Some(()) if under_way.is_none() => self.idle().await?,
                    Some(()) => {}
                }
                continue;
            };
            let (products, now) = (batch.products(), self.pipeline.clock().now());
            self.warehouse()
                .commit_batch(&self.attempt, batch, &shapes, now)
                .await?;
            left?;
            done += products as u64;
            self.progress(Step::TransformProducts, done, total.max(done));
        }
    }

    /// Reads again the listing pages that lower rules had read. A page that is not kept any more, or cannot
    /// be read, leaves its items as they are.
    async fn derive_listings_anew(&self) -> Result<()> {
        let (run, warehouse) = (&self.run.id, self.warehouse());
        let mut after = 0;
        loop {
            let pages = warehouse
                .outdated_listings(run, DERIVATION, after, self.settings().batch)
                .await?;
            let Some(last) = pages.last() else {
                return Ok(());
            };
            after = *last;
            for id in pages {
                self.check_stop()?;
                let Some(page) = warehouse.page(id).await? else {
                    continue;
                };
                let body = read_body(&page.body, page.encoding, &BodyLimits::default());
                let Some(answer) = body.ok().and_then(|body| parse_listing(&body).ok()) else {
                    continue;
                };
                warehouse
                    .commit_listing_anew(&self.attempt, DERIVATION, id, &answer)
                    .await?;
            }
        }
    }

    /// Reports what waits to be loaded and what was refused.
    pub(crate) async fn transform_report(&self) -> Result<Map<String, Value>> {
        let warehouse = self.warehouse();
        let counts = warehouse.stage_counts(&self.run.id).await?;
        let of = |stage: &str, outcome: Option<&str>| -> i64 {
            let matches = |row: &&(String, Option<String>, i64)| {
                row.0 == stage && (outcome.is_none() || row.1.as_deref() == outcome)
            };
            counts.iter().filter(matches).map(|row| row.2).sum()
        };
        let total: i64 = counts.iter().map(|row| row.2).sum();
        let (rejected, unobserved) = (of("done", Some("rejected")), of("done", Some("unobserved")));
        let stats = json!({
            "total_processed": total,
            "valid_products": total - rejected - unobserved,
            "invalid_products": rejected,
            "unobserved": unobserved,
            "duplicates_removed": warehouse.identities(&self.run.id).await?.items.repeats,
        });
        let limit = i64::try_from(self.settings().list_limit).unwrap_or(i64::MAX);
        let names = warehouse.listed_names(&self.run.id, limit).await?;
        let list = names
            .iter()
            .map(|(id, name)| json!({ "id": id, "name": short(name) }));
        let list = bounded(list, self.settings().list_limit);
        Ok(keys([
            ("transformed_products", list),
            ("transform_stats", stats),
        ]))
    }
}

/// What was made of a batch.
struct Made {
    batch: TransformedBatch,
    shapes: Vec<ShapeRow>,
}

fn make(claimed: Claimed, leaves: &HashSet<i64>) -> Result<Made> {
    let mut shapes = Shapes::default();
    let products = claimed.products.into_iter();
    let transformed: Vec<Transformed> = products
        .map(|product| transform(product, leaves, &mut shapes))
        .collect();
    Ok(Made {
        batch: TransformedBatch::new(claimed.batch, &transformed)?,
        shapes: shape_rows(&shapes),
    })
}

/// One product's record from its pages, if one can be made.
pub(crate) fn record(product: ToTransform, leaves: &HashSet<i64>) -> Option<Product> {
    match transform(product, leaves, &mut Shapes::default()) {
        Transformed::Staged { product, .. } => Some(*product),
        _ => None,
    }
}

/// One product's record from its pages, or why there is none.
fn transform(product: ToTransform, leaves: &HashSet<i64>, shapes: &mut Shapes) -> Transformed {
    let ToTransform {
        run: _,
        product_id,
        listed_in,
        listing,
        detail,
        page,
        answered_at,
    } = product;
    let mut detail_rejected = None;
    let mut detail_page_id = None;
    // A detail that was refused when it came is read for its shape alone.
    let refused_before = detail == "rejected";
    let seen = page.and_then(|page| match read_detail(&page, product_id, shapes) {
        _ if refused_before => None,
        Ok(seen) => {
            detail_page_id = Some(page.id);
            Some(seen)
        }
        Err(rejection) => {
            detail_rejected = Some(kept(product_id, listed_in, Some(page.id), rejection));
            None
        }
    });
    let Some((listing, listing_page_id)) = listing else {
        return match (seen, detail_rejected, answered_at) {
            (Some(seen), ..) => {
                let made = Product::new(None, Some(seen), None, |id| leaves.contains(&id));
                staged(product_id, made, None, detail_page_id, None)
            }
            (None, Some(rejection), _) => Transformed::Rejected {
                product_id,
                rejection,
            },
            (None, None, Some(at)) if detail == "gone" => Transformed::Gone { product_id, at },
            (None, None, _) if detail == "rejected" => Transformed::Rejected {
                product_id,
                rejection: kept(product_id, None, None, refusal_of_before()),
            },
            _ => Transformed::Unobserved { product_id },
        };
    };
    let made = Product::new(Some(listing), seen, listed_in, |id| leaves.contains(&id));
    staged(
        product_id,
        made,
        Some(listing_page_id),
        detail_page_id,
        detail_rejected,
    )
}

fn staged(
    product_id: i64,
    made: std::result::Result<Product, Rejection>,
    listing_page_id: Option<i64>,
    detail_page_id: Option<i64>,
    detail_rejected: Option<RejectionToStore>,
) -> Transformed {
    match made {
        Ok(product) => Transformed::Staged {
            product: Box::new(product),
            listing_page_id,
            detail_page_id,
            detail_rejected,
        },
        Err(rejection) => {
            let page_id = listing_page_id.or(detail_page_id);
            Transformed::Rejected {
                product_id,
                rejection: kept(product_id, None, page_id, rejection),
            }
        }
    }
}

fn kept(
    product_id: i64,
    category_id: Option<i64>,
    page_id: Option<i64>,
    rejection: Rejection,
) -> RejectionToStore {
    RejectionToStore {
        product_id: Some(product_id),
        category_id,
        page_id,
        rejection,
    }
}

/// A recheck whose body was refused when it came: that rejection is already stored with its page.
fn refusal_of_before() -> Rejection {
    Rejection::new(
        RejectionReason::Nothing,
        None,
        "the recheck's body was refused",
    )
}

fn read_detail(
    page: &StoredPage,
    product_id: i64,
    shapes: &mut Shapes,
) -> std::result::Result<Seen<Detail>, Rejection> {
    let body = read_body(&page.body, page.encoding, &BodyLimits::default())
        .map_err(|error| Rejection::new(RejectionReason::NotJson, None, error))?;
    let source = if page.source == "html" {
        Source::DetailHtml
    } else {
        Source::Detail
    };
    // Also of a body that is refused: a field that vanished shows there.
    shapes.add_detail(&body, source);
    let value = catalog::parse_detail(&body, product_id)?;
    Ok(Seen {
        value,
        at: page.fetched_at,
        source,
    })
}
