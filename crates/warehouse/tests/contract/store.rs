//! A warehouse of either kind for a test, and the shortest way through the steps.

use std::time::Duration;

use catalog::Instant;
use tempfile::TempDir;
use testkit::Postgres;
use warehouse::{
    Attempt, AttemptRequest, Batch, DetailAnswer, DetailAsk, DetailOutcome, Host,
    Kind as CleaningKind, KnownProduct, Merge, NewRun, Options, Outcome, PlannedProduct, Retention,
    RunState, Transformed, TransformedBatch, Warehouse,
};

/// What became of a batch, as it is stored.
pub(crate) fn transformed_batch(batch: Batch, transformed: &[Transformed]) -> TransformedBatch {
    TransformedBatch::new(batch, transformed).expect("all products of the batch")
}

/// A warehouse with its schema; gone with the test.
pub(crate) struct Store {
    pub(crate) warehouse: Warehouse,
    pub(crate) url: String,
    /// The file's folder, for SQLite.
    pub(crate) folder: Option<TempDir>,
}

/// What a load is to bring.
pub(crate) enum Arrival {
    Product(Box<catalog::Product>),
    Gone(i64, Instant),
}

impl Arrival {
    pub(crate) fn id(&self) -> i64 {
        match self {
            Self::Product(product) => product.id(),
            Self::Gone(id, _) => *id,
        }
    }
}

/// An instant, in minutes after the beginning of a test's time.
pub(crate) fn at(minutes: i64) -> Instant {
    Instant::from_millis(1_700_000_000_000 + minutes * 60_000)
}

/// A connection past the warehouse's own interface.
pub(crate) struct Held {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Held {
    /// Gives back what its transaction holds.
    pub(crate) async fn let_go(self) {
        self.client
            .batch_execute("ROLLBACK")
            .await
            .expect("its end");
        self.end().await;
    }

