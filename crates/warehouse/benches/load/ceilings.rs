//! What no load can be faster than: the rows of a finished load, written once more and nothing else.
//!
//! Beside the bare ceilings, into a table with one index or none, stands the one of our own schema: the rows of
//! a first day into its tables with all their keys and indexes, nothing staged, asked or decided; and in SQLite the
//! looks of a later day, once what is known was asked.

use std::path::Path;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt, pin_mut};
use rusqlite::Connection;
use rusqlite::types::Value;
use tokio_postgres::{Client, NoTls};

/// Bytes a message of COPY; psql sends them in such pieces too.
const PIECE: usize = 1 << 16;

/// The tables that a first day fills.
const FILLED: [&str; 3] = ["products", "observations", "product_history"];

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("a connection");
    tokio::spawn(connection);
    client
}

/// Seconds of a binary COPY of all `products` of a database into a table without any index.
pub(crate) async fn copy(client: &mut Client, rows: i64) -> f64 {
    let bytes = copied_out(client, "products").await;
    client
        .batch_execute("CREATE TABLE ceiling (LIKE products); CHECKPOINT")
        .await
        .expect("a table");
    let begun = Instant::now();
    copy_in(client, "ceiling", &bytes, rows).await;
    let seconds = begun.elapsed().as_secs_f64();
    client
        .batch_execute("DROP TABLE ceiling")
        .await
        .expect("dropped");
    seconds
}

/// Seconds of a binary COPY of all that a first day left in a database into another with the same, empty tables,
/// in one transaction.
pub(crate) async fn copy_all(client: &Client, target: &Client, rows: i64) -> f64 {
    let mut tables = Vec::new();
    for table in FILLED {
        tables.push((table, copied_out(client, table).await));
    }
    let begun = Instant::now();
    target.batch_execute("BEGIN").await.expect("begun");
    for (table, bytes) in &tables {
        copy_in(target, table, bytes, rows).await;
    }
    target.batch_execute("COMMIT").await.expect("committed");
    begun.elapsed().as_secs_f64()
}

async fn copied_out(client: &Client, table: &str) -> bytes::Bytes {
    let out = client
        .copy_out(&format!("COPY {table} TO STDOUT (FORMAT BINARY)"))
        .await
        .expect("rows");
    pin_mut!(out);
    let mut bytes = Vec::new();
    while let Some(piece) = out.next().await {
        bytes.extend_from_slice(&piece.expect("a piece"));
    }
    bytes.into()
}

async fn copy_in(client: &Client, table: &str, bytes: &bytes::Bytes, rows: i64) {
    let sink = client
        .copy_in(&format!("COPY {table} FROM STDIN (FORMAT BINARY)"))
        .await
        .expect("a copy");
    pin_mut!(sink);
    for at in (0..bytes.len()).step_by(PIECE) {
        let piece = bytes.slice(at..bytes.len().min(at + PIECE));
        sink.send(piece).await.expect("sent");
    }
    let copied = sink.finish().await.expect("copied");
    assert_eq!(copied, rows as u64, "the bare COPY lost rows of {table}");
}

/// Seconds of appending all `products` of a file to another file with one index, so many a
/// transaction, as durable as the warehouse's own.
pub(crate) fn append(from: &Path, to: &Path, rows: i64, batch: i64) -> f64 {
    let (names, read) = all_rows(&Connection::open(from).expect("a file"), "products");
    let target = Connection::open(to).expect("a file");
    target
        .execute_batch("PRAGMA page_size = 8192")
        .expect("set");
    let table = format!(
        "CREATE TABLE plain ({}); CREATE INDEX by_id ON plain (id)",
        names.join(", ")
    );
    target.execute_batch(&table).expect("a table");
    let seconds = insert(&target, &[("plain", read)], batch as usize);
    is_whole(&target, "plain", rows);
    seconds
}

/// Seconds of inserting all that a first day left in a file into another with the same, empty tables, so many
/// products a transaction, as durable.
pub(crate) fn insert_all(from: &Path, to: &Path, rows: i64, batch: i64) -> f64 {
    let source = Connection::open(from).expect("a file");
    let read = FILLED.map(|table| (table, all_rows(&source, table).1));
    let target = Connection::open(to).expect("a file");
    let seconds = insert(&target, &read, batch as usize);
    for table in FILLED {
        is_whole(&target, table, rows);
    }
    seconds
}

