use catalog::Instant as At;
use warehouse::GoodRun;

use super::*;

const HOUR: i64 = 3_600_000;

fn asked() -> Asked {
    Asked {
        address: "sqlite:/d/tiki.db".into(),
        origin: "https://tiki.vn".into(),
        redis_url: None,
        folders: Vec::new(),
        clock: Clock::System,
        patience: Duration::from_millis(50),
    }
}

/// Nothing is wrong.
fn well() -> Facts {
    let time = At::from_millis(1_800_000_000_000);
    Facts {
        warehouse: Seen::Answered(Box::new(Answered {
            took: Duration::from_millis(3),
            probe: Probe {
                time,
                schema: SchemaState::Current("0006".into()),
                last_good: Some(GoodRun {
                    id: "cli-1".into(),
                    crawled_at: time.plus_millis(-36 * HOUR),
                }),
            },
            ahead_millis: Some(0),
            pace: Some((Pace::default(), 1)),
        })),
        redis: Some(Ok(Duration::from_millis(1))),
        free: Ok(1000 << 20),
    }
}

fn judged(facts: &Facts) -> Health {
    let limits = Limits {
        run_age: Duration::from_hours(36),
        free_bytes: 1000 << 20,
    };
    judge(facts, &asked(), &limits, |_| Some("ask an operator".into()))
}

/// Well but for the warehouse's answer.
fn with(change: impl FnOnce(&mut Answered)) -> Facts {
    let mut facts = well();
    if let Seen::Answered(answered) = &mut facts.warehouse {
        change(answered);
    }
    facts
}

fn open_breaker() -> Pace {
    let mut pace = Pace::default();
    pace.trip(Duration::from_secs(30), false, 1_000_000);
    pace
}

#[test]
fn what_is_well_is_ok_up_to_the_limits_themselves() {
    let health = judged(&well());
    let states: Vec<_> = health.checks.iter().map(|check| check.state).collect();
    assert_eq!(states, [State::Ok; 7], "{health:#?}");
    assert_eq!(health.exit(), Exit::Done);
    assert!(health.checks.iter().all(|check| check.help.is_none()));
}

type Case = (&'static str, Facts, State, u8);

fn of(seen: Seen) -> Facts {
    Facts {
        warehouse: seen,
        ..well()
    }
}

/// A line, what is seen, how the line is, and the exit code.
fn about_the_warehouse() -> Vec<Case> {
    use State::{Failed, Ok as Fine, Skipped, Warning};
    let lost = || of(Seen::Failed(warehouse::Error::Unreachable("gone".into())));
    let damaged = of(Seen::Failed(warehouse::Error::Damaged("x".into())));
    let schema = |state| with(|seen| seen.probe.schema = state);
    let older = schema(SchemaState::Older("0005".into()));
    let foreign = schema(SchemaState::Foreign("newer".into()));
    let ahead = |millis| with(|seen| seen.ahead_millis = millis);
    vec![
        ("warehouse", of(Seen::Absent), Warning, 0),
        ("schema", of(Seen::Absent), Skipped, 0),
        ("warehouse", lost(), Failed, 30),
        ("clock", lost(), Skipped, 30),
        ("pace", lost(), Skipped, 30),
        ("warehouse", damaged, Failed, 1),
        ("schema", schema(SchemaState::Absent), Warning, 0),
        ("last-run", schema(SchemaState::Absent), Skipped, 0),
        ("schema", older, Failed, 2),
        ("schema", foreign, Failed, 2),
        ("clock", ahead(Some(300_000)), Fine, 0),
        ("clock", ahead(Some(300_001)), Failed, 2),
        ("clock", ahead(Some(-300_001)), Failed, 2),
        ("clock", ahead(None), Skipped, 0),
    ]
}

fn about_the_rest() -> Vec<Case> {
    use State::{Failed, Ok as Fine, Skipped, Warning};
    let redis = |redis| Facts { redis, ..well() };
    let free = |free| Facts { free, ..well() };
    let pace = |now| with(|seen| seen.pace = Some((open_breaker(), now)));
    let never = with(|seen| seen.probe.last_good = None);
    let old = with(|seen| seen.probe.time = seen.probe.time.plus_millis(1));
    vec![
        ("redis", redis(None), Skipped, 0),
        ("redis", redis(Some(Err("gone".into()))), Failed, 30),
        ("disk", free(Ok((1000 << 20) - 1)), Failed, 1),
        ("disk", free(Err("no such folder".into())), Failed, 1),
        ("last-run", never, Warning, 0),
        ("last-run", old, Warning, 0),
        ("pace", pace(2_000_000), Warning, 0),
        ("pace", pace(31_000_001), Fine, 0),
    ]
}

#[test]
fn each_fact_has_its_line_its_state_and_its_exit_code() {
    for (name, facts, state, code) in about_the_warehouse().into_iter().chain(about_the_rest()) {
        let health = judged(&facts);
        let check = health.checks.iter().find(|check| check.name == name);
        let check = check.expect(name);
        assert_eq!(check.state, state, "{check:#?}");
        assert_eq!(health.exit().code(), code, "{health:#?}");
        let to_do = matches!(state, State::Failed | State::Warning);
        assert_eq!(check.help.is_some(), to_do, "{check:#?}");
    }
}

#[test]
fn the_first_line_that_failed_decides_the_exit_code() {
    let mut facts = with(|seen| seen.ahead_millis = Some(HOUR));
    facts.free = Ok(0);
    assert_eq!(judged(&facts).exit(), Exit::Usage);
}

#[tokio::test]
async fn a_warehouse_that_never_answers_is_given_up() {
    let facts = look(std::future::pending(), &asked()).await;
    let health = judged(&facts);
    assert_eq!(health.exit(), Exit::Warehouse);
    assert!(
        health.checks[0].seen.contains("no answer in 50ms"),
        "{health:#?}"
    );
}

#[test]
fn a_time_is_said_in_words() {
    for (millis, said) in [
        (999, "999 ms"),
        (1_000, "1 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (36 * 3_600_000, "36 h"),
        (172_800_000, "2 days"),
    ] {
        assert_eq!(words(Duration::from_millis(millis)), said);
    }
}
