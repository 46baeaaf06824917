//! What somebody should be told: an outbox that is written in the transaction that it tells of, and who
//! was told, channel by channel.
//!
//! Whoever sends a delivery first moves the time of its next try past his own lease; so no two send it at
//! once, and what a killed sender had in hand comes again by itself.
//!
//! What is dated more than an hour ahead, or put off for longer than the day that a receiver may ask for, was written by
//! a clock that has been set back since: it silences nothing and waits no more.
//!
//! Not here: what is worth telling, in which words, and sending it (`pipeline`).

use catalog::Instant;

use crate::error::{Error, Result};
use crate::open::Warehouse;
use crate::params;
use crate::turns::Turn;
use crate::tx::Tx;
use crate::value::Row;

/// Something to be told. Its texts hold no secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAlert {
    /// Its id, which no other alert has.
    pub id: String,
    /// Another of the same key within `window_seconds` is counted and not told again.
    pub key: String,
    /// What it is about, as a word.
    pub kind: String,
    /// How bad it is, as a word.
    pub severity: String,
    /// The run that it is about.
    pub run: Option<String>,
    /// What happened, in a line.
    pub title: String,
    /// What else is to be said, as JSON.
    pub details: String,
    /// See `key`.
    pub window_seconds: i64,
    /// Who is to be told.
    pub channels: Vec<String>,
}

/// An alert of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub kind: String,
    /// How bad it is.
    pub severity: String,
    /// The run that it is about.
    pub run: Option<String>,
    /// What happened.
    pub title: String,
    /// What else is to be said, as JSON.
    pub details: String,
    /// How often it happened within the time in which it is told once.
    pub seen: i64,
    /// The database's time at which it happened first.
    pub first_at: Instant,
    /// And last.
    pub last_at: Instant,
    /// Who is told, in the order of the channels' names.
    pub deliveries: Vec<DeliveryRow>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryState {
    /// To be sent.
    Waiting,
    /// Taken by the other side.
    Sent,
    /// Given up.
    Failed,
    /// It waited when the backup was made that was restored since: only a person lets it be sent.
    Held,
}

impl DeliveryState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Sent, Self::Failed, Self::Held];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }

    /// The state of a stored word.
    pub fn parse(word: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| Error::Stored(format!("{word:?} is no state of a delivery")))
    }
}

/// An alert on its way to a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
    /// The channel's name.
    pub channel: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries so far.
    pub tries: i64,
    /// When it is tried next, while it waits.
    pub next_at: Instant,
    /// When it was sent.
    pub sent_at: Option<Instant>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// The right to send an alert to a channel, for as long as was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedDelivery {
    /// What is sent.
    pub alert: AlertRow,
    /// To whom.
    pub channel: String,
    /// The number of this try, from 1.
    pub tries: i64,
}

const ALERT_COLUMNS: &str =
    "a.id, a.kind, a.severity, a.run_id, a.title, a.details, a.seen, a.first_at, a.last_at";

/// Writes an alert, or counts it where its trouble was told of a short time ago. To be the last statement of a
/// transaction: whoever else has something to tell waits for its end.
pub(crate) async fn tell(tx: &mut Tx, alert: &NewAlert) -> Result<()> {
    Turn::Alert.take(tx).await?;
    let counted = tx
        .execute(
            "UPDATE alerts SET seen = seen + 1, last_at = {now} WHERE id = (
                SELECT id FROM alerts WHERE dedup_key = $1
                    AND first_at > {earlier:$2} AND first_at < {later:3600}
                ORDER BY first_at DESC, id LIMIT 1)",
            params![&alert.key, alert.window_seconds],
        )
        .await?;
    if counted > 0 {
        return Ok(());
    }
    let made = tx
        .execute(
            "INSERT INTO alerts (id, dedup_key, kind, severity, run_id, title, details, seen, first_at,
                last_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1, {now}, {now}) ON CONFLICT DO NOTHING",
            params![
                &alert.id,
                &alert.key,
                &alert.kind,
                &alert.severity,
                alert.run.as_deref(),
                &alert.title,
                &alert.details,
            ],
        )
        .await?;
    // It had been written, and only the answer was lost.
    if made == 1 {
        ask_to_send(tx, &alert.id, &alert.channels).await?;
    }
    Ok(())
}

/// The same for the end of a run, unless a step of it has told the same since it began.
pub(crate) async fn tell_end(tx: &mut Tx, alert: &NewAlert, run: &str) -> Result<()> {
    Turn::Alert.take(tx).await?;
    let sql = "SELECT 1 FROM alerts a JOIN runs r ON r.id = $2
         WHERE a.dedup_key = $1 AND a.last_at > r.created_at AND a.last_at < {later:3600} LIMIT 1";
    let known = params![&alert.key, run];
    if tx.row(sql, known).await?.is_some() {
        return Ok(());
    }
    tell(tx, alert).await
}

