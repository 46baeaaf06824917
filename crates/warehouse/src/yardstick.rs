//! Loading a product at a time, each in a transaction of its own, as a plain program would: what the speed
//! of a load is compared with by the pre-deployment checklist.
//!
//! Not here: loading (`merge`). Nothing of a run goes this way.

use crate::error::Result;
use crate::open::Warehouse;
use crate::params;
use crate::schema;
use crate::value::Value;

/// The tables that a product is loaded into, and how many columns of each are its key.
const TABLES: [(&str, usize); 3] = [("products", 1), ("observations", 2), ("product_history", 2)];

/// Rows of products as they were loaded, to be loaded once more.
#[derive(Debug)]
pub struct PlainRows {
    /// Table by table, in the order of [`TABLES`].
    tables: Vec<Vec<Vec<Value>>>,
}

impl PlainRows {
    /// Products.
    pub fn len(&self) -> usize {
        self.tables.first().map_or(0, Vec::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Warehouse {
    /// The newest rows of `limit` products at most, with one look and one change of each.
    pub async fn plain_rows(&self, limit: i64) -> Result<PlainRows> {
        let mut tx = self.read().await?;
        let mut tables = Vec::new();
        for (table, keys) in TABLES {
            let columns = columns(table).join(", ");
            let key = if keys == 1 { "id" } else { "product_id" };
            let sql = format!(
                "SELECT {columns} FROM {table} t WHERE {key} IN (
                    SELECT id FROM products ORDER BY id LIMIT $1) {} ORDER BY {key}",
                if keys == 1 {
                    String::new()
                } else {
                    format!(
                        "AND observed_at = (SELECT MAX(observed_at) FROM {table} n
                            WHERE n.product_id = t.product_id)"
                    )
                }
            );
            let rows = tx.rows(&sql, params![limit]).await?;
            let rows = rows.into_iter().map(crate::value::Row::into_values);
            tables.push(rows.collect::<Result<Vec<_>>>()?);
        }
        tx.end().await?;
        Ok(PlainRows { tables })
    }

    /// Loads them, a product at a time: it is asked for, its look and its change are written, and it is
    /// put in or replaced.
    pub async fn load_plainly(&self, rows: &PlainRows) -> Result<()> {
        let statements: Vec<String> = TABLES
            .iter()
            .map(|(table, keys)| upsert(table, *keys))
            .collect();
        for index in 0..rows.len() {
            let mut tx = self.begin().await?;
            for (statement, of_table) in statements.iter().zip(&rows.tables).rev() {
                let Some(row) = of_table.get(index) else {
                    continue;
                };
                if statement.contains("INTO products") {
                    let sql = "SELECT * FROM products WHERE id = $1";
                    tx.row(sql, &row[..1]).await?;
                }
                tx.execute(statement, row).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Its columns that a look or a product has, the key first.
fn columns(table: &str) -> Vec<&'static str> {
    let known = schema::table(table);
    let mut names: Vec<&str> = known
        .into_iter()
        .flat_map(schema::Table::all_columns)
        .map(|column| column.name.as_str())
        .collect();
    let keys = known.map_or(&[] as &[String], |table| &table.key);
    names.sort_by_key(|name| {
        keys.iter()
            .position(|key| key == name)
            .unwrap_or(keys.len())
    });
    names
}

fn upsert(table: &str, keys: usize) -> String {
    let names = columns(table);
    let marks: Vec<String> = (1..=names.len())
        .map(|number| format!("${number}"))
        .collect();
    let (key, rest) = names.split_at(keys.min(names.len()));
    let set: Vec<String> = rest
        .iter()
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        names.join(", "),
        marks.join(", "),
        key.join(", "),
        set.join(", ")
    )
}
