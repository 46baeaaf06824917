//! Backup and restore of a schema of PostgreSQL.
//!
//! A restore is one transaction: the tables of today move to a schema beside, those of the backup are
//! made and filled in their place, and everything is counted; whoever dies in the middle has changed
//! nothing.
//!
//! Not here: what is moved aside and given back (`aside`), the programs (`programs`), reading what they print
//! (`script`).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{BackupError, file};
use super::folder::Hashed;
use super::manifest::{Facts, Manifest};
use super::programs::{self, PasswordFile, failed, place, said};
use super::script::play;
use super::{EPOCHS_APART, Restored, aside};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::open::Options;
use crate::tls;
use crate::turns::Turn;

/// How long to wait for somebody else's proof, or for the server to notice that he was killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a restore waits for whoever reads or writes.
const LOCK_SECONDS: u64 = 30;

/// The server with the warehouse.
pub(super) struct Server {
    config: Config,
    wish: tls::Wish,
    schema: String,
}

/// The data of a new backup.
pub(super) struct Dump {
    pub(super) facts: Facts,
    pub(super) created_at: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) program: String,
}

impl Server {
    pub(super) fn new(url: &str, options: &Options) -> Result<Self> {
        crate::open::check_schema(&options.schema)?;
        let (mut config, wish) = crate::address::parse(url)?;
        config.connect_timeout(options.limits.wait);
        config.application_name("tiki backup");
        // Copying takes as long as it takes.
        let settings = format!(
            "{} -c search_path={} -c timezone=UTC -c jit=off -c statement_timeout=0 \
             -c idle_in_transaction_session_timeout=0 -c lock_timeout={LOCK_SECONDS}s",
            config.get_options().unwrap_or(""),
            options.schema
        );
        config.options(settings.trim());
        Ok(Self {
            config,
            wish,
            schema: options.schema.clone(),
        })
    }

