//! The outbox of alerts: written with what it tells of, sent by one at a time, and again where that is
//! not known to have worked.

use std::collections::BTreeSet;

use warehouse::{AlertRow, Backups, DeliveryRow, DeliveryState, NewAlert, Options, RunState};

use crate::store::Store;

on_both!(
    an_alert_is_written_with_what_it_tells_of_or_not_at_all,
    the_same_trouble_is_told_once_within_the_window_and_counted,
    no_two_senders_have_the_same_delivery,
    what_a_killed_sender_had_comes_again_with_its_id,
    a_failed_delivery_waits_is_given_up_and_is_sent_again_by_hand,
    a_restore_holds_what_was_not_sent,
    what_somebody_has_told_since_is_not_told_again,
    the_end_of_a_run_repeats_no_step_of_it,
    what_was_kept_elsewhere_is_taken_over_once,
    what_a_clock_that_was_ahead_told_silences_nothing,
);

const WINDOW: i64 = 3600;
const LEASE: i64 = 30;

fn alert(id: &str, key: &str) -> NewAlert {
    NewAlert {
        id: id.into(),
        key: key.into(),
        kind: "exit-20".into(),
        severity: "warning".into(),
        run: Some("r".into()),
        title: "the site refuses".into(),
        details: r#"{"lines":[]}"#.into(),
        window_seconds: WINDOW,
        channels: vec!["slack".into(), "webhook".into()],
    }
}

/// Ends a run with an alert.
async fn ended(store: &Store, run: &str, alert: &NewAlert) {
    store.create_run(run).await;
    finish(store, run, alert).await;
}

async fn finish(store: &Store, run: &str, alert: &NewAlert) {
    let ended = store
        .warehouse
        .finish_run(run, RunState::Done, 20, "{}", Some(alert));
    ended.await.expect("an end");
}

async fn ids(store: &Store) -> Vec<String> {
    let all = store.warehouse.alerts(100).await.expect("alerts");
    all.into_iter().map(|alert| alert.id).collect()
}

/// As if the lease of every sender were over.
async fn later(store: &Store) {
    store
        .seed("UPDATE alert_deliveries SET next_at = '2020-01-01T00:00:00.000Z'")
        .await;
}

async fn an_alert_is_written_with_what_it_tells_of_or_not_at_all(store: Store) {
    ended(&store, "r", &alert("a", "k")).await;
    // It has ended; and a step that another has taken over has nothing to tell.
    finish(&store, "r", &alert("b", "other")).await;
    store.create_run("s").await;
    let slept = store.attempt("s", "load-products").await;
    let worker = store.take_over("s", "load-products").await;
    let failed = Some((20, "refused"));
    let told = |id| alert(id, id);
    let late = store
        .warehouse
        .end_attempt(&slept, failed, Some(&told("c")))
        .await;
    late.expect("an end");
    assert!(
        store
            .warehouse
            .hold_run(&slept, (11, "drift"), Some(&told("d")))
            .await
            .is_err()
    );
    assert_eq!(ids(&store).await, ["a"]);
    let held = store
        .warehouse
        .hold_run(&worker, (11, "drift"), Some(&told("e")))
        .await;
    held.expect("held");
    assert_eq!(
        store.rows("SELECT id FROM alerts ORDER BY id").await,
        ["a", "e"]
    );
    let told = store.warehouse.alert("a").await.expect("an answer");
    let told = told.expect("an alert");
    assert_eq!((told.seen, told.run.as_deref()), (1, Some("r")));
    let channels: Vec<_> = told
        .deliveries
        .iter()
        .map(|one| (one.channel.as_str(), one.state, one.tries))
        .collect();
    let waiting = DeliveryState::Waiting;
    assert_eq!(channels, [("slack", waiting, 0), ("webhook", waiting, 0)]);
}

async fn the_same_trouble_is_told_once_within_the_window_and_counted(store: Store) {
    ended(&store, "r", &alert("a", "k")).await;
    ended(&store, "s", &alert("b", "k")).await;
    ended(&store, "t", &alert("c", "another")).await;
    let told = "SELECT id, seen FROM alerts ORDER BY id";
    assert_eq!(store.rows(told).await, ["a|2", "c|1"]);
    store
        .seed("UPDATE alerts SET first_at = '2020-01-01T00:00:00.000Z'")
        .await;
    ended(&store, "u", &alert("d", "k")).await;
    assert_eq!(store.rows(told).await, ["a|2", "c|1", "d|1"]);
    let always = NewAlert {
        window_seconds: 0,
        ..alert("e", "k")
    };
    ended(&store, "v", &always).await;
    assert_eq!(store.rows(told).await, ["a|2", "c|1", "d|1", "e|1"]);
    let sent = "SELECT COUNT(*) FROM alert_deliveries";
    assert_eq!(store.cell(sent).await, "8");
}

