//! A storefront, a warehouse and a pipeline between them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use catalog::Instant;
use crawl::{Client, Gate, Origin, Rate};
use pipeline::{
    Clock, Event, Listener, Pipeline, RunReport, RunRequest, Scope, Settings, Site, Stop,
};
use storefront::{Content, Generated, Storefront};
use warehouse::{Options, Warehouse};

/// 2026-11-01 at two in the morning in Vietnam.
pub(crate) const START: &str = "2026-10-31T19:00:00.000Z";
pub(crate) const DAY: i64 = 86_400_000;

/// Which warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

pub(crate) const STORES: [Store; 2] = [Store::Sqlite, Store::Postgres];

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) front: Storefront,
    pub(crate) front_clock: storefront::Clock,
    pub(crate) clock: Clock,
    pub(crate) warehouse: Warehouse,
    pub(crate) pipeline: Pipeline,
    pub(crate) notes: Arc<Mutex<Vec<String>>>,
    pub(crate) scope: Scope,
}

pub(crate) fn start() -> Instant {
    START.parse().expect("an instant")
}

pub(crate) fn generated(products: u64) -> Content {
    Content::Generated(Generated {
        seed: 7,
        products,
        leaf_categories: None,
        pace: storefront::Pace::Lively,
        prices: storefront::Prices::Spread,
    })
}

impl World {
    pub(crate) async fn new(store: Store, content: Content) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let front_clock = storefront::Clock::frozen_at(start().millis());
        let settings = storefront::Settings {
            content,
            clock: front_clock.clone(),
            ..storefront::Settings::default()
        };
        let front = Storefront::start(settings).await.expect("a storefront");
        let url = match store {
            Store::Sqlite => format!("sqlite:{}", folder.path().join("tiki.db").display()),
            Store::Postgres => testkit::Postgres::shared().fresh_database(),
        };
        let warehouse = Warehouse::open(&url, &Options::default())
            .await
            .expect("a warehouse");
        warehouse.migrate("public").await.expect("a schema");
        let clock = Clock::simulated(start());
        let notes: Arc<Mutex<Vec<String>>> = Arc::default();
        let scope = Scope {
            origin: front.origin_id(),
            categories: Vec::new(),
            exclude: Vec::new(),
            max_categories: 3,
            max_products: 50,
            details: "auto".into(),
            source: "api".into(),
        };
        let kept = Settings::new(PathBuf::from(folder.path()));
        let pipeline = pipeline_of(&front, &warehouse, &clock, kept, &notes);
        Self {
            folder,
            front,
            front_clock,
            clock,
            warehouse,
            pipeline,
            notes,
            scope,
        }
    }

    /// The same world with other settings.
    pub(crate) fn with(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::new(PathBuf::from(self.folder.path()));
        change(&mut settings);
        self.pipeline = pipeline_of(
            &self.front,
            &self.warehouse,
            &self.clock,
            settings,
            &self.notes,
        );
    }

    /// The same world with a shared cache of pages.
    pub(crate) fn share(&mut self, pages: crawl::RedisPages) {
        let settings = Settings::new(PathBuf::from(self.folder.path()));
        self.pipeline = pipeline_with(
            &self.front,
            &self.warehouse,
            &self.clock,
            settings,
            &self.notes,
            Some(pages),
        );
    }

    /// Sets both clocks to a day after the start.
    pub(crate) fn day(&self, day: i64) {
        let at = start().plus_millis(day * DAY);
        self.front_clock.set(at.millis());
        self.clock.set(at);
    }

    pub(crate) fn request(&self, id: &str) -> RunRequest {
        RunRequest {
            id: id.into(),
            owner: "cli".into(),
            scope: self.scope.clone(),
            fresh: false,
            new_before: None,
            wait: false,
            only_this: false,
        }
    }

    /// A whole run.
    pub(crate) async fn run(&self, id: &str) -> RunReport {
        let run = self
            .pipeline
            .begin_run(&self.request(id))
            .await
            .expect("a run");
        let report = self.pipeline.run(&run).await.expect("a report");
        assert_eq!(report.totals.broken(), Vec::<String>::new());
        report
    }

    /// A person's question; its cells.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let patience = std::time::Duration::from_secs(30);
        self.warehouse
            .select(sql, 100_000, patience)
            .await
            .expect("an answer")
            .rows
    }
}

fn pipeline_of(
    front: &Storefront,
    warehouse: &Warehouse,
    clock: &Clock,
    settings: Settings,
    notes: &Arc<Mutex<Vec<String>>>,
) -> Pipeline {
    pipeline_with(front, warehouse, clock, settings, notes, None)
}

fn pipeline_with(
    front: &Storefront,
    warehouse: &Warehouse,
    clock: &Clock,
    settings: Settings,
    notes: &Arc<Mutex<Vec<String>>>,
    pages: Option<crawl::RedisPages>,
) -> Pipeline {
    let origin = Origin::parse(&front.base_url()).expect("an origin");
    let gate = Gate::new(Rate::new(0.0, &origin).expect("a rate"), None);
    let client = Client::new(crawl::Settings::new(origin), gate).expect("a client");
    let notes = Arc::clone(notes);
    let listener = Listener::new(move |event| {
        if let Event::Note(text) | Event::Warning(text) = event {
            notes.lock().expect("notes").push(text);
        }
    });
    let site = Some(Site::new(client).with_pages(pages));
    Pipeline::new(
        warehouse.clone(),
        site,
        clock.clone(),
        settings,
        listener,
        Stop::default(),
    )
}
