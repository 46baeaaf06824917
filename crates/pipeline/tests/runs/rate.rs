//! The rate at the site, as the site counts it.

use std::sync::Arc;
use std::time::Duration;

use crawl::{Ask, Client, FetchErrorKind, Gate, Origin, PermitError, Rate, RedisPermits, Robots};
use pipeline::SitePermits;
use testkit::Redis;

use crate::world::{STORES, Store, World, generated};

const PER_SECOND: u64 = 40;

/// A client as another process would make it.
fn client(world: &World, redis: Option<&str>) -> Client {
    let origin = Origin::parse(&world.front.base_url()).expect("an origin");
    let redis = redis.map(|url| RedisPermits::new(url, &origin).expect("a Redis address"));
    let permits = SitePermits::new(world.warehouse.clone(), "the site", redis);
    let rate = Rate::new(1.0 / PER_SECOND as f64, &origin).expect("a rate");
    let gate = Gate::new(rate, Some(Arc::new(permits)));
    Client::new(crawl::Settings::new(origin), gate).expect("a client")
}

/// Asks with each client from three workers until the time is over.
async fn ask_for(clients: &[Client], time: Duration) {
    let end = tokio::time::Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for client in clients
        .iter()
        .flat_map(|client| [client.clone(), client.clone(), client.clone()])
    {
        tasks.spawn(async move {
            while tokio::time::Instant::now() < end {
                let ask = Ask::Categories { parent: 2 };
                client
                    .fetch(&ask, &Robots::allow_all())
                    .await
                    .expect("an answer");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a worker");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: counts requests for some seconds"]
async fn no_second_sees_more_than_the_rate_from_a_row() {
    for store in STORES {
        let world = World::new(store, generated(100)).await;
        let clients = [client(&world, None), client(&world, None)];
        ask_for(&clients, Duration::from_secs(5)).await;
        let counts = world.front.counts();
        assert!(
            counts.busiest_second <= PER_SECOND + 4,
            "{store:?}: {counts:?}"
        );
        assert!(
            counts.requests > PER_SECOND * 5 / 2,
            "{store:?}: {counts:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: counts requests for some seconds"]
async fn a_redis_that_dies_hands_the_permits_to_the_row() {
    let world = World::new(Store::Sqlite, generated(100)).await;
    let mut redis = Redis::start();
    let url = redis.url(0);
    let clients = [client(&world, Some(&url)), client(&world, Some(&url))];
    let killer = async {
        while world.front.counts().requests < PER_SECOND {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        redis.kill();
    };
    tokio::join!(ask_for(&clients, Duration::from_secs(8)), killer);
    let counts = world.front.counts();
    assert!(counts.busiest_second <= PER_SECOND + 4, "{counts:?}");
    assert!(
        counts.requests > PER_SECOND * 3,
        "the crawl went on: {counts:?}"
    );
    let granting = world.ask("SELECT granted_by FROM permits").await;
    assert_eq!(granting[0][0].as_deref(), Some("warehouse"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_was_overdone_is_left_alone_by_every_process_and_tried_by_one() {
    for store in STORES {
        let world = World::new(store, generated(100)).await;
        let throttle = storefront::Throttle {
            per_second: 100_000,
            burst: 100_000,
            sticky_ms: 700,
            after: Some(30),
        };
        world
            .front
            .set_faults(&storefront::Faults {
                rules: Vec::new(),
                throttle: Some(throttle),
            })
            .unwrap();
        let pause = Duration::from_millis(900);
        let (one, other) = (patient(&world, pause), patient(&world, pause));
        let robots = Robots::allow_all();
        let ask = Ask::Categories { parent: 2 };
        // One process meets it; the other hears of it before it has asked at all.
        overdo(&one).await;
        let before = world.front.counts().requests;
        for client in [&one, &other] {
            let error = client
                .fetch(&ask, &robots)
                .await
                .expect_err("the breaker is open");
            assert!(
                matches!(error.kind, FetchErrorKind::Permit(PermitError::Pause(_))),
                "{store:?}: {error:?}"
            );
        }
        assert_eq!(world.front.counts().requests, before, "{store:?}");
        tokio::time::sleep(pause + Duration::from_millis(200)).await;
        // Both try at once; one request finds out, and everybody goes on, more slowly.
        let (first, second) = tokio::join!(one.fetch(&ask, &robots), other.fetch(&ask, &robots));
        assert!(
            first.is_ok() || second.is_ok(),
            "{store:?}: {first:?} {second:?}"
        );
        let paused = [&first, &second]
            .iter()
            .filter(|answer| answer.is_err())
            .count();
        assert!(paused <= 1, "{store:?}: {first:?} {second:?}");
        for client in [&one, &other] {
            client
                .fetch(&ask, &robots)
                .await
                .expect("it is closed again");
        }
        let row = world.ask("SELECT share, pause_micros FROM permits").await;
        let number = |at: usize| -> i64 { row[0][at].as_deref().unwrap().parse().unwrap() };
        assert!(
            number(0) <= 500,
            "{store:?}: half of the rate at most: {row:?}"
        );
        assert_eq!(number(1), 0, "{store:?}: {row:?}");
    }
}

/// Asks until it was refused eight times in a row.
async fn overdo(client: &Client) {
    let (robots, ask) = (Robots::allow_all(), Ask::Categories { parent: 2 });
    let mut refused = 0;
    while refused < 8 {
        let Err(error) = client.fetch(&ask, &robots).await else {
            continue;
        };
        let throttled = matches!(error.kind, FetchErrorKind::Throttled { .. });
        assert!(throttled, "{error:?}");
        refused += 1;
    }
}

/// A client that stays away for so long.
fn patient(world: &World, pause: Duration) -> Client {
    let origin = Origin::parse(&world.front.base_url()).expect("an origin");
    let permits = SitePermits::new(world.warehouse.clone(), "the site", None);
    let rate = Rate::new(0.005, &origin).expect("a rate");
    let settings = crawl::Settings {
        breaker_pause: pause,
        ..crawl::Settings::new(origin)
    };
    Client::new(settings, Gate::new(rate, Some(Arc::new(permits)))).expect("a client")
}
