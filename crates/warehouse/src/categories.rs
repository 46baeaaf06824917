//! The walk of the category tree: nodes to ask, their children, the leaves that a run takes.
//!
//! Not here: reading an answer (`catalog`), asking (`crawl`).

use catalog::{Category, Instant};

use crate::bulk::Columns;
use crate::error::Result;
use crate::lease::{Attempt, commit_fenced, held, note_claim};
use crate::open::Warehouse;
use crate::pages::{self, NewPage};
use crate::params;
use crate::tx::Tx;
use crate::value::{Row, Value};
use crate::walk;

/// A category whose children are to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryNode {
    /// Its id; the site's root is 2.
    pub category_id: i64,
    /// Its place in the walk: four digits a level, so that text order is walk order.
    pub walk_order: String,
    /// How often it was asked in vain.
    pub attempts: i64,
}

impl CategoryNode {
    /// How deep it lies: 1 where the walk began.
    pub fn level(&self) -> usize {
        self.walk_order.len() / place("", 0).len()
    }
}

/// What is to do next in a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Ask these; they are claimed.
    Ask(Vec<CategoryNode>),
    /// Others hold the rest, or it waits for its next try.
    Wait,
    /// Nothing is left, or enough leaves are known.
    Done,
}

/// A child of a category that was asked.
pub type WalkedChild = Category;

const CATEGORY_COLUMNS: &Columns = &[
    ("id", "bigint"),
    ("parent_id", "bigint"),
    ("name", "text"),
    ("url", "text"),
    ("url_key", "text"),
    ("level", "bigint"),
    ("is_leaf", "{flag}"),
    ("product_count", "bigint"),
    ("path", "text"),
    ("created_at", "{time}"),
    ("updated_at", "{time}"),
];

/// `updated_at` moves only when something else does.
const CATEGORY_TAIL: &str = "ON CONFLICT (id) DO UPDATE SET name = excluded.name,
    url = excluded.url, url_key = excluded.url_key, level = excluded.level,
    is_leaf = excluded.is_leaf, product_count = excluded.product_count,
    updated_at = excluded.updated_at
    WHERE categories.name <> excluded.name OR categories.url <> excluded.url
        OR categories.url_key <> excluded.url_key OR categories.level <> excluded.level
        OR categories.is_leaf <> excluded.is_leaf
        OR categories.product_count <> excluded.product_count";

const NODE_COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("category_id", "bigint"),
    ("walk_order", "text"),
    ("is_leaf", "{flag}"),
    ("product_count", "bigint"),
    ("state", "text"),
    ("selected", "{flag}"),
    ("attempts", "bigint"),
];

/// A category that is met again keeps the place that comes first in the walk.
const NODE_TAIL: &str = "ON CONFLICT (run_id, category_id) DO UPDATE SET
    walk_order = excluded.walk_order
    WHERE excluded.walk_order < run_categories.walk_order";

