//! Listing pages: which are to ask, what they said, and what that makes of the category.
//!
//! Every item of a page is counted once: as listed, beyond the limit, an ad, a repeat or malformed.
//!
//! Not here: the items of a page (`listing_items`), which pages a category needs (`slices`), reading
//! an answer (`catalog`), the order in which details are asked (`plan`).

use catalog::{ListingAnswer, Slice};

use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced, held, note_claim};
use crate::listing_items::{Sighting, Sorted, source_of, store_items, store_malformed};
use crate::open::Warehouse;
use crate::pages::{self, NewPage};
use crate::params;
use crate::shapes::{self, ShapeRow};
use crate::slices;
use crate::tx::Tx;
use crate::value::Row;

/// A listing page to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingAsk {
    /// The category.
    pub category_id: i64,
    /// Which part of its listing.
    pub slice: Slice,
    /// From 1.
    pub page: i64,
    /// How often it was asked in vain.
    pub attempts: i64,
    /// Products that the tree announces of the category; below 1: it does not say, or none.
    pub announced: i64,
}

/// A listing page that answered.
#[derive(Debug)]
pub struct ListingResult<'a> {
    /// Its body.
    pub page: NewPage,
    /// What it says.
    pub answer: &'a ListingAnswer,
    /// Products that a category gives at most (0: all).
    pub limit: i64,
    /// What its items look like.
    pub shapes: &'a [ShapeRow],
}

/// What to do with listing pages next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListingOutcome {
    /// Ask these; they are claimed.
    Ask(Vec<ListingAsk>),
    /// Others hold the rest, or it waits for its next try.
    Wait,
    /// Nothing is left.
    Done,
}

impl Warehouse {
    /// Plans the first page of every category that the run takes, and first of all what the run
    /// before it could not get, within the limit of a category (0: none).
    pub async fn begin_listing(&self, attempt: &Attempt, limit: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        slices::plan_failed(&mut tx, &attempt.run, limit).await?;
        tx.execute(
            "INSERT INTO listing_pages (run_id, category_id, slice, page, state, urgent, attempts,
                items, ads, repeats, malformed)
             SELECT run_id, category_id, '', 1, 'pending', {no}, 0, 0, 0, 0, 0 FROM run_categories
             WHERE run_id = $1 AND selected ON CONFLICT DO NOTHING",
            params![&attempt.run],
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Claims up to `n` listing pages: the urgent ones, then the first pages of all categories.
    pub async fn next_listings(&self, attempt: &Attempt, n: i64) -> Result<ListingOutcome> {
        let mut tx = self.begin().await?;
        let rows = tx
            .rows(
                "WITH picked AS MATERIALIZED (SELECT l.run_id, l.category_id, l.slice, l.page
                    FROM listing_pages l
                    WHERE l.run_id = $1 AND l.state = 'pending' AND l.claim IS NULL
                        AND {due:l.next_at}
                    ORDER BY l.urgent DESC, l.page, l.category_id, l.slice LIMIT $3 {skip locked})
                 UPDATE listing_pages SET claim = $2 FROM picked
                 WHERE listing_pages.run_id = picked.run_id
                    AND listing_pages.category_id = picked.category_id
                    AND listing_pages.slice = picked.slice AND listing_pages.page = picked.page
                 RETURNING listing_pages.category_id, listing_pages.slice, listing_pages.page,
                    attempts, urgent, (SELECT c.product_count FROM run_categories c
                        WHERE c.run_id = listing_pages.run_id
                            AND c.category_id = listing_pages.category_id)",
                params![&attempt.run, attempt.epoch, n],
            )
            .await?;
        if !rows.is_empty() {
            note_claim(&mut tx, attempt.epoch).await?;
        }
        commit_fenced(tx, attempt.epoch).await?;
        if rows.is_empty() {
            let open = self.open_rows(attempt).await?;
            return Ok(if open > 0 {
                ListingOutcome::Wait
            } else {
                ListingOutcome::Done
            });
        }
        let read = |row: &Row| -> Result<(bool, ListingAsk)> {
            let ask = ListingAsk {
                category_id: row.int(0)?,
                slice: slices::read(&row.text(1)?)?,
                page: row.int(2)?,
                attempts: row.int(3)?,
                announced: row.opt_int(5)?.unwrap_or(0),
            };
            Ok((!row.flag(4)?, ask))
        };
        let mut asks: Vec<(bool, ListingAsk)> = rows.iter().map(read).collect::<Result<_>>()?;
        asks.sort_by_key(|(later, ask)| (*later, ask.page, ask.category_id));
        let asks = asks.into_iter().map(|(_, ask)| ask).collect();
        Ok(ListingOutcome::Ask(asks))
    }

