//! `tiki preflight` where the warehouse is, in the project's folder and out of it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Postgres, Redis};

use crate::tiki::{Shop, Tiki};

/// The report of some sections, which must end with this exit code.
pub(crate) fn report(tiki: &Tiki, code: i32, sections: &[u8]) -> Value {
    let mut arguments = vec!["preflight".to_owned(), "--json".into()];
    for section in sections {
        arguments.extend(["--section".into(), section.to_string()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = tiki.ends(code, &arguments);
    assert!(!done.out.contains("hunter2"), "{}", done.out);
    let report: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(report["exit_code"], code);
    report
}

/// The line of a name.
pub(crate) fn line<'a>(report: &'a Value, name: &str) -> &'a Value {
    let sections = report["sections"].as_array().expect("sections").iter();
    let mut checks = sections.flat_map(|section| section["checks"].as_array().expect("checks"));
    checks.find(|check| check["name"] == name).expect(name)
}

pub(crate) fn assert_states(report: &Value, expected: &[(&str, &str)]) {
    for (name, state) in expected {
        assert_eq!(line(report, name)["state"], *state, "{name}: {report:#}");
    }
}

fn project() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Puts files of the project into a folder.
fn copy(tiki: &Tiki, names: &[&str]) {
    for name in names {
        let to = tiki.path(name);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        std::fs::copy(project().join(name), to).expect(name);
    }
}

fn git(tiki: &Tiki, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@localhost"]);
    command.args([
        "-c",
        "init.defaultBranch=main",
        "-c",
        "commit.gpgsign=false",
    ]);
    let done = command.args(arguments).current_dir(tiki.folder()).output();
    let done = done.expect("git");
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

#[test]
fn outside_of_the_project_nothing_of_it_is_asked_for_and_nothing_is_made() {
    let tiki = Tiki::new();
    let report = report(&tiki, 0, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 20, 21, 25]);
    assert_eq!(report["verdict"], "Ready");
    for name in [
        "docker",
        "compose",
        "python",
        "env-file",
        "repository",
        "dag-modules",
        "files",
        "dag-steps",
        "containers",
        "redis",
        "indexes",
        "backup-age",
        "log-folder",
        "rollback-dag",
        "rollback-backup",
    ] {
        assert_eq!(line(&report, name)["state"], "skipped", "{report:#}");
    }
    assert_states(&report, &[("database", "warning")]);
    assert!(report["people"].as_array().is_some_and(|all| all.len() > 5));
    let left = std::fs::read_dir(tiki.folder()).expect("a folder").count();
    assert_eq!(left, 0, "a look leaves nothing behind");
}

#[test]
fn a_section_is_shown_with_its_title_and_the_verdict_stands_last() {
    let tiki = Tiki::new();
    let said = tiki.out(&["preflight", "--section", "8", "--section", "24"]);
    assert!(said.starts_with("8. Database connectivity\n"), "{said}");
    assert!(said.contains("database: `tiki run` makes it"), "{said}");
    assert!(said.contains("[ ] §24: "), "{said}");
    assert!(
        said.ends_with("Ready: 0 ok, 1 warning, 0 failed, 0 skipped\n"),
        "{said}"
    );
    for wrong in ["0", "26", "x"] {
        tiki.ends(2, &["preflight", "--section", wrong]);
    }
}

#[test]
fn a_folder_of_the_project_is_whole_or_blocked() {
    let tiki = Tiki::new();
    copy(&tiki, &["docker-compose.yml", ".env.example"]);
    let bare = report(&tiki, 4, &[2, 5]);
    assert_eq!(bare["verdict"], "Blocked");
    assert_states(&bare, &[("env-file", "failed"), ("files", "failed")]);
    copy(&tiki, &["airflow/setup/make-env.sh"]);
    let mut make = Command::new("bash");
    make.arg("airflow/setup/make-env.sh")
        .current_dir(tiki.folder());
    assert!(make.status().expect("bash").success());
    let made = report(&tiki, 0, &[2]);
    for name in ["env-file", "env-complete", "env-secrets", "env-rights"] {
        assert_eq!(line(&made, name)["state"], "ok", "{made:#}");
    }
    let env = std::fs::read_to_string(tiki.path(".env")).expect("the file");
    let mut spoiled = String::new();
    for text in env.lines() {
        spoiled += match text.split('=').next() {
            Some("POSTGRES_PASSWORD") => "POSTGRES_PASSWORD=hunter2",
            Some("AIRFLOW_DB_PASSWORD") => "AIRFLOW_DB_PASSWORD=",
            _ => text,
        };
        spoiled.push('\n');
    }
    tiki.write(".env", &spoiled);
    let bad = report(&tiki, 4, &[2]);
    assert_states(
        &bad,
        &[("env-complete", "failed"), ("env-secrets", "failed")],
    );
    // Of the project itself, where everything is there.
    let whole = Tiki::new().with("TIKI_DATA_DIR", &tiki.path("data").display().to_string());
    let mut command = whole.command(&["preflight", "--json", "--section", "5", "--section", "6"]);
    let done = command.current_dir(project()).output().expect("tiki");
    let found: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_states(&found, &[("files", "ok"), ("dag-steps", "ok")]);
}

#[test]
fn dags_are_those_of_this_program_and_python_reads_them() {
    let tiki = Tiki::new();
    let steps = "airflow/dags/tiki_pipeline/steps.py";
    let back = "airflow/dags/tiki_crawl_products_dag.py";
    copy(&tiki, &[steps, back]);
    let found = report(&tiki, 0, &[1, 4, 6, 25]);
    let good = [
        ("python", "ok"),
        ("dag-modules", "ok"),
        ("dag-steps", "ok"),
        ("rollback-dag", "ok"),
    ];
    assert_states(&found, &good);
    std::fs::remove_file(tiki.path(back)).expect("the way back");
    let lost = report(&tiki, 3, &[25]);
    assert_eq!(lost["verdict"], "Needs Fixes");
    assert_states(&lost, &[("rollback-dag", "failed")]);
    let text = std::fs::read_to_string(tiki.path(steps)).expect("the steps");
    tiki.write(steps, &text.replace("load_stats", "loads"));
    assert_states(&report(&tiki, 4, &[6]), &[("dag-steps", "failed")]);
    tiki.write(steps, "def :\n");
    let broken = report(&tiki, 4, &[4]);
    assert_states(&broken, &[("dag-modules", "failed")]);
    let seen = line(&broken, "dag-modules")["seen"].to_string();
    assert!(seen.contains("steps.py"), "{seen}");
    assert!(!tiki.path("airflow/dags/tiki_pipeline/__pycache__").exists());
}

#[test]
fn a_repository_is_clean_or_a_warning() {
    let tiki = Tiki::new();
    git(&tiki, &["init", "--quiet"]);
    tiki.write("a.txt", "1");
    assert_states(&report(&tiki, 0, &[3]), &[("repository", "warning")]);
    git(&tiki, &["add", "."]);
    git(&tiki, &["commit", "--quiet", "-m", "x"]);
    let clean = report(&tiki, 0, &[3]);
    assert_states(&clean, &[("repository", "ok")]);
    let seen = line(&clean, "repository")["seen"].to_string();
    assert!(seen.contains("main"), "{seen}");
}

#[test]
fn without_docker_a_folder_that_needs_it_is_blocked() {
    let tiki = Tiki::new();
    copy(&tiki, &["docker-compose.yml"]);
    std::fs::create_dir(tiki.path("bin")).expect("a folder");
    let tiki = tiki.with("PATH", "bin");
    let found = report(&tiki, 4, &[1, 7]);
    assert_states(
        &found,
        &[
            ("docker", "failed"),
            ("compose", "failed"),
            ("containers", "skipped"),
        ],
    );
    let seen = line(&found, "docker")["seen"].to_string();
    assert!(seen.contains("not installed"), "{seen}");
}

#[test]
fn logs_of_docker_have_their_folder() {
    let tiki = Tiki::new();
    copy(&tiki, &["docker-compose.yml"]);
    assert_states(&report(&tiki, 3, &[21]), &[("log-folder", "failed")]);
    std::fs::create_dir_all(tiki.path("airflow/logs")).expect("a folder");
    assert_states(&report(&tiki, 0, &[21]), &[("log-folder", "ok")]);
}

#[test]
fn the_programs_own_logs_have_their_folder() {
    let tiki = Tiki::new();
    assert_states(&report(&tiki, 0, &[21]), &[("log-files", "ok")]);
    assert!(!tiki.path("data").exists(), "a look makes nothing");
    std::fs::create_dir(tiki.path("data")).expect("a folder");
    tiki.write("data/logs", "a file where the folder would be");
    assert_states(&report(&tiki, 3, &[21]), &[("log-files", "failed")]);
    let off = tiki.with("TIKI_LOG_FILES", "off");
    assert_states(&report(&off, 0, &[21]), &[("log-files", "warning")]);
}

#[test]
fn postgresql_has_tables_and_indexes_or_is_blocked() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    let in_database = |sql: &str| drop(server.beside(&database, sql).child().wait());
    let empty = report(&tiki, 4, &[8, 12]);
    let states = [
        ("database", "ok"),
        ("tables", "failed"),
        ("schema-version", "failed"),
        ("indexes", "skipped"),
    ];
    assert_states(&empty, &states);
    tiki.ends(0, &["migrate"]);
    let found = report(&tiki, 0, &[8, 12, 18]);
    let states = [
        ("database", "ok"),
        ("tables", "ok"),
        ("schema-version", "ok"),
        ("indexes", "ok"),
    ];
    assert_states(&found, &states);
    in_database("drop index idx_products_sku; drop table product_categories, products cascade");
    let spoiled = report(&tiki, 4, &[8, 12]);
    assert_states(&spoiled, &[("tables", "failed"), ("indexes", "failed")]);
    let seen = line(&spoiled, "tables")["seen"].to_string();
    assert!(
        seen.contains("products") && !seen.contains("categories"),
        "{seen}"
    );
    server.drop_database(&database);
}

