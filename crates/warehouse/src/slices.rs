//! Which pages a category needs, as its pages answer: those that a limit asks for, or all of it, in
//! slices where the site would not show it whole; and a second look where something is missing.
//!
//! Everything here is a function of rows, so it does not matter which process finds that a category
//! needs more.
//!
//! Not here: how a slice is split (`catalog`), asking (`crawl`).

use std::collections::{BTreeMap, HashSet};

use catalog::{BodyLimits, Facet, Facets, ListingAnswer, Slice, Split};

use crate::bulk::Columns;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced};
use crate::listings::ListingAsk;
use crate::open::Warehouse;
use crate::pages::stored;
use crate::params;
use crate::tx::Tx;
use crate::value::Value;

/// Pages that the site answers of one listing at most: 2,000 items, 40 a page.
const WINDOW_PAGES: i64 = 50;

/// Items of a page, unless a page says otherwise.
const PER_PAGE: i64 = 40;

/// Items of a page at most, whatever a page says of itself.
const PER_PAGE_MAX: i64 = 1000;

/// Of so many products one may be missing from what counts as whole.
const MISSING_ONE_IN: i64 = 1000;

/// Further ways to list a crowded price: by brand, by seller, in other orders.
const LEVELS: u8 = 3;

/// Slices of one category at most, so that a site which says of every window that it has more is not asked
/// for ever. By prices spread as the site's are, 50,000 products need about 80, two million some 2,100 and a
/// few more for each crowded price.
pub const MOST_SLICES: i64 = 10_000;

/// What became of a slice's first page, as stored.
const BY_PAGE: &str = "pages";
const BY_SLICE: &str = "slices";
const CROWDED: &str = "crowded";
const ENDLESS: &str = "endless";

const PAGE_COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("category_id", "bigint"),
    ("slice", "text"),
    ("page", "bigint"),
    ("state", "text"),
    ("urgent", "{flag}"),
    ("attempts", "bigint"),
    ("items", "bigint"),
    ("ads", "bigint"),
    ("repeats", "bigint"),
    ("malformed", "bigint"),
];

/// The slice of a stored text.
pub(crate) fn read(text: &str) -> Result<Slice> {
    text.parse()
        .map_err(|error: catalog::SliceError| Error::Stored(error.to_string()))
}

/// Whether so few of `whole` are missing that it counts as listed whole.
pub(crate) fn is_whole(whole: i64, listed: i64) -> bool {
    (whole - listed).saturating_mul(MISSING_ONE_IN) <= whole
}

/// Plans anew, first of all, what the newest run before this one that listed anything failed to get
/// of its categories. A second look is no part of it: the new run looks at the whole slice anyway.
pub(crate) async fn plan_failed(tx: &mut Tx, run: &str, limit: i64) -> Result<()> {
    let sql =
        "INSERT INTO listing_pages (run_id, category_id, slice, page, state, urgent, attempts,
            items, ads, repeats, malformed)
         SELECT c.run_id, p.category_id, p.slice, p.page, 'pending', {yes}, 0, 0, 0, 0, 0
         FROM listing_pages p
         JOIN run_categories c ON c.run_id = $1 AND c.category_id = p.category_id AND c.selected
         WHERE p.run_id = (SELECT b.id FROM runs b JOIN runs r ON r.id = $1
                WHERE b.number < r.number
                    AND EXISTS (SELECT 1 FROM listing_pages l WHERE l.run_id = b.id)
                ORDER BY b.number DESC LIMIT 1)
            AND p.state IN ('failed', 'unasked') AND p.slice NOT LIKE '%again'
            AND ({int:$2} = 0 OR (p.slice = '' AND p.page <= $3))
         ON CONFLICT DO NOTHING";
    tx.execute(sql, params![run, limit, pages_of(limit, PER_PAGE)])
        .await
        .map(drop)
}

/// Pages that hold so many items.
fn pages_of(items: i64, per_page: i64) -> i64 {
    items.saturating_add(per_page - 1) / per_page
}

