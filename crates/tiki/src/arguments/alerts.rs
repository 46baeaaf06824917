//! What can be typed about alerts.

use clap::{Args, Subcommand};

use super::{Output, limit};

const ALERTS_AFTER: &str = "\
Channels are set by TIKI_ALERT_SMTP_URL with TIKI_ALERT_MAIL_TO, TIKI_ALERT_SLACK_URL, \
TIKI_ALERT_DISCORD_URL and TIKI_ALERT_WEBHOOK_URL; what is told by the other settings TIKI_ALERT_… Each may get \
an alert more than once, with the same id (Message-ID of a mail, Idempotency-Key of a webhook). What is due is \
sent at the end of every `tiki run` and `tiki step`.

Exit codes of test: 0 every channel took the message, 1 one of them did not, 99 no channel is set.";

/// Of `tiki alerts`.
#[derive(Debug, Args)]
#[command(after_help = ALERTS_AFTER)]
pub(crate) struct AlertsArguments {
    /// What about them [default: list]
    #[command(subcommand)]
    pub(crate) command: Option<AlertsCommand>,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What about alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// The newest alerts and what became of them, channel by channel
    List {
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = limit())]
        limit: i64,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Send a message to every channel that is set, and tell how that went
    Test {
        /// JSON, for machines
        #[arg(long)]
        json: bool,
    },
    /// Send an alert again now, to the channels that were not told
    Retry {
        /// Its id
        id: String,
        /// JSON, for machines
        #[arg(long)]
        json: bool,
    },
}
