//! Old rows go, of closed runs only.

use catalog::{Encoding, Rejection, RejectionReason};
use warehouse::{DetailOutcome, DriftRow, Host, Kind, NewPage, PageKind, Retention};

use crate::listings::{listed_run, page_of};
use crate::products::{listed, listing};
use crate::store::{Store, answer, at, keep_from, merge};

on_both!(
    only_closed_runs_are_cleaned,
    a_held_run_is_not_cleaned,
    the_newest_look_and_the_needed_pages_stay,
    cleaning_needs_its_attempt,
    a_run_that_was_cleaned_is_not_derived_anew,
    what_is_being_cleaned_or_was_long_ago_is_not_derived_anew,
    what_is_derived_anew_is_not_cleaned,
    alerts_of_no_run_end_with_their_own_age,
    one_cleans_up_at_a_time,
    a_purge_is_announced_before_the_first_cleaning_of_no_run,
    looks_that_wait_are_not_due_again,
    what_would_go_is_counted,
    pages_of_a_run_whose_drift_was_rejected_replace_no_good_one,
);

async fn a_day(store: &Store, run: &str, minutes: i64) {
    listed_run(
        store,
        run,
        &[(7, page_of(vec![listing(1, minutes)], at(minutes)))],
    )
    .await;
    store.plan(run, &[1], Some(7)).await;
    let attempt = store.attempt(run, "crawl-product-details").await;
    let asks = store
        .warehouse
        .next_details(&attempt, 9)
        .await
        .expect("a claim")
        .expect("one");
    let page = NewPage {
        kind: PageKind::Detail,
        subject: 1,
        source: "api",
        encoding: Encoding::Identity,
        body: run.as_bytes().to_vec(),
        fetched_at: at(minutes),
    };
    let outcome = if run == "bad" {
        let why = Rejection::new(RejectionReason::NotJson, None, "x");
        DetailOutcome::Rejected(why, page)
    } else {
        DetailOutcome::Good(page)
    };
    let answers = vec![answer(asks[0].clone(), outcome)];
    store
        .warehouse
        .commit_details(&attempt, answers)
        .await
        .expect("kept");
    store.end(&attempt).await;
    store
        .stage(run, vec![listed(listing(1, minutes), at(minutes))])
        .await;
    store.load_staged(run, &merge()).await;
}

const OF_RUNS: [&str; 9] = [
    "listings",
    "listing_pages",
    "run_categories",
    "run_products",
    "run_steps",
    "shapes",
    "drift",
    "cache_counts",
    "alerts",
];

/// What a run leaves beside its products.
async fn leave_traces(store: &Store, run: &str) {
    let attempt = store.attempt(run, "get-cache-stats").await;
    let warehouse = &store.warehouse;
    let counted = warehouse.count_cache(&attempt, &[("memory", 1, 1)]).await;
    counted.expect("counted");
    let drift = DriftRow {
        source: "api".into(),
        endpoint: "detail".into(),
        root: 1,
        field: "name".into(),
        kind: "presence".into(),
        was: 1.0,
        now_is: 0.5,
        sample: 100,
        stops: false,
    };
    let stored = warehouse.store_drift(&attempt, &[drift]).await;
    stored.expect("stored");
    store.end(&attempt).await;
    let shape = format!(
        "INSERT INTO shapes (run_id, source, endpoint, root, field, absent, nulls, flags, integers, reals,
            texts, lists, objects, log_sum, log_squares)
         VALUES ('{run}', 'api', 'detail', 0, 'name', 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)"
    );
    store.seed(&shape).await;
    let alert = format!(
        "INSERT INTO alerts (id, dedup_key, kind, severity, run_id, title, details, seen, first_at, last_at)
         VALUES ('a', 'k', 'items', 'warning', '{run}', 'few', '{{}}', 1, '2026-01-01T00:00:00.000Z',
            '2026-01-01T00:00:00.000Z');
         INSERT INTO alert_deliveries (alert_id, channel, state, tries, next_at)
         VALUES ('a', 'slack', 'waiting', 0, '2026-01-01T00:00:00.000Z')"
    );
    store.seed(&alert).await;
}