/// Plans what an answer makes necessary.
pub(crate) async fn plan_more(
    tx: &mut Tx,
    attempt: &Attempt,
    asked: &ListingAsk,
    answer: &ListingAnswer,
    limit: i64,
) -> Result<()> {
    let Some(paging) = answer.paging else {
        // A site that does not say how many pages there are is asked until one is empty.
        let next = asked.page + i64::from(!answer.items.is_empty());
        let to = if limit > 0 { asked.page } else { next };
        return plan_within(tx, attempt, asked, to, next, limit).await;
    };
    let last = paging.last_page.clamp(0, WINDOW_PAGES);
    if limit > 0 {
        let wanted = pages_of(limit, paging.per_page.clamp(1, PER_PAGE_MAX));
        return plan_within(tx, attempt, asked, wanted.min(last), last, limit).await;
    }
    if asked.slice.again {
        return plan_pages(tx, attempt, asked, 2..=last).await;
    }
    if asked.page > 1 {
        // The listing may have grown since its first page.
        return if is_paged(tx, attempt, asked).await? {
            plan_pages(tx, attempt, asked, 2..=last).await
        } else {
            Ok(())
        };
    }
    let Some(split) = catalog::split(&asked.slice, answer) else {
        return Ok(());
    };
    let word = match split {
        Split::Pages { last } => {
            plan_pages(tx, attempt, asked, 2..=last.min(WINDOW_PAGES)).await?;
            BY_PAGE
        }
        Split::Crowded { last } => {
            plan_pages(tx, attempt, asked, 2..=last.min(WINDOW_PAGES)).await?;
            CROWDED
        }
        Split::Into(slices) => {
            if plan_slices(tx, attempt, asked.category_id, &slices).await? {
                BY_SLICE
            } else {
                ENDLESS
            }
        }
    };
    let sql = "UPDATE listing_pages SET split = $4 WHERE run_id = $1 AND category_id = $2
        AND slice = $3 AND page = 1";
    let slice = asked.slice.to_string();
    tx.execute(sql, params![&attempt.run, asked.category_id, slice, word])
        .await
        .map(drop)
}

/// Plans what a page that is given up makes necessary: under a limit, what it did not bring. Not after two in
/// a row, for a listing that no longer answers would be asked to its last page.
pub(crate) async fn plan_instead(
    tx: &mut Tx,
    attempt: &Attempt,
    asked: &ListingAsk,
    limit: i64,
) -> Result<()> {
    if limit <= 0 {
        return Ok(());
    }
    let sql = "SELECT COUNT(*) FROM (SELECT state FROM listing_pages
            WHERE run_id = $1 AND category_id = $2 ORDER BY page DESC LIMIT 2) AS newest
        WHERE state = 'failed'";
    let row = tx
        .row(sql, params![&attempt.run, asked.category_id])
        .await?;
    if row.map_or(Ok(0), |row| row.int(0))? == 2 {
        return Ok(());
    }
    plan_within(tx, attempt, asked, 0, asked.page, limit).await
}

/// Pages up to `to`; under a limit, once none of them is left, one more up to `last` while too few
/// distinct products were listed.
async fn plan_within(
    tx: &mut Tx,
    attempt: &Attempt,
    asked: &ListingAsk,
    to: i64,
    last: i64,
    limit: i64,
) -> Result<()> {
    let mut to = to;
    if limit > 0 {
        let sql = "SELECT MAX(page), {int:SUM(CASE WHEN state = 'pending' THEN 1 ELSE 0 END)},
            (SELECT COUNT(*) FROM listings WHERE run_id = $1 AND category_id = $2), MAX(last_page)
            FROM listing_pages WHERE run_id = $1 AND category_id = $2";
        let row = tx
            .row(sql, params![&attempt.run, asked.category_id])
            .await?;
        let Some(row) = row else { return Ok(()) };
        let (highest, pending, listed) = (row.int(0)?, row.opt_int(1)?.unwrap_or(0), row.int(2)?);
        // Whoever answers or is given up last sees it, whichever page that is.
        if highest >= to && pending == 0 && listed < limit {
            to = (highest + 1).min(row.opt_int(3)?.unwrap_or(last));
        }
    }
    plan_pages(tx, attempt, asked, 2..=to.min(WINDOW_PAGES)).await
}

