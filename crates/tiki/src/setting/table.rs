//! Every setting there is: one table from which parsing, `tiki config show` and docs/PARAMETERS.md derive.
//!
//! Not here: what a setting is (`setting`).

use super::alerts::ALERTS;
use super::{Setting, flagged, secret, setting};
use crate::value::Kind;

const fn whole(min: i64, max: i64) -> Kind {
    Kind::Whole { min, max }
}

pub(super) const fn span(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Span { min_ms, max_ms }
}

const SECOND: u64 = 1000;
const HOUR: u64 = 3_600 * SECOND;
pub(super) const DAY: u64 = 24 * HOUR;
const MANY: i64 = 1_000_000_000;
pub(super) const PERCENT: Kind = Kind::Number {
    min: 0.0,
    max: 100.0,
};
const DAYS: Kind = whole(0, 36_500);

/// All settings, in the order in which they are shown.
pub(crate) const SETTINGS: &[Setting] = &ALL;

const ALL: [Setting; GENERAL.len() + ALERTS.len()] = {
    let mut all = [GENERAL[0]; GENERAL.len() + ALERTS.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < GENERAL.len() {
            GENERAL[index]
        } else {
            ALERTS[index - GENERAL.len()]
        };
        index += 1;
    }
    all
};

/// Those of everything but alerts.
const GENERAL: &[Setting] = &[
    flagged(
        "--data-dir",
        setting(
            "TIKI_DATA_DIR",
            Kind::Text,
            "./data",
            "files of this program: SQLite warehouse, backups, logs, alerts that wait; a relative path \
             begins at the folder of tiki.toml, else at the current folder",
        ),
    ),
    secret(flagged(
        "--database-url",
        setting(
            "TIKI_DATABASE_URL",
            Kind::Text,
            "",
            "the warehouse: sqlite:<path> or postgres://user:password@host/crawl_data; none: \
             sqlite:<data_dir>/tiki.db",
        ),
    )),
    secret(setting(
        "TIKI_REDIS_URL",
        Kind::Text,
        "",
        "redis://…/<number>: shared cache of pages, and the permits of all processes (none, the \
         word or nothing: no shared cache, and permits from a row of the warehouse); the number of a database of its own, 1 if \
         none is given, never the broker's 0",
    )),
    setting(
        "TIKI_ORIGIN",
        Kind::Origin,
        "https://tiki.vn",
        "the site, the only host ever asked",
    ),
    secret(setting(
        "TIKI_PROXY",
        Kind::Proxy,
        "",
        "through which proxy the site is asked, a password percent-encoded; none: without one. A site on this \
         machine is asked without, and proxies of the environment are not used",
    )),
    setting(
        "TIKI_MAX_CATEGORIES",
        whole(0, MANY),
        "5",
        "leaf categories with products that a run takes, in the site's own order (0: all)",
    ),
    flagged(
        "--category",
        setting(
            "TIKI_CATEGORIES",
            Kind::Categories,
            "",
            "ids or URLs of categories to take instead, with commas between them",
        ),
    ),
    flagged(
        "--exclude-category",
        setting(
            "TIKI_EXCLUDE_CATEGORIES",
            Kind::Categories,
            "",
            "ids or URLs of categories never to take, with commas between them",
        ),
    ),
    setting(
        "TIKI_MAX_PRODUCTS_PER_CATEGORY",
        whole(0, MANY),
        "100",
        "distinct organic products that a category gives, best sellers first (0: all)",
    ),
    setting(
        "TIKI_PARALLEL_WORKERS",
        whole(1, 64),
        "5",
        "requests in flight",
    ),
    setting(
        "TIKI_RATE_LIMIT",
        Kind::Number {
            min: 0.0,
            max: 3600.0,
        },
        "0.5",
        "seconds between two requests to the site over all workers and processes; at least 0.2, and \
         0 (off) for a loopback origin only; off in the demo unless it is set",
    ),
    setting(
        "TIKI_DETAILS",
        Kind::Word(&["auto", "always", "never"]),
        "auto",
        "which details a run asks: those that can tell something new, all, or none",
    ),
    setting(
        "TIKI_DETAIL_TTL",
        span(SECOND, 3650 * DAY),
        "7d",
        "the time between two boundaries of a product, after each of which its detail is due again",
    ),
    setting(
        "TIKI_DETAIL_BUDGET",
        whole(0, MANY),
        "0",
        "details that a run asks at most (0: no bound); the rest comes first next time",
    ),
    setting(
        "TIKI_CATEGORY_TTL",
        span(1, 365 * DAY),
        "24h",
        "how old a category's children may be before they are asked again",
    ),
    setting(
        "TIKI_SOURCE",
        Kind::Word(&["auto", "api", "html"]),
        "auto",
        "what is asked: the JSON API, the HTML pages (the roots of the tree have none, so name \
         categories where the API is closed), or the API with the page of the same product or \
         category where it refuses or cannot be read",
    ),
    setting(
        "TIKI_GONE_TTL",
        span(SECOND, DAY),
        "10m",
        "how long the shared cache keeps that a product is gone",
    ),
    setting(
        "TIKI_REDIS_MEMORY",
        whole(1, 1_000_000),
        "400",
        "megabytes in use of the Redis server from which on no page is put there",
    ),
    setting(
        "TIKI_DRIFT",
        Kind::Word(&["stop", "warn"]),
        "stop",
        "what happens when the shape of what the site sends moves past its limits: the run is held \
         before anything is loaded, or there is only a warning",
    ),
    setting(
        "TIKI_DRIFT_RUNS",
        whole(1, 100),
        "10",
        "earlier runs that a run's shapes are compared with",
    ),
    setting(
        "TIKI_MAX_REJECTED_PERCENT",
        PERCENT,
        "5",
        "rejected products, or rejected details among those answered, in percent above which a load ends \
         with 10",
    ),
    setting(
        "TIKI_MAX_GONE_PERCENT",
        PERCENT,
        "10",
        "products found gone in percent of the known ones above which none is believed",
    ),
    setting(
        "TIKI_TIME_ZONE",
        Kind::Zone,
        "Asia/Ho_Chi_Minh",
        "the time zone of the days that a demo simulates, of schedules, and of times in the dashboard",
    ),
    setting(
        "TIKI_USER_AGENT_CONTACT",
        Kind::Text,
        "",
        "an address or URL at which the site can reach whoever crawls; sent with every request",
    ),
    setting(
        "TIKI_REQUEST_TIMEOUT",
        span(1, HOUR),
        "30s",
        "how long a whole request may take, its body included",
    ),
    setting(
        "TIKI_CONNECT_TIMEOUT",
        span(1, HOUR),
        "10s",
        "how long a connection may take to stand, TLS included",
    ),
    setting(
        "TIKI_MAX_ATTEMPTS",
        whole(1, 100),
        "4",
        "tries that a request has",
    ),
    setting(
        "TIKI_STALL_LIMIT",
        span(1, DAY),
        "10m",
        "how long a step goes on while the site answers nothing but *too many requests*",
    ),
    setting(
        "TIKI_BREAKER_PAUSE",
        span(1, HOUR),
        "30s",
        "how long all processes stay away at least after the site answered nothing but *too many \
         requests*; it doubles while that does not help",
    ),
    setting(
        "TIKI_WAREHOUSE_PATIENCE",
        span(0, HOUR),
        "1m",
        "how long a step waits for a warehouse that is lost or held in the middle of it, before it \
         ends with 30",
    ),
    setting(
        "TIKI_BATCH",
        whole(1, 5000),
        "2000",
        "products of a batch, which is transformed in one transaction and loaded in another",
    ),
    setting(
        "TIKI_XCOM_LIST_LIMIT",
        whole(0, 10_000),
        "200",
        "items that a list of a step's report holds at most",
    ),
    setting(
        "TIKI_POOL_SIZE",
        whole(2, 100),
        "8",
        "connections of a process to its warehouse at most",
    ),
    setting(
        "TIKI_POOL_WAIT",
        span(1, HOUR),
        "10s",
        "how long to wait for one of these connections to be free, and for a new one to PostgreSQL to \
         be made",
    ),
    setting(
        "TIKI_STATEMENT_TIMEOUT",
        span(SECOND, DAY),
        "5m",
        "how long one statement may take in PostgreSQL; 5 s later a server that does not answer at all \
         is taken for lost",
    ),
    setting(
        "TIKI_LOCK_TIMEOUT",
        span(1, HOUR),
        "30s",
        "how long to wait for a lock that another process or session holds in the warehouse",
    ),
    setting(
        "TIKI_KEEP_OBSERVATIONS",
        DAYS,
        "400",
        "days for which looks are kept; 0 is none, but for those of open runs and the newest of each product",
    ),
    setting(
        "TIKI_KEEP_PAGES",
        DAYS,
        "90",
        "days for which bodies are kept; 0 is none, but for those of open runs and of rejections and the newest good \
         one of each product",
    ),
    setting(
        "TIKI_KEEP_LISTINGS",
        DAYS,
        "30",
        "days for which listings are kept; 0 is none, but for those of open runs",
    ),
    setting(
        "TIKI_KEEP_LEDGER",
        DAYS,
        "400",
        "days for which runs and their counts are kept; 0 is none, but for open runs",
    ),
    flagged(
        "--listen",
        setting(
            "TIKI_LISTEN",
            Kind::Listen,
            "127.0.0.1:8090",
            "where `tiki serve` listens. On a loopback address it answers for the hosts localhost, \
             127.0.0.1 and [::1] and those of TIKI_HOSTS only; on another, put a proxy with a login before it",
        ),
    ),
    setting(
        "TIKI_HOSTS",
        Kind::Text,
        "",
        "hosts, by commas, for which `tiki serve` answers besides localhost, 127.0.0.1 and [::1]; where none is \
         named it answers for all on an address that is not loopback",
    ),
    setting(
        "TIKI_SCHEDULE",
        Kind::Schedule,
        "0 2 * * *",
        "when `tiki serve` begins a run, in TIKI_TIME_ZONE; off: never, for whoever has Airflow or \
         cron do it. The DAGs read the same name",
    ),
    setting(
        "TIKI_BACKUP_SCHEDULE",
        Kind::Schedule,
        "0 4 * * *",
        "when `tiki serve` makes and proves a backup and then thins backups out, in TIKI_TIME_ZONE; \
         off: never. The DAGs read the same name",
    ),
    setting(
        "TIKI_CLEANUP_SCHEDULE",
        Kind::Schedule,
        "30 4 * * 0",
        "when `tiki serve` takes away what is too old (TIKI_KEEP_PAGES and its like), as `tiki cleanup` does, in \
         TIKI_TIME_ZONE; off: never. Where the two schedules above are off, as beside Airflow, so is the default",
    ),
    setting(
        "TIKI_MAX_RUN_AGE",
        span(1, 3650 * DAY),
        "36h",
        "how long ago the last run that ended with 0 may have ended before `tiki health` warns, and the \
         alert of a run that is not good says so",
    ),
    setting(
        "TIKI_MIN_FREE_DISK",
        whole(0, MANY),
        "1000",
        "megabytes that must be free on the disks of the data folder and of an SQLite warehouse, or \
         `tiki health` fails; with fewer on that of the data folder at the end of a run there is an alert",
    ),
    setting(
        "TIKI_AIRFLOW_URL",
        Kind::Text,
        "",
        "where `tiki preflight` and `tiki rollback airflow` find Airflow's pages and API, such as \
         http://127.0.0.1:8080; none: what only Airflow can tell is skipped",
    ),
    secret(setting(
        "TIKI_AIRFLOW_USER",
        Kind::Text,
        "",
        "the name with which they log in there; to roll back it must be allowed to change DAGs and their runs",
    )),
    secret(setting(
        "TIKI_AIRFLOW_PASSWORD",
        Kind::Text,
        "",
        "the password of that name",
    )),
    setting(
        "TIKI_LOG",
        Kind::Filter,
        "warn",
        "what is logged to stderr, as a filter such as info or warn,crawl=debug",
    ),
    setting(
        "TIKI_LOG_FORMAT",
        Kind::Word(&["text", "json"]),
        "text",
        "how it is logged to stderr",
    ),
    setting(
        "TIKI_LOG_FILES",
        Kind::Filter,
        "info",
        "what commands that work log to files of JSON lines in <data_dir>/logs, as such a filter \
         (crawl=debug: every request); off: nothing",
    ),
    setting(
        "TIKI_KEEP_LOGS",
        whole(1, 36_500),
        "14",
        "days for which these files are kept",
    ),
    setting(
        "TIKI_LOG_SPACE",
        whole(1, 1_000_000),
        "1000",
        "megabytes that these files take at most, all together; one is at most a tenth of that",
    ),
    setting(
        "TIKI_CLOCK",
        Kind::Clock,
        "system",
        "the machine's clock, or an instant (YYYY-MM-DDTHH:MM:SS.sssZ) at which it stands still: \
         for tests, with a loopback origin only",
    ),
];
