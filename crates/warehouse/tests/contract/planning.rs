//! The plan of a run.

use catalog::{Candidate, DetailPolicy, due, rank};
use warehouse::{
    DetailAnswer, DetailOutcome, KnownProduct, Merge, NewPage, PageKind, PlannedProduct,
};

use crate::listings::{listed_run, page_of};
use crate::products::{detail, detailed, listed, listing};
use crate::store::{Arrival, Store, answer, at};

on_both!(
    listed_products_come_in_id_order_from_their_first_category,
    followed_products_that_were_not_listed_are_found,
    what_lies_beyond_the_budget_is_deferred,
    rechecks_are_accompanied_by_one_listed_product,
    a_plan_goes_on_where_it_stopped,
    what_was_deferred_comes_first_in_the_next_run,
    a_candidate_tells_when_it_was_seen_and_whether_it_had_room,
);

const STEP: &str = "crawl-product-details";

async fn listed_products_come_in_id_order_from_their_first_category(store: Store) {
    // Category 8 is asked for first, so it is the first in walk order.
    let pages = [
        (8, page_of(vec![listing(3, 1), listing(1, 1)], at(1))),
        (
            7,
            page_of(vec![listing(1, 2), listing(2, 1), listing(4, 1)], at(1)),
        ),
    ];
    listed_run(&store, "r", &pages).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        // Two rows at a time: a product may have one in each category.
        let page = store
            .warehouse
            .listed_products("r", after, 2)
            .await
            .expect("products");
        let Some(last) = page.last() else { break };
        after = last.product_id;
        seen.extend(page);
    }
    let brief: Vec<(i64, Option<i64>)> = seen
        .iter()
        .map(|product| (product.product_id, product.listed_in))
        .collect();
    assert_eq!(
        brief,
        [(1, Some(8)), (2, Some(7)), (3, Some(8)), (4, Some(7))]
    );
    assert_eq!(seen[0].fingerprint, Some(listing(1, 1).fingerprint()));
    assert_eq!((seen[0].spid, seen[0].last_detail), (Some(10), None));
    let names = store.warehouse.listed_names("r", 10).await.expect("names");
    assert!(names.is_empty(), "nothing is planned yet");
}

async fn followed_products_that_were_not_listed_are_found(store: Store) {
    let arrivals = (1..=40).map(|id| listed(listing(id, 1), at(1))).collect();
    store.bring("r1", arrivals, &crate::store::merge()).await;
    store
        .bring("r2", vec![Arrival::Gone(35, at(2))], &crate::store::merge())
        .await;
    // It lists all but two in the middle of long stretches of listed ones.
    let items = (1..=40)
        .filter(|id| ![13, 38].contains(id))
        .map(|id| listing(id, 1));
    listed_run(&store, "r3", &[(7, page_of(items.collect(), at(3)))]).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = store
            .warehouse
            .unlisted_products("r3", after, 5, false)
            .await
            .expect("products");
        let Some(last) = page.last() else { break };
        after = last.product_id;
        seen.extend(
            page.iter()
                .map(|product| (product.product_id, product.listed_in)),
        );
    }
    assert_eq!(seen, [(13, None), (38, None)], "35 is gone already");
}

fn planned(id: i64, rank: i64, reason: Option<&'static str>) -> PlannedProduct {
    PlannedProduct {
        known: KnownProduct {
            product_id: id,
            listed_in: Some(7),
            fingerprint: Some(1),
            spid: Some(2),
            last_detail: None,
            first_seen: None,
            deferred: false,
            failed: false,
        },
        reason,
        rank,
    }
}

async fn what_lies_beyond_the_budget_is_deferred(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", STEP).await;
    let plan = [
        planned(1, 5, Some("new")),
        planned(2, 1, Some("changed")),
        planned(3, 5, Some("new")),
        planned(4, 9, Some("recheck")),
        planned(5, 0, None),
    ];
    store
        .warehouse
        .commit_plan(&attempt, &plan, "listed 5")
        .await
        .expect("a plan");
    store
        .warehouse
        .end_plan(&attempt, 2, "whole")
        .await
        .expect("an end");
    let asks = store
        .warehouse
        .next_details(&attempt, 9)
        .await
        .expect("a claim")
        .expect("two");
    let ids: Vec<i64> = asks.iter().map(|ask| ask.product_id).collect();
    assert_eq!(ids, [2, 1], "the lowest rank first, then the lowest id");
    assert_eq!(
        (asks[0].spid, asks[0].fingerprint, asks[0].attempts),
        (Some(2), Some(1), 0)
    );
    let counts = store.warehouse.detail_counts("r").await.expect("counts");
    let mut counts: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{word} {n}"))
        .collect();
    counts.sort();
    assert_eq!(counts, ["deferred 2", "due 2", "none 1"]);
    // Enough for all, and no bound: nothing more is deferred.
    store
        .warehouse
        .end_plan(&attempt, 2, "whole")
        .await
        .expect("again");
    store
        .warehouse
        .end_plan(&attempt, 0, "whole")
        .await
        .expect("no bound");
    assert_eq!(
        store.warehouse.open_rows(&attempt).await.expect("a count"),
        2
    );
    assert_eq!(store.warehouse.listed_due("r").await.expect("a count"), 2);
}

