//! The second way in: pages of HTML, of which only the product or the listing is left.

use std::io::Write;

use catalog::{
    Encoding, Listing, ListingItem, Slice, parse_categories, parse_detail, parse_listing,
};
use crawl::{Answer, Ask, Client, FetchErrorKind as Kind, PageSource, Retry, Robots, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;
use storefront::{Faults, Misbehaviour, RouteClass, Storefront, When};

use crate::site::{Site, client, good, reply};

const PRODUCT: Ask = Ask::ProductPage {
    product: 7,
    spid: Some(8),
};
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

async fn fetch(client: &Client, ask: &Ask) -> Result<Answer, Kind> {
    let answer = client.fetch(ask, &Robots::allow_all()).await;
    answer.map_err(|error| error.kind)
}

fn organic(json: &[u8]) -> Vec<Listing> {
    let items = parse_listing(json).unwrap().items.into_iter();
    let organic = items.filter_map(|item| match item {
        ListingItem::Organic(listing) => Some(listing),
        _ => None,
    });
    let mut organic: Vec<_> = organic.collect();
    organic.sort_by_key(|listing| listing.product_id);
    organic.dedup_by_key(|listing| listing.product_id);
    organic
}

/// A shop, one of its leaf categories and the category above that.
async fn open() -> (Storefront, Client, [i64; 2]) {
    let shop = Storefront::start(storefront::Settings::default())
        .await
        .unwrap();
    let origin = crawl::Origin::parse(&shop.base_url()).unwrap();
    let client = client(Settings::new(origin));
    let mut parent = 2;
    let leaf = loop {
        let page = good(fetch(&client, &Ask::Categories { parent }).await);
        let first = parse_categories(&page.unpacked).unwrap().categories[0].clone();
        if first.is_leaf {
            break first.id;
        }
        parent = first.id;
    };
    (shop, client, [leaf, parent])
}

#[tokio::test]
async fn a_page_says_the_same_as_the_api() {
    let (shop, client, [category, _]) = open().await;
    let both = async |slice| {
        let page = 1;
        let api = Ask::Listing {
            category,
            page,
            slice,
        };
        let html = Ask::CategoryPage {
            category,
            page,
            slice,
        };
        let api = good(fetch(&client, &api).await);
        let html = good(fetch(&client, &html).await);
        assert_eq!(
            (api.source, html.source),
            (PageSource::Api, PageSource::Html)
        );
        assert_eq!(
            (html.encoding, &html.body),
            (Encoding::Identity, &html.unpacked)
        );
        let (api, html) = (organic(&api.unpacked), organic(&html.unpacked));
        assert_eq!(api.len(), html.len());
        for (api, html) in api.iter().zip(&html) {
            assert_eq!((api.product_id, api.spid), (html.product_id, html.spid));
            assert_eq!((&api.name, &api.url), (&html.name, &html.url));
            assert_eq!(api.price, html.price);
        }
        api
    };
    let products = both(Slice::default()).await;
    let mut prices: Vec<_> = products
        .iter()
        .filter_map(|product| product.price)
        .collect();
    prices.sort_unstable();
    let middle = prices[prices.len() / 2];
    let narrow = both(Slice {
        price: Some((0, middle - 1)),
        order: catalog::Order::Dearest,
        ..Slice::default()
    });
    let narrow = narrow.await;
    let in_range = |product: &Listing| product.price.is_some_and(|price| price < middle);
    assert!(!narrow.is_empty() && narrow.iter().all(in_range) && !products.iter().all(in_range));
    let (product, spid) = (products[0].product_id, products[0].spid);
    let api = good(fetch(&client, &Ask::Detail { product, spid }).await);
    let html = good(fetch(&client, &Ask::ProductPage { product, spid }).await);
    let parsed = |page: &crawl::Page| parse_detail(&page.unpacked, product).unwrap();
    assert_eq!(parsed(&api), parsed(&html));
    for word in ["reviewData", "full_name", "<script"] {
        assert!(
            !String::from_utf8_lossy(&html.body).contains(word),
            "{word}"
        );
    }
    let counts = shop.counts();
    assert_eq!((counts.disallowed, counts.routes.get("unknown")), (0, None));
}

#[tokio::test]
async fn a_page_knows_the_children_of_its_category() {
    let (_shop, client, [category, parent]) = open().await;
    let api = good(fetch(&client, &Ask::Categories { parent }).await);
    let html = good(fetch(&client, &Ask::CategoryChildren { category: parent }).await);
    let ids = |page: &crawl::Page| -> Vec<i64> {
        let answer = parse_categories(&page.unpacked).unwrap();
        answer.categories.iter().map(|child| child.id).collect()
    };
    assert_eq!(ids(&api), ids(&html));
    assert!(ids(&api).contains(&category));
}

#[tokio::test]
async fn what_is_no_such_page_has_its_meaning() {
    let (shop, client, [category, _]) = open().await;
    let product = i64::MAX;
    let gone = fetch(
        &client,
        &Ask::ProductPage {
            product,
            spid: None,
        },
    )
    .await;
    match gone {
        Ok(Answer::Gone { status: 404, page }) => assert!(page.body.is_empty()),
        other => panic!("{other:?}"),
    }
    let ask = Ask::CategoryPage {
        category,
        page: 1,
        slice: Slice::default(),
    };
    let status = |code| Misbehaviour::Status {
        code,
        retry_after_s: None,
    };
    for (what, retry, seen) in [
        (Misbehaviour::Challenge, Retry::Stop, Some(true)),
        (Misbehaviour::Captcha, Retry::Stop, Some(true)),
        (status(403), Retry::Stop, Some(false)),
        (status(401), Retry::Stop, Some(false)),
        (Misbehaviour::EmptyBody, Retry::Backoff, None),
        (Misbehaviour::TruncatedGzip, Retry::Backoff, None),
        (Misbehaviour::RedirectHome, Retry::Never, None),
    ] {
        let faults = Faults::one(RouteClass::Any, When::Always, what.clone());
        shop.set_faults(&faults).unwrap();
        let kind = fetch(&client, &ask).await.unwrap_err();
        let challenge = match kind {
            Kind::Refused { challenge, .. } => Some(challenge),
            _ => None,
        };
        assert_eq!((kind.retry(), challenge), (retry, seen), "{kind:?}");
    }
}

fn product_page(padding: usize) -> String {
    let numbers = (0..padding as u64 / 18).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let noise: Vec<_> = numbers.map(|n| n.to_string()).collect();
    let noise = noise.concat();
    format!(
        "<!DOCTYPE html><html><head><script>var waf = 'no _wafchallengeid';</script></head><body>{noise}\
         <script id=\"__NEXT_DATA__\" type=\"application/json\">{{\"props\":{{\"initialState\":{{\"productv2\":\
         {{\"productData\":{{\"response\":{{\"data\":{{\"id\":7}}}}}}}}}}}}}}</script></body></html>"
    )
}

#[tokio::test]
async fn a_page_may_be_large_and_is_judged_by_what_it_holds() {
    let large = product_page(1_200_000);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(large.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    for (headers, body) in [
        (vec![HTML], large.into_bytes()),
        (vec![HTML, ("content-encoding", "gzip")], packed),
        (vec![], product_page(0).into_bytes()),
    ] {
        let site = Site::start(move |_| reply(200, &headers, body.clone())).await;
        let page = good(fetch(&client(site.settings()), &PRODUCT).await);
        assert_eq!(
            (&page.body[..], page.encoding),
            (&b"{\"id\":7}"[..], Encoding::Identity)
        );
        let seen = &site.seen()[0];
        assert_eq!(seen.path, "/product-p7.html?spid=8");
        assert_eq!(seen.headers.get_all("accept").iter().count(), 1);
        assert_eq!(seen.headers["accept"], "text/html");
    }
    let listing = Ask::CategoryPage {
        category: 7,
        page: 1,
        slice: Slice::default(),
    };
    for (body, ask) in [
        (product_page(0).replace("_wafchallengeid", ""), listing),
        ("<!doctype html><p>Xin chào</p>".to_owned(), PRODUCT),
        ("{\"id\":7}".to_owned(), PRODUCT),
        (String::new(), PRODUCT),
    ] {
        let site = Site::start(move |_| reply(200, &[HTML], body.clone())).await;
        let kind = fetch(&client(site.settings()), &ask).await.unwrap_err();
        assert!(matches!(kind, Kind::NoState(_)), "{kind:?}");
        assert_eq!(kind.retry(), Retry::Backoff);
    }
}
