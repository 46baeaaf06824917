//! The walk of the category tree.

use catalog::Category;
use warehouse::{Attempt, CategoryNode, Error, NewPage, PageKind, Walk};

use crate::store::{Store, at};

on_both!(
    a_walk_goes_depth_first_and_only_as_far_as_needed,
    a_walk_of_all_takes_every_leaf,
    what_was_walked_is_counted,
    the_order_of_answers_does_not_matter,
    a_category_with_two_parents_stands_at_the_first,
    a_circle_ends,
    a_category_without_children_is_a_leaf,
    an_empty_leaf_is_not_taken,
    what_is_excluded_is_not_taken,
    a_dropped_attempt_resumes,
    a_failed_category_waits_or_is_given_up,
    a_fenced_walker_writes_nothing,
);

const STEP: &str = "crawl-categories";

fn category(id: i64, is_leaf: bool) -> Category {
    Category {
        id,
        parent_id: None,
        name: format!("Danh mục {id}"),
        url: format!("https://tiki.vn/c{id}"),
        url_key: format!("c{id}"),
        level: 2,
        is_leaf,
        product_count: if id % 10 == 9 { 0 } else { id },
    }
}

/// The tests' tree: 2 → 10 (→ 101, 102 (→ 1021, 1022), 103), 11 (→ 111, 102), 12 (→ none).
fn children(parent: i64) -> Vec<Category> {
    let ids: &[(i64, bool)] = match parent {
        2 => &[(10, false), (11, false), (12, false)],
        10 => &[(101, true), (102, false), (103, true), (109, true)],
        102 => &[(1021, true), (1022, true)],
        11 => &[(111, true), (102, false)],
        _ => &[],
    };
    ids.iter().map(|(id, leaf)| category(*id, *leaf)).collect()
}

async fn take(store: &Store, attempt: &Attempt, node: &CategoryNode) {
    let page = NewPage {
        kind: PageKind::Categories,
        subject: node.category_id,
        source: "api",
        encoding: catalog::Encoding::Identity,
        body: b"{}".to_vec(),
        fetched_at: at(1),
    };
    store
        .warehouse
        .commit_category(
            attempt,
            node,
            Some(&page),
            &children(node.category_id),
            &[],
            at(1),
        )
        .await
        .expect("a commit");
}

/// Walks to the end; the categories in the order in which they were asked.
async fn walk(store: &Store, attempt: &Attempt, leaves: i64, n: i64) -> Vec<i64> {
    let mut asked = Vec::new();
    loop {
        match store
            .warehouse
            .next_categories(attempt, leaves, n)
            .await
            .expect("an answer")
        {
            Walk::Done => return asked,
            Walk::Wait => panic!("nobody else walks"),
            Walk::Ask(nodes) => {
                for node in nodes {
                    asked.push(node.category_id);
                    take(store, attempt, &node).await;
                }
            }
        }
    }
}

async fn begin(store: &Store, run: &str, starts: &[i64]) -> Attempt {
    store.create_run(run).await;
    let attempt = store.attempt(run, STEP).await;
    store
        .warehouse
        .begin_walk(&attempt, starts)
        .await
        .expect("a beginning");
    store
        .warehouse
        .begin_walk(&attempt, starts)
        .await
        .expect("the same again");
    attempt
}

async fn selected(store: &Store, attempt: &Attempt, leaves: i64, excluded: &[i64]) -> Vec<i64> {
    let count = store
        .warehouse
        .select_leaves(attempt, leaves, excluded)
        .await
        .expect("a count");
    let selected = store
        .warehouse
        .selected(&attempt.run, 100)
        .await
        .expect("leaves");
    let (counted, _) = store
        .warehouse
        .selected_count(&attempt.run)
        .await
        .expect("a count");
    assert_eq!(
        (count, counted),
        (selected.len() as i64, selected.len() as i64)
    );
    selected.into_iter().map(|(id, ..)| id).collect()
}

async fn a_walk_goes_depth_first_and_only_as_far_as_needed(store: Store) {
    let attempt = begin(&store, "r1", &[2]).await;
    assert_eq!(walk(&store, &attempt, 1, 5).await, [2, 10]);
    assert_eq!(selected(&store, &attempt, 1, &[]).await, [101]);
    store.end(&attempt).await;
    store.finish_run("r1").await;
    let attempt = begin(&store, "r2", &[2]).await;
    assert_eq!(walk(&store, &attempt, 4, 5).await, [2, 10, 102]);
    assert_eq!(
        selected(&store, &attempt, 4, &[]).await,
        [101, 1021, 1022, 103]
    );
    let names = store.warehouse.selected("r2", 1).await.expect("a leaf");
    assert_eq!(names, [(101, "Danh mục 101".to_owned(), 101)]);
    assert_eq!(store.cell("SELECT COUNT(*) FROM pages").await, "5");
}

