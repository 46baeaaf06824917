//! Products for tests, made by the catalogue itself.

use catalog::{Detail, Instant, Listing, Product, Seen, Source};

use crate::store::Arrival;

/// A product as its listing shows it.
pub(crate) fn listing(id: i64, price: i64) -> Listing {
    Listing {
        product_id: id,
        spid: Some(id * 10),
        url: format!("https://tiki.vn/p{id}.html"),
        name: format!("Sản phẩm {id}"),
        price: Some(price),
        sales_count: Some(10),
        rating_average: Some(4.5),
        review_count: Some(3),
        seller_id: Some(1),
        ..Listing::default()
    }
}

/// The same product as its page shows it.
pub(crate) fn detail(id: i64, price: i64) -> Detail {
    Detail {
        id,
        spid: Some(id * 10),
        sku: Some(format!("M{id}")),
        url: format!("https://tiki.vn/p{id}.html"),
        name: format!("Sản phẩm {id}"),
        price: Some(price),
        sales_count: Some(10),
        rating_average: Some(4.5),
        review_count: Some(3),
        seller_id: Some(1),
        seller_name: Some("Nhà Sách".into()),
        brand_id: Some(9),
        stock_status: Some("available".into()),
        stock_quantity: Some(1000),
        description: Some("Mô tả".into()),
        specifications: Some(r#"[{"name":"Chung","attributes":[]}]"#.into()),
        images: Some(r#"["https://salt.tikicdn.com/a.jpg"]"#.into()),
        ..Detail::default()
    }
}

/// A record of one or both.
pub(crate) fn product(
    listing: Option<(Listing, Instant)>,
    detail: Option<(Detail, Instant)>,
) -> Product {
    let listing = listing.map(|(value, at)| Seen {
        value,
        at,
        source: Source::Listing,
    });
    let detail = detail.map(|(value, at)| Seen {
        value,
        at,
        source: Source::Detail,
    });
    Product::new(listing, detail, Some(7), |_| false).expect("a believed record")
}

/// The arrival of a listing alone.
pub(crate) fn listed(listing: Listing, at: Instant) -> Arrival {
    Arrival::Product(Box::new(product(Some((listing, at)), None)))
}

/// The arrival of a detail alone.
pub(crate) fn detailed(detail: Detail, at: Instant) -> Arrival {
    Arrival::Product(Box::new(product(None, Some((detail, at)))))
}

/// The arrival of both.
pub(crate) fn both(listing: (Listing, Instant), detail: (Detail, Instant)) -> Arrival {
    Arrival::Product(Box::new(product(Some(listing), Some(detail))))
}
