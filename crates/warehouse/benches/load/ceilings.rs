//! What no load can be faster than: the rows of a finished load, written once more and nothing else.

use std::path::Path;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt, pin_mut};
use rusqlite::types::Value;
use tokio_postgres::{Client, NoTls};

/// Bytes a message of COPY; psql sends them in such pieces too.
const PIECE: usize = 1 << 16;

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("a connection");
    tokio::spawn(connection);
    client
}

/// Seconds of a binary COPY of all `products` of a database into a table without any index.
pub(crate) async fn copy(client: &mut Client, rows: i64) -> f64 {
    let out = client
        .copy_out("COPY products TO STDOUT (FORMAT BINARY)")
        .await
        .expect("rows");
    pin_mut!(out);
    let mut bytes = Vec::new();
    while let Some(piece) = out.next().await {
        bytes.extend_from_slice(&piece.expect("a piece"));
    }
    let bytes = bytes::Bytes::from(bytes);
    client
        .batch_execute("CREATE TABLE ceiling (LIKE products); CHECKPOINT")
        .await
        .expect("a table");
    let begun = Instant::now();
    let sink = client
        .copy_in("COPY ceiling FROM STDIN (FORMAT BINARY)")
        .await
        .expect("a copy");
    pin_mut!(sink);
    for at in (0..bytes.len()).step_by(PIECE) {
        let piece = bytes.slice(at..bytes.len().min(at + PIECE));
        sink.send(piece).await.expect("sent");
    }
    let copied = sink.finish().await.expect("copied");
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(copied, rows as u64, "the bare COPY lost rows");
    client
        .batch_execute("DROP TABLE ceiling")
        .await
        .expect("dropped");
    seconds
}

/// Seconds of appending all `products` of a file to another file with one index, so many a
/// transaction, as durable as the warehouse's own.
pub(crate) fn append(from: &Path, to: &Path, rows: i64, batch: i64) -> f64 {
    let source = rusqlite::Connection::open(from).expect("a file");
    let mut select = source.prepare("SELECT * FROM products").expect("products");
    let names: Vec<String> = select.column_names().map(Into::into).collect();
    let width = names.len();
    let read = select.query_map([], |row| {
        (0..width)
            .map(|n| row.get(n))
            .collect::<Result<Vec<Value>, _>>()
    });
    let read: Vec<Vec<Value>> = read.and_then(Iterator::collect).expect("rows");
    let target = rusqlite::Connection::open(to).expect("a file");
    let tune = "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 2000";
    target.execute_batch(tune).expect("tuned");
    let table = format!(
        "CREATE TABLE plain ({}); CREATE INDEX by_id ON plain (id)",
        names.join(", ")
    );
    target.execute_batch(&table).expect("a table");
    let marks = vec!["?"; width].join(", ");
    let begun = Instant::now();
    let mut insert = target
        .prepare(&format!("INSERT INTO plain VALUES ({marks})"))
        .expect("an insert");
    for part in read.chunks(batch as usize) {
        target.execute_batch("BEGIN IMMEDIATE").expect("begun");
        for row in part {
            insert
                .execute(rusqlite::params_from_iter(row))
                .expect("a row");
        }
        target.execute_batch("COMMIT").expect("committed");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let count: i64 = target
        .query_row("SELECT COUNT(*) FROM plain", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(count, rows, "the bare append lost rows");
    seconds
}
