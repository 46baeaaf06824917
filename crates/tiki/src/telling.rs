//! Telling what went wrong: at the end of a command, and every half minute in `tiki serve`. What the
//! warehouse cannot take is kept in the data folder and sent from there.
//!
//! Not here: what is worth telling and how it is sent (`pipeline::alerts`), the command (`alerts`).

use std::path::PathBuf;
use std::time::Duration;

use catalog::{Instant, one_line};
use pipeline::alerts::{Command, Sender, Spool, Trust, as_row, away, command_failed, watch};
use pipeline::{Clock, Exit};
use tokio::time::{sleep, timeout};
use warehouse::{NewAlert, Warehouse};

use crate::failure::{Failure, Outcome};
use crate::{Context, open};

/// How long sending may take at the end of a run or step.
const AT_THE_END: Duration = Duration::from_secs(4);

/// How long it may take in all there, the warehouse's part included.
const AT_THE_END_IN_ALL: Duration = Duration::from_secs(6);

/// How long sending may take where nobody waits for it.
const UNHURRIED: Duration = Duration::from_secs(15);

/// How long a warehouse may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often `tiki serve` looks and sends.
const ROUND: Duration = Duration::from_secs(30);

/// A warehouse that is away for so long is told by `tiki serve`: a restart takes less.
const AWAY_MILLIS: i64 = 5 * 60_000;

/// Characters of an error in a log.
const SHOWN_CHARS: usize = 400;

/// What a command works on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doing<'a> {
    /// Its words, such as `run`.
    pub(crate) words: &'a str,
    /// Whose runs; empty: nobody's.
    pub(crate) owner: &'a str,
    /// The run, where it is known.
    pub(crate) run: Option<&'a str>,
    /// When it began: what was told since then needs not be told again.
    pub(crate) since: Instant,
}

impl<'a> Doing<'a> {
    /// Begins now.
    pub(crate) fn now(words: &'a str, owner: &'a str, run: Option<&'a str>) -> Self {
        Self {
            words,
            owner,
            run,
            since: Clock::System.now(),
        }
    }

    /// Tells that it failed, unless somebody has told it by now.
    pub(crate) async fn failed(&self, context: &Context, failure: &Failure) {
        if !failure.is_no_trouble() {
            self.ended(context, Some(failure.exit), &failure.line())
                .await;
        }
    }

    /// Tells that it ended with this, or was killed, unless somebody has told it by now.
    pub(crate) async fn ended(&self, context: &Context, exit: Option<Exit>, seen: &str) {
        let rules = &context.config.pipeline.alerts;
        let command = Command {
            words: self.words,
            owner: self.owner,
            run: self.run,
            exit,
            seen,
        };
        let Some(alert) = command_failed(&command, rules).filter(|_| !rules.channels.is_empty())
        else {
            return;
        };
        let why = match timeout(PATIENCE, write(context, &alert, self.since)).await {
            Ok(Ok(Some(warehouse))) => return send(context, &warehouse).await,
            Ok(Ok(None)) => "there is no warehouse yet".to_owned(),
            Ok(Err(failure)) => one_line(&failure.line(), SHOWN_CHARS),
            Err(_) => "the warehouse did not answer in time".to_owned(),
        };
        tracing::info!(alert = alert.id, why, "an alert is kept in the data folder");
        keep(context, &alert, Some(self.since)).await;
    }
}

/// Who sends to the channels that are set.
pub(crate) fn sender(context: &Context) -> Outcome<Sender> {
    let trust = match &context.config.alert_ca {
        None => Trust::default(),
        Some(path) => {
            let what = format!("TIKI_ALERT_CA: cannot use {}", path.display());
            let pem = std::fs::read(path);
            let pem = pem.map_err(|error| Failure::usage(what.clone()).because(&error))?;
            let help = "it is to hold certificates in PEM: -----BEGIN CERTIFICATE-----";
            Trust::from_pem(&pem).ok_or_else(|| Failure::usage(what).help(help))?
        }
    };
    Sender::new(
        context.config.hooks.channels(),
        trust,
        context.config.alert_proxy.clone(),
    )
    .map_err(|error| Failure::new(Exit::Bug, "alerts cannot be sent").because(&error))
}

/// The same where there are any; that none can be made is warned of.
fn any_sender(context: &Context) -> Option<Sender> {
    let made = sender(context).map_err(|failure| context.screen.warn(&failure.line()));
    made.ok().filter(|sender| !sender.channels().is_empty())
}

/// Sends what is due, within a few seconds and whatever becomes of it: nothing of a run depends on it.
pub(crate) async fn send(context: &Context, warehouse: &Warehouse) {
    if context.stop.is_said() {
        return;
    }
    let Some(sender) = any_sender(context) else {
        return;
    };
    let sending = async {
        if let Err(failure) = hand_over(context, warehouse).await {
            context.screen.warn(&not_handed_over(&failure));
        }
        Ok::<_, Failure>(sender.post_due(warehouse, AT_THE_END).await?)
    };
    let what = match timeout(AT_THE_END_IN_ALL, sending).await {
        Ok(Ok(posted)) if posted.failed == 0 => return,
        Ok(Ok(_)) => "an alert was not sent and is tried again: `tiki alerts` tells why".to_owned(),
        Ok(Err(failure)) => format!("alerts were not sent: {}", failure.line()),
        Err(_) => "alerts were not sent in time".to_owned(),
    };
    context.screen.warn(&what);
}

