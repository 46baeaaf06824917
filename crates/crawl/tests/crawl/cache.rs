//! The shared page cache on a real Redis: what is put comes back, what is broken is gone, and a server
//! that is lost is in nobody's way.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use catalog::Encoding;
use crawl::{
    CACHED_BODY_MAX_BYTES, CacheError, CacheTtl, Cached, CachedKind, CachedPage, Lookup, PageKey,
    RedisPages, own_database,
};
use redis::aio::MultiplexedConnection;
use testkit::Redis;
use tracing::field::{Field, Visit};
use tracing::span;

const LONG: Duration = Duration::from_secs(30);

const KEY: PageKey = PageKey {
    kind: CachedKind::Detail,
    source: "api",
    subject: 74_021_317,
    spid: Some(-9),
};
const NAME: &str = "tiki:page:1:storefront%3A42:api:detail:74021317:-9";

fn page(body: &[u8]) -> CachedPage {
    CachedPage {
        status: Cached::Good,
        encoding: Encoding::Gzip,
        body: Bytes::copy_from_slice(body),
        fetched_at: catalog::Instant::from_millis(1_763_000_000_123),
        fingerprint: Some(i64::MIN),
    }
}

fn pages(url: &str) -> RedisPages {
    RedisPages::new(url, "storefront:42", CacheTtl::default(), u64::MAX).unwrap()
}

