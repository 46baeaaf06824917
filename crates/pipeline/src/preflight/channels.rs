//! Section 23: the channels of alerts.
//!
//! Not here: whether a message arrives (`tiki alerts test`): looking must tell nobody anything.

use super::{passed, warning};
use crate::check::Check;

/// Whether an alert would be sent to anybody: by the names of the channels that are set.
pub fn channels(names: &[&str]) -> Check {
    let name = "alert-channels";
    if names.is_empty() {
        return warning(name, "none is set: nobody is told when a run fails").help(
            "set one of TIKI_ALERT_SMTP_URL, TIKI_ALERT_SLACK_URL, TIKI_ALERT_DISCORD_URL and TIKI_ALERT_WEBHOOK_URL",
        );
    }
    passed(
        name,
        format!("{}; `tiki alerts test` tries them", names.join(", ")),
    )
}
