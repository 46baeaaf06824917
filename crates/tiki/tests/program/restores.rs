//! What a restore finds in its place, keeps of it, and gives back.

use std::path::Path;

use rusqlite::Connection;

use crate::backup::shop;

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
