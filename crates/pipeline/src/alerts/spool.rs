//! Alerts that could not be written into the warehouse: a folder with a file for each, from which they are
//! sent until the warehouse is back and takes them over.
//!
//! Not here: alerts of the outbox (`post`), what is worth telling (`judge`).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use catalog::Instant;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant as Moment, sleep};
use warehouse::{AlertRow, DeliveryRow, DeliveryState, NewAlert, Warehouse};

use super::channel::{Channel, NotSent, Sender};
use super::post::{Posted, pause};
use crate::{Clock, disk};

/// Alerts that are kept at most; another one is refused.
pub const MAX_SPOOLED: usize = 200;

/// Bytes of a file at most.
const MAX_BYTES: u64 = 64 << 10;

/// How long another process of the same folder is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether that has ended.
const TURN: Duration = Duration::from_millis(50);

/// The folder, for this process alone.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    _alone: File,
}

/// A file: the alert, and how far it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spooled {
    id: String,
    key: String,
    window_seconds: i64,
    kind: String,
    severity: String,
    run: Option<String>,
    title: String,
    details: String,
    seen: i64,
    first_at: String,
    last_at: String,
    channels: Vec<Told>,
}

/// A channel that is to be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    channel: String,
    state: String,
    tries: i64,
    next_at: String,
    sent_at: Option<String>,
    error: Option<String>,
}

impl Spool {
    /// Where they are in a data folder.
    pub fn folder(data_dir: &Path) -> PathBuf {
        data_dir.join("alerts")
    }

