//! What a team is handed to run the program by: scripts.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::Postgres;

use crate::backup::{folders, shop};
use crate::tiki::{Done, Tiki};

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(project(name)).expect("a file of the project")
}

/// Runs a script from a folder that has nothing to do with it, with the settings of this home.
fn script(tiki: &Tiki, name: &str, way: (&str, &str), arguments: &[&str]) -> Done {
    let program = tiki.command(&[]);
    let mut command = Command::new(project("scripts").join(name));
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let ran = command
        .env("TIKI_DATA_DIR", tiki.path("data"))
        .env(way.0, way.1)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .output();
    ran.expect("the script").into()
}

#[test]
fn the_scripts_are_calls_of_the_program() {
    let shop = shop("60");
    let database = Postgres::shared().fresh_database();
    let tiki = shop.home().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["run"]);
    let own = ("TIKI", env!("CARGO_BIN_EXE_tiki"));
    let made = script(&tiki, "backup-postgres.sh", own, &["--json"]);
    assert_eq!(made.code, 0, "{made:#?}");
    assert!(made.out.contains("\"verified_at\":\"20"), "{made:#?}");
    let [id] = folders(&tiki, "postgres").try_into().expect("one backup");
    let health = script(&tiki, "health_check.sh", own, &[]);
    assert!(
        health.code == 0 && health.out.contains("warehouse"),
        "{health:#?}"
    );
    let nameless = script(&tiki, "restore-postgres.sh", own, &[]);
    assert!(
        nameless.code == 2 && nameless.err.contains("<ID>"),
        "{nameless:#?}"
    );
    let unforced = script(&tiki, "restore-postgres.sh", own, &[&id]);
    assert!(
        unforced.code == 2 && unforced.err.contains("--force"),
        "{unforced:#?}"
    );
    let restored = script(&tiki, "restore-postgres.sh", own, &[&id, "--force"]);
    assert!(
        restored.code == 0 && restored.out.contains(&id),
        "{restored:#?}"
    );
    // What the program ends with the script ends with.
    let gone = format!("postgres://a@127.0.0.1:{}/b", testkit::free_port());
    let tiki = tiki.with("TIKI_DATABASE_URL", &gone);
    assert_eq!(script(&tiki, "health_check.sh", own, &[]).code, 30);
}

#[test]
fn without_another_way_the_scripts_ask_the_stack() {
    let tiki = Tiki::new();
    // Says what it was asked to do and where.
    tiki.write("docker", "#!/bin/sh\necho \"$(pwd)|$*\"\nexit 7\n");
    let docker = tiki.path("docker");
    let may_run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(docker, may_run).expect("its rights");
    let path = format!("{}:/usr/bin:/bin", tiki.folder().display());
    let folder = project("").canonicalize().expect("the project");
    for (name, asked) in [
        (
            "backup-postgres",
            "exec -T airflow-worker tiki backup create --verify",
        ),
        (
            "restore-postgres",
            "run --rm -T airflow-worker tiki backup restore",
        ),
        ("health_check", "exec -T airflow-worker tiki health"),
    ] {
        let done = script(&tiki, &format!("{name}.sh"), ("PATH", &path), &["a b", "c"]);
        assert_eq!(done.code, 7, "{done:#?}");
        let line = format!("{}|compose {asked} a b c\n", folder.display());
        assert_eq!(done.out, line);
        // Its twin says the same.
        let twin = read(&format!("scripts/{name}.ps1"));
        assert!(
            twin.contains(&format!("docker compose {asked} @args")),
            "{twin}"
        );
    }
    assert!(read("docker-compose.yml").contains("\n  airflow-worker:\n"));
}