async fn alerts_of_no_run_end_with_their_own_age(store: Store) {
    a_day(&store, "open", 1).await;
    for (id, run, day) in [
        ("old", "NULL", "01"),
        ("young", "NULL", "03"),
        ("of-nobody", "'was-never-begun'", "01"),
        ("of-a-run", "'open'", "01"),
    ] {
        let alert = format!(
            "INSERT INTO alerts (id, dedup_key, kind, severity, run_id, title, details, seen, first_at, last_at)
             VALUES ('{id}', 'k', 'disk', 'critical', {run}, 'full', '{{}}', 1, '2026-01-{day}T00:00:00.000Z',
                '2026-01-{day}T00:00:00.000Z');
             INSERT INTO alert_deliveries (alert_id, channel, state, tries, next_at)
             VALUES ('{id}', 'slack', 'sent', 1, '2026-01-01T00:00:00.000Z')"
        );
        store.seed(&alert).await;
    }
    let attempt = store.attempt("open", "cleanup-temp-files").await;
    let keep = keep_from("2026-01-02T00:00:00.000Z".parse().expect("an instant"));
    assert_eq!(store.clean_under(&attempt, &keep).await, 4);
    for table in [
        "SELECT id FROM alerts ORDER BY id",
        "SELECT alert_id FROM alert_deliveries ORDER BY alert_id",
    ] {
        assert_eq!(store.rows(table).await, ["of-a-run", "young"]);
    }
}

async fn a_held_run_is_not_cleaned(store: Store) {
    a_day(&store, "held", 1).await;
    leave_traces(&store, "held").await;
    let attempt = store.attempt("held", "load-products").await;
    store
        .warehouse
        .hold_run(&attempt, (11, "drift"), None)
        .await
        .expect("held");
    let pages = store.rows("SELECT id FROM pages ORDER BY id").await;
    store.clean("cleaning", &keep_from(at(1_000_000))).await;
    for table in OF_RUNS {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE run_id = 'held'");
        assert_ne!(store.cell(&sql).await, "0", "{table}");
    }
    let kept = store.rows("SELECT id FROM pages ORDER BY id").await;
    assert_eq!(kept, pages);
}

async fn only_closed_runs_are_cleaned(store: Store) {
    a_day(&store, "open", 1).await;
    leave_traces(&store, "open").await;
    let attempt = store.attempt("open", "cleanup-temp-files").await;
    let keep = keep_from(at(1_000_000));
    let removed = store.clean_under(&attempt, &keep).await;
    assert_eq!(removed, 0, "the only run is open");
    store.end(&attempt).await;
    store.finish_run("open").await;
    let history = store.rows("SELECT * FROM product_history").await;
    let removed = store.clean("cleaning", &keep).await;
    assert!(removed > 5, "{removed}");
    for table in OF_RUNS {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE run_id = 'open'");
        assert_eq!(store.cell(&sql).await, "0", "{table}");
    }
    let told = "SELECT COUNT(*) FROM alert_deliveries";
    assert_eq!(store.cell(told).await, "0");
    assert!(
        store
            .warehouse
            .run("open")
            .await
            .expect("an answer")
            .is_none()
    );
    assert_eq!(store.rows("SELECT * FROM product_history").await, history);
    assert_eq!(
        store.cell("SELECT COUNT(*) FROM product_categories").await,
        "1"
    );
}