    /// A connection of our own: what is set on it goes with it.
    async fn connect(&self, database: Option<&str>) -> Result<Client> {
        let mut config = self.config.clone();
        if let Some(name) = database {
            config.dbname(name);
        }
        let tls = MakeRustlsConnect::new(tls::config(&self.wish)?);
        let (client, connection) = config.connect(tls).await.map_err(Error::connect)?;
        // It ends with the client, which hears of what fails.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Dumps the schema to `data`, at the snapshot that is counted.
    pub(super) async fn dump(&self, data: &Path, search: Option<&OsStr>) -> Result<Dump> {
        let client = self.connect(None).await?;
        let programs = programs::find(search, major(&client).await?).await?;
        batch(&client, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let snapshot = text(&client, "SELECT pg_export_snapshot()").await?;
        let created_at = time(&client).await?;
        let facts = self.facts(&client).await?;
        let folder = data.parent().unwrap_or(Path::new("."));
        let password = PasswordFile::new(&self.config, folder)?;
        let place = place(&self.config, &self.wish, &programs)?;
        let command = programs.dump(&place, &self.schema, &snapshot, password.as_ref());
        let (bytes, sha256) = keep(command, data).await?;
        batch(&client, "COMMIT").await?;
        Ok(Dump {
            facts,
            created_at,
            bytes,
            sha256,
            program: programs.version,
        })
    }

    /// What is in the schema; what is of an extension no dump has.
    async fn facts(&self, client: &Client) -> Result<Facts> {
        let names = texts(
            client,
            &format!(
                "SELECT c.relname::text FROM pg_class c
                 WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = '{}')
                    AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                        AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1",
                self.schema
            ),
        )
        .await?;
        if !names.iter().any(|name| name == "schema_migrations") {
            return Err(BackupError::Refused {
                what: format!("schema {} has no tables of a warehouse", self.schema),
                help: "fill it first (`tiki run`), or look with `tiki config show` whether it is the \
                    right one",
            }
            .into());
        }
        let mut rows = BTreeMap::new();
        for name in names {
            let quoted = name.replace('"', "\"\"");
            let count = text(
                client,
                &format!("SELECT COUNT(*)::text FROM {}.\"{quoted}\"", self.schema),
            )
            .await?;
            let count = count.parse().map_err(|_| Error::Stored(count.clone()))?;
            rows.insert(name, count);
        }
        let newest = format!(
            "SELECT {} FROM (SELECT MAX(observed_at) AS at FROM {}.observations) AS newest
             WHERE at IS NOT NULL",
            written("at"),
            self.schema
        );
        let version = format!("SELECT MAX(name) FROM {}.schema_migrations", self.schema);
        Ok(Facts {
            schema_version: text(client, &version).await?,
            newest_observation: texts(client, &newest).await?.pop(),
            rows,
        })
    }

    /// Restores a backup into a database that is made for it and goes again, and compares. The time.
    pub(super) async fn prove(
        &self,
        manifest: &Manifest,
        data: &Path,
        search: Option<&OsStr>,
    ) -> Result<String> {
        self.in_scratch(manifest, data, search, async |_| Ok(()))
            .await?;
        time(&self.connect(None).await?).await
    }

    /// The same, and looks into that database, by its name, before it goes.
    pub(super) async fn in_scratch<T>(
        &self,
        manifest: &Manifest,
        data: &Path,
        search: Option<&OsStr>,
        look: impl AsyncFnOnce(&str) -> Result<T>,
    ) -> Result<T> {
        check(manifest, data)?;
        let client = self.connect(None).await?;
        let programs = programs::find(search, major(&client).await?).await?;
        turn(&client).await?;
        let own = "SELECT oid::text FROM pg_database WHERE datname = current_database()";
        let prefix = format!("tiki_verify_{}_", text(&client, own).await?);
        // We have the lock, so whoever made these was killed.
        let left = format!(
            "SELECT datname::text FROM pg_database WHERE starts_with(datname::text, '{prefix}')"
        );
        for name in texts(&client, &left).await? {
            drop_database(&client, &name).await?;
        }
        let name = format!("{prefix}{}", std::process::id());
        let of = text(&client, LANGUAGE).await?;
        let made = batch(&client, &format!("CREATE DATABASE {name} {of}")).await;
        made.map_err(|error| match error {
            Error::Denied(why) => Error::from(BackupError::Refused {
                what: format!("cannot make a database to restore the backup into: {why}"),
                help: "let this user make databases (ALTER ROLE … CREATEDB), or verify elsewhere",
            }),
            other => other,
        })?;
        let extensions = texts(&client, EXTENSIONS).await?;
        let filled = self.fill_scratch(&name, manifest, data, &programs, &extensions);
        let filled = filled.await;
        let seen = match filled {
            Ok(()) => look(&name).await,
            Err(error) => Err(error),
        };
        let dropped = drop_database(&client, &name).await;
        let seen = seen?;
        dropped?;
        Ok(seen)
    }

    async fn fill_scratch(
        &self,
        name: &str,
        manifest: &Manifest,
        data: &Path,
        programs: &programs::Programs,
        extensions: &[String],
    ) -> Result<()> {
        let scratch = self.connect(Some(name)).await?;
        batch(&scratch, "BEGIN").await?;
        let schema = format!("CREATE SCHEMA IF NOT EXISTS {}", self.schema);
        batch(&scratch, &schema).await?;
        // Whether the backup needs one that cannot be made is seen when it is played.
        let mut missing = Vec::new();
        for statement in extensions {
            batch(&scratch, "SAVEPOINT extension").await?;
            if let Err(error) = batch(&scratch, statement).await {
                batch(&scratch, "ROLLBACK TO SAVEPOINT extension").await?;
                missing.push(with_causes(&error));
            }
        }
        let played = play(&scratch, programs, data, &self.schema).await;
        played.map_err(|error| unplayable(manifest, error, &missing))?;
        let facts = self.facts(&scratch).await?;
        batch(&scratch, "COMMIT").await?;
        Ok(super::proof::same(manifest, &facts)?)
    }

    /// Puts a backup in the place of the schema's tables.
    pub(super) async fn restore(
        &self,
        manifest: &Manifest,
        data: &Path,
        search: Option<&OsStr>,
        force: bool,
    ) -> Result<Restored> {
        check(manifest, data)?;
        let client = self.connect(None).await?;
        let programs = programs::find(search, major(&client).await?).await?;
        // A connection that ends without a commit leaves nothing behind.
        batch(&client, "BEGIN").await?;
        let alone = format!("SELECT pg_advisory_xact_lock({})::text", Turn::Schema.key());
        texts(&client, &alone).await?;
        let schema = format!("CREATE SCHEMA IF NOT EXISTS {}", self.schema);
        batch(&client, &schema).await?;
        let outside = aside::outside(&client, &self.schema).await?;
        let (floor, kept) = self.move_aside(&client, force).await?;
        let played = play(&client, &programs, data, &self.schema).await;
        played.map_err(|error| unplayable(manifest, error, &[]))?;
        // The script has set a search path of its own.
        batch(&client, &format!("SET search_path = {}", self.schema)).await?;
        super::proof::same(manifest, &self.facts(&client).await?)?;
        let abandoned = begin_anew(&client, floor).await?;
        if let Some(kept) = &kept {
            aside::give_back(&client, &self.schema, kept).await?;
        }
        batch(&client, "COMMIT").await?;
        Ok(Restored {
            abandoned,
            kept,
            outside,
        })
    }

    /// Moves what is in the schema to one beside it: the highest epoch that was given, and the name.
    async fn move_aside(&self, client: &Client, force: bool) -> Result<(i64, Option<String>)> {
        let schema = &self.schema;
        let now = super::stamp(&time(client).await?).to_lowercase();
        let kept = format!("{schema}_before_{now}");
        let moves = aside::moves(client, schema, &kept).await?;
        if moves.is_empty() {
            return Ok((0, None));
        }
        if !force {
            return Err(super::overwrite(&format!("schema {schema}")).into());
        }
        let mut floor = 0;
        if has_table(client, "attempts").await? {
            // Nobody begins anything from here on.
            batch(client, "LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE").await?;
            let leased = client
                .query(&Dialect::Postgres.translate(super::LEASED), &[])
                .await
                .map_err(|error| Error::postgres(super::LEASED, error))?;
            if let Some(row) = leased.first() {
                return Err(super::at_work(row.get(0), row.get(1)).into());
            }
            batch(client, &Dialect::Postgres.translate(super::FENCE)).await?;
            floor = last_epoch(client).await?;
        }
        batch(client, &format!("CREATE SCHEMA {kept}")).await?;
        for statement in moves {
            batch(client, &statement).await?;
        }
        aside::refuse_left(client, schema).await?;
        Ok((floor, Some(kept)))
    }
}

/// How another database is made that keeps and orders texts as this one: a server's own way may be another.
const LANGUAGE: &str = "SELECT format('TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L',
        pg_encoding_to_char(encoding), datcollate, datctype)
    FROM pg_database WHERE datname = current_database()";

