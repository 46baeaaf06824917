//! Faults of the wire: slow, huge, deep and packed bodies, redirects, resets, throttles, and how
//! all that is counted.

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use storefront::{Faults, Misbehaviour, RouteClass, When};
use support::{Shop, generated, unpack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATH: &str = "/api/v2/categories?parent_id=2&include=children";

impl Shop {
    fn spoil(&self, what: Misbehaviour) {
        let faults = Faults::one(RouteClass::Any, When::Always, what);
        self.site.set_faults(&faults).expect("good faults");
    }

    /// An answer whose headers are here and whose body is not.
    async fn begin(&self) -> reqwest::Response {
        let url = format!("{}{PATH}", self.site.base_url());
        let answer = tokio::time::timeout(Duration::from_secs(30), self.client.get(url).send());
        answer.await.expect("headers at once").expect("an answer")
    }

    async fn wait_for(&self, is_so: impl Fn(&storefront::Counts) -> bool) {
        let patience = Instant::now() + Duration::from_secs(30);
        while !is_so(&self.site.counts()) {
            assert!(Instant::now() < patience, "{:?}", self.site.counts());
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_slow_body_comes_after_its_headers_and_is_good() {
    let shop = Shop::open(generated(50)).await;
    let good = shop.get(PATH).await;
    shop.spoil(Misbehaviour::SlowBody { ms: 200 });
    let before = Instant::now();
    assert_eq!(shop.get(PATH).await.body, good.body);
    assert!(before.elapsed() >= Duration::from_millis(200));
    let packed = shop.ask(PATH, "gzip").await.expect("an answer");
    assert_eq!(unpack(&packed.body).expect("gzip"), good.body);
    let sent = (2 * good.body.len() + packed.body.len()) as u64;
    shop.wait_for(|counts| counts.body_bytes == sent).await;

    shop.site.restart_counts();
    shop.spoil(Misbehaviour::SlowBody { ms: 120_000 });
    let waiting = shop.begin().await;
    assert_eq!(waiting.content_length(), Some(good.body.len() as u64));
    shop.site.set_faults(&Faults::none()).expect("no faults");
    shop.get(PATH).await;
    assert_eq!(
        shop.site.counts().most_in_flight,
        2,
        "the slow one is still on its way"
    );
}

#[tokio::test]
async fn a_body_trickles_byte_by_byte() {
    let shop = Shop::open(generated(50)).await;
    let good = shop.get(PATH).await;
    shop.spoil(Misbehaviour::Trickle {
        bytes_per_second: 10,
    });
    let mut answer = shop.begin().await;
    let mut got = Vec::new();
    while got.len() < 3 {
        got.extend(answer.chunk().await.expect("more").expect("no end yet"));
    }
    assert_eq!(got, good.body[..got.len()]);
    assert!(got.len() < good.body.len() / 2);

    shop.spoil(Misbehaviour::Trickle {
        bytes_per_second: 1_000_000,
    });
    assert_eq!(shop.get(PATH).await.body, good.body);
}

#[tokio::test]
async fn a_bomb_is_one_gzip_member_a_thousandth_of_its_size() {
    let shop = Shop::open(generated(10)).await;
    shop.spoil(Misbehaviour::GzipBomb { gigabytes: 1 });
    let answer = shop.ask(PATH, "identity").await.expect("a whole answer");
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(answer.header("content-length"), "");
    assert!(answer.body.len() < 1_200_000, "{}", answer.body.len());
    // Ends at the first member's end, and checks its sum and its length.
    let mut reader = flate2::bufread::GzDecoder::new(answer.body.as_slice());
    let (mut piece, mut plain, mut last) = (vec![0; 1 << 20], 0_u64, Vec::new());
    loop {
        let read = reader.read(&mut piece).expect("gzip");
        if read == 0 {
            break;
        }
        plain += read as u64;
        last = piece[read.saturating_sub(3)..read].to_vec();
    }
    assert_eq!(plain, 1_000_000_002);
    assert!(b" {}".ends_with(&last), "{last:?}");
    assert!(reader.into_inner().is_empty(), "nothing after the member");
}

#[tokio::test]
async fn huge_and_deep_bodies_are_json() {
    let shop = Shop::open(generated(10)).await;
    shop.spoil(Misbehaviour::Huge { megabytes: 3 });
    let answer = shop.ask(PATH, "gzip").await.expect("an answer");
    assert_eq!(answer.body.len(), 3_000_000);
    assert_eq!(answer.header("content-length"), "");
    assert!(answer.json()["padding"].is_string());
    shop.wait_for(|counts| counts.body_bytes == 3_000_000).await;

    for depth in [1_u32, 2, 100, 5_000] {
        shop.spoil(Misbehaviour::DeepJson { depth });
        let text = shop.get(PATH).await.text();
        let opened = text.matches(['{', '[']).count();
        let closed = text.matches(['}', ']']).count();
        assert_eq!((opened, closed), (depth as usize, depth as usize));
        // The parser gives up at 128 levels.
        let parsed = serde_json::from_str::<serde_json::Value>(&text);
        assert_eq!(parsed.is_ok(), depth < 128, "{depth}");
    }
}

#[tokio::test]
async fn a_connection_is_reset_and_counted_without_a_status() {
    let shop = Shop::open(generated(10)).await;
    shop.spoil(Misbehaviour::Reset);
    let address = shop.site.base_url().replace("http://", "");
    let mut line = tokio::net::TcpStream::connect(&address)
        .await
        .expect("a connection");
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    line.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let error = line.read_to_end(&mut answer).await.expect_err("no end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(answer.is_empty(), "{answer:?}");
    let counts = shop.site.counts();
    assert_eq!((counts.requests, counts.faults), (1, 1));
    assert!(counts.statuses.is_empty(), "{counts:?}");
    assert!(shop.ask(PATH, "identity").await.is_err());
    shop.site.set_faults(&Faults::none()).expect("no faults");
    assert_eq!(shop.get(PATH).await.status, 200);
}

#[tokio::test]
async fn redirects_go_where_they_are_told() {
    let shop = Shop::open(generated(10)).await;
    for to in [
        "https://user:secret@example.invalid:8443/x?y=1",
        "//example.invalid/",
        "ftp://example.invalid",
        "../up",
        "",
    ] {
        shop.spoil(Misbehaviour::RedirectTo { to: to.to_owned() });
        let answer = shop.get(PATH).await;
        assert_eq!((answer.status, answer.header("location")), (302, to));
    }
    shop.spoil(Misbehaviour::RedirectLoop);
    for path in [PATH, "/robots.txt"] {
        let answer = shop.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (302, path));
    }
}

#[tokio::test]
async fn faults_outside_their_bounds_are_refused() {
    let shop = Shop::open(generated(10)).await;
    for bad in [
        r#"{"slow_body":{"ms":120001}}"#,
        r#"{"trickle":{"bytes_per_second":0}}"#,
        r#"{"gzip_bomb":{"gigabytes":0}}"#,
        r#"{"gzip_bomb":{"gigabytes":65}}"#,
        r#"{"huge":{"megabytes":10001}}"#,
        r#"{"deep_json":{"depth":1000001}}"#,
        r#"{"drop_share":{"field":"x","percent":101}}"#,
        r#"{"change_price":{"percent":0}}"#,
        r#"{"change_price":{"percent":-100}}"#,
        r#"{"redirect_to":{"to":"a\nb"}}"#,
    ] {
        let faults = format!(r#"{{"rules":[{{"route":"any","when":"always","what":{bad}}}]}}"#);
        assert_eq!(
            shop.post("/__storefront/faults", faults).await.status,
            400,
            "{bad}"
        );
    }
    let bad = r#"{"rules":[{"route":"any","only":{"subject":1,"more":2},"when":"always",
        "what":"reset"}]}"#;
    let answer = shop.post("/__storefront/faults", bad.to_owned()).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_throttle_may_tire_of_a_crawler_however_slow_it_is() {
    let shop = Shop::open(generated(10)).await;
    let faults = r#"{"throttle":{"per_second":1000000,"burst":1000,"sticky_ms":60000,"after":3}}"#;
    let set = shop.post("/__storefront/faults", faults.to_owned()).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(shop.get(PATH).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let brief = faults.replace("60000", "1");
    shop.post("/__storefront/faults", brief).await;
    for _ in 0..4 {
        shop.get(PATH).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(shop.get(PATH).await.status, 200, "left alone for a while");
}

#[tokio::test]
async fn the_seconds_of_a_crawl_are_told_from_a_new_start() {
    let shop = Shop::open(generated(10)).await;
    shop.get(PATH).await;
    let again = shop.post("/__storefront/counts", String::new()).await;
    assert_eq!((again.status, &again.json()["requests"]), (200, &0.into()));
    assert!(shop.site.seconds().seconds.is_empty());
    for _ in 0..7 {
        shop.get(PATH).await;
    }
    let told = shop.json("/__storefront/seconds").await;
    let seconds = told["seconds"].as_array().expect("seconds");
    let sum: u64 = seconds.iter().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(sum, 7, "{told}");
    assert!((1..=7).contains(&told["busiest_second"].as_u64().expect("a number")));
    assert_eq!(shop.site.counts().most_in_flight, 1);
}
