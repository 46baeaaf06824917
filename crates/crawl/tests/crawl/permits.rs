//! The rate over several processes, as the site counts it. A process is a gate with a connection of its
//! own here; nothing else is shared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crawl::{Client, FetchErrorKind as Kind, Gate, PermitSource, Rate, RedisPermits, Robots};
use testkit::{Redis, wait_until};

use crate::site::{DETAIL, Site, json};

const RATE: usize = 40;
/// A second's worth and a tenth of one.
const MOST: usize = RATE + RATE / 10;
const LONG: Duration = Duration::from_secs(30);

fn rate() -> Rate {
    Rate::Every(Duration::from_secs(1) / RATE as u32)
}

fn source(url: &str, site: &Site) -> Arc<dyn PermitSource> {
    Arc::new(RedisPermits::new(url, &site.origin).unwrap())
}

fn client(site: &Site, gate: Gate) -> Client {
    let mut settings = site.settings();
    settings.max_in_flight = 8;
    Client::new(settings, gate).unwrap()
}

/// Processes that ask as fast as they may, until they are dropped.
fn crowd(site: &Site, url: &str, processes: usize) -> tokio::task::JoinSet<()> {
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..processes {
        let client = client(site, Gate::new(rate(), Some(source(url, site))));
        for _ in 0..8 {
            let client = client.clone();
            workers.spawn(async move {
                let robots = Robots::allow_all();
                loop {
                    drop(client.fetch(&DETAIL, &robots).await);
                }
            });
        }
    }
    workers
}

fn times(site: &Site) -> Vec<Instant> {
    site.seen().iter().map(|seen| seen.at).collect()
}

/// The most requests in any second, wherever it begins.
fn busiest(times: &[Instant]) -> usize {
    let second = Duration::from_secs(1);
    let from = |first: Instant| {
        times
            .iter()
            .filter(|at| **at >= first && at.duration_since(first) < second)
            .count()
    };
    times.iter().map(|first| from(*first)).max().unwrap_or(0)
}

fn count_reaches(site: &Site, count: usize) {
    wait_until("requests", LONG, || site.seen().len() >= count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_keep_one_rate_and_use_it() {
    let site = Site::start(|_| json("{}")).await;
    let crowd = crowd(&site, &Redis::shared().fresh_url(), 4);
    count_reaches(&site, RATE * 5);
    drop(crowd);
    let times = times(&site);
    let busiest = busiest(&times);
    assert!(busiest <= MOST, "{busiest} requests in a second");
    let span = times[times.len() - 1]
        .duration_since(times[0])
        .as_secs_f64();
    let used = (times.len() - 1) as f64 / span / RATE as f64;
    assert!(used >= 0.9, "only {used:.2} of the rate was used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgets_or_restarts_opens_nothing() {
    let mut redis = Redis::start();
    let site = Site::start(|_| json("{}")).await;
    let crowd = crowd(&site, &redis.url(0), 3);
    count_reaches(&site, 30);
    redis.flush();
    count_reaches(&site, site.seen().len() + 60);
    redis.restart();
    count_reaches(&site, site.seen().len() + 60);
    redis.pause();
    let paused = Instant::now();
    // Nothing is granted further ahead than a second.
    wait_until("silence", LONG, || {
        let last = site.seen().last().map_or(paused, |seen| seen.at);
        last.elapsed() > Duration::from_millis(500)
    });
    redis.resume();
    count_reaches(&site, site.seen().len() + 60);
    drop(crowd);
    let busiest = busiest(&times(&site));
    assert!(busiest <= MOST, "{busiest} requests in a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_there_is_no_request() {
    let mut redis = Redis::start();
    let site = Site::start(|_| json("{}")).await;
    let patience = Duration::from_millis(600);
    let gate = Gate::with_patience(rate(), Some(source(&redis.url(0), &site)), patience);
    let client = client(&site, gate);
    let robots = Robots::allow_all();
    client.fetch(&DETAIL, &robots).await.unwrap();
    let disturbances: [fn(&mut Redis); 2] = [Redis::pause, Redis::kill];
    for disturb in disturbances {
        disturb(&mut redis);
        let begun = Instant::now();
        let many = (0..20).map(|_| client.fetch(&DETAIL, &robots));
        for answer in futures_util::future::join_all(many).await {
            let error = answer.unwrap_err();
            assert!(matches!(error.kind, Kind::Permit(_)), "{error:?}");
        }
        assert!(begun.elapsed() >= patience && begun.elapsed() < LONG);
        assert_eq!(site.seen().len(), 1);
    }
    redis.restart();
    client.fetch(&DETAIL, &robots).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_that_comes_late_is_void_and_another_is_taken() {
    let mut redis = Redis::start();
    let site = Site::start(|_| json("{}")).await;
    let gate = Gate::new(rate(), Some(source(&redis.url(0), &site)));
    let client = client(&site, gate.clone());
    let permit = gate.permit().await.unwrap();
    assert!(!permit.is_void());
    wait_until("the permit is void", LONG, || permit.is_void());

    let before = next_slot(&redis).await;
    redis.pause();
    let asked = tokio::spawn(async move { client.fetch(&DETAIL, &Robots::allow_all()).await });
    let begun = Instant::now();
    wait_until("a permit is late", LONG, || {
        begun.elapsed() > Duration::from_millis(150)
    });
    redis.resume();
    asked.await.unwrap().unwrap();
    assert_eq!(site.seen().len(), 1);
    let spent = next_slot(&redis).await - before;
    assert!(
        spent >= 50_000,
        "two slots of 25 ms, one of them void: {spent} us"
    );
}

async fn next_slot(redis: &Redis) -> i64 {
    let client = redis::Client::open(redis.url(0)).unwrap();
    let mut link = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut link)
        .await
        .unwrap();
    redis::cmd("HGET")
        .arg(&keys)
        .arg("next")
        .query_async(&mut link)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_goes_away_takes_nobody_with_it() {
    let site = Site::start(|_| json("{}")).await;
    let gate = Gate::new(rate(), Some(source(&Redis::shared().fresh_url(), &site)));
    let mut workers: Vec<_> = (0..12)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move { gate.permit().await.is_ok() })
        })
        .collect();
    // The first of them asks for all.
    for gone in workers.drain(..4) {
        gone.abort();
    }
    for worker in workers {
        assert!(worker.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawl_delay_slows_the_gate_down() {
    let site = Site::start(|seen| match seen.path.as_str() {
        "/robots.txt" => json("User-agent: *\nCrawl-delay: 0.4\n"),
        _ => json("{}"),
    })
    .await;
    let gate = Gate::new(rate(), Some(source(&Redis::shared().fresh_url(), &site)));
    let client = client(&site, gate);
    let robots = client.read_robots().await.unwrap();
    let read = Instant::now();
    for _ in 0..3 {
        client.fetch(&DETAIL, &robots).await.unwrap();
    }
    let delay = Duration::from_millis(400);
    assert_eq!(client.gate().spacing(), Some(delay));
    let times = times(&site);
    // A tenth of a second is what a permit may be late by.
    let apart = times[3].duration_since(times[1]);
    assert!(apart + crawl::PERMIT_VALID >= delay * 2, "{apart:?}");
    // The slot of robots.txt was taken before the delay was known.
    let silence = read.duration_since(times[0]);
    assert!(silence >= delay, "{silence:?}");
}