/// What makes the extensions of this database in another one.
const EXTENSIONS: &str = "SELECT format(
        'CREATE SCHEMA IF NOT EXISTS %1$I; CREATE EXTENSION IF NOT EXISTS %2$I SCHEMA %1$I CASCADE',
        n.nspname, e.extname)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE n.nspname <> 'pg_catalog' ORDER BY e.oid";

/// A backup whose statements the database does not take: it needs what lies outside the schema.
fn unplayable(manifest: &Manifest, error: Error, missing: &[String]) -> Error {
    if !matches!(error, Error::Statement { .. }) {
        return error;
    }
    let mut what = format!(
        "backup {} cannot be restored there: {}",
        manifest.id,
        with_causes(&error)
    );
    for why in missing {
        what = format!("{what}; an extension cannot be made: {why}");
    }
    BackupError::Refused {
        what,
        help: "it needs what lies outside its schema (an extension, a type or function of another schema): make \
            that first, or let this user make the extension; a proof makes only extensions that the warehouse's \
            database has. Nothing was changed",
    }
    .into()
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Makes the restored tables a warehouse that begins anew: the number of runs that were open.
async fn begin_anew(client: &Client, floor: i64) -> Result<u64> {
    if !has_table(client, "attempts").await? {
        // Of the oldest schema, which knew no runs.
        return Ok(0);
    }
    batch(client, &Dialect::Postgres.translate(super::FENCE)).await?;
    let sql = Dialect::Postgres.translate(super::ABANDON);
    let done = client.execute(&sql, &[]).await;
    let abandoned = done.map_err(|error| Error::postgres(&sql, error))?;
    if has_table(client, "alert_deliveries").await? {
        batch(client, super::HOLD).await?;
    }
    let next = last_epoch(client).await?.max(floor) + EPOCHS_APART;
    let set = format!("SELECT setval(pg_get_serial_sequence('attempts', 'epoch'), {next})::text");
    text(client, &set).await?;
    Ok(abandoned)
}

/// Whether the schema has a table, which a backup of an older program may not have.
async fn has_table(client: &Client, name: &str) -> Result<bool> {
    let sql = format!(
        "SELECT 1::text FROM pg_tables WHERE schemaname = current_schema() AND tablename = '{name}'"
    );
    Ok(!texts(client, &sql).await?.is_empty())
}

async fn last_epoch(client: &Client) -> Result<i64> {
    let sql = "SELECT COALESCE(pg_sequence_last_value(
        pg_get_serial_sequence('attempts', 'epoch')::regclass), 0)::text";
    let told = text(client, sql).await?;
    told.parse().map_err(|_| Error::Stored(told.clone()))
}

