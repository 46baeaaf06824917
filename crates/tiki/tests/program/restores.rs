//! What a restore finds in its place, keeps of it, and gives back.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use rusqlite::Connection;

use crate::backup::shop;
use crate::tiki::{Shop, Tiki};

/// The log of a SQLite file, with a row that is in no other file.
fn log_with_a_row(file: &Path) -> Vec<u8> {
    let open = Connection::open(file).expect("the warehouse");
    open.execute_batch(
        "PRAGMA wal_autocheckpoint = 0;
         INSERT INTO warehouse_info (key, value) VALUES ('precious', 'row')",
    )
    .expect("a row");
    let log = std::fs::read(file.with_extension("db-wal")).expect("the log");
    open.execute_batch("DELETE FROM warehouse_info WHERE key = 'precious'")
        .expect("gone");
    log
}

#[test]
fn a_log_without_its_file_is_not_lost_by_a_restore() {
    let shop = shop("30");
    for empty in [false, true] {
        let tiki = shop.home();
        tiki.ends(0, &["run"]);
        let made = tiki.json(&["backup", "create", "--json"]);
        let restore = ["backup", "restore", made["id"].as_str().expect("an id")];
        let (file, log) = (tiki.path("data/tiki.db"), tiki.path("data/tiki.db-wal"));
        let rows = log_with_a_row(&file);
        std::fs::rename(&file, tiki.path("moved")).expect("away");
        if empty {
            std::fs::write(&file, "").expect("an empty file");
        }
        std::fs::write(&log, &rows).expect("the log");
        let refused = tiki.ends(2, &restore);
        assert!(refused.err.contains("gone or empty"), "{}", refused.err);
        assert!(refused.err.contains("--force"), "{}", refused.err);
        assert_eq!(std::fs::read(&log).expect("the log"), rows);
        let forced = tiki.json(&[&restore[..], &["--force", "--json"]].concat());
        let kept = forced["kept"].as_str().expect("the log is kept");
        assert!(kept.ends_with("-wal"), "{kept}");
        assert_eq!(std::fs::read(kept).expect("the log"), rows);
        // Beside the file that it is of, it is whole again.
        let name = kept.strip_suffix("-wal").expect("a name");
        std::fs::rename(tiki.path("moved"), name).expect("back");
        let found = Connection::open(name).expect("the warehouse").query_row(
            "SELECT value FROM warehouse_info WHERE key = 'precious'",
            [],
            |row| row.get::<_, String>(0),
        );
        assert_eq!(found.as_deref(), Ok("row"), "empty: {empty}");
        tiki.ends(0, &["digest"]);
    }
}

/// A home whose data folder was moved, with the backup that was proven before.
fn moved(shop: &Shop) -> (Tiki, String) {
    let tiki = shop.home();
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--verify", "--json"]);
    std::fs::rename(tiki.path("data"), tiki.path("roomy")).expect("moved");
    let moved = tiki.path("roomy").display().to_string();
    let id = made["id"].as_str().expect("an id").to_owned();
    (tiki.with("TIKI_DATA_DIR", &moved), id)
}

#[test]
fn whose_a_backup_is_decides_and_is_said() {
    let shop = shop("30");
    let (tiki, elsewhere) = moved(&shop);
    let listed = tiki.json(&["backup", "--json"]);
    assert_eq!(listed[0]["this_warehouse"], false, "{listed}");
    let table = tiki.out(&["backup", "list"]);
    assert!(table.contains("data/tiki.db"), "{table}");
    // None of them stands for one of this warehouse.
    let nothing = tiki.ends(99, &["backup", "verify"]);
    assert!(nothing.err.contains("of this warehouse"), "{}", nothing.err);
    let own = tiki.json(&["backup", "create", "--json"]);
    assert_eq!(own["this_warehouse"], true, "{own}");
    assert!(tiki.out(&["backup"]).contains("this one"));
    let pruned = tiki.ends(0, &["backup", "prune"]);
    assert!(pruned.err.contains(&elsewhere), "{}", pruned.err);
    assert!(!pruned.out.contains(&elsewhere), "{}", pruned.out);
    // The way on is named, and is one.
    std::fs::remove_dir_all(own["folder"].as_str().expect("a folder")).expect("gone");
    tiki.ends(0, &["run", "--new"]);
    let run = tiki.json(&["runs", "--json"])[0]["id"].clone();
    let run = run.as_str().expect("an id");
    let back = tiki.ends(2, &["rollback", "data", "--dry-run", "--before", run]);
    let way = format!("--backup {elsewhere}");
    assert!(back.err.contains(&way), "{}", back.err);
    tiki.ends(
        0,
        &["rollback", "data", "--dry-run", "--backup", &elsewhere],
    );
    let restored = tiki.ends(0, &["backup", "restore", &elsewhere, "--force"]);
    assert!(
        restored.err.contains("of another warehouse"),
        "{restored:?}"
    );
}

