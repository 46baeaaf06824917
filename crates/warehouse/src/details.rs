//! Details: which are to ask, and what became of each.
//!
//! Not here: which are due (`plan`), asking (`crawl`), reading a body (`catalog`).

use catalog::{Instant, Rejection};

use crate::bulk::Columns;
use crate::error::{Error, Result};
use crate::lease::{Attempt, commit_fenced, note_claim};
use crate::open::Warehouse;
use crate::pages::{self, NewPage};
use crate::params;
use crate::rejections::{self, RejectionToStore};
use crate::tx::Tx;
use crate::value::{Row, Value};

/// A detail to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailAsk {
    /// The product.
    pub product_id: i64,
    /// The offer that was listed; rechecks ask without.
    pub spid: Option<i64>,
    /// Of the listing.
    pub fingerprint: Option<i64>,
    /// How often it was asked in vain.
    pub attempts: i64,
}

/// What became of a detail.
#[derive(Debug)]
pub enum DetailOutcome {
    /// The site answered with a body of the asked product.
    Good(NewPage),
    /// 404 or 410.
    Gone,
    /// A body that no record can be made of.
    Rejected(Rejection, NewPage),
    /// To be asked again; whether it counts as a try.
    Later {
        /// Seconds to wait.
        seconds: f64,
        /// Whether the try counts against the budget.
        counts: bool,
        /// What failed.
        error: String,
    },
    /// Given up.
    Unfetched(String),
}

/// A detail and what became of it.
#[derive(Debug)]
pub struct DetailAnswer {
    /// What was asked.
    pub ask: DetailAsk,
    /// When the answer came.
    pub at: Instant,
    /// What it was.
    pub outcome: DetailOutcome,
}

/// Id, claim, and what is set of a row.
const ANSWER_COLUMNS: &Columns = &[
    ("run_id", "text"),
    ("product_id", "bigint"),
    ("claim", "bigint"),
    ("detail", "text"),
    ("page_id", "bigint"),
    ("answered_at", "{time}"),
    ("error", "text"),
    ("attempts", "bigint"),
    ("next_at", "{time}"),
];

impl Warehouse {
    /// Claims up to `n` details in the order of the plan. `None`: nothing is left to ask; an empty
    /// list: others hold the rest, or it waits for its next try.
    pub async fn next_details(&self, attempt: &Attempt, n: i64) -> Result<Option<Vec<DetailAsk>>> {
        let mut tx = self.begin().await?;
        let rows = tx
            .rows(
                "WITH picked AS MATERIALIZED (SELECT run_id, product_id FROM run_products
                    WHERE run_id = $1 AND detail = 'due' AND claim IS NULL
                        AND {due:next_at}
                    ORDER BY rank, product_id LIMIT $3 {skip locked})
                 UPDATE run_products SET claim = $2 FROM picked
                 WHERE run_products.run_id = picked.run_id AND run_products.product_id = picked.product_id
                 RETURNING run_products.product_id, spid, fingerprint, attempts, rank",
                params![&attempt.run, attempt.epoch, n],
            )
            .await?;
        if !rows.is_empty() {
            note_claim(&mut tx, attempt.epoch).await?;
        }
        commit_fenced(tx, attempt.epoch).await?;
        if rows.is_empty() && self.open_rows(attempt).await? == 0 {
            return Ok(None);
        }
        let mut asks: Vec<(i64, DetailAsk)> = rows.iter().map(ask).collect::<Result<_>>()?;
        asks.sort_by_key(|(rank, ask)| (*rank, ask.product_id));
        Ok(Some(asks.into_iter().map(|(_, ask)| ask).collect()))
    }

    /// Stores a batch of answers with their pages and the new states, in one transaction.
    pub async fn commit_details(
        &self,
        attempt: &Attempt,
        answers: Vec<DetailAnswer>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let mut batch = Batch::default();
        for answer in answers {
            batch.add(attempt, answer);
        }
        let kept = std::mem::take(&mut batch.pages);
        let ids = pages::insert_many(&mut tx, &attempt.run, kept).await?;
        for row in &mut batch.rows {
            if let Value::Int(product) = row[1]
                && matches!(&row[3], Value::Text(word) if word == "good" || word == "rejected")
            {
                row[4] = ids.get(&product).copied().into();
            }
        }
        // Every row is given back, whatever became of it.
        let count = tx
            .update_and(
                "run_products",
                ANSWER_COLUMNS,
                3,
                ", claim = NULL",
                &batch.rows,
            )
            .await?;
        if count != batch.rows.len() as u64 {
            return Err(Error::Fenced(attempt.epoch));
        }
        postpone(&mut tx, &batch.later).await?;
        remember(&mut tx, &batch.states).await?;
        let at = batch.at;
        for rejected in &mut batch.rejections {
            rejected.page_id = rejected
                .product_id
                .and_then(|product| ids.get(&product).copied());
        }
        rejections::insert(&mut tx, &attempt.run, &attempt.step, &batch.rejections, at).await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Ends the asking: what is still due will not be asked in this run.
    pub async fn settle_details(&self, attempt: &Attempt) -> Result<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "UPDATE run_products SET detail = 'unfetched', claim = NULL
             WHERE run_id = $1 AND detail = 'due'",
            params![&attempt.run],
        )
        .await?;
        commit_fenced(tx, attempt.epoch).await
    }

    /// Details of a run by what became of them: the word and how many.
    pub async fn detail_counts(&self, run: &str) -> Result<Vec<(String, i64)>> {
        let mut tx = self.read().await?;
        let sql = "SELECT detail, COUNT(*) FROM run_products WHERE run_id = $1 GROUP BY detail";
        let rows = tx.rows(sql, params![run]).await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.int(1)?)))
            .collect()
    }
}