#[test]
fn servers_that_are_not_there_block_in_time_and_keep_their_secrets() {
    let closed = format!("127.0.0.1:{}", testkit::free_port());
    let tiki = Tiki::new()
        .with(
            "TIKI_DATABASE_URL",
            &format!("postgres://u:hunter2@{closed}/d"),
        )
        .with("TIKI_REDIS_URL", &format!("redis://:hunter2@{closed}/1"));
    let sections = [8, 9, 12, 18, 20, 22, 25];
    // Beside the same without servers: what is not waiting takes as long as the machine is busy.
    let begun = std::time::Instant::now();
    report(&Tiki::new(), 0, &sections);
    let usual = begun.elapsed();
    let begun = std::time::Instant::now();
    let found = report(&tiki, 4, &sections);
    let waited = begun.elapsed();
    assert!(
        waited < 2 * usual + std::time::Duration::from_secs(10),
        "{waited:?} beside {usual:?}"
    );
    let states = [
        ("database", "failed"),
        ("redis", "failed"),
        ("warehouse", "failed"),
        ("indexes", "skipped"),
        ("redis-memory", "skipped"),
        ("postgres-cache", "skipped"),
        ("backup-age", "skipped"),
        ("rollback-backup", "skipped"),
    ];
    assert_states(&found, &states);
    assert_eq!(report(&tiki, 3, &[22])["verdict"], "Needs Fixes");
}

