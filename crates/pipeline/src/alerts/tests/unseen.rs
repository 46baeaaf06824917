//! What no step can tell of: commands that fail before one, and what somebody sees who looks.

use warehouse::{Run, RunState, StepRow};

use super::{at, run};
use crate::alerts::Rules;
use crate::alerts::judge::{Command, Failed, command_failed, failed};
use crate::alerts::watch::{away, crowded, stale, stalled};
use crate::{Exit, Step};

#[test]
fn a_command_that_no_step_could_tell_of_is_told_by_its_end() {
    let rules = Rules::default();
    let command = Command {
        words: "step load-products",
        owner: "airflow:d",
        run: Some("r1"),
        exit: Some(Exit::Warehouse),
        seen: "no connection",
    };
    let told = command_failed(&command, &rules).expect("an alert");
    assert_eq!(
        (told.kind.as_str(), told.severity.as_str()),
        ("exit-30", "critical")
    );
    // The key of a step's own alert of the same end: it is one trouble.
    let steps = Failed {
        run: &Run {
            owner: "airflow:d".into(),
            ..run()
        },
        step: Step::LoadProducts,
        exit: Exit::Warehouse,
        seen: "no connection",
    };
    let by_step = rules.alert(failed(&steps, &rules).expect("a notice"));
    assert_eq!(told.key, by_step.key);
    assert!(told.title.contains("run r1 (airflow:d)"), "{}", told.title);
    assert!(told.title.contains("ended with 30"), "{}", told.title);
    let killed = Command {
        exit: None,
        run: None,
        ..command
    };
    let told = command_failed(&killed, &rules).expect("an alert");
    assert_eq!(told.kind, "killed");
    assert!(told.title.contains("was killed"), "{}", told.title);
    let interrupted = Command {
        exit: Some(Exit::Interrupted),
        ..command
    };
    assert!(command_failed(&interrupted, &rules).is_none());
    let backup = |exit| Command {
        words: "backup create",
        owner: "",
        run: None,
        exit: Some(exit),
        seen: "full",
    };
    for exit in [Exit::Machine, Exit::Warehouse] {
        let told = command_failed(&backup(exit), &rules).expect("an alert");
        assert_eq!(
            (told.kind.as_str(), told.key.as_str()),
            ("backup", "backup/")
        );
    }
    let cleanup = Command {
        words: "cleanup",
        ..backup(Exit::Machine)
    };
    let told = command_failed(&cleanup, &rules).expect("an alert");
    assert_eq!(told.kind, "cleanup");
    assert!(told.title.starts_with("a clean-up:"), "{}", told.title);
    let silent = Rules {
        tells: false,
        ..Rules::default()
    };
    assert!(command_failed(&command, &silent).is_none());
}

fn step_row(closed: bool, exit_code: Option<i64>) -> StepRow {
    StepRow {
        step: "load-products".into(),
        closed,
        attempt: 1,
        exit_code,
        report: None,
        error: None,
        planned_to: None,
        started_at: at(0),
        finished_at: None,
    }
}

#[test]
fn a_run_that_hangs_or_was_killed_is_told_by_who_sees_it() {
    let rules = Rules::default();
    let hung = run();
    let idle = Run {
        leased: false,
        ..run()
    };
    let open = [step_row(true, Some(0)), step_row(false, None)];
    let later = at(1);
    let told = stalled(&hung, &open, later, &rules).expect("a notice");
    assert!(told.title.contains("gets nowhere"), "{}", told.title);
    assert_eq!(told.details.lines[1], "at step load-products");
    assert_eq!(told.details.command, "tiki runs show r1");
    let told = stalled(&idle, &open, later, &rules).expect("a notice");
    assert!(told.title.contains("was killed"), "{}", told.title);
    assert!(
        stalled(&idle, &[step_row(true, Some(0))], later, &rules).is_some(),
        "between steps"
    );
    for (what, run, steps, now) in [
        ("not for long", &hung, &open, later.plus_millis(-1)),
        (
            "held",
            &Run {
                state: RunState::Held,
                ..run()
            },
            &open,
            at(90),
        ),
        (
            "ended",
            &Run {
                state: RunState::Done,
                ..run()
            },
            &open,
            at(90),
        ),
        (
            "its failure was told",
            &idle,
            &[step_row(true, Some(0)), step_row(false, Some(20))],
            at(90),
        ),
    ] {
        assert_eq!(stalled(run, steps, now, &rules), None, "{what}");
    }
    let other = Run {
        id: "r2".into(),
        ..run()
    };
    let keys = [&hung, &other].map(|run| {
        let notice = stalled(run, &open, later, &rules);
        rules.alert(notice.expect("a notice")).key
    });
    assert_ne!(keys[0], keys[1], "another run is another trouble");
}

#[test]
fn runs_that_do_not_come_a_full_disk_and_a_warehouse_that_is_away_are_told() {
    let rules = Rules::default();
    assert_eq!(stale("r1", at(0), at(36), &rules), None);
    let told = stale("r1", at(0), at(37), &rules).expect("a notice");
    assert_eq!(told.title, "no run has ended well for 37 h");
    assert!(told.details.lines[0].contains("r1"), "{told:?}");
    assert_eq!(crowded(rules.free_bytes, &rules), None);
    let told = crowded(rules.free_bytes - 1, &rules).expect("a notice");
    assert!(told.title.contains("(limit 1000)"), "{}", told.title);
    let told = away("no answer", at(0), &rules).expect("an alert");
    assert_eq!(
        (told.kind.as_str(), told.severity.as_str()),
        ("warehouse", "critical")
    );
    let silent = Rules {
        tells: false,
        ..Rules::default()
    };
    assert!(away("no answer", at(0), &silent).is_none());
}

#[test]
fn a_backup_and_a_clean_up_that_were_killed_are_two_troubles() {
    let keys = ["backup create --verify", "cleanup"].map(|words| {
        let killed = Command {
            words,
            owner: "",
            run: None,
            exit: None,
            seen: "",
        };
        command_failed(&killed, &Rules::default())
            .expect("an alert")
            .key
    });
    assert_ne!(keys[0], keys[1]);
}
