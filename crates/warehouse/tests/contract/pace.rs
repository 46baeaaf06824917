//! The pace that all processes share at a site.

use warehouse::PaceRow;

use crate::store::Store;

on_both!(
    an_origin_that_was_never_asked_has_the_full_pace,
    a_pace_is_read_as_it_was_written,
    changes_of_many_add_up,
    one_of_many_takes_the_probe,
);

const ORIGIN: &str = "https://tiki.vn";
const FULL: PaceRow = PaceRow {
    share: 1000,
    share_at_micros: 0,
    open_until_micros: 0,
    pause_micros: 0,
};

async fn pace(store: &Store) -> (PaceRow, String, i64) {
    store.warehouse.pace(ORIGIN).await.expect("a pace")
}

async fn now_micros(store: &Store) -> i64 {
    store.warehouse.time().await.expect("a time").millis() * 1000
}

async fn an_origin_that_was_never_asked_has_the_full_pace(store: Store) {
    let before = now_micros(&store).await;
    let (row, granted_by, now) = pace(&store).await;
    assert_eq!((row, granted_by.as_str()), (FULL, ""));
    assert!(now >= before, "{now} is before {before}");
    assert!(now <= now_micros(&store).await, "{now} is not yet");
    // The rows of turns that were there before the pace have the full one.
    store
        .warehouse
        .permits_to_redis(ORIGIN)
        .await
        .expect("a row");
    let (row, granted_by, _) = pace(&store).await;
    assert_eq!((row, granted_by.as_str()), (FULL, "redis"));
}

async fn a_pace_is_read_as_it_was_written(store: Store) {
    let before = now_micros(&store).await;
    let mut told = None;
    let written = store
        .warehouse
        .change_pace(ORIGIN, |row, now| {
            told = Some((row, now));
            PaceRow {
                share: 500,
                share_at_micros: now,
                open_until_micros: now + 30_000_000,
                pause_micros: 30_000_000,
            }
        })
        .await
        .expect("changed");
    let (row, now) = told.expect("it was asked");
    assert_eq!(row, FULL);
    assert!(now >= before, "{now} is before {before}");
    assert_eq!((written.share, written.share_at_micros), (500, now));
    assert_eq!(written.open_until_micros, now + written.pause_micros);
    let (row, granted_by, _) = pace(&store).await;
    assert_eq!((row, granted_by.as_str()), (written, ""));
    // Turns leave the pace alone, and the pace the turns.
    store
        .warehouse
        .take_permits(ORIGIN, 1, 10, 1000, 1000)
        .await
        .expect("a row");
    let turns = "SELECT next_at_micros FROM permits";
    let next = store.cell(turns).await;
    let (row, granted_by, _) = pace(&store).await;
    assert_eq!((row, granted_by.as_str()), (written, "warehouse"));
    let kept = store.warehouse.change_pace(ORIGIN, |row, _| row).await;
    assert_eq!(kept.expect("the same"), written);
    assert_eq!(store.cell(turns).await, next);
    // Another site has a pace of its own.
    let other = store.warehouse.pace("http://127.0.0.1").await;
    assert_eq!(other.expect("a pace").0, FULL);
}

async fn changes_of_many_add_up(store: Store) {
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let other = store.again().await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..5 {
                let slower = |row: PaceRow, _| PaceRow {
                    share: row.share - 10,
                    ..row
                };
                other.change_pace(ORIGIN, slower).await.expect("changed");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(pace(&store).await.0.share, 1000 - 8 * 5 * 10);
}

async fn one_of_many_takes_the_probe(store: Store) {
    let minute = 60_000_000;
    for round in 0..3 {
        let tripped = |row: PaceRow, now| PaceRow {
            open_until_micros: now,
            pause_micros: minute,
            ..row
        };
        store
            .warehouse
            .change_pace(ORIGIN, tripped)
            .await
            .expect("tripped");
        let mut tasks = Vec::new();
        for _ in 0..8 {
            let other = store.again().await;
            tasks.push(tokio::spawn(async move {
                let probe = |row: PaceRow, now| {
                    (row.open_until_micros <= now).then_some(PaceRow {
                        open_until_micros: now + minute,
                        ..row
                    })
                };
                let taken = other.try_change_pace(ORIGIN, probe).await;
                taken.expect("an answer")
            }));
        }
        let mut takers = 0;
        for task in tasks {
            takers += i32::from(task.await.expect("no panic"));
        }
        assert_eq!(takers, 1, "round {round}");
        let (row, _, now) = pace(&store).await;
        assert!(row.open_until_micros > now, "{row:?} at {now}");
    }
}
