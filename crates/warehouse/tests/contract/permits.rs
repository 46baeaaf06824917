//! The row from which all processes take their turns.

use crate::store::Store;

on_both!(
    turns_are_granted_once_and_not_far_ahead,
    a_wide_spacing_is_kept_by_who_asks_with_a_narrow_one,
    a_row_that_another_granted_begins_in_silence
);

const ORIGIN: &str = "https://tiki.vn";
const AHEAD: i64 = 1_000_000;
const MOST: i64 = 3_600_000_000;

async fn turns_are_granted_once_and_not_far_ahead(store: Store) {
    let spacing = 100_000;
    let first = store
        .warehouse
        .take_permits(ORIGIN, 3, spacing, AHEAD, MOST)
        .await
        .expect("a row");
    assert_eq!(first.count, 0, "a new row begins with a silence");
    assert!((1..=spacing).contains(&first.wait_micros), "{first:?}");
    // The silence is over.
    store.seed("UPDATE permits SET next_at_micros = 0").await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let other = store.again().await;
        tasks.push(tokio::spawn(async move {
            other
                .take_permits(ORIGIN, 2, spacing, AHEAD, MOST)
                .await
                .expect("a row")
        }));
    }
    let mut granted = 0;
    for task in tasks {
        let row = task.await.expect("no panic");
        granted += row.count;
        assert!(row.wait_micros <= AHEAD, "{row:?}");
    }
    // A second ahead holds eleven turns at most, and a slow machine lets some pass by.
    assert!((10..=16).contains(&granted), "{granted}");
    let next: i64 = store
        .cell("SELECT next_at_micros FROM permits")
        .await
        .parse()
        .expect("micros");
    let now = store.warehouse.time().await.expect("a time").millis() * 1000;
    assert!(
        next <= now + AHEAD + spacing,
        "{next} is too far after {now}"
    );
}

async fn a_wide_spacing_is_kept_by_who_asks_with_a_narrow_one(store: Store) {
    let wide = 60_000_000;
    let take = |spacing| {
        store
            .warehouse
            .take_permits(ORIGIN, 1, spacing, AHEAD, MOST)
    };
    take(wide).await.expect("a row");
    store.seed("UPDATE permits SET next_at_micros = 0").await;
    assert_eq!(take(wide).await.expect("a turn").count, 1);
    let joined = take(500_000).await.expect("a row");
    assert_eq!(joined.count, 0, "{joined:?}");
    let most = wide - AHEAD;
    assert!(
        (most / 2..=most).contains(&joined.wait_micros),
        "{joined:?}"
    );
}

async fn a_row_that_another_granted_begins_in_silence(store: Store) {
    store
        .warehouse
        .take_permits(ORIGIN, 1, 10, AHEAD, MOST)
        .await
        .expect("a row");
    store
        .seed("UPDATE permits SET next_at_micros = 0, granted_by = 'redis'")
        .await;
    let row = store
        .warehouse
        .take_permits(ORIGIN, 1, 10, AHEAD, MOST)
        .await
        .expect("a row");
    assert_eq!(row.count, 0);
    // A clock that was set back stops nothing for longer than the silence.
    store
        .seed("UPDATE permits SET next_at_micros = 9000000000000000000")
        .await;
    store
        .warehouse
        .take_permits(ORIGIN, 1, 10, AHEAD, MOST)
        .await
        .expect("a row");
    let next: i64 = store
        .cell("SELECT next_at_micros FROM permits")
        .await
        .parse()
        .expect("micros");
    let now = store.warehouse.time().await.expect("a time").millis() * 1000;
    assert!(next <= now + AHEAD + 10, "{next} is too far after {now}");
}
