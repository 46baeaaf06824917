//! Every type trap of the site's answers, on invented bodies: one field of a good body is replaced,
//! and what is read of it is compared.

use catalog::{
    Detail, Listing, ListingItem, RejectionReason, parse_detail, parse_listing, parse_menu,
};
use serde_json::{Value, json};

fn detail_body() -> Value {
    json!({
        "id": 7, "master_id": 7, "sku": "111", "name": "Ấm trà", "url_key": "am-tra-p7",
        "url_path": "am-tra-p7.html?spid=8", "type": "simple",
        "price": 75000, "list_price": 100_000, "original_price": 100_000, "discount_rate": 25,
        "rating_average": 4.5, "review_count": 12, "all_time_quantity_sold": 2326,
        "quantity_sold": {"text": "Đã bán 2k", "value": 2326},
        "thumbnail_url": "https://img.example/t.jpg", "inventory_status": "available",
        "stock_item": {"qty": 1000, "min_sale_qty": 1, "preorder_date": null},
        "brand": {"id": 3, "name": "Bát Tràng", "slug": "bat-trang"},
        "current_seller": {"id": 1, "sku": "222", "name": "Hiệu Gốm", "product_id": "8",
            "logo": "d1/a.jpg", "price": 75000},
        "categories": {"id": 20, "name": "Ấm", "is_leaf": true},
        "breadcrumbs": [{"url": "/a/c10", "name": "A", "category_id": 10},
            {"url": "/b/c20", "name": "B", "category_id": 20},
            {"url": "https://tiki.vn/am-tra-p7.html", "name": "Ấm trà", "category_id": 0}],
        "specifications": [{"name": "Content", "attributes": [
            {"code": "size", "name": "Cỡ", "value": "5 cm"}]}],
        "images": [{"base_url": "https://img.example/1.jpg", "large_url": "https://img.example/l.jpg",
            "label": null, "is_gallery": true}],
        "description": "<p>Một</p>", "day_ago_created": 100
    })
}

fn listing_body() -> Value {
    json!({
        "id": 7, "seller_product_id": 8, "seller_id": 1, "sku": "222", "name": "Ấm trà",
        "url_key": "am-tra-p7", "url_path": "am-tra-p7.html?spid=8", "price": 75000,
        "original_price": 100_000, "list_price": 0, "discount_rate": 25, "rating_average": 4.5,
        "review_count": 12, "quantity_sold": {"text": "Đã bán 2k", "value": 2326},
        "brand_name": "Bát Tràng", "thumbnail_url": "https://img.example/t.jpg",
        "primary_category_path": "1/2/10/20", "advertisement": null, "seller": null,
        "impression_info": [{"metadata": {"is_ad": 0}}],
        "visible_impression_info": {"amplitude": {"seller_type": "OFFICIAL_STORE",
            "is_authentic": 1}}
    })
}

/// `body` with the field of a JSON pointer replaced, or taken out.
fn with(mut body: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => drop(parent.insert(key.to_owned(), value)),
        None => drop(parent.remove(key)),
    }
    body
}

