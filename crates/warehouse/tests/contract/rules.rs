//! The merge, rule by rule: each in every order of loading and in every batching. What must follow
//! is written out by hand, as docs/SCHEMA.md says it (*What a look does*); nothing here computes it.
//!
//! Not here: random looks (`orders`), several loaders at once (`loaders`).

use catalog::{Detail, Listing};
use warehouse::Outcome;

use crate::products::{both, detail, detailed, listed, listing};
use crate::rule::{Rule, check};
use crate::store::{Arrival, Store, at};

on_both!(
    changed,
    unchanged,
    late,
    delisted,
    relisted,
    price_equal_again,
    seller_changed_without_a_name,
    listing_only,
    cached_detail_beside_a_fresh_listing,
    several_looks_of_a_product_in_one_batch,
    null_never_erases,
    a_text_that_is_left_out_stays,
    at_one_time_a_detail_beats_a_listing,
    the_name_is_of_the_newest_look,
    the_same_look_again,
);

/// The records of a listing or a detail at a minute; all say sales 10 and seller 1.
fn seen(id: i64, minute: i64, price: i64) -> (Listing, catalog::Instant) {
    let named = Listing {
        name: "Tên".into(),
        ..listing(id, price)
    };
    (named, at(minute))
}

fn page(id: i64, minute: i64, price: i64) -> (Detail, catalog::Instant) {
    let named = Detail {
        name: "Tên".into(),
        ..detail(id, price)
    };
    (named, at(minute))
}

fn shown(id: i64, minute: i64, price: i64) -> Arrival {
    let (listing, at) = seen(id, minute, price);
    listed(listing, at)
}

fn told(id: i64, minute: i64, price: i64) -> Arrival {
    let (detail, at) = page(id, minute, price);
    detailed(detail, at)
}

/// As a listing shows it when another seller sells it.
fn sold_by(id: i64, minute: i64, seller: i64) -> Arrival {
    let (listing, at) = seen(id, minute, 100);
    let seller_id = Some(seller);
    listed(
        Listing {
            seller_id,
            ..listing
        },
        at,
    )
}

async fn changed(store: Store) {
    let rule = Rule {
        records: vec![|id| shown(id, 1, 100), |id| shown(id, 2, 90), |id| {
            shown(id, 3, 120)
        }],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Changed, Outcome::Changed],
        )],
        looks: &["1|listing|100", "2|listing|90", "3|listing|120"],
        history: &[
            "1|first|100|10|1|~|~|~",
            "2|price|90|10|1|~|100|-10",
            "3|price|120|10|1|~|90|30",
        ],
        product: "3|~|~|120|10|1|~|~|~|Tên",
    };
    check(&store, &rule).await;
}

async fn unchanged(store: Store) {
    let rule = Rule {
        records: vec![|id| shown(id, 1, 100), |id| shown(id, 2, 100), |id| {
            shown(id, 3, 100)
        }],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Unchanged, Outcome::Unchanged],
        )],
        looks: &["1|listing|100", "2|listing|100", "3|listing|100"],
        history: &["1|first|100|10|1|~|~|~"],
        product: "1|~|~|100|10|1|~|~|~|Tên",
    };
    check(&store, &rule).await;
}

async fn late(store: Store) {
    use Outcome::{Changed, Late, New};
    let rule = Rule {
        records: vec![|id| shown(id, 1, 100), |id| shown(id, 2, 80), |id| {
            shown(id, 3, 100)
        }],
        outcomes: &[
            (&[2, 0, 1], &[New, Late, Late]),
            (&[1, 2, 0], &[New, Changed, Late]),
            (&[0, 2, 1], &[New, Outcome::Unchanged, Late]),
        ],
        looks: &["1|listing|100", "2|listing|80", "3|listing|100"],
        history: &[
            "1|first|100|10|1|~|~|~",
            "2|price|80|10|1|~|100|-20",
            "3|price|100|10|1|~|80|20",
        ],
        product: "3|~|~|100|10|1|~|~|~|Tên",
    };
    check(&store, &rule).await;
}

async fn delisted(store: Store) {
    let rule = Rule {
        records: vec![
            |id| shown(id, 1, 100),
            |id| Arrival::Gone(id, at(2)),
            |id| Arrival::Gone(id, at(3)),
        ],
        outcomes: &[(&[0, 1, 2], &[Outcome::New, Outcome::Gone, Outcome::Gone])],
        looks: &["1|listing|100", "2|gone|~", "3|gone|~"],
        history: &["1|first|100|10|1|~|~|~", "2|delisted|100|10|1|~|100|~"],
        product: "2|~|2|100|10|1|~|~|~|Tên",
    };
    check(&store, &rule).await;
}

