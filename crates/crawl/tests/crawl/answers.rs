//! What each kind of answer is to the one who asked.

use std::time::Duration;

use crawl::{Answer, Ask, FetchErrorKind as Kind, Origin, Retry, Robots, Settings};

use crate::site::{DETAIL, JSON, Site, client, fetch, good, json, reply};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const CHALLENGE: &str =
    "<html><script>document.cookie='_wafchallengeid=1'</script>Please wait</html>";
const CAPTCHA: &str = "<!doctype html><body><div id=\"TTGCaptcha\"></div>";

type Reply = (u16, &'static [(&'static str, &'static str)], &'static str);

async fn refused(reply_with: Reply) -> Kind {
    let (status, headers, body) = reply_with;
    let site = Site::start(move |_| reply(status, headers, body)).await;
    let kind = site.fetch().await.expect_err(body);
    assert_eq!(
        site.seen().len(),
        1,
        "nothing is repeated, nothing followed"
    );
    kind
}

#[tokio::test]
async fn a_refusal_stops_the_step_and_says_what_was_seen() {
    let json: &[_] = &[JSON];
    let html: &[_] = &[("content-type", "text/html")];
    let cases: [(Reply, &str); 8] = [
        ((403, &[], ""), "403"),
        ((401, json, "{}"), "401"),
        ((200, html, CHALLENGE), "_wafchallengeid"),
        ((200, json, CHALLENGE), "_wafchallengeid"),
        ((200, html, CAPTCHA), "TTGCaptcha"),
        ((403, html, CHALLENGE), "_wafchallengeid"),
        ((404, html, CAPTCHA), "TTGCaptcha"),
        ((503, html, CHALLENGE), "_wafchallengeid"),
    ];
    for (answer, seen) in cases {
        let kind = refused(answer).await;
        assert!(
            matches!(
                kind,
                Kind::Refused { status: Some(_), challenge, .. }
                    if challenge != matches!(seen, "401" | "403")
            ),
            "{kind:?}"
        );
        assert_eq!(kind.retry(), Retry::Stop);
        assert!(
            kind.to_string().contains(seen),
            "{kind} does not name {seen}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_asks_for_patience_gets_it() {
    let seconds = |n| Some(Duration::from_secs(n));
    let cases: [(Reply, Option<Duration>); 7] = [
        ((429, &[("retry-after", "120")], "slow down"), seconds(120)),
        (
            (
                429,
                &[
                    ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"),
                    ("date", DATE),
                ],
                "",
            ),
            seconds(30),
        ),
        ((429, &[], ""), None),
        ((503, &[("retry-after", "0")], "busy"), None),
        ((503, &[("retry-after", "7")], "busy"), seconds(7)),
        ((500, &[("retry-after", "999999")], "busy"), seconds(3600)),
        ((502, &[], ""), None),
    ];
    for (answer, wait) in cases {
        let kind = refused(answer).await;
        let throttled = matches!(kind, Kind::Throttled { .. });
        assert_eq!(throttled, answer.0 == 429, "{kind:?}");
        assert_eq!(
            kind.retry(),
            wait.map_or(Retry::Backoff, Retry::After),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn other_statuses_and_redirects_are_not_repeated() {
    let elsewhere = refused((302, &[("location", "http://evil.example/x?token=1")], "")).await;
    assert!(matches!(&elsewhere, Kind::Redirect { to } if to == "http://evil.example/x"));
    assert_eq!(elsewhere.retry(), Retry::Never);
    let home = refused((301, &[("location", "/")], "")).await;
    assert!(
        matches!(&home, Kind::Redirect { to } if to.ends_with('/')),
        "{home:?}"
    );
    for status in [204, 206, 400, 405, 451] {
        let kind = refused((status, &[], "")).await;
        assert!(
            matches!(kind, Kind::Status(told) if told == status),
            "{kind:?}"
        );
        assert_eq!(kind.retry(), Retry::Never);
    }
    assert_eq!(refused((408, &[], "")).await.retry(), Retry::Backoff);
}

#[tokio::test]
async fn what_is_no_json_is_no_page() {
    let json: &[_] = &[JSON];
    let html: &[_] = &[("content-type", "text/html")];
    let cases: [Reply; 6] = [
        (200, html, "<html><body>Xin chào</body></html>"),
        (200, json, ""),
        (200, json, "  \n"),
        (200, json, "null"),
        (
            200,
            &[("content-type", "text/html; charset=utf-8")],
            "{\"id\":7}",
        ),
        (200, &[("content-type", "image/png")], "PNG"),
    ];
    for answer in cases {
        let kind = refused(answer).await;
        assert!(matches!(kind, Kind::NotJson { .. }), "{kind:?}");
        assert_eq!(kind.retry(), Retry::Backoff);
    }
    for body in ["{\"id\":7}", "\u{feff} [1]"] {
        let site = Site::start(move |_| reply(200, &[], body)).await;
        assert_eq!(good(site.fetch().await).body, body);
    }
}

#[tokio::test]
async fn gone_is_an_answer() {
    for status in [404, 410] {
        let site = Site::start(move |_| reply(status, &[JSON, ("date", DATE)], "{}")).await;
        match site.fetch().await {
            Ok(Answer::Gone { status: told, page }) => {
                assert_eq!(
                    (told, page.status, &page.body[..]),
                    (status, status, &b"{}"[..])
                );
                let date = page.site_date.unwrap().to_string();
                assert_eq!(date, "1994-11-06T08:49:37.000Z");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_a_cache_kept_tells_no_time() {
    for (age, told) in [
        ("0", true),
        ("1000", false),
        ("99999999999999999999", false),
    ] {
        let headers = [JSON, ("date", DATE), ("age", age)];
        let site = Site::start(move |_| reply(200, &headers, "{}")).await;
        let page = good(site.fetch().await);
        assert_eq!(page.site_date.is_some(), told, "{age}");
    }
}

#[tokio::test]
async fn a_request_is_honest_and_says_what_it_can_read() {
    let site = Site::start(|_| json("{}")).await;
    let mut settings = site.settings();
    settings.user_agent = Settings::honest_user_agent(Some("https://example.com/crawler"));
    let page = good(fetch(&client(settings)).await);
    assert_eq!(page.content_type.as_deref(), Some(JSON.1));
    assert!(page.site_date.is_some());
    let seen = &site.seen()[0];
    assert_eq!(seen.path, "/api/v2/products/7?platform=web&spid=8");
    for (name, value) in [
        (
            "user-agent",
            concat!(
                "tiki-data-pipeline/",
                env!("CARGO_PKG_VERSION"),
                " (+https://example.com/crawler)"
            ),
        ),
        ("accept", "application/json"),
        ("accept-language", "vi-VN,vi"),
        ("accept-encoding", "gzip"),
    ] {
        assert_eq!(seen.headers[name], value);
    }
    assert!(!seen.headers.contains_key("cookie") && !seen.headers.contains_key("referer"));
}

#[tokio::test]
async fn requests_share_connections() {
    let site = Site::start(|seen| match seen.path.as_str() {
        path if path.contains("/1?") => reply(500, &[], "oh"),
        path if path.contains("/2?") => reply(404, &[JSON], "{}"),
        _ => json("{\"id\":7}"),
    })
    .await;
    let client = client(site.settings());
    for product in 0..20 {
        let ask = Ask::Detail {
            product: product % 4,
            spid: None,
        };
        drop(client.fetch(&ask, &Robots::allow_all()).await);
    }
    let mut peers: Vec<_> = site.seen().iter().map(|seen| seen.peer).collect();
    peers.dedup();
    assert_eq!((site.seen().len(), peers.len()), (20, 1));
}

#[tokio::test]
async fn localhost_is_this_machine() {
    let site = Site::start(|_| json("{}")).await;
    let mut settings = site.settings();
    let named = site.origin.to_string().replace("127.0.0.1", "localhost");
    settings.origin = Origin::parse(&named).unwrap();
    good(fetch(&client(settings)).await);
}

#[tokio::test]
async fn a_server_without_a_certificate_is_not_believed() {
    let site = Site::start(|_| json("{}")).await;
    let mut settings = site.settings();
    let secure = site.origin.to_string().replace("http:", "https:");
    settings.origin = Origin::parse(&secure).unwrap();
    let kind = fetch(&client(settings)).await.unwrap_err();
    assert!(matches!(kind, Kind::Connect(_)), "{kind:?}");
    assert!(site.seen().is_empty());
}

#[tokio::test]
async fn nobody_there_is_no_connection() {
    let origin = Origin::parse(&format!("http://127.0.0.1:{}", testkit::free_port())).unwrap();
    let gate = crawl::Gate::new(crawl::Rate::Off, None);
    let client = crawl::Client::new(Settings::new(origin), gate).unwrap();
    let error = client
        .fetch(&DETAIL, &Robots::allow_all())
        .await
        .unwrap_err();
    assert!(matches!(error.kind, Kind::Connect(_)), "{:?}", error.kind);
    assert_eq!(error.kind.retry(), Retry::Backoff);
    assert!(
        error
            .url
            .ends_with("/api/v2/products/7?platform=web&spid=8")
    );
    let robots = client.read_robots().await.unwrap_err();
    assert!(
        robots.to_string().ends_with("nothing may be asked"),
        "{robots}"
    );
}
