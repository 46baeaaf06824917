//! Sections 8, 9, 12, 18 (servers), 20 and 25 (backups): the warehouse and Redis.
//!
//! Not here: asking them (`warehouse`, `crawl`).

use std::time::Duration;

use crawl::RedisFacts;
use warehouse::{Inventory, SchemaState};

use super::{failed, passed, skipped, version, warning};
use crate::Check;
use crate::check::words;

/// What the checklist looks for.
pub const TABLES: [&str; 2] = ["categories", "products"];
/// What the checklist looks for.
pub const INDEXES: [&str; 4] = [
    "idx_products_url",
    "idx_products_sku",
    "idx_products_created_at",
    "idx_categories_url",
];
/// The checklist's version of Redis.
pub const REDIS_VERSION: (u32, u32) = (7, 2);
/// The oldest that works.
pub const OLDEST_REDIS: (u32, u32) = (7, 0);
/// Bytes in use of Redis.
pub const MOST_REDIS: u64 = 400 << 20;
/// Percent of pages that PostgreSQL finds in its memory.
pub const LEAST_CACHED: f64 = 90.0;
/// With fewer pages asked for, their share says nothing.
pub const LEAST_PAGES: i64 = 1_000;
/// The age of the newest proven backup.
pub const OLDEST_BACKUP: Duration = Duration::from_hours(48);

/// What was seen of the warehouse.
#[derive(Clone, Debug)]
pub enum Database {
    /// An SQLite file that is not there yet.
    Absent,
    /// Why it could not be looked at, and what to do.
    Failed(String, Option<String>),
    /// It answered.
    Answered(Box<Answered>),
}

/// Of a warehouse that answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Where, without secrets.
    pub address: String,
    /// Whether it is PostgreSQL.
    pub is_postgres: bool,
    /// How the schema stands.
    pub schema: SchemaState,
    /// What is there.
    pub inventory: Inventory,
    /// Whether there are products in it.
    pub has_products: bool,
}

/// Section 8.
pub fn database(seen: &Database) -> Vec<Check> {
    let answered = match seen {
        Database::Absent => {
            let seen = "the SQLite file is not there yet";
            return vec![warning("database", seen).help("`tiki run` makes it")];
        }
        Database::Failed(why, help) => {
            let check = failed("database", why);
            return vec![match help {
                Some(help) => check.help(help),
                None => check,
            }];
        }
        Database::Answered(answered) => answered,
    };
    vec![
        passed("database", format!("{} answered", answered.address)),
        tables(answered),
        schema(answered),
    ]
}

/// A warehouse without tables: SQLite's is made by the first run, PostgreSQL's by whoever deploys it.
fn empty(answered: &Answered, name: &'static str) -> Check {
    let (seen, help) = ("there are no tables yet", "`tiki migrate` makes them");
    if answered.is_postgres {
        failed(name, seen).help(help)
    } else {
        warning(name, seen).help(help)
    }
}

fn tables(answered: &Answered) -> Check {
    let name = "tables";
    if answered.schema == SchemaState::Absent
        && lacking(&TABLES, &answered.inventory.tables).len() == TABLES.len()
    {
        return empty(answered, name);
    }
    all_there(
        name,
        &TABLES,
        &answered.inventory.tables,
        "`tiki migrate` makes them in a database of its own",
    )
}

fn schema(answered: &Answered) -> Check {
    let name = "schema-version";
    match &answered.schema {
        SchemaState::Absent => empty(answered, name),
        SchemaState::Current(newest) => passed(name, newest),
        SchemaState::Older(older) => {
            failed(name, format!("{older}, older than this program's")).help("`tiki migrate`")
        }
        SchemaState::Foreign(why) => {
            failed(name, why).help("use the program of the version that made the warehouse")
        }
    }
}

fn lacking<'a>(wanted: &[&'a str], there: &[String]) -> Vec<&'a str> {
    let missing = wanted
        .iter()
        .filter(|name| !there.iter().any(|one| one == *name));
    missing.copied().collect()
}

fn all_there(name: &'static str, wanted: &[&str], there: &[String], help: &str) -> Check {
    let missing = lacking(wanted, there);
    if missing.is_empty() {
        passed(name, wanted.join(", "))
    } else {
        failed(name, format!("missing: {}", missing.join(", "))).help(help)
    }
}

/// Section 12.
pub fn indexes(seen: &Database) -> Check {
    let name = "indexes";
    match seen {
        Database::Absent => skipped(name, "there is no warehouse yet"),
        Database::Failed(..) => skipped(name, "the warehouse did not answer"),
        Database::Answered(answered) if answered.schema == SchemaState::Absent => {
            skipped(name, "there are no tables yet")
        }
        Database::Answered(answered) => all_there(
            name,
            &INDEXES,
            &answered.inventory.indexes,
            "they come with the schema and somebody removed them: docs/CHECKLIST.md, 12, has the statements",
        ),
    }
}

/// What was seen of Redis; `None`: there is none.
pub type Redis = Option<Result<RedisFacts, String>>;

/// Section 9. `own_limit`: the bytes in use at which `tiki` stops putting pages there.
pub fn redis(seen: &Redis, own_limit: u64) -> Vec<Check> {
    let facts = match seen {
        None => return vec![skipped("redis", "TIKI_REDIS_URL is not set")],
        Some(Err(why)) => {
            let help =
                "is Redis up, and are host, port, password and database in TIKI_REDIS_URL right?";
            return vec![failed("redis", why).help(help)];
        }
        Some(Ok(facts)) => facts,
    };
    vec![
        passed("redis", "answered PING"),
        redis_version(&facts.version),
        redis_limit(facts, own_limit),
        redis_policy(facts),
    ]
}

