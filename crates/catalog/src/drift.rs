//! Whether the site still sends what it sent: the shapes of a run against those of earlier runs.
//!
//! A change is told when it is larger than chance, larger than the runs differ among themselves, and
//! large enough to matter. It stops a run when records would suffer.
//!
//! Not here: counting shapes (`shape`), which runs to compare with and what stopping means
//! (`pipeline`).

use std::collections::BTreeMap;

use crate::fields::{self, Field, Numbers};
use crate::shape::FieldShape;

/// The shapes of one source, endpoint and root category, by the path of the field.
pub type FieldShapes = BTreeMap<String, FieldShape>;

/// Objects that are needed, of now and of before, to say anything.
pub const MIN_SAMPLE: i64 = 40;

/// How a field changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FindingKind {
    /// It came often, and now never.
    Vanished,
    /// It comes more or less often.
    Presence,
    /// It comes as another type.
    Type,
    /// Its numbers are larger or smaller, as if in another unit.
    Range,
}

impl FindingKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vanished, Self::Presence, Self::Type, Self::Range];

    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::Presence => "presence",
            Self::Type => "type",
            Self::Range => "range",
        }
    }

    /// The kind of a stored word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A field that changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// Its path, such as `brand.name`.
    pub field: String,
    /// How it changed.
    pub kind: FindingKind,
    /// Before: the share of objects that have it (0 to 1); for [`Type`](FindingKind::Type) the share
    /// of the type that became rarer; for [`Range`](FindingKind::Range) the typical number (the
    /// geometric mean).
    pub was: f64,
    /// The same of now.
    pub now: f64,
    /// The objects of now that it was seen in.
    pub sample: i64,
    /// Records would suffer: nothing of this should be loaded before somebody looked.
    pub stops: bool,
}

/// Shares that moved less are not told.
const TOLD: f64 = 0.10;
/// A share of a needed field that fell further stops.
const STOPS: f64 = 0.20;
/// The same against the oldest run of the window, which sees what creeps.
const STOPS_SLOWLY: f64 = 0.15;
/// Runs of a window that has an oldest one to speak of.
const SLOW_RUNS: usize = 3;
/// A field that came less often has not vanished when it is away.
const VANISHED: f64 = 0.3;
/// Typical numbers are told when they move by more than this factor.
const RANGE_FACTOR: f64 = 2.5;
/// Standard errors that are chance.
const CHANCE: f64 = 4.5;
/// Standard deviations between runs that are nature.
const NATURE: f64 = 4.0;
/// What is believed of the standard deviation between runs before there are runs: of a share that
/// varies by nature, of any other, of a mean logarithm. It weighs as much as [`BELIEF`] runs.
const VARYING: f64 = 0.10;
const STEADY: f64 = 0.01;
const SPREAD_LOG: f64 = 0.5;
const BELIEF: f64 = 4.0;

/// What changed in the shapes of a run against a window of earlier runs of the same key, the newest
/// first. Fields that are not read say nothing, nor do fewer than [`MIN_SAMPLE`] objects on either
/// side. At most one finding of presence, of type and of range for a field.
pub fn drift(now: &FieldShapes, before: &[FieldShapes]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, shape) in now {
        let Some(field) = fields::find(path) else {
            continue;
        };
        let runs: Vec<&FieldShape> = before.iter().filter_map(|run| run.get(path)).collect();
        let changes = [
            presence(field, shape, &runs),
            types(field, shape, &runs),
            range(field, shape, &runs),
        ];
        let sample = objects(shape);
        for change in changes.into_iter().flatten() {
            findings.push(Finding {
                field: path.clone(),
                kind: change.kind,
                was: change.was,
                now: change.now,
                sample,
                stops: change.stops && field.needed,
            });
        }
    }
    findings
}

struct Change {
    kind: FindingKind,
    was: f64,
    now: f64,
    stops: bool,
}

fn presence(field: &Field, now: &FieldShape, runs: &[&FieldShape]) -> Option<Change> {
    let of = |shape: &FieldShape| Share::new(present(shape), objects(shape));
    let prior = if field.varies { VARYING } else { STEADY };
    let before: Vec<Share> = runs.iter().map(|run| of(run)).collect();
    let (was, now) = (pooled(&before), of(now));
    if was.enough() && now.enough() && was.value() >= VANISHED && now.part <= 0.0 {
        return Some(Change {
            kind: FindingKind::Vanished,
            was: was.value(),
            now: 0.0,
            stops: true,
        });
    }
    moved(FindingKind::Presence, now, &before, prior)
}

/// The type that became rarer than any other did.
fn types(field: &Field, now: &FieldShape, runs: &[&FieldShape]) -> Option<Change> {
    let mixed = field.numbers == Numbers::Mixed;
    let of = |shape: &FieldShape, kind: usize| {
        let count = kinds(shape, mixed).get(kind).copied().unwrap_or(0);
        Share::new(count, present(shape))
    };
    let change = |kind: usize| {
        let before: Vec<Share> = runs.iter().map(|run| of(run, kind)).collect();
        moved(FindingKind::Type, of(now, kind), &before, STEADY)
    };
    let changes = (0..kinds(now, mixed).len()).filter_map(change);
    changes.min_by(|a, b| (a.now - a.was).total_cmp(&(b.now - b.was)))
}

