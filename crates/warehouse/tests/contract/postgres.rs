//! What only a server can suffer.

use std::error::Error as StdError;
use std::time::Duration;

use warehouse::{Error, Options, PoolLimits, Warehouse};

use crate::products::{listed, listing};
use crate::store::{Store, at, merge};

/// The error and all its causes.
fn chain(error: &dyn StdError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_unreachable() {
    let store = Store::postgres().await;
    let port = testkit::free_port();
    let limits = PoolLimits {
        wait: Duration::from_secs(5),
        ..PoolLimits::default()
    };
    let options = Options {
        limits,
        ..Options::default()
    };
    let (head, database) = store.url.rsplit_once('/').expect("a database");
    let (user, server) = head.rsplit_once('@').expect("a user");
    let wrong = user.replace("secret", "hunter2");
    assert_ne!(wrong, user, "the tests' server has a password");
    for url in [
        format!("{wrong}@127.0.0.1:{port}/{database}"),
        format!("{wrong}@{server}/{database}"),
        format!("{user}@{server}/no_such_database?connect_timeout=3"),
    ] {
        let refused = Warehouse::open(&url, &options).await;
        let Err(error) = refused else {
            panic!("opened {url}")
        };
        assert!(
            matches!(error, Error::Unreachable(_)) && error.is_transient(),
            "{error:?}"
        );
        let said = chain(&error);
        assert!(
            !said.contains("hunter2") && !said.contains("secret"),
            "{said}"
        );
    }
    let mangled = Warehouse::open("postgres://u:hunter2@h:port/d", &options).await;
    let said = chain(&mangled.expect_err("no port"));
    assert!(!said.contains("hunter2"), "{said}");
    assert!(
        !store.warehouse.address().contains("secret"),
        "{}",
        store.warehouse.address()
    );
    assert!(!format!("{:?}", store.warehouse).contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_a_transaction_leaves_nothing() {
    let store = Store::postgres().await;
    store.create_run("r").await;
    store.plan("r", &[1], None).await;
    store.stage("r", vec![listed(listing(1, 5), at(1))]).await;
    let attempt = store.attempt("r", "load-products").await;
    // The load waits in its transaction for a lock that is held here.
    let hold = "BEGIN; LOCK TABLE product_history IN ACCESS EXCLUSIVE MODE";
    let held = store.hold(hold).await;
    let (warehouse, of) = (store.warehouse.clone(), attempt.clone());
    let load = tokio::spawn(async move { warehouse.load_batch(&of, &merge()).await });
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let killer = store.again().await;
    loop {
        let killed = killer
            .select(cut, 10, Duration::from_secs(5))
            .await
            .expect("an answer");
        if !killed.rows.is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let lost = load.await.expect("no panic");
    assert!(lost.as_ref().is_err_and(Error::is_transient), "{lost:?}");
    held.let_go().await;
    assert_eq!(store.warehouse.totals().await.expect("totals"), (0, 0, 0));
    assert_eq!(store.warehouse.staged_count("r").await.expect("a count"), 1);
    let loaded = store
        .warehouse
        .load_batch(&attempt, &merge())
        .await
        .expect("a new connection");
    assert_eq!(loaded.map(|batch| batch.len()), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_leaves_no_transaction_behind() {
    let store = Store::postgres().await;
    let slow = "SELECT pg_sleep(60)";
    let asked = store.warehouse.select(slow, 1, Duration::from_mins(1));
    let dropped = tokio::time::timeout(Duration::from_millis(100), asked).await;
    assert!(dropped.is_err(), "it was still asking");
    store.create_run("r").await;
    store.finish_run("r").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_says_so() {
    let store = Store::postgres().await;
    let options = Options {
        limits: PoolLimits {
            max_connections: 1,
            wait: Duration::from_millis(200),
            ..PoolLimits::default()
        },
        ..Options::default()
    };
    let narrow = Warehouse::open(&store.url, &options)
        .await
        .expect("a warehouse");
    let other = narrow.clone();
    let long = tokio::spawn(async move {
        other
            .select("SELECT pg_sleep(3)", 1, Duration::from_secs(9))
            .await
    });
    loop {
        match narrow.time().await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                assert!(
                    matches!(&error, Error::Exhausted { size: 1, .. }) && error.is_transient(),
                    "{error:?}"
                );
                assert!(error.to_string().contains("all 1 connections"), "{error}");
                break;
            }
        }
    }
    long.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_lives_in_a_schema_of_its_own() {
    let store = Store::postgres().await;
    let options = Options {
        schema: "demo".into(),
        ..Options::default()
    };
    let demo = Warehouse::open(&store.url, &options)
        .await
        .expect("a warehouse");
    assert_eq!(
        demo.migrate("demo").await.expect("a schema").applied.len(),
        warehouse::schema_steps(true).len()
    );
    store.create_run("r").await;
    assert!(demo.runs(10).await.expect("runs").is_empty());
}

/// A key and a certificate for `localhost` that is signed with it.
fn certify(folder: &std::path::Path, name: &str) {
    let run = std::process::Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &format!("{name}.key")])
        .args(["-out", &format!("{name}.crt")])
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(run.status.success(), "{run:?}");
}

/// A server that signed its certificate itself, as Debian's does.
fn self_signed() -> (testkit::Postgres, std::path::PathBuf) {
    let mut server = testkit::Postgres::start();
    let folder = std::path::PathBuf::from(server.admin("SHOW data_directory").trim());
    certify(&folder, "server");
    let owner = std::fs::metadata(&folder).expect("the data folder");
    for file in ["server.key", "server.crt"] {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let file = folder.join(file);
        chown(&file, Some(owner.uid()), Some(owner.gid())).expect("an owner");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&file, private).expect("a private file");
    }
    server.admin("ALTER SYSTEM SET ssl = on");
    server.restart();
    (server, folder.join("server.crt"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_means_what_it_means_to_libpq() {
    let (server, certificate) = self_signed();
    let url = server.fresh_database().replace("127.0.0.1", "localhost");
    let root = certificate.display();
    let folder = tempfile::tempdir().expect("a folder");
    certify(folder.path(), "other");
    let other = folder.path().join("other.crt");
    let other = other.display();
    for (words, opens) in [
        (String::new(), true),
        ("?sslmode=require".into(), true),
        ("?sslmode=disable".into(), true),
        ("?sslmode=verify-full".into(), false),
        (format!("?sslmode=verify-full&sslrootcert={root}"), true),
        (format!("?sslmode=verify-full&sslrootcert={other}"), false),
        (format!("?sslmode=require&sslrootcert={root}"), true),
        (format!("?sslmode=require&sslrootcert={other}"), false),
        ("?sslmode=require&sslrootcert=/nowhere.pem".into(), false),
    ] {
        let opened = Warehouse::open(&format!("{url}{words}"), &Options::default()).await;
        assert_eq!(opened.is_ok(), opens, "{words}: {opened:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_keep_all_texts_is_refused() {
    let server = testkit::Postgres::shared();
    let url = server.fresh_database();
    let name = url.rsplit('/').next().expect("a name");
    server.drop_database(&url);
    server.admin(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    let opened = Warehouse::open(&url, &Options::default()).await;
    let refused = opened.map(drop).expect_err("no room for Vietnamese");
    assert!(matches!(refused, Error::Schema(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(
        said.contains("LATIN1") && said.contains("ENCODING 'UTF8'"),
        "{said}"
    );
}
