//! No bytes make anything here panic or overflow a small stack.

use catalog::{
    BodyLimits, Encoding, FACETS_MAX, ListingItem, Product, Reduced, Shapes, Slice, Source,
    canonical_url, category_id_from_url, clean, crowded_more, description_text,
    looks_like_challenge, parse_categories, parse_detail, parse_listing, parse_menu, parse_price,
    parse_quantity, product_id_from_url, read_body, reduce_categories, reduce_html, search_key,
    split,
};
use proptest::prelude::*;

const DETAIL: &str = r#"{"id":7,"sku":"1","name":"Ấm","url_path":"a-p7.html?spid=8","price":5,"original_price":9,"rating_average":4.5,"review_count":2,"quantity_sold":{"text":"Đã bán 2k","value":2},"stock_item":{"qty":1},"brand":{"id":1,"name":"B"},"current_seller":{"id":1,"product_id":"8","name":"S"},"categories":{"id":2,"name":"C","is_leaf":true},"breadcrumbs":[{"category_id":2}],"specifications":[{"name":"G","attributes":[{"name":"A","value":"<p>V</p>"}]}],"images":[{"base_url":"https://i.example/1"}],"description":"<p>D &amp; <b>x</p>","day_ago_created":3}"#;
const LISTING: &str = r#"{"data":[{"id":7,"name":"\u1ea4m","url_path":"a-p7.html","price":5,"seller_product_id":8,"impression_info":[{"metadata":{"is_ad":0}}],"visible_impression_info":{"amplitude":{"seller_type":"NONE"}},"primary_category_path":"1/2"},{"id":8,"advertisement":{"ad":[]}}],"paging":{"current_page":1,"last_page":2,"per_page":40,"total":2000},"filters":[{"code":"brand","values":[{"query_value":"5","count":3}]},{"query_name":"seller","values":[{"query_value":7}]}]}"#;
const TREE: &str = r#"{"data":[{"id":1,"parent_id":2,"name":"C","url_path":"c/c1","level":2,"is_leaf":false,"product_count":5,"children":[{"id":3}]}],"menu_block":{"items":[{"text":"A","link":"https://tiki.vn/a/c5"}]}}"#;
const STAGED: &str = r#"{"id":7,"looks":[{"at":"2026-11-25T01:00:00.000Z","source":"listing","price":5}],"identity":{"name":"A","url":"https://tiki.vn/a"}}"#;

