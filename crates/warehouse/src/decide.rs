//! What a staged product does to what the warehouse holds: looks folded into history, clocks, and
//! what is told of it. Pure.
//!
//! An instant of `products` that says since when something is told is the beginning of the newest stretch
//! of looks that say the same, what they leave out included, so it does not depend on the order of
//! loading: an older look that says the same moves it back, and one that says something else and lies
//! within the stretch moves it to the look after.
//!
//! Not here: which looks are new (`arrivals`), reading and writing rows (`merge_read`, `merge_write`),
//! what a change is (`catalog`), what a product tells that was derived anew (`retell`).

use catalog::{Change, Instant, Known, Look, Product};

use crate::arrivals::Arrivals;
use crate::error::{Error, Result};
use crate::merge::Outcome;
use crate::merge_read::{Before, Current};
use crate::merge_write::{Standing, Writes};
use crate::present::{Age, Meeting, Present, Seller};
use crate::retell::Retold;
use crate::staged::{Brief, is_detail};

/// What a product's looks come to.
pub(crate) struct Folded {
    pub(crate) arrivals: Arrivals,
    known: Known,
    last_change: Instant,
    delisted_at: Option<Instant>,
    history: Vec<Change>,
    /// The newest look was stored before this batch: `None`, nothing was.
    newest_before: Option<Instant>,
    /// No look is left that says a price: the product was never seen.
    pub(crate) nothing_left: bool,
}

/// Folds what arrived into what is known. `before`: what was known at [`Arrivals::rewind_to`].
pub(crate) fn fold(
    id: i64,
    arrivals: Arrivals,
    current: Option<&Current>,
    before: Option<&Before>,
) -> Result<Folded> {
    let mut known;
    let mut last_change;
    let mut delisted_at;
    let looks: Vec<&Look>;
    if let Some(from) = arrivals.rewind_to() {
        known = before.map(|before| before.known.clone());
        last_change = before.map(|before| before.last_change);
        // While a product is gone nothing changes: its last row is the one that says so.
        delisted_at = last_change.filter(|_| known.as_ref().is_some_and(|known| known.gone));
        looks = arrivals.looks_from(from);
    } else {
        known = current.map(|current| current.known.clone());
        last_change = current.map(|current| current.last_change);
        delisted_at = current.and_then(|current| current.delisted_at);
        looks = arrivals.appended.iter().map(|(look, _)| look).collect();
    }
    let mut history = Vec::new();
    for look in looks {
        let was_gone = known.as_ref().is_some_and(|known| known.gone);
        let (after, change) = catalog::step(known.as_ref(), look);
        match (was_gone, after.gone) {
            (false, true) => delisted_at = Some(look.observed_at),
            (_, false) => delisted_at = None,
            (true, true) => {}
        }
        if let Some(change) = change {
            last_change = Some(change.observed_at);
            history.push(change);
        }
        known = Some(after);
    }
    let nothing = || Error::Stored(format!("product {id} without a look"));
    let mut nothing_left = false;
    if !arrivals.withdrawn.is_empty() && known.as_ref().is_none_or(|k| k.values.price.is_none()) {
        nothing_left = true;
        known = current.map(|current| current.known.clone());
        last_change = current.map(|current| current.last_change);
    }
    Ok(Folded {
        known: known.ok_or_else(nothing)?,
        last_change: last_change.ok_or_else(nothing)?,
        delisted_at,
        history,
        nothing_left,
        newest_before: current.map(|current| current.newest_look),
        arrivals,
    })
}

impl Folded {
    /// How what a look says meets what is told: older, if a later look of the same kind is stored, or
    /// if the look itself changed nothing because its key was taken.
    fn age(&self, at: Instant, kind: impl Fn(&Look) -> bool) -> Age {
        let arrived = self.has_arrived(|look| look.observed_at == at);
        let mut others = self.arrivals.others();
        if arrived && !others.any(|look| kind(look) && look.observed_at > at) {
            Age::Newer
        } else {
            Age::Older
        }
    }

    /// Whether a look of that kind is new or takes the place of another.
    fn has_arrived(&self, kind: impl Fn(&Look) -> bool) -> bool {
        let (late, confirmed) = (&self.arrivals.late, &self.arrivals.confirmed);
        let mut arrived = late.iter().chain(&self.arrivals.appended).chain(confirmed);
        arrived.any(|(look, _)| kind(look))
    }

    /// A change of values that is newer than all before.
    fn changed_now(&self) -> bool {
        self.history
            .iter()
            .any(|change| Some(change.observed_at) > self.newest_before)
    }

    /// Whether higher rules than before derived it, and something was to be replaced.
    pub(crate) fn is_anew(&self) -> bool {
        self.arrivals.are_anew()
    }

    /// Whether looks came that are older than what is known.
    pub(crate) fn is_late(&self) -> bool {
        self.arrivals.rewind_to().is_some()
    }

