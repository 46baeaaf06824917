//! What an SQLite file can suffer: held, a full disk, a read-only folder, damage, four processes at once.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use testkit::{ChildGuard, wait_until};

use crate::bench::LIMIT;
use crate::runbook::{Fault, IN_TIME};
use crate::tiki::{Done, Shop, Tiki};
use crate::troubles::mount;

/// As docs/RUNBOOK.md shows them.
pub(crate) const FAULTS: [Fault; 5] = [
    ("SQLite: another process holds the file", IN_TIME),
    ("SQLite: the disk is full", "1"),
    ("SQLite: the file or its folder may not be written", "1"),
    ("SQLite: the file is damaged, or is no database", "1"),
    (
        "SQLite: the file is gone and its write-ahead log is not",
        "1",
    ),
];

fn shop(products: &str, latency_ms: &str) -> Shop {
    let arguments = [
        "--products",
        products,
        "--leaf-categories",
        "2",
        "--day",
        "2026-11-01",
        "--latency-ms",
        latency_ms,
    ];
    Shop::open(&Tiki::new(), &arguments)
}

fn home(shop: &Shop) -> Tiki {
    shop.home()
        .with("TIKI_MAX_CATEGORIES", "0")
        .with("TIKI_BATCH", "20")
}

/// What a run leaves that nothing disturbs.
fn undisturbed(shop: &Shop) -> String {
    let clean = home(shop);
    clean.ends(0, &["run"]);
    clean.out(&["digest", "--content"])
}

fn file(tiki: &Tiki) -> std::path::PathBuf {
    tiki.path("data/tiki.db")
}

fn is_whole(tiki: &Tiki) {
    let connection = Connection::open(file(tiki)).expect("the file");
    let check: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a check");
    assert_eq!(check, "ok");
}

/// Runs a command, and something as soon as the shop has been asked for so much more.
fn beside(tiki: &Tiki, shop: &Shop, requests: u64, happens: impl FnOnce()) -> Done {
    let count = || {
        shop.control("GET", "counts", "")["requests"]
            .as_u64()
            .unwrap_or(0)
    };
    let first = count();
    std::thread::scope(|scope| {
        let done = scope.spawn(|| tiki.run(&["run"]));
        wait_until("requests", LIMIT, || count() >= first + requests);
        happens();
        done.join().expect("no panic")
    })
}

#[test]
fn a_file_that_another_process_holds_is_waited_for_and_then_left() {
    let shop = shop("160", "20");
    let expected = undisturbed(&shop);
    for (patience, code) in [("20s", 0), ("500ms", 30)] {
        let tiki = home(&shop)
            .with("TIKI_LOCK_TIMEOUT", "300ms")
            .with("TIKI_WAREHOUSE_PATIENCE", patience);
        tiki.ends(0, &["migrate"]);
        let other = Connection::open(file(&tiki)).expect("the file");
        let done = beside(&tiki, &shop, 60, || {
            other.busy_timeout(LIMIT).expect("patience");
            other.execute_batch("BEGIN IMMEDIATE").expect("its turn");
            if code == 0 {
                std::thread::sleep(Duration::from_secs(2));
                other.execute_batch("ROLLBACK").expect("its end");
            }
        });
        assert_eq!(done.code, code, "{done:#?}");
        assert!(done.err.contains("held by another process"), "{}", done.err);
        if code == 30 {
            assert!(done.err.contains("TIKI_LOCK_TIMEOUT"), "{}", done.err);
            other.execute_batch("ROLLBACK").expect("its end");
            let kept = tiki.json(&["sql", "--json", "SELECT COUNT(*) AS n FROM pages"]);
            assert_ne!(kept[0]["n"], "0", "{kept}");
            tiki.ends(0, &["run"]);
        }
        assert_eq!(tiki.out(&["digest", "--content"]), expected);
        is_whole(&tiki);
    }
}

#[test]
fn a_full_disk_is_exit_1_and_the_run_goes_on_once_there_is_room() {
    let shop = shop("160", "5");
    let expected = undisturbed(&shop);
    let tiki = home(&shop);
    let data = tiki.path("data");
    std::fs::create_dir(&data).expect("a folder");
    if !mount(&data, "1500k") {
        return;
    }
    let done = tiki.ends(1, &["run"]);
    assert!(
        done.err.contains("disk of the warehouse is full")
            || done.err.contains("disk full or failing"),
        "{}",
        done.err
    );
    let mut remount = Command::new("mount");
    remount.args(["-o", "remount,size=64m"]).arg(&data);
    assert!(remount.status().expect("mount").success());
    let kept = tiki.json(&["sql", "--json", "SELECT COUNT(*) AS n FROM runs"]);
    let done = tiki.ends(0, &["run"]);
    if kept[0]["n"] == "1" {
        assert!(done.err.contains("going on with run"), "{}", done.err);
    }
    assert_eq!(tiki.out(&["digest", "--content"]), expected);
    is_whole(&tiki);
    let done = Command::new("umount").arg(&data).status();
    assert!(done.expect("umount").success());
}

