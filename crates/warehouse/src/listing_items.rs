//! The items of a listing page: each is counted once, and the first sighting of a product in a
//! category is the one that counts.
//!
//! Not here: the pages (`listings`).

use catalog::{Instant, Listing, ListingAnswer, ListingItem, Source};

use crate::bulk::Columns;
use crate::error::Result;
use crate::lease::{Attempt, commit_fenced};
use crate::listings::ListingAsk;
use crate::open::Warehouse;
use crate::pages::NewPage;
use crate::params;
use crate::rejections::{self, RejectionToStore};
use crate::tx::Tx;
use crate::value::Value;

const LISTING_COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("product_id", "bigint"),
    ("category_id", "bigint"),
    ("slice", "text"),
    ("page", "bigint"),
    ("position", "bigint"),
    ("beyond", "{flag}"),
    ("page_id", "bigint"),
    ("source", "text"),
    ("observed_at", "{time}"),
    ("fingerprint", "bigint"),
    ("url", "text"),
    ("spid", "bigint"),
    ("name", "text"),
    ("image_url", "text"),
    ("brand", "text"),
    ("seller_sku", "text"),
    ("seller_id", "bigint"),
    ("seller_is_official", "{flag}"),
    ("category_path", "text"),
    ("price", "bigint"),
    ("original_price", "bigint"),
    ("discount_percent", "bigint"),
    ("sales_count", "bigint"),
    ("rating_average", "{real}"),
    ("review_count", "bigint"),
    ("derivation", "bigint"),
];

/// What follows from where an item was found.
const PLACE: usize = 10;

/// The first sighting within a category is the one that counts, whatever order pages answered in: by
/// slice, page and position.
fn listing_tail() -> String {
    let set: Vec<String> = LISTING_COLUMNS[3..]
        .iter()
        .map(|(name, _)| format!("{name} = excluded.{name}"))
        .collect();
    format!(
        "ON CONFLICT (run_id, product_id, category_id) DO UPDATE SET {} WHERE \
         (excluded.slice, excluded.page, excluded.position) \
         < (listings.slice, listings.page, listings.position)",
        set.join(", ")
    )
}

/// The items of a page by what becomes of them.
pub(crate) struct Sorted<'a> {
    /// Position and listing; each product once.
    organic: Vec<(i64, &'a Listing)>,
    pub(crate) ads: i64,
    repeats: i64,
    pub(crate) malformed: Vec<&'a catalog::Rejection>,
}

impl<'a> Sorted<'a> {
    pub(crate) fn of(answer: &'a ListingAnswer) -> Self {
        let mut sorted = Self {
            organic: Vec::new(),
            ads: 0,
            repeats: 0,
            malformed: Vec::new(),
        };
        let mut seen = std::collections::HashSet::new();
        for (position, item) in (0_i64..).zip(&answer.items) {
            match item {
                ListingItem::Ad { .. } => sorted.ads += 1,
                ListingItem::Malformed(rejection) => sorted.malformed.push(rejection),
                ListingItem::Organic(listing) if !seen.insert(listing.product_id) => {
                    sorted.repeats += 1;
                }
                ListingItem::Organic(listing) => sorted.organic.push((position, listing)),
            }
        }
        sorted
    }
}

/// Where and when items were seen.
pub(crate) struct Sighting {
    pub(crate) page_id: i64,
    pub(crate) fetched_at: Instant,
    pub(crate) source: Source,
}

/// Which kind of page it is.
pub(crate) fn source_of(page: &NewPage) -> Source {
    if page.source == "html" {
        Source::ListingHtml
    } else {
        Source::Listing
    }
}

