use std::time::Duration;

use crawl::RedisFacts;
use warehouse::{Inventory, SchemaState};

use super::*;
use crate::preflight::servers::*;

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

fn answered(change: impl FnOnce(&mut Answered)) -> Database {
    let mut answered = Answered {
        address: "postgres://h/d".into(),
        is_postgres: true,
        schema: SchemaState::Current("0006".into()),
        inventory: Inventory {
            tables: names(&TABLES),
            indexes: names(&INDEXES),
            cached: Some((991, 9)),
        },
        has_products: true,
    };
    change(&mut answered);
    Database::Answered(Box::new(answered))
}

/// A database without tables.
fn empty(is_postgres: bool) -> Database {
    answered(|it| {
        it.is_postgres = is_postgres;
        it.schema = SchemaState::Absent;
        it.inventory = Inventory::default();
    })
}

fn lost() -> Database {
    Database::Failed("gone".into(), Some("is it up?".into()))
}

#[test]
fn a_database_answers_and_has_its_tables() {
    let schema = |state: SchemaState| answered(|it| it.schema = state);
    for (name, seen, expected) in [
        ("database", answered(|_| {}), Fine),
        ("database", lost(), Failed),
        ("database", Database::Absent, Warning),
        ("tables", answered(|_| {}), Fine),
        (
            "tables",
            answered(|it| drop(it.inventory.tables.pop())),
            Failed,
        ),
        ("tables", empty(true), Failed),
        ("tables", empty(false), Warning),
        ("schema-version", answered(|_| {}), Fine),
        (
            "schema-version",
            schema(SchemaState::Older("0005".into())),
            Failed,
        ),
        (
            "schema-version",
            schema(SchemaState::Foreign("newer".into())),
            Failed,
        ),
        ("schema-version", empty(true), Failed),
        ("schema-version", empty(false), Warning),
    ] {
        assert_state(line(&database(&seen), name), expected, &format!("{seen:?}"));
    }
}

#[test]
fn all_four_indexes_are_there() {
    for (seen, expected) in [
        (answered(|_| {}), Fine),
        (answered(|it| drop(it.inventory.indexes.remove(0))), Failed),
        (empty(true), Skipped),
        (lost(), Skipped),
        (Database::Absent, Skipped),
    ] {
        assert_state(&indexes(&seen), expected, &format!("{seen:?}"));
    }
}

#[allow(clippy::unnecessary_wraps, reason = "as it is asked for")]
fn facts(change: impl FnOnce(&mut RedisFacts)) -> Redis {
    let mut facts = RedisFacts {
        version: "7.2.0".into(),
        used: Some(MOST_REDIS - 1),
        limit: Some(400 << 20),
        policy: "volatile-lru".into(),
        ..RedisFacts::default()
    };
    change(&mut facts);
    Some(Ok(facts))
}

const OWN: u64 = 300 << 20;

#[test]
fn redis_is_new_enough_and_keeps_the_brokers_jobs() {
    let version = |text: &'static str| facts(|it| it.version = text.into());
    let limit = |bytes| facts(|it| it.limit = bytes);
    let policy = |text: &'static str| facts(|it| it.policy = text.into());
    for (name, seen, expected) in [
        ("redis", facts(|_| {}), Fine),
        ("redis", Some(Err("gone".into())), Failed),
        ("redis", None, Skipped),
        ("redis-version", facts(|_| {}), Fine),
        ("redis-version", version("7.0.15"), Fine),
        ("redis-version", version("6.2.14"), Failed),
        ("redis-version", version(""), Failed),
        ("redis-limit", facts(|_| {}), Fine),
        ("redis-limit", limit(Some(OWN + 1)), Fine),
        ("redis-limit", limit(Some(OWN)), Warning),
        ("redis-limit", limit(Some(0)), Warning),
        ("redis-limit", limit(None), Skipped),
        ("redis-eviction", facts(|_| {}), Fine),
        ("redis-eviction", policy("noeviction"), Fine),
        ("redis-eviction", policy("allkeys-lru"), Failed),
        ("redis-eviction", policy("allkeys-random"), Failed),
        ("redis-eviction", policy(""), Skipped),
    ] {
        assert_state(
            line(&redis(&seen, OWN), name),
            expected,
            &format!("{seen:?}"),
        );
    }
    let older = redis(&version("7.0.15"), OWN);
    assert!(
        line(&older, "redis-version").seen.contains("asks for 7.2"),
        "{older:?}"
    );
}

#[test]
fn servers_are_within_their_memory() {
    let cached = |counts| answered(|it| it.inventory.cached = counts);
    for (name, seen, expected) in [
        ("postgres-cache", cached(Some((901, 99))), Fine),
        ("postgres-cache", cached(Some((900, 100))), Failed),
        (
            "postgres-cache",
            cached(Some((0, LEAST_PAGES - 1))),
            Skipped,
        ),
        ("postgres-cache", cached(None), Skipped),
        ("postgres-cache", lost(), Skipped),
        ("postgres-cache", Database::Absent, Skipped),
    ] {
        assert_state(
            line(&servers(&seen, &None), name),
            expected,
            &format!("{seen:?}"),
        );
    }
    for (seen, expected) in [
        (facts(|_| {}), Fine),
        (facts(|it| it.used = Some(MOST_REDIS)), Failed),
        (facts(|it| it.used = None), Skipped),
        (Some(Err("gone".into())), Skipped),
        (None, Skipped),
    ] {
        let checks = servers(&lost(), &seen);
        assert_state(
            line(&checks, "redis-memory"),
            expected,
            &format!("{seen:?}"),
        );
    }
}

#[test]
fn a_proven_backup_is_there_and_young() {
    let full = || answered(|_| {});
    let bare = || answered(|it| it.has_products = false);
    let older = OLDEST_BACKUP + Duration::from_secs(1);
    for (backups, seen, age, back) in [
        (Ok(Some(OLDEST_BACKUP)), full(), Fine, Fine),
        (Ok(Some(older)), full(), Warning, Fine),
        (Ok(None), full(), Warning, Failed),
        (Err("no".to_owned()), full(), Warning, Failed),
        (Ok(None), bare(), Skipped, Skipped),
        (Ok(None), Database::Absent, Skipped, Skipped),
        (Ok(None), lost(), Skipped, Skipped),
    ] {
        let what = format!("{backups:?} {seen:?}");
        assert_state(&backup_age(&backups, &seen), age, &what);
        assert_state(&rollback_backup(&backups, &seen), back, &what);
    }
}
