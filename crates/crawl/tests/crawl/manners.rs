//! robots.txt is read and obeyed, and no client is made that may ask too fast.

use std::time::Duration;

use catalog::{Order, Slice};
use crawl::{
    Ask, Client, ClientError, FetchErrorKind as Kind, Gate, Origin, PermitError, Rate, RateError,
    Retry, Robots, Settings,
};

use crate::site::{DETAIL, JSON, Site, client, json, reply};

const LISTING: Ask = Ask::Listing {
    category: 8322,
    page: 2,
    slice: Slice {
        price: Some((0, 99_000)),
        brand: Some(5),
        seller: None,
        order: Order::Newest,
        again: false,
    },
};

#[tokio::test]
async fn a_disallowed_path_is_never_asked() {
    let rules = "User-agent: *\nDisallow: /api/personalish/\nCrawl-delay: 3\n";
    let site = Site::start(move |seen| match seen.path.as_str() {
        "/robots.txt" => reply(200, &[("content-type", "text/html")], rules),
        _ => json("{}"),
    })
    .await;
    let client = client(site.settings());
    let robots = client.read_robots().await.unwrap();
    assert_eq!(robots.crawl_delay(), Some(Duration::from_secs(3)));
    let refused = client.fetch(&LISTING, &robots).await.unwrap_err().kind;
    assert!(
        matches!(&refused, Kind::Refused { status: None, marker, challenge: false } if marker.contains("robots.txt"))
    );
    assert_eq!(refused.retry(), Retry::Stop);
    client.fetch(&DETAIL, &robots).await.unwrap();
    let paths: Vec<_> = site.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/robots.txt".to_owned(), DETAIL.path()]);
}

#[tokio::test]
async fn no_robots_allows_all_and_an_unreadable_one_nothing() {
    for status in [400, 401, 403, 404, 410] {
        let site = Site::start(move |_| reply(status, &[], "no")).await;
        let robots = client(site.settings()).read_robots().await.unwrap();
        assert!(robots.allows(&LISTING) && robots.text().is_empty());
    }
    let html = ("content-type", "text/html");
    for (status, headers, body) in [
        (500, vec![], ""),
        (503, vec![("retry-after", "60")], ""),
        (429, vec![], ""),
        (302, vec![("location", "/login")], ""),
        (200, vec![html], "<html>_wafchallengeid</html>"),
        (403, vec![html], "<html>_wafchallengeid</html>"),
        (200, vec![html], "<!doctype html><title>Trang chủ</title>"),
    ] {
        let site = Site::start(move |_| reply(status, &headers, body)).await;
        let error = client(site.settings()).read_robots().await.unwrap_err();
        assert!(
            error.to_string().ends_with("nothing may be asked"),
            "{error}"
        );
        assert_eq!(site.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_robots_text_of_megabytes_is_read_as_far_as_it_has_to_be() {
    let mut text = "User-agent: *\nDisallow: /api/personalish/\n".to_owned();
    text.push_str(&"# nothing here\n".repeat(300_000));
    let site = Site::start(move |_| reply(200, &[], text.clone())).await;
    let robots = client(site.settings()).read_robots().await.unwrap();
    assert!(robots.text().len() <= crawl::ROBOTS_MAX_BYTES && !robots.allows(&LISTING));
    assert_eq!(site.seen()[0].headers["accept-encoding"], "identity");
}

#[test]
fn a_site_cannot_be_asked_too_fast_or_without_permits() {
    let site = || Settings::new(Origin::parse("https://tiki.vn").unwrap());
    let client = |gate| Client::new(site(), gate);
    let error = client(Gate::new(Rate::Off, None)).unwrap_err();
    assert!(matches!(error, ClientError::Rate(RateError::Off(_))));
    let error = client(Gate::new(Rate::Every(Duration::from_millis(199)), None)).unwrap_err();
    assert!(matches!(
        error,
        ClientError::Rate(RateError::TooFast { .. })
    ));
    let error = client(Gate::new(Rate::Every(Duration::from_millis(500)), None)).unwrap_err();
    assert!(matches!(error, ClientError::Permits(PermitError::NoSource)));
    for agent in ["", " x", "tiki\n", "tiki é"] {
        let mut settings = Settings::new(Origin::parse("http://127.0.0.1:1").unwrap());
        agent.clone_into(&mut settings.user_agent);
        let error = Client::new(settings, Gate::new(Rate::Off, None)).unwrap_err();
        assert!(matches!(error, ClientError::UserAgent), "{agent:?}");
    }
}

#[tokio::test]
async fn only_so_many_requests_are_in_flight() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (server_now, server_most) = (Arc::clone(&now), Arc::clone(&most));
    let site = Site::start(move |_| {
        let in_flight = server_now.fetch_add(1, Ordering::SeqCst) + 1;
        server_most.fetch_max(in_flight, Ordering::SeqCst);
        let leaving = Arc::clone(&server_now);
        // The body ends a few turns later; only then is the request over.
        let body = futures_util::stream::once(async move {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            leaving.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>("{}")
        });
        reply(200, &[JSON], axum::body::Body::from_stream(body))
    })
    .await;
    let mut settings = site.settings();
    settings.max_in_flight = 3;
    let client = client(settings);
    let robots = Robots::allow_all();
    let asked = (0..30).map(|_| client.fetch(&DETAIL, &robots));
    for answer in futures_util::future::join_all(asked).await {
        answer.unwrap();
    }
    assert_eq!(
        (now.load(Ordering::SeqCst), most.load(Ordering::SeqCst)),
        (0, 3)
    );
}
