//! PostgreSQL lost in the middle of a run: it is waited for, and what was kept is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::{Postgres, Proxy};

use crate::tiki::{Done, Shop, Tiki};

fn shop() -> Shop {
    let day = ["--day", "2026-11-01", "--latency-ms", "20"];
    Shop::open(&Tiki::new(), &[&["--products", "400"], &day[..]].concat())
}

/// What a run leaves that nothing disturbed.
fn undisturbed(shop: &Shop) -> String {
    let clean = shop.home();
    clean.ends(0, &["run"]);
    clean.out(&["digest", "--content"])
}

/// Waits until the shop has been asked for so much more.
fn after(shop: &Shop, requests: u64) {
    let count = || shop.control("GET", "counts", "")["requests"].as_u64();
    let (first, begun) = (count().unwrap_or(0), Instant::now());
    while count().unwrap_or(0) < first + requests {
        assert!(begun.elapsed() < Duration::from_mins(1), "nobody asks");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command while something happens beside it.
fn beside(tiki: &Tiki, arguments: &[&str], happens: impl FnOnce()) -> Done {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| tiki.run(arguments));
        happens();
        done.join().expect("no panic")
    })
}

#[test]
fn a_server_that_restarts_is_waited_for_and_one_that_stays_away_is_not() {
    let shop = shop();
    let expected = undisturbed(&shop);
    let mut server = Postgres::start();
    let database = server.fresh_database();
    let tiki = shop.home().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    let done = beside(&tiki, &["run"], || {
        after(&shop, 100);
        server.kill();
        // Longer than what has been asked may wait to be stored.
        std::thread::sleep(Duration::from_secs(2));
        server.restart();
    });
    assert_eq!(done.code, 0, "{done:#?}");
    assert!(done.err.contains("waiting for it"), "{}", done.err);
    assert!(done.err.contains("answers again"), "{}", done.err);
    assert!(!done.err.contains("panicked"), "{}", done.err);
    assert_eq!(tiki.out(&["digest", "--content"]), expected);

    let database = server.fresh_database();
    let tiki = shop
        .home()
        .with("TIKI_DATABASE_URL", &database)
        .with("TIKI_WAREHOUSE_PATIENCE", "1s");
    tiki.ends(0, &["migrate"]);
    let done = beside(&tiki, &["run"], || {
        after(&shop, 100);
        server.kill();
    });
    assert_eq!(done.code, 30, "{done:#?}");
    server.restart();
    let kept = tiki.json(&["sql", "--json", "SELECT COUNT(*) AS n FROM pages"]);
    assert_ne!(kept[0]["n"], "0", "{kept}");
    tiki.ends(0, &["run"]);
    assert_eq!(tiki.out(&["digest", "--content"]), expected);
    let runs = tiki.json(&["runs", "--json"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "it went on: {runs}");
}

/// Whatever was on its way is lost: statements, answers, and answers to COMMIT.
#[test]
fn a_connection_that_is_cut_again_and_again_loses_and_doubles_nothing() {
    let shop = shop();
    let expected = undisturbed(&shop);
    let server = Postgres::shared();
    let database = server.fresh_database();
    let proxy = Proxy::start(&database);
    let tiki = shop
        .home()
        .with("TIKI_DATABASE_URL", &proxy.url(&database))
        .with("TIKI_WAREHOUSE_PATIENCE", "20s");
    tiki.ends(0, &["migrate"]);
    let (mut codes, ended) = (Vec::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for pause in (0_u64..).map(|n| 150 + n * 37 % 400) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(pause));
                proxy.cut();
                std::thread::sleep(Duration::from_millis(30));
                proxy.forward();
            }
        });
        while codes.last() != Some(&0) && codes.len() < 100 {
            let done = tiki.run(&["run"]);
            assert!(matches!(done.code, 0 | 30), "{done:#?}");
            assert!(!done.err.contains("panicked"), "{done:#?}");
            codes.push(done.code);
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert_eq!(codes.last(), Some(&0), "{codes:?}");
    assert_eq!(tiki.out(&["digest", "--content"]), expected, "{codes:?}");
    server.drop_database(&database);
}