async fn ask_to_send(tx: &mut Tx, id: &str, channels: &[String]) -> Result<()> {
    for channel in channels {
        tx.execute(
            "INSERT INTO alert_deliveries (alert_id, channel, state, tries, next_at)
             VALUES ($1, $2, 'waiting', 0, {now}) ON CONFLICT DO NOTHING",
            params![id, channel],
        )
        .await?;
    }
    Ok(())
}

impl Warehouse {
    /// Writes an alert that no other transaction tells of, or counts it. Nothing is done where one of the
    /// same key was written or counted at `since` or later: it is this one, told by whoever failed.
    pub async fn tell_alert(&self, alert: &NewAlert, since: Option<Instant>) -> Result<()> {
        let mut tx = self.begin().await?;
        Turn::Alert.take(&mut tx).await?;
        if let Some(since) = since {
            let sql = "SELECT 1 FROM alerts WHERE dedup_key = $1 AND last_at >= $2
                AND last_at < {later:3600} LIMIT 1";
            let known = params![&alert.key, since];
            if tx.row(sql, known).await?.is_some() {
                return tx.end().await;
            }
        }
        tell(&mut tx, alert).await?;
        tx.commit().await
    }

    /// Takes over an alert that was kept elsewhere while the warehouse was away, with who has been told of
    /// it; where its trouble had been told of here already, it is counted. Taken twice it is there once.
    pub async fn take_alert(&self, key: &str, window_seconds: i64, row: &AlertRow) -> Result<()> {
        let mut tx = self.begin().await?;
        Turn::Alert.take(&mut tx).await?;
        let sql = "SELECT 1 FROM alerts WHERE id = $1";
        if tx.row(sql, params![&row.id]).await?.is_some() {
            return tx.end().await;
        }
        let from = row
            .first_at
            .plus_millis(window_seconds.saturating_mul(-1000));
        let counted = tx
            .execute(
                "UPDATE alerts SET seen = seen + $4,
                    last_at = CASE WHEN last_at < $5 THEN $5 ELSE last_at END
                 WHERE id = (SELECT id FROM alerts WHERE dedup_key = $1 AND first_at > $2
                    AND first_at <= $3 ORDER BY first_at DESC, id LIMIT 1)",
                params![key, from, row.first_at, row.seen, row.last_at],
            )
            .await?;
        if counted == 0 {
            insert_taken(&mut tx, key, row).await?;
        }
        tx.commit().await
    }

    /// Takes the delivery to a channel that has waited longest, for `lease_seconds`; `None`: nothing is
    /// due.
    pub async fn claim_delivery(
        &self,
        channel: &str,
        lease_seconds: i64,
    ) -> Result<Option<ClaimedDelivery>> {
        let mut tx = self.begin().await?;
        let sql = "SELECT alert_id FROM alert_deliveries
             WHERE channel = $1 AND state = 'waiting' AND (next_at <= {now} OR next_at > {later:90000})
             ORDER BY next_at, alert_id LIMIT 1 {skip locked}";
        let Some(row) = tx.row(sql, params![channel]).await? else {
            tx.end().await?;
            return Ok(None);
        };
        let id = row.text(0)?;
        let row = tx
            .row(
                "UPDATE alert_deliveries SET tries = tries + 1, next_at = {later:$3}
                 WHERE alert_id = $1 AND channel = $2 RETURNING tries",
                params![&id, channel, lease_seconds],
            )
            .await?;
        let tries = row.map_or(Ok(0), |row| row.int(0))?;
        let sql = format!("SELECT {ALERT_COLUMNS} FROM alerts a WHERE a.id = $1");
        let row = tx.row(&sql, params![&id]).await?;
        tx.commit().await?;
        let row = row.ok_or_else(|| Error::Stored(format!("a delivery of no alert ({id})")))?;
        Ok(Some(ClaimedDelivery {
            alert: alert(&row)?,
            channel: channel.to_owned(),
            tries,
        }))
    }

    /// Notes that a delivery was taken by the other side; whether it was still this try's.
    pub async fn delivered(&self, claimed: &ClaimedDelivery) -> Result<bool> {
        let mut tx = self.begin().await?;
        let count = tx
            .execute(
                "UPDATE alert_deliveries SET state = 'sent', sent_at = {now}, error = NULL
                 WHERE alert_id = $1 AND channel = $2 AND tries = $3 AND state = 'waiting'",
                params![&claimed.alert.id, &claimed.channel, claimed.tries],
            )
            .await?;
        tx.commit().await?;
        Ok(count == 1)
    }

