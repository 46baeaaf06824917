//! Listing pages.

use catalog::{Instant, Listing, ListingAnswer, ListingItem, Paging, Rejection, RejectionReason};
use warehouse::{
    Attempt, CategoryNode, Error, ListingAsk, ListingOutcome, ListingResult, NewPage, PageKind,
    Walk,
};

use crate::products::listing;
use crate::store::{Store, at};

on_both!(
    every_item_is_counted_once,
    the_order_of_pages_does_not_matter,
    without_paging_a_page_is_asked_until_one_is_empty,
    no_limit_plans_all_pages_of_the_window,
    a_failed_page_waits_or_is_given_up,
    html_pages_are_told_apart,
    a_fenced_page_writes_nothing,
);

const STEP: &str = "extract-product-urls";

/// An answer of organic items alone, on the only page.
pub(crate) fn page_of(items: Vec<Listing>, fetched_at: Instant) -> (ListingAnswer, Instant) {
    let items: Vec<ListingItem> = items.into_iter().map(ListingItem::Organic).collect();
    (answer(items, 1, 1), fetched_at)
}

pub(crate) fn answer(items: Vec<ListingItem>, page: i64, last_page: i64) -> ListingAnswer {
    ListingAnswer {
        paging: Some(Paging {
            current_page: page,
            last_page,
            per_page: 3,
            total: last_page * 3,
        }),
        items,
        facets: catalog::Facets::default(),
    }
}

pub(crate) fn organic(ids: &[i64]) -> Vec<ListingItem> {
    ids.iter()
        .map(|id| ListingItem::Organic(listing(*id, 100)))
        .collect()
}

/// Selects categories for a run without asking the site.
pub(crate) async fn select(store: &Store, run: &str, categories: &[i64]) {
    let attempt = store.attempt(run, "crawl-categories").await;
    store
        .warehouse
        .begin_walk(&attempt, categories)
        .await
        .expect("a walk");
    while let Walk::Ask(nodes) = store
        .warehouse
        .next_categories(&attempt, 0, 100)
        .await
        .expect("an answer")
    {
        for node in &nodes {
            let node: &CategoryNode = node;
            let kept = store
                .warehouse
                .commit_category(&attempt, node, None, &[], &[], at(0))
                .await;
            kept.expect("a leaf");
        }
    }
    store
        .warehouse
        .select_leaves(&attempt, 0, &[])
        .await
        .expect("leaves");
    store.end(&attempt).await;
}

pub(crate) async fn take(
    store: &Store,
    attempt: &Attempt,
    asked: &ListingAsk,
    answer: &ListingAnswer,
    limit: i64,
    fetched_at: Instant,
) -> warehouse::Result<()> {
    let page = NewPage {
        kind: PageKind::Listing,
        subject: asked.category_id,
        source: "api",
        encoding: catalog::Encoding::Identity,
        body: b"{}".to_vec(),
        fetched_at,
    };
    let result = ListingResult {
        page,
        answer,
        limit,
        shapes: &[],
    };
    store.warehouse.commit_listing(attempt, asked, result).await
}

/// A run that has listed one page of each category.
pub(crate) async fn listed_run(
    store: &Store,
    run: &str,
    pages: &[(i64, (ListingAnswer, Instant))],
) {
    store.create_run(run).await;
    let ids: Vec<i64> = pages.iter().map(|(id, _)| *id).collect();
    select(store, run, &ids).await;
    let attempt = store.attempt(run, STEP).await;
    store
        .warehouse
        .begin_listing(&attempt, 0)
        .await
        .expect("a beginning");
    while let ListingOutcome::Ask(asks) = store
        .warehouse
        .next_listings(&attempt, 100)
        .await
        .expect("an answer")
    {
        for ask in asks {
            let (_, (answer, at)) = pages
                .iter()
                .find(|(id, _)| *id == ask.category_id)
                .expect("a page");
            take(store, &attempt, &ask, answer, 0, *at)
                .await
                .expect("kept");
        }
    }
    store
        .warehouse
        .settle_listing(&attempt, 0)
        .await
        .expect("settled");
    store.end(&attempt).await;
}