async fn no_two_senders_have_the_same_delivery(store: Store) {
    const ALERTS: usize = 24;
    for number in 0..ALERTS {
        let id = format!("a{number:02}");
        ended(&store, &id, &alert(&id, &id)).await;
    }
    let mut senders = Vec::new();
    for _ in 0..4 {
        let warehouse = store.again().await;
        senders.push(tokio::spawn(async move {
            let mut had = Vec::new();
            while let Some(claimed) = warehouse.claim_delivery("slack", LEASE).await.expect("one") {
                assert!(warehouse.delivered(&claimed).await.expect("noted"));
                had.push(claimed.alert.id);
            }
            had
        }));
    }
    let mut all = Vec::new();
    for sender in senders {
        all.extend(sender.await.expect("no panic"));
    }
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (ALERTS, ALERTS));
    let waiting = "SELECT channel, state, COUNT(*) FROM alert_deliveries GROUP BY 1, 2 ORDER BY 1";
    assert_eq!(
        store.rows(waiting).await,
        ["slack|sent|24", "webhook|waiting|24"]
    );
}

async fn what_a_killed_sender_had_comes_again_with_its_id(store: Store) {
    ended(&store, "r", &alert("a", "k")).await;
    let claim = || store.warehouse.claim_delivery("slack", LEASE);
    let killed = claim().await.expect("an answer").expect("one");
    assert_eq!((killed.alert.id.as_str(), killed.tries), ("a", 1));
    assert_eq!(claim().await.expect("an answer"), None, "its lease");
    later(&store).await;
    let next = claim().await.expect("an answer").expect("one");
    assert_eq!((next.alert.id.as_str(), next.tries), ("a", 2));
    // The first one was only slow, and what it has to say comes too late.
    let late = store.warehouse.delivered(&killed).await.expect("an answer");
    assert!(!late);
    let failed = store.warehouse.not_delivered(&killed, "why", None).await;
    failed.expect("an answer");
    assert!(store.warehouse.delivered(&next).await.expect("an answer"));
    later(&store).await;
    assert_eq!(claim().await.expect("an answer"), None);
}

async fn a_failed_delivery_waits_is_given_up_and_is_sent_again_by_hand(store: Store) {
    ended(&store, "r", &alert("a", "k")).await;
    let warehouse = &store.warehouse;
    let claim = || async { warehouse.claim_delivery("slack", LEASE).await.expect("one") };
    let first = claim().await.expect("a delivery");
    let noted = warehouse.not_delivered(&first, "it answered 500", Some(60));
    noted.await.expect("noted");
    assert_eq!(claim().await, None, "it waits");
    later(&store).await;
    let second = claim().await.expect("a delivery");
    let noted = warehouse.not_delivered(&second, "it answered 404", None);
    noted.await.expect("noted");
    later(&store).await;
    assert_eq!(claim().await, None, "given up");
    let shown = "SELECT state, tries, error FROM alert_deliveries WHERE channel = 'slack'";
    assert_eq!(store.cell(shown).await, "failed|2|it answered 404");
    let channels = ["discord".to_owned()];
    let retried = warehouse.retry_alert("a", &channels).await;
    assert!(retried.expect("an answer"));
    assert_eq!(claim().await.expect("a delivery").tries, 1);
    let new = warehouse.claim_delivery("discord", LEASE).await;
    assert!(new.expect("an answer").is_some(), "a channel that is new");
    assert!(!warehouse.retry_alert("b", &channels).await.expect("none"));
}

async fn a_restore_holds_what_was_not_sent(store: Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let search = Some(std::ffi::OsString::new());
    let data = folder.path();
    let backups = Backups::new(&store.url, Options::default(), data, "tiki", search);
    let backups = backups.expect("backups");
    ended(&store, "r", &alert("a", "k")).await;
    let claimed = store.warehouse.claim_delivery("slack", LEASE).await;
    let claimed = claimed.expect("an answer").expect("one");
    assert!(store.warehouse.delivered(&claimed).await.expect("noted"));
    let made = backups.create().await.expect("a backup");
    backups.verify(None).await.expect("proven");
    backups
        .restore(&made.manifest.id, true)
        .await
        .expect("restored");
    let anew = Store {
        warehouse: store.again().await,
        url: store.url.clone(),
        folder: None,
    };
    let states = "SELECT channel, state FROM alert_deliveries ORDER BY channel";
    assert_eq!(anew.rows(states).await, ["slack|sent", "webhook|held"]);
    let due = anew.warehouse.claim_delivery("webhook", LEASE).await;
    assert_eq!(due.expect("an answer"), None);
    assert!(
        anew.warehouse
            .retry_alert("a", &[])
            .await
            .expect("an answer")
    );
    let due = anew.warehouse.claim_delivery("webhook", LEASE).await;
    assert!(due.expect("an answer").is_some());
}

