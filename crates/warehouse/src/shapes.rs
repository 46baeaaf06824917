//! The shapes of what the site sends: of each field, how many objects of a run have it, and as what.
//!
//! Counts are added up in the transaction that stores the pages they were counted on, so a page is
//! counted as often as it is stored: once.
//!
//! Not here: reading a shape from a page and comparing shapes (`catalog`), what differed (`drift`).

use std::collections::BTreeMap;

use catalog::FieldShape;

use crate::bulk::Columns;
use crate::error::Result;
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// How many objects have a field, and as what. Every object is counted once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShapeRow {
    /// How it came: `api` or `html`.
    pub source: String,
    /// What it is: `listing` or `detail`.
    pub endpoint: String,
    /// The root category of the objects; 0: not known.
    pub root: i64,
    /// The site's name of the field.
    pub field: String,
    /// What was counted.
    pub shape: FieldShape,
}

const COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("source", "text"),
    ("endpoint", "text"),
    ("root", "bigint"),
    ("field", "text"),
    ("absent", "bigint"),
    ("nulls", "bigint"),
    ("flags", "bigint"),
    ("integers", "bigint"),
    ("reals", "bigint"),
    ("texts", "bigint"),
    ("lists", "bigint"),
    ("objects", "bigint"),
    ("log_sum", "{real}"),
    ("log_squares", "{real}"),
];

const ADD_UP: &str = "ON CONFLICT (run_id, source, endpoint, root, field) DO UPDATE SET
    absent = shapes.absent + excluded.absent, nulls = shapes.nulls + excluded.nulls,
    flags = shapes.flags + excluded.flags, integers = shapes.integers + excluded.integers,
    reals = shapes.reals + excluded.reals, texts = shapes.texts + excluded.texts,
    lists = shapes.lists + excluded.lists, objects = shapes.objects + excluded.objects,
    log_sum = shapes.log_sum + excluded.log_sum,
    log_squares = shapes.log_squares + excluded.log_squares";

const SHAPES: &str = "SELECT source, endpoint, root, field, absent, nulls, flags, integers, reals,
    texts, lists, objects, log_sum, log_squares FROM shapes WHERE run_id = $1
    ORDER BY source, endpoint, root, field";

impl Warehouse {
    /// The shapes of a run, in the order of their keys.
    pub async fn shapes(&self, run: &str) -> Result<Vec<ShapeRow>> {
        let mut tx = self.read().await?;
        let shapes = of_run(&mut tx, run).await?;
        tx.commit().await?;
        Ok(shapes)
    }

    /// What a run is compared with: the numbers and shapes of up to `runs` loaded runs before it
    /// that have any, the newest first.
    ///
    /// Nothing counts that was rejected, is held or is still open, and nothing before the newest run
    /// whose drift was accepted. All runs of a warehouse are of one site
    /// ([`Warehouse::bind_origin`]).
    pub async fn shapes_before(&self, run: &str, runs: i64) -> Result<Vec<(i64, Vec<ShapeRow>)>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT r.id, r.number FROM runs r
                 WHERE r.number < (SELECT number FROM runs WHERE id = $1)
                    AND r.state IN ('done', 'abandoned') AND COALESCE(r.drift, '') <> 'rejected'
                    AND r.number >= (SELECT COALESCE(MAX(a.number), 0) FROM runs a
                        WHERE a.drift = 'accepted'
                            AND a.number < (SELECT number FROM runs WHERE id = $1))
                    AND EXISTS (SELECT 1 FROM shapes s WHERE s.run_id = r.id)
                 ORDER BY r.number DESC LIMIT $2",
                params![run, runs.max(0)],
            )
            .await?;
        let mut before = Vec::with_capacity(rows.len());
        for row in &rows {
            before.push((row.int(1)?, of_run(&mut tx, &row.text(0)?).await?));
        }
        tx.commit().await?;
        Ok(before)
    }
}

/// Adds shapes to those of a run. To be called late in a transaction: all processes of a step write
/// to the same few rows, and the next waits for the end of the transaction.
pub(crate) async fn add(tx: &mut Tx, run: &str, shapes: &[ShapeRow]) -> Result<()> {
    // One row a key, in order: no two processes wait for each other's rows.
    let mut sums: BTreeMap<(&str, &str, i64, &str), ShapeRow> = BTreeMap::new();
    for shape in shapes {
        let key = (
            shape.source.as_str(),
            shape.endpoint.as_str(),
            shape.root,
            shape.field.as_str(),
        );
        sums.entry(key)
            .and_modify(|sum| sum.shape.add(&shape.shape))
            .or_insert_with(|| shape.clone());
    }
    let rows: Vec<Vec<Value>> = sums.values().map(|shape| values(run, shape)).collect();
    tx.insert("shapes", COLUMNS, ADD_UP, &rows).await.map(drop)
}

fn values(run: &str, row: &ShapeRow) -> Vec<Value> {
    let shape = &row.shape;
    params![
        run,
        &row.source,
        &row.endpoint,
        row.root,
        &row.field,
        shape.absent,
        shape.nulls,
        shape.flags,
        shape.integers,
        shape.reals,
        shape.texts,
        shape.lists,
        shape.objects,
        shape.log_sum,
        shape.log_squares,
    ]
    .to_vec()
}

async fn of_run(tx: &mut Tx, run: &str) -> Result<Vec<ShapeRow>> {
    let rows = tx.rows(SHAPES, params![run]).await?;
    rows.iter().map(shape).collect()
}

fn shape(row: &Row) -> Result<ShapeRow> {
    Ok(ShapeRow {
        source: row.text(0)?,
        endpoint: row.text(1)?,
        root: row.int(2)?,
        field: row.text(3)?,
        shape: FieldShape {
            absent: row.int(4)?,
            nulls: row.int(5)?,
            flags: row.int(6)?,
            integers: row.int(7)?,
            reals: row.int(8)?,
            texts: row.int(9)?,
            lists: row.int(10)?,
            objects: row.int(11)?,
            log_sum: row.real(12)?,
            log_squares: row.real(13)?,
        },
    })
}