#[test]
fn redis_is_measured_by_what_it_says() {
    let server = Redis::start();
    let tiki = Tiki::new().with("TIKI_REDIS_URL", &server.url(1));
    let found = report(&tiki, 0, &[9, 18]);
    let states = [
        ("redis", "ok"),
        ("redis-version", "ok"),
        ("redis-limit", "warning"),
        ("redis-eviction", "ok"),
        ("redis-memory", "ok"),
    ];
    assert_states(&found, &states);
    let set = |name: &str, value: &str| {
        let address = server.url(0).replace("redis://", "");
        let (host, _) = address.split_once('/').expect("a database");
        let mut stream = std::net::TcpStream::connect(host).expect("Redis");
        let text = format!("CONFIG SET {name} {value}\r\n");
        std::io::Write::write_all(&mut stream, text.as_bytes()).expect("a command");
        let mut answer = [0; 5];
        std::io::Read::read_exact(&mut stream, &mut answer).expect("an answer");
        assert_eq!(&answer, b"+OK\r\n", "{text}");
    };
    set("maxmemory", "500mb");
    set("maxmemory-policy", "volatile-lru");
    let limited = report(&tiki, 0, &[9]);
    assert_states(&limited, &[("redis-limit", "ok"), ("redis-eviction", "ok")]);
    set("maxmemory-policy", "allkeys-lru");
    assert_states(&report(&tiki, 4, &[9]), &[("redis-eviction", "failed")]);
}

