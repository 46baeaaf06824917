use super::*;
use crate::layers::Layers;
use crate::setting::SETTINGS;

fn config(folder: &Path, variables: &[(&str, &str)]) -> Result<Config, Failure> {
    let environment = variables
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let layers = Layers {
        environment: environment.collect(),
        folder: folder.to_owned(),
        ..Layers::default()
    };
    Config::new(&layers.resolve()?)
}

#[test]
fn none_is_no_redis_whatever_stands_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tiki.toml"),
        "redis_url = \"redis://h/3\"\n",
    )
    .unwrap();
    let url = |variables: &[(&str, &str)]| config(folder.path(), variables).unwrap().redis_url;
    assert_eq!(url(&[]).as_deref(), Some("redis://h/3"));
    assert_eq!(url(&[("TIKI_REDIS_URL", "none")]), None);
}

#[test]
fn every_setting_changes_what_the_program_works_with() {
    let folder = tempfile::tempdir().unwrap();
    let shown =
        |variables: &[(&str, &str)]| format!("{:?}", config(folder.path(), variables).unwrap());
    let here = ("TIKI_ORIGIN", "http://127.0.0.1:1");
    let mail = [
        ("TIKI_ALERT_SMTP_URL", "smtps://h"),
        ("TIKI_ALERT_MAIL_TO", "a@b.c"),
    ];
    let before = shown(&[here, mail[0], mail[1]]);
    for setting in SETTINGS {
        let other = match setting.name {
            "TIKI_SOURCE" => "html",
            "TIKI_DRIFT" => "warn",
            "TIKI_ORIGIN" | "TIKI_AIRFLOW_URL" => "http://127.0.0.1:2",
            "TIKI_DATABASE_URL" => "postgres://h/d",
            "TIKI_REDIS_URL" => "redis://h/3",
            "TIKI_CATEGORIES" | "TIKI_EXCLUDE_CATEGORIES" => "1846",
            "TIKI_DETAILS" | "TIKI_ALERT_REPORT" => "always",
            "TIKI_TIME_ZONE" => "UTC",
            "TIKI_SCHEDULE" | "TIKI_BACKUP_SCHEDULE" | "TIKI_CLEANUP_SCHEDULE" => "off",
            "TIKI_PROXY" | "TIKI_ALERT_PROXY" => "http://h:1",
            "TIKI_LISTEN" => "[::1]:0",
            "TIKI_ALERT_WINDOW" | "TIKI_ALERT_STALL" => "11s",
            "TIKI_ALERT_SMTP_URL" => "smtps://other",
            "TIKI_ALERT_MAIL_TO" | "TIKI_ALERT_MAIL_FROM" => "d@e.f",
            name if name.starts_with("TIKI_ALERT_") && name.ends_with("_URL") => "https://h/x",
            "TIKI_LOG" => "debug",
            "TIKI_LOG_FORMAT" => "json",
            "TIKI_CLOCK" => "2026-11-24T19:00:00.000Z",
            name if name.ends_with("TTL") || name.contains("TIMEOUT") => "11s",
            "TIKI_STALL_LIMIT"
            | "TIKI_POOL_WAIT"
            | "TIKI_BREAKER_PAUSE"
            | "TIKI_MAX_RUN_AGE"
            | "TIKI_WAREHOUSE_PATIENCE" => "11s",
            _ => "11",
        };
        let after = shown(&[(setting.name, other), here, mail[0], mail[1]]);
        assert_ne!(before, after, "{} = {other}", setting.name);
    }
}

#[test]
fn relative_paths_begin_at_the_file_of_settings() {
    let folder = tempfile::tempdir().unwrap();
    let made = config(folder.path(), &[]).unwrap();
    assert_eq!(made.data_dir, folder.path().join("data"));
    assert_eq!(
        made.database_url,
        format!("sqlite:{}", folder.path().join("data/tiki.db").display())
    );
    let made = config(folder.path(), &[("TIKI_DATABASE_URL", "sqlite:a/b.db")]).unwrap();
    assert_eq!(
        made.database_url,
        format!("sqlite:{}", folder.path().join("a/b.db").display())
    );
    let clock = ("TIKI_CLOCK", "2026-11-24T19:00:00.000Z");
    let frozen = config(folder.path(), &[clock]).unwrap();
    assert!(
        frozen
            .check_clock()
            .unwrap_err()
            .to_string()
            .contains("loopback")
    );
}
