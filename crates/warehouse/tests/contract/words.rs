//! What the schema says of itself.

use warehouse::schema;

use crate::store::Store;

/// Every comment of PostgreSQL: table, column (`~`: the table itself), comment.
const COMMENTS: &str = "SELECT c.relname, a.attname, d.description
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v') ORDER BY 1, 2, 3";

/// Tables, views and columns of the warehouse that have no comment.
const SILENT: &str = "SELECT c.relname, a.attname FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v')
        AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)";

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_told_what_everything_means() {
    let store = Store::postgres().await;
    let silent = store.rows(SILENT).await;
    assert!(silent.is_empty(), "without a comment: {silent:?}");
    let told = store.rows(COMMENTS).await;
    let mut wanted = Vec::new();
    for table in schema::tables() {
        wanted.push(format!("{}|~|{}", table.name, table.plain()));
        for column in table.all_columns() {
            let (name, words) = (&column.name, column.plain());
            wanted.push(format!(
                "{}|{name}|{words} (from: {})",
                table.name, column.from
            ));
        }
    }
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(told.clone()), sorted(wanted));
    // What is as it should be is not written again; what differs is.
    let written = "SELECT MAX(xmin::text::bigint) FROM pg_description
        WHERE classoid = 'pg_class'::regclass";
    let before = store.cell(written).await;
    store.warehouse.migrate("public").await.expect("an answer");
    assert_eq!(store.cell(written).await, before);
    store
        .seed(
            "COMMENT ON COLUMN products.price IS 'in pounds'; COMMENT ON TABLE runs IS NULL;
             CREATE TABLE other (x bigint); COMMENT ON TABLE other IS 'mine'",
        )
        .await;
    store.warehouse.migrate("public").await.expect("an answer");
    let mut now = store.rows(COMMENTS).await;
    now.retain(|row| row != "other|~|mine");
    assert_eq!(now, told);
}
