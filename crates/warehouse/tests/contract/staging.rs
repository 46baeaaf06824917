//! From pages to staged products.

use catalog::{Encoding, Rejection, RejectionReason};
use warehouse::{
    DetailOutcome, Error, NewPage, PageKind, RejectionToStore, Transformed, TransformedBatch,
};

use crate::listings::{listed_run, page_of};
use crate::products::{listing, product};
use crate::store::{Store, answer, at, transformed_batch};

on_both!(
    a_product_comes_with_its_listing_and_its_page,
    a_rejected_detail_comes_with_its_page,
    what_becomes_of_a_product_is_counted,
    a_fenced_batch_stages_nothing,
    a_dead_workers_batch_comes_back_whole,
    results_of_other_products_are_not_staged,
);

const STEP: &str = "transform-products";

/// A run whose product 5 is listed and detailed, and 6 and 7 are rechecks.
async fn fetched(store: &Store) {
    let mut shown = listing(5, 100);
    shown.brand = Some("Hãng".into());
    shown.seller_is_official = Some(true);
    listed_run(
        store,
        "r",
        &[
            (8, page_of(vec![shown], at(1))),
            (7, page_of(vec![listing(5, 1)], at(2))),
        ],
    )
    .await;
    store.plan("r", &[5], Some(8)).await;
    store.plan("r", &[6, 7], None).await;
    let attempt = store.attempt("r", "crawl-product-details").await;
    let asks = store
        .warehouse
        .next_details(&attempt, 9)
        .await
        .expect("a claim")
        .expect("three");
    let answers = asks.into_iter().map(|ask| {
        let page = NewPage {
            kind: PageKind::Detail,
            subject: ask.product_id,
            source: "html",
            encoding: Encoding::Identity,
            body: b"body".to_vec(),
            fetched_at: at(3),
        };
        let outcome = if ask.product_id == 7 {
            DetailOutcome::Gone
        } else {
            DetailOutcome::Good(page)
        };
        answer(ask, outcome)
    });
    store
        .warehouse
        .commit_details(&attempt, answers.collect())
        .await
        .expect("kept");
    store.end(&attempt).await;
}

async fn a_product_comes_with_its_listing_and_its_page(store: Store) {
    fetched(&store).await;
    let attempt = store.attempt("r", STEP).await;
    let batch = store
        .warehouse
        .next_to_transform(&attempt, 9)
        .await
        .expect("a claim");
    let mut batch = batch.expect("three").products;
    batch.sort_by_key(|product| product.product_id);
    let (seen, page_id) = batch[0].listing.as_ref().expect("a listing");
    assert_eq!(seen.value.brand.as_deref(), Some("Hãng"));
    assert_eq!(
        (seen.value.price, seen.value.seller_is_official),
        (Some(100), Some(true))
    );
    assert_eq!(
        (seen.at, seen.source, batch[0].listed_in),
        (at(1), catalog::Source::Listing, Some(8))
    );
    assert!(
        store
            .warehouse
            .page(*page_id)
            .await
            .expect("an answer")
            .is_some()
    );
    let page = batch[0].page.as_ref().expect("a page");
    assert_eq!(
        (page.source.as_str(), page.body.as_slice()),
        ("html", &b"body"[..])
    );
    assert!(batch[1].listing.is_none() && batch[1].detail == "good");
    assert_eq!(
        (batch[2].detail.as_str(), batch[2].answered_at),
        ("gone", Some(at(5)))
    );
    assert!(batch[2].page.is_none());
    let held = store
        .warehouse
        .next_to_transform(&attempt, 9)
        .await
        .expect("an answer");
    assert!(
        held.is_some_and(|held| held.products.is_empty()),
        "claimed by itself"
    );
}

async fn a_rejected_detail_comes_with_its_page(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[5, 6], None).await;
    let attempt = store.attempt("r", "crawl-product-details").await;
    let asks = store.warehouse.next_details(&attempt, 9).await;
    let asks = asks.expect("a claim").expect("two");
    let answers = asks.into_iter().map(|ask| {
        let page = NewPage {
            kind: PageKind::Detail,
            subject: ask.product_id,
            source: "api",
            encoding: Encoding::Identity,
            body: format!("refused {}", ask.product_id).into_bytes(),
            fetched_at: at(3),
        };
        let outcome = if ask.product_id == 5 {
            let refused = Rejection::new(RejectionReason::NoName, Some("name"), "");
            DetailOutcome::Rejected(refused, page)
        } else {
            DetailOutcome::Unfetched("503".into())
        };
        answer(ask, outcome)
    });
    let kept = store.warehouse.commit_details(&attempt, answers.collect());
    kept.await.expect("kept");
    store.end(&attempt).await;
    let attempt = store.attempt("r", STEP).await;
    let batch = store.warehouse.next_to_transform(&attempt, 9).await;
    let mut batch = batch.expect("a claim").expect("two").products;
    batch.sort_by_key(|product| product.product_id);
    let page = batch[0].page.as_ref().expect("its page");
    assert_eq!(
        (batch[0].detail.as_str(), page.body.as_slice()),
        ("rejected", &b"refused 5"[..])
    );
    let kept = store.warehouse.rejections(Some("r"), None, 9).await;
    assert_eq!(kept.expect("rows")[0].page_id, Some(page.id));
    assert_eq!(batch[1].detail, "unfetched");
    assert!(batch[1].page.is_none());
}

