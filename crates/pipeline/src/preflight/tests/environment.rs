use super::*;
use crate::preflight::environment::*;
use crate::preflight::figures::Busy;

fn well() -> Environment {
    Environment {
        memory: Some(LEAST_MEMORY),
        free: Ok(LEAST_FREE),
        docker: Some(Ok("20.10.0\n".into())),
        compose: Some(Ok("2.29.1\n".into())),
        python: Some(Ok("Python 3.10.0\n".into())),
    }
}

fn with(change: impl FnOnce(&mut Environment)) -> Environment {
    let mut facts = well();
    change(&mut facts);
    facts
}

/// Nothing of Docker and Airflow lies in the folder.
fn alone(change: impl FnOnce(&mut Environment)) -> Environment {
    with(|facts| {
        (facts.docker, facts.compose, facts.python) = (None, None, None);
        change(facts);
    })
}

#[test]
fn the_machine_is_compared_with_the_limits_themselves() {
    let said = |text: &str| Some(Ok(text.to_owned()));
    let silent = || Some(Err("it is not installed".to_owned()));
    for (name, facts, expected) in [
        ("memory", well(), Fine),
        (
            "memory",
            with(|f| f.memory = Some(LEAST_MEMORY - 1)),
            Failed,
        ),
        (
            "memory",
            alone(|f| f.memory = Some(LEAST_MEMORY - 1)),
            Warning,
        ),
        ("memory", with(|f| f.memory = None), Skipped),
        ("disk", well(), Fine),
        ("disk", with(|f| f.free = Ok(LEAST_FREE - 1)), Failed),
        ("disk", alone(|f| f.free = Ok(LEAST_FREE - 1)), Warning),
        ("disk", with(|f| f.free = Err("gone".into())), Failed),
        ("docker", well(), Fine),
        ("docker", with(|f| f.docker = said("20.9.9")), Failed),
        ("docker", with(|f| f.docker = said("unknown")), Failed),
        ("docker", with(|f| f.docker = silent()), Failed),
        ("docker", alone(|_| {}), Skipped),
        ("compose", well(), Fine),
        ("compose", with(|f| f.compose = said("1.29.2")), Fine),
        ("compose", with(|f| f.compose = said("1.28.6")), Failed),
        ("compose", with(|f| f.compose = silent()), Failed),
        ("compose", alone(|_| {}), Skipped),
        ("python", well(), Fine),
        (
            "python",
            with(|f| f.python = said("Python 3.9.18")),
            Warning,
        ),
        ("python", with(|f| f.python = silent()), Warning),
        ("python", alone(|_| {}), Skipped),
    ] {
        assert_state(
            line(&environment(&facts), name),
            expected,
            &format!("{facts:?}"),
        );
    }
}

#[test]
fn a_busy_machine_is_a_warning() {
    let seen = |cpu, memory| {
        let busy_so = Busy {
            cpu,
            memory,
            cpus: 2,
            memory_available: 1 << 30,
        };
        busy(Some(&busy_so))
    };
    for (name, checks, expected) in [
        ("cpu", seen(79.9, 0.0), Fine),
        ("cpu", seen(MOST_BUSY, 0.0), Warning),
        ("memory-used", seen(0.0, 79.9), Fine),
        ("memory-used", seen(0.0, MOST_BUSY), Warning),
        ("cpu", busy(None), Skipped),
        ("memory-used", busy(None), Skipped),
    ] {
        assert_state(line(&checks, name), expected, name);
    }
}

fn all_up() -> Vec<Service> {
    let up = |name: &&str| Service {
        service: (*name).into(),
        state: "running".into(),
        health: "healthy".into(),
        exit_code: 0,
    };
    SERVICES.iter().map(up).collect()
}

#[test]
fn every_container_runs_and_is_healthy() {
    let changed = |change: fn(&mut Vec<Service>)| {
        let mut all = all_up();
        change(&mut all);
        Some(Ok(all))
    };
    let twice = |all: &mut Vec<Service>| {
        let mut second = all[3].clone();
        second.health = "unhealthy".into();
        all.push(second);
    };
    for (seen, expected) in [
        (Some(Ok(all_up())), Fine),
        (changed(|all| all[0].health.clear()), Fine),
        (changed(|all| all[0].health = "starting".into()), Failed),
        (changed(|all| all[0].state = "exited".into()), Failed),
        (changed(|all| drop(all.pop())), Failed),
        (changed(twice), Failed),
        (Some(Ok(Vec::new())), Failed),
        (Some(Err("no".into())), Skipped),
        (None, Skipped),
    ] {
        assert_state(&services(seen.as_ref()), expected, &format!("{seen:?}"));
    }
}

#[test]
fn containers_are_read_as_both_forms_of_compose_tell_them() {
    let one = r#"{"Service":"redis","State":"exited","Health":"","ExitCode":137,"Name":"x"}"#;
    let read = services_in(&format!("[{one}]")).expect("an array");
    assert_eq!(
        (read[0].service.as_str(), read[0].exit_code),
        ("redis", 137)
    );
    assert_eq!(
        services_in(&format!("{one}\n{one}\n"))
            .expect("lines")
            .len(),
        2
    );
    assert_eq!(services_in("[]"), Ok(Vec::new()));
    assert_eq!(services_in(""), Ok(Vec::new()));
    assert!(services_in("NAME STATE").is_err());
}

#[test]
fn logs_need_a_folder_that_can_be_written() {
    assert_state(&log_folder(Some(&Ok(()))), Fine, "writable");
    assert_state(&log_folder(Some(&Err("no".into()))), Failed, "not");
    assert_state(&log_folder(None), Skipped, "no Docker");
}