fn page(state: &str) -> String {
    format!(r#"<html><script id="__NEXT_DATA__">{state}</script><p>x</p></html>"#)
}

fn product_page(detail: &str) -> String {
    page(&format!(
        r#"{{"props":{{"initialState":{{"productv2":{{"productData":{{"response":{{"data":{detail}}}}}}}}}}}}}"#
    ))
}

/// Everything of the crate that takes bytes or text from outside.
fn read_everything(bytes: &[u8]) {
    let limits = BodyLimits::default();
    for encoding in [Encoding::Identity, Encoding::Gzip] {
        drop(read_body(bytes, encoding, &limits));
    }
    drop(parse_categories(bytes));
    drop(parse_menu(bytes));
    drop(parse_detail(bytes, 7));
    let mut shapes = Shapes::default();
    shapes.add_listing(bytes, Source::Listing);
    shapes.add_detail(bytes, Source::DetailHtml);
    assert!(shapes.iter().all(|(_, _, shape)| shape.log_sum >= 0.0));
    if let Ok(answer) = parse_listing(bytes) {
        assert!(answer.facets.brands.len() <= FACETS_MAX);
        split(&Slice::default(), &answer);
        crowded_more(&Slice::default(), &answer.facets, 1);
        for item in answer.items {
            if let ListingItem::Organic(listing) = item {
                assert!(listing.product_id > 0);
                listing.fingerprint();
                drop(listing.check());
            }
        }
    }
    looks_like_challenge(bytes, Some("text/html"));
    if let Ok(Reduced::Product(json) | Reduced::Listing(json)) = reduce_html(bytes) {
        drop(parse_detail(&json, 7));
        drop(parse_listing(&json));
    }
    if let Ok(json) = reduce_categories(bytes) {
        parse_categories(&json).unwrap();
    }
    let text = String::from_utf8_lossy(bytes);
    let cleaned = clean(&text);
    assert!(!cleaned.contains('\0'));
    search_key(&text);
    parse_quantity(&text);
    parse_price(&text);
    product_id_from_url(&text);
    category_id_from_url(&text);
    if let Some(url) = canonical_url(&text) {
        assert_eq!(canonical_url(&url), Some(url));
    }
    description_text(&text);
    if let Ok(product) = Product::from_staged(7, &text) {
        assert_eq!(
            Product::from_staged(7, &product.to_staged()).unwrap(),
            product
        );
    }
}

/// Runs on a stack of 256 KiB, an eighth of a thread's usual one.
fn on_a_small_stack(bytes: Vec<u8>) {
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread
        .spawn(move || read_everything(&bytes))
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn deep_nesting_ends_on_a_small_stack() {
    let deep = 200_000;
    let arrays = "[".repeat(deep);
    let objects = r#"{"a":"#.repeat(deep);
    let closed = format!("{arrays}{}", "]".repeat(deep));
    let mut bodies = vec![
        arrays.clone(),
        objects,
        closed.clone(),
        "<div>".repeat(deep),
    ];
    for field in [
        "unknown",
        "id",
        "name",
        "price",
        "current_seller",
        "quantity_sold",
        "breadcrumbs",
        "specifications",
        "images",
    ] {
        bodies.push(format!(r#"{{"id":7,"{field}":{closed}}}"#));
        bodies.push(format!(r#"{{"data":[{{"id":7,"{field}":{closed}}}]}}"#));
    }
    for field in ["data", "paging", "filters", "error", "menu_block"] {
        bodies.push(format!(r#"{{"{field}":{closed}}}"#));
        bodies.push(format!(r#"{{"{field}":{{"items":{closed}}}}}"#));
    }
    bodies.push(product_page(&format!(r#"{{"id":7,"x":{closed}}}"#)));
    bodies.push(page(&format!(r#"{{"props":{closed}}}"#)));
    bodies.push(r#"{"specifications":[{"attributes":"#.repeat(deep / 10));
    for body in bodies {
        on_a_small_stack(body.into_bytes());
    }
}

/// PostgreSQL keeps it in an index, whose texts are of 2,704 bytes at most.
#[test]
fn a_product_number_is_cut_to_what_an_index_takes() {
    let endless = DETAIL.replace(r#""sku":"1""#, &format!(r#""sku":" {}""#, "ậ".repeat(4000)));
    let detail = parse_detail(endless.as_bytes(), 7).expect("a detail");
    assert_eq!(detail.sku, Some("ậ".repeat(255)));
    let blank = DETAIL.replace(r#""sku":"1""#, r#""sku":" &nbsp; ""#);
    let detail = parse_detail(blank.as_bytes(), 7).expect("a detail");
    assert_eq!(detail.sku, None);
}

#[test]
fn a_whole_body_of_odd_bytes_ends() {
    for byte in [0, b'"', b'\\', b'{', b'<', b'&', b'-', 0x80, 0xFF] {
        on_a_small_stack(vec![byte; 100_000]);
    }
    on_a_small_stack(br#"{"id":7,"name":"\u0000\ud800"#.repeat(5_000));
}

/// A good body of each kind.
fn bodies() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        DETAIL.to_owned(),
        LISTING.to_owned(),
        TREE.to_owned(),
        STAGED.to_owned(),
        product_page(DETAIL),
        page(&format!(
            r#"{{"props":{{"initialState":{{"catalog":{LISTING}}}}}}}"#
        )),
        page(&format!(
            r#"{{"props":{{"initialState":{{"catalogv2":{{"categories":{{"response":{TREE}}}}}}}}}}}"#
        )),
    ])
}

/// What is written over a good body.
fn splinters() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![
            "null",
            "-1",
            "1e400",
            "-0.0",
            "18446744073709551616",
            "99999999999999999999999999",
            r#""\ud800""#,
            r#""\u0000""#,
            "{}",
            "[]",
            "[[",
            "{\"id\":",
            "true",
            "\"",
            "\\",
            "</script>",
            "<!--",
            "\u{0}",
            "\u{301}",
            "&#1114112;",
            "&amp;",
            "١",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        on_a_small_stack(bytes);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        on_a_small_stack(text.into_bytes());
    }

    #[test]
    fn no_mutation_of_a_good_body_panics(
        body in bodies(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, splinters()), 1..6),
    ) {
        let mut bytes = body.into_bytes();
        for (at, cut, splinter) in cuts {
            let from = at.index(bytes.len() + 1);
            let to = (from + cut).min(bytes.len());
            bytes.splice(from..to, splinter);
        }
        on_a_small_stack(bytes);
    }

    #[test]
    fn no_address_panics(text in "(https?://)?(www\\.)?(tiki\\.vn)?[-a-z0-9/?#&=%:@.\\u{300}]{0,60}") {
        on_a_small_stack(text.into_bytes());
    }
}