/// The answer of a server that is there; a machine too busy to ask in time may ask again.
async fn look(pages: &RedisPages, key: &PageKey) -> Lookup {
    let begun = Instant::now();
    loop {
        match pages.get(key).await {
            Lookup::Lost => assert!(begun.elapsed() < LONG, "Redis stays lost"),
            answer => return answer,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn put(pages: &RedisPages, key: &PageKey, page: &CachedPage) {
    let begun = Instant::now();
    while look(pages, key).await != Lookup::Hit(page.clone()) {
        assert!(begun.elapsed() < LONG, "a page is never kept");
        pages.put(key, page).await;
    }
}

/// The same database as others see it.
struct Raw(MultiplexedConnection);

impl Raw {
    async fn open(url: &str) -> Self {
        let patience = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(LONG))
            .set_response_timeout(Some(LONG));
        let client = redis::Client::open(url).unwrap();
        let link = client.get_multiplexed_async_connection_with_config(&patience);
        Self(link.await.unwrap())
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, words: &[&[u8]]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query_async(&mut self.0).await.unwrap()
    }

    async fn set(&mut self, name: &str, value: &[u8]) {
        self.ask::<()>(&[b"SET", name.as_bytes(), value]).await;
    }

    async fn entry(&mut self, name: &str) -> Vec<u8> {
        self.ask(&[b"GET", name.as_bytes()]).await
    }

    async fn has(&mut self, name: &str) -> bool {
        self.ask(&[b"EXISTS", name.as_bytes()]).await
    }

    async fn info<T: redis::FromRedisValue>(&mut self, section: &str, field: &str) -> T {
        let info: redis::InfoDict = self.ask(&[b"INFO", section.as_bytes()]).await;
        info.get(field).unwrap()
    }
}

/// What is logged on this thread, a line each.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn count(&self, words: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(words)).count()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, meta: &tracing::Metadata<'_>) -> bool {
        meta.target().starts_with("crawl")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

#[tokio::test]
async fn what_is_put_comes_back_to_everybody() {
    let url = Redis::shared().fresh_url();
    let (pages, elsewhere) = (pages(&url), pages(&url));
    let keys = [
        KEY,
        PageKey { spid: None, ..KEY },
        PageKey { subject: 2, ..KEY },
        PageKey {
            source: "html",
            ..KEY
        },
        PageKey {
            kind: CachedKind::Categories,
            ..KEY
        },
    ];
    let full = vec![b'x'; CACHED_BODY_MAX_BYTES];
    for (index, body) in [b"{}", b"".as_slice(), b"\0\xFF", &full, b"[]"]
        .iter()
        .enumerate()
    {
        let mut page = page(body);
        page.fingerprint = (index > 1).then_some(0);
        page.encoding = [Encoding::Gzip, Encoding::Identity][index % 2];
        page.status = [Cached::Good, Cached::Gone][index / 2 % 2];
        assert_eq!(look(&pages, &keys[index]).await, Lookup::Miss);
        put(&pages, &keys[index], &page).await;
        assert_eq!(look(&elsewhere, &keys[index]).await, Lookup::Hit(page));
    }
    let other = RedisPages::new(&url, "storefront:43", CacheTtl::default(), u64::MAX).unwrap();
    assert_eq!(look(&other, &KEY).await, Lookup::Miss);
    pages.clone().forget(&KEY).await;
    assert_eq!(look(&elsewhere, &KEY).await, Lookup::Miss);
}

#[tokio::test]
async fn each_class_of_pages_is_kept_for_its_time() {
    let url = Redis::shared().fresh_url();
    let (pages, mut raw) = (pages(&url), Raw::open(&url).await);
    let categories = PageKey {
        kind: CachedKind::Categories,
        ..KEY
    };
    let gone = CachedPage {
        status: Cached::Gone,
        ..page(b"{}")
    };
    for (key, page, seconds) in [
        (KEY, page(b"{}"), 7 * 24 * 3600),
        (categories, page(b"[]"), 24 * 3600),
        (KEY, gone.clone(), 600),
        (categories, gone, 600),
    ] {
        put(&pages, &key, &page).await;
        let name = NAME.replace("detail", key.kind.as_str());
        let left: i64 = raw.ask(&[b"TTL", name.as_bytes()]).await;
        assert!((seconds - 60..=seconds).contains(&left), "{left} {seconds}");
    }
    let never = CacheTtl {
        detail: Duration::ZERO,
        ..CacheTtl::default()
    };
    let url = Redis::shared().fresh_url();
    let pages = RedisPages::new(&url, "storefront:42", never, u64::MAX).unwrap();
    pages.put(&KEY, &page(b"{}")).await;
    assert_eq!(look(&pages, &KEY).await, Lookup::Miss);
}

#[tokio::test]
async fn a_broken_entry_is_a_miss_and_gone() {
    let url = Redis::shared().fresh_url();
    let (pages, mut raw) = (pages(&url), Raw::open(&url).await);
    put(&pages, &KEY, &page(b"{\"id\":1}")).await;
    let entry = raw.entry(NAME).await;
    let mut broken = vec![b"x".to_vec(), [entry.as_slice(), b"\n"].concat()];
    for position in 0..entry.len() {
        for flipped in [0x01, 0x80, 0xFF] {
            let mut other = entry.clone();
            other[position] ^= flipped;
            broken.push(other);
        }
        if position > 0 {
            broken.push(entry[..position].to_vec());
        }
    }
    for value in broken {
        raw.set(NAME, &value).await;
        assert_eq!(look(&pages, &KEY).await, Lookup::Miss, "{value:?}");
        assert!(!raw.has(NAME).await, "{value:?}");
    }
    raw.ask::<()>(&[b"RPUSH", NAME.as_bytes(), b"a list"]).await;
    assert_eq!(look(&pages, &KEY).await, Lookup::Miss);
    assert!(!raw.has(NAME).await);
    put(&pages, &KEY, &page(b"{}")).await;
}

#[tokio::test]
async fn an_entry_of_another_page_is_a_miss_and_gone() {
    let url = Redis::shared().fresh_url();
    let (pages, mut raw) = (pages(&url), Raw::open(&url).await);
    put(&pages, &KEY, &page(b"{}")).await;
    let entry = raw.entry(NAME).await;
    let categories = CachedKind::Categories;
    let ours = "storefront:42";
    for (origin, key, from, to) in [
        (ours, PageKey { spid: None, ..KEY }, "-9", "-"),
        (
            ours,
            PageKey {
                spid: Some(9),
                ..KEY
            },
            "-9",
            "9",
        ),
        (ours, PageKey { subject: 7, ..KEY }, "74021317", "7"),
        (
            ours,
            PageKey {
                source: "html",
                ..KEY
            },
            "api",
            "html",
        ),
        (
            ours,
            PageKey {
                kind: categories,
                ..KEY
            },
            "detail",
            "categories",
        ),
        ("tiki.vn", KEY, "storefront%3A42", "tiki.vn"),
    ] {
        let name = NAME.replace(from, to);
        let pages = RedisPages::new(&url, origin, CacheTtl::default(), u64::MAX).unwrap();
        raw.set(&name, &entry).await;
        assert_eq!(look(&pages, &key).await, Lookup::Miss, "{name}");
        assert!(!raw.has(&name).await, "{name}");
    }
    assert_eq!(look(&pages, &KEY).await, Lookup::Hit(page(b"{}")));
}

#[tokio::test]
async fn an_entry_that_is_too_long_is_neither_put_nor_read_whole() {
    let redis = Redis::start();
    let url = redis.url(1);
    let (pages, mut raw) = (pages(&url), Raw::open(&url).await);
    pages
        .put(&KEY, &page(&vec![0; CACHED_BODY_MAX_BYTES + 1]))
        .await;
    assert!(!raw.has(NAME).await);
    put(&pages, &KEY, &page(b"{}")).await;
    let end = (64 << 20).to_string();
    raw.ask::<()>(&[b"SETRANGE", NAME.as_bytes(), end.as_bytes(), b"x"])
        .await;
    let before: u64 = raw.info("stats", "total_net_output_bytes").await;
    assert_eq!(look(&pages, &KEY).await, Lookup::Miss);
    assert!(!raw.has(NAME).await);
    let after: u64 = raw.info("stats", "total_net_output_bytes").await;
    let read = after - before;
    assert!(read < 8 << 20, "{read} bytes were read");
}

#[tokio::test]
async fn slow_nothing_is_put_while_the_server_is_full() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut redis = Redis::start();
    let url = redis.url(1);
    let mut raw = Raw::open(&url).await;
    let used: u64 = raw.info("memory", "used_memory").await;
    let told = pages(&url).memory().await.expect("a memory");
    assert!(told.abs_diff(used) < 8 << 20, "{told} bytes, not {used}");

    let limit = used + (2 << 20);
    let pages = RedisPages::new(&url, "a", CacheTtl::default(), limit).unwrap();
    let body = page(&vec![b'x'; 200 << 10]);
    for subject in 0..40 {
        pages.put(&PageKey { subject, ..KEY }, &body).await;
    }
    let asked: String = raw.info("commandstats", "cmdstat_info").await;
    let times = asked.strip_prefix("calls=").unwrap().split(',').next();
    let times: u32 = times.unwrap().parse().unwrap();
    // Two are of this test; a machine that is very slow may need a second reading.
    assert!(times <= 6, "the memory is read for each page: {times}");
    let kept: u64 = raw.ask(&[b"DBSIZE"]).await;
    assert!((1..=10).contains(&kept), "{kept} pages of 200 KiB in 2 MiB");
    assert_eq!(log.count("WARN message=Redis is full"), 1);
    redis.flush();
    // The memory is read again after a while.
    put(&pages, &KEY, &body).await;
    assert_eq!(log.count("WARN message=Redis is full"), 1);

    let mut raw = Raw::open(&url).await;
    raw.ask::<()>(&[b"CONFIG", b"SET", b"maxmemory", b"100kb"])
        .await;
    let pages = RedisPages::new(&url, "a", CacheTtl::default(), u64::MAX).unwrap();
    let other = PageKey { subject: 1, ..KEY };
    pages.put(&other, &body).await;
    assert_eq!(look(&pages, &KEY).await, Lookup::Hit(body));
    assert_eq!(look(&pages, &other).await, Lookup::Miss);
    assert_eq!(log.count("WARN message=Redis is full"), 2);
}

/// A server is lost while it is used; calls go on, say so once, and use it when it is back.
async fn check_a_loss(lose: fn(&mut Redis), recover: fn(&mut Redis)) {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut redis = Redis::start();
    let pages = pages(&redis.url(1));
    put(&pages, &KEY, &page(b"{}")).await;
    let (lost, back) = (log.count("WARN"), log.count("INFO"));
    lose(&mut redis);
    let begun = Instant::now();
    assert_eq!(pages.get(&KEY).await, Lookup::Lost);
    assert!(begun.elapsed() < Duration::from_secs(1));
    let begun = Instant::now();
    for _ in 0..100 {
        pages.put(&KEY, &page(b"{}")).await;
        assert_eq!(pages.get(&KEY).await, Lookup::Lost);
        assert_eq!(pages.memory().await, None);
    }
    // Asked each time, a server that does not answer would take 300 times its patience.
    assert!(begun.elapsed() < crawl::CACHE_PATIENCE * 100);
    assert_eq!(log.count("WARN"), lost + 1);
    assert_eq!(log.count("message=Redis is lost"), lost + 1);
    recover(&mut redis);
    put(&pages, &KEY, &page(b"[]")).await;
    assert_eq!(log.count("INFO"), back + 1);
    assert_eq!(log.count("message=Redis answers again"), back + 1);
}

#[tokio::test]
async fn slow_a_server_that_is_killed_is_lost_until_it_is_back() {
    check_a_loss(Redis::kill, Redis::restart).await;
}

#[tokio::test]
async fn slow_a_server_that_stops_answering_is_lost_until_it_answers() {
    check_a_loss(Redis::pause, Redis::resume).await;
}

#[tokio::test]
async fn slow_a_server_that_restarts_is_found_again_and_empty() {
    let mut redis = Redis::start();
    let pages = pages(&redis.url(1));
    put(&pages, &KEY, &page(b"{}")).await;
    redis.flush();
    assert_eq!(look(&pages, &KEY).await, Lookup::Miss);
    put(&pages, &KEY, &page(b"{}")).await;
    redis.restart();
    assert_eq!(look(&pages, &KEY).await, Lookup::Miss);
    put(&pages, &KEY, &page(b"{}")).await;
}

#[tokio::test]
async fn a_server_that_never_answered_is_lost_at_once() {
    let mut redis = Redis::start();
    let stopped = pages(&redis.url(1));
    redis.pause();
    let nobody = pages(&format!("redis://127.0.0.1:{}", testkit::free_port()));
    for pages in [stopped, nobody] {
        let begun = Instant::now();
        pages.put(&KEY, &page(b"{}")).await;
        assert_eq!(pages.get(&KEY).await, Lookup::Lost);
        pages.forget(&KEY).await;
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn a_database_is_named_and_never_the_brokers() {
    for (url, own) in [
        ("redis://h", "redis://h/1"),
        ("redis://h/", "redis://h/1"),
        ("redis://h:6380/3", "redis://h:6380/3"),
        ("redis://h/03/", "redis://h/3"),
        ("redis://me:p%40ss@[::1]:1/2", "redis://me:p%40ss@[::1]:1/2"),
        ("redis://h?protocol=resp3", "redis://h/1?protocol=resp3"),
    ] {
        assert_eq!(own_database(url).as_deref(), Ok(own), "{url}");
        assert_eq!(own_database(own).as_deref(), Ok(own), "{url}");
    }
    let (none, number) = (CacheError::Url, CacheError::Database);
    for (url, error) in [
        ("redis://h/0", &CacheError::BrokerDatabase),
        ("redis://me:hunter2@h//00/", &CacheError::BrokerDatabase),
        ("redis://me:hunter2@h/-0", &number),
        ("redis://me:hunter2@h/%30", &number),
        ("redis://me:hunter2@h/one", &number),
        ("redis://me:hunter2@h/1/2", &number),
        ("redis://me:hunter2@h/99999999999", &number),
        ("redis://me:hunter2@h?protocol=7", &none),
        ("redis://me:hunter2@/1", &none),
        ("http://me:hunter2@h/1", &none),
        ("rediss://me:hunter2@h/1", &none),
        ("me:hunter2@h", &none),
        ("", &none),
    ] {
        let refused = RedisPages::new(url, "a", CacheTtl::default(), 0).unwrap_err();
        assert_eq!((&refused, own_database(url).as_ref()), (error, Err(error)));
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_password_is_used_and_never_shown() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let redis = Redis::start();
    let mut raw = Raw::open(&redis.url(1)).await;
    raw.ask::<()>(&[b"CONFIG", b"SET", b"requirepass", b"hunter2"])
        .await;
    let url = redis.url(1).replace("redis://", "redis://:hunter2@");
    let right = pages(&url);
    put(&right, &KEY, &page(b"{}")).await;
    raw.ask::<()>(&[b"CONFIG", b"SET", b"requirepass", b"another"])
        .await;
    for url in [url.clone(), url + "?protocol=resp3"] {
        let wrong = pages(&url);
        assert_eq!(wrong.get(&KEY).await, Lookup::Lost);
        assert!(!format!("{wrong:?} {wrong:#?}").contains("hunter2"));
    }
    assert!(log.count("WARN message=Redis is lost") >= 2);
    assert_eq!(log.count("hunter2"), 0);
}
