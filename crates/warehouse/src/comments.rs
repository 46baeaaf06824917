//! What `schema` says, told to PostgreSQL, so that every client shows it. SQLite keeps no comments.
//!
//! Not here: the words.

use crate::dialect::Dialect;
use crate::error::Result;
use crate::schema;
use crate::tx::Tx;

/// Tables and views of the warehouse that this user may comment, and their columns (NULL: the table
/// itself), each with the comment that it has.
const PRESENT: &str = "SELECT CAST(c.relname AS TEXT), c.relkind = 'v', CAST(a.attname AS TEXT), d.description
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN (SELECT attrelid, attnum, attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
            UNION ALL SELECT oid, 0, NULL FROM pg_class) a ON a.attrelid = c.oid
        LEFT JOIN pg_description d ON d.classoid = CAST('pg_class' AS regclass) AND d.objoid = c.oid
            AND d.objsubid = a.attnum
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v')
        AND pg_has_role(c.relowner, 'USAGE')";

/// Writes the comments that differ.
pub(crate) async fn write(tx: &mut Tx) -> Result<()> {
    if tx.dialect() != Dialect::Postgres {
        return Ok(());
    }
    let mut statements = Vec::new();
    for row in tx.rows(PRESENT, &[]).await? {
        let (name, is_view, column) = (row.text(0)?, row.flag(1)?, row.opt_text(2)?);
        let Some(table) = schema::table(&name) else {
            continue;
        };
        let (what, words) = match &column {
            None if is_view => (format!("VIEW {name}"), Some(table.plain())),
            None => (format!("TABLE {name}"), Some(table.plain())),
            Some(column) => {
                let found = table.all_columns().find(|known| known.name == *column);
                (format!("COLUMN {name}.{column}"), found.map(words_of))
            }
        };
        if let Some(words) = words
            && row.opt_text(3)?.as_ref() != Some(&words)
        {
            let words = words.replace('\\', "\\\\").replace('\'', "''");
            statements.push(format!("COMMENT ON {what} IS E'{words}'"));
        }
    }
    if !statements.is_empty() {
        tx.plain(&statements.join(";\n")).await?;
    }
    Ok(())
}

fn words_of(column: &schema::Column) -> String {
    format!("{} (from: {})", column.plain(), column.from)
}