fn redis_version(text: &str) -> Check {
    let name = "redis-version";
    let check = match version(text) {
        Some(found) if found >= REDIS_VERSION => passed(name, text),
        Some(found) if found >= OLDEST_REDIS => passed(
            name,
            format!("{text}, which works; the checklist asks for 7.2"),
        ),
        Some(_) => failed(name, text).help("install Redis 7.2 or newer"),
        None => failed(name, format!("{text:?} is no version")).help("is this a Redis server?"),
    };
    check.limit("7.2")
}

fn redis_limit(facts: &RedisFacts, own_limit: u64) -> Check {
    let name = "redis-limit";
    match facts.limit {
        None => skipped(name, "it does not tell"),
        Some(0) => warning(name, "no limit of memory").help(
            "set maxmemory (docker-compose.yml: REDIS_MAXMEMORY), or it may take all of the machine's",
        ),
        Some(limit) if own_limit >= limit => {
            warning(name, format!("{} MB", limit >> 20)).help(
                "pages may fill all of it and leave nothing for the broker: set TIKI_REDIS_MEMORY to less",
            )
        }
        Some(limit) => passed(name, format!("{} MB", limit >> 20)),
    }
    .limit(format!("more than TIKI_REDIS_MEMORY, {} MB", own_limit >> 20))
}

fn redis_policy(facts: &RedisFacts) -> Check {
    let name = "redis-eviction";
    match facts.policy.as_str() {
        "" => skipped(name, "it does not tell"),
        policy if policy.starts_with("allkeys") => failed(name, policy)
            .help("it would throw away jobs of the broker: set maxmemory-policy to volatile-lru"),
        policy => passed(name, policy),
    }
    .limit("no job of the broker goes")
}

/// Section 18: the servers.
pub fn servers(database: &Database, redis: &Redis) -> Vec<Check> {
    let name = "postgres-cache";
    let cached = match database {
        Database::Answered(answered) => match answered.inventory.cached {
            Some(counts) => cached(counts),
            None => skipped(name, "the warehouse is no PostgreSQL"),
        },
        Database::Failed(..) => skipped(name, "the warehouse did not answer"),
        Database::Absent => skipped(name, "there is no warehouse yet"),
    };
    let name = "redis-memory";
    let used = match redis {
        None => skipped(name, "TIKI_REDIS_URL is not set"),
        Some(Err(_)) => skipped(name, "Redis did not answer"),
        Some(Ok(facts)) => used(facts),
    };
    vec![cached, used]
}

/// Of PostgreSQL: pages that it found in its memory, and pages that it had to read.
pub(crate) fn cached((hits, reads): (i64, i64)) -> Check {
    let name = "postgres-cache";
    if hits + reads < LEAST_PAGES {
        return skipped(
            name,
            format!("only {} pages were asked for so far", hits + reads),
        );
    }
    let percent = hits as f64 * 100.0 / (hits + reads) as f64;
    let check = if percent > LEAST_CACHED {
        passed(name, format!("{percent:.1} %"))
    } else {
        failed(name, format!("{percent:.1} %")).help(
            "give PostgreSQL more shared_buffers (airflow/setup/postgresql_tuning.conf); after a restart \
             look again when a run has ended",
        )
    };
    check.limit(format!("more than {LEAST_CACHED:.0} %"))
}

/// Of Redis: its memory.
pub(crate) fn used(facts: &RedisFacts) -> Check {
    let name = "redis-memory";
    let check = match facts.used {
        None => return skipped(name, "it does not tell"),
        Some(used) if used < MOST_REDIS => passed(name, format!("{} MB", used >> 20)),
        Some(used) => failed(name, format!("{} MB", used >> 20))
            .help("lower TIKI_REDIS_MEMORY; kept pages then go as they grow old"),
    };
    check.limit(format!("under {} MB", MOST_REDIS >> 20))
}

/// What was seen of backups: the age of the newest proven one; `None`: there is none.
pub type Backups = Result<Option<Duration>, String>;

/// Whether there is something that a backup could be made of, and why not.
fn nothing_to_lose(seen: &Database) -> Option<&'static str> {
    match seen {
        Database::Absent => Some("there is no warehouse yet"),
        Database::Failed(..) => Some("the warehouse did not answer"),
        Database::Answered(answered) if !answered.has_products => Some("there are no products yet"),
        Database::Answered(_) => None,
    }
}

const MAKE_ONE: &str = "`tiki backup create --verify` makes one and proves it";

/// Section 20: the newest proven backup of the warehouse.
pub fn backup_age(backups: &Backups, database: &Database) -> Check {
    let name = "backup-age";
    if let Some(why) = nothing_to_lose(database) {
        return skipped(name, why);
    }
    let check = match backups {
        Err(why) => warning(name, why).help("can the folder of backups be read?"),
        Ok(None) => warning(name, "no proven backup").help(MAKE_ONE),
        Ok(Some(age)) if *age <= OLDEST_BACKUP => passed(name, format!("{} old", words(*age))),
        Ok(Some(age)) => warning(name, format!("{} old", words(*age))).help(MAKE_ONE),
    };
    check.limit(words(OLDEST_BACKUP))
}

/// Section 25: a backup to go back to.
pub fn rollback_backup(backups: &Backups, database: &Database) -> Check {
    let name = "rollback-backup";
    if let Some(why) = nothing_to_lose(database) {
        return skipped(name, why);
    }
    match backups {
        Err(why) => failed(name, why).help("can the folder of backups be read?"),
        Ok(None) => failed(name, "no proven backup").help(MAKE_ONE),
        Ok(Some(age)) => passed(
            name,
            format!(
                "one that is proven, {} old: after a next run that goes wrong, `tiki rollback data` goes back to it",
                words(*age)
            ),
        ),
    }
}
