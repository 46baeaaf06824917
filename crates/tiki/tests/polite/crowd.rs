//! Four processes at work on the details of one run.

use std::fs::File;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{ChildGuard, Postgres, wait_until};

use crate::stalls::Stalls;
use crate::tiki::{Shop, Tiki};

/// Processes of a crowd.
pub(crate) const PROCESSES: usize = 4;

/// Far more than anything here should take.
const LONG: Duration = Duration::from_mins(2);

const RUN: &str = "polite";

/// Where the warehouse is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// Both of them.
pub(crate) const STORES: [Store; 2] = [Store::Sqlite, Store::Postgres];

/// A run whose details are due, in a warehouse of its own. Only one is at work at a time: it needs the
/// machine.
pub(crate) struct Due {
    tiki: Tiki,
    database: Option<String>,
    products: String,
    _alone: MutexGuard<'static, ()>,
}

impl Due {
    pub(crate) fn new(store: Store, products: u64) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tiki = Tiki::new()
            .with("TIKI_MAX_CATEGORIES", "0")
            .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0");
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(Postgres::shared().fresh_database()),
        };
        if let Some(url) = &database {
            tiki = tiki.with("TIKI_DATABASE_URL", url);
        }
        let due = Self {
            tiki,
            database,
            products: products.to_string(),
            _alone: alone,
        };
        let shop = due.shop();
        for step in ["crawl-categories", "extract-product-urls"] {
            let mut command = due.tiki.command(&["step", step, "--run", RUN]);
            command
                .env("TIKI_ORIGIN", &shop.url)
                .env("TIKI_RATE_LIMIT", "0");
            let output = command.output().expect("the program");
            assert!(output.status.success(), "{step}: {output:?}");
        }
        due
    }

    /// The shop anew, with nothing counted.
    fn shop(&self) -> Shop {
        Shop::open(&self.tiki, &["--products", &self.products])
    }

    /// Sets four processes to work at so many requests a second, each with its own way to Redis, if it
    /// has one; returns when they have asked for two seconds.
    pub(crate) fn ask(&self, rate: u64, redis: [Option<&str>; PROCESSES]) -> Crowd<'_> {
        let shop = self.shop();
        let workers = (rate / 8).clamp(2, 50).to_string();
        let mut processes = Vec::new();
        for (number, redis) in redis.into_iter().enumerate() {
            let mut command =
                self.tiki
                    .command(&["step", "crawl-product-details", "--run", RUN, "--join"]);
            command
                .env("TIKI_ORIGIN", &shop.url)
                .env("TIKI_RATE_LIMIT", (1.0 / rate as f64).to_string())
                .env("TIKI_PARALLEL_WORKERS", &workers)
                .envs(redis.map(|url| ("TIKI_REDIS_URL", url)));
            let log = File::create(self.tiki.path(&format!("{number}.log"))).expect("a file");
            command.stdout(Stdio::null()).stderr(log);
            processes.push(ChildGuard::spawn(&mut command).expect("the program"));
        }
        let mut crowd = Crowd {
            due: self,
            stalls: Stalls::watch(&shop),
            shop,
            processes,
            rate,
        };
        crowd.asks_for_seconds(2);
        crowd
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(url) = &self.database {
            Postgres::shared().drop_database(url);
        }
    }
}

/// Processes that ask.
pub(crate) struct Crowd<'a> {
    due: &'a Due,
    stalls: Stalls,
    shop: Shop,
    processes: Vec<ChildGuard>,
    rate: u64,
}

impl Crowd<'_> {
    fn counts(&self) -> Value {
        self.shop.control("GET", "counts", "")
    }

    fn requests(&self) -> u64 {
        self.counts()["requests"].as_u64().expect("a count")
    }

    /// What the processes have said, for a failure.
    fn said(&self) -> String {
        let said = |number| {
            let path = self.due.tiki.path(&format!("{number}.log"));
            std::fs::read_to_string(path).unwrap_or_default()
        };
        (0..PROCESSES).fold(String::new(), |text, number| {
            format!("{text}\nprocess {number}: {}", said(number))
        })
    }

    /// Waits until so many seconds' worth was asked besides, however long that takes.
    pub(crate) fn asks_for_seconds(&mut self, seconds: u64) {
        let enough = self.requests() + self.rate * seconds;
        let begun = Instant::now();
        while self.requests() < enough {
            for process in &mut self.processes {
                let ended = process.child().try_wait().expect("a process");
                assert!(ended.is_none(), "{ended:?}: {}", self.said());
            }
            assert!(
                begun.elapsed() < LONG,
                "they stopped asking: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The share of the rate that is used over a time from now on, in percent.
    pub(crate) fn used_percent(&self, time: Duration) -> f64 {
        let (begun, before) = (Instant::now(), self.requests());
        std::thread::sleep(time);
        let asked = self.requests() - before;
        100.0 * asked as f64 / (self.rate as f64 * begun.elapsed().as_secs_f64())
    }

    /// Waits until this source grants the permits: `redis` or `warehouse`.
    pub(crate) fn is_granted_by(&self, source: &str) {
        let statement = format!(
            "SELECT granted_by FROM permits WHERE origin = '{}'",
            self.shop.url
        );
        wait_until(source, LONG, || {
            let rows = self.due.tiki.json(&["sql", &statement, "--json"]);
            rows[0]["granted_by"] == source
        });
    }

    /// Ends the processes; none may have asked too often or for what robots.txt forbids.
    pub(crate) fn end(mut self) {
        for process in &mut self.processes {
            process.signal("INT").expect("a signal");
        }
        for process in &mut self.processes {
            let mut code = None;
            wait_until("an interrupted process to end", LONG, || {
                code = process.child().try_wait().expect("a process");
                code.is_some()
            });
            assert_eq!(code.and_then(|code| code.code()), Some(130));
        }
        let counts = self.counts();
        let busiest = counts["busiest_second"].as_u64().expect("a count");
        let late = self.stalls.end();
        // What was sent in time before the machine stood still is counted after it.
        let late_requests = (self.rate as f64 * late.as_secs_f64()) as u64;
        let most = self.rate + (self.rate / 10).max(1) + late_requests;
        assert!(
            busiest <= most,
            "{busiest} of {most}, {late_requests} late: {counts} {}",
            self.said()
        );
        assert_eq!(counts["disallowed"], 0, "{counts}");
    }
}