    /// Removes what killed processes left half written, or only counts it (`dry`). What has no name of ours is
    /// left alone, and so is a folder that is a link.
    pub(crate) async fn clean(folder: &Path, dry: bool) -> io::Result<u64> {
        let found = drafts(folder)?;
        if found.is_empty() || dry {
            return Ok(found.len() as u64);
        }
        // Whoever holds it may be writing one of them.
        let _alone = match Self::open(folder).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(0),
            spool => spool?,
        };
        let left = drafts(folder)?;
        for draft in &left {
            std::fs::remove_file(draft)?;
        }
        Ok(left.len() as u64)
    }

    /// Takes the folder, which is made if need be.
    pub async fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        let end = Moment::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::Error(error)) => return Err(error),
                Err(std::fs::TryLockError::WouldBlock) if Moment::now() < end => sleep(TURN).await,
                Err(std::fs::TryLockError::WouldBlock) => {
                    let why = format!("another process has held {} for long", folder.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            _alone: lock,
        })
    }

    /// The same where there is anything in it; looking makes nothing.
    pub async fn open_filled(folder: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                let is_alert = |entry: io::Result<std::fs::DirEntry>| {
                    entry.is_ok_and(|entry| alert_id(&entry.path()).is_some())
                };
                if !entries.into_iter().any(is_alert) {
                    return Ok(None);
                }
                Self::open(folder).await.map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps an alert, or counts it where the same trouble was kept a short time ago; at `since` or later it
    /// is this one, kept by whoever failed.
    pub fn keep(&self, alert: &NewAlert, since: Option<Instant>, now: Instant) -> io::Result<()> {
        let all = self.all()?;
        let earliest = now.plus_millis(alert.window_seconds.saturating_mul(-1000));
        let same = |(spooled, row): &&(Spooled, AlertRow)| {
            spooled.key == alert.key && row.first_at > earliest
        };
        if let Some((spooled, row)) = all.iter().find(same) {
            if since.is_some_and(|since| row.last_at >= since) {
                return Ok(());
            }
            let mut spooled = spooled.clone();
            spooled.seen += 1;
            spooled.last_at = now.to_string();
            return self.write(&spooled);
        }
        if all.len() >= MAX_SPOOLED {
            let why = format!("{MAX_SPOOLED} alerts wait for the warehouse already");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        let told = |channel: &String| Told {
            channel: channel.clone(),
            state: DeliveryState::Waiting.as_str().to_owned(),
            tries: 0,
            next_at: now.to_string(),
            sent_at: None,
            error: None,
        };
        self.write(&Spooled {
            id: alert.id.clone(),
            key: alert.key.clone(),
            window_seconds: alert.window_seconds,
            kind: alert.kind.clone(),
            severity: alert.severity.clone(),
            run: alert.run.clone(),
            title: alert.title.clone(),
            details: alert.details.clone(),
            seen: 1,
            first_at: now.to_string(),
            last_at: now.to_string(),
            channels: alert.channels.iter().map(told).collect(),
        })
    }

    /// Gives all alerts to the warehouse, one by one, with who has been told of them; how many. One that it does
    /// not take stays a file and keeps no other from it.
    pub async fn hand_over(&self, warehouse: &Warehouse) -> crate::Result<usize> {
        let failed = |source| crate::Error::Machine {
            what: format!("the alerts in {}", self.folder.display()),
            source,
        };
        let mut given = 0;
        for (spooled, row) in &self.all().map_err(failed)? {
            let (key, window) = (&spooled.key, spooled.window_seconds);
            let file = self.file(&spooled.id);
            match warehouse.take_alert(key, window, row).await {
                Ok(()) => std::fs::remove_file(file).map_err(failed)?,
                Err(error @ (warehouse::Error::Row(_) | warehouse::Error::Statement { .. })) => {
                    tracing::warn!(%error, file = %file.display(), "an alert that the warehouse does not take is left");
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            given += 1;
        }
        Ok(given)
    }

    /// Sends what is due within a time, to all channels side by side: one that hangs keeps no other waiting.
    /// A channel that fails is not tried with the next alert.
    pub async fn post(&self, sender: &Sender, limit: Duration) -> io::Result<Posted> {
        let end = Moment::now() + limit;
        let (kept, rows): (Vec<Spooled>, Vec<AlertRow>) = self.all()?.into_iter().unzip();
        let kept = Mutex::new(kept);
        let channels = sender.channels().iter();
        let all = channels.map(|channel| self.post_to(sender, channel, (&kept, &rows), end));
        Posted::sum(join_all(all).await)
    }

    async fn post_to(
        &self,
        sender: &Sender,
        channel: &Channel,
        (kept, rows): (&Mutex<Vec<Spooled>>, &[AlertRow]),
        end: Moment,
    ) -> io::Result<Posted> {
        let mut posted = Posted::default();
        for (number, row) in rows.iter().enumerate() {
            let left = end.saturating_duration_since(Moment::now());
            let now = Clock::System.now().to_string();
            let due = kept.lock().unwrap_or_else(PoisonError::into_inner)[number]
                .channels
                .iter()
                .position(|told| {
                    told.channel == channel.name()
                        && told.state == DeliveryState::Waiting.as_str()
                        && told.next_at <= now
                });
            let Some(index) = due.filter(|_| !left.is_zero()) else {
                continue;
            };
            let result = sender.post(channel, row, left).await;
            let failed = result.is_err();
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            self.note(&mut kept[number], index, result)?;
            if failed {
                posted.failed += 1;
                break;
            }
            posted.sent += 1;
        }
        Ok(posted)
    }

    /// Notes what became of a message.
    fn note(
        &self,
        spooled: &mut Spooled,
        index: usize,
        result: Result<(), NotSent>,
    ) -> io::Result<()> {
        let now = Clock::System.now();
        if let Some(told) = spooled.channels.get_mut(index) {
            told.tries += 1;
            match result {
                Ok(()) => {
                    told.state = DeliveryState::Sent.as_str().into();
                    told.sent_at = Some(now.to_string());
                    told.error = None;
                }
                Err(not) => {
                    told.error = Some(not.why);
                    match pause(told.tries, not.wait) {
                        Some(seconds) => {
                            let next = now.plus_millis(seconds.saturating_mul(1000));
                            told.next_at = next.to_string();
                        }
                        None => told.state = DeliveryState::Failed.as_str().into(),
                    }
                }
            }
        }
        self.write(spooled)
    }

    fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn write(&self, spooled: &Spooled) -> io::Result<()> {
        let text = serde_json::to_string(spooled).map_err(io::Error::from)?;
        disk::write_whole(&self.file(&spooled.id), &text)
    }

    /// All alerts, the oldest first. A file that is none is told in the log and left.
    fn all(&self) -> io::Result<Vec<(Spooled, AlertRow)>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(id) = alert_id(&path) else { continue };
            match read(&path) {
                Ok((spooled, row)) if spooled.id == id => all.push((spooled, row)),
                Ok(_) => tracing::warn!(file = %path.display(), "an alert of another name is left"),
                Err(why) => tracing::warn!(file = %path.display(), why, "no alert: it is left"),
            }
        }
        all.sort_by_key(|(_, row)| row.first_at);
        Ok(all)
    }
}

/// Files of a folder that were begun and never got their name; a bounded number of them.
fn drafts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::symlink_metadata(folder) {
        Ok(found) if found.is_symlink() => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let mut drafts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_draft = named(&entry.path(), disk::DRAFT).is_some() && entry.file_type()?.is_file();
        if is_draft && drafts.len() < MAX_SPOOLED {
            drafts.push(entry.path());
        }
    }
    Ok(drafts)
}

/// The id in a file's name.
fn alert_id(path: &Path) -> Option<String> {
    named(path, "json")
}

fn named(path: &Path, extension: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let id = name.strip_suffix(extension)?.strip_suffix('.')?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

fn read(path: &Path) -> Result<(Spooled, AlertRow), String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(MAX_BYTES).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    let spooled: Spooled = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let row = row(&spooled)?;
    Ok((spooled, row))
}

