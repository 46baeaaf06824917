//! How far a run is, as whoever watches is told.

use catalog::Instant;
use warehouse::{COUNTED, Frontier, Progress};

use crate::store::Store;

on_both!(
    what_is_open_is_waiting_later_or_claimed,
    a_large_run_is_counted_up_to_the_limits,
);

const DIGITS: &str = "WITH d(n) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))";

async fn progress(store: &Store, since: &str) -> Progress {
    let since: Instant = since.parse().expect("a time");
    store.warehouse.progress("r", since).await.expect("a run")
}

fn part(step: &'static str, state: &str, rows: i64, retries: i64) -> Frontier {
    Frontier {
        step,
        state: state.into(),
        rows,
        retries,
    }
}

async fn what_is_open_is_waiting_later_or_claimed(store: Store) {
    let row = |run: &str, id: i64, state: &str, attempts: i64, next: &str, claim: &str| {
        format!("('{run}', {id}, '0001', TRUE, 1, '{state}', TRUE, {attempts}, {next}, {claim})")
    };
    let (past, future) = ("'2000-01-01T00:00:00.000Z'", "'2999-01-01T00:00:00.000Z'");
    let rows = [
        row("r", 1, "done", 2, "NULL", "NULL"),
        row("r", 2, "pending", 0, "NULL", "NULL"),
        row("r", 3, "pending", 1, past, "NULL"),
        row("r", 4, "pending", 3, future, "NULL"),
        row("r", 5, "pending", 1, past, "7"),
        row("other", 6, "pending", 9, "NULL", "NULL"),
    ];
    let insert = "INSERT INTO run_categories (run_id, category_id, walk_order, is_leaf,
        product_count, state, selected, attempts, next_at, claim) VALUES";
    store.seed(&format!("{insert} {}", rows.join(", "))).await;
    let refused = |run: &str, reason: &str| {
        format!("('{run}', 'transform-products', '{reason}', '', {past})")
    };
    let rows = [
        refused("r", "no-price"),
        refused("r", "no-name"),
        refused("r", "no-price"),
        refused("other", "no-name"),
    ];
    let insert = "INSERT INTO rejections (run_id, step, reason, seen, created_at) VALUES";
    store.seed(&format!("{insert} {}", rows.join(", "))).await;
    let seen = progress(&store, "2026-11-01T00:00:00.000Z").await;
    let step = "crawl-categories";
    let expected = [
        part(step, "claimed", 1, 1),
        part(step, "done", 1, 2),
        part(step, "later", 1, 3),
        part(step, "waiting", 2, 1),
    ];
    assert_eq!(seen.frontier, expected);
    let reasons = [("no-name".to_owned(), 1), ("no-price".to_owned(), 2)];
    assert_eq!(seen.rejections, reasons);
    assert_eq!((seen.outcomes, seen.young_pages), (vec![], 0));
}

async fn a_large_run_is_counted_up_to_the_limits(store: Store) {
    let products = format!(
        "INSERT INTO run_products (run_id, product_id, rank, detail, attempts, outcome) {DIGITS}
         SELECT 'r', a.n + 10 * b.n + 100 * c.n + 1000 * e.n + 10000 * f.n, 0, 'good', 0, 'new'
         FROM d a, d b, d c, d e, d f"
    );
    store.seed(&products).await;
    let one_more = "INSERT INTO run_products (run_id, product_id, rank, detail, attempts, outcome)
        VALUES ('r', 100000, 0, 'good', 0, 'new')";
    store.seed(one_more).await;
    let columns = "pages (kind, subject, source, encoding, body, fetched_at, run_id)";
    let pages = format!(
        "INSERT INTO {columns} {DIGITS}
         SELECT 'detail', 1, 'api', 'identity', '', '2026-11-01T00:00:00.000Z', 'r'
         FROM d a, d b, d c, d e"
    );
    store.seed(&pages).await;
    let one_more = format!(
        "INSERT INTO {columns}
         VALUES ('detail', 1, 'api', 'identity', '', '2026-11-01T00:00:10.000Z', 'r')"
    );
    store.seed(&one_more).await;
    let seen = progress(&store, "2026-10-31T23:59:59.000Z").await;
    let good = part("crawl-product-details", "good", COUNTED, 0);
    assert_eq!(seen.frontier, [good]);
    assert_eq!(seen.outcomes, [("new".to_owned(), COUNTED)]);
    assert_eq!(seen.young_pages, 10_000);
    let later = progress(&store, "2026-11-01T00:00:05.000Z").await;
    assert_eq!(later.young_pages, 1);
    // What nobody has to ask hides nothing of the rest.
    store
        .seed("UPDATE run_products SET detail = 'none', outcome = NULL")
        .await;
    let open = "INSERT INTO run_products (run_id, product_id, rank, detail, attempts, outcome)
        VALUES ('r', 200000, 0, 'due', 2, NULL), ('r', 200001, 0, 'rejected', 1, 'rejected')";
    store.seed(open).await;
    let seen = progress(&store, "2026-11-01T00:00:05.000Z").await;
    let step = "crawl-product-details";
    let expected = [part(step, "rejected", 1, 1), part(step, "waiting", 1, 2)];
    assert_eq!(seen.frontier, expected);
    assert_eq!(seen.outcomes, [("rejected".to_owned(), 1)]);
}
