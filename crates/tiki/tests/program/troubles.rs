//! PostgreSQL restarted, cut off, full, read-only or locked in the middle of each step: the step goes on
//! when the trouble ends in time, else leaves with 30; either way nothing is lost and nothing is twice.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use testkit::{Fate, wait_until};

use crate::bench::{Bench, Case, LIMIT, STEPS};
use crate::runbook::{Fault, IN_TIME};

/// As docs/RUNBOOK.md shows them.
pub(crate) const FAULTS: [Fault; 5] = [
    ("PostgreSQL is killed and started again", IN_TIME),
    ("the network to PostgreSQL is cut", IN_TIME),
    ("the disk of PostgreSQL is full", IN_TIME),
    ("the database takes no writes (read-only)", IN_TIME),
    ("a table that the step needs is locked", IN_TIME),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Restarted,
    CutOff,
    Full,
    ReadOnly,
    Locked,
}

const TROUBLES: [Trouble; 5] = [
    Trouble::Restarted,
    Trouble::CutOff,
    Trouble::Full,
    Trouble::ReadOnly,
    Trouble::Locked,
];

/// The table that is locked while a step works.
const TABLES: [&str; 9] = [
    "run_categories",
    "listing_pages",
    "run_products",
    "staged_products",
    "products",
    "attempts",
    "run_steps",
    "attempts",
    "run_steps",
];

/// A file system of a few megabytes with a tablespace on it.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    /// `None` where this user may not mount one: a full disk is not tested then.
    fn new(bench: &Bench) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        if !mount(folder.path(), "48m") {
            return None;
        }
        let small = Self { folder };
        let place = small.folder.path().join("space");
        std::fs::create_dir(&place).expect("a folder");
        bench.server.give(&place);
        let parent = small.folder.path();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(parent, open).expect("a folder that is seen");
        bench.server.admin(&format!(
            "create tablespace small location '{}'",
            place.display()
        ));
        Some(small)
    }

    fn filler(&self) -> std::path::PathBuf {
        self.folder.path().join("filler")
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut filler = std::fs::File::create(self.filler()).expect("a file");
        let piece = [7; 4096];
        while filler.write_all(&piece).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("room again");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: the server still has files open there.
        let path = self.folder.path();
        drop(Command::new("umount").arg("-l").arg(path).status());
    }
}

/// Whether a file system of this size could be mounted.
pub(crate) fn mount(place: &Path, size: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
    let done = mount.arg(place).output();
    done.is_ok_and(|output| output.status.success())
}

fn begin(bench: &mut Bench, case: &Case, small: Option<&Small>, trouble: Trouble, table: &str) {
    let database = case.database.rsplit('/').next().expect("a name").to_owned();
    match trouble {
        Trouble::Restarted => bench.server.kill(),
        Trouble::CutOff => bench.proxy.cut(),
        Trouble::Full => small.expect("a small disk").fill(),
        Trouble::ReadOnly => {
            bench.server.admin(&format!(
                "alter database {database} set default_transaction_read_only = on"
            ));
            end_sessions(bench, &database);
        }
        Trouble::Locked => {
            let lock =
                format!("begin; lock table {table} in access exclusive mode; select pg_sleep(300)");
            // It ends with its session, at the server.
            let mut session = bench.server.beside(&case.database, &lock);
            let wished = "select count(*) from pg_locks
                where mode = 'AccessExclusiveLock' and database is not null";
            wait_until("a lock that is wished", LIMIT, || {
                session.child().try_wait().expect("psql").is_none()
                    && bench.server.admin(wished).trim() != "0"
            });
            bench.sessions.push(session);
        }
    }
}

