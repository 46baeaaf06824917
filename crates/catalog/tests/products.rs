//! Making products of listings and details, and their staged form.

use catalog::{Detail, Instant, Listing, Product, RejectionReason, Seen, Source};
use proptest::option;
use proptest::prelude::*;

fn at(hour: i64) -> Instant {
    "2026-11-25T00:00:00.000Z"
        .parse::<Instant>()
        .unwrap()
        .plus_millis(hour * 3_600_000)
}

fn listing(hour: i64) -> Seen<Listing> {
    let value = Listing {
        product_id: 7,
        spid: Some(8),
        url: "https://tiki.vn/a-p7.html?spid=8".into(),
        name: "Listed".into(),
        seller_id: Some(1),
        seller_sku: Some("222".into()),
        seller_is_official: Some(true),
        category_path: Some("1/2/10/20".into()),
        price: Some(100),
        ..Listing::default()
    };
    Seen {
        value,
        at: at(hour),
        source: Source::Listing,
    }
}

fn detail(hour: i64) -> Seen<Detail> {
    let value = Detail {
        id: 7,
        url: "https://tiki.vn/a-p7.html?spid=8".into(),
        name: "Detailed".into(),
        brand: Some("B".into()),
        seller_id: Some(1),
        category: Some((30, "C".into(), true)),
        price: Some(90),
        stock_status: Some("available".into()),
        day_ago_created: Some(1),
        ..Detail::default()
    };
    Seen {
        value,
        at: at(hour),
        source: Source::Detail,
    }
}

fn make(listing: Option<Seen<Listing>>, detail: Option<Seen<Detail>>) -> Product {
    Product::new(listing, detail, Some(50), |_| false).unwrap()
}

#[test]
fn looks_stand_in_the_order_of_their_times() {
    for (listed, detailed, expected) in [
        (Some(1), None, vec![(1, 100)]),
        (None, Some(1), vec![(1, 90)]),
        (Some(1), Some(2), vec![(1, 100), (2, 90)]),
        (Some(2), Some(1), vec![(1, 90), (2, 100)]),
        (Some(1), Some(1), vec![(1, 90)]),
    ] {
        let product = make(listed.map(listing), detailed.map(detail));
        let seen: Vec<(Instant, Option<i64>)> = product
            .looks()
            .iter()
            .map(|look| (look.observed_at, look.values.price))
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(h, price)| (at(h), Some(price)))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(product.identity_at(), expected.last().unwrap().0);
        assert_eq!(
            product.details().map(|details| details.observed_at),
            detailed.map(at)
        );
        assert_eq!(
            Product::from_staged(product.id(), &product.to_staged()),
            Ok(product)
        );
    }
}

#[test]
fn an_identity_is_of_the_newer_page_and_filled_from_the_older() {
    let newer_detail = make(Some(listing(1)), Some(detail(2)));
    let identity = newer_detail.identity();
    assert_eq!(identity.name, "Detailed");
    assert_eq!(identity.seller_sku.as_deref(), Some("222"));
    assert_eq!(identity.seller_is_official, Some(true));
    let newer_listing = make(Some(listing(2)), Some(detail(1)));
    assert_eq!(newer_listing.identity().name, "Listed");
    assert_eq!(newer_listing.identity().brand.as_deref(), Some("B"));
    let mut other_seller = detail(2);
    other_seller.value.seller_id = Some(9);
    let identity = make(Some(listing(1)), Some(other_seller))
        .identity()
        .clone();
    assert_eq!(
        (identity.seller_sku, identity.seller_is_official),
        (None, None)
    );
}

#[test]
fn a_category_is_of_the_listings_path_else_a_leaf_else_where_it_was_listed() {
    let category = |path: Option<&str>, said: bool, tree: bool, listed_in| {
        let (mut l, mut d) = (listing(1), detail(2));
        l.value.category_path = path.map(str::to_owned);
        d.value.category = Some((30, "C".into(), said));
        let product = Product::new(Some(l), Some(d), listed_in, |id| tree && id == 30);
        product.unwrap().identity().category_id
    };
    assert_eq!(category(Some("1/2/10/20"), true, true, Some(50)), Some(20));
    assert_eq!(category(None, true, false, Some(50)), Some(30));
    assert_eq!(category(None, false, true, Some(50)), Some(30));
    assert_eq!(category(None, false, false, Some(50)), Some(50));
    assert_eq!(category(None, false, false, None), None);
}

#[test]
fn a_day_of_creation_is_counted_in_the_sites_time_zone() {
    for (hour, days, expected) in [
        (16, 0, "2026-11-25"),
        (17, 0, "2026-11-26"),
        (17, 1, "2026-11-25"),
        (0, 365, "2025-11-25"),
    ] {
        let mut seen = detail(hour);
        seen.value.day_ago_created = Some(days);
        let product = make(None, Some(seen));
        assert_eq!(
            product.details().unwrap().site_created_on.as_deref(),
            Some(expected)
        );
    }
}

#[test]
fn a_product_is_made_only_by_the_rules() {
    let reason = |listing, detail| {
        Product::new(listing, detail, None, |_| false)
            .unwrap_err()
            .reason
    };
    assert_eq!(reason(None, None), RejectionReason::Nothing);
    let mut foreign = detail(1);
    foreign.value.id = 8;
    assert_eq!(
        reason(Some(listing(1)), Some(foreign)),
        RejectionReason::ForeignBody
    );
    for (change, expected) in [
        (
            (|l| l.product_id = 0) as fn(&mut Listing),
            RejectionReason::BadId,
        ),
        (|l| l.name = "  ".into(), RejectionReason::NoName),
        (|l| l.price = None, RejectionReason::NoPrice),
        (|l| l.price = Some(-1), RejectionReason::NegativePrice),
        (
            |l| l.price = Some(1_000_000_000_001),
            RejectionReason::PriceTooHigh,
        ),
    ] {
        let mut bad = listing(1);
        change(&mut bad.value);
        assert_eq!(reason(Some(bad.clone()), None), expected);
        assert_eq!(bad.value.check().unwrap_err().reason, expected);
    }
}

