//! Section 23: the channels of alerts. Alerts belong here, and are not there yet.

use pipeline::Check;
use pipeline::preflight::skipped;

/// Whether an alert would reach somebody.
pub(super) fn channels() -> Check {
    skipped(
        "alert-channels",
        "there are no alerts yet: Airflow shows a failed run, and `tiki health` is for whoever watches",
    )
}
