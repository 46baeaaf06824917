//! Backups while four processes write, and `kill -9` of whoever makes, restores or deletes one.
#![allow(clippy::print_stdout, reason = "a figure to look at")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{ChildGuard, Postgres};

use crate::backup::{change, folders, homes, shop};
use crate::tiki::Tiki;

/// What a restore takes back.
const LOSS: &str = "DELETE FROM product_history; UPDATE products SET price = 1";

#[test]
#[ignore = "slow: four writers until they are done, in both warehouses"]
fn slow_a_backup_is_of_one_moment_while_four_processes_write() {
    let shop = crate::tiki::Shop::open(
        &Tiki::new(),
        &[
            "--products",
            "600",
            "--day",
            "2026-11-01",
            "--latency-ms",
            "20",
        ],
    );
    let database = Postgres::shared().fresh_database();
    for tiki in [
        shop.home(),
        shop.home().with("TIKI_DATABASE_URL", &database),
    ] {
        let tiki = tiki
            .with("TIKI_BATCH", "10")
            .with("TIKI_PARALLEL_WORKERS", "1");
        for step in ["crawl-categories", "extract-product-urls"] {
            tiki.ends(0, &["step", step, "--run", "r"]);
        }
        let mut writers: Vec<ChildGuard> = (0..4)
            .map(|_| {
                let step = ["step", "crawl-product-details", "--run", "r", "--join"];
                let mut command = tiki.command(&step);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                ChildGuard::spawn(&mut command).expect("a writer")
            })
            .collect();
        let mut pages = Vec::new();
        let mut at_work = 4;
        while at_work > 0 {
            let made = tiki.json(&["backup", "create", "--json"]);
            tiki.ends(0, &["backup", "verify"]);
            pages.push(made["rows"]["pages"].as_i64().expect("a count"));
            let ended = |writer: &mut ChildGuard| writer.child().try_wait().expect("a state");
            at_work = writers
                .iter_mut()
                .filter_map(|w| ended(w).is_none().then_some(()))
                .count();
        }
        for writer in &mut writers {
            let status = writer.child().wait().expect("an end");
            assert_eq!(status.code(), Some(0), "no writer was disturbed");
        }
        assert!(pages.is_sorted(), "{pages:?}");
        let between = pages.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!(between > 0, "no backup fell into the writing: {pages:?}");
    }
}

/// Runs a command and kills it after a share of the time that it takes; whether it had not ended.
fn kill(tiki: &Tiki, arguments: &[&str], after: Duration) -> bool {
    let mut command = tiki.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("the program");
    // The moment of the kill is the experiment, not a wait for something.
    std::thread::sleep(after);
    child.kill().expect("a kill").code().is_none()
}

/// The same after a share of the time; one that had ended before tells that it takes less than was thought.
fn kill_after(tiki: &Tiki, arguments: &[&str], lasts: &mut Duration, share: f64) -> u32 {
    let after = lasts.mul_f64(share);
    let killed = kill(tiki, arguments, after);
    if !killed {
        *lasts = after.min(*lasts);
    }
    u32::from(killed)
}

fn lasts(tiki: &Tiki, arguments: &[&str]) -> Duration {
    let begun = Instant::now();
    tiki.ends(0, arguments);
    begun.elapsed()
}

/// Every backup that has a name is whole, and half of one has none.
fn all_whole(tiki: &Tiki) -> Vec<Value> {
    let done = tiki.ends(0, &["backup", "list", "--json"]);
    assert!(!done.err.contains("no backup"), "{}", done.err);
    let listed: Vec<Value> = serde_json::from_str(&done.out).expect("JSON");
    for backup in &listed {
        assert_eq!(backup["complete"], true, "{backup}");
    }
    listed
}

