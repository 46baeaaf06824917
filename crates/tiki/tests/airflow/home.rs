//! What an Airflow of a test needs before it is started: settings, databases, the site, the program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use testkit::{ChildGuard, Postgres, Python, Redis};

use crate::api::escaped;
use crate::calendar::not_today;

/// Characters that URLs, JSON, shells and templates each treat in their own way.
pub(crate) const PASSWORD: &str = "p@s/s%w\"é";
/// Of the login to Airflow.
pub(crate) const LOGIN: (&str, &str) = ("admin", "the-login-of-this-test");
/// Airflow's own secrets, which no child may see.
pub(crate) const PLANTED: [&str; 3] = [
    "cGxhbnRlZC1mZXJuZXQta2V5LW9mLXRoaXMtdGVzdCE=",
    "planted-api-secret-key-of-this-test",
    "planted-jwt-secret-of-this-test-long-enough-for-hmac-sha512-as-it-is",
];
/// The warehouse's own role, as a deployment has one.
pub(crate) const ROLE: &str = "tiki_app";
/// What is the same for each; what is short here is long by default, so that tests need not wait.
const SAME: [(&str, &str); 13] = [
    ("AIRFLOW__API__HOST", "127.0.0.1"),
    ("AIRFLOW__API__WORKERS", "1"),
    ("AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY", "1"),
    ("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor"),
    ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
    ("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin"),
    ("AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "0.1"),
    ("AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT", "12"),
    (
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL",
        "2",
    ),
    ("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "2"),
    ("LANG", "C.UTF-8"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("TIKI_RATE_LIMIT", "0"),
];

/// The settings of all services.
pub(crate) fn environment(
    home: &Path,
    database: &str,
    redis: &Redis,
    port: u16,
    site: &str,
) -> Vec<(String, String)> {
    let alchemy = database.replacen("postgres://", "postgresql+psycopg2://", 1);
    let programs = [home.join("bin"), Python::AIRFLOW.folder().join("bin")];
    let path = programs
        .map(|folder| folder.display().to_string())
        .join(":");
    let dags = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../airflow/dags");
    let passwords = home.join("passwords.json");
    fs::write(&passwords, json!({LOGIN.0: LOGIN.1}).to_string()).expect("a file");
    let set = [
        ("AIRFLOW_HOME", home.display().to_string()),
        ("AIRFLOW__API__BASE_URL", format!("http://127.0.0.1:{port}")),
        ("AIRFLOW__API__PORT", port.to_string()),
        ("AIRFLOW__API__SECRET_KEY", PLANTED[1].into()),
        ("AIRFLOW__API_AUTH__JWT_SECRET", PLANTED[2].into()),
        ("AIRFLOW__CELERY__BROKER_URL", redis.url(0)),
        (
            "AIRFLOW__CELERY__RESULT_BACKEND",
            format!(
                "db+{}",
                database.replacen("postgres://", "postgresql://", 1)
            ),
        ),
        ("AIRFLOW__CORE__DAGS_FOLDER", dags.display().to_string()),
        (
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            format!("http://127.0.0.1:{port}/execution/"),
        ),
        ("AIRFLOW__CORE__FERNET_KEY", PLANTED[0].into()),
        (
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
            passwords.display().to_string(),
        ),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", alchemy),
        ("HOME", home.display().to_string()),
        ("PATH", format!("{path}:/usr/local/bin:/usr/bin:/bin")),
        ("TIKI_DATA_DIR", home.join("data").display().to_string()),
        ("TIKI_ORIGIN", site.to_owned()),
        ("TIKI_SCHEDULE", not_today(2)),
        ("TIKI_BACKUP_SCHEDULE", not_today(4)),
    ];
    let same = SAME.map(|(name, value)| (name, value.to_owned()));
    let all = set.into_iter().chain(same);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Airflow's own database, and the warehouse with a role of its own.
pub(crate) fn databases(postgres: &Postgres) -> (String, String, String) {
    let (airflow, warehouse) = (postgres.fresh_database(), postgres.fresh_database());
    let (host, port, name) = place(&warehouse);
    postgres.admin(&format!(
        "create role {ROLE} login createdb password '{PASSWORD}'"
    ));
    postgres.admin(&format!("alter database {name} owner to {ROLE}"));
    let encoded = escaped(PASSWORD);
    let own = format!("postgres://{ROLE}:{encoded}@{host}:{port}/{name}");
    (airflow, own, warehouse)
}

/// Host, port and path of a URL.
pub(crate) fn place(url: &str) -> (String, u16, String) {
    let (_, rest) = url.split_once("://").expect("a scheme");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = address.rsplit_once(':').expect("a port");
    let path = path.split('?').next().unwrap_or(path);
    (
        host.to_owned(),
        port.parse().expect("a number"),
        path.to_owned(),
    )
}

pub(crate) fn put_tiki(home: &Path) {
    let place = home.join("bin/tiki");
    drop(fs::remove_file(&place));
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tiki"), place).expect("a link");
}

pub(crate) fn open_shop(home: &Path) -> (ChildGuard, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiki"));
    command.args([
        "storefront",
        "--port",
        "0",
        "--products",
        "4000",
        "--leaf-categories",
        "24",
        "--seed",
        "9",
        "--day",
        "2026-11-01",
    ]);
    command
        .current_dir(home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("the storefront");
    let mut url = String::new();
    let out = child.child().stdout.take().expect("its output");
    BufReader::new(out)
        .read_line(&mut url)
        .expect("its address");
    (child, url.trim().to_owned())
}