async fn rechecks_are_accompanied_by_one_listed_product(store: Store) {
    // Of 2 and 3 details are known, of 3 the newer one.
    for (id, minute) in [(2, 1), (3, 2)] {
        let known = format!("r{id}");
        store
            .one(&known, detailed(detail(id, 100), at(minute)))
            .await;
    }
    let recheck = |id: i64| {
        let mut row = planned(id, 9, Some("recheck"));
        row.known.listed_in = None;
        row
    };
    let (new, not_due) = (Some("new"), None);
    for (run, listed, rechecked, expected) in [
        (
            "quiet",
            vec![(2, not_due), (3, not_due), (4, not_due)],
            true,
            vec![3, 1],
        ),
        ("busy", vec![(2, not_due), (3, new)], true, vec![2, 3, 1]),
        ("unknown", vec![(4, not_due)], true, vec![1]),
        ("idle", vec![(2, not_due)], false, vec![]),
        ("usual", vec![(2, not_due), (3, new)], false, vec![3]),
        ("alone", vec![], true, vec![1]),
    ] {
        store.create_run(run).await;
        let attempt = store.attempt(run, STEP).await;
        let warehouse = &store.warehouse;
        let listed = listed.iter().map(|(id, reason)| planned(*id, 1, *reason));
        let rechecked = rechecked.then(|| recheck(1));
        let plan: Vec<PlannedProduct> = listed.chain(rechecked).collect();
        let made = warehouse.commit_plan(&attempt, &plan, "unlisted 1").await;
        made.expect("a plan");
        // Also where the answer to its end was lost.
        for _ in 0..2 {
            let ended = warehouse.end_plan(&attempt, 0, "whole").await;
            ended.expect("an end");
        }
        let asks = warehouse.next_details(&attempt, 9).await.expect("a claim");
        let asks = asks.unwrap_or_default();
        let ids: Vec<i64> = asks.iter().map(|ask| ask.product_id).collect();
        assert_eq!(ids, expected, "{run}");
        if run == "quiet" {
            assert_eq!(asks[0].fingerprint, None, "no cache stands in for it");
        }
        store.finish_run(run).await;
    }
}

async fn a_plan_goes_on_where_it_stopped(store: Store) {
    store.create_run("r").await;
    let first = store.attempt("r", STEP).await;
    let stretch = [planned(1, 0, Some("new"))];
    store
        .warehouse
        .commit_plan(&first, &stretch, "listed 1")
        .await
        .expect("a stretch");
    let taken = store
        .warehouse
        .begin_attempt(&crate::store::wish("r", STEP), |_| true)
        .await;
    taken.expect("an answer").expect("taken over");
    let late = store
        .warehouse
        .commit_plan(&first, &[planned(2, 0, None)], "listed 2")
        .await;
    assert!(matches!(late, Err(warehouse::Error::Fenced(_))), "{late:?}");
    let step = store
        .warehouse
        .step("r", STEP)
        .await
        .expect("a step")
        .expect("begun");
    assert_eq!(step.planned_to.as_deref(), Some("listed 1"));
    assert_eq!(store.cell("SELECT COUNT(*) FROM run_products").await, "1");
}