fn end(bench: &mut Bench, case: &Case, small: Option<&Small>, trouble: Trouble) {
    let database = case.database.rsplit('/').next().expect("a name").to_owned();
    match trouble {
        Trouble::Restarted => bench.server.restart(),
        Trouble::CutOff => bench.proxy.forward(),
        Trouble::Full => small.expect("a small disk").free(),
        Trouble::ReadOnly => {
            bench.server.admin(&format!(
                "alter database {database} reset default_transaction_read_only"
            ));
            end_sessions(bench, &database);
        }
        Trouble::Locked => {
            bench.server.admin(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where application_name = 'beside'",
            );
        }
    }
}

fn end_sessions(bench: &Bench, database: &str) {
    bench.server.admin(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'"
    ));
}

/// Disturbs a step in its middle.
fn disturb(bench: &mut Bench, small: Option<&Small>, step: usize, trouble: Trouble, in_time: bool) {
    let ends = if in_time { "ends in time" } else { "lasts" };
    let what = format!("{}, {trouble:?}, {ends}", STEPS[step]);
    let mut case = match trouble {
        Trouble::Full => bench.case_in(step, "small"),
        _ => bench.case(step),
    };
    // A server may take long to start on a machine that is busy.
    let patience = if in_time { "5m" } else { "1s" };
    case.tiki = case.tiki.with("TIKI_WAREHOUSE_PATIENCE", patience);
    bench.proxy.strike(bench.commits[step] / 2, Fate::Held);
    let (proxy, arguments) = (
        Arc::clone(&bench.proxy),
        ["step", STEPS[step], "--run", "r"],
    );
    let done = std::thread::scope(|scope| {
        let run = scope.spawn(|| case.tiki.run(&arguments));
        wait_until("a COMMIT that is held", LIMIT, || {
            proxy.holds() || run.is_finished()
        });
        assert!(proxy.holds(), "{what}: {:#?}", run.join());
        begin(bench, &case, small, trouble, TABLES[step]);
        proxy.release();
        if in_time {
            std::thread::sleep(Duration::from_millis(800));
            end(bench, &case, small, trouble);
        }
        run.join().expect("no panic")
    });
    if !in_time {
        end(bench, &case, small, trouble);
    }
    assert!(!done.err.contains("panicked"), "{what}: {done:#?}");
    let unharmed = done.code == 0 && (in_time || !done.err.contains("waiting for it"));
    assert!(
        unharmed || (!in_time && done.code == 30),
        "{what}: {done:#?}"
    );
    // A step may fit into the room that is left, or be over before it needs the table.
    if matches!(
        trouble,
        Trouble::Restarted | Trouble::CutOff | Trouble::ReadOnly
    ) {
        assert!(
            done.err.contains("waiting for it") || !in_time,
            "{what}: {done:#?}"
        );
        assert!(in_time || done.code == 30, "{what}: {done:#?}");
    }
    bench.recovers(&case, &what);
}

#[test]
fn a_server_in_trouble_is_waited_for_and_one_that_stays_so_is_left() {
    let mut bench = Bench::new(5);
    let transform = 3;
    disturb(&mut bench, None, transform, Trouble::ReadOnly, true);
    disturb(&mut bench, None, transform, Trouble::Locked, false);
}

#[test]
#[ignore = "slow: a load that outlives each trouble, and does not"]
fn a_load_outlives_each_trouble() {
    let mut bench = Bench::new(5);
    let small = Small::new(&bench);
    for trouble in TROUBLES {
        if trouble == Trouble::Full && small.is_none() {
            continue;
        }
        for in_time in [true, false] {
            disturb(&mut bench, small.as_ref(), 4, trouble, in_time);
        }
    }
}

#[test]
#[ignore = "torture: nine steps in five troubles, that end in time or not, for the better part of an hour"]
fn torture_each_step_outlives_each_trouble() {
    let mut bench = Bench::new(9);
    let small = Small::new(&bench);
    for step in 0..STEPS.len() {
        for trouble in TROUBLES {
            if trouble == Trouble::Full && small.is_none() {
                continue;
            }
            for in_time in [true, false] {
                disturb(&mut bench, small.as_ref(), step, trouble, in_time);
            }
        }
    }
}