async fn what_was_walked_is_counted(store: Store) {
    let walked = async || store.warehouse.walked("r").await.expect("a count");
    assert_eq!(walked().await, 0, "no such run");
    let attempt = begin(&store, "r", &[2]).await;
    assert_eq!(walked().await, 0);
    let mut counts = Vec::new();
    while let Walk::Ask(nodes) = store
        .warehouse
        .next_categories(&attempt, 1, 9)
        .await
        .expect("an answer")
    {
        take(&store, &attempt, &nodes[0]).await;
        counts.push(walked().await);
    }
    // The root; then 10 with three leaves that need no answer of their own, and one is enough.
    assert_eq!(counts, [1, 5]);
}

async fn a_walk_of_all_takes_every_leaf(store: Store) {
    let attempt = begin(&store, "r", &[2]).await;
    walk(&store, &attempt, 0, 2).await;
    assert_eq!(
        selected(&store, &attempt, 0, &[]).await,
        [101, 1021, 1022, 103, 111, 12]
    );
    let paths = "SELECT id, parent_id, path FROM categories WHERE id > 100 ORDER BY path";
    assert_eq!(
        store.rows(paths).await,
        [
            "101|10|1/2/10/101",
            "102|10|1/2/10/102",
            "1021|102|1/2/10/102/1021",
            "1022|102|1/2/10/102/1022",
            "103|10|1/2/10/103",
            "109|10|1/2/10/109",
            "111|11|1/2/11/111"
        ]
    );
    assert_eq!(store.warehouse.leaves(100).await.expect("leaves").len(), 7);
}

/// Claims everything that can be claimed and answers the last first.
async fn walk_backwards(store: &Store, attempt: &Attempt) {
    let mut held = Vec::new();
    loop {
        match store
            .warehouse
            .next_categories(attempt, 0, 10)
            .await
            .expect("an answer")
        {
            Walk::Ask(nodes) => held.extend(nodes),
            Walk::Wait => {}
            Walk::Done => return,
        }
        if let Some(node) = held.pop() {
            take(store, attempt, &node).await;
        }
    }
}

async fn the_order_of_answers_does_not_matter(store: Store) {
    let attempt = begin(&store, "r1", &[2]).await;
    walk_backwards(&store, &attempt).await;
    assert_eq!(
        selected(&store, &attempt, 0, &[]).await,
        [101, 1021, 1022, 103, 111, 12]
    );
    let order = "SELECT category_id, walk_order FROM run_categories WHERE run_id = 'r1'
        ORDER BY category_id";
    let places = store.rows(order).await;
    assert!(
        places.contains(&"1022|0000000000010001".to_owned()),
        "{places:?}"
    );
    let tree = "SELECT id, parent_id, path FROM categories ORDER BY id";
    let seen = store.rows(tree).await;
    assert!(seen.contains(&"102|10|1/2/10/102".to_owned()), "{seen:?}");
    store.end(&attempt).await;
    store.finish_run("r1").await;
    let attempt = begin(&store, "r2", &[2]).await;
    walk(&store, &attempt, 0, 1).await;
    selected(&store, &attempt, 0, &[]).await;
    assert_eq!(store.rows(&order.replace("r1", "r2")).await, places);
    assert_eq!(store.rows(tree).await, seen);
}

async fn a_category_with_two_parents_stands_at_the_first(store: Store) {
    let attempt = begin(&store, "r", &[2]).await;
    walk(&store, &attempt, 0, 1).await;
    selected(&store, &attempt, 0, &[]).await;
    let parents = "SELECT parent_id FROM category_parents WHERE category_id = 102 ORDER BY 1";
    assert_eq!(store.rows(parents).await, ["10", "11"]);
    assert_eq!(
        store
            .cell("SELECT parent_id FROM categories WHERE id = 102")
            .await,
        "10"
    );
}

async fn a_circle_ends(store: Store) {
    let attempt = begin(&store, "r", &[2]).await;
    let mut asked = Vec::new();
    while let Walk::Ask(nodes) = store
        .warehouse
        .next_categories(&attempt, 0, 1)
        .await
        .expect("an answer")
    {
        for node in nodes {
            asked.push(node.category_id);
            let below = match node.category_id {
                2 => vec![category(10, false), category(10, false)],
                10 => vec![category(2, false), category(10, false), category(101, true)],
                _ => Vec::new(),
            };
            let warehouse = &store.warehouse;
            warehouse
                .commit_category(&attempt, &node, None, &below, &[], at(1))
                .await
                .expect("kept");
        }
    }
    assert_eq!(asked, [2, 10]);
    assert_eq!(selected(&store, &attempt, 0, &[]).await, [101]);
}

