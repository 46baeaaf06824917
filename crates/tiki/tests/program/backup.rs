//! Backups through the user's door, in both warehouses.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::Postgres;

use crate::secrets::{assert_in_no_file, assert_nowhere, encoded, planted};
use crate::tiki::{Shop, Tiki};

/// A home of a shop for each kind of warehouse, with a run in it.
pub(crate) fn homes(shop: &Shop) -> [(&'static str, Tiki); 2] {
    let database = Postgres::shared().fresh_database();
    let homes = [
        ("sqlite", shop.home()),
        ("postgres", shop.home().with("TIKI_DATABASE_URL", &database)),
    ];
    for (_, tiki) in &homes {
        tiki.ends(0, &["run"]);
    }
    homes
}

pub(crate) fn shop(products: &str) -> Shop {
    let arguments = ["--products", products, "--day", "2026-11-01"];
    Shop::open(&Tiki::new(), &arguments)
}

fn id(made: &Value) -> &str {
    made["id"].as_str().expect("an id")
}

pub(crate) fn folders(tiki: &Tiki, kind: &str) -> Vec<String> {
    let entries = std::fs::read_dir(tiki.path("data/backups").join(kind)).expect("the backups");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Two proven backups, of which the younger one's data is damaged; the folder of each.
fn a_good_and_a_damaged_one(tiki: &Tiki) -> [PathBuf; 2] {
    let made = [0, 1].map(|_| tiki.json(&["backup", "create", "--verify", "--json"]));
    assert!(made[1]["verified_at"].is_string(), "{}", made[1]);
    let folders = made.map(|made| PathBuf::from(made["folder"].as_str().expect("a folder")));
    let data = folders[1].join("warehouse.db.gz");
    let mut bytes = std::fs::read(&data).expect("its data");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4].copy_from_slice(b"\0\0\0\0");
    std::fs::write(&data, bytes).expect("damage");
    folders
}

#[test]
fn no_good_backup_goes_for_a_damaged_one() {
    let shop = shop("60");
    // Whether the damage was seen or not.
    for seen in [true, false] {
        let tiki = shop.home();
        tiki.ends(0, &["run"]);
        let [good, damaged] = a_good_and_a_damaged_one(&tiki);
        if seen {
            tiki.ends(1, &["backup", "verify"]);
            let listed = tiki.json(&["backup", "--json"]);
            assert_eq!(listed[1]["verified_at"], Value::Null, "{listed}");
            let listed = tiki.out(&["backup", "list"]);
            assert!(listed.ends_with("  no\n"), "{listed}");
        }
        tiki.ends(0, &["backup", "prune"]);
        assert!(good.is_dir() && damaged.is_dir(), "seen: {seen}");
    }
}

#[test]
fn a_warehouse_that_was_lost_tells_of_its_backups() {
    let shop = shop("60");
    let tiki = shop.home();
    let first = tiki.ends(0, &["run"]);
    assert!(!first.err.contains("backups"), "{}", first.err);
    tiki.ends(0, &["backup", "create"]);
    std::fs::write(tiki.path("data/tiki.db"), "").expect("an empty file");
    let again = tiki.ends(0, &["run"]);
    assert!(
        again.err.contains("although there are backups"),
        "{}",
        again.err
    );
    // Its log without it is a damage, for those too who only read.
    std::fs::remove_file(tiki.path("data/tiki.db")).expect("a loss");
    tiki.write("data/tiki.db-wal", "rows");
    let lost = tiki.ends(1, &["runs"]);
    assert!(lost.err.contains("gone or empty"), "{}", lost.err);
}

#[test]
fn a_backup_is_made_proven_and_restored() {
    let shop = shop("60");
    for (kind, tiki) in homes(&shop) {
        let nothing = tiki.ends(99, &["backup", "verify"]);
        assert!(nothing.err.contains("nothing to do"), "{}", nothing.err);
        let nothing = tiki.ends(0, &["backup", "prune"]);
        assert_eq!(nothing.out, "");
        assert!(nothing.err.contains("no backups in"), "{}", nothing.err);
        let made = tiki.json(&["backup", "create", "--json"]);
        assert_eq!(made["kind"], kind);
        assert_eq!(made["verified_at"], Value::Null);
        assert!(made["rows"]["products"].as_i64() > Some(10), "{made}");
        assert_eq!(made["newest_observation"], "2026-10-31T19:00:00.000Z");
        let proven = tiki.json(&["backup", "verify", "--json"]);
        assert!(proven["verified_at"].is_string(), "{proven}");
        let listed = tiki.json(&["backup", "--json"]);
        assert_eq!(listed.as_array().expect("a list").len(), 1);
        assert_eq!(listed[0], proven);
        assert!(tiki.out(&["backup", "list"]).contains(id(&made)));
        // Something is lost.
        let before = tiki.out(&["digest"]);
        change(
            &tiki,
            kind,
            "DELETE FROM product_history; UPDATE products SET price = 1",
        );
        assert_ne!(tiki.out(&["digest"]), before);
        let refused = tiki.ends(2, &["backup", "restore", id(&made)]);
        assert!(refused.err.contains("--force"), "{}", refused.err);
        let restored = tiki.json(&["backup", "restore", id(&made), "--force", "--json"]);
        assert_eq!(tiki.out(&["digest"]), before, "{kind}");
        let kept = restored["kept"].as_str().expect("what was there");
        if kind == "sqlite" {
            assert!(Path::new(kept).is_file(), "{kept}");
            let url = format!("sqlite:{kept}");
            tiki.ends(0, &["products", "search", "--database-url", &url]);
        } else {
            let count = format!("SELECT COUNT(*) FROM {kept}.products");
            tiki.ends(0, &["sql", &count]);
        }
        // And the next run goes on as if nothing had been.
        tiki.ends(0, &["run", "--new"]);
        tiki.ends(0, &["backup", "create"]);
        tiki.ends(0, &["backup", "verify"]);
        tiki.ends(2, &["backup", "restore", "tiki-none", "--force"]);
        assert_eq!(folders(&tiki, kind).len(), 2);
    }
}

#[test]
fn an_empty_place_needs_no_force_and_a_damaged_file_is_what_a_backup_is_for() {
    let shop = shop("60");
    let tiki = shop.home();
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--json"]);
    let before = tiki.out(&["digest"]);
    let restore = ["backup", "restore", id(&made)];
    let file = tiki.path("data/tiki.db");
    std::fs::remove_file(&file).expect("gone");
    let done = tiki.ends(0, &restore);
    assert!(!done.out.contains("kept"), "{}", done.out);
    assert_eq!(tiki.out(&["digest"]), before);
    // A log without its file must not come into the restored one.
    let mut bytes = std::fs::read(&file).expect("the file");
    bytes[100..].fill(0xA5);
    std::fs::write(&file, &bytes).expect("damage");
    std::fs::write(tiki.path("data/tiki.db-wal"), b"not a log").expect("a log");
    tiki.ends(1, &["digest"]);
    tiki.ends(2, &restore);
    let forced = [&restore[..], &["--force"]].concat();
    tiki.ends(0, &forced);
    assert_eq!(tiki.out(&["digest"]), before);
}

#[test]
fn what_is_damaged_or_unfinished_is_no_backup() {
    let shop = shop("60");
    for (kind, tiki) in homes(&shop) {
        let made = tiki.json(&["backup", "create", "--json"]);
        let folder = PathBuf::from(made["folder"].as_str().expect("a folder"));
        let data = folder.join(made["file"].as_str().expect("a file"));
        let good = std::fs::read(&data).expect("the data");
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 0xFF;
        for damaged in [&bad[..], &good[..middle]] {
            std::fs::write(&data, damaged).expect("damage");
            let before = tiki.out(&["digest"]);
            for command in [
                &["backup", "verify"][..],
                &["backup", "restore", id(&made), "--force"],
            ] {
                let done = tiki.ends(1, command);
                assert!(done.err.contains(id(&made)), "{}", done.err);
            }
            assert_eq!(tiki.out(&["digest"]), before);
            let left = std::fs::read_dir(tiki.path("data")).expect("the data folder");
            let mut names = left.map(|entry| entry.expect("an entry").file_name());
            assert!(!names.any(|name| name.to_string_lossy().ends_with(".restoring")));
        }
        std::fs::write(&data, &good).expect("whole again");
        tiki.ends(0, &["backup", "verify"]);
        // A count that is not as it was.
        let manifest = folder.join("manifest.json");
        let text = std::fs::read_to_string(&manifest).expect("the manifest");
        let count = format!("\"products\": {}", made["rows"]["products"]);
        std::fs::write(&manifest, text.replace(&count, "\"products\": 7")).expect("a lie");
        let done = tiki.ends(1, &["backup", "verify"]);
        assert!(
            done.err.contains("products: 7 rows in the manifest"),
            "{}",
            done.err
        );
        // Half of one has another name, and goes with the next.
        let half = tiki.path("data/backups").join(kind).join("new.partial");
        std::fs::create_dir(&half).expect("a folder");
        std::fs::write(half.join("warehouse.dump"), "half").expect("a file");
        std::fs::write(&manifest, "{").expect("no manifest");
        let listed = tiki.ends(0, &["backup", "list", "--json"]);
        assert_eq!(listed.out.trim(), "[]");
        assert!(listed.err.contains(id(&made)), "{}", listed.err);
        let listed = tiki.ends(0, &["backup", "list"]);
        assert!(listed.err.contains("no backup in"), "{}", listed.err);
        // No older one stands for the newest, and a newer one does.
        let older = folder.with_file_name("tiki-20200101T000000.000Z");
        for _ in 0..2 {
            let done = tiki.ends(1, &["backup", "verify"]);
            assert!(done.err.contains(id(&made)), "{}", done.err);
            let pruned = tiki.ends(0, &["backup", "prune"]);
            assert!(pruned.err.contains(id(&made)), "{}", pruned.err);
            std::fs::create_dir_all(&older).expect("a folder");
            std::fs::write(older.join("manifest.json"), "{").expect("no manifest");
        }
        tiki.ends(0, &["backup", "create"]);
        assert!(!half.exists());
        tiki.ends(0, &["backup", "verify"]);
    }
}

#[test]
fn a_warehouse_in_which_somebody_is_at_work_is_not_replaced() {
    let shop = shop("60");
    for (kind, tiki) in homes(&shop) {
        let made = tiki.json(&["backup", "create", "--json"]);
        let newest = tiki.json(&["runs", "--json"])[0]["id"].clone();
        let run = newest.as_str().expect("a run");
        lease(&tiki, kind, run, "80");
        let restore = ["backup", "restore", id(&made), "--force"];
        let held = tiki.ends(30, &restore);
        assert!(held.err.contains(run), "{}", held.err);
        lease(&tiki, kind, run, "-1");
        tiki.ends(0, &restore);
    }
}

/// Says that somebody works on a run, for so many seconds; a lease of more than 90 is of no worker.
pub(crate) fn lease(tiki: &Tiki, kind: &str, run: &str, seconds: &str) {
    let until = match kind {
        "sqlite" => format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{seconds} seconds')"),
        _ => format!("now() + interval '{seconds} seconds'"),
    };
    let sql =
        format!("UPDATE attempts SET state = 'live', lease_until = {until} WHERE run_id = '{run}'");
    change(tiki, kind, &sql);
}

/// Runs statements past the program, in the home's own warehouse.
pub(crate) fn change(tiki: &Tiki, kind: &str, sql: &str) {
    if kind == "sqlite" {
        let file = rusqlite::Connection::open(tiki.path("data/tiki.db")).expect("the warehouse");
        return file.execute_batch(sql).expect("statements");
    }
    let programs = Postgres::find().expect("PostgreSQL");
    let url = tiki.variable("TIKI_DATABASE_URL");
    let status = std::process::Command::new(programs.join("psql"))
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql])
        .env("PGOPTIONS", "-c client_min_messages=warning")
        .status()
        .expect("psql");
    assert!(status.success(), "{sql}");
}

