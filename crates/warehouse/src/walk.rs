//! The order of a walk, from the tree that it saw.
//!
//! While several workers walk, a category takes the place at which it was met first; the order of
//! the answers would show. So the end of a walk numbers it anew: depth first, children in the site's
//! own order, a category at the first of its places.
//!
//! Not here: asking and claiming (`categories`).

use std::collections::{HashMap, HashSet};

use catalog::Category;

use crate::bulk::Columns;
use crate::categories::place;
use crate::error::Result;
use crate::params;
use crate::tx::Tx;
use crate::value::Value;

/// Keeps which children a category has now, in the site's order.
pub(crate) async fn store_parents(tx: &mut Tx, parent: i64, children: &[&Category]) -> Result<()> {
    let sql = "DELETE FROM category_parents WHERE parent_id = $1";
    tx.execute(sql, params![parent]).await?;
    let rows: Vec<Vec<Value>> = (0_i64..)
        .zip(children)
        .map(|(n, child)| vec![child.id.into(), parent.into(), n.into()])
        .collect();
    let columns: &Columns = &[
        ("category_id", "bigint"),
        ("parent_id", "bigint"),
        ("position", "bigint"),
    ];
    tx.insert("category_parents", columns, "", &rows)
        .await
        .map(drop)
}

/// A category of the walk: its place, the parent that gives it and the path from the root.
struct Stand {
    id: i64,
    order: String,
    parent: Option<i64>,
    path: String,
}

/// Gives every category of a walk its place in the order of the tree, and `categories` the parent
/// that comes first in it.
pub(crate) async fn renumber(tx: &mut Tx, run: &str) -> Result<()> {
    let rows = tx
        .rows(
            "SELECT r.category_id, r.walk_order, COALESCE(c.path, ''), c.parent_id
             FROM run_categories r LEFT JOIN categories c ON c.id = r.category_id
             WHERE r.run_id = $1 ORDER BY r.walk_order",
            params![run],
        )
        .await?;
    let mut kept = HashMap::new();
    let mut starts = Vec::new();
    for row in &rows {
        let (id, order, path) = (row.int(0)?, row.text(1)?, row.text(2)?);
        if order.len() == place("", 0).len() {
            let path = if path.is_empty() {
                format!("1/{id}")
            } else {
                path.clone()
            };
            let parent = row.opt_int(3)?;
            starts.push(Stand {
                id,
                order: order.clone(),
                parent,
                path,
            });
        }
        kept.insert(id, (order, path, row.opt_int(3)?));
    }
    let edges = tx
        .rows(
            "SELECT p.parent_id, p.category_id FROM category_parents p
             JOIN run_categories r ON r.run_id = $1 AND r.category_id = p.parent_id
                AND r.state = 'done' AND NOT r.is_leaf
             ORDER BY p.parent_id, p.position",
            params![run],
        )
        .await?;
    let mut children: HashMap<i64, Vec<i64>> = HashMap::new();
    for row in &edges {
        children.entry(row.int(0)?).or_default().push(row.int(1)?);
    }
    let (mut orders, mut parents) = (Vec::new(), Vec::new());
    for stand in walked(starts, &children) {
        let Some((order, path, parent)) = kept.get(&stand.id) else {
            continue;
        };
        if *order != stand.order {
            orders.push(vec![run.into(), stand.id.into(), stand.order.into()]);
        }
        if *path != stand.path || *parent != stand.parent {
            parents.push(vec![
                stand.id.into(),
                stand.parent.into(),
                stand.path.into(),
            ]);
        }
    }
    let columns: &Columns = &[
        ("run_id", "text"),
        ("category_id", "bigint"),
        ("walk_order", "text"),
    ];
    tx.update("run_categories", columns, 2, &orders).await?;
    let columns: &Columns = &[("id", "bigint"), ("parent_id", "bigint"), ("path", "text")];
    tx.update("categories", columns, 1, &parents).await?;
    Ok(())
}

/// Depth first; whoever is met again keeps the first place.
fn walked(starts: Vec<Stand>, children: &HashMap<i64, Vec<i64>>) -> Vec<Stand> {
    let mut seen = HashSet::new();
    let mut walked = Vec::new();
    let mut stack: Vec<Stand> = starts.into_iter().rev().collect();
    while let Some(stand) = stack.pop() {
        if !seen.insert(stand.id) {
            continue;
        }
        let below = children.get(&stand.id).map_or(&[][..], Vec::as_slice);
        for (n, child) in below.iter().enumerate().rev() {
            stack.push(Stand {
                id: *child,
                order: place(&stand.order, n),
                parent: Some(stand.id),
                path: format!("{}/{child}", stand.path),
            });
        }
        walked.push(stand);
    }
    walked
}
