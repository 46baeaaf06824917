//! How the site treats good and bad crawlers, and how it misbehaves on request.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use storefront::{Faults, Misbehaviour, RouteClass, Settings, Storefront, When};
use support::{Shop, generated, unpack};

#[tokio::test]
async fn what_robots_disallows_and_reviews_are_refused_and_counted() {
    let shop = Shop::open(generated(10)).await;
    let robots = shop.get("/robots.txt").await.text();
    let disallowed: Vec<&str> = robots
        .lines()
        .filter_map(|line| line.strip_prefix("Disallow: "))
        .collect();
    assert!(disallowed.len() > 8, "{robots}");
    for path in disallowed.iter().map(|path| path.replace('*', "")) {
        assert_eq!(shop.get(&path).await.status, 403, "{path}");
    }
    assert_eq!(shop.get("/api/v2/reviews?product_id=1").await.status, 403);
    let counts = shop.site.counts();
    assert_eq!(counts.disallowed, disallowed.len() as u64 + 1);
    assert_eq!(counts.routes["reviews"], 1);
    assert_eq!(counts.statuses[&403], counts.disallowed);
}

#[tokio::test]
async fn requests_are_counted_by_route_but_not_those_that_ask_for_the_counts() {
    let shop = Shop::open(generated(10)).await;
    for path in [
        "/robots.txt",
        "/api/v2/categories",
        "/api/v2/categories",
        "/p/1",
        "/x",
    ] {
        shop.get(path).await;
    }
    let counts = shop.json("/__storefront/counts").await;
    assert_eq!(counts["requests"], 5);
    assert_eq!(counts["routes"]["categories"], 2);
    assert_eq!(counts["statuses"]["404"], 2);
    assert!(counts["busiest_second"].as_u64() >= Some(1));
    assert_eq!(counts["most_in_flight"], 1);
    let per_second = counts["per_second"].as_array().expect("a histogram");
    let sum: u64 = per_second
        .iter()
        .filter_map(|entry| entry[1].as_u64())
        .sum();
    assert_eq!(sum, 5);
    assert_eq!(shop.site.counts().requests, 5);
    assert_eq!(
        shop.json("/__storefront/origin").await["origin_id"],
        "storefront:7:10:lively"
    );
}

#[tokio::test]
async fn bodies_are_compressed_for_those_who_take_it() {
    let shop = Shop::open(generated(50)).await;
    let path = "/api/v2/categories?parent_id=2&include=children";
    let plain = shop.get(path).await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = shop.ask(path, "gzip, br").await.expect("an answer");
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(
        packed.header("content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(unpack(&packed.body).expect("gzip"), plain.body);
}

#[tokio::test]
async fn each_fault_spoils_an_answer_in_its_own_way() {
    let shop = Shop::open(generated(50)).await;
    let leaf = shop.leafs().await[0].0;
    let path = format!("/api/v2/products?category={leaf}");
    let good = shop.get(&path).await;
    let id = good.json()["data"][0]["id"].as_u64().expect("an id");
    let set = |route, what| {
        shop.site
            .set_faults(&Faults::one(route, When::First(1), what))
            .expect("good faults");
    };

    set(
        RouteClass::Listing,
        Misbehaviour::Status {
            code: 429,
            retry_after_s: Some(7),
        },
    );
    let answer = shop.get(&path).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "7"));
    assert_eq!(shop.get(&path).await.body, good.body, "only the first");

    set(
        RouteClass::Any,
        Misbehaviour::Status {
            code: 403,
            retry_after_s: None,
        },
    );
    assert!(shop.get(&path).await.body.is_empty());

    set(RouteClass::Listing, Misbehaviour::Challenge);
    let answer = shop.get(&path).await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.status == 200 && answer.text().contains("_wafchallengeid"));

    set(RouteClass::Listing, Misbehaviour::Captcha);
    assert!(shop.get(&path).await.text().contains("TTGCaptcha"));

    set(RouteClass::Listing, Misbehaviour::ErrorObject { code: 503 });
    assert_eq!(shop.json(&path).await["error"]["code"], 503);

    set(RouteClass::Listing, Misbehaviour::TruncatedGzip);
    let answer = shop.ask(&path, "gzip").await.expect("a whole answer");
    assert!(unpack(&answer.body).is_err());

    set(RouteClass::Listing, Misbehaviour::CutOff);
    assert!(shop.ask(&path, "identity").await.is_err());

    set(RouteClass::Detail, Misbehaviour::WrongId);
    assert_eq!(
        shop.json(&format!("/api/v2/products/{id}")).await["id"],
        id + 1
    );

    set(RouteClass::Listing, Misbehaviour::WrongContentType);
    let answer = shop.get(&path).await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.body, good.body);

    set(RouteClass::Listing, Misbehaviour::RedirectHome);
    let answer = shop.get(&path).await;
    assert_eq!((answer.status, answer.header("location")), (302, "/"));

    set(RouteClass::Listing, Misbehaviour::EmptyBody);
    assert!(shop.get(&path).await.body.is_empty());

    assert_eq!(shop.site.counts().faults, 11);
}