fn forget_kept(tiki: &Tiki, kind: &str) {
    if kind == "sqlite" {
        for entry in std::fs::read_dir(tiki.path("data")).expect("the folder") {
            let entry = entry.expect("an entry");
            if entry
                .file_name()
                .to_string_lossy()
                .contains(".before-restore-")
            {
                std::fs::remove_file(entry.path()).expect("gone");
            }
        }
        return;
    }
    let sql = "DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT nspname FROM pg_namespace WHERE nspname LIKE 'public\\_before\\_%' LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP; END $$";
    change(tiki, kind, sql);
}

fn check_kills(times: u32) {
    let shop = shop("200");
    for (kind, tiki) in homes(&shop) {
        let (old, create) = (tiki.out(&["digest"]), ["backup", "create"]);
        let made = tiki.json(&["backup", "create", "--json"]);
        let first = made["id"].as_str().expect("an id");
        tiki.ends(0, &["backup", "verify"]);
        let restore = ["backup", "restore", first, "--force"];
        change(&tiki, kind, LOSS);
        let lost = tiki.out(&["digest"]);
        let (mut creates, mut restores) = (lasts(&tiki, &create), lasts(&tiki, &restore));
        assert_eq!(tiki.out(&["digest"]), old);
        change(&tiki, kind, LOSS);
        let (mut killed, mut restored) = (0, 0);
        for time in 0..times {
            // Some come too late: then it must be the new one.
            let share = 1.2 * f64::from(time) / f64::from(times);
            killed += kill_after(&tiki, &create, &mut creates, share);
            all_whole(&tiki);
            tiki.ends(0, &["backup", "verify"]);
            killed += kill_after(&tiki, &restore, &mut restores, share);
            let now = tiki.out(&["digest"]);
            assert!(
                now == old || now == lost,
                "{kind}, kill {time}: neither old nor new"
            );
            if now == old {
                restored += 1;
                change(&tiki, kind, LOSS);
            }
            forget_kept(&tiki, kind);
        }
        println!(
            "{kind}: {killed} kills of {} fell into the work, {restored} restores were through",
            2 * times
        );
        assert!(killed > times, "{kind}: the kills came too late");
        check_prune(&tiki, kind, times);
        tiki.ends(0, &["backup", "restore", first, "--force"]);
        assert_eq!(tiki.out(&["digest"]), old, "{kind}");
        let left = folders(&tiki, kind);
        assert!(
            left.iter().all(|name| !name.ends_with(".partial")),
            "{left:?}"
        );
    }
}

/// Backups of one day: all but the newest proven one go.
fn check_prune(tiki: &Tiki, kind: &str, times: u32) {
    let prune = ["backup", "prune"];
    tiki.ends(0, &["backup", "create"]);
    tiki.ends(0, &["backup", "verify"]);
    let newest = all_whole(tiki).pop().expect("a backup");
    let dry = lasts(tiki, &["backup", "prune", "--dry-run"]);
    // The first one is restored at the end.
    let data = tiki.path("data/backups").join(kind);
    let first = all_whole(tiki).remove(0);
    let (from, to) = (
        data.join(first["id"].as_str().expect("an id")),
        tiki.path("first"),
    );
    std::fs::rename(&from, &to).expect("out of the way");
    for time in 0..times {
        kill(
            tiki,
            &prune,
            dry.mul_f64(2.0 * f64::from(time) / f64::from(times)),
        );
        let left = all_whole(tiki);
        assert_eq!(left.last(), Some(&newest), "{kind}, kill {time}");
    }
    tiki.ends(0, &prune);
    assert_eq!(all_whole(tiki), [newest]);
    std::fs::rename(&to, &from).expect("back again");
}

#[test]
#[ignore = "slow: kills backups and restores in both warehouses"]
fn slow_a_killed_backup_or_restore_leaves_the_old_or_the_new() {
    check_kills(4);
}

#[test]
#[ignore = "torture: thirty kills of each command in both warehouses"]
fn torture_a_killed_backup_or_restore_leaves_the_old_or_the_new() {
    check_kills(30);
}