/// Looks and sends until the wish to stop is heard.
pub(crate) async fn keep_telling(context: &Context) {
    let Some(sender) = any_sender(context) else {
        return;
    };
    let mut absence = Absence::default();
    while !context.stop.is_said() {
        tokio::select! {
            () = round(context, &sender, &mut absence) => {}
            () = context.stop.heard() => return,
        }
        tokio::select! {
            () = sleep(ROUND) => {}
            () = context.stop.heard() => {}
        }
    }
}

/// Since when the warehouse is away, and when that was told.
#[derive(Debug, Default)]
struct Absence {
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Absence {
    /// Whether it is time to tell, after it was away once more.
    fn is_due(&mut self, now: Instant, window_millis: i64) -> Option<Instant> {
        let since = *self.since.get_or_insert(now);
        let told = self.told;
        let again = told.is_none_or(|told| now.millis_since(told) >= window_millis);
        (now.millis_since(since) >= AWAY_MILLIS && again).then(|| {
            self.told = Some(now);
            since
        })
    }
}

async fn round(context: &Context, sender: &Sender, absence: &mut Absence) {
    let rules = &context.config.pipeline.alerts;
    let seen = match timeout(PATIENCE, open::to_tell(context, PATIENCE)).await {
        Ok(Ok(Some(warehouse))) => {
            *absence = Absence::default();
            return match look(context, &warehouse, sender).await {
                Ok(()) => {}
                Err(failure) => {
                    tracing::warn!(why = failure.line(), "alerts cannot be looked after");
                }
            };
        }
        Ok(Ok(None)) => return,
        Ok(Err(error)) => Failure::from(error).line(),
        Err(_) => format!("no answer in {PATIENCE:?}"),
    };
    let now = Clock::System.now();
    let window = i64::try_from(rules.window.as_millis()).unwrap_or(i64::MAX);
    let due = absence.is_due(now, window);
    if let Some(alert) = due.and_then(|since| away(&seen, since, rules)) {
        return keep(context, &alert, None).await;
    }
    match Spool::open_filled(&folder(context)).await {
        Ok(Some(spool)) => post(context, &spool, sender).await,
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "kept alerts cannot be read"),
    }
}

/// What is kept there keeps nothing else from being told.
fn not_handed_over(failure: &Failure) -> String {
    format!(
        "alerts that are kept in the data folder stay there: {}",
        failure.line()
    )
}

/// Tells what is seen in a warehouse that is there, and sends what is due.
async fn look(context: &Context, warehouse: &Warehouse, sender: &Sender) -> Outcome<()> {
    let rules = &context.config.pipeline.alerts;
    if let Err(failure) = hand_over(context, warehouse).await {
        tracing::warn!("{}", not_handed_over(&failure));
    }
    let now = warehouse.time().await?;
    for alert in watch(warehouse, rules, &context.config.data_dir).await? {
        let window = alert.window_seconds.saturating_mul(-1000);
        warehouse
            .tell_alert(&alert, Some(now.plus_millis(window)))
            .await?;
    }
    sender.post_due(warehouse, UNHURRIED).await?;
    Ok(())
}

async fn write(context: &Context, alert: &NewAlert, since: Instant) -> Outcome<Option<Warehouse>> {
    let Some(warehouse) = open::to_tell(context, PATIENCE).await? else {
        return Ok(None);
    };
    warehouse.tell_alert(alert, Some(since)).await?;
    Ok(Some(warehouse))
}

/// Keeps an alert in the data folder and sends it from there; where it cannot be kept, it is sent once.
async fn keep(context: &Context, alert: &NewAlert, since: Option<Instant>) {
    let Some(sender) = any_sender(context) else {
        return;
    };
    let folder = folder(context);
    let now = Clock::System.now();
    let kept = match Spool::open(&folder).await {
        Ok(spool) => spool.keep(alert, since, now).map(|()| spool),
        Err(error) => Err(error),
    };
    match kept {
        Ok(spool) => post(context, &spool, &sender).await,
        Err(error) => {
            context.screen.warn(&format!(
                "an alert cannot be kept in {} and is sent once: {error}",
                folder.display()
            ));
            for channel in sender.channels() {
                let row = as_row(alert, now);
                if let Err(why) = sender.send(channel, &row, AT_THE_END).await {
                    context
                        .screen
                        .warn(&format!("{} was not told: {why}", channel.name()));
                }
            }
        }
    }
}

async fn post(context: &Context, spool: &Spool, sender: &Sender) {
    let what = match spool.post(sender, AT_THE_END).await {
        Ok(posted) if posted.failed == 0 => return,
        Ok(_) => "an alert was not sent and is tried again".to_owned(),
        Err(error) => format!("alerts were not sent: {error}"),
    };
    context.screen.warn(&what);
}

async fn hand_over(context: &Context, warehouse: &Warehouse) -> Outcome<()> {
    let folder = folder(context);
    let spool = Spool::open_filled(&folder).await;
    let failed = |error| {
        Failure::machine(
            format!("cannot read the alerts in {}", folder.display()),
            &error,
        )
    };
    if let Some(spool) = spool.map_err(failed)? {
        spool.hand_over(warehouse).await?;
    }
    Ok(())
}

/// Where alerts are kept that the warehouse cannot take.
fn folder(context: &Context) -> PathBuf {
    Spool::folder(&context.config.data_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_told_after_five_minutes_and_again_after_the_window() {
        let at = |minutes: i64| Instant::from_millis(minutes * 60_000);
        let window = 60 * 60_000;
        let mut absence = Absence::default();
        for (minute, told) in [
            (0, false),
            (4, false),
            (5, true),
            (6, false),
            (64, false),
            (65, true),
        ] {
            let since = absence.is_due(at(minute), window);
            assert_eq!(since, told.then(|| at(0)), "minute {minute}");
        }
    }
}