#[test]
fn a_lost_warehouse_behind_a_link_still_has_its_backups() {
    let shop = shop("30");
    let tiki = shop.home();
    std::fs::create_dir(tiki.path("real")).expect("a folder");
    std::os::unix::fs::symlink("real", tiki.path("data")).expect("a link");
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--json"]);
    for ending in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(
            tiki.path(&format!("real/tiki.db{ending}")),
        ));
    }
    let listed = tiki.json(&["backup", "list", "--json"]);
    assert_eq!(listed[0]["this_warehouse"], true, "{listed}");
    tiki.ends(0, &["backup", "verify"]);
    let id = made["id"].as_str().expect("an id");
    let restored = tiki.ends(0, &["backup", "restore", id]);
    assert!(
        !restored.err.contains("another warehouse"),
        "{}",
        restored.err
    );
    tiki.ends(0, &["digest"]);
}

/// A copy of a backup that says it is of the first moment of a year, with another change to its manifest: its id.
fn copy_of(made: &serde_json::Value, year: &str, change: impl Fn(String) -> String) -> String {
    let told = |key: &str| made[key].as_str().expect("a text");
    let folder = Path::new(told("folder"));
    let id = format!("tiki-{year}0101T000000000Z");
    let beside = folder.with_file_name(&id);
    std::fs::create_dir(&beside).expect("a folder");
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    let text = manifest.replace(told("id"), &id);
    let at = format!("{year}-01-01T00:00:00.000Z");
    let text = change(text.replace(told("created_at"), &at));
    std::fs::write(beside.join("manifest.json"), text).expect("a manifest");
    std::fs::copy(
        folder.join("warehouse.db.gz"),
        beside.join("warehouse.db.gz"),
    )
    .expect("data");
    id
}

#[test]
fn the_newest_backup_is_of_this_warehouse_and_not_of_the_future() {
    let shop = shop("30");
    let tiki = shop.home();
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--json"]);
    let later = copy_of(&made, "2999", |text| text);
    copy_of(&made, "2998", |text| {
        text.replace("data/tiki.db", "other/tiki.db")
    });
    let proven = tiki.json(&["backup", "verify", "--json"]);
    assert_eq!(proven["id"], made["id"], "{proven}");
    // Where there is no other, it is better than none.
    std::fs::remove_dir_all(made["folder"].as_str().expect("a folder")).expect("gone");
    let proven = tiki.json(&["backup", "verify", "--json"]);
    assert_eq!(proven["id"], later, "{proven}");
}

#[test]
fn no_backup_goes_for_one_of_the_future() {
    let shop = shop("30");
    let tiki = shop.home();
    tiki.ends(0, &["run"]);
    // Of one day, so that one of the two would go if a younger one were proven.
    let made = [0, 1].map(|_| tiki.json(&["backup", "create", "--json"]));
    let later = copy_of(&made[1], "2999", |text| text);
    tiki.ends(0, &["backup", "verify", &later]);
    let prune = ["backup", "prune", "--json"];
    let words = |pruned: &serde_json::Value| {
        let rows = pruned.as_array().expect("rows").clone();
        let words = rows
            .iter()
            .map(|row| row["why"].as_str().map(str::to_owned));
        words.collect::<Option<Vec<_>>>().expect("words")
    };
    let told = tiki.json(&[&prune[..], &["--dry-run"]].concat());
    assert_eq!(
        words(&told),
        ["no younger verified one", "daily", "dated in the future"]
    );
    // Nor does it go itself, when others do.
    let last = made[1]["id"].as_str().expect("an id");
    tiki.ends(0, &["backup", "verify", last]);
    let told = tiki.json(&prune);
    assert_eq!(words(&told), ["deleted", "daily", "dated in the future"]);
    assert_eq!(crate::backup::folders(&tiki, "sqlite").len(), 2);
}

#[test]
fn a_restored_file_is_whose_the_one_before_was() {
    let shop = shop("30");
    let tiki = shop.home();
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--json"]);
    let restore = [
        "backup",
        "restore",
        made["id"].as_str().expect("an id"),
        "--force",
    ];
    let (folder, file) = (tiki.path("data"), tiki.path("data/tiki.db"));
    // Only root may give a file away; to everybody else it is his own before and after.
    for (path, owner) in [(&folder, 1234), (&file, 2345)] {
        drop(chown(path, Some(owner), Some(owner)));
    }
    let whose = |path: &Path| {
        let found = path.metadata().expect("it is there");
        (found.uid(), found.gid(), found.mode())
    };
    let before = whose(&file);
    tiki.ends(0, &restore);
    assert_eq!(whose(&file), before);
    std::fs::remove_file(&file).expect("gone");
    tiki.ends(0, &restore);
    let ((user, group, _), (own_user, own_group, _)) = (whose(&folder), whose(&file));
    assert_eq!((own_user, own_group), (user, group));
}
