//! Secrets are planted in every setting that takes one; they are in nothing that is said, logged or kept, in
//! whatever form.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use crate::tiki::{Done, Shop, Tiki};

/// A secret of a place, with all that a password may hold.
pub(crate) fn planted(place: &str) -> String {
    format!("{place}-p@s/s%w\"é")
}

/// As it stands in an address.
pub(crate) fn encoded(secret: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    secret.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a text");
        }
        out
    })
}

/// Every form in which a text may have it.
fn forms(secret: &str) -> Vec<String> {
    let json = Value::from(secret).to_string();
    let ascii = secret.replace('"', "\\\"").replace('é', "\\u00e9");
    let form_of_a_form = encoded(secret).replace("%20", "+");
    let mut all = vec![
        secret.to_owned(),
        encoded(secret),
        encoded(secret).to_lowercase(),
        form_of_a_form,
        json.trim_matches('"').to_owned(),
        ascii,
        format!("{secret:?}").trim_matches('"').to_owned(),
    ];
    for around in ["", "tiki:", "\0tiki\0"] {
        for text in [secret.to_owned(), encoded(secret)] {
            let whole = format!("{around}{text}");
            all.push(STANDARD.encode(&whole).trim_end_matches('=').to_owned());
            all.push(URL_SAFE.encode(&whole).trim_end_matches('=').to_owned());
        }
    }
    all
}

/// Panics, without repeating the text, if a secret stands in it.
pub(crate) fn assert_nowhere(secrets: &[&str], bytes: &[u8], place: &str) {
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets {
        for form in forms(secret) {
            assert!(!text.contains(&form), "{form} in {place}");
        }
    }
}

/// The same of all files of a folder and below it; how many there are.
pub(crate) fn assert_in_no_file(secrets: &[&str], folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            count += assert_in_no_file(secrets, &path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            assert_nowhere(secrets, &bytes, &path.display().to_string());
            count += 1;
        }
    }
    count
}

const PLACES: [&str; 10] = [
    "database",
    "redis",
    "smtp",
    "webhook",
    "key",
    "slack",
    "discord",
    "airflow",
    "proxy",
    "alert-proxy",
];

/// A home in whose settings they all stand; nobody listens at any of the addresses.
fn home(tiki: Tiki) -> Tiki {
    let in_address = |place: &str| encoded(&planted(place));
    tiki.with(
        "TIKI_REDIS_URL",
        &format!("redis://:{}@127.0.0.1:1/1", in_address("redis")),
    )
    .with(
        "TIKI_ALERT_SMTP_URL",
        &format!(
            "smtp://tiki:{}@127.0.0.1:1?tls=required",
            in_address("smtp")
        ),
    )
    .with("TIKI_ALERT_MAIL_TO", "somebody@example.com")
    .with(
        "TIKI_ALERT_WEBHOOK_URL",
        &format!("http://127.0.0.1:1/{}", in_address("webhook")),
    )
    .with("TIKI_ALERT_WEBHOOK_SECRET", &planted("key"))
    .with(
        "TIKI_ALERT_SLACK_URL",
        &format!("https://127.0.0.1:1/services/{}", in_address("slack")),
    )
    .with(
        "TIKI_ALERT_DISCORD_URL",
        // Nobody looks this name up: it is told through the proxy.
        &format!("https://discord.example/api/{}", in_address("discord")),
    )
    .with(
        "TIKI_PROXY",
        &format!("http://tiki:{}@127.0.0.1:1", in_address("proxy")),
    )
    .with(
        "TIKI_ALERT_PROXY",
        &format!("http://tiki:{}@127.0.0.1:1", in_address("alert-proxy")),
    )
    .with("TIKI_AIRFLOW_URL", "http://127.0.0.1:1")
    .with("TIKI_AIRFLOW_USER", "somebody")
    .with("TIKI_AIRFLOW_PASSWORD", &planted("airflow"))
    .with("TIKI_POOL_WAIT", "1s")
    .with("TIKI_LOG", "trace")
    .with("TIKI_LOG_FILES", "trace")
    .with("RUST_BACKTRACE", "1")
}

/// Runs a command and looks at all that it says.
fn says(tiki: &Tiki, arguments: &[&str]) -> Done {
    let done = tiki.run(arguments);
    let secrets = PLACES.map(planted);
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let place = |what: &str| format!("{what} of {}", arguments.join(" ").replace('@', " at "));
    assert_nowhere(&secrets, done.out.as_bytes(), &place("stdout"));
    assert_nowhere(&secrets, done.err.as_bytes(), &place("stderr"));
    done
}

fn assert_in_no_file_of(tiki: &Tiki) {
    let secrets = PLACES.map(planted);
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let count = assert_in_no_file(&secrets, &tiki.path("data"));
    assert!(count > 0);
    let logs = std::fs::read_dir(tiki.path("data/logs")).expect("the logs");
    assert!(logs.count() > 0);
}

fn database_url() -> String {
    let password = encoded(&planted("database"));
    format!("postgres://tiki:{password}@127.0.0.1:1/crawl_data?password={password}")
}