#[tokio::test]
async fn a_delayed_answer_is_late_but_good() {
    let shop = Shop::open(generated(10)).await;
    let path = "/api/v2/categories";
    let good = shop.get(path).await;
    let late = Faults::one(
        RouteClass::Category,
        When::Always,
        Misbehaviour::Delay { ms: 50 },
    );
    shop.site.set_faults(&late).expect("good faults");
    let before = Instant::now();
    assert_eq!(shop.get(path).await.body, good.body);
    assert!(before.elapsed() >= Duration::from_millis(50));
    assert_eq!(shop.site.counts().faults, 0);
}

#[tokio::test]
async fn schema_drift_changes_one_field_of_a_product_or_of_each_item() {
    let shop = Shop::open(generated(50)).await;
    let leaf = shop.leafs().await[0].0;
    let list = format!("/api/v2/products?category={leaf}");
    let first = shop.json(&list).await["data"][0].clone();
    let detail = format!("/api/v2/products/{}", first["id"]);
    let field = |name: &str| name.to_owned();
    let drop = Misbehaviour::DropField {
        field: field("name"),
    };
    let rename = Misbehaviour::RenameField {
        field: field("price"),
        to: field("cost"),
    };
    let retype = Misbehaviour::RetypeField {
        field: field("price"),
    };
    for (what, is_so) in [
        (
            drop,
            (|item| item.get("name").is_none()) as fn(&Value) -> bool,
        ),
        (rename, |item| {
            item.get("price").is_none() && item["cost"].is_i64()
        }),
        (retype, |item| item["price"].is_string()),
    ] {
        let faults = Faults::one(RouteClass::Any, When::Always, what.clone());
        shop.site.set_faults(&faults).expect("good faults");
        let items = shop.json(&list).await["data"].take();
        let items = items.as_array().expect("items");
        assert!(items.len() > 3 && items.iter().all(is_so), "{what:?}");
        assert!(is_so(&shop.json(&detail).await), "{what:?}");
    }
}

#[tokio::test]
async fn faults_are_set_from_another_process_and_bad_ones_are_refused() {
    let shop = Shop::open(generated(10)).await;
    let faults = r#"{"rules":[{"route":"category","when":{"every":2},
        "what":{"status":{"code":503}}}]}"#;
    assert_eq!(
        shop.post("/__storefront/faults", faults.to_owned())
            .await
            .status,
        200
    );
    let path = "/api/v2/categories";
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(shop.get(path).await.status);
    }
    assert_eq!(statuses, [200, 503, 200, 503]);
    assert_eq!(
        shop.json("/__storefront/faults").await["rules"][0]["when"]["every"],
        2
    );
    for bad in [
        "",
        "{\"rules\":7}",
        "{\"unknown\":[]}",
        r#"{"rules":[{"route":"any","when":{"every":0},"what":"challenge"}]}"#,
        r#"{"rules":[{"route":"any","when":"always","what":{"status":{"code":99}}}]}"#,
        r#"{"rules":[{"route":"any","when":"always","what":{"delay":{"ms":999999}}}]}"#,
    ] {
        assert_eq!(
            shop.post("/__storefront/faults", bad.to_owned())
                .await
                .status,
            400,
            "{bad}"
        );
    }
    let too_long = "x".repeat(70_000);
    assert_eq!(
        shop.post("/__storefront/faults", too_long).await.status,
        413
    );
    assert_eq!(
        shop.post("/__storefront/faults", "{}".to_owned())
            .await
            .status,
        200
    );
    assert_eq!(shop.get(path).await.status, 200);
}

#[tokio::test]
async fn a_crawler_that_is_too_fast_is_throttled_and_stays_so() {
    let shop = Shop::open(generated(10)).await;
    let faults = r#"{"throttle":{"per_second":1,"burst":3,"sticky_ms":60000}}"#;
    assert_eq!(
        shop.post("/__storefront/faults", faults.to_owned())
            .await
            .status,
        200
    );
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(shop.get("/api/v2/categories").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let bad = r#"{"throttle":{"per_second":0,"burst":3,"sticky_ms":1}}"#;
    assert_eq!(
        shop.post("/__storefront/faults", bad.to_owned())
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_taken_port_is_refused_and_a_stopped_site_is_gone() {
    let shop = Shop::open(Settings {
        latency: Duration::from_millis(1),
        ..generated(10)
    })
    .await;
    let port = shop
        .site
        .base_url()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    let settings = Settings {
        port: port.expect("a port"),
        ..generated(10)
    };
    assert!(Storefront::start(settings).await.is_err());
    assert_eq!(shop.get("/robots.txt").await.status, 200);
    let Shop { site, client } = shop;
    let url = format!("{}/robots.txt", site.base_url());
    site.stop().await;
    assert!(client.get(url).send().await.is_err());
}

#[tokio::test]
async fn other_methods_are_refused() {
    let shop = Shop::open(generated(10)).await;
    assert_eq!(
        shop.post("/api/v2/products/1", String::new()).await.status,
        405
    );
}
