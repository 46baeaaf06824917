//! The same client against the bundled storefront, from robots.txt to a product, and its faults.

use catalog::{Encoding, ListingItem, Slice, parse_categories, parse_detail, parse_listing};
use crawl::{Answer, Ask, Client, FetchErrorKind as Kind, Gate, Origin, Rate, Retry, Settings};
use storefront::{Faults, Misbehaviour, RouteClass, Storefront, When};

use crate::site::good;

async fn open() -> (Storefront, Client) {
    let shop = Storefront::start(storefront::Settings::default())
        .await
        .unwrap();
    let origin = Origin::parse(&shop.base_url()).unwrap();
    let rate = Rate::new(0.0, &origin).unwrap();
    let client = Client::new(Settings::new(origin), Gate::new(rate, None)).unwrap();
    (shop, client)
}

#[tokio::test]
async fn a_shop_is_walked_from_its_robots_to_a_product() {
    let (shop, client) = open().await;
    let robots = client.read_robots().await.unwrap();
    assert!(robots.text().contains("Disallow"));
    let fetch = async |ask: Ask| {
        good(
            client
                .fetch(&ask, &robots)
                .await
                .map_err(|error| error.kind),
        )
    };

    let mut parent = 2;
    let leaf = loop {
        let page = fetch(Ask::Categories { parent }).await;
        let first = parse_categories(&page.unpacked).unwrap().categories[0].clone();
        if first.is_leaf {
            break first.id;
        }
        parent = first.id;
    };
    let page = fetch(Ask::Listing {
        category: leaf,
        page: 1,
        slice: Slice::default(),
    })
    .await;
    assert_eq!(page.encoding, Encoding::Gzip);
    assert!(page.body.len() < page.unpacked.len());
    let items = parse_listing(&page.unpacked).unwrap().items;
    let listed = items.into_iter().find_map(|item| match item {
        ListingItem::Organic(listing) => Some(listing),
        _ => None,
    });
    let listed = listed.unwrap();
    let (product, spid) = (listed.product_id, listed.spid);
    let page = fetch(Ask::Detail { product, spid }).await;
    parse_detail(&page.unpacked, product).unwrap();
    let nothing = Ask::Detail {
        product: i64::MAX,
        spid: None,
    };
    let gone = client.fetch(&nothing, &robots).await.unwrap();
    assert!(matches!(gone, Answer::Gone { status: 404, .. }), "{gone:?}");
    let counts = shop.counts();
    assert_eq!((counts.disallowed, counts.routes.get("unknown")), (0, None));
}

#[tokio::test]
async fn each_fault_of_the_shop_has_its_meaning() {
    let (shop, client) = open().await;
    let robots = client.read_robots().await.unwrap();
    let ask = Ask::Categories { parent: 2 };
    for (what, retry) in [
        (
            Misbehaviour::Status {
                code: 403,
                retry_after_s: None,
            },
            Retry::Stop,
        ),
        (Misbehaviour::Challenge, Retry::Stop),
        (Misbehaviour::Captcha, Retry::Stop),
        (Misbehaviour::TruncatedGzip, Retry::Backoff),
        (Misbehaviour::CutOff, Retry::Backoff),
        (Misbehaviour::WrongContentType, Retry::Backoff),
        (Misbehaviour::RedirectHome, Retry::Never),
    ] {
        shop.set_faults(&Faults::one(RouteClass::Any, When::Always, what.clone()))
            .unwrap();
        let error = client.fetch(&ask, &robots).await.expect_err("a fault");
        assert_eq!(error.kind.retry(), retry, "{what:?}: {:?}", error.kind);
    }
    shop.set_faults(&Faults::none()).unwrap();
    let page = client.fetch(&ask, &robots).await;
    good(page.map_err(|error| error.kind));
}

#[tokio::test]
async fn a_shop_that_is_closed_cannot_be_connected_to() {
    let (shop, client) = open().await;
    let robots = client.read_robots().await.unwrap();
    shop.stop().await;
    let error = client
        .fetch(&Ask::Categories { parent: 2 }, &robots)
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind, Kind::Connect(_) | Kind::Interrupted(_)),
        "{:?}",
        error.kind
    );
}