    /// Whether what is told of a product may differ from what is kept, so that it must be read.
    pub(crate) fn tells(&self, brief: &Brief, current: &Current) -> bool {
        let (identity, details) = brief.hashes;
        identity != current.hashes.0
            || (details.is_some() && details != current.hashes.1)
            || self.known.values.seller_id != current.known.values.seller_id
            || self.is_anew()
    }

    fn write(&mut self, id: i64, writes: &mut Writes) {
        if let Some(from) = self.arrivals.rewind_to() {
            writes.dropped.push((id, from));
        }
        let history = std::mem::take(&mut self.history);
        writes
            .history
            .extend(history.into_iter().map(|change| (id, change)));
        let arrivals = std::mem::take(&mut self.arrivals);
        let withdrawn = &arrivals.withdrawn;
        writes
            .withdrawn
            .extend(withdrawn.iter().map(|at| (id, *at)));
        writes.corrections.looks(&arrivals);
        let derivation = arrivals.derivation;
        let of = |(look, page)| (id, look, page, derivation);
        let late = arrivals.late.into_iter().chain(arrivals.confirmed);
        writes.late.extend(late.map(of));
        let appended = arrivals.appended.into_iter();
        writes.appended.extend(appended.map(of));
    }

    /// What follows for a product that is not told anything of.
    fn standing(&self, id: i64, current: &Current) -> Standing {
        Standing {
            id,
            known: self.known.clone(),
            hashes: current.hashes,
            content_at: current.content_at,
            observed_at: newest([
                Some(self.last_change),
                Some(current.content_at),
                current.detail_observed_at,
            ]),
            detail_observed_at: current.detail_observed_at,
            delisted_at: self.delisted_at,
            updated_at: current.updated_at,
        }
    }
}

/// A product that was found gone and is known.
pub(crate) fn decide_gone(
    id: i64,
    mut folded: Folded,
    current: &Current,
    now: Instant,
    writes: &mut Writes,
) -> Outcome {
    let mut standing = folded.standing(id, current);
    if stands_differently(&standing, current) {
        standing.updated_at = now;
    }
    if is_due(&standing, current) {
        writes.standing.push(standing);
    }
    folded.write(id, writes);
    Outcome::Gone
}

/// A known product that no record tells of any more.
pub(crate) fn decide_vanished(id: i64, folded: &Folded, writes: &mut Writes) -> Outcome {
    writes.corrections.looks(&folded.arrivals);
    writes.vanished.push(id);
    Outcome::Rejected
}

/// A known product of which higher rules do not believe this run's record any more.
pub(crate) fn decide_withdrawn(
    id: i64,
    mut folded: Folded,
    current: &Current,
    told: (Option<&Present>, Option<&Retold>),
    now: Instant,
    writes: &mut Writes,
) -> Outcome {
    let mut standing = folded.standing(id, current);
    let (kept, retold) = told;
    if let Some(retold) = retold {
        retold.stand(&mut standing, folded.last_change);
    }
    let told = retold
        .map(|retold| retold.present.clone())
        .or(kept.cloned());
    let differs = told.as_ref() != kept;
    if differs || stands_differently(&standing, current) {
        standing.updated_at = now;
    }
    writes.corrections.told(kept, told.as_ref());
    match told {
        // Also where only the seller differs, whose name is shown.
        Some(told) => writes.whole.push((standing, told)),
        None => writes.standing.push(standing),
    }
    folded.write(id, writes);
    Outcome::Rejected
}

/// A product that was not known.
pub(crate) fn decide_new(
    (brief, product): (&Brief, &Product),
    mut folded: Folded,
    now: Instant,
    writes: &mut Writes,
) -> Outcome {
    let id = product.id();
    let content_at = brief.looks.first().map(|look| look.observed_at);
    let content_at = content_at.unwrap_or(folded.last_change);
    let detail_observed_at = brief.detailed_at();
    let standing = Standing {
        id,
        known: folded.known.clone(),
        hashes: brief.hashes,
        content_at,
        observed_at: newest([
            Some(folded.last_change),
            Some(content_at),
            detail_observed_at,
        ]),
        detail_observed_at,
        delisted_at: folded.delisted_at,
        updated_at: now,
    };
    folded.write(id, writes);
    writes.new.push((standing, Present::of(product)));
    Outcome::New
}

/// What is told of a known product.
pub(crate) struct Telling<'a> {
    /// What is told now and the record that may tell something else, where [`Folded::tells`] says so.
    pub(crate) met: Option<(&'a Present, &'a Product)>,
    /// What it is to be, where it was derived anew.
    pub(crate) retold: Option<&'a Retold>,
}

