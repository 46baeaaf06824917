//! An Airflow of real processes on loopback: api-server, scheduler, dag-processor, Celery worker, with a
//! PostgreSQL and a Redis of their own; and a storefront as the site.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{ChildGuard, Postgres, Python, Redis, free_port};

use crate::api::Api;
use crate::home::{LOGIN, PASSWORD, ROLE, databases, environment, open_shop, place, put_tiki};
use crate::processes::{family, keep, kill, listens, processes};

/// The shop's day of the first run, in days since 1970, and the clock of a run on it.
const FIRST_DAY: i64 = 20_758;
/// Everything has answered by then, on a busy machine too.
const UNTIL_UP: Duration = Duration::from_mins(4);

/// What runs, and how; the first one answers requests.
pub(crate) const SERVICES: &[(&str, &[&str])] = &[
    ("api-server", &["api-server"]),
    ("scheduler", &["scheduler", "--skip-serve-logs"]),
    ("dag-processor", &["dag-processor"]),
    (
        "worker",
        &[
            "celery",
            "worker",
            "--skip-serve-logs",
            "--concurrency",
            "4",
        ],
    ),
];

pub(crate) struct Airflow {
    pub(crate) home: TempDir,
    pub(crate) api: Api,
    pub(crate) base: String,
    pub(crate) site: String,
    pub(crate) postgres: Postgres,
    redis: Redis,
    _shop: ChildGuard,
    children: Vec<(&'static str, ChildGuard)>,
    keeper: Child,
    environment: Vec<(String, String)>,
    warehouse: String,
    /// The same database, as a superuser.
    pub(crate) all_rights: String,
    pub(crate) airflow_db: String,
}

impl Airflow {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let keeper = keep(home.path());
        let postgres = Postgres::start();
        let redis = Redis::start();
        fs::create_dir(home.path().join("bin")).expect("a folder");
        put_tiki(home.path());
        let (shop, site) = open_shop(home.path());
        let (airflow_db, warehouse, all_rights) = databases(&postgres);
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let environment = environment(home.path(), &airflow_db, &redis, port, &site);
        let mut started = Vec::new();
        run_once(home.path(), &environment, &["db", "migrate"]);
        for (name, words) in SERVICES {
            started.push((*name, spawn(home.path(), &environment, name, words)));
        }
        let begun = Instant::now();
        let api = loop {
            for (name, child) in &mut started {
                let ended = child.child().try_wait().expect("a status");
                assert!(
                    ended.is_none(),
                    "{name} ended: {}",
                    last_lines(home.path(), name)
                );
            }
            if let Ok(api) = Api::log_in(&base, LOGIN.0, LOGIN.1)
                && is_healthy(&api)
            {
                break api;
            }
            assert!(
                begun.elapsed() < UNTIL_UP,
                "Airflow did not come up: {}",
                last_lines(home.path(), "scheduler")
            );
            std::thread::sleep(Duration::from_millis(500));
        };
        assert!(
            listens(started[0].1.id(), port),
            "another process answers on port {port}"
        );
        let made = Self {
            home,
            api,
            base,
            site,
            postgres,
            redis,
            _shop: shop,
            children: started,
            keeper,
            environment,
            warehouse,
            all_rights,
            airflow_db,
        };
        made.day(0, "");
        made.connect();
        made
    }

    /// The connections that a deployment has.
    pub(crate) fn connect(&self) {
        let (host, port, name) = place(&self.warehouse);
        let warehouse = json!({
            "connection_id": "tiki_warehouse", "conn_type": "postgres", "host": host, "port": port,
            "schema": name, "login": ROLE, "password": PASSWORD,
        });
        self.api.ask("POST", "/connections", Some(&warehouse));
        if self
            .api
            .send("GET", "/api/v2/connections/tiki_redis", None)
            .0
            == 200
        {
            return;
        }
        let redis = self.redis.url(1);
        let (host, port, _) = place(&redis);
        let redis = json!({
            "connection_id": "tiki_redis", "conn_type": "redis", "host": host, "port": port, "extra": "{\"db\": 1}",
        });
        self.api.ask("POST", "/connections", Some(&redis));
    }

    /// A `tiki` of a person beside Airflow, on the same warehouse.
    pub(crate) fn tiki(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tiki"));
        command
            .args(words)
            .current_dir(self.home.path())
            .env("NO_COLOR", "1");
        for (name, value) in &self.environment {
            if name.starts_with("TIKI_") {
                command.env(name, value);
            }
        }
        let output = command
            .env("TIKI_DATABASE_URL", &self.warehouse)
            .env("TIKI_AIRFLOW_URL", &self.base)
            .env("TIKI_AIRFLOW_USER", LOGIN.0)
            .env("TIKI_AIRFLOW_PASSWORD", LOGIN.1)
            .output()
            .expect("tiki");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The first column of the first row of a question to the warehouse.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        let (code, out, err) = self.tiki(&["sql", "--json", sql]);
        assert_eq!(code, 0, "{sql}: {err}");
        let rows: Value = serde_json::from_str(&out).expect("JSON");
        let row = rows[0].as_object().expect("a row");
        let first = row.values().next().and_then(Value::as_str);
        first.and_then(|text| text.parse().ok()).expect("a number")
    }