#[test]
fn a_warehouse_with_products_has_a_proven_backup_or_needs_fixes() {
    let tiki = Tiki::new();
    tiki.fill_demo(20, 1);
    std::fs::rename(tiki.path("data/demo.db"), tiki.path("data/tiki.db")).expect("a warehouse");
    let before = std::fs::read(tiki.path("data/tiki.db")).expect("the warehouse");
    let none = report(&tiki, 3, &[8, 12, 20, 22, 25]);
    let states = [
        ("database", "ok"),
        ("tables", "ok"),
        ("schema-version", "ok"),
        ("indexes", "ok"),
        ("backup-age", "warning"),
        ("rollback-backup", "failed"),
    ];
    assert_states(&none, &states);
    let after = std::fs::read(tiki.path("data/tiki.db")).expect("the warehouse");
    assert_eq!(before, after, "the warehouse is only looked at");
    tiki.ends(0, &["backup", "create"]);
    let unproven = report(&tiki, 3, &[20, 25]);
    assert_states(
        &unproven,
        &[("backup-age", "warning"), ("rollback-backup", "failed")],
    );
    tiki.ends(0, &["backup", "verify"]);
    let proven = report(&tiki, 0, &[20, 25]);
    let states = [
        ("backup-age", "ok"),
        ("rollback-backup", "ok"),
        ("backup-schedule", "ok"),
    ];
    assert_states(&proven, &states);
    // It is no way back for another warehouse.
    let other = tiki.path("data/other.db");
    std::fs::copy(tiki.path("data/tiki.db"), &other).expect("a copy");
    let tiki = tiki.with("TIKI_DATABASE_URL", &format!("sqlite:{}", other.display()));
    assert_states(
        &report(&tiki, 3, &[20, 25]),
        &[("backup-age", "warning"), ("rollback-backup", "failed")],
    );
    tiki.ends(0, &["backup", "create", "--verify"]);
    let off = tiki.with("TIKI_BACKUP_SCHEDULE", "off");
    assert_states(&report(&off, 0, &[20]), &[("backup-schedule", "warning")]);
}

#[test]
fn settings_that_stayed_at_the_test_runs_are_a_warning() {
    let tiki = Tiki::new();
    assert_states(&report(&tiki, 0, &[19]), &[("scale", "ok")]);
    let small = tiki
        .with("TIKI_MAX_CATEGORIES", "2")
        .with("TIKI_MAX_PRODUCTS_PER_CATEGORY", "10");
    assert_states(&report(&small, 0, &[19]), &[("scale", "warning")]);
}