    /// Notes that a try failed; it is made again after `pause_seconds`, `None`: it is given up.
    pub async fn not_delivered(
        &self,
        claimed: &ClaimedDelivery,
        error: &str,
        pause_seconds: Option<i64>,
    ) -> Result<()> {
        let state = match pause_seconds {
            Some(_) => DeliveryState::Waiting,
            None => DeliveryState::Failed,
        };
        let mut tx = self.begin().await?;
        tx.execute(
            "UPDATE alert_deliveries SET state = $4, error = $5, next_at = {later:$6}
             WHERE alert_id = $1 AND channel = $2 AND tries = $3 AND state = 'waiting'",
            params![
                &claimed.alert.id,
                &claimed.channel,
                claimed.tries,
                state.as_str(),
                error,
                pause_seconds.unwrap_or(0),
            ],
        )
        .await?;
        tx.commit().await
    }

    /// Lets an alert be sent again at once: to channels that were not told, from the first try on. Whether
    /// there is one of that id.
    pub async fn retry_alert(&self, id: &str, channels: &[String]) -> Result<bool> {
        let mut tx = self.begin().await?;
        let sql = "SELECT 1 FROM alerts WHERE id = $1";
        if tx.row(sql, params![id]).await?.is_none() {
            tx.end().await?;
            return Ok(false);
        }
        tx.execute(
            "UPDATE alert_deliveries SET state = 'waiting', tries = 0, next_at = {now}
             WHERE alert_id = $1 AND state <> 'sent'",
            params![id],
        )
        .await?;
        ask_to_send(&mut tx, id, channels).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// An alert by its id, with its deliveries.
    pub async fn alert(&self, id: &str) -> Result<Option<AlertRow>> {
        let mut tx = self.read().await?;
        let sql = format!("SELECT {ALERT_COLUMNS} FROM alerts a WHERE a.id = $1");
        let row = tx.row(&sql, params![id]).await?;
        let mut found = row.map(|row| alert(&row)).transpose()?;
        if let Some(alert) = &mut found {
            alert.deliveries = deliveries(&mut tx, &alert.id).await?;
        }
        tx.commit().await?;
        Ok(found)
    }

    /// The newest alerts first, `limit` at most, with their deliveries.
    pub async fn alerts(&self, limit: i64) -> Result<Vec<AlertRow>> {
        let mut tx = self.read().await?;
        let sql =
            format!("SELECT {ALERT_COLUMNS} FROM alerts a ORDER BY a.first_at DESC, a.id LIMIT $1");
        let rows = tx.rows(&sql, params![limit]).await?;
        let mut all = rows.iter().map(alert).collect::<Result<Vec<_>>>()?;
        for alert in &mut all {
            alert.deliveries = deliveries(&mut tx, &alert.id).await?;
        }
        tx.commit().await?;
        Ok(all)
    }

    /// The counts, as JSON, of the newest runs of a scope whose steps all ended, `limit` at most, without
    /// this one.
    pub async fn past_totals(&self, id: &str, scope_key: &str, limit: i64) -> Result<Vec<String>> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "SELECT totals FROM runs WHERE scope_key = $2 AND state = 'done' AND id <> $1
                    AND totals IS NOT NULL ORDER BY number DESC LIMIT $3",
                params![id, scope_key, limit],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| row.text(0)).collect()
    }
}

async fn insert_taken(tx: &mut Tx, key: &str, row: &AlertRow) -> Result<()> {
    tx.execute(
        "INSERT INTO alerts (id, dedup_key, kind, severity, run_id, title, details, seen, first_at,
            last_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            &row.id,
            key,
            &row.kind,
            &row.severity,
            row.run.as_deref(),
            &row.title,
            &row.details,
            row.seen,
            row.first_at,
            row.last_at,
        ],
    )
    .await?;
    for delivery in &row.deliveries {
        tx.execute(
            "INSERT INTO alert_deliveries (alert_id, channel, state, tries, next_at, sent_at, error)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            params![
                &row.id,
                &delivery.channel,
                delivery.state.as_str(),
                delivery.tries,
                delivery.next_at,
                delivery.sent_at,
                delivery.error.as_deref(),
            ],
        )
        .await?;
    }
    Ok(())
}

async fn deliveries(tx: &mut Tx, id: &str) -> Result<Vec<DeliveryRow>> {
    let sql = "SELECT channel, state, tries, next_at, sent_at, error FROM alert_deliveries
         WHERE alert_id = $1 ORDER BY channel";
    let rows = tx.rows(sql, params![id]).await?;
    let delivery = |row: &Row| {
        Ok(DeliveryRow {
            channel: row.text(0)?,
            state: DeliveryState::parse(&row.text(1)?)?,
            tries: row.int(2)?,
            next_at: row.time(3)?,
            sent_at: row.opt_time(4)?,
            error: row.opt_text(5)?,
        })
    };
    rows.iter().map(delivery).collect()
}

fn alert(row: &Row) -> Result<AlertRow> {
    Ok(AlertRow {
        id: row.text(0)?,
        kind: row.text(1)?,
        severity: row.text(2)?,
        run: row.opt_text(3)?,
        title: row.text(4)?,
        details: row.text(5)?,
        seen: row.int(6)?,
        first_at: row.time(7)?,
        last_at: row.time(8)?,
        deliveries: Vec::new(),
    })
}
