//! A row that cannot be loaded keeps no other from it.

use std::fmt::Write;

use warehouse::Outcome;

use crate::orders::Chance;
use crate::products::{self, listed, listing};
use crate::store::{Arrival, Store, at, merge};

on_both!(
    refused_rows_are_set_aside_and_the_rest_is_loaded,
    a_known_product_stays_as_it_was,
    a_batch_of_nothing_but_refused_rows_ends,
    a_staged_row_that_is_no_record_is_set_aside,
    a_batch_that_cannot_be_unpacked_keeps_no_other_from_being_loaded,
    what_stands_before_a_damaged_frame_of_a_batch_is_loaded,
    a_byte_that_flipped_loses_no_product_unseen,
    a_text_that_an_index_does_not_take_keeps_no_other_from_being_loaded,
    redoing_forgets_what_was_set_aside,
    a_run_without_its_listings_is_not_derived_anew,
);

/// A price that the schema of a test refuses.
const REFUSED: i64 = 13;

async fn refuse(store: &Store) {
    let sql = if store.folder.is_some() {
        "CREATE TRIGGER refuse_new BEFORE INSERT ON products WHEN NEW.price = 13
            BEGIN SELECT RAISE(ABORT, 'thirteen'); END;
         CREATE TRIGGER refuse_changed BEFORE UPDATE ON products WHEN NEW.price = 13
            BEGIN SELECT RAISE(ABORT, 'thirteen'); END;"
    } else {
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.price = 13 THEN RAISE EXCEPTION 'thirteen'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON products
            FOR EACH ROW EXECUTE FUNCTION refuse()"
    };
    store.seed(sql).await;
}

fn shelf(ids: std::ops::Range<i64>, price: impl Fn(i64) -> i64, minute: i64) -> Vec<Arrival> {
    ids.map(|id| listed(listing(id, price(id)), at(minute)))
        .collect()
}

fn is_bad(id: i64) -> bool {
    matches!(id, 3 | 17 | 40)
}

async fn refused_rows_are_set_aside_and_the_rest_is_loaded(store: Store) {
    refuse(&store).await;
    let price = |id| if is_bad(id) { REFUSED } else { 1000 * id };
    let outcomes = store.bring("r", shelf(1..41, price, 1), &merge()).await;
    let bad = outcomes.iter().filter(|o| **o == Outcome::Rejected).count();
    let new = outcomes.iter().filter(|o| **o == Outcome::New).count();
    assert_eq!((bad, new), (3, 37));
    let rejections = store.warehouse.rejections(Some("r"), None, 100).await;
    let mut rejections = rejections.expect("rejections");
    rejections.sort_by_key(|row| row.product_id);
    let brief: Vec<(Option<i64>, &str, &str)> = rejections
        .iter()
        .map(|row| (row.product_id, row.step.as_str(), row.reason.as_str()))
        .collect();
    let expected = |id| (Some(id), "load-products", "unstorable");
    assert_eq!(brief, [3, 17, 40].map(expected));
    assert!(
        rejections[0].seen.contains("thirteen"),
        "{:?}",
        rejections[0].seen
    );
    let waits = "SELECT COUNT(*) FROM staged_products WHERE records IS NOT NULL";
    assert_eq!(store.cell(waits).await, "0");
    // As if the three had never come.
    let clean = Store::sqlite().await;
    let mut rest = shelf(1..41, price, 1);
    rest.retain(|arrival| !is_bad(arrival.id()));
    clean.bring("r", rest, &merge()).await;
    let (kept, expected) = (store.warehouse.digest(), clean.warehouse.digest());
    assert_eq!(
        kept.await.expect("a digest"),
        expected.await.expect("a digest")
    );
}

async fn a_known_product_stays_as_it_was(store: Store) {
    store
        .bring("r1", shelf(1..41, |id| 1000 * id, 1), &merge())
        .await;
    refuse(&store).await;
    let before = store.rows("SELECT * FROM products WHERE id = 17").await;
    let price = |id| if is_bad(id) { REFUSED } else { 2000 * id };
    let outcomes = store.bring("r2", shelf(1..41, price, 2), &merge()).await;
    let changed = outcomes.iter().filter(|o| **o == Outcome::Changed).count();
    assert_eq!(changed, 37);
    assert_eq!(
        store.rows("SELECT * FROM products WHERE id = 17").await,
        before
    );
    let looks = "SELECT COUNT(*) FROM observations WHERE product_id = 17";
    assert_eq!(
        store.cell(looks).await,
        "1",
        "what is refused is not half there"
    );
    let counts = store.warehouse.identities("r2").await.expect("counts");
    assert_eq!((counts.products.changed, counts.products.rejected), (37, 3));
}

