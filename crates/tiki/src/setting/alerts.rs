//! The settings of alerts.

use super::table::{DAY, PERCENT, span};
use super::{Setting, secret, setting};
use crate::value::Kind;

pub(super) const ALERTS: &[Setting] = &[
    secret(setting(
        "TIKI_ALERT_SMTP_URL",
        Kind::Smtp,
        "",
        "alerts by mail: the server and who one is there, a password percent-encoded (a path is the name \
         that is said to the server)",
    )),
    setting(
        "TIKI_ALERT_MAIL_TO",
        Kind::Mailboxes,
        "",
        "to whom alerts are mailed, in one message",
    ),
    setting(
        "TIKI_ALERT_MAIL_FROM",
        Kind::Mailboxes,
        "",
        "who they are from (none: the first of TIKI_ALERT_MAIL_TO)",
    ),
    setting(
        "TIKI_ALERT_CA",
        Kind::Text,
        "",
        "a file of certificates (PEM) of authorities that receivers of alerts may have beside the public \
         ones; a relative path begins at the folder of tiki.toml, else at the current folder",
    ),
    secret(setting(
        "TIKI_ALERT_SLACK_URL",
        Kind::Hook { plain: false },
        "",
        "alerts to Slack: the address of an incoming webhook",
    )),
    secret(setting(
        "TIKI_ALERT_DISCORD_URL",
        Kind::Hook { plain: false },
        "",
        "alerts to Discord: the address of a channel's webhook",
    )),
    secret(setting(
        "TIKI_ALERT_WEBHOOK_URL",
        Kind::Hook { plain: true },
        "",
        "alerts to any other receiver: an address that takes JSON by POST",
    )),
    secret(setting(
        "TIKI_ALERT_PROXY",
        Kind::Proxy,
        "",
        "through which proxy Slack, Discord and other receivers that are not on this machine are told, a \
         password percent-encoded; none: without one. Mail takes none",
    )),
    secret(setting(
        "TIKI_ALERT_WEBHOOK_SECRET",
        Kind::Secret,
        "",
        "what these are signed with: the header X-Tiki-Signature is sha256= and the HMAC-SHA256 of \
         X-Tiki-Timestamp, a dot and the body (none: no signature)",
    )),
    setting(
        "TIKI_ALERT_EXITS",
        Kind::Exits,
        "1,2,10,11,20,30,70",
        "exit codes of a run or of one of its steps that are told",
    ),
    setting(
        "TIKI_ALERT_WINDOW",
        span(0, 365 * DAY),
        "6h",
        "the same trouble of the same owner's runs is told once within so long, and counted",
    ),
    setting(
        "TIKI_ALERT_REJECTED_PERCENT",
        PERCENT,
        "5",
        "rejected products in percent of a run's above which there is an alert (100: never)",
    ),
    setting(
        "TIKI_ALERT_UNFETCHED_PERCENT",
        PERCENT,
        "20",
        "details that got no answer in percent of those due above which there is an alert (100: never)",
    ),
    setting(
        "TIKI_ALERT_ITEMS_PERCENT",
        PERCENT,
        "50",
        "listed products in percent of the median of the last runs of the same scope below which there is \
         an alert (0: never)",
    ),
    setting(
        "TIKI_ALERT_MIN_RATE",
        Kind::Number {
            min: 0.0,
            max: 1_000_000.0,
        },
        "0",
        "products a second of a run's details below which there is an alert (0: never)",
    ),
    setting(
        "TIKI_ALERT_MIN_HIT_RATE",
        PERCENT,
        "0",
        "percent of a run's requests that listings and caches saved below which there is an alert (0: never)",
    ),
    setting(
        "TIKI_ALERT_COVERAGE_POINTS",
        PERCENT,
        "20",
        "percentage points by which fewer of a page's objects have a field than in earlier runs, above \
         which there is an alert (100: never)",
    ),
    setting(
        "TIKI_ALERT_STALL",
        span(0, 365 * DAY),
        "1h",
        "an unfinished run without a commit for so long is told by `tiki serve` (0: never)",
    ),
    setting(
        "TIKI_ALERT_REPORT",
        Kind::Word(&["failures", "always"]),
        "failures",
        "whether the report of a run that ended well is sent too",
    ),
];
