//! The shared cache of pages, as runs use it.

use bytes::Bytes;
use catalog::Encoding;
use crawl::{CacheTtl, Cached, CachedKind, CachedPage, Lookup, PageKey, RedisPages};
use testkit::Redis;

use crate::world::{Store, World, generated, start};

const MEMORY: u64 = 1 << 30;

fn pages(url: &str, world: &World) -> RedisPages {
    let ttl = CacheTtl::default();
    RedisPages::new(url, &world.front.origin_id(), ttl, MEMORY).expect("a cache")
}

/// The products whose details were asked, and the offers asked for.
async fn detailed(world: &World) -> Vec<(i64, Option<i64>)> {
    let rows = world
        .ask("SELECT product_id, spid FROM run_products WHERE detail = 'good' ORDER BY product_id")
        .await;
    let number = |cell: &Option<String>| cell.as_deref().and_then(|text| text.parse().ok());
    let row = |row: &Vec<Option<String>>| Some((number(&row[0])?, number(&row[1])));
    rows.iter().filter_map(row).collect()
}

fn key((subject, spid): (i64, Option<i64>)) -> PageKey {
    PageKey {
        kind: CachedKind::Detail,
        source: "api",
        subject,
        spid,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_body_of_another_product_heals_and_is_never_believed() {
    let url = Redis::shared().fresh_url();
    let mut first = World::new(Store::Sqlite, generated(120)).await;
    let cache = pages(&url, &first);
    first.share(cache.clone());
    first.run("first").await;
    let digest = first.warehouse.digest().await.unwrap();
    let products = detailed(&first).await;
    let Lookup::Hit(stranger) = cache.get(&key(products[0])).await else {
        panic!("the first run kept its details");
    };
    for product in &products[1..] {
        let Lookup::Hit(own) = cache.get(&key(*product)).await else {
            panic!("{product:?} is kept");
        };
        let page = CachedPage {
            fingerprint: own.fingerprint,
            ..stranger.clone()
        };
        cache.put(&key(*product), &page).await;
    }
    let mut second = World::new(Store::Sqlite, generated(120)).await;
    second.share(cache.clone());
    let report = second.run("second").await;
    assert_eq!(report.exit_code, 0, "{:?}", second.notes);
    assert_eq!(second.warehouse.digest().await.unwrap(), digest);
    let asked = second.front.counts().routes["detail"];
    assert_eq!(
        asked as usize,
        products.len() - 1,
        "all but one were foreign"
    );
    let Lookup::Hit(healed) = cache.get(&key(products[1])).await else {
        panic!("healed");
    };
    assert_ne!(healed.body, stranger.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_detail_does_only_while_it_would_not_be_due() {
    let url = Redis::shared().fresh_url();
    let mut world = World::new(Store::Sqlite, generated(120)).await;
    let cache = pages(&url, &world);
    world.share(cache.clone());
    world.run("first").await;
    let products = detailed(&world).await;
    for (number, product) in products.iter().enumerate() {
        let Lookup::Hit(mut page) = cache.get(&key(*product)).await else {
            panic!("{product:?} is kept");
        };
        match number % 3 {
            // Another listing than the one that it was fetched for.
            0 => page.fingerprint = page.fingerprint.map(|value| value ^ 1),
            // Older than two boundaries.
            1 => page.fetched_at = start().plus_millis(-15 * crate::world::DAY),
            // From tomorrow.
            _ => page.fetched_at = start().plus_millis(crate::world::DAY),
        }
        cache.put(&key(*product), &page).await;
    }
    let mut other = World::new(Store::Sqlite, generated(120)).await;
    other.share(cache);
    other.run("second").await;
    assert_eq!(
        other.front.counts().routes["detail"] as usize,
        products.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_gone_is_kept_so_but_a_recheck_asks_the_site() {
    let url = Redis::shared().fresh_url();
    let mut world = World::new(Store::Sqlite, generated(120)).await;
    let cache = pages(&url, &world);
    world.share(cache.clone());
    world.run("first").await;
    let products = detailed(&world).await;
    let gone = CachedPage {
        status: Cached::Gone,
        encoding: Encoding::Identity,
        body: Bytes::from_static(b"{}"),
        fetched_at: start(),
        fingerprint: None,
    };
    for (product, _) in &products {
        cache.put(&key((*product, None)), &gone).await;
    }
    // Nothing is listed any more, so everything is rechecked, without an offer.
    world.scope.categories = vec![
        world
            .ask("SELECT MIN(id) FROM categories WHERE is_leaf")
            .await[0][0]
            .as_deref()
            .unwrap()
            .parse()
            .unwrap(),
    ];
    world.day(1);
    let before = world.front.counts().routes["detail"];
    let report = world.run("second").await;
    assert_eq!(report.totals.products.gone, 0, "the cache delists nothing");
    assert_eq!(
        i64::try_from(world.front.counts().routes["detail"] - before).unwrap(),
        report.totals.details.due - report.totals.details.deferred
    );
}