async fn a_batch_of_nothing_but_refused_rows_ends(store: Store) {
    refuse(&store).await;
    let outcomes = store
        .bring("r", shelf(1..501, |_| REFUSED, 1), &merge())
        .await;
    assert_eq!(outcomes, vec![Outcome::Rejected; 500]);
    let rejections = store.warehouse.rejections(Some("r"), None, 1000).await;
    assert_eq!(rejections.expect("rejections").len(), 500);
    assert_eq!(store.warehouse.totals().await.expect("totals"), (0, 0, 0));
}

/// An index of PostgreSQL holds 2,704 bytes of a text that does not shrink; SQLite's hold any.
async fn a_text_that_an_index_does_not_take_keeps_no_other_from_being_loaded(store: Store) {
    let mut chance = Chance(7);
    let letter = |_| char::from(b'!' + chance.next(90) as u8);
    let endless: String = (0..4000).map(letter).collect();
    for (run, minute, known) in [("r1", 1, Outcome::New), ("r2", 2, Outcome::Changed)] {
        let detailed = |id| {
            let mut detail = products::detail(id, 1000 * minute);
            if id == 3 || (id == 4 && run == "r2") {
                detail.sku = Some(endless.clone());
            }
            products::detailed(detail, at(minute))
        };
        let outcomes = store
            .bring(run, (1..41).map(detailed).collect(), &merge())
            .await;
        let refused = i64::from(store.folder.is_none()) * minute;
        let of = |what| outcomes.iter().filter(|o| **o == what).count() as i64;
        assert_eq!(of(Outcome::Rejected), refused, "{run}");
        assert_eq!(of(known), 40 - refused, "{run}");
    }
}

async fn a_staged_row_that_is_no_record_is_set_aside(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1, 2, 3, 4, 5], None).await;
    store.stage("r", shelf(1..6, |id| 1000 * id, 1)).await;
    let good = products::product(Some((listing(1, 1000), at(1))), None).to_staged();
    let lines = [
        format!("1 - - - 1 0 1 -\t{good}"),
        "2 - 7 - 1 0 - -\t{\"from\":\"another program\"}".into(),
        "3 - - 8 1 0 - -\t-".into(),
        "4 - 9".into(),
        // Its looks are good, and what it tells is none.
        format!(
            "5 - - 6 1 0 1 -\t{}\t[]",
            good.split('\t').next().expect("looks")
        ),
    ];
    let mut hex = String::new();
    for byte in lines.join("\n").bytes() {
        write!(hex, "{byte:02x}").expect("a text takes all");
    }
    let bytes = if store.folder.is_some() {
        format!("X'{hex}'")
    } else {
        format!("'\\x{hex}'")
    };
    let sql = format!("UPDATE staged_products SET records = {bytes}");
    store.seed(&sql).await;
    let mut outcomes = store.load_staged("r", &merge()).await;
    outcomes.sort_by_key(|(id, _)| *id);
    let expected = [
        (1, Outcome::New),
        (2, Outcome::Rejected),
        (3, Outcome::Rejected),
        (4, Outcome::Rejected),
        (5, Outcome::Rejected),
    ];
    assert_eq!(outcomes, expected);
    let reasons = "SELECT product_id, reason, page_id FROM rejections ORDER BY product_id";
    let expected = [
        "2|bad-staged|7",
        "3|bad-staged|8",
        "4|bad-staged|9",
        "5|bad-staged|6",
    ];
    assert_eq!(store.rows(reasons).await, expected);
}

async fn what_stands_before_a_damaged_frame_of_a_batch_is_loaded(store: Store) {
    store.create_run("r").await;
    let ids: Vec<i64> = (1..=1203).collect();
    store.plan("r", &ids, None).await;
    store
        .stage_by(5000, "r", shelf(1..1204, |id| 1000 + id, 1))
        .await;
    // The last bytes are of the third frame.
    let damage = if store.folder.is_some() {
        "UPDATE staged_products SET records = CAST(substr(records, 1, length(records) - 9) AS BLOB)"
    } else {
        "UPDATE staged_products SET records = substr(records, 1, length(records) - 9)"
    };
    store.seed(damage).await;
    let mut outcomes = store.load_staged("r", &merge()).await;
    outcomes.sort_by_key(|(id, _)| *id);
    let (whole, lost) = outcomes.split_at(1000);
    assert!(whole.iter().all(|(_, outcome)| *outcome == Outcome::New));
    assert_eq!(lost.len(), 203);
    assert!(
        lost.iter()
            .all(|(_, outcome)| *outcome == Outcome::Rejected)
    );
    let counts = store.warehouse.identities("r").await.expect("counts");
    assert_eq!((counts.products.rejected, counts.products.new), (203, 1000));
}