async fn a_category_without_children_is_a_leaf(store: Store) {
    let attempt = begin(&store, "r", &[12]).await;
    assert_eq!(walk(&store, &attempt, 5, 1).await, [12]);
    assert_eq!(selected(&store, &attempt, 5, &[]).await, [12]);
}

async fn an_empty_leaf_is_not_taken(store: Store) {
    let attempt = begin(&store, "r", &[10]).await;
    walk(&store, &attempt, 0, 1).await;
    assert_eq!(
        selected(&store, &attempt, 0, &[]).await,
        [101, 1021, 1022, 103]
    );
}

async fn what_is_excluded_is_not_taken(store: Store) {
    let attempt = begin(&store, "r", &[2]).await;
    walk(&store, &attempt, 0, 1).await;
    assert_eq!(
        selected(&store, &attempt, 2, &[101, 1022]).await,
        [1021, 103]
    );
}

async fn a_dropped_attempt_resumes(store: Store) {
    let first = begin(&store, "r", &[2]).await;
    let Walk::Ask(nodes) = store
        .warehouse
        .next_categories(&first, 3, 1)
        .await
        .expect("an answer")
    else {
        panic!("the root is to ask")
    };
    assert_eq!(
        store
            .warehouse
            .next_categories(&first, 3, 1)
            .await
            .expect("an answer"),
        Walk::Wait
    );
    // The process is gone in the middle; another takes over.
    let dead = crate::store::wish("r", STEP);
    let second = store.warehouse.begin_attempt(&dead, |_| true).await;
    let second = second.expect("an answer").expect("taken over");
    let late = store
        .warehouse
        .commit_category(&first, &nodes[0], None, &children(2), &[], at(1))
        .await;
    assert!(matches!(late, Err(Error::Fenced(_))), "{late:?}");
    assert_eq!(walk(&store, &second, 3, 1).await, [2, 10, 102]);
    assert_eq!(selected(&store, &second, 3, &[]).await, [101, 1021, 1022]);
}

async fn a_failed_category_waits_or_is_given_up(store: Store) {
    let attempt = begin(&store, "r", &[2]).await;
    let next = async || {
        store
            .warehouse
            .next_categories(&attempt, 0, 5)
            .await
            .expect("an answer")
    };
    let Walk::Ask(nodes) = next().await else {
        panic!("the root")
    };
    let fail = async |node: &CategoryNode, wait| {
        store
            .warehouse
            .fail_category(&attempt, node, "503", wait, true)
            .await
            .expect("kept");
    };
    fail(&nodes[0], Some(3600.0)).await;
    assert_eq!(next().await, Walk::Wait);
    store.seed("UPDATE run_categories SET next_at = NULL").await;
    let Walk::Ask(nodes) = next().await else {
        panic!("the root again")
    };
    assert_eq!(nodes[0].attempts, 1);
    fail(&nodes[0], None).await;
    assert_eq!(next().await, Walk::Done);
    assert_eq!(
        store.warehouse.selected_count("r").await.expect("counts"),
        (0, 1)
    );
    let twice = store
        .warehouse
        .fail_category(&attempt, &nodes[0], "503", None, true)
        .await;
    assert!(
        matches!(twice, Err(Error::Fenced(_))),
        "it is claimed no more: {twice:?}"
    );
}

async fn a_fenced_walker_writes_nothing(store: Store) {
    let first = begin(&store, "r", &[2]).await;
    let Walk::Ask(nodes) = store
        .warehouse
        .next_categories(&first, 0, 1)
        .await
        .expect("an answer")
    else {
        panic!("the root is to ask")
    };
    let second = store
        .warehouse
        .begin_attempt(&crate::store::wish("r", STEP), |_| true)
        .await;
    second.expect("an answer").expect("taken over");
    let fenced = store
        .warehouse
        .commit_category(&first, &nodes[0], None, &children(2), &[], at(1))
        .await;
    assert!(matches!(fenced, Err(Error::Fenced(_))), "{fenced:?}");
    assert_eq!(store.cell("SELECT COUNT(*) FROM categories").await, "0");
    assert_eq!(store.cell("SELECT COUNT(*) FROM run_categories").await, "1");
}