impl Warehouse {
    /// Begins a walk at some categories (the site's root, or those that were asked for).
    pub async fn begin_walk(&self, attempt: &Attempt, starts: &[i64]) -> Result<()> {
        let mut tx = self.begin().await?;
        let nodes: Vec<Vec<Value>> = starts
            .iter()
            .enumerate()
            .map(|(n, id)| {
                node(
                    &attempt.run,
                    *id,
                    &place("", n),
                    false,
                    catalog::UNKNOWN_COUNT,
                    "pending",
                )
            })
            .collect();
        tx.insert(
            "run_categories",
            NODE_COLUMNS,
            "ON CONFLICT DO NOTHING",
            &nodes,
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// What to ask next. With `leaves` above 0 the walk goes depth first, one category at a time,
    /// only until so many leaves with products lie before whatever is still to ask.
    pub async fn next_categories(&self, attempt: &Attempt, leaves: i64, n: i64) -> Result<Walk> {
        let mut tx = self.begin().await?;
        let first = tx
            .row(
                "SELECT walk_order, claim FROM run_categories WHERE run_id = $1 AND state = 'pending'
                 ORDER BY walk_order LIMIT 1",
                params![&attempt.run],
            )
            .await?;
        let Some(first) = first else {
            tx.end().await?;
            return Ok(Walk::Done);
        };
        if leaves > 0 {
            let known = tx
                .row(
                    "SELECT COUNT(*) FROM run_categories WHERE run_id = $1 AND is_leaf
                        AND product_count <> 0 AND walk_order < $2",
                    params![&attempt.run, first.text(0)?],
                )
                .await?;
            if known.map_or(Ok(0), |row| row.int(0))? >= leaves {
                tx.end().await?;
                return Ok(Walk::Done);
            }
        }
        let (n, bound) = if leaves > 0 {
            (1, Some(first.text(0)?))
        } else {
            (n, None)
        };
        let claimed = claim_nodes(&mut tx, attempt, bound, n).await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(if claimed.is_empty() {
            Walk::Wait
        } else {
            Walk::Ask(claimed)
        })
    }

    /// Stores the children of a category together with the page that told them (none when the page
    /// was kept before) and with the category's new state. Of the `excluded` ones neither the
    /// products nor the children are wanted.
    pub async fn commit_category(
        &self,
        attempt: &Attempt,
        asked: &CategoryNode,
        page: Option<&NewPage>,
        children: &[WalkedChild],
        excluded: &[i64],
        now: Instant,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        if let Some(page) = page {
            pages::insert(&mut tx, &attempt.run, std::slice::from_ref(page)).await?;
        }
        close_node(&mut tx, attempt, asked, children.is_empty()).await?;
        let path = parent_path(&mut tx, asked.category_id).await?;
        let mut seen = std::collections::HashSet::new();
        let distinct: Vec<&Category> = children.iter().filter(|c| seen.insert(c.id)).collect();
        let rows: Vec<Vec<Value>> = distinct
            .iter()
            .map(|child| category(child, asked.category_id, &path, now))
            .collect();
        tx.insert("categories", CATEGORY_COLUMNS, CATEGORY_TAIL, &rows)
            .await?;
        walk::store_parents(&mut tx, asked.category_id, &distinct).await?;
        let nodes: Vec<Vec<Value>> = distinct
            .iter()
            .enumerate()
            .map(|(n, child)| {
                let order = place(&asked.walk_order, n);
                let run = &attempt.run;
                if excluded.contains(&child.id) {
                    node(run, child.id, &order, child.is_leaf, 0, "excluded")
                } else {
                    let state = if child.is_leaf { "done" } else { "pending" };
                    node(
                        run,
                        child.id,
                        &order,
                        child.is_leaf,
                        child.product_count,
                        state,
                    )
                }
            })
            .collect();
        tx.insert("run_categories", NODE_COLUMNS, NODE_TAIL, &nodes)
            .await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Forgets a walk that came to nothing, and the pages that it was made of, so that all is asked again. Whose
    /// children had been asked.
    pub async fn forget_walk(&self, attempt: &Attempt) -> Result<Vec<i64>> {
        let mut tx = self.begin().await?;
        let sql = "SELECT category_id FROM run_categories WHERE run_id = $1 AND NOT is_leaf";
        let rows = tx.rows(sql, params![&attempt.run]).await?;
        for sql in [
            "DELETE FROM pages WHERE kind = 'categories' AND subject IN (
                SELECT category_id FROM run_categories WHERE run_id = $1)",
            "DELETE FROM run_categories WHERE run_id = $1",
        ] {
            tx.execute(sql, params![&attempt.run]).await?;
        }
        commit_fenced(tx, attempt.epoch).await?;
        rows.iter().map(|row| row.int(0)).collect()
    }

    /// Gives a category up (`retry_seconds` `None`) or puts it back for a later try; `counts_as_try` says whether
    /// it was asked at all.
    pub async fn fail_category(
        &self,
        attempt: &Attempt,
        asked: &CategoryNode,
        error: &str,
        retry_seconds: Option<f64>,
        counts_as_try: bool,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let state = if retry_seconds.is_some() {
            "pending"
        } else {
            "failed"
        };
        let count = tx
            .execute(
                "UPDATE run_categories SET state = $4, attempts = attempts + $7, error = $5,
                next_at = {later:$6}, claim = NULL
             WHERE run_id = $1 AND category_id = $2 AND claim = $3",
                params![
                    &attempt.run,
                    asked.category_id,
                    attempt.epoch,
                    state,
                    error,
                    retry_seconds.unwrap_or(0.0),
                    i64::from(counts_as_try),
                ],
            )
            .await?;
        held(count, attempt)?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Ends a walk: its order no longer depends on that of the answers, what is still to ask is not needed, and the first `leaves` leaves with products
    /// (0: all, `excluded` ones never) are what the run takes. How many those are.
    pub async fn select_leaves(
        &self,
        attempt: &Attempt,
        leaves: i64,
        excluded: &[i64],
    ) -> Result<i64> {
        let mut tx = self.begin().await?;
        walk::renumber(&mut tx, &attempt.run).await?;
        tx.execute(
            "UPDATE run_categories SET state = 'skipped', claim = NULL
             WHERE run_id = $1 AND state = 'pending'",
            params![&attempt.run],
        )
        .await?;
        tx.execute(
            "UPDATE run_categories SET selected = {no} WHERE run_id = $1",
            params![&attempt.run],
        )
        .await?;
        let limit = if leaves > 0 { leaves } else { i64::MAX };
        let sql =
            "UPDATE run_categories SET selected = {yes} WHERE run_id = $1 AND category_id IN (
            SELECT category_id FROM run_categories WHERE run_id = $1 AND is_leaf
                AND product_count <> 0 AND NOT category_id {among:$2}
            ORDER BY walk_order LIMIT $3)";
        let excluded = Value::Ids(excluded.to_vec());
        let count = tx
            .execute(sql, &[(&attempt.run).into(), excluded, limit.into()])
            .await?;
        commit_fenced(tx, attempt.epoch).await?;
        Ok(count as i64)
    }

    /// The leaves that a run takes, in walk order: id, name, products announced.
    pub async fn selected(&self, run: &str, limit: i64) -> Result<Vec<(i64, String, i64)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT r.category_id, COALESCE(c.name, ''), r.product_count FROM run_categories r
                 LEFT JOIN categories c ON c.id = r.category_id
                 WHERE r.run_id = $1 AND r.selected ORDER BY r.walk_order LIMIT $2",
                params![run, limit],
            )
            .await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.int(0)?, row.text(1)?, row.int(2)?)))
            .collect()
    }

    /// How many categories of a run have been answered.
    pub async fn walked(&self, run: &str) -> Result<i64> {
        let mut tx = self.read().await?;
        let sql = "SELECT COUNT(*) FROM run_categories WHERE run_id = $1 AND state <> 'pending'";
        let row = tx.row(sql, params![run]).await?;
        tx.commit().await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// How many leaves a run takes, and how many categories could not be asked.
    pub async fn selected_count(&self, run: &str) -> Result<(i64, i64)> {
        let mut tx = self.read().await?;
        let sql = "SELECT {int:SUM(CASE WHEN selected THEN 1 ELSE 0 END)},
            {int:SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END)}
            FROM run_categories WHERE run_id = $1";
        let row = tx.row(sql, params![run]).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok((0, 0)) };
        Ok((row.opt_int(0)?.unwrap_or(0), row.opt_int(1)?.unwrap_or(0)))
    }
}