/// What must be asked of a known product before a look of it can be called unchanged, as `merge_read` asks it.
const KNOWN: &str = "SELECT p.id, p.price, p.original_price, p.discount_percent, p.sales_count, p.rating_average,
        p.review_count, p.seller_id, p.spid, p.stock_status, p.stock_quantity, p.sales_velocity, p.delisted_at,
        p.identity_hash, p.details_hash, p.content_at, p.observed_at, p.detail_observed_at, p.updated_at,
        (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = p.id)
    FROM products p WHERE p.id IN (SELECT value FROM json_each(?1))";

/// Seconds of asking what is known of all products and writing the looks of a day to the file that
/// [`insert_all`] filled, so many products a transaction: nothing staged, unpacked, compared or noted.
pub(crate) fn ask_and_look(from: &Path, to: &Path, at: &str, rows: i64, batch: i64) -> f64 {
    let source = Connection::open(from).expect("a file");
    let looks = rows_of(
        &source,
        &format!("SELECT * FROM observations WHERE observed_at = '{at}' ORDER BY product_id"),
    )
    .1;
    let target = Connection::open(to).expect("a file");
    tune(&target);
    let begun = Instant::now();
    let mut known = target.prepare(KNOWN).expect("a question");
    let mut insert = target
        .prepare(&insert_into("observations", looks[0].len()))
        .expect("an insert");
    let mut answered = 0;
    for part in looks.chunks(batch as usize) {
        let id = |row: &Vec<Value>| match row[0] {
            Value::Integer(id) => id.to_string(),
            _ => String::new(),
        };
        let ids: Vec<String> = part.iter().map(id).collect();
        target.execute_batch("BEGIN IMMEDIATE").expect("begun");
        let mut answer = known
            .query([format!("[{}]", ids.join(","))])
            .expect("an answer");
        while let Some(row) = answer.next().expect("a row") {
            for n in 0..20 {
                std::hint::black_box(row.get_ref(n).expect("a value"));
            }
            answered += 1;
        }
        for row in part {
            let row = rusqlite::params_from_iter(row);
            insert.execute(row).expect("a row");
        }
        target.execute_batch("COMMIT").expect("committed");
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(answered, rows, "not all that is known was asked");
    seconds
}

/// The names of a table's columns, and its rows.
fn all_rows(source: &Connection, table: &str) -> (Vec<String>, Vec<Vec<Value>>) {
    rows_of(source, &format!("SELECT * FROM {table}"))
}

fn rows_of(source: &Connection, sql: &str) -> (Vec<String>, Vec<Vec<Value>>) {
    let mut select = source.prepare(sql).expect("a table");
    let names: Vec<String> = select.column_names().map(Into::into).collect();
    let width = names.len();
    let read = select.query_map([], |row| {
        (0..width)
            .map(|n| row.get(n))
            .collect::<Result<Vec<Value>, _>>()
    });
    (names, read.and_then(Iterator::collect).expect("rows"))
}

fn insert(target: &Connection, tables: &[(&str, Vec<Vec<Value>>)], batch: usize) -> f64 {
    tune(target);
    let begun = Instant::now();
    let mut inserts = Vec::new();
    for (table, rows) in tables {
        let insert = target.prepare(&insert_into(table, rows[0].len()));
        let insert = insert.expect("an insert");
        inserts.push((insert, rows.chunks(batch)));
    }
    let batches = tables[0].1.len().div_ceil(batch);
    for _ in 0..batches {
        target.execute_batch("BEGIN IMMEDIATE").expect("begun");
        for (insert, parts) in &mut inserts {
            for row in parts.next().expect("as many rows in each table") {
                let row = rusqlite::params_from_iter(row);
                insert.execute(row).expect("a row");
            }
        }
        target.execute_batch("COMMIT").expect("committed");
    }
    begun.elapsed().as_secs_f64()
}

/// As the warehouse opens a file.
fn tune(target: &Connection) {
    let tune = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 2000";
    target.execute_batch(tune).expect("tuned");
}

fn insert_into(table: &str, width: usize) -> String {
    let marks = vec!["?"; width].join(", ");
    format!("INSERT INTO {table} VALUES ({marks})")
}

fn is_whole(target: &Connection, table: &str, rows: i64) {
    let count = format!("SELECT COUNT(*) FROM {table}");
    let count: i64 = target
        .query_row(&count, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(count, rows, "the bare append lost rows of {table}");
}