/// A product that is known.
pub(crate) fn decide_known(
    (id, brief): (i64, &Brief),
    mut folded: Folded,
    current: &Current,
    telling: &Telling<'_>,
    now: Instant,
    writes: &mut Writes,
) -> Outcome {
    if folded.arrivals.are_known() {
        return Outcome::Unchanged;
    }
    let (kept, retold) = (telling.met.map(|(kept, _)| kept), telling.retold);
    let meeting = meeting(brief, &folded, current);
    let told = match retold {
        Some(retold) => Some(retold.present.clone()),
        None => telling
            .met
            .map(|(kept, product)| kept.meet(product, meeting)),
    };
    let differs = told.as_ref() != kept;
    let mut standing = folded.standing(id, current);
    standing.content_at = content_clock(brief, &folded, current);
    standing.detail_observed_at = detail_clock(brief, &folded, current);
    standing.observed_at = newest([
        Some(folded.last_change),
        Some(standing.content_at),
        standing.detail_observed_at,
    ]);
    if meeting.identity == Age::Newer {
        standing.hashes.0 = brief.hashes.0;
    }
    if meeting.details == Age::Newer {
        standing.hashes.1 = brief.hashes.1.or(current.hashes.1);
    }
    if let Some(retold) = retold {
        retold.stand(&mut standing, folded.last_change);
    }
    let visible = differs || stands_differently(&standing, current);
    if visible {
        standing.updated_at = now;
    }
    let changed = visible || folded.changed_now();
    let anew = folded.is_anew();
    if anew {
        writes.corrections.told(kept, told.as_ref());
    }
    let mended = folded.is_late() || (anew && differs);
    let outcome = match (folded.arrivals.appended.is_empty(), mended) {
        (true, true) => Outcome::Late,
        (false, _) if changed => Outcome::Changed,
        // The same keys again change nothing.
        _ => Outcome::Unchanged,
    };
    let seller_changed = meeting.kept_seller == Seller::Another;
    match told {
        Some(told) if differs || seller_changed => writes.whole.push((standing, told)),
        _ if is_due(&standing, current) => writes.standing.push(standing),
        _ => {}
    }
    folded.write(id, writes);
    outcome
}

fn meeting(brief: &Brief, folded: &Folded, current: &Current) -> Meeting {
    let shown = folded.known.values.seller_id;
    let mut looks = brief.looks.iter().rev();
    let said = looks.find_map(|look| look.values.seller_id);
    let age = |at: Option<Instant>, kind: fn(&Look) -> bool| {
        at.map_or(Age::Older, |at| folded.age(at, kind))
    };
    Meeting {
        identity: age(brief.identity_at(), |look| !look.gone),
        details: age(brief.detailed_at(), is_detail),
        said_seller: if said.is_none() || said == shown {
            Seller::Shown
        } else {
            Seller::Another
        },
        kept_seller: if current.known.values.seller_id == shown {
            Seller::Shown
        } else {
            Seller::Another
        },
    }
}

/// Since when the identity is told as it is told last.
fn content_clock(brief: &Brief, folded: &Folded, current: &Current) -> Instant {
    let (Some(first), Some(last)) = (brief.looks.first(), brief.looks.last()) else {
        return current.content_at;
    };
    if !folded.has_arrived(|look| look.observed_at >= first.observed_at) {
        return current.content_at;
    }
    let same = brief.hashes.0 == current.hashes.0;
    let others = folded.arrivals.others();
    let stretch = (first.observed_at, last.observed_at);
    clock(current.content_at, stretch, same, others)
}

/// Since when the details are told as they are told last.
fn detail_clock(brief: &Brief, folded: &Folded, current: &Current) -> Option<Instant> {
    let Some(at) = brief.detailed_at() else {
        return current.detail_observed_at;
    };
    let Some(since) = current.detail_observed_at else {
        return Some(at);
    };
    if !folded.has_arrived(is_detail) {
        return Some(since);
    }
    let same = brief.hashes.1 == current.hashes.1;
    let others = folded.arrivals.others().filter(|look| is_detail(look));
    Some(clock(since, (at, at), same, others))
}

/// Since when looks say the same, when a record from `first` to `last` says the same or not.
fn clock<'a>(
    since: Instant,
    (first, last): (Instant, Instant),
    same: bool,
    mut others: impl Iterator<Item = &'a Look>,
) -> Instant {
    let at = |look: &Look| look.observed_at;
    if same {
        let apart = first >= since || others.any(|look| at(look) > first && at(look) < since);
        if apart { since } else { first }
    } else if last >= since {
        others.map(at).find(|at| *at > last).unwrap_or(last)
    } else {
        since
    }
}

pub(crate) fn newest(instants: [Option<Instant>; 3]) -> Instant {
    let newest = instants.into_iter().flatten().max();
    newest.unwrap_or_else(|| Instant::from_millis(0))
}

/// Whether a person sees other values.
fn stands_differently(standing: &Standing, current: &Current) -> bool {
    standing.known.values != current.known.values
        || standing.known.sales_velocity != current.known.sales_velocity
        || standing.delisted_at != current.delisted_at
}

/// Whether the row must be written at all.
fn is_due(standing: &Standing, current: &Current) -> bool {
    stands_differently(standing, current)
        || standing.observed_at != current.observed_at
        || standing.content_at != current.content_at
        || standing.detail_observed_at != current.detail_observed_at
        || standing.hashes != current.hashes
}