/// Whether the dump is the one that the manifest speaks of.
fn check(manifest: &Manifest, data: &Path) -> Result<()> {
    let hash = || -> std::io::Result<(u64, String)> {
        let mut from = Hashed::new(File::open(data)?);
        std::io::copy(&mut from, &mut std::io::sink())?;
        Ok((from.bytes, from.sha256()))
    };
    let found = super::blocking(hash).map_err(file("read", data))?;
    if found == (manifest.bytes, manifest.sha256.clone()) {
        return Ok(());
    }
    Err(BackupError::Broken {
        id: manifest.id.clone(),
        why: "its size or checksum is another".into(),
    }
    .into())
}

/// Runs `pg_dump` and keeps what it prints: size and checksum.
async fn keep(mut command: tokio::process::Command, data: &Path) -> Result<(u64, String)> {
    let failed_to = |error: std::io::Error| failed("pg_dump", &error.to_string());
    let out = File::create(data).map_err(file("write", data))?;
    let mut child = command.spawn().map_err(failed_to)?;
    let (Some(mut from), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::Stored("a program without output".into()));
    };
    let told = tokio::spawn(said(err));
    let mut out = Hashed::new(out);
    let mut portion = vec![0; 1 << 18];
    loop {
        let count = from.read(&mut portion).await.map_err(failed_to)?;
        if count == 0 {
            break;
        }
        let written = super::blocking(|| out.write_all(&portion[..count]));
        written.map_err(file("write", data))?;
    }
    let status = child.wait().await.map_err(failed_to)?;
    let told = told.await.unwrap_or_default();
    if !status.success() {
        return Err(failed("pg_dump", &told).into());
    }
    super::blocking(|| out.inner.sync_all()).map_err(file("sync", data))?;
    Ok((out.bytes, out.sha256()))
}

/// Waits for the turn of proofs; it goes with the connection of whoever is killed.
async fn turn(client: &Client) -> Result<()> {
    let begun = Instant::now();
    let proof = Turn::Proof.key();
    let sql = format!("SELECT pg_try_advisory_lock({proof})::text");
    while text(client, &sql).await? != "true" {
        if begun.elapsed() > PATIENCE {
            let why = "another process verifies a backup of this database";
            return Err(BackupError::Held(why.into()).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn drop_database(client: &Client, name: &str) -> Result<()> {
    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    batch(client, &sql).await
}

async fn major(client: &Client) -> Result<u32> {
    let number = text(client, "SHOW server_version_num").await?;
    let number: u32 = number.parse().map_err(|_| Error::Stored(number.clone()))?;
    Ok(number / 10_000)
}

/// An instant as this program writes it.
fn written(column: &str) -> String {
    format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
}

async fn time(client: &Client) -> Result<String> {
    text(client, &format!("SELECT {}", written("clock_timestamp()"))).await
}

pub(super) async fn batch(client: &Client, sql: &str) -> Result<()> {
    let done = client.batch_execute(sql).await;
    done.map_err(|error| Error::postgres(sql, error))
}

pub(super) async fn texts(client: &Client, sql: &str) -> Result<Vec<String>> {
    use tokio_postgres::SimpleQueryMessage as Message;
    let answer = client.simple_query(sql).await;
    let answer = answer.map_err(|error| Error::postgres(sql, error))?;
    let rows = answer.into_iter().filter_map(|message| match message {
        Message::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    Ok(rows.collect())
}

async fn text(client: &Client, sql: &str) -> Result<String> {
    let found = texts(client, sql).await?.pop();
    found.ok_or_else(|| Error::Stored(format!("no answer to {sql}")))
}