async fn the_newest_look_and_the_needed_pages_stay(store: Store) {
    for (run, minutes) in [("r1", 1), ("r2", 2), ("r3", 3), ("bad", 4)] {
        a_day(&store, run, minutes).await;
        store.finish_run(run).await;
    }
    let row = store.rows("SELECT * FROM products").await;
    let digest = store.warehouse.content_digest().await.expect("a digest");
    // All runs began at the same time, so nothing of the ledger is old enough.
    let keep = Retention {
        listings: at(0),
        ledger: at(0),
        ..keep_from(at(1_000))
    };
    store.clean("cleaning", &keep).await;
    let pages = "SELECT kind, run_id FROM pages ORDER BY id";
    assert_eq!(store.rows(pages).await, ["detail|r3", "detail|bad"]);
    assert_eq!(store.cell("SELECT COUNT(*) FROM observations").await, "1");
    assert_eq!(store.rows("SELECT * FROM products").await, row);
    assert_eq!(
        store.warehouse.content_digest().await.expect("a digest"),
        digest
    );
    assert_eq!(store.clean("again", &keep).await, 0);
    // A look that comes later still finds what was known.
    store
        .bring("r5", vec![listed(listing(1, 4), at(9))], &merge())
        .await;
    assert_eq!(store.warehouse.totals().await.expect("totals"), (1, 2, 4));
    // The rejected page goes with its rejection, and does not stand for the good one.
    store.clean("last", &keep_from(at(1_000))).await;
    assert_eq!(store.rows(pages).await, ["detail|r3"]);
}

async fn cleaning_needs_its_attempt(store: Store) {
    a_day(&store, "r1", 1).await;
    store.finish_run("r1").await;
    store.create_run("cleaning").await;
    let first = store.attempt("cleaning", "cleanup-temp-files").await;
    store.end(&first).await;
    let refused = store
        .warehouse
        .clean(&first, &keep_from(at(1_000)), Kind::Listings)
        .await;
    assert!(
        matches!(refused, Err(warehouse::Error::Fenced(_))),
        "{refused:?}"
    );
    assert_eq!(store.cell("SELECT COUNT(*) FROM listings").await, "1");
}

const ANEW: [&str; 2] = ["transform-products", "load-products"];

async fn a_run_that_was_cleaned_is_not_derived_anew(store: Store) {
    a_day(&store, "r1", 1).await;
    store.finish_run("r1").await;
    // Pages alone are enough: without them it would be derived to less.
    let keep = Retention {
        pages: at(1_000),
        ..keep_from(at(0))
    };
    store.clean("cleaning", &keep).await;
    let outcomes = "SELECT DISTINCT outcome FROM run_outcomes";
    let before = store.rows(outcomes).await;
    let refused = store.warehouse.redo("r1", ANEW[0], &ANEW).await;
    let error = refused.expect_err("its pages may be gone").to_string();
    let said = "pages of run r1 were cleaned up (TIKI_KEEP_PAGES), so it cannot be derived anew";
    assert_eq!(error, said);
    let cleaned = async |run: &str| store.warehouse.cleaned(run).await.expect("kinds");
    assert_eq!(cleaned("r1").await, [Kind::Pages]);
    assert_eq!(cleaned("cleaning").await, []);
    assert_eq!(cleaned("nobody").await, []);
    assert_eq!(store.rows(outcomes).await, before);
    let replayable = store.warehouse.runs_to_replay(None, None, None).await;
    assert!(replayable.expect("an answer").is_empty());
}

async fn what_is_being_cleaned_or_was_long_ago_is_not_derived_anew(store: Store) {
    a_day(&store, "r1", 1).await;
    store.finish_run("r1").await;
    let refused = async || {
        let redone = store.warehouse.redo("r1", ANEW[0], &ANEW).await;
        redone.expect_err("it is less than it was").to_string()
    };
    store.seed("UPDATE runs SET sealed_at = created_at").await;
    let error = refused().await;
    assert!(
        error.starts_with("parts of run r1 were cleaned up, so"),
        "{error}"
    );
    store.seed("UPDATE runs SET sealed_at = NULL").await;
    store.seed("DELETE FROM listings").await;
    let error = refused().await;
    assert!(error.contains("(TIKI_KEEP_LISTINGS)"), "{error}");
}