async fn relisted(store: Store) {
    let rule = Rule {
        records: vec![
            |id| shown(id, 1, 100),
            |id| Arrival::Gone(id, at(2)),
            |id| shown(id, 3, 90),
            |id| shown(id, 4, 90),
        ],
        outcomes: &[(
            &[0, 1, 2, 3],
            &[
                Outcome::New,
                Outcome::Gone,
                Outcome::Changed,
                Outcome::Unchanged,
            ],
        )],
        looks: &["1|listing|100", "2|gone|~", "3|listing|90", "4|listing|90"],
        history: &[
            "1|first|100|10|1|~|~|~",
            "2|delisted|100|10|1|~|100|~",
            "3|relisted,price|90|10|1|~|100|-10",
        ],
        product: "3|~|~|90|10|1|~|~|~|Tên",
    };
    check(&store, &rule).await;
}

async fn price_equal_again(store: Store) {
    let rule = Rule {
        records: vec![
            |id| shown(id, 1, 100),
            |id| shown(id, 2, 150),
            |id| shown(id, 3, 100),
            |id| shown(id, 4, 100),
        ],
        outcomes: &[(
            &[0, 1, 2, 3],
            &[
                Outcome::New,
                Outcome::Changed,
                Outcome::Changed,
                Outcome::Unchanged,
            ],
        )],
        looks: &[
            "1|listing|100",
            "2|listing|150",
            "3|listing|100",
            "4|listing|100",
        ],
        history: &[
            "1|first|100|10|1|~|~|~",
            "2|price|150|10|1|~|100|50",
            "3|price|100|10|1|~|150|-50",
        ],
        product: "3|~|~|100|10|1|~|~|~|Tên",
    };
    check(&store, &rule).await;
}

async fn seller_changed_without_a_name(store: Store) {
    let rule = Rule {
        records: vec![|id| told(id, 1, 100), |id| sold_by(id, 2, 2), |id| {
            sold_by(id, 3, 2)
        }],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Changed, Outcome::Unchanged],
        )],
        looks: &["1|detail|100", "2|listing|100", "3|listing|100"],
        history: &[
            "1|first|100|10|1|available|~|~",
            "2|seller|100|10|2|available|100|~",
        ],
        product: "2|1|~|100|10|2|~|available|Mô tả|Tên",
    };
    check(&store, &rule).await;
    // With the old seller its name comes back.
    let again = Rule {
        records: vec![|id| told(id, 1, 100), |id| sold_by(id, 2, 2), |id| {
            sold_by(id, 3, 1)
        }],
        outcomes: &[],
        history: &[
            "1|first|100|10|1|available|~|~",
            "2|seller|100|10|2|available|100|~",
            "3|seller|100|10|1|available|100|~",
        ],
        product: "3|1|~|100|10|1|Nhà Sách|available|Mô tả|Tên",
        ..rule
    };
    check(&store, &again).await;
}

async fn listing_only(store: Store) {
    let rule = Rule {
        records: vec![
            |id| shown(id, 1, 100),
            |id| {
                let (listing, at) = seen(id, 2, 100);
                let sales_count = Some(25);
                listed(
                    Listing {
                        sales_count,
                        ..listing
                    },
                    at,
                )
            },
            |id| {
                let (listing, at) = seen(id, 3, 100);
                let sales_count = None;
                listed(
                    Listing {
                        sales_count,
                        ..listing
                    },
                    at,
                )
            },
        ],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Changed, Outcome::Unchanged],
        )],
        looks: &["1|listing|100", "2|listing|100", "3|listing|100"],
        history: &["1|first|100|10|1|~|~|~", "2|sales|100|25|1|~|100|~"],
        product: "2|~|~|100|25|1|~|~|~|Tên",
    };
    check(&store, &rule).await;
}

async fn cached_detail_beside_a_fresh_listing(store: Store) {
    let rule = Rule {
        records: vec![
            |id| both(seen(id, 2, 100), page(id, 1, 100)),
            |id| both(seen(id, 9, 90), page(id, 1, 100)),
            |id| both(seen(id, 12, 90), page(id, 1, 100)),
        ],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Changed, Outcome::Unchanged],
        )],
        looks: &[
            "1|detail|100",
            "2|listing|100",
            "9|listing|90",
            "12|listing|90",
        ],
        history: &[
            "1|first|100|10|1|available|~|~",
            "9|price|90|10|1|available|100|-10",
        ],
        product: "9|1|~|90|10|1|Nhà Sách|available|Mô tả|Tên",
    };
    check(&store, &rule).await;
}