#[test]
fn no_password_reaches_an_argument_a_variable_or_an_output() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    let (password, wrong) = (planted("database"), planted("wrong"));
    let secrets = [password.as_str(), wrong.as_str()];
    let role = format!("planted_{}", std::process::id());
    server.admin(&format!(
        "CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'"
    ));
    let (_, place) = database.rsplit_once('@').expect("a host");
    let database = format!("postgres://{role}:{}@{place}", encoded(&password));
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    // Programs of the same names come first, tell how they were called, and do as the real ones.
    let programs = tiki.path("programs");
    std::fs::create_dir(&programs).expect("a folder");
    let real = Postgres::find().expect("PostgreSQL");
    for name in ["pg_dump", "pg_restore"] {
        let text = format!(
            "#!/bin/sh\n{{ echo \"$0 $*\"; env; cat /proc/$PPID/cmdline; \
             ls -l \"$PGPASSFILE\" 2>&1; }} >> {}\nexec {} \"$@\"\n",
            tiki.path("told").display(),
            real.join(name).display()
        );
        let path = programs.join(name);
        std::fs::write(&path, text).expect("a program");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("it runs");
    }
    let tiki = tiki.with("PATH", &programs.display().to_string());
    let tiki = tiki
        .with("TIKI_LOG", "debug")
        .with("TIKI_LOG_FILES", "trace");
    let made = tiki.ends(0, &["backup", "create", "--json"]);
    let id = serde_json::from_str::<Value>(&made.out).expect("JSON")["id"].clone();
    let id = id.as_str().expect("an id");
    let mut said = vec![made];
    said.push(tiki.ends(0, &["backup", "verify"]));
    said.push(tiki.ends(0, &["backup", "restore", id, "--force"]));
    said.push(tiki.ends(0, &["backup", "list"]));
    // Of a command line of ours it is whoever typed it who shows it: settings have files for that.
    let other = database.replace(&encoded(&password), &encoded(&wrong));
    let elsewhere = tiki.with("TIKI_DATABASE_URL", &other);
    said.push(elsewhere.ends(30, &["backup", "create"]));
    let told = std::fs::read_to_string(elsewhere.path("told")).expect("what they were told");
    assert!(told.contains("--snapshot="), "{told}");
    assert!(told.contains("PGPASSFILE=/proc/"), "{told}");
    assert_nowhere(&secrets, told.as_bytes(), "what the programs were told");
    for done in &said {
        assert_nowhere(&secrets, done.out.as_bytes(), "stdout");
        assert_nowhere(&secrets, done.err.as_bytes(), "stderr");
    }
    // Nothing of it is left on the disk, in backups and in logs.
    let files = assert_in_no_file(&secrets, &elsewhere.path("data"));
    assert!(files > 3, "a manifest, a dump and logs");
}