fn row(spooled: &Spooled) -> Result<AlertRow, String> {
    let instant = |text: &str| text.parse::<Instant>().map_err(|error| error.to_string());
    let delivery = |told: &Told| {
        Ok::<_, String>(DeliveryRow {
            channel: told.channel.clone(),
            state: DeliveryState::parse(&told.state).map_err(|error| error.to_string())?,
            tries: told.tries,
            next_at: instant(&told.next_at)?,
            sent_at: told.sent_at.as_deref().map(instant).transpose()?,
            error: told.error.clone(),
        })
    };
    Ok(AlertRow {
        id: spooled.id.clone(),
        kind: spooled.kind.clone(),
        severity: spooled.severity.clone(),
        run: spooled.run.clone(),
        title: spooled.title.clone(),
        details: spooled.details.clone(),
        seen: spooled.seen,
        first_at: instant(&spooled.first_at)?,
        last_at: instant(&spooled.last_at)?,
        deliveries: spooled
            .channels
            .iter()
            .map(delivery)
            .collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: u8, key: &str) -> NewAlert {
        NewAlert {
            id: format!("{id:032x}"),
            key: key.into(),
            kind: "exit-30".into(),
            severity: "critical".into(),
            run: Some("r".into()),
            title: "the warehouse was lost".into(),
            details: "{}".into(),
            window_seconds: 60,
            channels: vec!["slack".into()],
        }
    }

    fn at(seconds: i64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[tokio::test]
    async fn the_same_trouble_is_one_file_within_the_window() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("alerts");
        assert!(Spool::open_filled(&place).await.expect("none").is_none());
        assert!(!place.exists(), "looking makes nothing");
        let spool = Spool::open(&place).await.expect("a spool");
        for (id, key, seconds) in [(1, "k", 0), (2, "k", 59), (3, "l", 59), (4, "k", 60)] {
            spool
                .keep(&alert(id, key), None, at(seconds))
                .expect("kept");
        }
        // What began before the last one is the last one, told once more.
        let again = spool.keep(&alert(5, "l"), Some(at(59)), at(61));
        again.expect("an answer");
        let all = spool.all().expect("alerts");
        let seen: Vec<_> = all
            .iter()
            .map(|(spooled, row)| (spooled.key.as_str(), row.seen, row.last_at))
            .collect();
        assert_eq!(seen, [("k", 2, at(59)), ("l", 1, at(59)), ("k", 1, at(60))]);
        drop(spool);
        assert!(Spool::open_filled(&place).await.expect("it").is_some());
    }

    #[tokio::test]
    async fn what_is_no_alert_is_left_and_there_is_an_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(folder.path()).await.expect("a spool");
        let torn = spool.file(&format!("{:032x}", 255));
        std::fs::write(&torn, "{\"id\":").expect("a file");
        std::fs::write(folder.path().join("notes.json"), "{}").expect("a file");
        for number in 0..MAX_SPOOLED {
            let id = u8::try_from(number).expect("few");
            spool
                .keep(&alert(id, &number.to_string()), None, at(0))
                .expect("kept");
        }
        assert_eq!(spool.all().expect("alerts").len(), MAX_SPOOLED);
        let one_more = spool.keep(&alert(250, "more"), None, at(0));
        assert!(one_more.is_err());
        spool
            .keep(&alert(251, "7"), None, at(1))
            .expect("counted all the same");
        assert!(torn.exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_alert_that_the_warehouse_does_not_take_keeps_no_other_from_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tiki.db");
        let options = warehouse::Options::default();
        let warehouse = Warehouse::open(&format!("sqlite:{}", file.display()), &options).await;
        let warehouse = warehouse.expect("a warehouse");
        warehouse.migrate("public").await.expect("a schema");
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON alerts WHEN NEW.dedup_key = 'bad'
            BEGIN SELECT RAISE(ABORT, 'refused'); END";
        let beside = rusqlite::Connection::open(&file).expect("the file");
        beside.execute_batch(refuse).expect("a trigger");
        let spool = Spool::open(&folder.path().join("alerts")).await;
        let spool = spool.expect("a spool");
        for (id, key) in [(1, "bad"), (2, "good")] {
            spool.keep(&alert(id, key), None, at(0)).expect("kept");
        }
        assert_eq!(spool.hand_over(&warehouse).await.expect("given"), 1);
        let left = spool.all().expect("alerts");
        let left: Vec<&str> = left.iter().map(|(kept, _)| kept.key.as_str()).collect();
        assert_eq!(left, ["bad"]);
        let sql = "SELECT dedup_key FROM alerts";
        let there: String = beside.query_row(sql, [], |row| row.get(0)).expect("one");
        assert_eq!(there, "good");
    }

    #[tokio::test]
    async fn two_processes_take_turns() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Spool::open(folder.path()).await.expect("a spool");
        let place = folder.path().to_owned();
        let second = tokio::spawn(async move { Spool::open(&place).await });
        sleep(TURN * 3).await;
        assert!(!second.is_finished());
        drop(first);
        second.await.expect("no panic").expect("a spool");
    }
}
