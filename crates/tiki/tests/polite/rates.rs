//! The rate of all processes together, where nothing fails.

use std::time::Duration;

use testkit::Redis;

use crate::crowd::{Due, PROCESSES, STORES};

/// What a rate must be used to at least, in percent.
const LEAST_USED: f64 = 95.0;

/// The same where the machine is the bottleneck: a build without optimisation at 400 a second on two
/// cores. The torture, in a release build, asks for [`LEAST_USED`] there too.
const LEAST_USED_WHEN_BUSY: f64 = 60.0;

/// What is asked at a rate, over a time, by permits from Redis and from the warehouse's row. The slower
/// the rate, the longer it must be watched: a request more or less is not to decide.
fn check(rate: u64, watched: Duration, least_used: f64) {
    for store in STORES {
        // Each of the two goes on with the same run.
        let due = Due::new(store, 2 * rate * (watched.as_secs() + 10));
        let redis = Redis::shared().fresh_url();
        for source in [Some(redis.as_str()), None] {
            let crowd = due.ask(rate, [source; PROCESSES]);
            let used = crowd.used_percent(watched);
            crowd.end();
            assert!(
                used >= least_used,
                "{store:?}, {rate} a second, permits from {source:?}: {used:.1} % is used"
            );
        }
    }
}

#[test]
#[ignore = "slow: counts requests for a minute and a half"]
fn four_processes_keep_five_a_second_and_use_them() {
    check(5, Duration::from_secs(12), LEAST_USED);
}

#[test]
#[ignore = "slow: counts requests for a minute"]
fn four_processes_keep_forty_a_second_and_use_them() {
    check(40, Duration::from_secs(8), LEAST_USED);
}

#[test]
#[ignore = "slow: counts requests for a minute"]
fn four_processes_keep_four_hundred_a_second() {
    check(400, Duration::from_secs(6), LEAST_USED_WHEN_BUSY);
}

#[test]
#[ignore = "torture: counts requests for a minute, and needs an optimised build"]
fn torture_four_processes_use_four_hundred_a_second() {
    check(400, Duration::from_secs(6), LEAST_USED);
}
