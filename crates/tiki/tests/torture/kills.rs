//! `kill -9` at random moments of whole runs.

use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::ChildGuard;

use crate::home::{Home, finish, shop, store};
use crate::trials::{Chance, Tally, in_turns};

/// Kills of one run at most: what goes on after a kill may be killed as well.
const KILLS_A_RUN: u64 = 3;

/// Kills a run at a moment of it; `false`: it had ended.
fn kill(origin: &str, home: &Home, after: Duration) -> bool {
    let mut command = home.tiki(origin, &["run"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("tiki");
    // The moment of the kill is the experiment, not a wait for something.
    std::thread::sleep(after);
    if let Some(status) = child.child().try_wait().expect("its state") {
        assert!(status.success(), "{status:?}");
        return false;
    }
    child.kill().expect("a kill");
    true
}

/// A run that is killed up to three times, then goes on to its end.
fn trial(
    origin: &str,
    postgres: bool,
    lasts: Duration,
    chance: &mut Chance,
    tally: &Tally,
) -> String {
    let home = Home::new(postgres);
    let mut ended = false;
    for _ in 0..=chance.next(KILLS_A_RUN) {
        let share = chance.next(1000) as f64 / 1000.0;
        ended = !kill(origin, &home, lasts.mul_f64(share));
        if ended {
            break;
        }
        tally.fault();
    }
    if !ended {
        finish(home.tiki(origin, &["run"]));
    }
    finish(home.tiki(origin, &["digest"]))
}

async fn torture(kills: u64) {
    let front = shop(Duration::from_millis(2)).await;
    let origin = front.base_url();
    let work = move || {
        for postgres in [false, true] {
            let home = Home::new(postgres);
            let begun = Instant::now();
            finish(home.tiki(&origin, &["run"]));
            let lasts = begun.elapsed();
            let expected = finish(home.tiki(&origin, &["digest"]));
            let tally = Tally::default();
            in_turns(|seed| {
                let mut chance = Chance(seed);
                let found = trial(&origin, postgres, lasts, &mut chance, &tally);
                tally.compare(&format!("seed {seed}"), &found, &expected);
                tally.faults() < kills
            });
            tally.close(&format!("{}: kill -9 in whole runs", store(postgres)));
        }
    };
    let worked = tokio::task::spawn_blocking(work).await;
    worked.expect("the torture");
    assert_eq!(front.counts().disallowed, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: eight kills of whole runs in both warehouses"]
async fn a_kill_at_any_moment_of_a_run_changes_nothing() {
    torture(8).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "torture: 200 kills of whole runs in both warehouses"]
async fn torture_kills_in_whole_runs() {
    torture(200).await;
}
