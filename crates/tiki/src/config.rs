//! The settings as types.
//!
//! Not here: where they come from (`layers`), which there are (`setting`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use catalog::Instant;
use crawl::Proxy;
use jiff::tz::TimeZone;
use pipeline::alerts::{Channel, Mail, Rules, mailboxes};
use pipeline::{Cron, Exit, Keep, Settings};
use url::Url;
use warehouse::PoolLimits;

use crate::failure::Failure;
use crate::layers::{Origin, Resolved};
use crate::value::Value;

/// The settings in force.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Absolute.
    pub(crate) data_dir: PathBuf,
    /// `sqlite:<absolute path>` or `postgres://…`.
    pub(crate) database_url: String,
    /// `redis://…`.
    pub(crate) redis_url: Option<String>,
    /// The site.
    pub(crate) origin: crawl::Origin,
    /// Through which proxy it is asked, unless it is on this machine.
    pub(crate) proxy: Option<Proxy>,
    /// Seconds between two requests.
    pub(crate) rate: f64,
    /// Nobody asked for the rate, so the demo may go without.
    pub(crate) rate_is_default: bool,
    /// Categories to take instead.
    pub(crate) categories: Vec<i64>,
    /// Categories never to take.
    pub(crate) exclude: Vec<i64>,
    /// 0: all.
    pub(crate) max_categories: i64,
    /// 0: all.
    pub(crate) max_products: i64,
    /// `auto`, `always` or `never`.
    pub(crate) details: String,
    /// `auto`, `api` or `html`.
    pub(crate) source: String,
    /// How long the shared cache keeps that a product is gone.
    pub(crate) gone_ttl: Duration,
    /// Bytes in use of the Redis server from which on no page is put there.
    pub(crate) redis_memory: u64,
    /// An instant at which the clock stands still.
    pub(crate) clock: Option<Instant>,
    /// Who crawls.
    pub(crate) contact: Option<String>,
    /// Of one request.
    pub(crate) request_timeout: Duration,
    /// Of one connection.
    pub(crate) connect_timeout: Duration,
    /// Of all processes, after the site was overdone.
    pub(crate) breaker_pause: Duration,
    /// Of PostgreSQL's pool.
    pub(crate) limits: PoolLimits,
    /// How long a lock of the warehouse is waited for.
    pub(crate) lock_timeout: Duration,
    /// Where `tiki serve` listens.
    pub(crate) listen: SocketAddr,
    /// The hosts that it answers for, besides those that name this machine.
    pub(crate) hosts: Vec<String>,
    /// When `tiki serve` begins runs; `None`: never.
    pub(crate) schedule: Option<Cron>,
    /// When it makes backups; `None`: never.
    pub(crate) backup_schedule: Option<Cron>,
    /// When it cleans up; `None`: never.
    pub(crate) cleanup_schedule: Option<Cron>,
    /// What `tiki health` calls too much.
    pub(crate) health: pipeline::health::Limits,
    /// Where alerts go.
    pub(crate) hooks: Hooks,
    /// Where Airflow is, without a `/` at its end; `None`: nowhere.
    pub(crate) airflow_url: Option<String>,
    /// Who logs in there, and the password.
    pub(crate) airflow_login: (String, String),
    /// Through which proxy receivers of alerts are told.
    pub(crate) alert_proxy: Option<Proxy>,
    /// Certificates of more authorities, for them as well.
    pub(crate) alert_ca: Option<PathBuf>,
    /// A filter of log lines.
    pub(crate) log: String,
    /// As JSON.
    pub(crate) log_json: bool,
    /// Files of log lines.
    pub(crate) logs: Logs,
    /// How runs work.
    pub(crate) pipeline: Settings,
}

/// Files of log lines.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    /// What they have.
    pub(crate) filter: String,
    /// How long they are kept.
    pub(crate) days: i64,
    /// How large they grow, all together.
    pub(crate) bytes: u64,
}

/// The addresses of the channels of alerts.
#[derive(Clone, Debug)]
pub(crate) struct Hooks {
    slack: Option<Url>,
    discord: Option<Url>,
    webhook: Option<Url>,
    /// Signs what goes to `webhook`.
    key: Option<String>,
    smtp: Option<Url>,
    mail_to: String,
    mail_from: String,
}