/// No right keeps root from anything.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("a process").uid() == 0
}

/// Runs a command as a user who owns nothing; as ourselves where rights bind us too.
fn as_other(tiki: &Tiki, arguments: &[&str]) -> Done {
    if !is_root() {
        return tiki.run(arguments);
    }
    let command = tiki.command(arguments);
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    other.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    let output = other.current_dir(tiki.folder()).output();
    let done = Done::from(output.expect("setpriv, of util-linux"));
    assert!(!done.err.contains("setpriv"), "{done:#?}");
    done
}

fn open_to(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn a_file_or_folder_that_may_not_be_written_is_exit_1_with_what_to_do() {
    let shop = shop("60", "0");
    let tiki = home(&shop);
    tiki.ends(0, &["run"]);
    let before = std::fs::read(file(&tiki)).expect("the file");
    open_to(tiki.folder(), 0o755);
    open_to(&tiki.path("data"), 0o555);
    for arguments in [&["run"] as &[&str], &["products", "search", "a"]] {
        let done = as_other(&tiki, arguments);
        assert_eq!(done.code, 1, "{done:#?}");
        let said = "can be neither read nor written: it is an SQLite file in WAL mode";
        assert!(done.err.contains(said), "{done:#?}");
        assert!(done.err.contains("TIKI_DATA_DIR"), "{done:#?}");
    }
    let done = as_other(&tiki, &["health"]);
    assert_eq!(done.code, 1, "{done:#?}");
    assert!(done.out.contains("can be neither read"), "{done:#?}");
    // Also where nothing is there yet.
    let bare = Tiki::new();
    open_to(bare.folder(), 0o555);
    let done = as_other(&bare, &["health"]);
    assert_eq!(done.code, 1, "{done:#?}");
    let disk = done.out.lines().find(|line| line.starts_with("disk "));
    let disk = disk.expect("a line");
    assert!(
        disk.contains("failed") && disk.contains("data may not be written"),
        "{disk}"
    );
    assert!(
        done.out.contains("disk: the data folder must be"),
        "{done:#?}"
    );
    let done = as_other(&tiki, &["backup", "list"]);
    assert_eq!(done.code, 0, "to list is to read: {done:#?}");
    // While somebody has it open, what readers need is there.
    open_to(&tiki.path("data"), 0o755);
    let other = Connection::open(file(&tiki)).expect("the file");
    other
        .execute_batch("BEGIN IMMEDIATE; UPDATE runs SET id = id; COMMIT")
        .expect("a write");
    open_to(&tiki.path("data"), 0o555);
    let done = as_other(&tiki, &["products", "search"]);
    assert_eq!(done.code, 0, "{done:#?}");
    drop(other);
    // The folder may be written, the file may not.
    open_to(&tiki.path("data"), 0o777);
    if is_root() {
        chown(tiki.path("data"), Some(65534), Some(65534)).expect("an owner");
    } else {
        open_to(&file(&tiki), 0o444);
    }
    let done = as_other(&tiki, &["run"]);
    assert_eq!(done.code, 1, "{done:#?}");
    assert!(done.err.contains("cannot be written"), "{done:#?}");
    assert_eq!(std::fs::read(file(&tiki)).expect("the file"), before);
}

/// Commands that read; what they say where there is nothing yet is no failure.
const READS: [&[&str]; 8] = [
    &["runs"],
    &["errors"],
    &["alerts"],
    &["plan"],
    &["cleanup"],
    &["products", "search"],
    &["backup", "list"],
    &["backup", "create"],
];

/// Nothing may be told of a warehouse that cannot be looked at, but that.
fn tells_what_is_in_the_way(run: impl Fn(&[&str]) -> Done, why: &str) {
    for arguments in READS {
        let done = run(arguments);
        assert_eq!(done.code, 1, "{arguments:?}: {done:#?}");
        assert!(done.err.contains(why), "{arguments:?}: {done:#?}");
    }
    let done = run(&["health", "--json"]);
    assert_eq!(done.code, 1, "{done:#?}");
    let report: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(report["healthy"], false);
    let seen = &report["checks"][0];
    assert_eq!(seen["state"], "failed", "{report:#}");
    assert!(seen["seen"].to_string().contains(why), "{report:#}");
    assert!(seen["help"].to_string().contains("TIKI_DATA_DIR"), "{seen}");
}

#[test]
fn a_warehouse_that_cannot_be_looked_at_is_not_one_that_is_not_there() {
    let tiki = Tiki::new();
    tiki.ends(0, &["migrate"]);
    open_to(tiki.folder(), 0o755);
    open_to(&tiki.path("data"), 0o000);
    tells_what_is_in_the_way(|arguments| as_other(&tiki, arguments), "ermission denied");
    open_to(&tiki.path("data"), 0o755);
    open_to(&file(&tiki), 0o000);
    let done = as_other(&tiki, &["runs"]);
    assert_eq!(done.code, 1, "{done:#?}");
    assert!(done.err.contains("ermission denied"), "{done:#?}");
    // A file is where a folder should be: nobody, not even root, gets past it.
    tiki.write("file", "x");
    for wrong in ["file", "file/data"] {
        let tiki = Tiki::new().with("TIKI_DATA_DIR", &tiki.path(wrong).display().to_string());
        tells_what_is_in_the_way(|arguments| tiki.run(arguments), "ot a directory");
        let report = tiki.run(&["health"]).out;
        let disk = report.lines().find(|line| line.starts_with("disk"));
        assert!(disk.is_some_and(|line| line.contains("failed")), "{report}");
    }
}

#[test]
fn a_damaged_file_is_told_and_never_made_anew() {
    let shop = shop("60", "0");
    let tiki = home(&shop);
    tiki.ends(0, &["run"]);
    let whole = std::fs::read(file(&tiki)).expect("the file");
    let mut header = whole.clone();
    header[..100].fill(0xA5);
    let mut middle = whole.clone();
    middle[8192..].fill(0xA5);
    let text = "id,name\n".repeat(1000).into_bytes();
    for (what, bytes) in [("header", header), ("middle", middle), ("text", text)] {
        std::fs::write(file(&tiki), &bytes).expect("written");
        for arguments in [&["run"] as &[&str], &["products", "search", "a"]] {
            let done = tiki.ends(1, arguments);
            assert!(
                done.err.contains("warehouse is damaged"),
                "{what}: {done:#?}"
            );
            assert!(
                done.err.contains("tiki backup restore"),
                "{what}: {done:#?}"
            );
            let now = std::fs::read(file(&tiki)).expect("the file");
            assert!(now == bytes, "{what}: {arguments:?} changed it");
        }
    }
    // Of one whose products are hurt the rest can be read.
    std::fs::write(file(&tiki), &whole).expect("written");
    let damaged = Connection::open(file(&tiki)).expect("the file");
    let number = |sql: &str| damaged.query_row(sql, [], |row| row.get::<_, u32>(0));
    let page = number("PRAGMA page_size").expect("a size");
    let root = number("SELECT rootpage FROM sqlite_schema WHERE name = 'products'");
    drop(damaged);
    let at = (root.expect("a page") as usize - 1) * page as usize;
    let mut bytes = whole.clone();
    bytes[at..at + page as usize].fill(0xA5);
    std::fs::write(file(&tiki), &bytes).expect("written");
    tiki.ends(1, &["sql", "SELECT name FROM products"]);
    let runs = tiki.json(&["sql", "--json", "SELECT COUNT(*) AS runs FROM runs"]);
    assert_eq!(runs[0]["runs"], "1", "{runs}");
    // The file is moved away, and the newest rows of it are left behind.
    std::fs::remove_file(file(&tiki)).expect("removed");
    std::fs::write(tiki.path("data/tiki.db-wal"), &whole[..4096]).expect("a log");
    let done = tiki.ends(1, &["run"]);
    assert!(done.err.contains("gone or empty"), "{done:#?}");
    // Another file in its place would cost what the log holds.
    assert!(done.err.contains("put the file back"), "{done:#?}");
    assert!(!done.err.contains("damaged"), "{done:#?}");
    assert!(!file(&tiki).exists(), "it was made anew");
}

fn joined(tiki: &Tiki, step: &str) -> ChildGuard {
    let mut command = tiki.command(&["step", step, "--run", "r", "--join"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    ChildGuard::spawn(&mut command).expect("the program")
}

/// Four processes work on each step of a run, and one after the other is killed and begun again.
fn crowd(kills: u64) {
    let shop = shop("240", "10");
    let expected = undisturbed(&shop);
    let tiki = home(&shop);
    let mut turn = 0;
    for step in &crate::bench::STEPS[..5] {
        let mut four: Vec<ChildGuard> = (0..4).map(|_| joined(&tiki, step)).collect();
        for kill in 0..kills {
            turn = (turn * 31 + kill * 7 + 3) % 4;
            // The moment of the kill is the experiment, not a wait for something.
            std::thread::sleep(Duration::from_millis(40 + (kill * 97 + turn * 53) % 300));
            let victim = &mut four[usize::try_from(turn).expect("one of four")];
            victim.kill().expect("a kill");
            *victim = joined(&tiki, step);
        }
        for mut process in four {
            let code = process.child().wait().expect("its end").code();
            // Who comes when all is done, or is outrun at the end, may say so.
            assert!(matches!(code, Some(0 | 30)), "{step}: {code:?}");
        }
        tiki.ends(0, &["step", step, "--run", "r"]);
        is_whole(&tiki);
    }
    tiki.ends(0, &["run"]);
    assert_eq!(tiki.out(&["digest", "--content"]), expected);
    is_whole(&tiki);
}

#[test]
fn four_processes_at_one_file_are_killed_and_nothing_is_lost() {
    crowd(2);
}

#[test]
#[ignore = "torture: a hundred kills of four processes at one file"]
fn torture_kills_four_processes_at_one_file() {
    crowd(20);
}