struct Batch {
    pages: Vec<NewPage>,
    rows: Vec<Vec<Value>>,
    states: Vec<Vec<Value>>,
    rejections: Vec<RejectionToStore>,
    later: Vec<(String, i64, f64)>,
    at: Instant,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            rows: Vec::new(),
            states: Vec::new(),
            rejections: Vec::new(),
            later: Vec::new(),
            at: Instant::from_millis(0),
        }
    }
}

impl Batch {
    fn add(&mut self, attempt: &Attempt, answer: DetailAnswer) {
        let DetailAnswer { ask, at, outcome } = answer;
        self.at = at;
        let state = vec![ask.product_id.into(), ask.fingerprint.into(), at.into()];
        let (word, error, tries) = match outcome {
            DetailOutcome::Good(page) => {
                self.pages.push(page);
                self.states.push(state);
                ("good", None, 0)
            }
            DetailOutcome::Gone => {
                self.states.push(state);
                ("gone", None, 0)
            }
            DetailOutcome::Rejected(rejection, page) => {
                self.pages.push(page);
                let product_id = Some(ask.product_id);
                let kept = RejectionToStore {
                    product_id,
                    category_id: None,
                    page_id: None,
                    rejection,
                };
                self.rejections.push(kept);
                ("rejected", None, 0)
            }
            DetailOutcome::Later {
                seconds,
                counts,
                error,
            } => {
                self.later
                    .push((attempt.run.clone(), ask.product_id, seconds));
                ("due", Some(error), i64::from(counts))
            }
            DetailOutcome::Unfetched(error) => ("unfetched", Some(error), 1),
        };
        self.rows.push(vec![
            (&attempt.run).into(),
            ask.product_id.into(),
            attempt.epoch.into(),
            word.into(),
            Value::Null,
            at.into(),
            error.into(),
            (ask.attempts + tries).into(),
            Value::Null,
        ]);
    }
}

/// Sets the time of the next try of what is to be asked again.
async fn postpone(tx: &mut Tx, later: &[(String, i64, f64)]) -> Result<()> {
    for (run, product, seconds) in later {
        tx.execute(
            "UPDATE run_products SET next_at = {later:$3} WHERE run_id = $1 AND product_id = $2",
            params![run, *product, *seconds],
        )
        .await?;
    }
    Ok(())
}

/// When a detail last answered, and the listing's fingerprint then.
async fn remember(tx: &mut Tx, states: &[Vec<Value>]) -> Result<()> {
    let columns: &Columns = &[
        ("product_id", "bigint"),
        ("fingerprint", "bigint"),
        ("detail_at", "{time}"),
    ];
    let tail = "ON CONFLICT (product_id) DO UPDATE SET
        fingerprint = COALESCE(excluded.fingerprint, product_state.fingerprint),
        detail_at = excluded.detail_at";
    tx.insert("product_state", columns, tail, states)
        .await
        .map(drop)
}

fn ask(row: &Row) -> Result<(i64, DetailAsk)> {
    let ask = DetailAsk {
        product_id: row.int(0)?,
        spid: row.opt_int(1)?,
        fingerprint: row.opt_int(2)?,
        attempts: row.int(3)?,
    };
    Ok((row.int(4)?, ask))
}