async fn what_somebody_has_told_since_is_not_told_again(store: Store) {
    let warehouse = &store.warehouse;
    let before = warehouse.time().await.expect("a time");
    ended(&store, "r", &alert("a", "k")).await;
    let again = warehouse.tell_alert(&alert("b", "k"), Some(before)).await;
    again.expect("an answer");
    let shown = "SELECT id, seen FROM alerts ORDER BY id";
    assert_eq!(store.rows(shown).await, ["a|1"], "it was this one");
    let after = warehouse.time().await.expect("a time").plus_millis(1);
    let other = warehouse.tell_alert(&alert("c", "k"), Some(after)).await;
    other.expect("an answer");
    assert_eq!(store.rows(shown).await, ["a|2"], "another of the same kind");
    let new = warehouse.tell_alert(&alert("d", "new"), Some(before)).await;
    new.expect("an answer");
    let counted = warehouse.tell_alert(&alert("e", "new"), None).await;
    counted.expect("an answer");
    assert_eq!(store.rows(shown).await, ["a|2", "d|2"]);
}

async fn the_end_of_a_run_repeats_no_step_of_it(store: Store) {
    let shown = "SELECT id, seen FROM alerts ORDER BY id";
    for (run, expected) in [("r", ["r-step|1"]), ("s", ["r-step|2"])] {
        store.create_run(run).await;
        // Times are of a millisecond.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let worker = store.attempt(run, "load-products").await;
        let told = alert(&format!("{run}-step"), "k");
        let failed = Some((20, "refused"));
        let ended = store.warehouse.end_attempt(&worker, failed, Some(&told));
        ended.await.expect("an end");
        finish(&store, run, &alert(&format!("{run}-end"), "k")).await;
        assert_eq!(store.rows(shown).await, expected);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // What no step has told is told.
    store.create_run("t").await;
    finish(&store, "t", &alert("t-end", "other")).await;
    assert_eq!(store.rows(shown).await, ["r-step|2", "t-end|1"]);
}

async fn what_was_kept_elsewhere_is_taken_over_once(store: Store) {
    let warehouse = &store.warehouse;
    let now = warehouse.time().await.expect("a time");
    let delivery = |channel: &str, state, sent_at| DeliveryRow {
        channel: channel.into(),
        state,
        tries: 1,
        next_at: now,
        sent_at,
        error: None,
    };
    let kept = |id: &str, minutes: i64| AlertRow {
        id: id.into(),
        kind: "exit-30".into(),
        severity: "critical".into(),
        run: None,
        title: "the warehouse was lost".into(),
        details: "{}".into(),
        seen: 3,
        first_at: now.plus_millis(minutes * 60_000),
        last_at: now.plus_millis(minutes * 60_000),
        deliveries: vec![
            delivery("slack", DeliveryState::Sent, Some(now)),
            delivery("webhook", DeliveryState::Waiting, None),
        ],
    };
    let taken = async |row: &AlertRow| {
        let taken = warehouse.take_alert("k", WINDOW, row).await;
        taken.expect("taken");
    };
    let first = kept("a", -40);
    taken(&first).await;
    taken(&first).await;
    let stored = warehouse.alert("a").await.expect("an answer");
    assert_eq!(stored.expect("an alert"), first, "whole, and once");
    // What was sent is not sent again, and what waits is.
    let claim = async |channel| {
        let claimed = warehouse.claim_delivery(channel, LEASE).await;
        claimed.expect("an answer").map(|one| one.tries)
    };
    assert_eq!(
        (claim("slack").await, claim("webhook").await),
        (None, Some(2))
    );
    // The same trouble within the window of another is counted, with its times.
    taken(&kept("b", -10)).await;
    let counted = warehouse.alert("a").await.expect("an answer");
    let counted = counted.expect("an alert");
    assert_eq!((counted.seen, counted.last_at), (6, kept("b", -10).last_at));
    taken(&kept("c", 30)).await;
    assert_eq!(
        ids(&store).await,
        ["c", "a"],
        "after the window it is another"
    );
}

async fn what_a_clock_that_was_ahead_told_silences_nothing(store: Store) {
    let warehouse = &store.warehouse;
    let before = warehouse.time().await.expect("a time");
    store.create_run("r").await;
    for (id, key) in [("a1", "a"), ("b1", "b"), ("c1", "c")] {
        let told = warehouse.tell_alert(&alert(id, key), None).await;
        told.expect("an answer");
    }
    let ahead = "'2999-01-01T00:00:00.000Z'";
    store
        .seed(&format!(
            "UPDATE alerts SET first_at = {ahead}, last_at = {ahead}"
        ))
        .await;
    store
        .seed(&format!("UPDATE alert_deliveries SET next_at = {ahead}"))
        .await;
    let again = warehouse.tell_alert(&alert("a2", "a"), None).await;
    again.expect("an answer");
    let since = warehouse.tell_alert(&alert("b2", "b"), Some(before)).await;
    since.expect("an answer");
    finish(&store, "r", &alert("c2", "c")).await;
    let told: BTreeSet<String> = ids(&store).await.into_iter().collect();
    let all = ["a1", "a2", "b1", "b2", "c1", "c2"].map(str::to_owned);
    assert_eq!(told, all.into());
    for _ in 0..6 {
        let due = warehouse.claim_delivery("slack", LEASE).await;
        assert!(due.expect("an answer").is_some(), "none waits until then");
    }
}