pub(crate) async fn begin(store: &Store, run: &str) -> Attempt {
    store.create_run(run).await;
    select(store, run, &[7]).await;
    let attempt = store.attempt(run, STEP).await;
    store
        .warehouse
        .begin_listing(&attempt, 0)
        .await
        .expect("a beginning");
    store
        .warehouse
        .begin_listing(&attempt, 0)
        .await
        .expect("the same again");
    attempt
}

pub(crate) async fn ask(store: &Store, attempt: &Attempt) -> Vec<ListingAsk> {
    match store
        .warehouse
        .next_listings(attempt, 100)
        .await
        .expect("an answer")
    {
        ListingOutcome::Ask(asks) => asks,
        ListingOutcome::Wait | ListingOutcome::Done => Vec::new(),
    }
}

async fn every_item_is_counted_once(store: Store) {
    let attempt = begin(&store, "r").await;
    let mut items = organic(&[1, 2, 1]);
    items.push(ListingItem::Ad {
        product_id: Some(2),
    });
    let bad = Rejection::new(RejectionReason::BadId, Some("id"), "null");
    items.push(ListingItem::Malformed(bad));
    let asks = ask(&store, &attempt).await;
    take(&store, &attempt, &asks[0], &answer(items, 1, 3), 4, at(1))
        .await
        .expect("kept");
    let asks = ask(&store, &attempt).await;
    assert_eq!(asks.len(), 1);
    take(
        &store,
        &attempt,
        &asks[0],
        &answer(organic(&[2, 3, 4]), 2, 3),
        4,
        at(2),
    )
    .await
    .expect("kept");
    assert!(ask(&store, &attempt).await.is_empty(), "four are listed");
    store
        .warehouse
        .settle_listing(&attempt, 3)
        .await
        .expect("settled");
    let items = store.warehouse.identities("r").await.expect("counts").items;
    let counted = (
        items.seen,
        items.listed,
        items.repeats,
        items.ads,
        items.beyond,
    );
    assert_eq!((counted, items.malformed), ((8, 3, 2, 1, 1), 1));
    let rejections = store
        .warehouse
        .rejections(Some("r"), None, 10)
        .await
        .expect("rejections");
    assert_eq!(
        (rejections.len(), rejections[0].reason.as_str()),
        (1, "bad-id")
    );
    let page = store
        .warehouse
        .page(rejections[0].page_id.expect("a page"))
        .await;
    assert_eq!(page.expect("an answer").expect("its page").body, b"{}");
    let (urls, count) = store.warehouse.listed("r", 2).await.expect("urls");
    assert_eq!(
        (urls, count),
        (
            vec![
                "https://tiki.vn/p1.html".into(),
                "https://tiki.vn/p2.html".into()
            ],
            3
        )
    );
}

async fn the_order_of_pages_does_not_matter(store: Store) {
    let answers = [
        answer(organic(&[1, 2, 3]), 1, 3),
        answer(organic(&[3, 4, 5]), 2, 3),
        answer(organic(&[6, 1, 4]), 3, 3),
    ];
    let mut seen = Vec::new();
    for (run, order) in [("r1", [0, 1]), ("r2", [1, 0])] {
        let attempt = begin(&store, run).await;
        let first = ask(&store, &attempt).await;
        take(&store, &attempt, &first[0], &answers[0], 0, at(1))
            .await
            .expect("kept");
        let rest = ask(&store, &attempt).await;
        assert_eq!(rest.iter().map(|ask| ask.page).collect::<Vec<_>>(), [2, 3]);
        for n in order {
            let asked = &rest[n];
            let answer = &answers[asked.page as usize - 1];
            take(&store, &attempt, asked, answer, 0, at(1))
                .await
                .expect("kept");
        }
        store
            .warehouse
            .settle_listing(&attempt, 4)
            .await
            .expect("settled");
        let sql = format!(
            "SELECT product_id, page, position, beyond FROM listings WHERE run_id = '{run}'
             ORDER BY product_id"
        );
        seen.push((
            store.rows(&sql).await,
            store.warehouse.identities(run).await.expect("counts"),
        ));
        store.end(&attempt).await;
        store.finish_run(run).await;
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].1.items.listed, 4);
    assert!(
        seen[0].0[2].starts_with("3|1|2|"),
        "the first sighting counts: {:?}",
        seen[0].0
    );
}

