//! The same while Redis, or the way to it, fails.

use std::time::Duration;

use testkit::{Proxy, Redis};

use crate::crowd::{Due, PROCESSES, STORES, Store};

/// Seconds' worth of requests that show that the crawl goes on.
const ON: u64 = 4;

/// How long a crowd is watched while one of it is cut off.
const WATCHED: Duration = Duration::from_secs(20);

/// What of the rate is used at least meanwhile, in percent: every move of the permits costs seconds.
const LEAST_USED: f64 = 60.0;

/// A Redis that forgets, stands still, dies and comes back.
fn check_redis(store: Store, rate: u64, products: u64) {
    let due = Due::new(store, products);
    let mut redis = Redis::start();
    let url = redis.url(1);
    let mut crowd = due.ask(rate, [Some(url.as_str()); PROCESSES]);
    crowd.is_granted_by("redis");
    redis.flush();
    crowd.asks_for_seconds(ON);
    crowd.is_granted_by("redis");
    redis.pause();
    crowd.is_granted_by("warehouse");
    crowd.asks_for_seconds(ON);
    redis.resume();
    crowd.asks_for_seconds(ON);
    crowd.is_granted_by("redis");
    crowd.asks_for_seconds(ON);
    redis.kill();
    crowd.is_granted_by("warehouse");
    crowd.asks_for_seconds(ON);
    redis.restart();
    crowd.is_granted_by("redis");
    crowd.asks_for_seconds(ON);
    crowd.end();
}

/// One process that alone cannot reach Redis, or hears nothing of it.
fn check_partition(store: Store, rate: u64, products: u64) {
    let due = Due::new(store, products);
    let redis = Redis::shared().fresh_url();
    let proxy = Proxy::start(&redis);
    let (near, far) = (Some(redis.as_str()), proxy.url(&redis));
    let mut crowd = due.ask(rate, [Some(far.as_str()), near, near, near]);
    for fail in [Proxy::cut, Proxy::stall] {
        crowd.is_granted_by("redis");
        crowd.asks_for_seconds(ON);
        fail(&proxy);
        crowd.is_granted_by("warehouse");
        let used = crowd.used_percent(WATCHED);
        assert!(
            used >= LEAST_USED,
            "{store:?}, {rate} a second: {used:.1} % is used"
        );
        proxy.forward();
    }
    crowd.end();
}

#[test]
#[ignore = "slow: Redis is left alone for half a minute after each fault"]
fn a_redis_that_fails_makes_nobody_faster_and_stops_nobody() {
    check_redis(Store::Postgres, 40, 10_000);
}

#[test]
#[ignore = "slow: Redis is left alone for half a minute after each fault"]
fn a_process_without_its_redis_makes_nobody_faster_and_stops_nobody() {
    check_partition(Store::Sqlite, 40, 10_000);
}

#[test]
#[ignore = "torture: each fault at each rate in each warehouse"]
fn torture_faults_of_redis_at_every_rate() {
    for store in STORES {
        for (rate, products) in [(5, 2_000), (40, 10_000), (400, 60_000)] {
            check_redis(store, rate, products);
            check_partition(store, rate, products);
        }
    }
}