async fn several_looks_of_a_product_in_one_batch(store: Store) {
    let rule = Rule {
        records: vec![
            |id| both(seen(id, 1, 100), page(id, 2, 90)),
            |id| both(seen(id, 4, 90), page(id, 3, 80)),
            |id| both(seen(id, 5, 90), page(id, 6, 90)),
        ],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Changed, Outcome::Unchanged],
        )],
        looks: &[
            "1|listing|100",
            "2|detail|90",
            "3|detail|80",
            "4|listing|90",
            "5|listing|90",
            "6|detail|90",
        ],
        history: &[
            "1|first|100|10|1|~|~|~",
            "2|price,stock|90|10|1|available|100|-10",
            "3|price|80|10|1|available|90|-10",
            "4|price|90|10|1|available|80|10",
        ],
        product: "4|2|~|90|10|1|Nhà Sách|available|Mô tả|Tên",
    };
    check(&store, &rule).await;
}

async fn null_never_erases(store: Store) {
    let rule = Rule {
        records: vec![
            |id| told(id, 1, 100),
            |id| {
                let (mut poor, at) = page(id, 2, 100);
                (poor.sales_count, poor.stock_status, poor.stock_quantity) = (None, None, None);
                detailed(poor, at)
            },
            |id| shown(id, 3, 100),
        ],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Unchanged, Outcome::Unchanged],
        )],
        looks: &["1|detail|100", "2|detail|100", "3|listing|100"],
        history: &["1|first|100|10|1|available|~|~"],
        product: "1|1|~|100|10|1|Nhà Sách|available|Mô tả|Tên",
    };
    check(&store, &rule).await;
}

/// Of texts the past is not kept, so since when they stand is not asked here (docs/adr/0004).
async fn a_text_that_is_left_out_stays(store: Store) {
    let rule = Rule {
        records: vec![
            |id| told(id, 1, 100),
            |id| {
                let (mut poor, at) = page(id, 2, 100);
                (poor.sku, poor.seller_name, poor.description) = (None, None, None);
                detailed(poor, at)
            },
            |id| shown(id, 3, 100),
        ],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Unchanged, Outcome::Unchanged],
        )],
        looks: &["1|detail|100", "2|detail|100", "3|listing|100"],
        history: &["1|first|100|10|1|available|~|~"],
        product: "2|2|~|100|10|1|Nhà Sách|available|Mô tả|Tên",
    };
    check(&store, &rule).await;
}

async fn at_one_time_a_detail_beats_a_listing(store: Store) {
    let rule = Rule {
        records: vec![|id| shown(id, 1, 100), |id| told(id, 1, 90), |id| {
            shown(id, 2, 90)
        }],
        outcomes: &[(
            &[1, 0, 2],
            &[Outcome::New, Outcome::Unchanged, Outcome::Unchanged],
        )],
        looks: &["1|detail|90", "2|listing|90"],
        history: &["1|first|90|10|1|available|~|~"],
        product: "1|1|~|90|10|1|Nhà Sách|available|Mô tả|Tên",
    };
    check(&store, &rule).await;
}

async fn the_name_is_of_the_newest_look(store: Store) {
    let rule = Rule {
        records: vec![
            |id| shown(id, 1, 100),
            |id| {
                let (listing, at) = seen(id, 2, 100);
                let name = "Tên mới".into();
                listed(Listing { name, ..listing }, at)
            },
            |id| {
                let (detail, at) = page(id, 3, 100);
                let name = "Tên mới".into();
                detailed(Detail { name, ..detail }, at)
            },
        ],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Changed, Outcome::Changed],
        )],
        looks: &["1|listing|100", "2|listing|100", "3|detail|100"],
        history: &["1|first|100|10|1|~|~|~", "3|stock|100|10|1|available|100|~"],
        product: "3|3|~|100|10|1|Nhà Sách|available|Mô tả|Tên mới",
    };
    check(&store, &rule).await;
}

async fn the_same_look_again(store: Store) {
    let rule = Rule {
        records: vec![
            |id| both(seen(id, 1, 100), page(id, 2, 100)),
            |id| both(seen(id, 1, 100), page(id, 2, 100)),
            |id| both(seen(id, 1, 100), page(id, 2, 100)),
        ],
        outcomes: &[(
            &[0, 1, 2],
            &[Outcome::New, Outcome::Unchanged, Outcome::Unchanged],
        )],
        looks: &["1|listing|100", "2|detail|100"],
        history: &["1|first|100|10|1|~|~|~", "2|stock|100|10|1|available|100|~"],
        product: "2|2|~|100|10|1|Nhà Sách|available|Mô tả|Tên",
    };
    check(&store, &rule).await;
}
