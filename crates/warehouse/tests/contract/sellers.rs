//! A new seller never keeps the name of the old one.

use warehouse::Outcome;

use crate::products::{detail, detailed, listed, listing};
use crate::store::{Store, at};

on_both!(
    a_new_seller_never_keeps_the_old_name,
    the_name_comes_back_with_its_seller,
    a_late_look_lends_its_seller_nothing,
);

const ROW: &str = "SELECT seller_id, seller_name, seller_sku, seller_is_official FROM products";

fn sold_by(seller: i64, sku: Option<&str>, official: Option<bool>) -> catalog::Listing {
    catalog::Listing {
        seller_id: Some(seller),
        seller_sku: sku.map(Into::into),
        seller_is_official: official,
        ..listing(5, 100)
    }
}

async fn a_new_seller_never_keeps_the_old_name(store: Store) {
    store
        .one("r1", listed(sold_by(1, Some("A"), Some(true)), at(0)))
        .await;
    store.one("r2", detailed(detail(5, 100), at(1))).await;
    let row = store
        .cell(ROW)
        .await
        .replace("|true", "|1")
        .replace("|t", "|1");
    assert_eq!(row, "1|Nhà Sách|A|1");
    let outcome = store.one("r3", listed(sold_by(2, None, None), at(2))).await;
    assert_eq!(outcome, Outcome::Changed);
    assert_eq!(store.cell(ROW).await, "2|~|~|~");
    let kind = "SELECT kind FROM product_history ORDER BY observed_at DESC LIMIT 1";
    assert_eq!(store.cell(kind).await, "seller");
}

async fn the_name_comes_back_with_its_seller(store: Store) {
    store.one("r1", detailed(detail(5, 100), at(1))).await;
    store.one("r2", listed(sold_by(2, None, None), at(2))).await;
    store.one("r3", listed(sold_by(1, None, None), at(3))).await;
    assert_eq!(store.cell(ROW).await, "1|Nhà Sách|~|~");
    // A detail of the other seller is the name that is known from then on.
    let mut other = detail(5, 100);
    (other.seller_id, other.seller_name) = (Some(2), Some("Tiệm Hai".into()));
    store.one("r4", detailed(other, at(4))).await;
    assert_eq!(store.cell(ROW).await, "2|Tiệm Hai|~|~");
    store.one("r5", listed(sold_by(1, None, None), at(5))).await;
    assert_eq!(store.cell(ROW).await, "1|~|~|~");
}

async fn a_late_look_lends_its_seller_nothing(store: Store) {
    store.one("r1", listed(sold_by(2, None, None), at(9))).await;
    store
        .one("r2", listed(sold_by(1, Some("A"), Some(true)), at(1)))
        .await;
    assert_eq!(store.cell(ROW).await, "2|~|~|~");
    store
        .one("r3", listed(sold_by(2, Some("B"), None), at(2)))
        .await;
    assert_eq!(
        store.cell(ROW).await,
        "2|~|B|~",
        "of the same seller it fills"
    );
}