async fn without_paging_a_page_is_asked_until_one_is_empty(store: Store) {
    let attempt = begin(&store, "r").await;
    for (page, ids) in [(1, &[1, 2][..]), (2, &[3][..]), (3, &[][..])] {
        let asks = ask(&store, &attempt).await;
        assert_eq!(asks.iter().map(|ask| ask.page).collect::<Vec<_>>(), [page]);
        let answer = ListingAnswer {
            items: organic(ids),
            paging: None,
            facets: catalog::Facets::default(),
        };
        take(&store, &attempt, &asks[0], &answer, 0, at(1))
            .await
            .expect("kept");
    }
    assert_eq!(
        store
            .warehouse
            .next_listings(&attempt, 1)
            .await
            .expect("an answer"),
        ListingOutcome::Done
    );
    let pages = store.warehouse.identities("r").await.expect("counts").pages;
    assert_eq!((pages.planned, pages.ok, pages.empty), (3, 2, 1));
}

async fn no_limit_plans_all_pages_of_the_window(store: Store) {
    let attempt = begin(&store, "r").await;
    let first = ask(&store, &attempt).await;
    take(
        &store,
        &attempt,
        &first[0],
        &answer(organic(&[1]), 1, 400),
        0,
        at(1),
    )
    .await
    .expect("kept");
    assert_eq!(ask(&store, &attempt).await.len(), 49);
    store
        .warehouse
        .settle_listing(&attempt, 0)
        .await
        .expect("settled");
    let counts = store.warehouse.identities("r").await.expect("counts");
    assert_eq!((counts.pages.planned, counts.pages.unasked), (50, 49));
    assert_eq!(counts.incomplete_categories, 1);
}

async fn a_failed_page_waits_or_is_given_up(store: Store) {
    let attempt = begin(&store, "r").await;
    let asks = ask(&store, &attempt).await;
    let fail = async |asked: &ListingAsk, wait, counts| {
        store
            .warehouse
            .fail_listing(&attempt, asked, "503", wait, counts, 0)
            .await
    };
    fail(&asks[0], Some(0.0), false).await.expect("kept");
    let again = ask(&store, &attempt).await;
    assert_eq!(again[0].attempts, 0, "it did not count as a try");
    fail(&again[0], Some(3600.0), true).await.expect("kept");
    assert_eq!(
        store
            .warehouse
            .next_listings(&attempt, 1)
            .await
            .expect("an answer"),
        ListingOutcome::Wait
    );
    let early = fail(&again[0], None, true).await;
    assert!(
        matches!(early, Err(Error::Fenced(_))),
        "it is not claimed: {early:?}"
    );
    store.seed("UPDATE listing_pages SET next_at = NULL").await;
    let again = ask(&store, &attempt).await;
    assert_eq!(again[0].attempts, 1);
    fail(&again[0], None, true).await.expect("given up");
    let counts = store.warehouse.identities("r").await.expect("counts");
    assert_eq!((counts.pages.failed, counts.incomplete_categories), (1, 1));
}

async fn html_pages_are_told_apart(store: Store) {
    let attempt = begin(&store, "r").await;
    let asks = ask(&store, &attempt).await;
    let page = NewPage {
        kind: PageKind::Listing,
        subject: 7,
        source: "html",
        encoding: catalog::Encoding::Identity,
        body: Vec::new(),
        fetched_at: at(1),
    };
    let answer = answer(organic(&[1]), 1, 1);
    let result = ListingResult {
        page,
        answer: &answer,
        limit: 0,
        shapes: &[],
    };
    store
        .warehouse
        .commit_listing(&attempt, &asks[0], result)
        .await
        .expect("kept");
    assert_eq!(
        store.cell("SELECT source FROM listings").await,
        "listing-html"
    );
}

async fn a_fenced_page_writes_nothing(store: Store) {
    let first = begin(&store, "r").await;
    let asks = ask(&store, &first).await;
    let second = store
        .warehouse
        .begin_attempt(&crate::store::wish("r", STEP), |_| true)
        .await;
    let second = second.expect("an answer").expect("taken over");
    let fenced = take(
        &store,
        &first,
        &asks[0],
        &answer(organic(&[1]), 1, 1),
        0,
        at(1),
    )
    .await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    for table in ["listings", "pages", "rejections"] {
        assert_eq!(
            store.cell(&format!("SELECT COUNT(*) FROM {table}")).await,
            "0"
        );
    }
    assert_eq!(ask(&store, &second).await.len(), 1);
}
