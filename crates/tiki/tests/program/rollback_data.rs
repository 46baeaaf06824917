//! `tiki rollback data`, in both warehouses.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::ChildGuard;

use crate::backup::{change, folders, homes, lease, shop};
use crate::preflight::{line, report};
use crate::tiki::{Shop, Tiki};

const BACK: [&str; 2] = ["rollback", "data"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&BACK, more].concat()
}

/// The shop's second day.
fn next_day(shop: &Shop) {
    shop.control("POST", "clock?day=20759", "");
}

/// A run on that day; its id.
fn second_run(tiki: Tiki) -> (Tiki, String) {
    let tiki = tiki.with("TIKI_CLOCK", "2026-11-01T19:00:00.000Z");
    let report = tiki.json(&["run", "--new", "--json"]);
    let id = text(&report["run_id"]);
    assert!(
        report["totals"]["products"]["changed"].as_i64() > Some(0),
        "{report}"
    );
    (tiki, id)
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn proven(tiki: &Tiki) -> String {
    text(&tiki.json(&["backup", "create", "--verify", "--json"])["id"])
}

/// What of a comparison or a swap is left behind where it should not be.
fn left_over(tiki: &Tiki, kind: &str) -> Vec<String> {
    if kind == "sqlite" {
        let entries = std::fs::read_dir(tiki.path("data")).expect("the data folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        return names.filter(|name| name.contains(".restoring")).collect();
    }
    let sql = "SELECT datname FROM pg_database WHERE datname LIKE 'tiki_verify_' ||
        (SELECT oid FROM pg_database WHERE datname = current_database()) || '_%'";
    let rows = tiki.json(&["sql", "--json", sql]);
    rows.as_array()
        .expect("rows")
        .iter()
        .map(Value::to_string)
        .collect()
}

#[test]
fn it_goes_back_before_the_newest_run_that_changed_anything_and_forward_again() {
    let shop = shop("60");
    let homes = homes(&shop);
    next_day(&shop);
    for (kind, tiki) in homes {
        let first = tiki.out(&["digest"]);
        let good = proven(&tiki);
        tiki.ends(0, &["backup", "create"]);
        let (tiki, run) = second_run(tiki);
        // One that changes nothing is not what is gone back from.
        tiki.ends(0, &["run", "--new"]);
        let second = tiki.out(&["digest"]);
        let found = tiki.json(&with(&["--dry-run", "--json"]));
        assert_eq!(
            (&found["backup"], &found["before_run"]),
            (&good.as_str().into(), &run.as_str().into())
        );
        assert_eq!(found["swapped"], false);
        let differences = &found["differences"];
        assert_eq!(differences["rows"]["runs"]["now"], 3, "{differences}");
        assert_eq!(differences["rows"]["runs"]["then"], 1);
        assert_eq!(differences["runs_gone"], 2);
        assert_eq!(differences["newest_runs_gone"][1], run.as_str());
        assert!(
            differences["products_changed"].as_i64() > Some(0),
            "{differences}"
        );
        let newest = &differences["newest_observation"];
        assert_eq!(newest["then"], "2026-10-31T19:00:00.000Z");
        assert_eq!(newest["now"], "2026-11-01T19:00:00.000Z");
        refusals(&tiki, kind, &run);
        assert_eq!(tiki.out(&["digest"]), second);
        assert_eq!(folders(&tiki, kind).len(), 2, "nothing was made");
        let done = tiki.json(&with(&["--force", "--json"]));
        assert_eq!(
            (&done["backup"], &done["swapped"]),
            (&good.as_str().into(), &true.into())
        );
        assert_eq!(tiki.out(&["digest"]), first, "{kind}");
        assert_eq!(
            tiki.json(&["runs", "--json"]).as_array().map(Vec::len),
            Some(1)
        );
        let kept = text(&done["kept"]);
        assert!(kind == "postgres" || Path::new(&kept).is_file(), "{kept}");
        let present = text(&done["present"]);
        assert!(tiki.out(&["backup", "list"]).contains(&present));
        let words = with(&["--backup", &present, "--force", "--no-backup"]);
        tiki.ends(0, &words);
        assert_eq!(tiki.out(&["digest"]), second, "{kind}");
        assert_eq!(folders(&tiki, kind).len(), 3);
        assert_eq!(left_over(&tiki, kind), [""; 0]);
        // And the next run goes on as if nothing had been.
        tiki.ends(0, &["run", "--new"]);
    }
}

/// Without `--force`, and while somebody is at work.
fn refusals(tiki: &Tiki, kind: &str, run: &str) {
    // It shows the same.
    let shown = tiki.ends(2, &BACK);
    assert!(
        shown.out.contains(&format!("from before run {run}")),
        "{shown:?}"
    );
    assert!(shown.out.contains("2 would be gone: "), "{shown:?}");
    assert!(shown.err.contains("--force"), "{shown:?}");
    lease(tiki, kind, run, "80");
    change(
        tiki,
        kind,
        &format!("UPDATE runs SET state = 'open' WHERE id = '{run}'"),
    );
    let held = tiki.ends(30, &with(&["--force"]));
    assert!(held.err.contains(run), "{held:?}");
    lease(tiki, kind, run, "-1");
}

#[test]
fn what_differs_is_counted_product_by_product() {
    let shop = shop("60");
    for (kind, tiki) in homes(&shop) {
        let good = proven(&tiki);
        let look = with(&["--backup", &good, "--dry-run", "--json"]);
        let counts = |found: &Value| {
            ["changed", "gone", "back"]
                .map(|word| found["differences"][format!("products_{word}")].clone())
        };
        assert_eq!(counts(&tiki.json(&look)), [0, 0, 0], "{kind}");
        let first = "WHERE id = (SELECT MIN(id) FROM products)";
        change(
            &tiki,
            kind,
            &format!(
                "UPDATE products SET id = id + 1000000000 {first}; UPDATE products SET price = 1 {first};
                 CREATE TABLE own (a INTEGER); DROP TABLE alert_deliveries"
            ),
        );
        let found = tiki.json(&look);
        assert_eq!(counts(&found), [1, 1, 1], "{kind}: {found}");
        let rows = &found["differences"]["rows"];
        assert_eq!(
            (&rows["own"]["now"], &rows["own"]["then"]),
            (&0.into(), &Value::Null)
        );
        assert_eq!(rows["alert_deliveries"]["now"], Value::Null);
        assert_eq!(rows["alert_deliveries"]["then"], 0);
    }
}

#[test]
fn without_a_backup_or_a_run_to_go_back_from_it_says_what_to_do() {
    let shop = shop("60");
    let tiki = shop.home();
    let empty = tiki.ends(2, &BACK);
    assert!(empty.err.contains("tiki run"), "{empty:?}");
    assert!(!tiki.path("data/tiki.db").exists());
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--verify", "--json"]);
    let seen = line(&report(&tiki, 0, &[25]), "rollback-backup")["seen"].to_string();
    assert!(seen.contains("tiki rollback data"), "{seen}");
    // It was made after the only run.
    let none = tiki.ends(2, &with(&["--force"]));
    assert!(none.err.contains("tiki backup list"), "{none:?}");
    for (words, said) in [
        (["--before", "x"], "there is no run"),
        (["--backup", "x"], "there is no backup"),
    ] {
        let done = tiki.ends(2, &with(&words));
        assert!(done.err.contains(said), "{done:?}");
    }
    // Nothing was made of the present before that was known.
    tiki.ends(2, &with(&["--backup", "x", "--force"]));
    let listed = tiki.json(&["backup", "list", "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let before = tiki.out(&["digest"]);
    let folder = text(&made["folder"]);
    let data = Path::new(&folder).join("warehouse.db.gz");
    let good = std::fs::read(&data).expect("the data");
    std::fs::write(&data, &good[..good.len() - 1]).expect("damage");
    let broken = tiki.ends(
        1,
        &with(&["--backup", &text(&made["id"]), "--force", "--no-backup"]),
    );
    assert!(broken.err.contains("tiki backup list"), "{broken:?}");
    assert_eq!(tiki.out(&["digest"]), before);
    change(&tiki, "sqlite", "UPDATE runs SET state = 'held'");
    let nothing = tiki.ends(99, &BACK);
    assert!(nothing.err.contains("--before"), "{nothing:?}");
}

#[test]
#[ignore = "slow: kills the command in both warehouses"]
fn slow_killed_at_any_moment_it_leaves_the_old_or_the_new() {
    let shop = shop("200");
    let homes = homes(&shop);
    next_day(&shop);
    for (kind, tiki) in homes {
        let first = tiki.out(&["digest"]);
        proven(&tiki);
        let (tiki, _) = second_run(tiki);
        let second = tiki.out(&["digest"]);
        let now = proven(&tiki);
        let forward = ["backup", "restore", &now, "--force"];
        let force = with(&["--force"]);
        let begun = Instant::now();
        tiki.ends(0, &force);
        let lasts = begun.elapsed();
        tiki.ends(0, &forward);
        let (mut killed, times) = (0, 12);
        for time in 0..times {
            let mut command = tiki.command(&force);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = ChildGuard::spawn(&mut command).expect("the program");
            // The moment of the kill is the experiment, not a wait for something.
            std::thread::sleep(after(lasts, time, times));
            killed += u32::from(child.kill().expect("a kill").code().is_none());
            let found = tiki.out(&["digest"]);
            assert!(found == first || found == second, "{kind}, kill {time}");
            if found == first {
                tiki.ends(0, &forward);
            }
        }
        // How long it lasts moves with what else the machine does.
        assert!(killed > times / 4, "{kind}: the kills came too late");
        tiki.ends(0, &force);
        assert_eq!(tiki.out(&["digest"]), first, "{kind}");
        assert_eq!(left_over(&tiki, kind), [""; 0]);
        let names = folders(&tiki, kind);
        assert!(
            names.iter().all(|name| !name.ends_with(".partial")),
            "{names:?}"
        );
    }
}

fn after(lasts: Duration, time: u32, times: u32) -> Duration {
    lasts.mul_f64(f64::from(time) / f64::from(times))
}

#[test]
fn the_way_back_can_be_practised_with_the_demo() {
    let tiki = Tiki::new().with("TIKI_ORIGIN", "http://127.0.0.1:9");
    let on =
        |tiki: Tiki, day: &str| tiki.with("TIKI_CLOCK", &format!("2026-11-{day}T05:00:00.000Z"));
    let tiki = on(tiki, "01");
    tiki.fill_demo(60, 1);
    let first = tiki.out(&["digest", "--demo"]);
    let good = text(&tiki.json(&["backup", "create", "--verify", "--demo", "--json"])["id"]);
    let tiki = on(tiki, "03");
    tiki.fill_demo(60, 1);
    let second = tiki.out(&["digest", "--demo"]);
    assert_ne!(first, second);
    let found = tiki.json(&with(&["--demo", "--dry-run", "--json"]));
    assert_eq!(found["backup"], good.as_str());
    assert_eq!(tiki.out(&["digest", "--demo"]), second);
    let said = tiki.out(&with(&["--demo", "--force"]));
    assert_eq!(tiki.out(&["digest", "--demo"]), first);
    assert!(said.contains("the next run: tiki run --demo"), "{said}");
    // As it is printed, it leads forward again.
    let (_, again) = said.split_once("back again: tiki ").expect("a command");
    let again: Vec<&str> = again.lines().next().expect("a line").split(' ').collect();
    tiki.ends(0, &again);
    assert_eq!(tiki.out(&["digest", "--demo"]), second);
    // Nothing of it was the warehouse's.
    assert!(!tiki.path("data/tiki.db").exists());
    let done = tiki.ends(2, &with(&["--demo", "--backup", "nothing"]));
    assert!(
        done.err.contains("`tiki backup list --demo`"),
        "{}",
        done.err
    );
}
