//! Section 23: the channels of alerts, each of which has just been sent a test message.
//!
//! Not here: sending it (`alerts`).

use super::{failed, passed, warning};
use crate::check::Check;

/// A channel by its name, and why it did not take the message.
pub type Tried = (&'static str, Option<String>);

/// Whether an alert would reach somebody.
pub fn channels(tried: &[Tried]) -> Check {
    let name = "alert-channels";
    if tried.is_empty() {
        return warning(name, "none is set: nobody is told when a run fails").help(
            "set one of TIKI_ALERT_SMTP_URL, TIKI_ALERT_SLACK_URL, TIKI_ALERT_DISCORD_URL and TIKI_ALERT_WEBHOOK_URL",
        );
    }
    let took = |(channel, why): &Tried| match why {
        None => format!("{channel} took a test message"),
        Some(why) => format!("{channel}: {why}"),
    };
    let seen: Vec<String> = tried.iter().map(took).collect();
    if tried.iter().all(|(_, why)| why.is_none()) {
        return passed(name, seen.join("; "));
    }
    failed(name, seen.join("; "))
        .help("mend its address or its receiver, and try again: `tiki alerts test`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn every_channel_must_take_the_message() {
        let why = || Some("it answered 404".to_owned());
        for (tried, state) in [
            (&[] as &[Tried], State::Warning),
            (&[("slack", None), ("mail", None)], State::Ok),
            (&[("slack", None), ("mail", why())], State::Failed),
        ] {
            let check = channels(tried);
            assert_eq!(check.state, state, "{tried:?}");
            assert_eq!(check.seen.contains("404"), state == State::Failed);
        }
    }
}
