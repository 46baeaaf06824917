//! A PostgreSQL warehouse before each of the nine steps of one small run, behind a proxy.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pipeline::Step;
use testkit::{ChildGuard, Postgres, Proxy};

use crate::tiki::{Shop, Tiki};

pub(crate) static STEPS: LazyLock<[&str; 9]> = LazyLock::new(|| Step::ALL.map(Step::name));

/// What waits for the program in a test waits no longer than this.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Bench {
    pub(crate) server: Postgres,
    pub(crate) proxy: Arc<Proxy>,
    /// Sessions that a test began; they end with the server's.
    pub(crate) sessions: Vec<ChildGuard>,
    shop: Shop,
    /// A database before each step.
    before: Vec<String>,
    /// COMMITs of each step that nothing disturbs.
    pub(crate) commits: Vec<u64>,
    /// What a run leaves that nothing disturbs.
    expected: String,
}

/// A warehouse in which a step is to be disturbed.
pub(crate) struct Case {
    pub(crate) database: String,
    /// Through the proxy.
    pub(crate) tiki: Tiki,
    /// Straight to the server.
    straight: Tiki,
}

impl Bench {
    /// With the databases before the first `steps` steps.
    pub(crate) fn new(steps: usize) -> Self {
        let shop = Shop::open(
            &Tiki::new(),
            &[
                "--products",
                "60",
                "--leaf-categories",
                "2",
                "--day",
                "2026-11-01",
            ],
        );
        let server = Postgres::start();
        let first = server.fresh_database();
        let proxy = Arc::new(Proxy::before_postgres(&first));
        let mut bench = Self {
            server,
            proxy,
            sessions: Vec::new(),
            shop,
            before: vec![first.clone()],
            commits: Vec::new(),
            expected: String::new(),
        };
        bench.home(&first).ends(0, &["migrate"]);
        for step in &STEPS[..steps] {
            let next = bench
                .server
                .copy_database(&bench.before[bench.commits.len()]);
            let commits = bench.proxy.commits();
            let url = bench.proxy.url(&next);
            bench.home(&url).ends(0, &["step", step, "--run", "r"]);
            bench.commits.push(bench.proxy.commits() - commits);
            bench.before.push(next);
        }
        let last = bench.case(0);
        last.straight.ends(0, &["run"]);
        bench.expected = last.straight.out(&["digest", "--content"]);
        bench.server.drop_database(&last.database);
        bench
    }

    fn home(&self, database: &str) -> Tiki {
        self.shop
            .home()
            .with("TIKI_DATABASE_URL", database)
            .with("TIKI_MAX_CATEGORIES", "0")
            .with("TIKI_BATCH", "20")
            .with("TIKI_LOCK_TIMEOUT", "300ms")
            .with("TIKI_POOL_WAIT", "2s")
    }

    /// A database of its own before a step.
    pub(crate) fn case(&self, step: usize) -> Case {
        self.case_of(self.server.copy_database(&self.before[step]))
    }

    /// The same in a tablespace.
    pub(crate) fn case_in(&self, step: usize, tablespace: &str) -> Case {
        self.case_of(self.server.copy_database_to(&self.before[step], tablespace))
    }

    fn case_of(&self, database: String) -> Case {
        Case {
            tiki: self.home(&self.proxy.url(&database)),
            // The server may still have something to end.
            straight: self.home(&database).with("TIKI_LOCK_TIMEOUT", "20s"),
            database,
        }
    }

    /// What is left of the run is run, and nothing is lost and nothing twice.
    pub(crate) fn recovers(&self, case: &Case, what: &str) {
        let done = case.straight.run(&["run"]);
        assert_eq!(done.code, 0, "{what}: {done:#?}");
        let digest = case.straight.out(&["digest", "--content"]);
        assert_eq!(digest, self.expected, "{what}: the warehouse differs");
        self.server.drop_database(&case.database);
    }
}
