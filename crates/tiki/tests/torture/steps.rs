//! `kill -9` during each of the nine steps: twenty times in each step and warehouse, in the tests of
//! every day twice.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use pipeline::Step;
use testkit::ChildGuard;

use crate::home::{Home, finish, shop, store};

static STEPS: LazyLock<[&str; 9]> = LazyLock::new(|| Step::ALL.map(Step::name));

/// How long each step of an undisturbed run takes, and the digest that it leaves.
struct Undisturbed {
    digest: String,
    lasts: Vec<Duration>,
}

fn undisturbed(origin: &str, postgres: bool) -> Undisturbed {
    let home = Home::new(postgres);
    let mut child = home
        .tiki(origin, &["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tiki");
    let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let mut begun = vec![None; STEPS.len()];
    for line in lines {
        let line = line.expect("a line");
        if let Some(n) = STEPS
            .iter()
            .position(|step| line.contains(&format!("{step} begins")))
        {
            begun[n] = Some(Instant::now());
        }
    }
    let end = Instant::now();
    assert!(child.wait().expect("tiki").success());
    let begun: Vec<Instant> = begun
        .into_iter()
        .map(|at| at.expect("every step begins"))
        .collect();
    let lasts = (0..STEPS.len())
        .map(|n| {
            begun
                .get(n + 1)
                .copied()
                .unwrap_or(end)
                .duration_since(begun[n])
        })
        .collect();
    Undisturbed {
        digest: finish(home.tiki(origin, &["digest"])),
        lasts,
    }
}

/// Kills a run after a share of a step; whether the step was still open then.
fn kill_in(origin: &str, home: &Home, step: &str, after: Duration) -> bool {
    let child = home
        .tiki(origin, &["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tiki");
    let mut child = ChildGuard::new(child);
    let stderr = child.child().stderr.take().expect("stderr");
    let sign = format!("{step} begins");
    for line in BufReader::new(stderr).lines() {
        if line.expect("a line").contains(&sign) {
            break;
        }
    }
    // The moment of the kill is the experiment, not a wait for something.
    std::thread::sleep(after);
    child.kill().expect("a kill");
    let ledger = finish(home.tiki(origin, &["runs", "show", "--json", &newest(origin, home)]));
    let ledger: serde_json::Value = serde_json::from_str(&ledger).expect("JSON");
    let steps = ledger["steps"].as_array().cloned().unwrap_or_default();
    let ended = steps
        .iter()
        .any(|row| row["step"] == step && row["closed"] == true);
    !ended
}

fn newest(origin: &str, home: &Home) -> String {
    let runs = finish(home.tiki(origin, &["runs", "--json"]));
    let runs: serde_json::Value = serde_json::from_str(&runs).expect("JSON");
    runs[0]["id"].as_str().expect("an id").to_owned()
}

async fn torture(times: u32) {
    let front = shop(Duration::from_millis(2)).await;
    let origin = front.base_url();
    let work = move || {
        for postgres in [false, true] {
            let store = store(postgres);
            let reference = undisturbed(&origin, postgres);
            for (step, lasts) in STEPS.iter().zip(&reference.lasts) {
                let mut open = 0;
                for time in 0..times {
                    let home = Home::new(postgres);
                    let share = f64::from(time) / f64::from(times);
                    open += u32::from(kill_in(&origin, &home, step, lasts.mul_f64(share)));
                    finish(home.tiki(&origin, &["run"]));
                    let digest = finish(home.tiki(&origin, &["digest"]));
                    assert_eq!(digest, reference.digest, "{store}, {step}, kill {time}");
                }
                println!("{store} {step}: {times} kills, {open} while it was open, same digest");
                assert!(open > 0, "no kill fell into {step} ({store})");
            }
        }
    };
    tokio::task::spawn_blocking(work)
        .await
        .expect("the torture");
    assert_eq!(front.counts().disallowed, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: kills a run in each step of both warehouses"]
async fn a_kill_in_any_step_changes_nothing() {
    torture(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "torture: twenty kills in each step of both warehouses"]
async fn torture_kills_in_every_step() {
    torture(20).await;
}
