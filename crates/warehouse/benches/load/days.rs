//! What is loaded: products of about a kilobyte, on days that are new, unchanged or changed in part.

use catalog::{Detail, Instant, Listing, Product, Seen, Source};

/// A day of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Day {
    /// Nothing is known.
    New,
    /// Every product says what it said the day before.
    Unchanged,
    /// One in ten has another price.
    Changed,
}

impl Day {
    pub(crate) const ALL: [Self; 3] = [Self::New, Self::Unchanged, Self::Changed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unchanged => "unchanged",
            Self::Changed => "changed 10 %",
        }
    }

    pub(crate) fn number(self) -> i64 {
        self as i64
    }

    /// When its pages are fetched.
    pub(crate) fn at(self) -> Instant {
        Instant::from_millis(1_700_000_000_000 + self.number() * 86_400_000)
    }

    /// đồng.
    pub(crate) fn price(self, id: i64) -> i64 {
        let before = 100_000 + id % 1_000 * 1_000;
        if self == Self::Changed && id % 10 == 0 {
            before - 5_000
        } else {
            before
        }
    }
}

/// The products of a day, as `transform-products` makes them: listing and detail.
pub(crate) fn products(day: Day, count: i64) -> Vec<Product> {
    (1..=count).map(|id| product(day, id)).collect()
}

fn product(day: Day, id: i64) -> Product {
    let price = day.price(id);
    let name = format!(
        "Sản phẩm số {id} của cửa hàng, loại tốt, hộp {} cái",
        id % 12
    );
    let url = format!("https://tiki.vn/san-pham-so-{id}-cua-cua-hang-p{id}.html");
    let image = Some(format!(
        "https://example.invalid/cache/280x280/ts/product/{id}.jpg"
    ));
    let seller_id = Some(id % 500 + 1);
    let listing = Listing {
        product_id: id,
        spid: Some(id + 1_000_000),
        url: url.clone(),
        name: name.clone(),
        image_url: image.clone(),
        brand: Some("OEM".into()),
        seller_id,
        category_path: Some("1/2/8322/316".into()),
        price: Some(price),
        original_price: Some(price * 2),
        discount_percent: Some(50),
        sales_count: Some(id % 700),
        rating_average: Some(4.5),
        review_count: Some(id % 90 + 1),
        ..Listing::default()
    };
    let detail = Detail {
        id,
        spid: Some(id + 1_000_000),
        sku: Some(format!("{}", 2_000_000_000_000 + id)),
        url,
        name,
        image_url: image,
        brand_id: Some(111),
        brand: Some("OEM".into()),
        seller_id,
        seller_name: Some(format!("Nhà Sách {}", id % 500 + 1)),
        price: Some(price),
        original_price: Some(price * 2),
        discount_percent: Some(50),
        sales_count: Some(id % 700),
        rating_average: Some(4.5),
        review_count: Some(id % 90 + 1),
        stock_status: Some("available".into()),
        stock_quantity: Some(1000),
        description: Some("Mô tả sản phẩm, một dòng chữ.\n".repeat(8)),
        specifications: Some(
            r#"[{"name":"Chung","attributes":[{"name":"Màu","value":"Đỏ"}]}]"#.into(),
        ),
        images: Some(format!(r#"["https://example.invalid/{id}/1.jpg"]"#)),
        ..Detail::default()
    };
    // At one instant: one look.
    let listing = Seen {
        value: listing,
        at: day.at(),
        source: Source::Listing,
    };
    let detail = Seen {
        value: detail,
        at: day.at(),
        source: Source::Detail,
    };
    Product::new(Some(listing), Some(detail), Some(316), |_| true).expect("a record")
}