async fn claim_nodes(
    tx: &mut Tx,
    attempt: &Attempt,
    bound: Option<String>,
    n: i64,
) -> Result<Vec<CategoryNode>> {
    let rows = tx
        .rows(
            "WITH picked AS MATERIALIZED (SELECT run_id, category_id FROM run_categories
                WHERE run_id = $1 AND state = 'pending' AND claim IS NULL
                    AND walk_order <= COALESCE($3, walk_order) AND {due:next_at}
                ORDER BY walk_order LIMIT $4 {skip locked})
             UPDATE run_categories SET claim = $2 FROM picked
             WHERE run_categories.run_id = picked.run_id AND run_categories.category_id = picked.category_id
             RETURNING run_categories.category_id, walk_order, attempts",
            params![&attempt.run, attempt.epoch, bound, n],
        )
        .await?;
    if !rows.is_empty() {
        note_claim(tx, attempt.epoch).await?;
    }
    let read = |row: &Row| -> Result<CategoryNode> {
        Ok(CategoryNode {
            category_id: row.int(0)?,
            walk_order: row.text(1)?,
            attempts: row.int(2)?,
        })
    };
    let mut nodes: Vec<CategoryNode> = rows.iter().map(read).collect::<Result<_>>()?;
    nodes.sort_by(|a, b| a.walk_order.cmp(&b.walk_order));
    Ok(nodes)
}

/// A category without children is a leaf, whatever its parent said of it.
async fn close_node(
    tx: &mut Tx,
    attempt: &Attempt,
    asked: &CategoryNode,
    childless: bool,
) -> Result<()> {
    let count = tx
        .execute(
            "UPDATE run_categories SET state = 'done', claim = NULL, is_leaf = $4
             WHERE run_id = $1 AND category_id = $2 AND claim = $3",
            params![&attempt.run, asked.category_id, attempt.epoch, childless],
        )
        .await?;
    held(count, attempt)?;
    if childless {
        tx.execute(
            "UPDATE categories SET is_leaf = {yes} WHERE id = $1 AND NOT is_leaf",
            params![asked.category_id],
        )
        .await?;
    }
    Ok(())
}

async fn parent_path(tx: &mut Tx, id: i64) -> Result<String> {
    let row = tx
        .row("SELECT path FROM categories WHERE id = $1", params![id])
        .await?;
    row.map_or_else(|| Ok(format!("1/{id}")), |row| row.text(0))
}

/// The place of a child in the walk.
pub(crate) fn place(parent: &str, n: usize) -> String {
    format!("{parent}{:04}", n.min(9999))
}

fn node(run: &str, id: i64, order: &str, is_leaf: bool, count: i64, state: &str) -> Vec<Value> {
    vec![
        run.into(),
        id.into(),
        order.into(),
        is_leaf.into(),
        count.into(),
        state.into(),
        false.into(),
        0_i64.into(),
    ]
}

fn category(child: &Category, parent: i64, path: &str, now: Instant) -> Vec<Value> {
    vec![
        child.id.into(),
        parent.into(),
        (&child.name).into(),
        (&child.url).into(),
        (&child.url_key).into(),
        child.level.into(),
        child.is_leaf.into(),
        child.product_count.into(),
        format!("{path}/{}", child.id).into(),
        now.into(),
        now.into(),
    ]
}
