//! Nothing is kept any longer than it must be, and somebody cleans up all the time, while a run is
//! killed, gone on with and derived anew: the digest of an undisturbed run.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "clears the environment of the program under test and tells of its kills"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use catalog::Instant;
use storefront::{Content, Generated, Pace, Storefront};
use testkit::{ChildGuard, Postgres};
use warehouse::{
    Attempt, AttemptRequest, Host, Kind, NewRun, Options, Retention, RunState, Warehouse,
};

/// Of the second day a new tree is asked: that of the first is too old.
const DAYS: [&str; 2] = ["2026-10-31T19:00:00.000Z", "2026-11-01T20:00:00.000Z"];
const FAR: &str = "2036-01-01T00:00:00.000Z";
const KILLED_IN: [&str; 6] = [
    "extract-product-urls",
    "crawl-product-details",
    "transform-products",
    "load-products",
    "monitor-infrastructure",
    "cleanup-temp-files",
];

/// Products that a warehouse may be told to refuse.
const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON observations
    WHEN NEW.product_id % 7 = 0 AND NEW.source = 'detail' AND NEW.observed_at > '2026-11-01T12'
    BEGIN SELECT RAISE(ABORT, 'not this one'); END;";

struct Home {
    folder: tempfile::TempDir,
    database: Option<String>,
}

impl Home {
    fn new(postgres: bool) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            database: postgres.then(|| Postgres::shared().fresh_database()),
        }
    }

    fn url(&self) -> String {
        let file = self.folder.path().join("data/tiki.db");
        let file = format!("sqlite:{}", file.display());
        self.database.clone().unwrap_or(file)
    }

    fn tiki(&self, shop: &Storefront, day: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiki"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIKI_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs([
                ("TIKI_ORIGIN", shop.base_url().as_str()),
                ("TIKI_CLOCK", DAYS[day]),
                ("TIKI_RATE_LIMIT", "0"),
                ("TIKI_DETAILS", "always"),
                ("TIKI_MAX_CATEGORIES", "3"),
                ("TIKI_MAX_PRODUCTS_PER_CATEGORY", "30"),
                ("TIKI_MAX_REJECTED_PERCENT", "100"),
                ("TIKI_BATCH", "20"),
                ("TIKI_KEEP_OBSERVATIONS", "0"),
                ("TIKI_KEEP_PAGES", "0"),
                ("TIKI_KEEP_LISTINGS", "0"),
                ("TIKI_KEEP_LEDGER", "0"),
            ]);
        if let Some(database) = &self.database {
            command.env("TIKI_DATABASE_URL", database);
        }
        command
    }

    /// What a command that ends well prints.
    fn ends(&self, shop: &Storefront, day: usize, arguments: &[&str]) -> String {
        let output = self.tiki(shop, day, arguments).output().expect("tiki");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(output.status.success(), "{arguments:?}: {out}\n{err}");
        out
    }

    /// Begins a command, waits until a step begins, and kills it after a moment.
    fn kill(&self, shop: &Storefront, arguments: &[&str], step: &str, then: impl FnOnce()) {
        let mut command = self.tiki(shop, 1, arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ChildGuard::spawn(&mut command).expect("tiki");
        let stderr = child.child().stderr.take().expect("stderr");
        let sign = format!("{step} begins");
        for line in BufReader::new(stderr).lines() {
            if line.expect("a line").contains(&sign) {
                break;
            }
        }
        then();
        child.kill().expect("a kill");
    }

    fn seed(&self, sql: &str) {
        let file = self.folder.path().join("data/tiki.db");
        let file = rusqlite::Connection::open(file).expect("the warehouse");
        file.execute_batch(sql).expect("a statement");
    }

    fn newest(&self, shop: &Storefront) -> serde_json::Value {
        let runs = self.ends(shop, 1, &["runs", "--json"]);
        let runs: serde_json::Value = serde_json::from_str(&runs).expect("JSON");
        runs[0].clone()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(database) = &self.database {
            Postgres::shared().drop_database(database);
        }
    }
}

async fn shop(day: usize) -> Storefront {
    let clock: Instant = DAYS[day].parse().expect("an instant");
    Storefront::start(storefront::Settings {
        content: Content::Generated(Generated {
            seed: 7,
            products: 300,
            leaf_categories: None,
            pace: Pace::Lively,
            prices: storefront::Prices::Spread,
        }),
        clock: storefront::Clock::frozen_at(clock.millis()),
        latency: Duration::from_millis(1),
        ..storefront::Settings::default()
    })
    .await
    .expect("a storefront")
}

/// Who cleans up, in the name of a closed run.
struct Cleaner {
    warehouse: Warehouse,
    attempt: Attempt,
}

impl Cleaner {
    async fn new(home: &Home) -> Self {
        let warehouse = Warehouse::open(&home.url(), &Options::default()).await;
        let warehouse = warehouse.expect("the warehouse");
        let run = NewRun {
            id: "cleaner".into(),
            owner: "cli".into(),
            scope: "{}".into(),
            scope_key: "none".into(),
            clock_at: FAR.parse().expect("an instant"),
        };
        let made = warehouse.create_run(&run).await.expect("an answer");
        made.expect("no other run is open");
        let wish = AttemptRequest {
            run: run.id.clone(),
            step: "cleanup-temp-files".into(),
            shard: 0,
            attempt: None,
            join: false,
            host: Host {
                name: "here".into(),
                process: "1".into(),
            },
        };
        let attempt = warehouse.begin_attempt(&wish, |_| true).await;
        let attempt = attempt.expect("an answer").expect("nobody else");
        let ended = warehouse
            .finish_run(&run.id, RunState::Done, 0, "{}", None)
            .await;
        ended.expect("an end");
        Self { warehouse, attempt }
    }