#[test]
fn no_secret_is_in_anything_that_a_command_says_or_logs_when_nobody_answers() {
    let tiki = home(Tiki::new()).with("TIKI_DATABASE_URL", &database_url());
    let url = database_url();
    for arguments in [
        &["config", "show"] as &[&str],
        &["config", "show", "--json"],
        &["run", "--new"],
        &["step", "crawl-categories", "--run", "r1"],
        &["runs"],
        &["errors"],
        &["health"],
        &["health", "--json"],
        &["products", "search", "x"],
        &["migrate"],
        &["backup", "create"],
        &["alerts", "test"],
        &["alerts", "test", "--json"],
        &[
            "preflight",
            "--section",
            "8",
            "--section",
            "9",
            "--section",
            "10",
            "--json",
        ],
        // What was typed in the wrong place.
        &["run", "--database-url", &url, "--bogus"],
        &["run", "--data-dir", "data", &url],
        &[&url],
        &["runs", "show", &url],
    ] {
        says(&tiki, arguments);
    }
    let shown = says(&tiki, &["config", "show"]).out;
    assert!(
        shown.contains("postgres://***@127.0.0.1:1/crawl_data?password=***"),
        "{shown}"
    );
    assert!(shown.contains("redis://***@127.0.0.1:1/1"), "{shown}");
    assert_eq!(shown.matches("http://***@127.0.0.1:1 ").count(), 2);
    let wrong = tiki.with(
        "TIKI_ALERT_SLACK_URL",
        &format!("http://h/{}", encoded(&planted("slack"))),
    );
    assert_eq!(says(&wrong, &["alerts", "test"]).code, 2);
    assert_in_no_file_of(&wrong);
}

#[test]
fn no_secret_is_in_anything_that_a_run_leaves_behind() {
    let shop = Shop::open(&Tiki::new(), &["--products", "30", "--day", "2026-11-01"]);
    let tiki = home(shop.home());
    assert_eq!(says(&tiki, &["run"]).code, 0);
    let rule = json!({ "route": "any", "when": "always", "what": { "status": { "code": 403 } } });
    let faults = json!({ "rules": [rule] }).to_string();
    shop.control("POST", "faults", &faults);
    assert_eq!(says(&tiki, &["run", "--new"]).code, 20);
    for arguments in [
        &["alerts", "list", "--json"] as &[&str],
        &["alerts"],
        &["errors"],
        &["runs", "show", "--json"],
        &["export", "-", "--table", "alert_deliveries"],
        &["backup", "create", "--verify"],
    ] {
        assert_eq!(says(&tiki, arguments).code, 0, "{arguments:?}");
    }
    assert_in_no_file_of(&tiki);
}

#[test]
fn no_secret_is_handed_to_a_program_that_is_asked() {
    let tiki = home(Tiki::new()).with("TIKI_DATABASE_URL", &database_url());
    let programs = tiki.path("programs");
    std::fs::create_dir(&programs).expect("a folder");
    let told = tiki.path("told");
    for name in ["docker", "git", "python3"] {
        let path = programs.join(name);
        let text = format!(
            "#!/bin/sh\n{{ echo \"$0 $*\"; env | grep TIKI; cat /proc/$PPID/cmdline; }} >> {}\n",
            told.display()
        );
        std::fs::write(&path, text).expect("a program");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("it runs");
    }
    tiki.write("docker-compose.yml", "services: {}\n");
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let tiki = tiki.with("PATH", &path);
    says(&tiki, &["preflight"]);
    let told = std::fs::read(&told).expect("what they were told");
    let text = String::from_utf8_lossy(&told);
    for called in ["docker version", "TIKI_LOG=trace"] {
        assert!(text.contains(called), "{called}");
    }
    let secrets = PLACES.map(planted);
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    assert_nowhere(&secrets, &told, "what the programs were told");
}

/// The way to force a panic is there in builds for tests alone.
#[cfg(debug_assertions)]
#[test]
fn a_panic_is_told_without_secrets_and_ends_with_70() {
    let everything: String = PLACES
        .map(planted)
        .iter()
        .fold(String::new(), |text, secret| {
            text + &forms(secret).join(" and ") + " and "
        });
    let tiki = home(Tiki::new())
        .with("TIKI_DATABASE_URL", &database_url())
        .with("TIKI_TEST_PANIC", &everything);
    std::fs::create_dir(tiki.path("data")).expect("a folder");
    let done = says(&tiki, &["run"]);
    assert_eq!(done.code, 70, "{done:?}");
    assert!(
        done.err.contains("error: thread 'main' panicked at"),
        "{}",
        done.err
    );
    assert!(done.err.contains("*** and"), "{}", done.err);
    assert_in_no_file_of(&tiki);
    let logs = std::fs::read_dir(tiki.path("data/logs")).expect("the logs");
    let log = logs
        .flatten()
        .map(|entry| std::fs::read_to_string(entry.path()).expect("a log"));
    assert!(log.collect::<String>().contains("panicked: "));
}
