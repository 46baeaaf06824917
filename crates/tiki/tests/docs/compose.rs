//! `.env.example` against the Compose files.

use std::collections::BTreeSet;

use crate::page;

#[test]
fn what_the_compose_files_read_stands_in_the_example_and_nothing_else() {
    let files = page("docker-compose.yml") + &page("docker-compose.performance.yml");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let read: BTreeSet<&str> = files
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !is_name(c)).next())
        .collect();
    let example = page(".env.example");
    let set: BTreeSet<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(is_name) && !name.starts_with("COMPOSE_"))
        .collect();
    assert_eq!(read, set);
    assert!(read.contains("_AIRFLOW_WWW_USER_PASSWORD"), "{read:?}");
}

#[test]
fn the_example_holds_no_secret() {
    for line in page(".env.example").lines() {
        if let Some((name, value)) = line.split_once('=') {
            let is_secret = ["PASSWORD", "SECRET", "KEY"]
                .iter()
                .any(|word| name.contains(word));
            assert!(
                !is_secret || value.is_empty() || line.starts_with('#'),
                "{line}"
            );
        }
    }
}