    /// Stores what a listing page said, its new state, and the pages that follow from it.
    pub async fn commit_listing(
        &self,
        attempt: &Attempt,
        asked: &ListingAsk,
        result: ListingResult<'_>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        lock_category(&mut tx, attempt, asked).await?;
        let (fetched_at, source) = (result.page.fetched_at, source_of(&result.page));
        let ids = pages::insert(&mut tx, &attempt.run, &[result.page]).await?;
        let page_id = ids.get(&asked.category_id).copied();
        let page_id = page_id.ok_or_else(|| Error::Stored("a page without id".into()))?;
        let sorted = Sorted::of(result.answer);
        let seen = Sighting {
            page_id,
            fetched_at,
            source,
        };
        let repeats = store_items(&mut tx, attempt, asked, &sorted, &seen).await?;
        store_malformed(&mut tx, attempt, asked, &sorted, page_id, fetched_at).await?;
        shapes::add(&mut tx, &attempt.run, result.shapes).await?;
        let paging = result.answer.paging.as_ref();
        let state = if result.answer.items.is_empty() {
            "empty"
        } else {
            "ok"
        };
        let count = tx
            .execute(
                "UPDATE listing_pages SET state = $5, claim = NULL, page_id = $6, items = $7,
                    ads = $8, repeats = $9, malformed = $10, last_page = $11, total = $12,
                    error = NULL
                 WHERE run_id = $1 AND category_id = $2 AND page = $3 AND claim = $4
                    AND slice = $13",
                params![
                    &attempt.run,
                    asked.category_id,
                    asked.page,
                    attempt.epoch,
                    state,
                    page_id,
                    result.answer.items.len() as i64,
                    sorted.ads,
                    repeats,
                    sorted.malformed.len() as i64,
                    paging.map(|paging| paging.last_page),
                    paging.map(|paging| paging.total),
                    asked.slice.to_string(),
                ],
            )
            .await?;
        held(count, attempt)?;
        slices::plan_more(&mut tx, attempt, asked, result.answer, result.limit).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Gives a page up (`retry_seconds` `None`) or puts it back for a later try. Under a limit of products
    /// (0: none) another page may come in the place of one that is given up.
    pub async fn fail_listing(
        &self,
        attempt: &Attempt,
        asked: &ListingAsk,
        error: &str,
        retry_seconds: Option<f64>,
        counts_as_try: bool,
        limit: i64,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let given_up = retry_seconds.is_none();
        if given_up {
            lock_category(&mut tx, attempt, asked).await?;
        }
        let state = if given_up { "failed" } else { "pending" };
        let count = tx
            .execute(
                "UPDATE listing_pages SET state = $5, attempts = attempts + $8, error = $6,
                next_at = {later:$7}, claim = NULL
             WHERE run_id = $1 AND category_id = $2 AND page = $3 AND claim = $4 AND slice = $9",
                params![
                    &attempt.run,
                    asked.category_id,
                    asked.page,
                    attempt.epoch,
                    state,
                    error,
                    retry_seconds.unwrap_or(0.0),
                    i64::from(counts_as_try),
                    asked.slice.to_string(),
                ],
            )
            .await?;
        held(count, attempt)?;
        if given_up {
            slices::plan_instead(&mut tx, attempt, asked, limit).await?;
        }
        commit_fenced(tx, attempt.epoch).await
    }

    /// Marks pages that nobody will ask any more, and what lies beyond the limit of a category. A
    /// product that is followed is never beyond it: what a page shows of it anyway is a look. Nor is one
    /// that the run has planned, before a page that failed was asked again.
    pub async fn settle_listing(&self, attempt: &Attempt, limit: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "UPDATE listing_pages SET state = 'unasked', claim = NULL
             WHERE run_id = $1 AND state = 'pending'",
            params![&attempt.run],
        )
        .await?;
        if limit > 0 {
            tx.execute(
                "UPDATE listings SET beyond = {yes} FROM (
                    SELECT category_id, product_id, ROW_NUMBER() OVER (PARTITION BY category_id
                        ORDER BY page, position) AS place
                    FROM listings WHERE run_id = $1) AS ranked
                 WHERE listings.run_id = $1 AND listings.category_id = ranked.category_id
                    AND listings.product_id = ranked.product_id AND ranked.place > $2
                    AND NOT EXISTS (SELECT 1 FROM products p WHERE p.id = listings.product_id)
                    AND NOT EXISTS (SELECT 1 FROM run_products r WHERE r.run_id = $1
                        AND r.product_id = listings.product_id)",
                params![&attempt.run, limit],
            )
            .await?;
        }
        commit_fenced(tx, attempt.epoch).await
    }

    /// URLs of listed products, `limit` at most, and how many products are listed in all.
    pub async fn listed(&self, run: &str, limit: i64) -> Result<(Vec<String>, i64)> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT MIN(url) FROM listings WHERE run_id = $1 AND NOT beyond
                 GROUP BY product_id ORDER BY product_id LIMIT $2",
                params![run, limit],
            )
            .await?;
        let count = tx
            .row(
                "SELECT COUNT(DISTINCT product_id) FROM listings WHERE run_id = $1 AND NOT beyond",
                params![run],
            )
            .await?;
        tx.commit().await?;
        let urls = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
        Ok((urls, count.map_or(Ok(0), |row| row.int(0))?))
    }
}

/// So that of two pages of a category that end at once one sees the other.
async fn lock_category(tx: &mut Tx, attempt: &Attempt, asked: &ListingAsk) -> Result<()> {
    let lock = "SELECT 1 FROM run_categories WHERE run_id = $1 AND category_id = $2 {for update}";
    let found = tx.row(lock, params![&attempt.run, asked.category_id]).await;
    found.map(drop)
}
