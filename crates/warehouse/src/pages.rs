//! Pages: bodies as received, with the time they were fetched. They are also the cache across runs.
//!
//! Not here: reading a body (`catalog`).

use std::collections::HashMap;

use catalog::{Encoding, Instant};

use crate::bulk::Columns;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced};
use crate::open::Warehouse;
use crate::params;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// What a page answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageKind {
    /// The children of a category; the subject is the parent's id.
    Categories,
    /// A page of a listing; the subject is the category's id.
    Listing,
    /// A product's detail; the subject is the product's id.
    Detail,
}

impl PageKind {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Categories => "categories",
            Self::Listing => "listing",
            Self::Detail => "detail",
        }
    }
}

/// A page to keep.
#[derive(Clone, Debug)]
pub struct NewPage {
    /// What it answers.
    pub kind: PageKind,
    /// About which category or product.
    pub subject: i64,
    /// `api` or `html`.
    pub source: &'static str,
    /// How the body is packed.
    pub encoding: Encoding,
    /// As received.
    pub body: Vec<u8>,
    /// When it was fetched.
    pub fetched_at: Instant,
}

/// A page that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPage {
    /// Its id.
    pub id: i64,
    /// `api` or `html`.
    pub source: String,
    /// How the body is packed.
    pub encoding: Encoding,
    /// As received.
    pub body: Vec<u8>,
    /// When it was fetched.
    pub fetched_at: Instant,
}

const COLUMNS: &Columns = &[
    ("kind", "text"),
    ("subject", "bigint"),
    ("source", "text"),
    ("encoding", "text"),
    ("body", "{bytes}"),
    ("fetched_at", "{time}"),
    ("run_id", "text"),
];

/// Which of the columns is the subject.
const SUBJECT: usize = 1;

/// Keeps pages of different subjects; their ids by subject.
pub(crate) async fn insert(tx: &mut Tx, run: &str, pages: &[NewPage]) -> Result<HashMap<i64, i64>> {
    insert_many(tx, run, pages.to_vec()).await
}

/// The same, without a copy of every body.
pub(crate) async fn insert_many(
    tx: &mut Tx,
    run: &str,
    pages: Vec<NewPage>,
) -> Result<HashMap<i64, i64>> {
    let rows: Vec<Vec<Value>> = pages
        .into_iter()
        .map(|page| {
            vec![
                page.kind.as_str().into(),
                page.subject.into(),
                page.source.into(),
                page.encoding.as_str().into(),
                page.body.into(),
                page.fetched_at.into(),
                run.into(),
            ]
        })
        .collect();
    let answer = tx.insert_serial("pages", COLUMNS, SUBJECT, &rows).await?;
    answer
        .iter()
        .map(|row| Ok((row.int(1)?, row.int(0)?)))
        .collect()
}

/// The page of the columns id, source, encoding, body, fetched_at from `at` on.
pub(crate) fn stored(row: &Row, at: usize) -> Result<StoredPage> {
    let word = row.text(at + 2)?;
    let encoding = Encoding::parse(&word)
        .ok_or_else(|| Error::Stored(format!("{word:?} is no encoding of a page")))?;
    Ok(StoredPage {
        id: row.int(at)?,
        source: row.text(at + 1)?,
        encoding,
        body: row.bytes(at + 3)?,
        fetched_at: row.time(at + 4)?,
    })
}

impl Warehouse {
    /// The newest page of a subject that was fetched at `since` or later.
    pub async fn newest_page(
        &self,
        kind: PageKind,
        subject: i64,
        since: Instant,
    ) -> Result<Option<StoredPage>> {
        let mut tx = self.read().await?;
        let row = tx
            .row(
                "SELECT id, source, encoding, body, fetched_at FROM pages
                 WHERE kind = $1 AND subject = $2 AND fetched_at >= $3
                 ORDER BY fetched_at DESC, id DESC LIMIT 1",
                params![kind.as_str(), subject, since],
            )
            .await?;
        tx.commit().await?;
        row.map(|row| stored(&row, 0)).transpose()
    }

    /// Keeps a page that no batch waits for.
    pub async fn keep_page(&self, attempt: &Attempt, page: NewPage) -> Result<()> {
        let mut tx = self.begin().await?;
        insert(&mut tx, &attempt.run, &[page]).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// A page by its id.
    pub async fn page(&self, id: i64) -> Result<Option<StoredPage>> {
        let mut tx = self.read().await?;
        let sql = "SELECT id, source, encoding, body, fetched_at FROM pages WHERE id = $1";
        let row = tx.row(sql, params![id]).await?;
        tx.commit().await?;
        row.map(|row| stored(&row, 0)).transpose()
    }
}
