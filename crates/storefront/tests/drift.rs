//! Faults that change what an answer says, in JSON and in HTML pages.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use storefront::{Fault, Faults, Misbehaviour, Only, RouteClass, When};
use support::{Answer, Shop, generated, ids};

impl Shop {
    fn spoil(&self, route: RouteClass, what: Misbehaviour) {
        let faults = Faults::one(route, When::Always, what);
        self.site.set_faults(&faults).expect("good faults");
    }

    fn mend(&self) {
        self.site.set_faults(&Faults::none()).expect("no faults");
    }
}

fn field(name: &str) -> String {
    name.to_owned()
}

/// What an HTML page holds as the site's state.
fn state(page: &Answer) -> Value {
    let text = page.text();
    let (_, rest) = text
        .split_once("<script id=\"__NEXT_DATA__\" type=\"application/json\">")
        .expect("a state");
    let (state, _) = rest.split_once("</script>").expect("an end");
    let mut next: Value = serde_json::from_str(state).expect("JSON");
    next["props"]["initialState"].take()
}

fn shown_product(page: &Answer) -> Value {
    state(page)["productv2"]["productData"]["response"]["data"].take()
}

#[tokio::test]
async fn the_top_of_a_list_loses_a_field_or_all_of_its_items() {
    let shop = Shop::open(generated(50)).await;
    let leaf = shop.leafs().await[0].0;
    let list = format!("/api/v2/products?category={leaf}");
    let page = format!("/any/c{leaf}");
    let good = shop.json(&list).await;

    shop.spoil(
        RouteClass::Any,
        Misbehaviour::DropTop {
            field: field("paging"),
        },
    );
    let answer = shop.json(&list).await;
    assert!(answer.get("paging").is_none());
    assert_eq!(answer["data"], good["data"]);
    let catalog = &state(&shop.get(&page).await)["catalog"];
    assert!(catalog.get("paging").is_none() && catalog["data"].is_array());

    shop.spoil(RouteClass::Any, Misbehaviour::EmptyData);
    let answer = shop.json(&list).await;
    assert_eq!(ids(&answer), Vec::<u64>::new());
    assert_eq!(answer["paging"], good["paging"]);
    let categories = shop.json("/api/v2/categories?parent_id=2").await;
    assert_eq!(ids(&categories), Vec::<u64>::new());
    let catalog = &state(&shop.get(&page).await)["catalog"];
    assert_eq!(catalog["data"].as_array().map(Vec::len), Some(0));
    assert!(catalog["paging"]["total"].as_u64() > Some(0));
}

#[tokio::test]
async fn a_share_of_the_products_loses_a_field_and_always_the_same_ones() {
    let shop = Shop::open(generated(700)).await;
    let leaf = shop.leafs().await[0].0;
    let list = format!("/api/v2/products?category={leaf}&limit=100");
    shop.spoil(
        RouteClass::Any,
        Misbehaviour::DropShare {
            field: field("price"),
            percent: 30,
        },
    );
    let items = shop.json(&list).await["data"].take();
    let items = items.as_array().expect("items");
    let lost: Vec<&Value> = items
        .iter()
        .filter(|item| item.get("price").is_none())
        .collect();
    assert!((15..45).contains(&lost.len()), "{} of 100", lost.len());
    for item in items.iter().take(20) {
        let id = &item["id"];
        let detail = shop.json(&format!("/api/v2/products/{id}")).await;
        assert_eq!(detail.get("price").is_none(), item.get("price").is_none());
        let page = shop.get(&format!("/p/{id}")).await;
        assert_eq!(shown_product(&page).get("price"), detail.get("price"));
    }
}

#[tokio::test]
async fn a_detail_says_another_price_than_its_listing() {
    let shop = Shop::open(generated(700)).await;
    let leaf = shop.leafs().await[0].0;
    let list = format!("/api/v2/products?category={leaf}&limit=60");
    let good = shop.json(&list).await;
    for percent in [-30, 25] {
        shop.spoil(RouteClass::Any, Misbehaviour::ChangePrice { percent });
        assert_eq!(shop.json(&list).await["data"], good["data"], "lists stay");
        for item in good["data"].as_array().expect("items") {
            let path = format!(
                "/api/v2/products/{}?spid={}",
                item["id"], item["seller_product_id"]
            );
            let detail = shop.json(&path).await;
            let number = |value: &Value| value.as_i64().expect("a number");
            let (price, before) = (number(&detail["price"]), number(&item["price"]));
            assert_eq!((price - before).signum(), i64::from(percent).signum());
            let original = number(&detail["original_price"]);
            assert!(original >= price, "{original} {price}");
            assert_eq!(number(&detail["discount"]), original - price);
            if let Some(seller) = detail["current_seller"].as_object() {
                assert_eq!(seller["price"], price);
            }
            for variant in detail["configurable_products"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|variant| variant["selected"] == true)
            {
                assert_eq!(variant["price"], price);
            }
        }
    }
    let id = &good["data"][0]["id"];
    let detail = shop.json(&format!("/api/v2/products/{id}")).await;
    let page = shop.get(&format!("/p/{id}")).await;
    assert_eq!(shown_product(&page), detail);
    // Names keep what would end a script element.
    assert_eq!(page.text().matches("</script>").count(), 2);
}

