//! The figures of all rounds, and the bounds on their ratios.

use std::collections::BTreeMap;

use crate::days::Day;

/// A figure's place: database, day, who.
type Key = (&'static str, i64, &'static str);

/// Rows a second, a figure for every round.
#[derive(Default)]
pub(crate) struct Table {
    figures: BTreeMap<Key, Vec<f64>>,
}

/// How fast ours must be at least: database, day, the other, the ratio.
const BOUNDS: &[(&str, Day, &str, f64)] = &[
    ("PostgreSQL", Day::New, "bare COPY", 0.12),
    ("PostgreSQL", Day::Changed, "bare COPY", 0.3),
    ("PostgreSQL", Day::Unchanged, "bare COPY", 0.33),
    ("PostgreSQL", Day::New, "psycopg COPY", 1.5),
    ("PostgreSQL", Day::Changed, "psycopg COPY", 1.5),
    ("PostgreSQL", Day::Unchanged, "psycopg COPY", 1.5),
    ("PostgreSQL", Day::New, "row by row", 8.0),
    ("PostgreSQL", Day::Changed, "row by row", 8.0),
    ("PostgreSQL", Day::Unchanged, "row by row", 8.0),
    ("SQLite", Day::New, "append", 0.3),
    ("SQLite", Day::Unchanged, "append", 0.7),
];

/// Two connections beside one.
const TWO: f64 = 1.3;

/// The rows of a day and nothing else; of an unchanged day, what is known asked before.
pub(crate) const ALONE: &str = "its rows alone";

/// Whether a database of that name has bounds.
pub(crate) fn has(name: &str) -> bool {
    BOUNDS.iter().any(|(database, ..)| *database == name)
}

impl Table {
    pub(crate) fn add(
        &mut self,
        database: &'static str,
        day: Day,
        who: &'static str,
        rows: i64,
        seconds: f64,
    ) {
        let rate = rows as f64 / seconds;
        self.figures
            .entry((database, day.number(), who))
            .or_default()
            .push(rate);
    }

    /// `seconds` of staging and of loading.
    pub(crate) fn add_ours(
        &mut self,
        database: &'static str,
        day: Day,
        rows: i64,
        seconds: [f64; 2],
    ) {
        self.add(database, day, "ours", rows, seconds[0] + seconds[1]);
        self.add(database, day, "(staging)", rows, seconds[0]);
        self.add(database, day, "(loading)", rows, seconds[1]);
    }

    fn ratio(
        &self,
        database: &'static str,
        day: Day,
        who: &'static str,
        other: &'static str,
    ) -> f64 {
        let of = |who| self.rates(database, day, who);
        let pairs = of(who).iter().zip(of(other));
        median(pairs.map(|(one, other)| one / other))
    }

    /// A figure for every round; none where it was not measured.
    fn rates(&self, database: &'static str, day: Day, who: &'static str) -> &[f64] {
        let rates = self.figures.get(&(database, day.number(), who));
        rates.map_or(&[][..], Vec::as_slice)
    }

    pub(crate) fn print(&self) {
        println!("\ndatabase    day           who             rows/s");
        for ((database, day, who), rates) in &self.figures {
            let day = Day::ALL[*day as usize].name();
            println!(
                "{database:<10}  {day:<12}  {who:<14}  {:>7.0}",
                median(rates.iter().copied())
            );
        }
        println!();
        for (what, ratio, bound) in self.verdicts() {
            let word = if ratio >= bound { "within" } else { "OUTSIDE" };
            println!("{what:<45} {ratio:>6.2} x, {word} {bound}");
        }
        // What a bound asks can be had only if these are above it.
        for &(database, day, other, bound) in BOUNDS {
            let alone = self.rates(database, day, ALONE);
            let staging = self.rates(database, day, "(staging)");
            let others = self.rates(database, day, other);
            let floor = alone.iter().zip(staging).zip(others);
            let ratio = median(
                floor.map(|((alone, staging), other)| 1.0 / (1.0 / alone + 1.0 / staging) / other),
            );
            if !ratio.is_nan() {
                let what = format!(
                    "{database}, {}: staging and {ALONE} beside {other}",
                    day.name()
                );
                println!("{what:<60} {ratio:>6.2} x (bound of ours: {bound})");
            }
        }
    }

    pub(crate) fn is_within(&self) -> bool {
        self.verdicts()
            .iter()
            .all(|(_, ratio, bound)| ratio >= bound)
    }

    fn verdicts(&self) -> Vec<(String, f64, f64)> {
        let bounds = BOUNDS.iter().map(|&(database, day, other, bound)| {
            let what = format!("{database}, {}: ours beside {other}", day.name());
            (what, self.ratio(database, day, "ours", other), bound)
        });
        let two = Day::ALL.map(|day| {
            let what = format!("PostgreSQL, {}: two connections beside one", day.name());
            (
                what,
                self.ratio("PostgreSQL", day, "ours, two", "ours"),
                TWO,
            )
        });
        // What was not measured has no ratio.
        let all = bounds.chain(two);
        all.filter(|(_, ratio, _)| !ratio.is_nan()).collect()
    }
}

/// The one in the middle; the rounds are odd.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