/// Stores the organic items; how many of them the category had listed before.
pub(crate) async fn store_items(
    tx: &mut Tx,
    attempt: &Attempt,
    asked: &ListingAsk,
    sorted: &Sorted<'_>,
    seen: &Sighting,
) -> Result<i64> {
    let ids = Value::Ids(
        sorted
            .organic
            .iter()
            .map(|(_, listing)| listing.product_id)
            .collect(),
    );
    let known = tx
        .row(
            "SELECT COUNT(*) FROM listings WHERE run_id = $1 AND category_id = $2
                AND product_id {among:$3}",
            &[(&attempt.run).into(), asked.category_id.into(), ids],
        )
        .await?;
    let known = known.map_or(Ok(0), |row| row.int(0))?;
    let rows: Vec<Vec<Value>> = sorted
        .organic
        .iter()
        .map(|(position, listing)| row_of(attempt, asked, *position, listing, seen))
        .collect();
    tx.insert("listings", LISTING_COLUMNS, &listing_tail(), &rows)
        .await?;
    Ok(known + sorted.repeats)
}

fn row_of(
    attempt: &Attempt,
    asked: &ListingAsk,
    position: i64,
    listing: &Listing,
    seen: &Sighting,
) -> Vec<Value> {
    let mut row = vec![
        (&attempt.run).into(),
        listing.product_id.into(),
        asked.category_id.into(),
        asked.slice.to_string().into(),
        asked.page.into(),
        position.into(),
        false.into(),
        seen.page_id.into(),
        seen.source.as_str().into(),
        seen.fetched_at.into(),
    ];
    row.extend(said(listing, catalog::DERIVATION));
    row
}

/// What a listing says, in the order of [`LISTING_COLUMNS`] after [`PLACE`].
fn said(listing: &Listing, derivation: i64) -> Vec<Value> {
    vec![
        listing.fingerprint().into(),
        (&listing.url).into(),
        listing.spid.into(),
        (&listing.name).into(),
        listing.image_url.as_ref().into(),
        listing.brand.as_ref().into(),
        listing.seller_sku.as_ref().into(),
        listing.seller_id.into(),
        listing.seller_is_official.into(),
        listing.category_path.as_ref().into(),
        listing.price.into(),
        listing.original_price.into(),
        listing.discount_percent.into(),
        listing.sales_count.into(),
        listing.rating_average.into(),
        listing.review_count.into(),
        derivation.into(),
    ]
}

impl Warehouse {
    /// Pages of a run, after that of an id and `limit` at most, whose items lower rules than `derivation`
    /// read.
    pub async fn outdated_listings(
        &self,
        run: &str,
        derivation: i64,
        after: i64,
        limit: i64,
    ) -> Result<Vec<i64>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT DISTINCT page_id FROM listings
                 WHERE run_id = $1 AND derivation < $2 AND page_id > $3 ORDER BY page_id LIMIT $4",
                params![run, derivation, after, limit],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| row.int(0)).collect()
    }

    /// Stores what rules of a number read in a page of the run that lower ones had read: the same items,
    /// in the same places.
    pub async fn commit_listing_anew(
        &self,
        attempt: &Attempt,
        derivation: i64,
        page_id: i64,
        answer: &ListingAnswer,
    ) -> Result<()> {
        let mut columns = vec![
            ("run_id", "text"),
            ("product_id", "bigint"),
            ("page_id", "bigint"),
        ];
        columns.extend(&LISTING_COLUMNS[PLACE..]);
        let sorted = Sorted::of(answer);
        let rows: Vec<Vec<Value>> = sorted
            .organic
            .iter()
            .map(|(_, listing)| {
                let key = [
                    (&attempt.run).into(),
                    listing.product_id.into(),
                    page_id.into(),
                ];
                key.into_iter().chain(said(listing, derivation)).collect()
            })
            .collect();
        let mut tx = self.begin().await?;
        tx.update("listings", &columns, 3, &rows).await?;
        commit_fenced(tx, attempt.epoch).await
    }
}

/// Keeps what has no id as rejections.
pub(crate) async fn store_malformed(
    tx: &mut Tx,
    attempt: &Attempt,
    asked: &ListingAsk,
    sorted: &Sorted<'_>,
    page_id: i64,
    now: Instant,
) -> Result<()> {
    let rows: Vec<RejectionToStore> = sorted
        .malformed
        .iter()
        .map(|rejection| RejectionToStore {
            product_id: None,
            category_id: Some(asked.category_id),
            page_id: Some(page_id),
            rejection: (*rejection).clone(),
        })
        .collect();
    rejections::insert(tx, &attempt.run, &attempt.step, &rows, now).await
}