#[test]
fn a_staged_form_that_breaks_a_rule_is_no_product() {
    let good = make(Some(listing(1)), Some(detail(2))).to_staged();
    assert!(Product::from_staged(7, &good).is_ok());
    assert!(Product::from_staged(0, &good).is_err());
    let first = format!("\"at\":{}", at(1).millis());
    let text = format!("\"at\":\"{}\"", at(1));
    assert!(Product::from_staged(7, &good.replacen(&first, &text, 1)).is_ok());
    for (from, to) in [
        ("\"price\":100", "\"price\":100,\"x\":1"),
        ("\"name\":", "\"x\":1,\"name\":"),
        ("\"price\":100", "\"price\":-1"),
        ("\"price\":100", "\"price\":1000000000001"),
        ("\"price\":100", "\"price\":null"),
        ("\"price\":100", "\"price\":100,\"original_price\":99"),
        (
            "\"price\":100",
            "\"price\":100,\"rating_average\":4.0,\"review_count\":0",
        ),
        ("\"price\":100", "\"price\":100,\"sales_count\":-1"),
        ("\"seller_id\":1", "\"seller_id\":-1"),
        ("\"price\":100", "\"price\":100,\"discount_percent\":101"),
        ("\"name\":\"Detailed\"", "\"name\":\"\""),
        ("\"name\":\"Detailed\"", "\"name\":\" Detailed\""),
        ("\"name\":\"Detailed\"", "\"name\":\"De\\u0000tailed\""),
        ("https://tiki.vn/", "https://example.com/"),
        (first.as_str(), "\"at\":1795575600000"),
        (first.as_str(), "\"at\":253402207200000"),
        (first.as_str(), "\"at\":\"2026-11-25T01:00:00Z\""),
        ("\"source\":\"listing\"", "\"source\":\"detail\""),
        ("\"source\":\"listing\"", "\"source\":\"gossip\""),
        ("2026-11-24", "2026-11-32"),
        ("{", "["),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(Product::from_staged(7, &bad).is_err(), "{from} to {to}");
    }
}

fn count() -> impl Strategy<Value = Option<i64>> {
    option::of(prop_oneof![0..5_i64, 0..=i64::MAX])
}

fn id() -> impl Strategy<Value = Option<i64>> {
    option::of(1..=i64::MAX)
}

fn word() -> impl Strategy<Value = Option<String>> {
    option::of("\\PC{0,30}").prop_map(|text| {
        text.map(|text| catalog::clean(&text))
            .filter(|t| !t.is_empty())
    })
}

prop_compose! {
    fn any_listing()(
        ids in (id(), id()), name in "\\PC{1,40}", words in (word(), word()), price in 0..=catalog::PRICE_MAX,
        over in option::of(0..1_000_000_i64), sales in count(), rating in option::of(0.1..=5.0_f64),
        reviews in 1..=i64::MAX, official in any::<Option<bool>>(), time in any::<i64>(),
    ) -> Seen<Listing> {
        let name = catalog::clean(&format!("x{name}"));
        let (spid, seller_id) = ids;
        let (brand, seller_sku) = words;
        let original_price = over.map(|over| price + over).filter(|was| *was <= catalog::PRICE_MAX);
        let value = Listing {
            product_id: 7, spid, seller_id, name, brand, seller_sku, price: Some(price), original_price,
            url: "https://tiki.vn/a".into(), sales_count: sales, rating_average: rating,
            review_count: rating.map(|_| reviews), seller_is_official: official, ..Listing::default()
        };
        Seen { value, at: Instant::from_millis(time), source: Source::ListingHtml }
    }
}

prop_compose! {
    fn any_detail()(
        ids in (id(), id()), words in (word(), word(), word(), word()), price in 0..=catalog::PRICE_MAX,
        sales in count(), stock in count(), text in "[^\0]{1,80}", days in option::of(0..100_000_i64),
        time in any::<i64>(),
    ) -> Seen<Detail> {
        let (brand_id, seller_id) = ids;
        let (sku, seller_name, stock_status, brand) = words;
        let value = Detail {
            id: 7, name: "x".into(), url: "https://tiki.vn/a".into(), price: Some(price), brand_id,
            seller_id, sku, seller_name, stock_status, brand, sales_count: sales,
            stock_quantity: stock, description: Some(text.clone()), images: Some(text),
            day_ago_created: days, ..Detail::default()
        };
        Seen { value, at: Instant::from_millis(time), source: Source::DetailHtml }
    }
}

proptest! {
    #[test]
    fn a_product_printed_and_parsed_is_itself(
        listing in option::of(any_listing()), detail in option::of(any_detail()), listed_in in id(),
    ) {
        prop_assume!(listing.is_some() || detail.is_some());
        let product = Product::new(listing, detail, listed_in, |_| true).unwrap();
        let text = product.to_staged();
        prop_assert!(!text.contains('\n'));
        let looks = catalog::staged_looks(product.id(), &text);
        prop_assert_eq!(looks.as_deref(), Ok(product.looks()));
        let parsed = Product::from_staged(product.id(), &text);
        prop_assert_eq!(parsed.as_ref(), Ok(&product));
        prop_assert_eq!(parsed.unwrap().to_staged(), text);
    }
}
