//! What the shapes of listings and details count.

use catalog::{FieldShape, ROOTS_MAX, ShapeKey, Shapes, Source};

fn shape(shapes: &Shapes, root: i64, field: &str) -> FieldShape {
    let mut found = shapes
        .iter()
        .filter(|(key, path, _)| key.root == root && *path == field);
    *found.next().unwrap().2
}

fn listing(items: &[&str]) -> String {
    format!(r#"{{"data":[{}],"paging":{{}}}}"#, items.join(","))
}

#[test]
fn each_type_is_counted_once_an_object() {
    let body = listing(&[
        r#"{"price":true}"#,
        r#"{"price":null}"#,
        r#"{"price":"","id":1}"#,
        r#"{"price":[]}"#,
        r#"{"price":{}}"#,
        r#"{"price":99}"#,
        r#"{"price":-99}"#,
        r#"{"price":0.5}"#,
        r#"{"price":"99"}"#,
        r#"{"price":[null,{"price":1}]}"#,
        r#"{"price":{"price":1}}"#,
        r#"{"prices":1}"#,
        "5",
        "null",
        "{}",
    ]);
    let mut shapes = Shapes::default();
    shapes.add_listing(body.as_bytes(), Source::Listing);
    let (log, half) = (100.0_f64.ln(), 1.5_f64.ln());
    let expected = FieldShape {
        absent: 1,
        nulls: 4,
        flags: 1,
        integers: 2,
        reals: 1,
        texts: 1,
        lists: 1,
        objects: 1,
        log_sum: 2.0 * log + half,
        log_squares: 2.0 * log * log + half * half,
    };
    let price = shape(&shapes, 0, "price");
    assert!((price.log_sum - expected.log_sum).abs() < 1e-9);
    assert!((price.log_squares - expected.log_squares).abs() < 1e-9);
    let counts = FieldShape {
        log_sum: expected.log_sum,
        log_squares: expected.log_squares,
        ..price
    };
    assert_eq!(counts, expected);
    let id = shape(&shapes, 0, "id");
    assert_eq!((id.absent, id.integers), (11, 1));
}

#[test]
fn a_field_within_an_object_is_counted_where_the_object_is() {
    let mut shapes = Shapes::default();
    for body in [
        r#"{"id":1,"brand":{"id":5,"name":"A","slug":"a"}}"#,
        r#"{"id":2,"brand":{"id":"5"}}"#,
        r#"{"id":3,"brand":"A"}"#,
        r#"{"id":4,"brand.name":"A","name":"x"}"#,
    ] {
        shapes.add_detail(body.as_bytes(), Source::Detail);
    }
    let brand = shape(&shapes, 0, "brand");
    assert_eq!((brand.objects, brand.texts, brand.absent), (2, 1, 1));
    let name = shape(&shapes, 0, "brand.name");
    assert_eq!((name.texts, name.absent), (1, 1), "two brands were objects");
    let id = shape(&shapes, 0, "brand.id");
    assert_eq!((id.integers, id.texts), (1, 1));
    assert_eq!(shape(&shapes, 0, "name").texts, 1, "not a brand's name");
}

#[test]
fn shapes_are_apart_by_source_endpoint_and_root() {
    let mut shapes = Shapes::default();
    let body = listing(&[
        r#"{"id":1,"primary_category_path":"1/2/8322/316"}"#,
        r#"{"id":2,"primary_category_path":"1\/2\/1846"}"#,
        r#"{"id":3,"primary_category_path":"1/2"}"#,
        r#"{"id":4,"primary_category_path":"8322/316"}"#,
        r#"{"id":5,"primary_category_path":17}"#,
    ]);
    shapes.add_listing(body.as_bytes(), Source::Listing);
    shapes.add_listing(listing(&[r#"{"id":1}"#]).as_bytes(), Source::ListingHtml);
    for body in [
        r#"{"breadcrumbs":[{"category_id":"8322"},{"category_id":316}],"id":1}"#,
        r#"{"breadcrumbs":[7],"id":1}"#,
        r#"{"breadcrumbs":[],"id":1}"#,
    ] {
        shapes.add_detail(body.as_bytes(), Source::DetailHtml);
    }
    let key = |source, endpoint, root| ShapeKey {
        source,
        endpoint,
        root,
    };
    let counted = |shape: &FieldShape| shape.integers;
    let ids: Vec<(ShapeKey, i64)> = shapes
        .iter()
        .filter(|(_, path, _)| *path == "id")
        .map(|(key, _, shape)| (key, counted(shape)))
        .collect();
    assert_eq!(
        ids,
        [
            (key("api", "listing", 0), 3),
            (key("api", "listing", 1846), 1),
            (key("api", "listing", 8322), 1),
            (key("html", "detail", 0), 2),
            (key("html", "detail", 8322), 1),
            (key("html", "listing", 0), 1),
        ]
    );
    let crumbs = shape(&shapes, 8322, "breadcrumbs");
    assert_eq!(crumbs.lists, 1);
}

#[test]
fn a_body_that_is_none_counts_nothing() {
    let mut shapes = Shapes::default();
    for body in [
        "",
        "null",
        "[]",
        "<html>",
        r#"{"data":null}"#,
        r#"{"data":{"id":1}}"#,
        r#"{"data":[{"id":1},{"id":2"#,
        r#"{"data":[{"id":1}]} x"#,
    ] {
        shapes.add_listing(body.as_bytes(), Source::Listing);
    }
    for body in ["", "null", "{}", "[{}]", r#"{"id":1"#, r#"{"id":1}}"#] {
        shapes.add_detail(body.as_bytes(), Source::Detail);
    }
    assert!(shapes.is_empty());
    // What the records' reader mends, this counts too.
    shapes.add_detail(
        b"\xEF\xBB\xBF{\"id\":1,\"name\":\"\\ud800\"}",
        Source::Detail,
    );
    assert_eq!(shape(&shapes, 0, "name").texts, 1);
}

#[test]
fn no_more_roots_are_told_apart_than_the_limit() {
    let mut shapes = Shapes::default();
    for root in 1..=ROOTS_MAX + 5 {
        let body = format!(r#"{{"id":1,"breadcrumbs":[{{"category_id":{root}}}]}}"#);
        shapes.add_detail(body.as_bytes(), Source::Detail);
    }
    let ids = shapes.iter().filter(|(_, path, _)| *path == "id");
    assert_eq!(ids.count(), ROOTS_MAX + 1);
    assert_eq!(shape(&shapes, 0, "id").integers, 5);
}

#[test]
fn shapes_add_up() {
    let mut sum = FieldShape {
        absent: i64::MAX,
        texts: 2,
        log_sum: 0.5,
        ..FieldShape::default()
    };
    sum.add(&sum.clone());
    assert_eq!((sum.absent, sum.texts), (i64::MAX, 4));
    assert!((sum.log_sum - 1.0).abs() < 1e-12);
}
