//! A container of each kind is killed and comes back; a full cache leaves the broker alone.

use std::fs;
use std::process::Command;

use crate::checks::Checks;
use crate::docker::finish;
use crate::stack::{SERVICES, Stack};

/// `kill -9` of the first process: `docker kill` would be taken for a wish that it stay down.
pub(crate) fn check(stack: &Stack, checks: &mut Checks) {
    for service in SERVICES {
        let before = stack.container(service);
        finish(Command::new("kill").args(["-s", "KILL", &before.process.to_string()]));
        let mut after = stack.container(service);
        Stack::wait(&format!("{service} to come back"), || {
            after = stack.container(service);
            after.restarts > before.restarts && after.health == "healthy"
        });
        let same = after.id == before.id && after.process != before.process;
        checks.holds(
            &format!("{service} is killed and back"),
            same,
            after.restarts,
        );
    }
    stack.wait_healthy();
    checks.holds("all are healthy again", true, "");
    // It went with the worker.
    stack.open_shop();
}

/// Pages fill Redis beyond its limit, and jobs of the broker are there still and are taken.
pub(crate) fn full_cache(stack: &Stack, checks: &mut Checks) {
    let redis = |words: &[&str]| stack.exec("redis", &[&["redis-cli"], words].concat());
    redis(&["RPUSH", "a-queue", "a-job"]);
    // In pieces: room is made before a script, not while it runs.
    for piece in 0..12 {
        let fill = "local page = string.rep('x', 100000) \
                    for i = 1, 500 do redis.call('SETEX', ARGV[1] .. i, 3600, page) end";
        redis(&["-n", "1", "EVAL", fill, "0", &format!("page:{piece}:")]);
    }
    let evicted = redis(&["INFO", "stats"]);
    let evicted = evicted
        .lines()
        .find_map(|line| line.strip_prefix("evicted_keys:"));
    let evicted: i64 = evicted
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    checks.holds("pages make room", evicted > 0, evicted);
    let said = redis(&["RPUSH", "a-queue", "another-job"]);
    checks.equal("a job is taken and none was lost", said, "2".to_owned());
    redis(&["DEL", "a-queue"]);
    redis(&["-n", "1", "FLUSHDB"]);
}

/// Whose processes they are, where they listen, how much memory they may have.
pub(crate) fn bounds(stack: &Stack, checks: &mut Checks) {
    for service in SERVICES {
        let seen = stack.container(service);
        let status =
            fs::read_to_string(format!("/proc/{}/status", seen.process)).expect("a process");
        let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let user = user
            .and_then(|ids| ids.split_whitespace().next())
            .unwrap_or_default()
            .to_owned();
        checks.holds(
            &format!("{service} is not root"),
            user != "0" && !user.is_empty(),
            user,
        );
        let ports = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}";
        let ports = stack.docker.run(&["inspect", "--format", ports, &seen.id]);
        let inside = ports
            .split_whitespace()
            .all(|address| address == "127.0.0.1");
        checks.holds(
            &format!("{service} listens on loopback only"),
            inside,
            ports,
        );
        let memory = stack
            .docker
            .run(&["inspect", "--format", "{{.HostConfig.Memory}}", &seen.id]);
        checks.holds(
            &format!("{service} has a limit of memory"),
            memory != "0",
            memory,
        );
    }
    let stats = stack.docker.run(&[
        "stats",
        "--no-stream",
        "--format",
        "{{.Name}} {{.MemUsage}}",
    ]);
    for line in stats.lines() {
        checks.say(line);
    }
}

/// No secret of `.env` stands in a log or a command line.
pub(crate) fn secrets(stack: &Stack, checks: &mut Checks) {
    let names = [
        "POSTGRES_PASSWORD",
        "AIRFLOW_DB_PASSWORD",
        "WAREHOUSE_DB_PASSWORD",
        "_AIRFLOW_WWW_USER_PASSWORD",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
    ];
    let (_, mut seen) = stack.compose(&["logs", "--no-color"]);
    let mut folders = vec![stack.folder.join("airflow/logs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("logs").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if let Ok(text) = fs::read(&path) {
                seen.push_str(&String::from_utf8_lossy(&text));
            }
        }
    }
    for service in SERVICES {
        let id = stack.container(service).id;
        seen.push_str(&stack.docker.run(&["top", &id, "-o", "pid,args"]));
    }
    for name in names {
        let secret = stack.env(name);
        let kept = secret.len() >= 24 && !seen.contains(&secret);
        checks.holds(
            &format!("{name} stands in no log and no command line"),
            kept,
            seen.len(),
        );
    }
}