    /// Deletes all that may go; the number of rows.
    async fn clean(&self) -> u64 {
        let far = FAR.parse().expect("an instant");
        let keep = Retention {
            observations: far,
            pages: far,
            listings: far,
            ledger: far,
            late_millis: 7 * 86_400_000,
        };
        let heard = self.warehouse.heartbeat(&self.attempt).await;
        heard.expect("a lease");
        let mut removed = 0;
        for kind in Kind::ALL {
            let rows = self.warehouse.clean(&self.attempt, &keep, kind).await;
            removed += rows.expect("cleaned");
        }
        removed
    }

    /// Cleans up without a pause while something is done.
    async fn during<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let over = Arc::new(AtomicBool::new(false));
        let (cleaner, seen) = (Arc::clone(self), Arc::clone(&over));
        let cleaning = tokio::spawn(async move {
            while !seen.load(Ordering::Relaxed) {
                cleaner.clean().await;
                tokio::task::yield_now().await;
            }
        });
        let done = tokio::task::spawn_blocking(work).await.expect("its work");
        over.store(true, Ordering::Relaxed);
        cleaning.await.expect("no panic");
        done
    }
}

/// A warehouse, its two days, and who cleans up.
#[derive(Clone)]
struct Scene {
    home: Arc<Home>,
    shops: Arc<[Storefront; 2]>,
    cleaner: Arc<Cleaner>,
}

/// Two days, the second derived anew as well; the digest when all is cleaned up.
async fn two_days(postgres: bool, moment: Option<Duration>) -> String {
    let shops = Arc::new([shop(0).await, shop(1).await]);
    let home = Arc::new(tokio::task::block_in_place(|| Home::new(postgres)));
    tokio::task::block_in_place(|| home.ends(&shops[0], 0, &["run"]));
    let cleaner = Arc::new(Cleaner::new(&home).await);
    let scene = Scene {
        home,
        shops,
        cleaner,
    };
    let (home, shops) = (&scene.home, &scene.shops);
    if !postgres {
        home.seed(REFUSE);
    }
    if let Some(moment) = moment {
        let (home, shops) = (Arc::clone(home), Arc::clone(shops));
        let kills = move || {
            for step in KILLED_IN {
                home.kill(&shops[1], &["run"], step, || std::thread::sleep(moment));
            }
        };
        scene.cleaner.during(kills).await;
    }
    // Without a cleaner: it would seal the run as soon as it ends.
    tokio::task::block_in_place(|| home.ends(&shops[1], 1, &["run"]));
    let run = tokio::task::block_in_place(|| home.newest(&shops[1]));
    let id = run["id"].as_str().expect("an id");
    assert_ne!(id, "cleaner", "{run}");
    let anew: &[&str] = if postgres {
        &["run", "--from", "transform-products", "--run", id]
    } else {
        home.seed("DROP TRIGGER refuse;");
        &["rejections", "replay", "--run", id]
    };
    if let Some(moment) = moment {
        scene.kill_while_derived_anew(anew, moment).await;
    } else {
        tokio::task::block_in_place(|| home.ends(&shops[1], 1, anew));
    }
    while scene.cleaner.clean().await > 0 {}
    let disallowed = shops[0].counts().disallowed + shops[1].counts().disallowed;
    assert_eq!(disallowed, 0);
    tokio::task::block_in_place(|| home.ends(&shops[1], 1, &["digest"]))
}

impl Scene {
    /// Derives the newest run anew, is killed at it while all is cleaned up, and goes on.
    async fn kill_while_derived_anew(&self, anew: &[&str], moment: Duration) {
        let begun = Arc::new(AtomicBool::new(false));
        let (scene, signal) = (self.clone(), Arc::clone(&begun));
        let anew: Vec<String> = anew.iter().map(|word| (*word).to_owned()).collect();
        let replay = tokio::task::spawn_blocking(move || {
            let anew: Vec<&str> = anew.iter().map(String::as_str).collect();
            let shop = &scene.shops[1];
            scene.home.kill(shop, &anew, "transform-products", || {
                signal.store(true, Ordering::Relaxed);
                std::thread::sleep(moment);
            });
        });
        while !begun.load(Ordering::Relaxed) && !replay.is_finished() {
            tokio::task::yield_now().await;
        }
        let scene = self.clone();
        let go_on = move || {
            let ended = tokio::runtime::Handle::current().block_on(replay);
            ended.expect("its work");
            let (home, shop) = (&scene.home, &scene.shops[1]);
            if home.newest(shop)["state"] == "open" {
                println!("killed while it was derived anew, {moment:?} after it began");
                home.ends(shop, 1, &["run"]);
            }
        };
        self.cleaner.during(go_on).await;
    }
}

async fn cleaned_all_the_time(moments: &[u64]) {
    for postgres in [false, true] {
        let undisturbed = two_days(postgres, None).await;
        for millis in moments {
            let digest = two_days(postgres, Some(Duration::from_millis(*millis))).await;
            assert_eq!(digest, undisturbed, "postgres: {postgres}, {millis} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "slow: kills runs in six steps of both warehouses"]
async fn whoever_cleans_up_takes_nothing_that_a_run_needs() {
    cleaned_all_the_time(&[20]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "torture: kills runs in six steps of both warehouses, again and again"]
async fn torture_cleaning_up_all_the_time() {
    cleaned_all_the_time(&[0, 5, 10, 20, 40, 80, 120, 200, 400]).await;
}