/// The typical number, as a mean of logarithms.
fn range(field: &Field, now: &FieldShape, runs: &[&FieldShape]) -> Option<Change> {
    if field.numbers == Numbers::Plain {
        return None;
    }
    let mut all = FieldShape::default();
    for run in runs {
        all.add(run);
    }
    let (was, now) = (Logs::of(&all)?, Logs::of(now)?);
    let means: Vec<f64> = runs
        .iter()
        .filter_map(|run| Some(Logs::of(run)?.mean))
        .collect();
    let chance = CHANCE * (was.error_squared + now.error_squared).sqrt();
    let limit = RANGE_FACTOR
        .ln()
        .max(chance)
        .max(nature(&means, SPREAD_LOG));
    ((now.mean - was.mean).abs() > limit).then(|| Change {
        kind: FindingKind::Range,
        was: was.mean.exp_m1(),
        now: now.mean.exp_m1(),
        stops: field.numbers != Numbers::Popular,
    })
}

/// A share that moved against all runs of the window together, or against the oldest alone. Only a
/// fall stops: what comes more often is no loss.
fn moved(kind: FindingKind, now: Share, before: &[Share], prior: f64) -> Option<Change> {
    let was = pooled(before);
    if !was.enough() || !now.enough() {
        return None;
    }
    let runs: Vec<f64> = before
        .iter()
        .filter(|run| run.enough())
        .map(Share::value)
        .collect();
    let limit = chance(now, was).max(nature(&runs, prior));
    let mut change = change_past(kind, now, was, limit, STOPS);
    let oldest = before.iter().rfind(|run| run.enough());
    if let Some(oldest) = oldest.filter(|_| runs.len() >= SLOW_RUNS) {
        let limit = chance(now, *oldest).max(spread(&runs, prior) * NATURE * 2.0_f64.sqrt());
        let slow = change_past(kind, now, *oldest, limit, STOPS_SLOWLY);
        let stopped = change.as_ref().is_some_and(|change| change.stops);
        if !stopped && slow.as_ref().is_some_and(|slow| slow.stops) {
            return slow;
        }
        change = change.or(slow);
    }
    change
}

fn change_past(kind: FindingKind, now: Share, was: Share, limit: f64, stop: f64) -> Option<Change> {
    let by = now.value() - was.value();
    (by.abs() > limit.max(TOLD)).then(|| Change {
        kind,
        was: was.value(),
        now: now.value(),
        stops: by < -stop,
    })
}

/// What chance moves a share by.
fn chance(now: Share, was: Share) -> f64 {
    let all = (now.part + was.part) / (now.of + was.of);
    CHANCE * (all * (1.0 - all) * (1.0 / now.of + 1.0 / was.of)).sqrt()
}

/// What runs move by among themselves, against the mean of these.
fn nature(runs: &[f64], prior: f64) -> f64 {
    let count = runs.len().max(1) as f64;
    NATURE * spread(runs, prior) * (1.0 + 1.0 / count).sqrt()
}

/// The standard deviation between runs. It is taken from the steps between neighbours, so that a
/// slow drift does not widen its own limit.
fn spread(runs: &[f64], prior: f64) -> f64 {
    let steps = runs.iter().zip(runs.iter().skip(1));
    let squares: f64 = steps.map(|(a, b)| (a - b) * (a - b) / 2.0).sum();
    let count = runs.len().saturating_sub(1) as f64;
    ((squares + BELIEF * prior * prior) / (count + BELIEF)).sqrt()
}

/// A part of a number of objects.
#[derive(Clone, Copy)]
struct Share {
    part: f64,
    of: f64,
}

impl Share {
    fn new(part: i64, of: i64) -> Self {
        Self {
            part: part as f64,
            of: of as f64,
        }
    }

    fn enough(&self) -> bool {
        self.of >= MIN_SAMPLE as f64
    }

    fn value(&self) -> f64 {
        self.part / self.of
    }
}

fn pooled(shares: &[Share]) -> Share {
    Share {
        part: shares.iter().map(|share| share.part).sum(),
        of: shares.iter().map(|share| share.of).sum(),
    }
}

/// The numbers of a field.
struct Logs {
    mean: f64,
    error_squared: f64,
}

impl Logs {
    fn of(shape: &FieldShape) -> Option<Self> {
        let count = shape.integers.saturating_add(shape.reals);
        if count < MIN_SAMPLE {
            return None;
        }
        let count = count as f64;
        let mean = shape.log_sum / count;
        let variance = (shape.log_squares / count - mean * mean).max(0.0);
        Some(Self {
            mean,
            error_squared: variance / count,
        })
    }
}

fn kinds(shape: &FieldShape, mixed: bool) -> [i64; 6] {
    let (integers, reals) = if mixed {
        (shape.integers.saturating_add(shape.reals), 0)
    } else {
        (shape.integers, shape.reals)
    };
    [
        shape.flags,
        integers,
        reals,
        shape.texts,
        shape.lists,
        shape.objects,
    ]
}

fn present(shape: &FieldShape) -> i64 {
    kinds(shape, false).into_iter().fold(0, i64::saturating_add)
}

fn objects(shape: &FieldShape) -> i64 {
    let without = shape.absent.saturating_add(shape.nulls);
    present(shape).saturating_add(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_word() {
        for kind in FindingKind::ALL {
            assert_eq!(FindingKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(FindingKind::parse("gone"), None);
    }
}