#[expect(clippy::needless_pass_by_value, reason = "tables hold values")]
fn detail_with(pointer: &str, value: Option<Value>) -> Detail {
    let body = with(detail_body(), pointer, value.clone()).to_string();
    parse_detail(body.as_bytes(), 7).unwrap_or_else(|error| panic!("{pointer} {value:?}: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "tables hold values")]
fn listing_with(pointer: &str, value: Option<Value>) -> Listing {
    let body = json!({"data": [with(listing_body(), pointer, value.clone())]}).to_string();
    match parse_listing(body.as_bytes()).unwrap().items.remove(0) {
        ListingItem::Organic(listing) => listing,
        other => panic!("{pointer} {value:?}: {other:?}"),
    }
}

#[test]
fn a_field_of_a_detail_of_another_type_is_read_or_unknown() {
    let good = detail_with("/type", None);
    assert_eq!(
        good.breadcrumbs,
        [10, 20],
        "the tail, which is the product, is dropped"
    );
    let none = |change: fn(&mut Detail)| {
        let mut detail = good.clone();
        change(&mut detail);
        detail
    };
    let (same, no_spid) = (none(|_| ()), none(|d| d.spid = None));
    let no_seller = none(|d| {
        (d.spid, d.seller_id, d.seller_sku, d.seller_name) = (None, None, None, None);
    });
    let no_brand = none(|d| (d.brand_id, d.brand) = (None, None));
    let no_stock = none(|d| d.stock_quantity = None);
    let no_rating = none(|d| d.rating_average = None);
    for (pointer, value, expected) in [
        ("/current_seller/product_id", Some(json!(8)), &same),
        ("/current_seller/product_id", Some(json!("")), &no_spid),
        ("/current_seller/product_id", Some(json!("x8")), &no_spid),
        (
            "/current_seller/logo",
            Some(json!("https://img.example/a.png")),
            &same,
        ),
        ("/current_seller", Some(Value::Null), &no_seller),
        ("/current_seller", Some(json!([])), &no_seller),
        ("/current_seller", None, &no_seller),
        ("/brand", None, &no_brand),
        ("/brand", Some(json!("Bát Tràng")), &no_brand),
        ("/stock_item", None, &no_stock),
        ("/stock_item/qty", Some(json!("many")), &no_stock),
        ("/stock_item/preorder_date", Some(json!(false)), &same),
        (
            "/stock_item/preorder_date",
            Some(json!(1_523_811_600)),
            &same,
        ),
        ("/rating_average", Some(json!("4.5")), &no_rating),
        ("/rating_average", Some(json!(7)), &no_rating),
        ("/quantity_sold", None, &same),
        ("/quantity_sold", Some(Value::Null), &same),
        (
            "/tracking_info",
            Some(json!({"amplitude": {"is_authentic": true}})),
            &same,
        ),
        ("/id", Some(json!("7")), &same),
        ("/id", Some(json!(7.0)), &same),
        ("/price", Some(json!(75000.0)), &same),
        ("/sku", Some(json!(111)), &same),
        ("/original_price", None, &same),
        ("/original_price", Some(json!(0)), &same),
        ("/discount_rate", None, &same),
        ("/error", Some(Value::Null), &same),
        ("/meta_title", Some(json!({"a": [1, {"b": null}]})), &same),
    ] {
        assert_eq!(
            &detail_with(pointer, value.clone()),
            expected,
            "{pointer} {value:?}"
        );
    }
}

#[test]
fn numbers_and_texts_of_a_detail_come_from_the_next_best_field() {
    let sold = |pointer, value| detail_with(pointer, Some(value)).sales_count;
    assert_eq!(sold("/all_time_quantity_sold", json!("x")), Some(2326));
    let body = with(detail_body(), "/all_time_quantity_sold", None);
    for (quantity, expected) in [
        (json!({"text": "Đã bán 2k"}), Some(2000)),
        (json!({"text": "Đã bán 2k", "value": "2326"}), Some(2000)),
        (json!({"text": "nhiều"}), None),
        (json!([1]), None),
        (Value::Null, None),
    ] {
        let text = with(body.clone(), "/quantity_sold", Some(quantity)).to_string();
        assert_eq!(
            parse_detail(text.as_bytes(), 7).unwrap().sales_count,
            expected
        );
    }
    let rating = detail_with("/rating_average", Some(json!(5))).rating_average;
    assert_eq!(rating, Some(5.0));
    assert_eq!(
        detail_with("/review_count", Some(json!(0))).rating_average,
        None
    );
    assert_eq!(
        detail_with("/review_count", Some(json!(12.5))).review_count,
        None
    );
    let cheap = detail_with("/original_price", Some(json!(50000)));
    assert_eq!((cheap.original_price, cheap.discount_percent), (None, None));
    let free = detail_with("/price", Some(json!(0)));
    assert_eq!(free.price, Some(0));
    let leaf = detail_with("/categories/is_leaf", Some(json!(false)));
    assert_eq!(leaf.category, Some((20, "Ấm".into(), false)));
    assert_eq!(detail_with("/categories", Some(json!([]))).category, None);
    assert_eq!(detail_with("/breadcrumbs", None).breadcrumbs, [0; 0]);
    assert_eq!(
        detail_with("/url_path", None).url,
        "https://tiki.vn/am-tra-p7.html"
    );
    let gone = detail_with("/inventory_status", Some(json!("discontinued")));
    assert_eq!(gone.stock_status.as_deref(), Some("discontinued"));
}

#[test]
fn lists_of_a_detail_are_kept_as_clean_json() {
    let attributes = json!([{"name": "Content", "attributes": [
        {"name": "SKU", "value": 9_798_371_282_668_i64}, {"name": "Bluetooth", "value": 5.1},
        {"name": "a\u{a0}b", "value": "<ul><li>x</li>\n<li>Bang &amp; Olufsen</li></ul>"},
        {"name": "none", "value": null}, {"name": "", "value": "x"}, 5]}, {"name": "empty"}, null]);
    let detail = detail_with("/specifications", Some(attributes));
    let expected = r#"[{"name":"Content","attributes":[{"name":"SKU","value":"9798371282668"},{"name":"Bluetooth","value":"5.1"},{"name":"a b","value":"x Bang & Olufsen"}]}]"#;
    assert_eq!(detail.specifications.as_deref(), Some(expected));
    assert_eq!(
        detail_with("/specifications", Some(json!([]))).specifications,
        None
    );

    let images = json!([{"large_url": "//img.example/l.jpg"}, {"label": null}, {"base_url": "x"},
        {"base_url": null, "thumbnail_url": "https://img.example/t.jpg"}, "no"]);
    let detail = detail_with("/images", Some(images));
    let expected = r#"["https://img.example/l.jpg","https://img.example/t.jpg"]"#;
    assert_eq!(detail.images.as_deref(), Some(expected));
    assert_eq!(detail_with("/images", None).images, None);
    let no_thumbnail = detail_with("/thumbnail_url", Some(json!("")));
    assert_eq!(
        no_thumbnail.image_url.as_deref(),
        Some("https://img.example/1.jpg")
    );
}

#[test]
fn a_field_of_a_listing_of_another_type_is_read_or_unknown() {
    let good = listing_with("/seller", None);
    let none = |change: fn(&mut Listing)| {
        let mut listing = good.clone();
        change(&mut listing);
        listing
    };
    let same = none(|_| ());
    let no_sales = none(|l| l.sales_count = None);
    let no_brand = none(|l| l.brand = None);
    let no_path = none(|l| l.category_path = None);
    let unsaid = none(|l| l.seller_is_official = None);
    let unofficial = none(|l| l.seller_is_official = Some(false));
    let seller_type = "/visible_impression_info/amplitude/seller_type";
    for (pointer, value, expected) in [
        ("/list_price", Some(json!(5)), &same),
        ("/rating_average", Some(json!(4.50)), &same),
        ("/quantity_sold", Some(Value::Null), &no_sales),
        ("/quantity_sold", None, &no_sales),
        (
            "/quantity_sold/value",
            Some(json!(-1)),
            &none(|l| l.sales_count = Some(2000)),
        ),
        ("/brand_name", Some(json!("")), &no_brand),
        ("/brand_name", None, &no_brand),
        (
            "/brand_name",
            Some(json!("Ba\u{301}t Tra\u{300}ng \u{a0}")),
            &same,
        ),
        (
            "/name",
            Some(json!("A\u{302}\u{301}m  tr\u{61}\u{300}")),
            &same,
        ),
        ("/primary_category_path", Some(json!("1/x")), &no_path),
        ("/primary_category_path", Some(json!(20)), &no_path),
        (seller_type, Some(json!("NONE")), &unofficial),
        (seller_type, Some(json!(" ")), &unsaid),
        ("/visible_impression_info", None, &unsaid),
        (
            "/visible_impression_info",
            Some(json!({"amplitude": []})),
            &unsaid,
        ),
        // Every item of the HTML pages has this flag as false, official shops' too.
        ("/is_from_official_store", Some(json!(false)), &same),
        ("/sku", Some(json!(222)), &same),
        (
            "/impression_info",
            Some(json!([{"metadata": null}, 5])),
            &same,
        ),
        ("/is_authentic", Some(json!(true)), &same),
        (
            "/fastest_delivery_time",
            Some(json!("2025-11-19 19:00:00")),
            &same,
        ),
        ("/badges_new", Some(json!([{"code": "x"}])), &same),
    ] {
        assert_eq!(
            &listing_with(pointer, value.clone()),
            expected,
            "{pointer} {value:?}"
        );
    }
}

#[test]
fn an_official_shop_is_told_by_the_flag_where_only_the_flag_tells_it() {
    for said in [true, false] {
        let mut item = with(listing_body(), "/visible_impression_info", None);
        item["is_from_official_store"] = json!(said);
        let read = parse_listing(json!({"data": [item]}).to_string().as_bytes()).unwrap();
        let Some(ListingItem::Organic(listing)) = read.items.first() else {
            panic!("{:?}", read.items);
        };
        assert_eq!(listing.seller_is_official, Some(said));
    }
}

#[test]
fn a_body_that_breaks_a_rule_is_rejected() {
    for (pointer, value, reason) in [
        ("/id", json!(0), RejectionReason::BadId),
        ("/id", json!(-7), RejectionReason::BadId),
        ("/id", json!("seven"), RejectionReason::BadId),
        ("/id", json!(8), RejectionReason::ForeignBody),
        ("/name", json!(" \u{a0}\u{0}"), RejectionReason::NoName),
        ("/name", json!(5), RejectionReason::NoName),
        ("/price", Value::Null, RejectionReason::NoPrice),
        ("/price", json!("75000"), RejectionReason::NoPrice),
        ("/price", json!(75000.5), RejectionReason::NoPrice),
        ("/price", json!(-1), RejectionReason::NegativePrice),
        (
            "/price",
            json!(1_000_000_000_001_i64),
            RejectionReason::PriceTooHigh,
        ),
        ("/price", json!(u64::MAX), RejectionReason::PriceTooHigh),
        ("/price", json!(1e300), RejectionReason::PriceTooHigh),
    ] {
        let body = with(detail_body(), pointer, Some(value.clone()));
        let refused = parse_detail(body.to_string().as_bytes(), 7).unwrap_err();
        assert_eq!(refused.reason, reason, "{pointer} {value}");
        if reason == RejectionReason::ForeignBody {
            continue;
        }
        let body = json!({"data": [with(listing_body(), pointer, Some(value.clone()))]});
        let seen = match &parse_listing(body.to_string().as_bytes()).unwrap().items[0] {
            ListingItem::Organic(listing) => listing.check().unwrap_err().reason,
            ListingItem::Malformed(rejection) => rejection.reason,
            ListingItem::Ad { .. } => panic!(),
        };
        assert_eq!(seen, reason, "{pointer} {value}");
    }
    for (body, reason) in [
        (
            r#"{"error":{"code":404,"message":"x"}}"#,
            RejectionReason::ErrorObject,
        ),
        ("{}", RejectionReason::BadId),
        ("null", RejectionReason::WrongShape),
        ("[7]", RejectionReason::WrongShape),
        ("", RejectionReason::NotJson),
        ("<html></html>", RejectionReason::NotJson),
        (r#"{"id":7,"#, RejectionReason::NotJson),
        (r#"{"id":7} x"#, RejectionReason::NotJson),
    ] {
        assert_eq!(
            parse_detail(body.as_bytes(), 7).unwrap_err().reason,
            reason,
            "{body}"
        );
    }
    for (body, reason) in [
        (r#"{"error":{"code":500}}"#, RejectionReason::ErrorObject),
        (r#"{"paging":{}}"#, RejectionReason::WrongShape),
        (r#"{"data":{}}"#, RejectionReason::WrongShape),
    ] {
        assert_eq!(
            parse_listing(body.as_bytes()).unwrap_err().reason,
            reason,
            "{body}"
        );
    }
}

#[test]
fn an_item_is_a_product_an_advertisement_or_malformed() {
    let ad_by_flag = with(
        listing_body(),
        "/impression_info",
        Some(json!([{"metadata": {"is_ad": 1}}])),
    );
    let ad_by_key = with(listing_body(), "/advertisement", Some(json!({"ad": []})));
    let body = json!({"data": [ad_by_flag, ad_by_key, null, {"name": "x"}, listing_body()],
        "paging": {"current_page": 2, "last_page": "50"}});
    let answer = parse_listing(body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.paging, None, "a paging with a text in it is none");
    let kinds: Vec<char> = answer
        .items
        .iter()
        .map(|item| match item {
            ListingItem::Organic(_) => 'o',
            ListingItem::Ad { product_id } => product_id.map_or('?', |_| 'a'),
            ListingItem::Malformed(_) => 'm',
        })
        .collect();
    assert_eq!(kinds, ['a', 'a', 'm', 'm', 'o']);
    let end = parse_listing(
        br#"{"data":[],"paging":{"current_page":51,"last_page":50,"per_page":40,"total":2000}}"#,
    );
    assert_eq!(end.unwrap().items, [], "past the end is an empty page");
}

#[test]
fn an_item_that_cannot_be_read_takes_no_other_along() {
    let good = listing_body().to_string();
    for broken in [
        good.replacen('{', r#"{"price": 1, "price": 2, "#, 1),
        good.replacen('{', r#"{"tiki_verified": 0, "review_count": 1e400, "#, 1),
        "7".to_owned(),
    ] {
        let body = format!(r#"{{"data": [{good}, {broken}, {good}]}}"#);
        let items = parse_listing(body.as_bytes()).expect("a page").items;
        let kinds = items
            .iter()
            .map(|item| matches!(item, ListingItem::Malformed(_)));
        assert_eq!(kinds.collect::<Vec<_>>(), [false, true, false], "{broken}");
    }
    // What can be mended of an item is.
    let lone = good.replacen("\"name\":\"", r#""name":"\ud83d "#, 1);
    let items = parse_listing(format!(r#"{{"data": [{lone}]}}"#).as_bytes());
    let [ListingItem::Organic(listing)] = &items.expect("a page").items[..] else {
        panic!("no product");
    };
    assert!(listing.name.starts_with('\u{fffd}'), "{}", listing.name);
}

#[test]
fn an_item_that_is_said_to_be_no_advertisement_is_none() {
    for (said, is_ad) in [
        (json!(null), false),
        (json!(false), false),
        (json!(0), false),
        (json!({}), false),
        (json!([]), false),
        (json!(true), true),
        (json!({"ad": []}), true),
    ] {
        let item = with(listing_body(), "/advertisement", Some(said.clone()));
        let answer = parse_listing(json!({"data": [item]}).to_string().as_bytes());
        let found = matches!(answer.expect("a page").items[0], ListingItem::Ad { .. });
        assert_eq!(found, is_ad, "{said}");
    }
}

#[test]
fn escapes_and_broken_text_are_repaired() {
    let body =
        |name: &str| format!(r#"{{"id":7,"name":"{name}","price":5,"url_path":"a-p7.html"}}"#);
    for (raw, expected) in [
        (r"\u1ea4m tr\u00e0\/b", "Ấm trà/b"),
        (r"\ud83d\ude00", "😀"),
        (r"a\ud83d b", "a\u{fffd} b"),
        (r"a\udc00\ud83d\ude00", "a\u{fffd}😀"),
        (r"a\ud83d\u0041", "a\u{fffd}A"),
        (r"\\ud83d", r"\ud83d"),
        (r"a\u0000b", "ab"),
        ("a\u{0}b", "a b"),
        ("a\nb\tc", "a b c"),
    ] {
        let detail = parse_detail(body(raw).as_bytes(), 7).unwrap();
        assert_eq!(detail.name, expected, "{raw:?}");
    }
    let mut bytes = b"\xEF\xBB\xBF".to_vec();
    bytes.extend_from_slice(body("a@b").replace('@', "\u{1}").as_bytes());
    let at = bytes.iter().position(|byte| *byte == 1).unwrap();
    bytes[at] = 0xFF;
    assert_eq!(parse_detail(&bytes, 7).unwrap().name, "a\u{fffd}b");
}

#[test]
fn a_fingerprint_is_the_same_for_ever_and_sees_what_matters() {
    let listing = listing_with("/seller", None);
    assert_eq!(listing.fingerprint(), -436_738_109_810_132_742);
    for (pointer, value, differs) in [
        ("/name", json!("Ấm"), true),
        ("/url_path", json!("am-tra-p7.html?spid=9"), true),
        ("/thumbnail_url", json!("https://img.example/u.jpg"), true),
        ("/seller_product_id", json!(9), true),
        ("/seller_id", json!(2), true),
        ("/price", json!(75001), true),
        ("/original_price", Value::Null, true),
        ("/quantity_sold", Value::Null, false),
        ("/rating_average", json!(1), false),
        ("/review_count", json!(13), false),
    ] {
        let other = listing_with(pointer, Some(value)).fingerprint();
        assert_eq!(other != listing.fingerprint(), differs, "{pointer}");
    }
    let (mut a, mut b) = (listing.clone(), listing.clone());
    (a.spid, a.seller_id) = (Some(1), None);
    (b.spid, b.seller_id) = (None, Some(1));
    assert_ne!(a.fingerprint(), b.fingerprint());
}

#[test]
fn the_menu_names_roots_in_links_only() {
    let menu = json!({"menu_block": {"title": "Danh mục", "items": [
        {"text": "Nhà &amp; Bếp", "icon_url": "x", "link": "https://tiki.vn/nha-bep/c1883"}]}});
    let roots = parse_menu(menu.to_string().as_bytes()).unwrap();
    assert_eq!(
        roots,
        [(
            1883,
            "Nhà & Bếp".into(),
            "https://tiki.vn/nha-bep/c1883".into()
        )]
    );
}
