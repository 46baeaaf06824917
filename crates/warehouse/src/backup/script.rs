//! Plays what `pg_restore` prints on a connection of our own, so that a restore is one transaction with
//! whatever else belongs to it, and one that breaks off leaves nothing.
//!
//! The script is statements, and rows between `COPY … FROM stdin;` and `\.`.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio_postgres::{Client, CopyInSink};

use super::programs::{Programs, failed, said};
use crate::batches::MAX_RECORDS;
use crate::error::{Error, Result};

/// A row at most: a body and a batch's records of the largest size, written in hexadecimal, have room in it.
const LINE_MAX_BYTES: u64 = 256 << 20;
const _: () = assert!(2 * MAX_RECORDS as u64 + (1 << 20) <= LINE_MAX_BYTES);

/// Statements without rows at most.
const TEXT_MAX_BYTES: usize = 16 << 20;

/// Rows are sent in portions of about so many bytes.
const PORTION_BYTES: usize = 64 << 10;

/// Restores the schema of a dump; `client` is in a transaction in which the schema is there and empty.
pub(super) async fn play(
    client: &Client,
    programs: &Programs,
    dump: &Path,
    schema: &str,
) -> Result<()> {
    let failed_to_start = |error: std::io::Error| failed("pg_restore", &error.to_string());
    let mut child = programs
        .script(dump, schema)
        .spawn()
        .map_err(failed_to_start)?;
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::Stored("a program without output".into()));
    };
    let told = tokio::spawn(said(err));
    let mut lines = Lines {
        from: BufReader::with_capacity(PORTION_BYTES, out),
        line: Vec::new(),
    };
    let played = lines.play(client).await;
    if played.is_err() {
        // It has not ended by itself; what failed is known.
        drop(child.kill().await);
    }
    let status = child.wait().await.map_err(failed_to_start)?;
    let told = told.await.unwrap_or_default();
    played?;
    if status.success() {
        Ok(())
    } else {
        Err(failed("pg_restore", &told).into())
    }
}

struct Lines<R> {
    from: R,
    line: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    async fn play(&mut self, client: &Client) -> Result<()> {
        let mut text: Vec<u8> = Vec::new();
        while self.next().await? {
            if self.line.starts_with(b"COPY ") && self.line.ends_with(b" FROM stdin;\n") {
                run(client, &mut text).await?;
                self.rows(client).await?;
            } else if !is_for_psql(&self.line) {
                text.extend_from_slice(&self.line);
            }
            if text.len() > TEXT_MAX_BYTES {
                return Err(failed("pg_restore", "its statements have no end").into());
            }
        }
        run(client, &mut text).await
    }

    /// The rows of a table, up to the line that ends them.
    async fn rows(&mut self, client: &Client) -> Result<()> {
        let copy = String::from_utf8_lossy(&self.line).into_owned();
        let fail = |error| Error::postgres(&copy, error);
        let sink: CopyInSink<Bytes> = client.copy_in(copy.trim()).await.map_err(fail)?;
        let mut sink = std::pin::pin!(sink);
        let mut portion = BytesMut::with_capacity(2 * PORTION_BYTES);
        loop {
            if !self.next().await? {
                return Err(failed("pg_restore", "it broke off").into());
            }
            if self.line == b"\\.\n" {
                break;
            }
            portion.extend_from_slice(&self.line);
            if portion.len() >= PORTION_BYTES {
                sink.send(portion.split().freeze()).await.map_err(fail)?;
            }
        }
        sink.send(portion.freeze()).await.map_err(fail)?;
        sink.finish().await.map(drop).map_err(fail)
    }

    async fn next(&mut self) -> Result<bool> {
        self.line.clear();
        let mut from = (&mut self.from).take(LINE_MAX_BYTES);
        let read = from.read_until(b'\n', &mut self.line).await;
        let count = read.map_err(|error| failed("pg_restore", &error.to_string()))?;
        if count > 0 && !self.line.ends_with(b"\n") {
            return Err(failed("pg_restore", "it broke off, or a row is too large").into());
        }
        Ok(count > 0)
    }
}

/// What newer programs say to psql, or to a server as new as they are.
fn is_for_psql(line: &[u8]) -> bool {
    let words: [&[u8]; 3] = [
        b"\\restrict ",
        b"\\unrestrict ",
        b"SET transaction_timeout = ",
    ];
    words.iter().any(|word| line.starts_with(word))
}

async fn run(client: &Client, text: &mut Vec<u8>) -> Result<()> {
    let statements = String::from_utf8_lossy(text).into_owned();
    text.clear();
    let done = client.batch_execute(&statements).await;
    done.map_err(|error| Error::postgres("restore the schema", error))
}
