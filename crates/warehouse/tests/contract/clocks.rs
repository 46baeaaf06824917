//! Identity and details have clocks of their own.

use warehouse::Outcome;

use crate::products::{both, detail, detailed, listed, listing};
use crate::store::{Arrival, Store, at};

on_both!(
    a_late_detail_between_two_leaves_the_newest,
    the_clock_of_details_does_not_depend_on_the_order,
    a_late_detail_fills_what_is_missing,
    a_name_is_of_the_newest_look,
    updated_at_moves_only_with_content,
);

fn described(text: &str, minutes: i64) -> Arrival {
    let mut value = detail(5, 100);
    value.description = Some(text.into());
    detailed(value, at(minutes))
}

const DETAILS: &str = "SELECT description, CASE (SELECT COUNT(*) FROM observations o
    WHERE o.observed_at <= products.detail_observed_at) WHEN 1 THEN 'first' WHEN 2 THEN 'second'
    WHEN 3 THEN 'third' WHEN 4 THEN 'fourth' END FROM products";

async fn a_late_detail_between_two_leaves_the_newest(store: Store) {
    store.one("r1", described("một", 1)).await;
    store.one("r2", described("ba", 30)).await;
    assert_eq!(store.one("r3", described("hai", 20)).await, Outcome::Late);
    assert_eq!(store.cell(DETAILS).await, "ba|third");
}

async fn the_clock_of_details_does_not_depend_on_the_order(store: Store) {
    // The same at 10, 30 and 40, another at 20: changed last at 30.
    for (n, (text, minutes)) in [("a", 40), ("a", 10), ("b", 20), ("a", 30)]
        .iter()
        .enumerate()
    {
        store.one(&format!("r{n}"), described(text, *minutes)).await;
    }
    assert_eq!(store.cell(DETAILS).await, "a|third");
}

async fn a_late_detail_fills_what_is_missing(store: Store) {
    let mut poor = detail(5, 100);
    (poor.sku, poor.seller_name) = (None, None);
    store.one("r1", detailed(poor, at(9))).await;
    let mut old = detail(5, 100);
    old.description = Some("cũ".into());
    store.one("r2", detailed(old, at(1))).await;
    let sql = "SELECT description, sku, seller_name FROM products";
    assert_eq!(store.cell(sql).await, "Mô tả|M5|Nhà Sách");
}

async fn a_name_is_of_the_newest_look(store: Store) {
    let named = |name: &str| catalog::Listing {
        name: name.into(),
        ..listing(5, 100)
    };
    store.one("r1", listed(named("Hai"), at(20))).await;
    store.one("r2", listed(named("Một"), at(10))).await;
    let sql = "SELECT name, search_name FROM products";
    assert_eq!(store.cell(sql).await, "Hai|hai");
    assert_eq!(
        store.one("r3", listed(named("Ba"), at(30))).await,
        Outcome::Changed
    );
    assert_eq!(store.cell(sql).await, "Ba|ba");
    // Of both, the newer names it.
    let mut other = detail(5, 100);
    other.name = "Bốn".into();
    store
        .one("r4", both((named("Ba"), at(40)), (other, at(41))))
        .await;
    assert_eq!(store.cell(sql).await, "Bốn|bon");
}

async fn updated_at_moves_only_with_content(store: Store) {
    let updated = "SELECT updated_at, created_at FROM products";
    let merge = |minutes| warehouse::Merge {
        now: at(minutes),
        ..crate::store::merge()
    };
    store
        .bring("r1", vec![listed(listing(5, 100), at(10))], &merge(100))
        .await;
    let first = store.cell(updated).await;
    let mut nameless_brand = listing(5, 100);
    nameless_brand.brand = None;
    for (n, minutes) in [20, 15, 5, 20].iter().enumerate() {
        let again = vec![listed(nameless_brand.clone(), at(*minutes))];
        store.bring(&format!("s{n}"), again, &merge(200)).await;
    }
    assert_eq!(store.cell(updated).await, first);
    store
        .bring("r3", vec![listed(listing(5, 90), at(30))], &merge(300))
        .await;
    assert_ne!(store.cell(updated).await, first);
    let created = "SELECT created_at FROM products";
    assert!(first.ends_with(&store.cell(created).await));
}