#[test]
fn programs_that_are_missing_or_too_old_are_named_with_what_to_install() {
    let database = Postgres::shared().fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    let old = tiki.path("old");
    std::fs::create_dir(&old).expect("a folder");
    for name in ["pg_dump", "pg_restore"] {
        let path = old.join(name);
        std::fs::write(&path, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6'\n").expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it runs");
    }
    // Those of Debian are found where they are, so an old one on PATH is passed over.
    let tiki = tiki.with("PATH", &old.display().to_string());
    let made = tiki.json(&["backup", "create", "--json"]);
    assert!(
        !made["made_by"].as_str().expect("a program").contains("9.6"),
        "{made}"
    );
}

#[test]
fn a_user_who_may_make_no_database_is_told_what_to_do() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    let made = tiki.json(&["backup", "create", "--verify", "--json"]);
    let (_, place) = database.rsplit_once('@').expect("a place");
    let role = format!("bare_{}", place.rsplit('/').next().expect("a name"));
    server.admin(&format!("create role {role} login password 'secret'"));
    let url = format!("postgres://{role}:secret@{place}");
    let tiki = tiki.with("TIKI_DATABASE_URL", &url);
    let id = id(&made);
    let look = ["rollback", "data", "--backup", id, "--dry-run"];
    for command in [&["backup", "verify", id][..], &look] {
        let done = tiki.ends(2, command);
        assert!(done.err.contains("CREATEDB"), "{done:?}");
        assert!(!format!("{done:?}").contains("secret"), "{done:?}");
    }
    // It was proven before, and nothing was found against it.
    let listed = tiki.json(&["backup", "--json"]);
    assert_eq!(listed[0]["verified_at"], made["verified_at"], "{listed}");
}