fn rejection(product_id: i64, page_id: Option<i64>) -> RejectionToStore {
    RejectionToStore {
        product_id: Some(product_id),
        category_id: None,
        page_id,
        rejection: Rejection::new(RejectionReason::NoName, Some("name"), ""),
    }
}

async fn what_becomes_of_a_product_is_counted(store: Store) {
    fetched(&store).await;
    let attempt = store.attempt("r", STEP).await;
    let claimed = store.warehouse.next_to_transform(&attempt, 9).await;
    let claimed = claimed.expect("a claim").expect("three");
    let batch = [
        Transformed::Staged {
            product: Box::new(product(Some((listing(5, 100), at(1))), None)),
            listing_page_id: Some(1),
            detail_page_id: None,
            detail_rejected: Some(rejection(5, Some(3))),
        },
        Transformed::Rejected {
            product_id: 6,
            rejection: rejection(6, None),
        },
        Transformed::Gone {
            product_id: 7,
            at: at(5),
        },
    ];
    store
        .warehouse
        .commit_batch(
            &attempt,
            transformed_batch(claimed.batch, &batch),
            &[],
            at(9),
        )
        .await
        .expect("staged");
    assert_eq!(store.warehouse.staged_count("r").await.expect("a count"), 2);
    let counts = store.warehouse.stage_counts("r").await.expect("counts");
    assert_eq!(
        counts,
        [
            ("done".into(), Some("rejected".into()), 1),
            ("staged".into(), None, 2)
        ]
    );
    let details = store
        .warehouse
        .identities("r")
        .await
        .expect("counts")
        .details;
    assert_eq!((details.rejected, details.gone, details.good), (2, 1, 0));
    assert_eq!(
        store
            .warehouse
            .rejections(Some("r"), None, 9)
            .await
            .expect("rows")
            .len(),
        2
    );
    assert!(
        store
            .warehouse
            .next_to_transform(&attempt, 9)
            .await
            .expect("an answer")
            .is_none()
    );
    let gone = store.warehouse.gone_counts("r").await.expect("counts");
    assert_eq!((gone.controls, gone.gone, gone.known), (0, 1, 0));
}

async fn a_fenced_batch_stages_nothing(store: Store) {
    fetched(&store).await;
    let first = store.attempt("r", STEP).await;
    let claimed = store.warehouse.next_to_transform(&first, 1).await;
    let claimed = claimed.expect("a claim").expect("one");
    let taken = store
        .warehouse
        .begin_attempt(&crate::store::wish("r", STEP), |_| true)
        .await;
    taken.expect("an answer").expect("taken over");
    let batch = [Transformed::Gone {
        product_id: claimed.products[0].product_id,
        at: at(5),
    }];
    let fenced = store
        .warehouse
        .commit_batch(&first, transformed_batch(claimed.batch, &batch), &[], at(9))
        .await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert_eq!(store.warehouse.staged_count("r").await.expect("a count"), 0);
}

async fn a_dead_workers_batch_comes_back_whole(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1, 2, 3], None).await;
    let dead = store.attempt("r", STEP).await;
    let claimed = store.warehouse.next_to_transform(&dead, 2).await;
    let claimed = claimed.expect("a claim").expect("two");
    assert_eq!(claimed.products.len(), 2);
    let next = store.take_over("r", STEP).await;
    store.end(&next).await;
    let taken = "SELECT COUNT(*) FROM staged_products WHERE state = 'taken'";
    assert_eq!(store.cell(taken).await, "0");
    let arrivals = (1..4).map(|id| crate::products::listed(listing(id, 100), at(1)));
    store.stage_by(2, "r", arrivals.collect()).await;
    let mut outcomes = store.load_staged("r", &crate::store::merge()).await;
    outcomes.sort_by_key(|(id, _)| *id);
    assert_eq!(outcomes, [1, 2, 3].map(|id| (id, warehouse::Outcome::New)));
    assert_eq!(store.cell(taken).await, "0");
}

async fn results_of_other_products_are_not_staged(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1, 2], None).await;
    let attempt = store.attempt("r", STEP).await;
    let claimed = store.warehouse.next_to_transform(&attempt, 2).await;
    let claimed = claimed.expect("a claim").expect("two");
    for ids in [[1, 1], [1, 3]] {
        let batch = ids.map(|product_id| Transformed::Unobserved { product_id });
        let made = TransformedBatch::new(claimed.batch.clone(), &batch);
        assert!(matches!(made, Err(Error::Stored(_))), "{made:?}");
    }
    let open = store.warehouse.open_rows(&attempt).await;
    assert_eq!(open.expect("a count"), 2);
}