    /// One of Airflow's commands, to its end.
    pub(crate) fn command(&self, words: &[&str]) -> (bool, String) {
        let output = airflow(self.home.path(), &self.environment, words)
            .output()
            .expect("airflow");
        let both = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&both).into_owned(),
        )
    }

    /// Ends a service and starts it again, with more in its environment.
    pub(crate) fn restart(&mut self, service: &str, more: &[(&str, &str)]) {
        self.kill_service(service);
        self.start_service(service, more);
    }

    /// `kill -9` of a service and of all that it started, but for our own program.
    pub(crate) fn kill_service(&mut self, service: &str) {
        let at = self.children.iter().position(|(name, _)| *name == service);
        let (_, mut child) = self.children.remove(at.expect("a service"));
        let ours = self.processes("tiki step");
        for id in family(child.id())
            .into_iter()
            .filter(|id| !ours.contains(id))
        {
            kill(id, "KILL");
        }
        child.child().wait().expect("an end");
    }

    /// The first process of a service.
    pub(crate) fn process(&self, service: &str) -> u32 {
        let mut all = self.children.iter();
        let (_, child) = all.find(|(name, _)| *name == service).expect("a service");
        child.id()
    }

    pub(crate) fn start_service(&mut self, service: &str, more: &[(&str, &str)]) {
        for (name, value) in more {
            self.environment.retain(|(other, _)| other != name);
            self.environment
                .push(((*name).to_owned(), (*value).to_owned()));
        }
        let found = SERVICES.iter().find(|(name, _)| *name == service);
        let (name, words) = found.expect("a service");
        let child = spawn(self.home.path(), &self.environment, name, words);
        self.children.push((*name, child));
    }

    /// Waits for the `tiki` of a step, and gives it a moment to begin its work.
    pub(crate) fn child(&self, step: &str) -> u32 {
        let mut found = Vec::new();
        Api::wait_for(&format!("a child at work on {step}"), || {
            found = self.processes(&format!("tiki step {step}"));
            found.len() == 1 && self.has_attempt(step)
        });
        found[0]
    }

    /// Waits for the `tiki` that makes a backup.
    pub(crate) fn backup(&self) -> u32 {
        let mut found = Vec::new();
        Api::wait_for("a backup at work", || {
            found = self.processes("tiki backup create");
            found.len() == 1
        });
        found[0]
    }

    /// Whether somebody's attempt at a step is under way.
    fn has_attempt(&self, step: &str) -> bool {
        let sql = format!("SELECT COUNT(*) FROM attempts WHERE step = '{step}' AND state = 'live'");
        self.count(&sql) > 0
    }

    /// Whether a child that was found lives still.
    pub(crate) fn is_at_work(&self, child: u32) -> bool {
        self.processes("tiki ").contains(&child)
    }

    /// Processes of this Airflow (they work in its folder) whose command line has a text.
    fn processes(&self, text: &str) -> Vec<u32> {
        processes(self.home.path(), text)
    }

    /// Makes it another day, for the site and for runs; with more lines of `tiki.toml`, where workers work.
    pub(crate) fn day(&self, day: i64, more: &str) {
        self.control("POST", &format!("clock?day={}", FIRST_DAY + day), None);
        let clock =
            jiff::Timestamp::from_second((FIRST_DAY + day) * 86_400 - 5 * 3600).expect("a time");
        let text = format!("clock = \"{clock:.3}\"\n{more}\n");
        fs::write(self.home.path().join("tiki.toml"), text).expect("a file");
    }

    /// Lets the site misbehave, by rules of (route, when, what).
    pub(crate) fn faults(&self, rules: &[(&str, Value, Value)]) {
        let rules: Vec<Value> = rules
            .iter()
            .map(|(route, when, what)| json!({"route": route, "when": when, "what": what}))
            .collect();
        let set = self.control("POST", "faults", Some(&json!({ "rules": rules })));
        assert!(set["rules"].is_array(), "{set}");
    }

    /// Runs statements in the warehouse as a superuser, to their end.
    pub(crate) fn tamper(&self, statements: &str) {
        let mut session = self.postgres.beside(&self.all_rights, statements);
        assert!(
            session.child().wait().expect("psql").success(),
            "{statements}"
        );
    }

    /// Where the workers look for `tiki`.
    pub(crate) fn program(&self) -> PathBuf {
        self.home.path().join("bin/tiki")
    }

    /// Puts the program back there.
    pub(crate) fn put_back(&self) {
        put_tiki(self.home.path());
    }

    /// A request to the controls of the site.
    pub(crate) fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}/__storefront/{path}", self.site);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .body(body.map_or_else(String::new, Value::to_string))
            .expect("a request");
        let mut answer = ureq::run(request).expect("the storefront");
        answer.body_mut().read_json().expect("JSON")
    }

    /// The settings of its services.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    pub(crate) fn log_folder(&self) -> PathBuf {
        self.home.path().join("logs")
    }
}

impl Drop for Airflow {
    fn drop(&mut self) {
        // Nobody starts others any more when the keeper ends them all.
        self.children.clear();
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// One of Airflow's commands.
pub(crate) fn airflow(home: &Path, environment: &[(String, String)], words: &[&str]) -> Command {
    let mut command = Command::new(Python::AIRFLOW.program().with_file_name("airflow"));
    command.args(words).current_dir(home).env_clear();
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null());
    command
}

fn run_once(home: &Path, environment: &[(String, String)], words: &[&str]) {
    let output = airflow(home, environment, words).output().expect("airflow");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "airflow {words:?}: {said}");
}

fn spawn(home: &Path, environment: &[(String, String)], name: &str, words: &[&str]) -> ChildGuard {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(home.join(format!("{name}.out")));
    let log = log.expect("a file");
    let mut command = airflow(home, environment, words);
    command
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .process_group(0);
    ChildGuard::spawn(&mut command).expect("airflow")
}

fn last_lines(home: &Path, name: &str) -> String {
    let text = fs::read_to_string(home.join(format!("{name}.out"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

fn is_healthy(api: &Api) -> bool {
    let (_, health) = api.send("GET", "/api/v2/monitor/health", None);
    ["metadatabase", "scheduler", "dag_processor"]
        .iter()
        .all(|part| health[part]["status"] == "healthy")
}