impl Hooks {
    /// The channels that are set.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let hooks = self.clone();
        [
            self.mail().map(Channel::Mail),
            hooks.slack.map(Channel::Slack),
            hooks.discord.map(Channel::Discord),
            hooks.webhook.map(|url| Channel::Webhook(url, hooks.key)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn mail(&self) -> Option<Mail> {
        let from = mailboxes(&self.mail_from).and_then(|all| all.into_iter().next());
        Mail::new(self.smtp.clone()?, from, mailboxes(&self.mail_to)?)
    }
}

impl Config {
    /// Types for what was decided.
    pub(crate) fn new(resolved: &Resolved) -> Result<Self, Failure> {
        let read = Read(resolved);
        let data_dir = clean(&resolved.anchor.join(read.text("TIKI_DATA_DIR")?));
        Ok(Self {
            database_url: read.database_url(&data_dir)?,
            redis_url: match read.text("TIKI_REDIS_URL")?.as_str() {
                "" | "none" => None,
                url => Some(own_redis(url)?),
            },
            origin: read.origin("TIKI_ORIGIN")?,
            proxy: read.proxy("TIKI_PROXY")?,
            rate: read.number("TIKI_RATE_LIMIT")?,
            rate_is_default: read.is_default("TIKI_RATE_LIMIT"),
            categories: read.ids("TIKI_CATEGORIES")?,
            exclude: read.ids("TIKI_EXCLUDE_CATEGORIES")?,
            max_categories: read.whole("TIKI_MAX_CATEGORIES")?,
            max_products: read.whole("TIKI_MAX_PRODUCTS_PER_CATEGORY")?,
            details: read.text("TIKI_DETAILS")?,
            source: read.text("TIKI_SOURCE")?,
            gone_ttl: read.span("TIKI_GONE_TTL")?,
            redis_memory: read.whole("TIKI_REDIS_MEMORY")?.unsigned_abs() << 20,
            clock: read.clock("TIKI_CLOCK")?,
            contact: Some(read.text("TIKI_USER_AGENT_CONTACT")?).filter(|text| !text.is_empty()),
            request_timeout: read.span("TIKI_REQUEST_TIMEOUT")?,
            connect_timeout: read.span("TIKI_CONNECT_TIMEOUT")?,
            breaker_pause: read.span("TIKI_BREAKER_PAUSE")?,
            limits: PoolLimits {
                max_connections: read.size("TIKI_POOL_SIZE")?,
                wait: read.span("TIKI_POOL_WAIT")?,
                statement_timeout: read.span("TIKI_STATEMENT_TIMEOUT")?,
            },
            lock_timeout: read.span("TIKI_LOCK_TIMEOUT")?,
            listen: read.listen("TIKI_LISTEN")?,
            hosts: read.words("TIKI_HOSTS")?,
            schedule: read.schedule("TIKI_SCHEDULE")?,
            backup_schedule: read.schedule("TIKI_BACKUP_SCHEDULE")?,
            cleanup_schedule: read.cleanup_schedule()?,
            health: pipeline::health::Limits {
                run_age: read.span("TIKI_MAX_RUN_AGE")?,
                free_bytes: read.whole("TIKI_MIN_FREE_DISK")?.unsigned_abs() << 20,
            },
            hooks: read.hooks()?,
            airflow_url: match read.text("TIKI_AIRFLOW_URL")?.as_str() {
                "" => None,
                url => Some(web_address(url)?),
            },
            airflow_login: (
                read.text("TIKI_AIRFLOW_USER")?,
                read.text("TIKI_AIRFLOW_PASSWORD")?,
            ),
            alert_proxy: read.proxy("TIKI_ALERT_PROXY")?,
            alert_ca: match read.text("TIKI_ALERT_CA")?.as_str() {
                "" => None,
                path => Some(clean(&resolved.anchor.join(path))),
            },
            log: read.text("TIKI_LOG")?,
            log_json: read.text("TIKI_LOG_FORMAT")? == "json",
            logs: read.logs()?,
            pipeline: read.pipeline(data_dir.clone())?,
            data_dir,
        })
    }

    /// A clock that stands still is refused for a site that is not on this machine.
    pub(crate) fn check_clock(&self) -> Result<(), Failure> {
        if self.clock.is_none() || self.origin.is_loopback() {
            return Ok(());
        }
        Err(
            Failure::usage("a simulated clock is for a loopback origin only")
                .why(format!(
                    "TIKI_CLOCK is set, and TIKI_ORIGIN is {}",
                    self.origin
                ))
                .help("unset TIKI_CLOCK, or set TIKI_ORIGIN to a `tiki storefront`"),
        )
    }

    /// Categories of which none is left once the excluded ones are taken away are refused.
    pub(crate) fn check_categories(&self) -> Result<(), Failure> {
        let mut taken = self.categories.iter();
        if self.categories.is_empty() || taken.any(|id| !self.exclude.contains(id)) {
            return Ok(());
        }
        Err(Failure::usage("all categories that are asked for are excluded, too")
            .why("TIKI_CATEGORIES (--category) names none that TIKI_EXCLUDE_CATEGORIES (--exclude-category) does not")
            .help("name a category that is not excluded"))
    }

    /// The time zone of days, schedules and times for people.
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.pipeline.zone
    }
}

/// The address of a Redis with a database of our own.
fn own_redis(url: &str) -> Result<String, Failure> {
    crawl::own_database(url).map_err(|error| {
        Failure::usage("TIKI_REDIS_URL cannot be used")
            .because(&error)
            .help("name a database of its own at the end, such as redis://host:6379/1")
    })
}

/// The address of a web server, without a `/` at its end.
fn web_address(text: &str) -> Result<String, Failure> {
    let parsed = Url::parse(text).ok();
    let fits = parsed.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    // Nothing of it is shown: what is no address may be a password.
    let wrong = || {
        Failure::usage("TIKI_AIRFLOW_URL is no address of a web server")
            .help("write it as http://127.0.0.1:8080")
    };
    fits.ok_or_else(wrong)?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// A path without `.` in it, as people would write it.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

struct Read<'a>(&'a Resolved);

impl Read<'_> {
    fn value(&self, name: &str) -> Result<(Value, bool), Failure> {
        let bug = || Failure::new(Exit::Bug, format!("{name} is no setting of this kind"));
        let mut all = self.0.all.iter();
        let found = all
            .find(|effective| effective.setting.name == name)
            .ok_or_else(bug)?;
        let value = found.setting.kind.parse(&found.text).map_err(|_| bug())?;
        Ok((value, found.origin == Origin::Default))
    }

