use super::*;
use crate::Step;
use crate::preflight::airflow::*;

fn answered(change: impl FnOnce(&mut Answered)) -> Airflow {
    let healthy = |part: &&str| ((*part).to_owned(), Some("healthy".to_owned()));
    let mut answered = Answered {
        parts: PARTS.iter().map(healthy).collect(),
        inside: Ok(Inside {
            dag: Ok(Some(false)),
            tasks: Ok(Step::ALL
                .iter()
                .map(|step| step.task_id().to_owned())
                .collect()),
            rollback: Ok(Some(true)),
            backup: Ok(Some(false)),
            import_errors: Ok(Vec::new()),
            variables: Ok(vec![("tiki_rate_limit", "0.5".into(), None)]),
        }),
    };
    change(&mut answered);
    Airflow::Answered(Box::new(answered))
}

fn inside(change: impl FnOnce(&mut Inside)) -> Airflow {
    answered(|answered| {
        if let Ok(inside) = &mut answered.inside {
            change(inside);
        }
    })
}

fn locked() -> Airflow {
    answered(|answered| answered.inside = Err("wrong name or password".into()))
}

fn silent() -> Airflow {
    Airflow::Silent("refused".into())
}

/// Every line that Airflow is asked for.
fn all(seen: &Airflow) -> Vec<Check> {
    let mut checks = vec![services(seen), tasks(seen), paused(seen)];
    checks.extend(web(seen));
    checks.extend(variables(seen));
    checks.extend(rollback(seen));
    checks.extend(backup_schedule(seen));
    checks
}

#[test]
fn an_airflow_is_well_silent_locked_or_not_there() {
    for check in all(&answered(|_| {})) {
        assert_state(&check, Fine, "well");
    }
    for check in all(&Airflow::Absent) {
        assert_state(&check, Skipped, "not there");
    }
    for (seen, failed) in [
        (silent(), ["airflow-services", "airflow-login"].as_slice()),
        (locked(), &["airflow-login"]),
    ] {
        for check in all(&seen) {
            let expected = match check.name {
                name if failed.contains(&name) => Failed,
                "airflow-services" => Fine,
                _ => Skipped,
            };
            assert_state(&check, expected, &format!("{seen:?}"));
        }
        assert_eq!(rollback(&seen), None, "the folder tells");
        assert_eq!(backup_schedule(&seen), None, "the settings tell");
    }
}

#[test]
fn what_airflow_tells_is_right_or_failed() {
    let no = || Err("/x answered 403".to_owned());
    let gone = |part: usize| answered(|it| it.parts[part].1 = None);
    let missing = |it: &mut Inside| it.tasks = Ok(vec!["crawl_categories".into()]);
    let wrong = |it: &mut Inside| {
        it.variables = Ok(vec![(
            "tiki_rate_limit",
            "fast".into(),
            Some("is no".into()),
        )]);
    };
    for (name, seen, expected) in [
        ("airflow-services", gone(0), Failed),
        ("airflow-services", gone(1), Failed),
        ("airflow-services", gone(2), Failed),
        ("airflow-services", answered(|it| it.parts.clear()), Failed),
        ("dag-visible", inside(|it| it.dag = Ok(None)), Failed),
        ("dag-visible", inside(|it| it.dag = no()), Failed),
        ("dag-paused", inside(|it| it.dag = Ok(Some(true))), Warning),
        ("dag-paused", inside(|it| it.dag = Ok(None)), Failed),
        ("dag-paused", inside(|it| it.dag = no()), Failed),
        ("dag-tasks", inside(missing), Failed),
        (
            "dag-tasks",
            inside(|it| it.tasks = Err("403".into())),
            Failed,
        ),
        (
            "import-errors",
            inside(|it| it.import_errors = Ok(vec!["a.py".into()])),
            Failed,
        ),
        (
            "import-errors",
            inside(|it| it.import_errors = Err("403".into())),
            Failed,
        ),
        ("tiki_rate_limit", inside(wrong), Failed),
        (
            "tiki_data_dir",
            inside(|it| it.variables = Ok(Vec::new())),
            Fine,
        ),
        (
            "variables",
            inside(|it| it.variables = Err("403".into())),
            Failed,
        ),
        ("rollback-dag", inside(|it| it.rollback = Ok(None)), Failed),
        ("rollback-dag", inside(|it| it.rollback = no()), Failed),
        (
            "backup-schedule",
            inside(|it| it.backup = Ok(Some(true))),
            Warning,
        ),
        (
            "backup-schedule",
            inside(|it| it.backup = Ok(None)),
            Warning,
        ),
        ("backup-schedule", inside(|it| it.backup = no()), Failed),
    ] {
        assert_state(line(&all(&seen), name), expected, &format!("{seen:?}"));
    }
}

#[test]
fn the_variables_are_those_of_the_dags() {
    let text = include_str!("../../../../../airflow/dags/tiki_pipeline/steps.py");
    let (_, rest) = text.split_once("\nVARIABLES = (").expect("the Variables");
    let (table, _) = rest.split_once("\n)").expect("their end");
    let named: Vec<&str> = table.split('"').skip(1).step_by(2).collect();
    assert_eq!(named, VARIABLES);
}