#[tokio::test]
async fn pages_drift_with_the_answers() {
    let shop = Shop::open(generated(50)).await;
    let leaf = shop.leafs().await[0].0;
    let id = ids(&shop
        .json(&format!("/api/v2/products?category={leaf}"))
        .await)[0];
    for what in [
        Misbehaviour::WrongId,
        Misbehaviour::DropField {
            field: field("name"),
        },
        Misbehaviour::RenameField {
            field: field("price"),
            to: field("cost"),
        },
        Misbehaviour::RetypeField {
            field: field("price"),
        },
    ] {
        shop.mend();
        let good = shop.json(&format!("/api/v2/products/{id}")).await;
        shop.spoil(RouteClass::Any, what.clone());
        let detail = shop.json(&format!("/api/v2/products/{id}")).await;
        let page = shop.get(&format!("/p/{id}")).await;
        assert_ne!(detail, good, "{what:?}");
        assert_eq!(shown_product(&page), detail, "{what:?}");
    }
    let page = shop.get(&format!("/any/c{leaf}")).await;
    let items = state(&page)["catalog"]["data"].take();
    let items = items.as_array().expect("items");
    assert!(!items.is_empty() && items.iter().all(|item| item["price"].is_string()));
}

#[tokio::test]
async fn a_moving_listing_shows_some_items_twice_and_some_not_at_all() {
    let shop = Shop::open(generated(700)).await;
    let leaf = shop.leafs().await[0].0;
    let list = |page: u64| format!("/api/v2/products?category={leaf}&limit=20&page={page}");
    let first = shop.json(&list(1)).await;
    let pages = first["paging"]["last_page"].as_u64().expect("pages");
    let mut still = Vec::new();
    for page in 1..=pages {
        still.extend(ids(&shop.json(&list(page)).await));
    }
    assert_eq!(still.iter().collect::<BTreeSet<_>>().len(), still.len());
    for by in [3_i32, -3] {
        shop.spoil(RouteClass::Listing, Misbehaviour::Moving { by });
        let mut met = Vec::new();
        for page in 1..=pages {
            let answer = shop.json(&list(page)).await;
            assert_eq!(answer["paging"]["total"], first["paging"]["total"]);
            met.extend(ids(&answer));
        }
        assert_eq!(met[..20], still[..20], "the first one sees it as it is");
        // Page 2 begins three items later (or earlier) than it did.
        assert_eq!(met[20], still[(20 + by) as usize]);
        assert_eq!(met.len(), still.len());
        let distinct = met.iter().collect::<BTreeSet<_>>().len() as u64;
        // Three at every seam; that of the last page may lie beyond the end.
        let most = still.len() as u64 - 3 * (pages - 2);
        assert!(distinct <= most, "{distinct} of {}, by {by}", still.len());
    }
}

#[tokio::test]
async fn a_rule_may_look_at_some_requests_only() {
    let shop = Shop::open(generated(50)).await;
    let leaf = shop.leafs().await[0].0;
    let list = format!("/api/v2/products?category={leaf}");
    let id = ids(&shop.json(&list).await)[0];
    let only = format!(
        r#"{{"rules":[
        {{"route":"listing","only":{{"parameter":"page","value":"3"}},"when":{{"between":[2,3]}},
          "what":{{"status":{{"code":500}}}}}},
        {{"route":"detail","only":{{"parameter":"spid","value":null}},"when":"always",
          "what":{{"status":{{"code":501}}}}}},
        {{"route":"any","only":{{"subject":{leaf}}},"when":{{"after":4}},
          "what":{{"status":{{"code":502}}}}}}]}}"#
    );
    let set = shop.post("/__storefront/faults", only).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let third = format!("{list}&page=3");
    let detail = format!("/api/v2/products/{id}");
    for (path, status) in [
        (&list, 200),
        (&third, 200),
        (&third, 500),
        (&third, 500),
        (&detail, 501),
        (&format!("{detail}?spid={}", id + 2), 200),
        (&third, 502),
        (&list, 502),
        (&format!("/api/v2/categories?parent_id={leaf}"), 502),
        (&format!("/any/c{leaf}"), 502),
        (&field("/api/v2/categories"), 200),
    ] {
        let got = shop.get(path).await.status;
        // Which spid a product has is not this test's business.
        let got = if got == 404 { 200 } else { got };
        assert_eq!(got, status, "{path}");
    }
    let one = Fault {
        route: RouteClass::Any,
        only: Some(Only::Subject { subject: leaf }),
        when: When::Between(3, 2),
        what: Misbehaviour::CutOff,
    };
    let refused = shop.site.set_faults(&Faults {
        rules: vec![one],
        throttle: None,
    });
    assert!(refused.is_err());
}