    async fn end(self) {
        drop(self.client);
        self.driver.await.expect("no panic").expect("a good end");
    }
}

impl Store {
    /// A new file.
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("tiki.db").display());
        Self::open(url, Some(folder)).await
    }

    /// A new database of the tests' server.
    pub(crate) async fn postgres() -> Self {
        let url = tokio::task::block_in_place(|| Postgres::shared().fresh_database());
        Self::open(url, None).await
    }

    async fn open(url: String, folder: Option<TempDir>) -> Self {
        let warehouse = Warehouse::open(&url, &Options::default())
            .await
            .expect("a warehouse");
        warehouse.migrate("public").await.expect("a schema");
        Self {
            warehouse,
            url,
            folder,
        }
    }

    /// Another connection to the same warehouse, as another process has.
    pub(crate) async fn again(&self) -> Warehouse {
        Warehouse::open(&self.url, &Options::default())
            .await
            .expect("the same warehouse")
    }

    /// The rows of a question, NULL as `~`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let table = self
            .warehouse
            .select(sql, 100_000, Duration::from_secs(30))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let print = |row: &Vec<Option<String>>| {
            let cells = row.iter().map(|cell| cell.as_deref().unwrap_or("~"));
            cells.collect::<Vec<_>>().join("|")
        };
        table.rows.iter().map(print).collect()
    }

    /// The one cell of a question.
    pub(crate) async fn cell(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.into_iter().next().unwrap_or_default()
    }

    /// Runs a statement past the warehouse's own interface: seeds what a fault would leave.
    pub(crate) async fn seed(&self, sql: &str) {
        if let Some(file) = self.warehouse.file() {
            let connection = rusqlite::Connection::open(file).expect("the file");
            return connection.execute_batch(sql).expect("a statement");
        }
        self.hold(sql).await.end().await;
    }

    /// Runs a statement in PostgreSQL on a connection of its own, which stays as it is after that.
    pub(crate) async fn hold(&self, sql: &str) -> Held {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls)
            .await
            .expect("a connection");
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await.expect("a statement");
        Held { client, driver }
    }

    pub(crate) async fn create_run(&self, id: &str) {
        self.create_run_at(id, at(0)).await;
    }

    pub(crate) async fn create_run_at(&self, id: &str, clock_at: Instant) {
        let new = NewRun {
            id: id.into(),
            owner: "cli".into(),
            scope: "{}".into(),
            scope_key: "all".into(),
            clock_at,
        };
        let made = self.warehouse.create_run(&new).await.expect("an answer");
        made.expect("no other run is open");
    }

    /// A run that begins when all else is old, and deletes what is older than `keep` says; the number
    /// of rows. The run is closed.
    pub(crate) async fn clean(&self, id: &str, keep: &Retention) -> u64 {
        self.create_run_at(id, at(1_000_000)).await;
        let attempt = self.attempt(id, "cleanup-temp-files").await;
        let removed = self.clean_under(&attempt, keep).await;
        self.end(&attempt).await;
        self.finish_run(id).await;
        removed
    }

    pub(crate) async fn clean_under(&self, attempt: &Attempt, keep: &Retention) -> u64 {
        let mut removed = 0;
        for kind in CleaningKind::ALL {
            let rows = self.warehouse.clean(attempt, keep, kind).await;
            removed += rows.expect("cleaned");
        }
        removed
    }

    pub(crate) async fn finish_run(&self, id: &str) {
        self.warehouse
            .finish_run(id, RunState::Done, 0, "{}", None)
            .await
            .expect("an end");
    }

    pub(crate) async fn attempt(&self, run: &str, step: &str) -> Attempt {
        let begun = self
            .warehouse
            .begin_attempt(&wish(run, step), |_| false)
            .await;
        begun.expect("an answer").expect("nobody else is at work")
    }

    /// Takes a step over from whoever is at work on it.
    pub(crate) async fn take_over(&self, run: &str, step: &str) -> Attempt {
        let wish = wish(run, step);
        let begun = self.warehouse.begin_attempt(&wish, |_| true).await;
        begun.expect("an answer").expect("taken over")
    }

    pub(crate) async fn end(&self, attempt: &Attempt) {
        self.warehouse
            .end_attempt(attempt, None, None)
            .await
            .expect("an end");
    }

    /// Plans products as listed, or as rechecks, with a detail that is due.
    pub(crate) async fn plan(&self, run: &str, ids: &[i64], listed_in: Option<i64>) {
        let attempt = self.attempt(run, "crawl-product-details").await;
        let planned: Vec<PlannedProduct> = ids
            .iter()
            .map(|id| PlannedProduct {
                known: KnownProduct {
                    product_id: *id,
                    listed_in,
                    fingerprint: None,
                    spid: None,
                    last_detail: None,
                    first_seen: None,
                    deferred: false,
                    failed: false,
                },
                reason: Some("new"),
                rank: 0,
            })
            .collect();
        self.warehouse
            .commit_plan(&attempt, &planned, "whole")
            .await
            .expect("a plan");
        self.end(&attempt).await;
    }

    /// Stages what arrives; it is planned already.
    pub(crate) async fn stage(&self, run: &str, arrivals: Vec<Arrival>) {
        self.stage_by(1000, run, arrivals).await;
    }

    /// Stages what arrives in batches of `n`.
    pub(crate) async fn stage_by(&self, n: i64, run: &str, mut arrivals: Vec<Arrival>) {
        let attempt = self.attempt(run, "transform-products").await;
        while let Some(claimed) = self
            .warehouse
            .next_to_transform(&attempt, n)
            .await
            .expect("a claim")
        {
            let ids: std::collections::HashSet<i64> = claimed
                .products
                .iter()
                .map(|product| product.product_id)
                .collect();
            let (now, later) = arrivals.into_iter().partition(|a| ids.contains(&a.id()));
            arrivals = later;
            let now: Vec<Arrival> = now;
            let staged: Vec<Transformed> = now.into_iter().map(transformed).collect();
            self.warehouse
                .commit_batch(
                    &attempt,
                    transformed_batch(claimed.batch, &staged),
                    &[],
                    at(0),
                )
                .await
                .expect("a staged batch");
        }
        self.end(&attempt).await;
    }

    /// Loads what is staged.
    pub(crate) async fn load_staged(&self, run: &str, merge: &Merge) -> Vec<(i64, Outcome)> {
        let attempt = self.attempt(run, "load-products").await;
        let mut outcomes = Vec::new();
        while let Some(batch) = self
            .warehouse
            .load_batch(&attempt, merge)
            .await
            .expect("a batch")
        {
            outcomes.extend(batch);
        }
        self.end(&attempt).await;
        outcomes
    }

    /// A whole run that brings some arrivals; what became of each, in id order.
    pub(crate) async fn bring(
        &self,
        run: &str,
        arrivals: Vec<Arrival>,
        merge: &Merge,
    ) -> Vec<Outcome> {
        self.bring_by(1000, run, arrivals, merge).await
    }

    /// The same in batches of `n`.
    pub(crate) async fn bring_by(
        &self,
        n: i64,
        run: &str,
        arrivals: Vec<Arrival>,
        merge: &Merge,
    ) -> Vec<Outcome> {
        self.create_run(run).await;
        let ids: Vec<i64> = arrivals.iter().map(Arrival::id).collect();
        self.plan(run, &ids, None).await;
        self.stage_by(n, run, arrivals).await;
        let mut outcomes = self.load_staged(run, merge).await;
        self.finish_run(run).await;
        outcomes.sort_by_key(|(id, _)| *id);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// A whole run that brings one arrival in its own time.
    pub(crate) async fn one(&self, run: &str, arrival: Arrival) -> Outcome {
        let outcomes = self.bring(run, vec![arrival], &merge()).await;
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes[0]
    }
}

/// The usual wish of a worker.
pub(crate) fn wish(run: &str, step: &str) -> AttemptRequest {
    AttemptRequest {
        run: run.into(),
        step: step.into(),
        shard: 0,
        attempt: None,
        join: false,
        host: Host {
            name: "here".into(),
            process: "1".into(),
        },
    }
}

/// Nothing is kept that is older, and no look comes later than its run.
pub(crate) fn keep_from(instant: Instant) -> Retention {
    Retention {
        observations: instant,
        pages: instant,
        listings: instant,
        ledger: instant,
        late_millis: 0,
    }
}

/// The usual load.
pub(crate) fn merge() -> Merge {
    Merge {
        believe_gone: true,
        now: at(1_000_000),
    }
}

fn transformed(arrival: Arrival) -> Transformed {
    match arrival {
        Arrival::Gone(product_id, at) => Transformed::Gone { product_id, at },
        Arrival::Product(product) => Transformed::Staged {
            product,
            listing_page_id: None,
            detail_page_id: None,
            detail_rejected: None,
        },
    }
}

/// What became of the detail that was asked.
pub(crate) fn answer(ask: DetailAsk, outcome: DetailOutcome) -> DetailAnswer {
    DetailAnswer {
        ask,
        at: at(5),
        outcome,
    }
}