#[test]
fn after_a_deployment_the_ledger_tells() {
    let after = |tiki: &Tiki, code: i32| -> Value {
        let done = tiki.ends(code, &["preflight", "--after-deploy", "--json"]);
        serde_json::from_str(&done.out).expect("JSON")
    };
    let shop = Shop::open(&Tiki::new(), &["--products", "60", "--day", "2026-11-01"]);
    let tiki = shop.home();
    assert_states(&after(&tiki, 3), &[("ledger", "failed")]);
    assert!(!tiki.path("data").exists(), "nothing is made");
    tiki.ends(0, &["migrate"]);
    let states = [
        ("runs", "failed"),
        ("scheduled-runs", "skipped"),
        ("failures", "ok"),
        ("freshness", "failed"),
    ];
    assert_states(&after(&tiki, 3), &states);
    tiki.ends(0, &["run"]);
    let states = [
        ("runs", "ok"),
        ("scheduled-runs", "warning"),
        ("failures", "ok"),
        ("freshness", "ok"),
    ];
    assert_states(&after(&tiki, 0), &states);
    tiki.ends(0, &["run", "--owner", "serve"]);
    assert_states(&after(&tiki, 0), &[("scheduled-runs", "ok")]);
    let database = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
    let sql = "UPDATE runs SET exit_code = 10";
    database.execute(sql, []).expect("a bad end");
    assert_states(
        &after(&tiki, 3),
        &[("failures", "failed"), ("freshness", "failed")],
    );
    tiki.ends(2, &["preflight", "--after-deploy", "--section", "8"]);
    assert_states(&after(&tiki, 3), &[("alerts", "ok")]);
    let rule = json!({ "route": "any", "when": "always", "what": { "status": { "code": 403 } } });
    shop.control("POST", "faults", &json!({ "rules": [rule] }).to_string());
    for (step, code) in [("crawl-categories", 0), ("extract-product-urls", 20)] {
        tiki.ends(code, &["step", step, "--run", "r", "--owner", "serve"]);
    }
    let told = after(&tiki, 3);
    assert_states(&told, &[("alerts", "warning"), ("failures", "failed")]);
    let seen = line(&told, "failures")["seen"].to_string();
    assert!(
        seen.contains("stopped at extract-product-urls, exit code 20"),
        "{seen}"
    );
    // As its process leaves it that was killed.
    let killed = "UPDATE run_steps SET exit_code = NULL, error = NULL WHERE run_id = 'r' AND state <> 'closed'";
    database.execute(killed, []).expect("a statement");
    assert_states(&after(&tiki, 3), &[("freshness", "failed")]);
    let long_ago =
        "UPDATE attempts SET last_commit_at = '2026-11-01T00:00:00.000Z' WHERE run_id = 'r'";
    database.execute(long_ago, []).expect("a statement");
    let seen = line(&after(&tiki, 3), "failures")["seen"].to_string();
    assert!(seen.contains("r (unfinished"), "{seen}");
}

#[test]
fn a_page_that_cannot_be_written_is_told() {
    let tiki = Tiki::new();
    let done = tiki.ends(
        1,
        &[
            "preflight",
            "--section",
            "24",
            "--html",
            "no/such/report.html",
        ],
    );
    assert!(done.err.contains("no/such/report.html"), "{done:?}");
}

#[test]
fn the_checklist_explains_every_line() {
    let page = std::fs::read_to_string(project().join("docs/CHECKLIST.md")).expect("the page");
    let pure = "crates/pipeline/src/preflight";
    let mut sources = vec!["crates/tiki/src/preflight/settings.rs".to_owned()];
    for name in [
        "environment",
        "project",
        "servers",
        "trial",
        "airflow",
        "after",
    ] {
        sources.push(format!("{pure}/{name}.rs"));
    }
    for path in sources {
        let source = std::fs::read_to_string(project().join(&path)).expect(&path);
        let names: Vec<&str> = source
            .split("let name = \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(!names.is_empty(), "{path}");
        for name in names {
            assert!(page.contains(&format!("*{name}*")), "{name} of {path}");
        }
    }
}
