//! Bodies are kept as received and read within limits.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use catalog::{BodyError, Encoding};
use crawl::{FetchErrorKind as Kind, Retry};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};

use crate::site::{JSON, Site, client, fetch, good, json, reply};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn gzipped(body: Vec<u8>) -> Response {
    reply(200, &[JSON, ("content-encoding", "gzip")], body)
}

/// A body in chunks, without a length before it, that ends only if it is told to.
fn streamed(chunks: usize, size: usize, ends: bool) -> Body {
    let chunk = move |number| {
        let mut bytes = vec![b' '; size];
        if number == 0 {
            bytes[0] = b'[';
        }
        Ok::<_, std::io::Error>(bytes)
    };
    let begun = stream::iter((0..chunks).map(chunk));
    if ends {
        Body::from_stream(begun)
    } else {
        Body::from_stream(begun.chain(stream::pending()))
    }
}

async fn failed(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Kind {
    let site = Site::start(move |_| answer()).await;
    let mut settings = site.settings();
    settings.limits.max_stored_bytes = 100_000;
    settings.limits.max_bytes = 1_000_000;
    fetch(&client(settings))
        .await
        .expect_err("a body that cannot be read")
}

#[tokio::test]
async fn a_gzip_body_stays_as_received() {
    let text = format!("{{\"id\":7,\"name\":\"{}\"}}", "áo dài ".repeat(5000));
    let packed = gzip(text.as_bytes());
    let sent = packed.clone();
    let site = Site::start(move |_| gzipped(sent.clone())).await;
    let page = good(site.fetch().await);
    assert_eq!(
        (&page.body[..], page.encoding),
        (&packed[..], Encoding::Gzip)
    );
    assert_eq!(page.unpacked, text);
}

#[tokio::test]
async fn a_body_in_chunks_is_put_together() {
    let site = Site::start(|_| json(streamed(50, 1000, true))).await;
    let page = good(site.fetch().await);
    assert_eq!(
        (page.body.len(), page.encoding),
        (50_000, Encoding::Identity)
    );
    assert_eq!(page.body, page.unpacked);
}

#[tokio::test]
async fn a_body_over_a_limit_is_not_taken_in() {
    let told = failed(|| json(vec![b'['; 200_000])).await;
    assert!(
        matches!(
            told,
            Kind::Body(BodyError::TooLarge {
                bytes: 200_000,
                max: 100_000
            })
        ),
        "{told:?}"
    );
    // It would never end.
    let endless = failed(|| json(streamed(200, 1000, false))).await;
    assert!(
        matches!(endless, Kind::Body(BodyError::TooLarge { .. })),
        "{endless:?}"
    );
    let large = failed(|| {
        let noisy: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| n.to_string().into_bytes())
            .collect();
        gzipped(gzip(&noisy)[..90_000].to_vec())
    });
    assert!(matches!(large.await, Kind::Body(_)));
    let bomb = failed(|| gzipped(gzip(&vec![b' '; 20_000_000]))).await;
    assert!(
        matches!(
            bomb,
            Kind::Body(BodyError::RatioTooHigh { .. } | BodyError::TooLargeUnpacked { .. })
        ),
        "{bomb:?}"
    );
    let deep = failed(|| json("[".repeat(90_000))).await;
    assert!(
        matches!(deep, Kind::Body(BodyError::TooDeep { .. })),
        "{deep:?}"
    );
    for error in [told, endless, bomb, deep] {
        assert_eq!(error.retry(), Retry::Never, "{error:?}");
    }
}

#[tokio::test]
async fn a_damaged_body_is_worth_another_try() {
    let cut = failed(|| gzipped(gzip(&[b'['; 5000])[..20].to_vec())).await;
    assert!(matches!(cut, Kind::Body(BodyError::Truncated)), "{cut:?}");
    let noise = failed(|| gzipped(b"{\"id\":7,\"name\":\"no gzip at all\"}".to_vec())).await;
    assert!(
        matches!(noise, Kind::Body(BodyError::Corrupt(_))),
        "{noise:?}"
    );
    let torn = failed(|| {
        let broken = stream::iter([Ok("{\"id\""), Err(std::io::Error::other("torn"))]);
        json(Body::from_stream(broken))
    });
    let torn = torn.await;
    assert!(matches!(torn, Kind::Interrupted(_)), "{torn:?}");
    for error in [cut, noise, torn] {
        assert_eq!(error.retry(), Retry::Backoff, "{error:?}");
    }
}

#[tokio::test]
async fn an_encoding_nobody_asked_for_is_refused() {
    let kind = failed(|| reply(200, &[JSON, ("content-encoding", "br")], "{}")).await;
    assert!(
        matches!(&kind, Kind::Encoding(name) if name == "br"),
        "{kind:?}"
    );
    assert_eq!(kind.retry(), Retry::Never);
}

#[tokio::test]
async fn the_time_out_is_for_the_whole_request() {
    for status in [200, 404] {
        let site = Site::start(move |_| reply(status, &[JSON], streamed(3, 10, false))).await;
        let mut settings = site.settings();
        settings.request_timeout = Duration::from_millis(300);
        let kind = fetch(&client(settings)).await.unwrap_err();
        assert!(matches!(kind, Kind::Timeout(_)), "{kind:?}");
        assert_eq!(kind.retry(), Retry::Backoff);
    }
    // What the status says already is not lost to a body that does not end.
    let site = Site::start(|_| reply(429, &[("retry-after", "9")], streamed(3, 10, false))).await;
    let kind = site.fetch().await.unwrap_err();
    assert_eq!(
        kind.retry(),
        Retry::After(Duration::from_secs(9)),
        "{kind:?}"
    );
}
