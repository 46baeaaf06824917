//! The schedule in Redis: what it grants, and what it does when it was lost.

use std::time::Duration;

use crawl::{Grant, Origin, PermitError, PermitSource, RedisPermits, SCHEDULE_AHEAD};
use testkit::Redis;

const SPACING: Duration = Duration::from_millis(25);

fn origin() -> Origin {
    Origin::parse("https://tiki.vn").unwrap()
}

fn permits(url: &str) -> RedisPermits {
    RedisPermits::new(url, &origin()).unwrap()
}

async fn take(source: &RedisPermits, want: u32) -> Grant {
    source.take(want, SPACING).await.unwrap()
}

/// Takes until something is granted; the silence of a new schedule has passed then.
async fn first_grant(source: &RedisPermits) -> Grant {
    loop {
        let grant = take(source, 1).await;
        if grant.count > 0 {
            return grant;
        }
        tokio::time::sleep(grant.wait).await;
    }
}

#[tokio::test]
async fn a_new_schedule_begins_with_a_second_of_silence() {
    let source = permits(&Redis::shared().fresh_url());
    let before = std::time::Instant::now();
    let refusal = take(&source, 40).await;
    assert_eq!(refusal.count, 0);
    assert!(refusal.wait <= SPACING);
    let grant = first_grant(&source).await;
    assert!(before.elapsed() + grant.wait >= SCHEDULE_AHEAD, "{grant:?}");
    assert_eq!((grant.count, grant.spacing), (1, SPACING));
}

#[tokio::test]
async fn no_slot_is_granted_twice_or_more_than_a_second_ahead() {
    let url = Redis::shared().fresh_url();
    let (one, other) = (permits(&url), permits(&url));
    first_grant(&one).await;
    let begun = std::time::Instant::now();
    let mut granted = 0;
    for _ in 0..10 {
        for source in [&one, &other] {
            let grant = take(source, 7).await;
            assert!(grant.count <= 7);
            if grant.count > 0 {
                let last = grant.wait + grant.spacing * (grant.count - 1);
                assert!(last <= SCHEDULE_AHEAD, "{grant:?}");
            }
            granted += grant.count;
        }
    }
    // What a second holds, and what came free while the test asked.
    let most = 41 + begun.elapsed().as_millis() / SPACING.as_millis();
    assert!(u128::from(granted) <= most, "{granted} > {most}");
}

#[tokio::test]
async fn a_wide_spacing_holds_from_the_slot_of_who_keeps_a_narrow_one() {
    let source = permits(&Redis::shared().fresh_url());
    let wide = Duration::from_mins(1);
    first_grant(&source).await;
    let grant = source.take(1, wide).await.unwrap();
    assert_eq!(grant.count, 0, "{grant:?}");
    assert!(grant.wait > wide / 2, "{grant:?}");
    // And who keeps a narrow one waits for what a wide one left.
    let narrow = take(&source, 1).await;
    assert_eq!(narrow.count, 0, "{narrow:?}");
    assert!(narrow.wait > wide / 2, "{narrow:?}");
}

#[tokio::test]
async fn a_lost_schedule_begins_anew_behind_the_old_one() {
    let url = Redis::shared().fresh_url();
    let source = permits(&url);
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let key = "tiki:permits:1:https://tiki.vn";
    for lose in ["gone", "restored from another server", "ahead of its clock"] {
        first_grant(&source).await;
        match lose {
            "gone" => source.forget().await.unwrap(),
            "restored from another server" => {
                redis::cmd("HSET")
                    .arg(key)
                    .arg("server")
                    .arg("x")
                    .exec_async(&mut redis)
                    .await
                    .unwrap();
            }
            _ => {
                let far = "9000000000000000";
                redis::cmd("HSET")
                    .arg(key)
                    .arg("next")
                    .arg(far)
                    .arg("last")
                    .arg(far)
                    .exec_async(&mut redis)
                    .await
                    .unwrap();
            }
        }
        let begun = std::time::Instant::now();
        let grant = first_grant(&source).await;
        assert!(
            begun.elapsed() + grant.wait >= SCHEDULE_AHEAD,
            "{lose}: {grant:?}"
        );
        assert!(begun.elapsed() < SCHEDULE_AHEAD * 5, "{lose}");
    }
    redis::cmd("SET")
        .arg(key)
        .arg("a foreign value")
        .exec_async(&mut redis)
        .await
        .unwrap();
    let error = source.take(1, SPACING).await.unwrap_err();
    assert!(matches!(error, PermitError::Source { .. }));
}

#[tokio::test]
async fn origins_have_schedules_of_their_own() {
    let url = Redis::shared().fresh_url();
    let tiki = permits(&url);
    first_grant(&tiki).await;
    let other = RedisPermits::new(&url, &Origin::parse("https://example.com").unwrap()).unwrap();
    assert_eq!(other.take(1, SPACING).await.unwrap().count, 0);
    let begun = std::time::Instant::now();
    let grant = first_grant(&tiki).await;
    assert!(
        begun.elapsed() + grant.wait <= SCHEDULE_AHEAD * 2,
        "{grant:?}"
    );
}

#[tokio::test]
async fn no_server_is_an_error_that_names_it_and_no_secret() {
    let port = testkit::free_port();
    let source = permits(&format!("redis://me:secret@127.0.0.1:{port}/3"));
    let error = source.take(1, SPACING).await.unwrap_err();
    let told = format!("{error} {error:?} {source:?}");
    assert!(
        told.contains(&format!("127.0.0.1:{port}")) && !told.contains("secret"),
        "{told}"
    );
    let nonsense = RedisPermits::new("http://secret@tiki.vn", &origin()).unwrap_err();
    assert!(!format!("{nonsense:?}").contains("secret"));
}
