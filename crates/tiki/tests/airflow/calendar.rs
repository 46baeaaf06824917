//! When nothing of a schedule fires.

/// A month in which no test of today's runs, though one of the last year's did.
pub(crate) fn other_month() -> (i16, i8) {
    let today = jiff::ZonedDateTime::now().date();
    let month = (today.month() + 5) % 12 + 1;
    let year = today.year() - i16::from(month >= today.month());
    (year, month)
}

/// A time of the day (hours) in that month, as a cron expression: not while a check runs, whenever that is.
pub(crate) fn not_today(hour: u8) -> String {
    format!("0 {hour} 15 {} *", other_month().1)
}
