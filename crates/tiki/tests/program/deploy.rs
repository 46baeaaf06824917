//! What a team is handed to run the program by: scripts, units of systemd, roles of PostgreSQL.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use testkit::{ChildGuard, Postgres};

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
    // Nor does a newer program's warehouse keep it from its place: that is the way back from an upgrade.
    let newer = "INSERT INTO schema_migrations VALUES ('9999_of_tomorrow', 'x', now())";
    let mut session = Postgres::shared().beside(&database, newer);
    assert!(session.child().wait().expect("psql").success());
    tiki.ends(2, &["migrate"]);
    let back = script(&tiki, "restore-postgres.sh", own, &[&id, "--force"]);
    assert_eq!(back.code, 0, "{back:#?}");
    tiki.ends(0, &["migrate"]);
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
            "run --rm --no-deps -T airflow-worker tiki backup restore",
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

/// The words of a key of the unit.
fn unit(key: &str) -> Vec<String> {
    let text = read("deploy/systemd/tiki.service");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

#[test]
fn systemd_takes_the_unit_and_finds_it_closed() {
    let tiki = Tiki::new();
    let program = env!("CARGO_BIN_EXE_tiki");
    let text = read("deploy/systemd/tiki.service").replace("/usr/local/bin/tiki", program);
    tiki.write("tiki.service", &text);
    let file = tiki.path("tiki.service");
    // The exposure is a number from 0 to 100; 20 is what it calls OK.
    let security = ["security", "--offline=yes", "--threshold=20"];
    for arguments in [&["verify"][..], &security] {
        let ran = Command::new("systemd-analyze")
            .args(arguments)
            .arg(&file)
            .output();
        let Output {
            status,
            stdout,
            stderr,
        } = ran.expect("systemd-analyze: `cargo xtask setup` installs it");
        let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        assert!(status.success(), "{said}");
        // A key that it does not know is only told of; of other units of this machine it may tell what it likes.
        let of_ours = |line: &str| arguments == ["verify"] && line.contains("tiki.service");
        assert!(!said.lines().any(of_ours), "{said}");
    }
    // A signal to its runs too would be the second one for them, and cut them off.
    assert_eq!(unit("KillMode"), ["mixed"]);
}

#[test]
fn the_service_begins_by_the_words_of_its_unit_and_ends_with_0() {
    let tiki = Tiki::new();
    let given = read("deploy/systemd/tiki.toml");
    let folder = tiki.path("state");
    let settings = given.replace("/var/lib/tiki", folder.to_str().expect("text"));
    assert_ne!(settings, given);
    tiki.write(
        "tiki.toml",
        &format!("listen = \"127.0.0.1:0\"\n{settings}"),
    );
    let words = unit("ExecStart");
    assert_eq!(words[0], "/usr/local/bin/tiki");
    let own = tiki.path("tiki.toml");
    let arguments: Vec<&str> = words[1..]
        .iter()
        .map(|word| match word.as_str() {
            "/etc/tiki/tiki.toml" => own.to_str().expect("text"),
            other => other,
        })
        .collect();
    let mut command = tiki.command(&arguments);
    // Not in the folder of its settings, as there.
    command
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("the service");
    let mut line = String::new();
    let out = child.child().stdout.take().expect("its output");
    BufReader::new(out)
        .read_line(&mut line)
        .expect("its address");
    let answer = ureq::get(format!("{}/healthz", line.trim()))
        .call()
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    child.signal("TERM").expect("a signal");
    let status = child.child().wait().expect("its end");
    assert_eq!(status.code(), Some(0));
    assert!(
        folder.join("serve").is_dir(),
        "the clock's memory is in the folder of its state"
    );
}

#[test]
fn the_settings_that_are_handed_out_are_settings() {
    let tiki = Tiki::new();
    let text: String = read("deploy/systemd/tiki.toml")
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(set) if set.starts_with(|first: char| first.is_ascii_lowercase()) => {
                format!("{set}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    tiki.write("tiki.toml", &text);
    let shown = tiki.out(&["config", "show"]);
    for name in [
        "TIKI_REDIS_URL",
        "TIKI_ALERT_MAIL_TO",
        "TIKI_USER_AGENT_CONTACT",
    ] {
        let line = shown.lines().find(|line| line.starts_with(name));
        assert!(
            line.is_some_and(|line| line.ends_with("tiki.toml")),
            "{shown}"
        );
    }
    let secret = shown.contains("user:password") || shown.contains("password@");
    assert!(!secret, "{shown}");
}

/// Who may not enter the schema of a filled warehouse is not told that it is empty.
fn a_closed_schema_is_not_empty(tiki: &Tiki, psql: &Path, owner: &str, other: &str) {
    let close = "REVOKE USAGE ON SCHEMA public FROM PUBLIC";
    let ran = Command::new(psql)
        .args(["-X", "-d", owner, "-c", close])
        .output();
    assert!(ran.expect("psql").status.success());
    for arguments in [
        &["runs"] as &[&str],
        &["products", "search", "a"],
        &["health"],
    ] {
        let done = tiki.ends(2, &[arguments, &["--database-url", other]].concat());
        let said = format!("{}{}", done.out, done.err);
        assert!(said.contains("permission denied for schema"), "{said}");
    }
}

#[test]
fn the_role_of_the_program_owns_its_database_and_nothing_else() {
    let server = Postgres::shared();
    let role = format!("tiki_{}", std::process::id());
    let (_, place) = server.admin_url().rsplit_once('@').map_or_else(
        || panic!("a user in {}", server.admin_url()),
        |(user, place)| (user.to_owned(), place.to_owned()),
    );
    let host = place.split('/').next().expect("a host").to_owned();
    let psql = Postgres::find().expect("PostgreSQL").join("psql");
    for _ in 0..2 {
        let ran = Command::new(&psql)
            .args([
                "-X",
                "-q",
                "-d",
                server.admin_url(),
                "-v",
                "ON_ERROR_STOP=1",
            ])
            .args([
                "-v",
                &format!("role={role}"),
                "-v",
                &format!("database={role}_data"),
            ])
            .arg("-f")
            .arg(project("deploy/database.sql"))
            .output();
        let output = ran.expect("psql");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    server.admin(&format!("ALTER ROLE {role} PASSWORD 'its'"));
    server.admin(&format!("CREATE ROLE {role}_other LOGIN PASSWORD 'its'"));
    let database = format!("postgres://{role}:its@{host}/{role}_data");
    let shop = shop("60");
    let tiki = shop.home().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["run"]);
    let made = tiki.json(&["backup", "create", "--verify", "--json"]);
    let id = made["id"].as_str().expect("an id");
    tiki.ends(0, &["backup", "restore", id, "--force"]);
    // Others do not come in, and it makes no others.
    let other = database.replacen(&role, &format!("{role}_other"), 1);
    let done = tiki.ends(30, &["runs", "--database-url", &other]);
    assert!(done.err.contains("permission denied"), "{}", done.err);
    server.admin(&format!(
        "GRANT CONNECT ON DATABASE {role}_data TO {role}_other"
    ));
    a_closed_schema_is_not_empty(&tiki, &psql, &database, &other);
    let ran = Command::new(&psql)
        .args([
            "-X",
            "-d",
            &database,
            "-c",
            &format!("CREATE ROLE {role}_more"),
        ])
        .output();
    let said = ran.expect("psql").stderr;
    assert!(String::from_utf8_lossy(&said).contains("permission denied"));
    server.admin(&format!("DROP DATABASE {role}_data"));
    server.admin(&format!("DROP ROLE {role}"));
    server.admin(&format!("DROP ROLE {role}_other"));
}