async fn what_is_derived_anew_is_not_cleaned(store: Store) {
    for (run, minutes) in [("r1", 1), ("r2", 20), ("r3", 40)] {
        a_day(&store, run, minutes).await;
        store.finish_run(run).await;
    }
    store.create_run_at("cleaning", at(1_000)).await;
    let attempt = store.attempt("cleaning", "cleanup-temp-files").await;
    store.finish_run("cleaning").await;
    let redone = store.warehouse.redo("r2", ANEW[0], &ANEW).await;
    redone.expect("opened again");
    store.clean_under(&attempt, &keep_from(at(900))).await;
    let runs = "SELECT DISTINCT run_id FROM listings";
    assert_eq!(store.rows(runs).await, ["r2"]);
    // All began at the same time, and any look since may be needed.
    assert_eq!(store.cell("SELECT COUNT(*) FROM observations").await, "3");
    let history = store.rows("SELECT * FROM product_history").await;
    store
        .stage("r2", vec![listed(listing(1, 20), at(20))])
        .await;
    store.load_staged("r2", &merge()).await;
    store.finish_run("r2").await;
    store.clean_under(&attempt, &keep_from(at(900))).await;
    assert_eq!(store.cell("SELECT COUNT(*) FROM listings").await, "0");
    assert_eq!(store.cell("SELECT COUNT(*) FROM observations").await, "1");
    assert_eq!(store.rows("SELECT * FROM product_history").await, history);
}

async fn looks_that_wait_are_not_due_again(store: Store) {
    for (run, minutes) in [("r1", 1), ("r2", 2)] {
        a_day(&store, run, minutes).await;
        store.finish_run(run).await;
    }
    store.create_run_at("young", at(1_000)).await;
    store.finish_run("young").await;
    let keep = Retention {
        late_millis: 7 * 86_400_000,
        ..keep_from(at(900))
    };
    let due = async |keep: &Retention| {
        let due = store.warehouse.due_to_clean(None, keep, Kind::Observations);
        let due = due.await.expect("an answer");
        due.map(|due| (due.runs, due.waiting))
    };
    assert_eq!(due(&keep).await, Some((0, 2)), "they are to be sealed");
    store.clean("cleaning", &keep).await;
    assert_eq!(store.cell("SELECT COUNT(*) FROM observations").await, "2");
    assert_eq!(due(&keep).await, None, "they only wait");
    let keep = Retention {
        late_millis: 0,
        ..keep
    };
    assert_eq!(due(&keep).await, Some((2, 0)), "they wait no longer");
    store.clean("later", &keep).await;
    assert_eq!(store.cell("SELECT COUNT(*) FROM observations").await, "1");
    assert_eq!(due(&keep).await, None);
}

async fn what_would_go_is_counted(store: Store) {
    for (run, minutes) in [("r1", 1), ("r2", 2), ("r3", 3), ("bad", 4)] {
        a_day(&store, run, minutes).await;
        store.finish_run(run).await;
    }
    let keep = keep_from(at(1_000));
    store.create_run_at("cleaning", at(1_000_000)).await;
    let attempt = store.attempt("cleaning", "cleanup-temp-files").await;
    for kind in Kind::ALL {
        let told = store.warehouse.rows_to_clean(&keep, kind).await;
        let went = store.warehouse.clean(&attempt, &keep, kind).await;
        let (told, went) = (told.expect("counted"), went.expect("cleaned"));
        assert!(went > 0, "{kind:?}");
        // The page of a rejection goes with the ledger, after it.
        let with_others = u64::from(kind == Kind::Ledger);
        assert_eq!(told + with_others, went, "{kind:?}");
        let told = store.warehouse.rows_to_clean(&keep, kind).await;
        assert_eq!(told.expect("counted"), 0, "{kind:?}");
    }
}