/// Whether the slice of a page is read page by page. Not yet before its first page has answered: that
/// one plans the others. A page that an earlier run could not get comes before it, and its slice may
/// be none of this run.
async fn is_paged(tx: &mut Tx, attempt: &Attempt, asked: &ListingAsk) -> Result<bool> {
    let sql = "SELECT 1 FROM listing_pages WHERE run_id = $1 AND category_id = $2 AND slice = $3
        AND page = 1 AND state IN ('ok', 'empty') AND COALESCE(split, '') <> $4";
    let slice = asked.slice.to_string();
    let values = params![&attempt.run, asked.category_id, slice, BY_SLICE];
    Ok(tx.row(sql, values).await?.is_some())
}

async fn plan_pages(
    tx: &mut Tx,
    attempt: &Attempt,
    asked: &ListingAsk,
    pages: std::ops::RangeInclusive<i64>,
) -> Result<()> {
    let rows: Vec<Vec<Value>> = pages
        .map(|page| planned(attempt, asked.category_id, &asked.slice, page))
        .collect();
    insert(tx, &rows).await
}

/// Plans the first pages of slices; false: the category has too many already.
async fn plan_slices(
    tx: &mut Tx,
    attempt: &Attempt,
    category: i64,
    slices: &[Slice],
) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM listing_pages
        WHERE run_id = $1 AND category_id = $2 AND page = 1";
    let row = tx.row(sql, params![&attempt.run, category]).await?;
    let known = row.map_or(Ok(0), |row| row.int(0))?;
    if known + slices.len() as i64 > MOST_SLICES {
        return Ok(false);
    }
    let rows: Vec<Vec<Value>> = slices
        .iter()
        .map(|slice| planned(attempt, category, slice, 1))
        .collect();
    insert(tx, &rows).await?;
    Ok(true)
}

async fn insert(tx: &mut Tx, rows: &[Vec<Value>]) -> Result<()> {
    let tail = "ON CONFLICT DO NOTHING";
    tx.insert("listing_pages", PAGE_COLUMNS, tail, rows)
        .await
        .map(drop)
}

fn planned(attempt: &Attempt, category: i64, slice: &Slice, page: i64) -> Vec<Value> {
    let mut row = vec![
        (&attempt.run).into(),
        category.into(),
        slice.to_string().into(),
        page.into(),
        "pending".into(),
        false.into(),
    ];
    row.extend((0..5).map(|_| Value::Int(0)));
    row
}

/// A slice of a category, by its first page.
struct Known {
    slice: Slice,
    page_id: Option<i64>,
    total: i64,
    last_page: i64,
    /// Empty where the page did not answer, or not with how much there is.
    split: String,
}

impl Warehouse {
    /// Plans what listed categories still need: a second look at slices in which something moved
    /// meanwhile, and further ways to list a crowded price. Nothing while a page is still to answer,
    /// as that may bring what is missing. Whether anything is left to ask then.
    pub async fn look_again(&self, attempt: &Attempt) -> Result<bool> {
        let mut tx = self.begin().await?;
        // In one statement, so that of two workers none sees the other's slices and not their pages.
        let rows = tx
            .rows(
                "SELECT p.category_id, p.slice, p.page_id, COALESCE(p.total, 0),
                    COALESCE(p.last_page, 0), COALESCE(p.split, '')
                 FROM listing_pages p WHERE p.run_id = $1 AND p.page = 1 AND NOT EXISTS (
                    SELECT 1 FROM listing_pages o WHERE o.run_id = $1 AND o.state = 'pending')
                 ORDER BY p.category_id, p.slice",
                params![&attempt.run],
            )
            .await?;
        let mut categories: BTreeMap<i64, Vec<Known>> = BTreeMap::new();
        for row in &rows {
            let known = Known {
                slice: read(&row.text(1)?)?,
                page_id: row.opt_int(2)?,
                total: row.int(3)?,
                last_page: row.int(4)?,
                split: row.text(5)?,
            };
            categories.entry(row.int(0)?).or_default().push(known);
        }
        for (category, slices) in &categories {
            // Crowded prices first: what they bring may be what is missing.
            if !list_crowded(&mut tx, attempt, *category, slices).await? {
                look_at_seams(&mut tx, attempt, *category, slices).await?;
            }
        }
        commit_fenced(tx, attempt.epoch).await?;
        Ok(self.open_rows(attempt).await? > 0)
    }
}

