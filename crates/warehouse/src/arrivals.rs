//! How the looks of a staged product meet the stored ones: which are new, which take the place of
//! another, and which go. Pure.
//!
//! Not here: what follows from it (`decide`).

use catalog::{Instant, Look};

use crate::merge_read::Current;

/// A look and its page.
pub(crate) type PagedLook = (Look, Option<i64>);

/// A look that is stored.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) look: Look,
    /// The number of the rules that derived it.
    pub(crate) derivation: i64,
    /// The run that is being loaded brought it.
    pub(crate) own: bool,
}

impl Kept {
    /// Higher rules derived a record of the same run since.
    fn is_outdated(&self, derivation: i64) -> bool {
        self.own && self.derivation < derivation
    }

    /// The same key again changes nothing, unless a heavier source meets a lighter one or higher rules
    /// derived it.
    fn gives_way(&self, look: &Look, derivation: i64) -> bool {
        self.look.source < look.source
            || self.is_outdated(derivation)
            || (self.look.source == look.source && self.derivation < derivation)
    }
}

/// The looks of a staged product, told apart by how they meet the stored ones.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// The number of the rules that derived them.
    pub(crate) derivation: i64,
    /// Newer than all before, in time order.
    pub(crate) appended: Vec<PagedLook>,
    /// Not newer, and not known or known otherwise.
    pub(crate) late: Vec<PagedLook>,
    /// Known as they are, and now derived by higher rules.
    pub(crate) confirmed: Vec<PagedLook>,
    /// When the run has looks that higher rules do not derive any more.
    pub(crate) withdrawn: Vec<Instant>,
    /// All of them are stored, and by no lower rules.
    known: bool,
    /// Stored looks from the oldest arrival that is not newer on, or from the run's first that is
    /// derived anew.
    pub(crate) stored: Vec<Kept>,
}

/// The oldest look that is not newer than what is known.
pub(crate) fn oldest_late(looks: &[PagedLook], current: Option<&Current>) -> Option<Instant> {
    let (oldest, _) = looks.first()?;
    let newest = current?.newest_look;
    (oldest.observed_at <= newest).then_some(oldest.observed_at)
}

/// Whether something stored was derived by lower rules and may have to go or to change.
pub(crate) fn is_anew(stored: &[Kept], derivation: i64) -> bool {
    stored.iter().any(|kept| kept.is_outdated(derivation))
}

impl Arrivals {
    /// `stored`: as in [`Arrivals::stored`].
    pub(crate) fn of(
        looks: Vec<PagedLook>,
        derivation: i64,
        current: Option<&Current>,
        stored: Vec<Kept>,
    ) -> Self {
        let withdrawn: Vec<Instant> = stored
            .iter()
            .filter(|kept| kept.is_outdated(derivation))
            .map(|kept| kept.look.observed_at)
            .filter(|at| looks.iter().all(|(look, _)| look.observed_at != *at))
            .collect();
        let is_known = |look: &Look| {
            let same = |kept: &&Kept| kept.look.observed_at == look.observed_at;
            stored.iter().find(same).is_some_and(|kept| {
                kept.look.source == look.source && kept.derivation >= derivation
            })
        };
        let known = withdrawn.is_empty()
            && !looks.is_empty()
            && looks.iter().all(|(look, _)| is_known(look));
        let mut arrivals = Self {
            derivation,
            withdrawn,
            known,
            stored,
            ..Self::default()
        };
        for (look, page) in looks {
            if current.is_none_or(|current| look.observed_at > current.newest_look) {
                arrivals.appended.push((look, page));
                continue;
            }
            match arrivals.stored_at(look.observed_at) {
                Some(kept) if !kept.gives_way(&look, derivation) => {}
                Some(kept) if kept.look == look => arrivals.confirmed.push((look, page)),
                _ => arrivals.late.push((look, page)),
            }
        }
        arrivals
    }

    /// The stored look of that time.
    pub(crate) fn stored_at(&self, at: Instant) -> Option<&Kept> {
        self.stored.iter().find(|kept| kept.look.observed_at == at)
    }

    /// From when on history is to be folded anew, if at all.
    pub(crate) fn rewind_to(&self) -> Option<Instant> {
        let late = self.late.first().map(|(look, _)| look.observed_at);
        let withdrawn = self.withdrawn.iter().min().copied();
        match (late, withdrawn) {
            (Some(late), Some(withdrawn)) => Some(late.min(withdrawn)),
            (late, withdrawn) => late.or(withdrawn),
        }
    }

    /// Whether rules with a higher number derived something that is stored.
    pub(crate) fn are_anew(&self) -> bool {
        !self.confirmed.is_empty()
            || !self.withdrawn.is_empty()
            || self.late.iter().any(|(look, _)| {
                let kept = self.stored_at(look.observed_at);
                kept.is_some_and(|kept| kept.derivation < self.derivation)
            })
    }

    /// Whether the same record is stored, or one that higher rules made of the same pages: it changes
    /// nothing.
    pub(crate) fn are_known(&self) -> bool {
        self.known
    }

    /// All looks from an instant on, in time order, as they will be.
    pub(crate) fn looks_from(&self, from: Instant) -> Vec<&Look> {
        let fresh = |at: Instant| self.late.iter().any(|(look, _)| look.observed_at == at);
        let kept = self
            .stored
            .iter()
            .map(|kept| &kept.look)
            .filter(|look| look.observed_at >= from && !fresh(look.observed_at))
            .filter(|look| !self.withdrawn.contains(&look.observed_at));
        let arrived = self.late.iter().chain(&self.appended).map(|(look, _)| look);
        let mut looks: Vec<&Look> = kept.chain(arrived).collect();
        looks.sort_by_key(|look| look.observed_at);
        looks
    }

    /// Stored looks that stay and say something.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Look> {
        let stays = |look: &&Look| !look.gone && !self.withdrawn.contains(&look.observed_at);
        self.stored.iter().map(|kept| &kept.look).filter(stays)
    }
}