async fn one_cleans_up_at_a_time(store: Store) {
    let warehouse = &store.warehouse;
    let host = |process: &str| Host {
        name: "here".into(),
        process: process.into(),
    };
    let begin = async |process: &str, dead: bool| {
        let begun = warehouse.begin_cleaning(&host(process), |_| dead).await;
        begun.expect("an answer")
    };
    store.create_run("r1").await;
    // Of a run: whoever has no run stays away, but for a process that is gone.
    let step = store.attempt("r1", "cleanup-temp-files").await;
    let other = warehouse.other_cleaner(&step, |_| false).await;
    assert_eq!(other.expect("an answer"), None, "it is the one itself");
    assert!(begin("1", false).await.is_err());
    let first = begin("1", true).await.expect("nobody that lives");
    // Of no run: the step of a run sees it, and a second one is refused.
    let other = warehouse.other_cleaner(&step, |_| false).await;
    assert_eq!(other.expect("an answer"), Some(host("1")));
    store.end(&step).await;
    assert_eq!(begin("2", false).await.expect_err("held"), host("1"));
    // Who is taken for dead cleans no more.
    let second = begin("2", true).await.expect("the first is gone");
    let refused = warehouse
        .clean(&first, &keep_from(at(1_000)), Kind::Ledger)
        .await;
    let fenced = matches!(refused, Err(warehouse::Error::Fenced(_)));
    assert!(fenced, "{refused:?}");
    store.end(&second).await;
    let third = begin("3", false).await.expect("nobody is at work");
    store.end(&third).await;
    let rows = "SELECT COUNT(*) FROM attempts WHERE run_id = 'tiki cleanup'";
    assert_eq!(store.cell(rows).await, "2", "it and the newest that failed");
    for process in ["4", "5"] {
        let next = begin(process, false).await.expect("nobody is at work");
        let failed = Some((1, "the disk is full"));
        let ended = warehouse.end_attempt(&next, failed, None).await;
        ended.expect("an end");
    }
    let last = begin("6", false).await.expect("nobody is at work");
    assert_eq!(store.cell(rows).await, "2", "they do not gather");
    store.end(&last).await;
    let kept = "SELECT exit_code FROM attempts WHERE process = '5'";
    assert_eq!(store.cell(kept).await, "1");
}

async fn a_purge_is_announced_before_the_first_cleaning_of_no_run(store: Store) {
    a_day(&store, "r1", 1).await;
    store.finish_run("r1").await;
    let (warehouse, keep) = (&store.warehouse, keep_from(at(1_000)));
    let host = Host {
        name: "here".into(),
        process: "1".into(),
    };
    let is_first = async |attempt| {
        let due = warehouse.due_to_clean(attempt, &keep, Kind::Listings).await;
        due.expect("an answer").map(|due| (due.runs, due.is_first))
    };
    assert_eq!(is_first(None).await, Some((1, true)));
    let first = warehouse.begin_cleaning(&host, |_| false).await;
    let first = first.expect("an answer").expect("nobody else");
    assert_eq!(is_first(Some(&first)).await, Some((1, true)));
    let announced = warehouse.announce_purge(&first, Kind::Listings).await;
    announced.expect("announced");
    store.end(&first).await;
    let second = warehouse.begin_cleaning(&host, |_| false).await;
    let second = second.expect("an answer").expect("nobody else");
    assert_eq!(is_first(Some(&second)).await, Some((1, false)));
    let removed = warehouse.clean(&second, &keep, Kind::Listings).await;
    assert!(removed.expect("cleaned") > 0);
    assert_eq!(is_first(None).await, None, "nothing is left");
}

async fn pages_of_a_run_whose_drift_was_rejected_replace_no_good_one(store: Store) {
    a_day(&store, "r1", 1).await;
    store.finish_run("r1").await;
    a_day(&store, "r2", 2).await;
    let attempt = store.attempt("r2", "load-products").await;
    let held = store.warehouse.hold_run(&attempt, (11, "drift"), None);
    held.await.expect("held");
    let rejected = store.warehouse.reject_drift("r2").await;
    rejected.expect("rejected");
    for run in ["first", "second"] {
        store.clean(run, &keep_from(at(1_000_000))).await;
        let kept = "SELECT COUNT(*) FROM pages WHERE kind = 'detail' AND run_id = 'r1'";
        assert_ne!(store.cell(kept).await, "0", "{run}");
    }
}
