use serde_json::json;

use super::*;
use crate::sources::Answer;

fn sources() -> Sources {
    fn never<T: Send + 'static>() -> Answer<T> {
        Box::pin(std::future::pending())
    }
    Sources {
        health: Box::new(|()| never()),
        runs: Box::new(|_| never()),
        run: Box::new(|_| never()),
        metrics: Box::new(|()| never()),
        planned: Box::new(|| {
            let at_work = Planned {
                what: "run",
                when: When::AtWork {
                    since: Timestamp::UNIX_EPOCH,
                },
                schedule: Some("<cron>".into()),
                note: Some("<note>".into()),
            };
            vec![at_work, Planned::off("backup")]
        }),
        address: "sqlite:/data/<i>tiki</i>.db".into(),
        zone: TimeZone::get("Asia/Ho_Chi_Minh").expect("a zone"),
        version: "1.2.3",
    }
}

fn health(lines: &[(LineState, &str)]) -> Health {
    let line = |(state, seen): &(LineState, &str)| Line {
        name: "disk".into(),
        state: *state,
        seen: (*seen).to_owned(),
        limit: Some("1 GB".into()),
        help: Some("free <some> room".into()),
    };
    Health {
        is_ready: true,
        json: json!({}),
        lines: lines.iter().map(line).collect(),
    }
}

fn listed(change: impl FnOnce(&mut Run)) -> Listed {
    let began = catalog::Instant::from_millis(1_796_000_000_000);
    let mut run = Run {
        id: "cli-1".into(),
        number: 1,
        owner: "cli".into(),
        state: RunState::Done,
        scope: "{}".into(),
        scope_key: String::new(),
        clock_at: began,
        created_at: began,
        finished_at: Some(began.plus_millis(3_723_000)),
        exit_code: Some(0),
        totals: Some(
            json!({ "products": { "new": 3, "changed": 0, "unchanged": 5, "gone": 0, "rejected": 2 } })
                .to_string(),
        ),
        last_commit_at: began,
        leased: false,
        drift: None,
    };
    change(&mut run);
    Listed {
        run,
        end: None,
        json: Value::Null,
    }
}

fn shown(health: &Health, runs: Result<&[Listed], &Trouble>) -> String {
    let now = Timestamp::from_second(1_796_000_060).expect("a time");
    overview(&sources(), health, runs, now).into_string()
}

#[test]
fn every_text_from_elsewhere_is_escaped() {
    let attack = "<script>alert(1)</script>\"'&";
    let run = listed(|run| {
        run.id = attack.into();
        run.owner = attack.into();
    });
    let run = Listed {
        end: Some("<b>"),
        ..run
    };
    let trouble = Trouble {
        what: attack.into(),
        help: Some(attack.into()),
    };
    let health = health(&[(LineState::Failed, attack)]);
    for page in [shown(&health, Ok(&[run])), shown(&health, Err(&trouble))] {
        for raw in [
            "<script", "<some>", "<i>tiki", "<b>", "<cron>", "<note>", "\"'&\"",
        ] {
            assert!(!page.contains(raw), "{raw} in {page}");
        }
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
}

#[test]
fn a_run_is_told_in_words_and_in_times_of_the_zone() {
    let page = shown(&health(&[]), Ok(&[listed(|_| ())]));
    for said in [
        "2026-11-30 07:53:20",
        "1 h 2 min",
        "3 new, 0 changed, 5 unchanged, 2 rejected",
        "Asia/Ho_Chi_Minh",
        ">done<",
        "at work since 1970-01-01 08:00:00",
    ] {
        assert!(page.contains(said), "{said:?} in {page}");
    }
}

#[test]
fn the_state_of_a_run_is_said_in_words() {
    type Change = fn(&mut Run);
    let open: Change = |run| {
        run.state = RunState::Open;
        run.finished_at = None;
    };
    let at_work: Change = |run| {
        run.state = RunState::Open;
        run.finished_at = None;
        run.leased = true;
    };
    let cases: [(Change, &str); 5] = [
        (open, "unfinished"),
        // A minute later by the clock.
        (at_work, "1 min 0 s"),
        (|run| run.exit_code = Some(10), "done, not all well"),
        (|run| run.state = RunState::Abandoned, "abandoned"),
        (|run| run.state = RunState::Held, "held by the drift gate"),
    ];
    for (change, said) in cases {
        let page = shown(&health(&[]), Ok(&[listed(change)]));
        assert!(page.contains(said), "{said:?} in {page}");
    }
}

#[test]
fn what_is_empty_or_away_is_said() {
    let page = shown(&health(&[]), Ok(&[]));
    assert!(page.contains("There are no runs yet."), "{page}");
    let trouble = Trouble {
        what: "cannot reach the warehouse".into(),
        help: None,
    };
    let page = shown(&health(&[]), Err(&trouble));
    assert!(page.contains("cannot reach the warehouse"), "{page}");
}

#[test]
fn the_verdict_counts_what_is_not_well() {
    use LineState::{Failed, Ok as Fine, Skipped, Warning};
    for (states, said) in [
        (&[Fine, Skipped] as &[LineState], "all is well"),
        (&[Fine, Warning], "works, with a warning"),
        (&[Warning, Warning], "works, with 2 warnings"),
        (&[Failed, Warning], "something failed"),
        (&[Failed, Failed], "2 things failed"),
    ] {
        let lines: Vec<_> = states.iter().map(|state| (*state, "x")).collect();
        let page = shown(&health(&lines), Ok(&[]));
        assert!(page.contains(said), "{said:?} in {page}");
    }
}
