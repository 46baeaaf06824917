//! What becomes of details.

use catalog::{Encoding, Rejection, RejectionReason};
use warehouse::{DetailAsk, DetailOutcome, Error, NewPage, PageKind};

use crate::products::{listed, listing};
use crate::store::{Store, answer, at, merge};

on_both!(
    every_answer_has_its_word_and_its_page,
    a_detail_to_ask_again_waits,
    what_answered_last_is_remembered,
    what_is_left_at_the_end_is_unfetched,
    a_batch_with_a_foreign_row_is_refused_whole,
);

const STEP: &str = "crawl-product-details";

fn page(id: i64) -> NewPage {
    NewPage {
        kind: PageKind::Detail,
        subject: id,
        source: "api",
        encoding: Encoding::Gzip,
        body: vec![31, 139, 0, id as u8],
        fetched_at: at(id),
    }
}

async fn claimed(store: &Store, ids: &[i64]) -> (warehouse::Attempt, Vec<DetailAsk>) {
    store.create_run("r").await;
    store.plan("r", ids, Some(7)).await;
    let attempt = store.attempt("r", STEP).await;
    let asks = store
        .warehouse
        .next_details(&attempt, 100)
        .await
        .expect("a claim");
    (attempt, asks.expect("all"))
}

async fn every_answer_has_its_word_and_its_page(store: Store) {
    let (attempt, asks) = claimed(&store, &[1, 2, 3, 4, 5]).await;
    let rejection = Rejection::new(RejectionReason::NotJson, None, "<html>");
    let mut outcomes = [
        DetailOutcome::Good(page(1)),
        DetailOutcome::Gone,
        DetailOutcome::Rejected(rejection, page(3)),
        DetailOutcome::Later {
            seconds: 3600.0,
            counts: true,
            error: "503".into(),
        },
        DetailOutcome::Unfetched("404 of a challenge".into()),
    ]
    .into_iter();
    let answers = asks
        .into_iter()
        .map(|ask| answer(ask, outcomes.next().expect("five")))
        .collect();
    store
        .warehouse
        .commit_details(&attempt, answers)
        .await
        .expect("kept");
    let sql = "SELECT product_id, detail, attempts, error,
        CASE WHEN page_id IS NULL THEN 'no page' ELSE 'page' END,
        CASE WHEN next_at IS NULL THEN 'now' ELSE 'later' END FROM run_products ORDER BY 1";
    assert_eq!(
        store.rows(sql).await,
        [
            "1|good|0|~|page|now",
            "2|gone|0|~|no page|now",
            "3|rejected|0|~|page|now",
            "4|due|1|503|no page|later",
            "5|unfetched|1|404 of a challenge|no page|now"
        ]
    );
    kept_pages_are_found(&store).await;
}

async fn kept_pages_are_found(store: &Store) {
    let newest = async |id| {
        store
            .warehouse
            .newest_page(PageKind::Detail, id, at(0))
            .await
            .expect("an answer")
    };
    let kept = newest(1).await.expect("a page");
    assert_eq!(
        (kept.body, kept.encoding, kept.fetched_at),
        (page(1).body, Encoding::Gzip, at(1))
    );
    assert!(newest(2).await.is_none());
    let later = store
        .warehouse
        .newest_page(PageKind::Detail, 1, at(2))
        .await;
    assert!(later.expect("an answer").is_none(), "it is older");
    let rejections = store
        .warehouse
        .rejections(None, Some("not-json"), 9)
        .await
        .expect("rows");
    assert_eq!(
        (rejections[0].product_id, rejections[0].step.as_str()),
        (Some(3), STEP)
    );
    let one = store
        .warehouse
        .rejection(rejections[0].id)
        .await
        .expect("an answer");
    assert_eq!(one.as_ref(), Some(&rejections[0]));
    let bad = store
        .warehouse
        .page(one.and_then(|one| one.page_id).expect("a page"))
        .await;
    assert_eq!(
        bad.expect("an answer").expect("its page").body,
        page(3).body
    );
}

async fn a_detail_to_ask_again_waits(store: Store) {
    let (attempt, asks) = claimed(&store, &[1]).await;
    let later = |seconds, counts| DetailOutcome::Later {
        seconds,
        counts,
        error: "503".into(),
    };
    let next = async || {
        store
            .warehouse
            .next_details(&attempt, 1)
            .await
            .expect("an answer")
    };
    let commit = async |ask: DetailAsk, outcome| {
        store
            .warehouse
            .commit_details(&attempt, vec![answer(ask, outcome)])
            .await
            .expect("kept");
    };
    commit(asks[0].clone(), later(0.0, false)).await;
    let asks = next().await.expect("it is due");
    assert_eq!(asks[0].attempts, 0);
    commit(asks[0].clone(), later(3600.0, true)).await;
    assert_eq!(next().await, Some(Vec::new()), "not yet");
    store
        .seed("UPDATE run_products SET next_at = '2020-01-01T00:00:00.000Z'")
        .await;
    let asks = next().await.expect("it is due");
    assert_eq!(asks[0].attempts, 1);
    commit(asks[0].clone(), DetailOutcome::Gone).await;
    assert_eq!(next().await, None, "nothing is left");
}

async fn what_answered_last_is_remembered(store: Store) {
    store
        .bring(
            "r0",
            vec![listed(listing(1, 5), at(0)), listed(listing(2, 5), at(0))],
            &merge(),
        )
        .await;
    let (attempt, asks) = claimed(&store, &[1, 2, 3]).await;
    let mut answers = Vec::new();
    for mut ask in asks {
        ask.fingerprint = (ask.product_id == 1).then_some(77);
        let outcome = match ask.product_id {
            1 => DetailOutcome::Good(page(1)),
            2 => DetailOutcome::Gone,
            _ => DetailOutcome::Unfetched("x".into()),
        };
        answers.push(answer(ask, outcome));
    }
    store
        .warehouse
        .commit_details(&attempt, answers)
        .await
        .expect("kept");
    let products = store
        .warehouse
        .unlisted_products("r", 0, 9, false)
        .await
        .expect("products");
    let brief: Vec<_> = products
        .iter()
        .map(|p| (p.product_id, p.last_detail))
        .collect();
    assert_eq!(
        brief,
        [(1, Some((at(5), Some(77)))), (2, Some((at(5), None)))]
    );
}

async fn what_is_left_at_the_end_is_unfetched(store: Store) {
    let (attempt, _) = claimed(&store, &[1, 2]).await;
    store
        .warehouse
        .settle_details(&attempt)
        .await
        .expect("settled");
    let counts = store.warehouse.detail_counts("r").await.expect("counts");
    assert_eq!(counts, [("unfetched".to_owned(), 2)]);
    assert_eq!(
        store.warehouse.open_rows(&attempt).await.expect("a count"),
        0
    );
}

async fn a_batch_with_a_foreign_row_is_refused_whole(store: Store) {
    let (attempt, asks) = claimed(&store, &[1, 2]).await;
    store
        .seed("UPDATE run_products SET claim = 999 WHERE product_id = 2")
        .await;
    let answers = asks
        .into_iter()
        .map(|ask| answer(ask.clone(), DetailOutcome::Good(page(ask.product_id))));
    let refused = store
        .warehouse
        .commit_details(&attempt, answers.collect())
        .await;
    assert!(matches!(refused, Err(Error::Fenced(_))), "{refused:?}");
    assert_eq!(store.cell("SELECT COUNT(*) FROM pages").await, "0");
    assert_eq!(store.cell("SELECT COUNT(*) FROM product_state").await, "0");
}
