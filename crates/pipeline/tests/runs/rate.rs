//! The rate at the site, as the site counts it.

use std::sync::Arc;
use std::time::Duration;

use crawl::{Ask, Client, Gate, Origin, Rate, RedisPermits, Robots};
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
