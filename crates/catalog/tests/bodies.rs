//! Reading bodies and pages: every limit at its edge, every way to be no data.

use std::io::Write;

use catalog::{
    BodyError, BodyLimits, Encoding, HTML_PAGE, Reduced, Rejection, RejectionReason,
    looks_like_challenge, parse_categories, parse_detail, parse_listing, read_body,
    reduce_categories, reduce_html,
};
use flate2::Compression;
use flate2::write::GzEncoder;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Bytes that do not pack well.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 | 1
        })
        .collect()
}

#[test]
fn a_body_is_read_within_its_limits() {
    let limits = BodyLimits {
        max_stored_bytes: 1_000,
        max_bytes: 100_000,
        max_ratio: 200,
        max_depth: 3,
    };
    let read = |stored: &[u8], encoding| read_body(stored, encoding, &limits);
    assert_eq!(read(b"", Encoding::Identity), Ok(Vec::new()));
    assert_eq!(read(&noise(1_000), Encoding::Identity), Ok(noise(1_000)));
    let over = BodyError::TooLarge {
        bytes: 1_001,
        max: 1_000,
    };
    assert_eq!(read(&noise(1_001), Encoding::Identity), Err(over.clone()));
    assert_eq!(Rejection::from(over).reason, RejectionReason::TooLarge);
    assert_eq!(read(&gzip(&noise(800)), Encoding::Gzip), Ok(noise(800)));

    // Zeros pack a thousandfold: free up to 64 KiB, then the ratio, then the size.
    assert_eq!(
        read(&gzip(&vec![0; 65_536]), Encoding::Gzip).map(|body| body.len()),
        Ok(65_536)
    );
    let packed = gzip(&vec![0; 65_537]);
    assert!(packed.len() * 200 < 65_537);
    assert_eq!(
        read(&packed, Encoding::Gzip),
        Err(BodyError::RatioTooHigh { max: 200 })
    );
    let loose = BodyLimits {
        max_ratio: 10_000,
        ..limits
    };
    let at = |count: usize| read_body(&gzip(&vec![0; count]), Encoding::Gzip, &loose);
    assert_eq!(at(100_000).map(|body| body.len()), Ok(100_000));
    assert_eq!(
        at(100_001),
        Err(BodyError::TooLargeUnpacked { max: 100_000 })
    );

    let deep = |body: &str| read(body.as_bytes(), Encoding::Identity).is_err();
    assert!(!deep(r#"{"a":[{"b":1}],"c":[[]]}"#));
    assert!(deep(r#"{"a":[{"b":[]}]}"#));
    assert!(
        !deep(r#"{"a":"[[[[\"[[["}"#),
        "brackets in a text are no depth"
    );
    assert!(!deep("<p>[[[[[</p>"), "HTML has no depth here");
}

#[test]
fn a_damaged_body_is_not_read() {
    let limits = BodyLimits::default();
    let good = gzip(br#"{"id":7}"#);
    for end in 0..good.len() {
        assert_eq!(
            read_body(&good[..end], Encoding::Gzip, &limits),
            Err(BodyError::Truncated)
        );
    }
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(matches!(
        read_body(&trailing, Encoding::Gzip, &limits),
        Err(BodyError::Corrupt(_))
    ));
    let mut wrong_sum = good.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    for bad in [&wrong_sum[..], b"not gzip at all, but long enough"] {
        let error = read_body(bad, Encoding::Gzip, &limits).unwrap_err();
        assert!(matches!(error, BodyError::Corrupt(_)), "{error}");
    }
}

#[test]
fn encodings_are_the_two_that_we_ask_for() {
    for (header, expected) in [
        (None, Some(Encoding::Identity)),
        (Some(""), Some(Encoding::Identity)),
        (Some("gzip"), Some(Encoding::Gzip)),
        (Some(" GZIP "), Some(Encoding::Gzip)),
        (Some("x-gzip"), Some(Encoding::Gzip)),
        (Some("br"), None),
        (Some("gzip, gzip"), None),
    ] {
        assert_eq!(Encoding::from_header(header), expected, "{header:?}");
    }
    for encoding in [Encoding::Identity, Encoding::Gzip] {
        assert_eq!(Encoding::parse(encoding.as_str()), Some(encoding));
    }
}

#[test]
fn a_challenge_is_told_from_data() {
    for (body, content_type, expected) in [
        (
            "<script>document.cookie='_wafchallengeid=1'</script>",
            None,
            Some("_wafchallengeid"),
        ),
        (
            "<script src=/waf-jschallenge></script>",
            Some("text/html"),
            Some("waf-jschallenge"),
        ),
        (
            "<html>TTGCaptcha</html>",
            Some("application/json"),
            Some("TTGCaptcha"),
        ),
        ("<html>maintenance</html>", None, Some(HTML_PAGE)),
        (
            "please wait",
            Some("Text/HTML; charset=utf-8"),
            Some(HTML_PAGE),
        ),
        ("please wait", None, None),
        ("", None, None),
        (r#" {"name":"TTGCaptcha"}"#, Some("text/html"), None),
    ] {
        let seen = looks_like_challenge(body.as_bytes(), content_type);
        assert_eq!(seen, expected, "{body}");
    }
}

fn page(state: &str) -> String {
    format!(
        r#"<!doctype html><head><script>if (a < b) {{ "</scr" }}</script></head>
        <script type="application/json" id="__NEXT_DATA__">{state}</script><p>rest"#
    )
}

#[test]
fn a_page_is_reduced_to_its_product_or_listing() {
    let product = r#"{"page":"/ProductPage","props":{"initialState":{"catalog":{"data":[],"reviewData":["Nguyen"]},
        "productv2":{"reviewData":["Nguyen"],"productData":{"response":{"data":{"id":7,"name":"A","price":5}},"error":null}}}}}"#;
    let Ok(Reduced::Product(body)) = reduce_html(page(product).as_bytes()) else {
        panic!()
    };
    assert_eq!(body, br#"{"id":7,"name":"A","price":5}"#);
    assert_eq!(parse_detail(&body, 7).unwrap().name, "A");

    let listing = r#"{"page":"/Catalog/Category","props":{"initialState":{
        "productv2":{"productData":{"response":{"data":{}}}},
        "catalog":{"reviewData":["Nguyen"],"data":[{"id":7}],"paging":{"total":1},"categoryData":{"id":2},"filters":[]}}}}"#;
    let Ok(Reduced::Listing(body)) = reduce_html(page(listing).as_bytes()) else {
        panic!()
    };
    assert_eq!(
        body,
        br#"{"data":[{"id":7}],"paging":{"total":1},"filters":[],"categoryData":{"id":2}}"#
    );
    assert_eq!(parse_listing(&body).unwrap().items.len(), 1);
    let bare = r#"{"props":{"initialState":{"catalog":{"data":[]}}}}"#;
    assert_eq!(
        reduce_html(page(bare).as_bytes()),
        Ok(Reduced::Listing(br#"{"data":[]}"#.to_vec()))
    );
}

#[test]
fn a_category_page_is_reduced_to_the_categories_below_it() {
    let state = |response: &str| {
        page(&format!(
            r#"{{"props":{{"initialState":{{"catalogv2":{{"reviewData":["Nguyen"],
                "categories":{{"loading":false,"response":{response}}}}}}}}}}}"#
        ))
    };
    let below = state(r#"{"show_max":5,"data":[{"id":7,"name":"A"}]}"#);
    let body = reduce_categories(below.as_bytes()).unwrap();
    assert_eq!(body, br#"{"data":[{"id":7,"name":"A"}]}"#);
    assert_eq!(parse_categories(&body).unwrap().categories[0].id, 7);
    let leaf = state(r#"{"data":[]}"#);
    assert_eq!(
        reduce_categories(leaf.as_bytes()),
        Ok(br#"{"data":[]}"#.to_vec())
    );
    for response in ["null", "{}", r#"{"data":null}"#, r#"{"data":{"id":7}}"#] {
        let refused = reduce_categories(state(response).as_bytes()).unwrap_err();
        assert_eq!(refused.reason, RejectionReason::WrongShape, "{response}");
    }
    let refused = reduce_categories(b"<html>maintenance</html>").unwrap_err();
    assert_eq!(refused.reason, RejectionReason::NotJson);
    let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    let refused = reduce_categories(state(&deep).as_bytes()).unwrap_err();
    assert_eq!(refused.reason, RejectionReason::TooDeep);
}

#[test]
fn a_page_without_either_is_rejected() {
    let deep = format!(
        r#"{{"props":{{"initialState":{{"catalog":{{"data":{}{}}}}}}}}}"#,
        "[".repeat(65),
        "]".repeat(65)
    );
    for (html, reason) in [
        (String::new(), RejectionReason::NotJson),
        (
            "<html>maintenance</html>".to_owned(),
            RejectionReason::NotJson,
        ),
        (
            "<script id=__NEXT_DATA__></script>".to_owned(),
            RejectionReason::NotJson,
        ),
        (page("{"), RejectionReason::NotJson),
        (page("[]"), RejectionReason::WrongShape),
        (page("{}"), RejectionReason::WrongShape),
        (
            page(
                r#"{"props":{"initialState":{"productv2":{"productData":{"response":{"data":null}}}}}}"#,
            ),
            RejectionReason::WrongShape,
        ),
        (page(&deep), RejectionReason::TooDeep),
    ] {
        assert_eq!(
            reduce_html(html.as_bytes()).unwrap_err().reason,
            reason,
            "{html}"
        );
    }
}