/// Of the frame that holds the byte, and of those behind it, all are rejected; before it none is.
async fn a_byte_that_flipped_loses_no_product_unseen(store: Store) {
    for (run, minute, place, whole) in [
        ("first", 1, "100", 0),
        ("middle", 2, "length(records) / 2", 500),
    ] {
        store.create_run(run).await;
        let ids: Vec<i64> = (1..=1203).collect();
        store.plan(run, &ids, None).await;
        store
            .stage_by(5000, run, shelf(1..1204, |id| 1000 + id, minute))
            .await;
        let damage = if store.folder.is_some() {
            format!(
                "UPDATE staged_products SET records = CAST(substr(records, 1, {place}) || x'00ff00ff'
                    || substr(records, {place} + 5) AS BLOB) WHERE run_id = '{run}'"
            )
        } else {
            format!(
                "UPDATE staged_products SET records = overlay(records PLACING '\\x00ff00ff'::bytea
                    FROM {place} + 1) WHERE run_id = '{run}'"
            )
        };
        store.seed(&damage).await;
        let mut outcomes = store.load_staged(run, &merge()).await;
        outcomes.sort_by_key(|(id, _)| *id);
        let (before, behind) = outcomes.split_at(whole);
        let is_rejected = |(_, outcome): &(i64, Outcome)| *outcome == Outcome::Rejected;
        assert!(!before.iter().any(is_rejected), "{run}");
        assert!(behind.iter().all(is_rejected), "{run}");
        assert_eq!(outcomes.len(), 1203, "{run}");
        store.finish_run(run).await;
    }
}

async fn a_batch_that_cannot_be_unpacked_keeps_no_other_from_being_loaded(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1, 2, 3, 4], None).await;
    store.stage_by(2, "r", shelf(1..5, |id| 1000 * id, 1)).await;
    let damage = if store.folder.is_some() {
        "UPDATE staged_products SET records = CAST(substr(records, 1, length(records) - 9) AS BLOB)
         WHERE batch = (SELECT MIN(batch) FROM staged_products)"
    } else {
        "UPDATE staged_products SET records = substr(records, 1, length(records) - 9)
         WHERE batch = (SELECT MIN(batch) FROM staged_products)"
    };
    store.seed(damage).await;
    let mut outcomes = store.load_staged("r", &merge()).await;
    outcomes.sort_by_key(|(id, _)| *id);
    let expected = [
        (1, Outcome::Rejected),
        (2, Outcome::Rejected),
        (3, Outcome::New),
        (4, Outcome::New),
    ];
    assert_eq!(outcomes, expected);
    let counts = store.warehouse.identities("r").await.expect("counts");
    assert_eq!((counts.products.rejected, counts.products.new), (2, 2));
    let lost = |broken: &String| broken.starts_with("products");
    assert!(!counts.broken().iter().any(lost), "{:?}", counts.broken());
}

async fn redoing_forgets_what_was_set_aside(store: Store) {
    refuse(&store).await;
    let price = |id| if is_bad(id) { REFUSED } else { 1000 * id };
    store.bring("r", shelf(1..41, price, 1), &merge()).await;
    let mended = if store.folder.is_some() {
        "DROP TRIGGER refuse_new; DROP TRIGGER refuse_changed;"
    } else {
        "DROP TRIGGER refuse ON products"
    };
    store.seed(mended).await;
    let steps = ["transform-products", "load-products"];
    let redo = store.warehouse.redo("r", steps[0], &steps).await;
    redo.expect("opened again");
    store.stage("r", shelf(1..41, price, 1)).await;
    let outcomes = store.load_staged("r", &merge()).await;
    let new = outcomes.iter().filter(|(_, o)| *o == Outcome::New).count();
    assert_eq!(new, 3, "{outcomes:?}");
    let left = "SELECT COUNT(*) FROM rejections";
    assert_eq!(store.cell(left).await, "0");
}

async fn a_run_without_its_listings_is_not_derived_anew(store: Store) {
    store.create_run("r").await;
    store.plan("r", &[1, 2], Some(7)).await;
    store.stage("r", shelf(1..3, |id| 1000 * id, 1)).await;
    store.load_staged("r", &merge()).await;
    store.finish_run("r").await;
    let steps = ["transform-products", "load-products"];
    let redo = store.warehouse.redo("r", steps[0], &steps).await;
    let error = redo.expect_err("its listings are gone").to_string();
    assert!(error.contains("(TIKI_KEEP_LISTINGS)"), "{error}");
    let outcomes = "SELECT DISTINCT outcome FROM run_outcomes";
    assert_eq!(store.rows(outcomes).await, ["new"], "nothing was undone");
}