/// Plans the next level of each crowded slice while the category lists fewer products than the tree
/// announces; whether there was one.
async fn list_crowded(
    tx: &mut Tx,
    attempt: &Attempt,
    category: i64,
    slices: &[Known],
) -> Result<bool> {
    if !slices.iter().any(|known| known.split == CROWDED) {
        return Ok(false);
    }
    let sql = "SELECT product_count, (SELECT COUNT(*) FROM listings l WHERE l.run_id = $1
            AND l.category_id = $2)
        FROM run_categories WHERE run_id = $1 AND category_id = $2";
    let row = tx.row(sql, params![&attempt.run, category]).await?;
    let Some(row) = row else { return Ok(false) };
    let (announced, listed) = (row.int(0)?, row.int(1)?);
    if announced > 0 && is_whole(announced, listed) {
        return Ok(false);
    }
    let tried: HashSet<Slice> = slices.iter().map(|known| known.slice).collect();
    let brands = brands_of(tx, slices).await?;
    let mut planned = false;
    for known in slices.iter().filter(|known| known.split == CROWDED) {
        let facets = Facets {
            brands: brands.clone(),
            ..facets_of(tx, known.page_id).await?
        };
        for level in 1..=LEVELS {
            let mut more = catalog::crowded_more(&known.slice, &facets, level);
            more.retain(|slice| !tried.contains(slice));
            if !more.is_empty() {
                planned |= plan_slices(tx, attempt, category, &more).await?;
                break;
            }
        }
    }
    Ok(planned)
}

/// The brands that the windows of a category offered, all together: each offers those of its best
/// sellers alone.
async fn brands_of(tx: &mut Tx, slices: &[Known]) -> Result<Vec<Facet>> {
    let mut all = Facets::default();
    for known in slices {
        let slice = &known.slice;
        if slice.brand.is_none() && slice.seller.is_none() {
            all.merge(&facets_of(tx, known.page_id).await?);
        }
    }
    Ok(all.brands)
}

/// The brands and sellers that a kept page offered to choose from.
async fn facets_of(tx: &mut Tx, page_id: Option<i64>) -> Result<Facets> {
    let sql = "SELECT id, source, encoding, body, fetched_at FROM pages WHERE id = $1";
    let Some(row) = tx.row(sql, params![page_id]).await? else {
        return Ok(Facets::default());
    };
    let page = stored(&row, 0)?;
    let body = catalog::read_body(&page.body, page.encoding, &BodyLimits::default());
    let answer = body
        .ok()
        .and_then(|body| catalog::parse_listing(&body).ok());
    Ok(answer.map(|answer| answer.facets).unwrap_or_default())
}

/// Plans a slice once more, page by page, when fewer of its products came than it has: they moved to
/// a page that had been read. Only where all its pages came.
async fn look_at_seams(
    tx: &mut Tx,
    attempt: &Attempt,
    category: i64,
    slices: &[Known],
) -> Result<()> {
    for known in slices {
        let slice = known.slice;
        let by_price = Slice {
            price: slice.price,
            ..Slice::default()
        };
        if known.split != BY_PAGE || slice != by_price {
            continue;
        }
        let sql = "SELECT (SELECT COUNT(*) FROM listings l WHERE l.run_id = $1
                AND l.category_id = $2 AND ($4 = 0 OR l.price BETWEEN $5 AND $6)),
            {int:COALESCE(SUM(malformed), 0)},
            {int:COALESCE(SUM(CASE WHEN state IN ('ok', 'empty') THEN 0 ELSE 1 END), 0)}
            FROM listing_pages WHERE run_id = $1 AND category_id = $2 AND slice = $3";
        let (low, high) = slice.price.unwrap_or_default();
        let narrowed = i64::from(slice.price.is_some());
        let text = slice.to_string();
        let values = params![&attempt.run, category, text, narrowed, low, high];
        let Some(row) = tx.row(sql, values).await? else {
            continue;
        };
        let (listed, malformed, open) = (row.int(0)?, row.int(1)?, row.int(2)?);
        if open > 0 || is_whole(known.total, listed + malformed) {
            continue;
        }
        let again = ListingAsk {
            category_id: category,
            slice: Slice {
                again: true,
                ..slice
            },
            page: 1,
            attempts: 0,
            announced: 0,
        };
        let last = known.last_page.clamp(0, WINDOW_PAGES);
        plan_pages(tx, attempt, &again, 1..=last).await?;
    }
    Ok(())
}
