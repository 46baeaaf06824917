//! A fault at the N-th call of the database, for every N until a run of 20 products completes; in the
//! tests of every day for every seventh.
//!
//! Of PostgreSQL a call is what its client waits for, and the fault is a connection that ends before the
//! call or before its answer. Of SQLite it is what changes the file (a write, a sync, a cut), and the
//! fault is the end of the process or an error of the disk.

use std::process::{Command, Output};
use std::time::Duration;

use crate::disk::{self, Disk};
use crate::home::{Home, finish, hasty, shop, store};
use crate::trials::{Tally, in_turns};
use crate::wire::{After, Fault, Wire};

/// A run of 20 products in small batches.
fn small(mut command: Command) -> Command {
    command
        .env("TIKI_MAX_CATEGORIES", "1")
        .env("TIKI_MAX_PRODUCTS_PER_CATEGORY", "20")
        .env("TIKI_BATCH", "5");
    command
}

fn run(home: &Home, origin: &str) -> Command {
    small(home.tiki(origin, &["run"]))
}

fn digest(home: &Home, origin: &str) -> String {
    finish(home.tiki(origin, &["digest"]))
}

/// Ends what a fault has left open, and compares.
fn resume(home: &Home, origin: &str, output: &Output, codes: &[i32]) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    let code = output.status.code();
    assert!(
        code.is_none_or(|code| codes.contains(&code)),
        "{code:?}: {said}"
    );
    if code != Some(0) {
        finish(run(home, origin));
    }
    digest(home, origin)
}

/// What is tried at the N-th call.
const ON_THE_WIRE: [(Fault, After); 4] = [
    (Fault::Lost, After::Away),
    (Fault::Unanswered, After::Back),
    (Fault::Unanswered, After::Away),
    (Fault::Lost, After::Back),
];

/// A trial on the wire; `None`: the run ended before that call.
fn on_the_wire(
    origin: &str,
    empty: &Home,
    call: u64,
    (fault, after): (Fault, After),
) -> Option<String> {
    let home = empty.copy();
    let database = home.database.clone().expect("a database");
    let wire = Wire::start(&database, call, fault, after);
    let mut command = run(&home, origin);
    command.env("TIKI_DATABASE_URL", wire.url(&database));
    if after == After::Away {
        command.env("TIKI_WAREHOUSE_PATIENCE", "0s");
    }
    let output = command.output().expect("tiki");
    let struck = wire.has_struck();
    drop(wire);
    let found = resume(&home, origin, &output, &[0, 30]);
    struck.then_some(found)
}

const ON_THE_DISK: [disk::Fault; 2] = [disk::Fault::Kill, disk::Fault::Error];

/// A trial on the disk; `None`: the run ended before that call.
fn on_the_disk(
    origin: &str,
    empty: &Home,
    disk: &Disk,
    (call, fault): (u64, disk::Fault),
) -> Option<String> {
    let home = empty.copy();
    let mark = home.folder.path().join("struck");
    let mut command = run(&home, origin);
    disk.strike(&mut command, call, fault, &mark);
    let output = command.output().expect("tiki");
    let struck = mark.exists();
    // Which code tells of which failure of a disk is tested elsewhere.
    let found = resume(&home, origin, &output, &[0, 1, 30]);
    let file = home.folder.path().join("data/tiki.db");
    let file = rusqlite::Connection::open(file).expect("the file");
    let whole: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("an answer");
    assert_eq!(whole, "ok", "call {call}");
    struck.then_some(found)
}

/// Which faults are tried at a call: one of them in turns, or half of them, so that two calls see all.
fn tried<T: Copy>(faults: &[T], turn: u64, each: usize) -> Vec<T> {
    let first = turn as usize * each;
    (first..first + each)
        .map(|n| faults[n % faults.len()])
        .collect()
}

/// Tries every `step`-th call of a warehouse until one comes no more, with so many faults each.
fn each_call(origin: &str, postgres: bool, step: u64, each: usize) {
    let disk = Disk::new();
    // How a schema comes to be is tortured elsewhere.
    let empty = Home::on(postgres.then(hasty));
    finish(empty.tiki(origin, &["migrate"]));
    let undisturbed = empty.copy();
    finish(run(&undisturbed, origin));
    let expected = digest(&undisturbed, origin);
    let tally = Tally::default();
    let check = |trial: &str, found: Option<String>| {
        let Some(found) = found else { return false };
        tally.fault();
        tally.compare(trial, &found, &expected);
        true
    };
    in_turns(|turn| {
        let call = 1 + turn * step;
        if postgres {
            let mut faults = tried(&ON_THE_WIRE, turn, each).into_iter();
            return faults.all(|fault| {
                let trial = format!("call {call}, {fault:?}");
                check(&trial, on_the_wire(origin, &empty, call, fault))
            });
        }
        let mut faults = tried(&ON_THE_DISK, turn, each).into_iter();
        faults.all(|fault| {
            let trial = format!("call {call}, {fault:?}");
            check(&trial, on_the_disk(origin, &empty, &disk, (call, fault)))
        })
    });
    let each = match step {
        1 => "each call".to_owned(),
        step => format!("one in {step} calls"),
    };
    tally.close(&format!("{}: a fault at {each}", store(postgres)));
}

async fn torture(postgres: bool, step: u64, each: usize) {
    let front = shop(Duration::ZERO).await;
    let origin = front.base_url();
    let work = move || each_call(&origin, postgres, step, each);
    let worked = tokio::task::spawn_blocking(work).await;
    worked.expect("the torture");
    assert_eq!(front.counts().disallowed, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a run for every seventh call of SQLite"]
async fn a_fault_at_any_call_of_the_disk_changes_nothing() {
    torture(false, 7, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a run for every seventh call of PostgreSQL"]
async fn a_fault_at_any_call_on_the_wire_changes_nothing() {
    torture(true, 7, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "torture: two runs for every call of SQLite"]
async fn torture_every_call_of_the_disk() {
    torture(false, 1, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "torture: two runs for every call of PostgreSQL"]
async fn torture_every_call_on_the_wire() {
    torture(true, 1, 2).await;
}