    fn is_default(&self, name: &str) -> bool {
        self.value(name).is_ok_and(|(_, default)| default)
    }

    fn database_url(&self, data_dir: &Path) -> Result<String, Failure> {
        Ok(match self.text("TIKI_DATABASE_URL")?.as_str() {
            "" => format!("sqlite:{}", data_dir.join("tiki.db").display()),
            url => match url.strip_prefix("sqlite:") {
                Some(path) if !path.is_empty() => {
                    let path = path.strip_prefix("//").unwrap_or(path);
                    format!("sqlite:{}", clean(&self.0.anchor.join(path)).display())
                }
                _ => url.to_owned(),
            },
        })
    }

    fn pipeline(&self, data_dir: PathBuf) -> Result<Settings, Failure> {
        Ok(Settings {
            workers: self.size("TIKI_PARALLEL_WORKERS")?,
            detail_ttl: self.span("TIKI_DETAIL_TTL")?,
            detail_budget: self.whole("TIKI_DETAIL_BUDGET")?,
            category_ttl: self.span("TIKI_CATEGORY_TTL")?,
            max_rejected_percent: self.number("TIKI_MAX_REJECTED_PERCENT")?,
            max_gone_percent: self.number("TIKI_MAX_GONE_PERCENT")?,
            max_attempts: self.whole("TIKI_MAX_ATTEMPTS")?,
            stall_limit: self.span("TIKI_STALL_LIMIT")?,
            warehouse_patience: self.span("TIKI_WAREHOUSE_PATIENCE")?,
            drift_stops: self.text("TIKI_DRIFT")? == "stop",
            drift_runs: self.whole("TIKI_DRIFT_RUNS")?,
            list_limit: self.size("TIKI_XCOM_LIST_LIMIT")?,
            batch: self.whole("TIKI_BATCH")?,
            keep: Keep {
                observations_days: self.whole("TIKI_KEEP_OBSERVATIONS")?,
                pages_days: self.whole("TIKI_KEEP_PAGES")?,
                listings_days: self.whole("TIKI_KEEP_LISTINGS")?,
                ledger_days: self.whole("TIKI_KEEP_LEDGER")?,
            },
            alerts: self.rules()?,
            zone: self.zone("TIKI_TIME_ZONE")?,
            ..Settings::new(data_dir)
        })
    }