/// A run that lists products and plans by the catalogue's own rules with a budget; the details in
/// the order in which they are asked, all of which answer.
async fn asked_in(store: &Store, run: &str, ids: &[i64], minute: i64, budget: i64) -> Vec<i64> {
    let items = ids.iter().map(|id| listing(*id, 1)).collect();
    listed_run(store, run, &[(7, page_of(items, at(minute)))]).await;
    let attempt = store.attempt(run, STEP).await;
    let known = store.warehouse.listed_products(run, 0, 100).await;
    let planned: Vec<PlannedProduct> = known
        .expect("products")
        .into_iter()
        .map(|known| decide(known, minute))
        .collect();
    let stored = store.warehouse.commit_plan(&attempt, &planned, "listed");
    stored.await.expect("a plan");
    let ended = store.warehouse.end_plan(&attempt, budget, "whole").await;
    ended.expect("an end");
    let asks = store.warehouse.next_details(&attempt, 100).await;
    let asks = asks.expect("a claim").unwrap_or_default();
    let asked = asks.iter().map(|ask| ask.product_id).collect();
    let answers = asks.into_iter().map(|ask| {
        let page = NewPage {
            kind: PageKind::Detail,
            subject: ask.product_id,
            source: "api",
            encoding: catalog::Encoding::Identity,
            body: b"{}".to_vec(),
            fetched_at: at(minute),
        };
        DetailAnswer {
            at: at(minute),
            ..answer(ask, DetailOutcome::Good(page))
        }
    });
    let kept = store.warehouse.commit_details(&attempt, answers.collect());
    kept.await.expect("kept");
    store.end(&attempt).await;
    let arrivals = ids
        .iter()
        .map(|id| listed(listing(*id, 1), at(minute)))
        .collect();
    store.stage(run, arrivals).await;
    let merge = Merge {
        now: at(minute),
        ..crate::store::merge()
    };
    store.load_staged(run, &merge).await;
    store.finish_run(run).await;
    let counts = store.warehouse.identities(run).await.expect("counts");
    assert!(counts.broken().is_empty(), "{:?}", counts.broken());
    asked
}

fn decide(known: KnownProduct, minute: i64) -> PlannedProduct {
    let candidate = Candidate {
        product_id: known.product_id,
        listed: known.listed_in.is_some(),
        fingerprint: known.fingerprint,
        last_detail: known.last_detail,
        first_seen: known.first_seen,
        deferred: known.deferred,
        failed: known.failed,
    };
    let year = 365 * 86_400_000;
    let reason = due(&candidate, DetailPolicy::Auto, at(minute), year);
    PlannedProduct {
        rank: reason.map_or(0, |reason| rank(&candidate, reason)),
        reason: reason.map(catalog::Reason::as_str),
        known,
    }
}

async fn what_was_deferred_comes_first_in_the_next_run(store: Store) {
    let first: Vec<i64> = (11..=16).collect();
    assert_eq!(asked_in(&store, "r1", &first, 1, 2).await, [11, 12]);
    // New ones with lower ids come after those that had no room.
    let more: Vec<i64> = (9..=16).collect();
    assert_eq!(asked_in(&store, "r2", &more, 2, 3).await, [13, 14, 15]);
    // A run that planned nothing does not make them forgotten.
    store.create_run("r3").await;
    store.finish_run("r3").await;
    let even_more: Vec<i64> = (5..=16).collect();
    assert_eq!(
        asked_in(&store, "r4", &even_more, 3, 4).await,
        [16, 9, 10, 5],
        "of those without room the one seen first comes first"
    );
    assert_eq!(asked_in(&store, "r5", &even_more, 4, 0).await, [6, 7, 8]);
    assert!(asked_in(&store, "r6", &even_more, 5, 0).await.is_empty());
}

async fn a_candidate_tells_when_it_was_seen_and_whether_it_had_room(store: Store) {
    asked_in(&store, "r1", &[1, 2], 1, 1).await;
    listed_run(
        &store,
        "r2",
        &[(7, page_of(vec![listing(2, 1), listing(3, 1)], at(9)))],
    )
    .await;
    let listed = store.warehouse.listed_products("r2", 0, 9).await;
    let listed = listed.expect("products");
    assert_eq!(
        (
            listed[0].deferred,
            listed[0].first_seen,
            listed[0].last_detail
        ),
        (true, Some(at(1)), None)
    );
    assert_eq!((listed[1].deferred, listed[1].first_seen), (false, None));
    let unlisted = store.warehouse.unlisted_products("r2", 0, 9, false).await;
    let unlisted = unlisted.expect("products");
    let fingerprint = Some(listing(1, 1).fingerprint());
    assert_eq!(unlisted.len(), 1);
    assert_eq!(unlisted[0].first_seen, Some(at(1)));
    assert_eq!(unlisted[0].last_detail, Some((at(1), fingerprint)));
    assert!(!unlisted[0].deferred, "it was asked");
    // Deferred, and not listed any more.
    store.finish_run("r2").await;
    let items = vec![listing(1, 1)];
    listed_run(&store, "r3", &[(7, page_of(items, at(10)))]).await;
    let unlisted = store.warehouse.unlisted_products("r3", 0, 9, false).await;
    let two = &unlisted.expect("products")[0];
    assert_eq!((two.product_id, two.deferred), (2, true));
}