    fn logs(&self) -> Result<Logs, Failure> {
        Ok(Logs {
            filter: self.text("TIKI_LOG_FILES")?,
            days: self.whole("TIKI_KEEP_LOGS")?,
            bytes: self.whole("TIKI_LOG_SPACE")?.unsigned_abs() << 20,
        })
    }

    fn hooks(&self) -> Result<Hooks, Failure> {
        let hooks = Hooks {
            slack: self.hook("TIKI_ALERT_SLACK_URL")?,
            discord: self.hook("TIKI_ALERT_DISCORD_URL")?,
            webhook: self.hook("TIKI_ALERT_WEBHOOK_URL")?,
            key: Some(self.text("TIKI_ALERT_WEBHOOK_SECRET")?).filter(|text| !text.is_empty()),
            smtp: self.hook("TIKI_ALERT_SMTP_URL")?,
            mail_to: self.text("TIKI_ALERT_MAIL_TO")?,
            mail_from: self.text("TIKI_ALERT_MAIL_FROM")?,
        };
        if hooks.smtp.is_some() && hooks.mail_to.is_empty() {
            let what = "TIKI_ALERT_SMTP_URL is set, and TIKI_ALERT_MAIL_TO is not";
            let help = "say to whom alerts are mailed, or unset the server";
            return Err(Failure::usage(what).help(help));
        }
        Ok(hooks)
    }

    fn rules(&self) -> Result<Rules, Failure> {
        let channels = self.hooks()?.channels();
        Ok(Rules {
            tells: true,
            channels: channels
                .iter()
                .map(|channel| channel.name().to_owned())
                .collect(),
            window: self.span("TIKI_ALERT_WINDOW")?,
            exits: self.ids("TIKI_ALERT_EXITS")?,
            rejected_percent: self.number("TIKI_ALERT_REJECTED_PERCENT")?,
            unfetched_percent: self.number("TIKI_ALERT_UNFETCHED_PERCENT")?,
            items_percent: self.number("TIKI_ALERT_ITEMS_PERCENT")?,
            rate: self.number("TIKI_ALERT_MIN_RATE")?,
            hit_rate: self.number("TIKI_ALERT_MIN_HIT_RATE")?,
            coverage_points: self.number("TIKI_ALERT_COVERAGE_POINTS")?,
            stall: self.span("TIKI_ALERT_STALL")?,
            run_age: self.span("TIKI_MAX_RUN_AGE")?,
            free_bytes: self.whole("TIKI_MIN_FREE_DISK")?.unsigned_abs() << 20,
            reports: self.text("TIKI_ALERT_REPORT")? == "always",
            hide: crate::secret::masked,
        })
    }

    /// A `tiki serve` that was told to begin nothing else goes on to begin nothing.
    fn cleanup_schedule(&self) -> Result<Option<Cron>, Failure> {
        let name = "TIKI_CLEANUP_SCHEDULE";
        let begins = self.schedule("TIKI_SCHEDULE")?.is_some()
            || self.schedule("TIKI_BACKUP_SCHEDULE")?.is_some();
        let schedule = self.schedule(name)?;
        Ok(schedule.filter(|_| begins || !self.is_default(name)))
    }

    /// Words with commas between them.
    fn words(&self, name: &str) -> Result<Vec<String>, Failure> {
        let text = self.text(name)?;
        let words = text.split(',').map(str::trim);
        let words = words.filter(|word| !word.is_empty());
        Ok(words.map(str::to_owned).collect())
    }

    fn size(&self, name: &str) -> Result<usize, Failure> {
        Ok(usize::try_from(self.whole(name)?).unwrap_or(0))
    }
}

macro_rules! readers {
    ($($name:ident: $variant:ident => $type:ty),*) => {
        impl Read<'_> {$(
            fn $name(&self, name: &str) -> Result<$type, Failure> {
                match self.value(name)?.0 {
                    Value::$variant(value) => Ok(value),
                    _ => Err(Failure::new(Exit::Bug, format!("{name} has another type"))),
                }
            }
        )*}
    };
}
readers!(text: Text => String, whole: Whole => i64, number: Number => f64, span: Span => Duration,
    ids: Ids => Vec<i64>, zone: Zone => TimeZone, clock: Clock => Option<Instant>,
    origin: Origin => crawl::Origin, listen: Listen => SocketAddr,
    schedule: Schedule => Option<Cron>, hook: Hook => Option<Url>,
    proxy: Proxy => Option<Proxy>);

#[cfg(test)]
mod tests;
