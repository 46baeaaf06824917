//! Which way a run asks for a product or a category: the JSON API, or the HTML page that shows the same.
//!
//! Not here: reading either (`catalog`), sending (`crawl`).

use std::sync::atomic::{AtomicU32, Ordering};

use catalog::{ListingAnswer, Rejection, RejectionReason};
use crawl::{Answer, Ask, FetchError, FetchErrorKind, Page, PageSource};

use crate::site::Answered;

/// Where a run takes its pages from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceChoice {
    /// The JSON API alone.
    Api,
    /// The HTML pages alone; the roots of the tree have none, so they are always asked of the API.
    Html,
    /// The API, and the HTML page where the API refuses or cannot be read.
    Auto,
}

impl SourceChoice {
    /// The source of a setting's word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "api" => Some(Self::Api),
            "html" => Some(Self::Html),
            "auto" => Some(Self::Auto),
            _ => None,
        }
    }
}

impl SourceChoice {
    /// The way that is asked first.
    pub(crate) fn page_source(self) -> PageSource {
        match self {
            Self::Api | Self::Auto => PageSource::Api,
            Self::Html => PageSource::Html,
        }
    }
}

/// So many times in a row the page had to stand in for the API; then the page is asked first.
const BROKEN_AFTER: u32 = 3;

/// While the page is asked first, every so manieth request tries the API again.
const TRY_API_EVERY: u32 = 50;

/// So many times in a row the API refused and the page was none; then the site refuses.
pub(crate) const CLOSED_AFTER: u32 = 3;

/// The same where pages were seen to stand in: then they are rather those of what is no more.
const DEAD_PAGES: u32 = 20;

/// Whether the API works, as this process sees it: one for each kind of request.
#[derive(Debug, Default)]
pub(crate) struct SecondWays {
    children: SecondWay,
    listings: SecondWay,
    details: SecondWay,
}

impl SecondWays {
    pub(crate) fn of(&self, ask: &Ask) -> &SecondWay {
        match ask {
            Ask::Listing { .. } | Ask::CategoryPage { .. } => &self.listings,
            Ask::Detail { .. } | Ask::ProductPage { .. } => &self.details,
            Ask::Robots | Ask::Categories { .. } | Ask::CategoryChildren { .. } => &self.children,
        }
    }
}

/// Whether the API works for one kind of request.
#[derive(Debug, Default)]
pub(crate) struct SecondWay {
    broken: AtomicU32,
    since: AtomicU32,
    /// Since the last page that stood in, neither of the two was an answer so often.
    in_vain: AtomicU32,
}

impl SecondWay {
    /// Whether the page is asked before the API.
    pub(crate) fn comes_first(&self) -> bool {
        self.broken.load(Ordering::Relaxed) >= BROKEN_AFTER
            && !self
                .since
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(TRY_API_EVERY)
    }

    /// The API answered well.
    pub(crate) fn api_works(&self) {
        self.broken.store(0, Ordering::Relaxed);
        self.in_vain.store(0, Ordering::Relaxed);
    }

    /// Whether a page stood in since the API last answered well.
    fn pages_work(&self) -> bool {
        self.broken.load(Ordering::Relaxed) > 0
    }

    /// A page that is not there, where none was yet, says nothing of what it should show: the site may have
    /// moved its pages. Then it is no answer.
    pub(crate) fn doubt_gone(&self, answer: Answered, url: impl Fn() -> String) -> Answered {
        match answer {
            Ok(Answer::Gone { status, .. }) if !self.pages_work() => Err(FetchError {
                url: url(),
                kind: FetchErrorKind::Status(status),
            }),
            answer => answer,
        }
    }

    /// A page can be read.
    pub(crate) fn page_works(&self) {
        self.in_vain.store(0, Ordering::Relaxed);
    }

    /// The API refused and the page is none. Whether that is said of everything, not of this one thing.
    /// `closed_after`: how often in a row that is, where no page stood in yet; `None`: it was so before, which is
    /// no further sign.
    pub(crate) fn is_closed(&self, closed_after: Option<u32>) -> bool {
        let Some(closed_after) = closed_after else {
            return false;
        };
        let most = if self.pages_work() {
            DEAD_PAGES
        } else {
            closed_after
        };
        self.in_vain.fetch_add(1, Ordering::Relaxed) + 1 >= most
    }

    /// The page stood in for the API. Whether it comes first from now on.
    pub(crate) fn page_stood_in(&self) -> bool {
        self.page_works();
        let before = self.broken.fetch_add(1, Ordering::Relaxed);
        if before + 1 == BROKEN_AFTER {
            self.since.store(1, Ordering::Relaxed);
            return true;
        }
        false
    }
}

/// The page that shows what an API request asks for.
pub(crate) fn page_of(ask: &Ask) -> Option<Ask> {
    match *ask {
        Ask::Detail { product, spid } => Some(Ask::ProductPage { product, spid }),
        Ask::Listing {
            category,
            page,
            slice,
        } => Some(Ask::CategoryPage {
            category,
            page,
            slice,
        }),
        // The site's own root has no page.
        Ask::Categories { parent } if parent > 2 => {
            Some(Ask::CategoryChildren { category: parent })
        }
        _ => None,
    }
}

/// Whether a good answer can be read as what was asked for; `None` for any other answer.
pub(crate) type Judged = Option<Result<(), Rejection>>;

/// Reads a good answer.
pub(crate) fn judge(ask: &Ask, answer: &Answered) -> Judged {
    match answer {
        Ok(Answer::Good(page)) => Some(read(ask, page)),
        _ => None,
    }
}

/// Whether the API's answer leaves something to be learned from the page: it refuses, or its shape
/// broke. A challenge is a refusal of everything.
pub(crate) fn is_broken(answer: &Answered, judged: &Judged) -> bool {
    match answer {
        Ok(_) => matches!(judged, Some(Err(_))),
        Err(FetchError { kind, .. }) => match kind {
            FetchErrorKind::Refused {
                status, challenge, ..
            } => status.is_some() && !challenge,
            FetchErrorKind::NotJson { .. } => true,
            _ => false,
        },
    }
}

/// Whether the API refuses, which by itself ends a step.
pub(crate) fn refuses(answer: &Answered) -> bool {
    matches!(answer, Err(error) if matches!(error.kind, FetchErrorKind::Refused { .. }))
}

/// A bare refusal as the status of this one thing, unless it is said of everything.
pub(crate) fn of_one(kind: FetchErrorKind, is_closed: impl Fn() -> bool) -> FetchErrorKind {
    match kind {
        FetchErrorKind::Refused {
            status: Some(status),
            challenge: false,
            ..
        } if !is_closed() => FetchErrorKind::Status(status),
        kind => kind,
    }
}

/// Whether an answer is one, and can be read.
pub(crate) fn is_readable(answer: &Answered, judged: &Judged) -> bool {
    answer.is_ok() && !matches!(judged, Some(Err(_)))
}

/// Whether an answer is about more than what was asked, so that no other way is to be tried: a
/// challenge, a site that wants to be left alone or is in trouble, no answer at all.
pub(crate) fn says_stop(answer: &Answered) -> bool {
    let Err(FetchError { kind, .. }) = answer else {
        return false;
    };
    !matches!(
        kind,
        FetchErrorKind::NoState(_)
            | FetchErrorKind::NotJson { .. }
            | FetchErrorKind::Redirect { .. }
            | FetchErrorKind::Status(_)
            | FetchErrorKind::Refused {
                challenge: false,
                ..
            }
    )
}

/// Whether a page is what was asked for.
pub(crate) fn read(ask: &Ask, page: &Page) -> Result<(), Rejection> {
    match *ask {
        Ask::Detail { product, .. } | Ask::ProductPage { product, .. } => {
            catalog::judge_detail(&page.unpacked, product)
        }
        Ask::Listing { page: number, .. } | Ask::CategoryPage { page: number, .. } => {
            let answer = catalog::parse_listing(&page.unpacked)?;
            check_filled(&answer, number)
        }
        Ask::Categories { .. } | Ask::CategoryChildren { .. } => {
            catalog::parse_categories(&page.unpacked).map(drop)
        }
        Ask::Robots => Ok(()),
    }
}

/// Whether a page has items where it says that it has some.
pub(crate) fn check_filled(answer: &ListingAnswer, number: u32) -> Result<(), Rejection> {
    let says_some = answer
        .paging
        .is_some_and(|paging| paging.total > 0 && i64::from(number) <= paging.last_page);
    if answer.items.is_empty() && says_some {
        let seen = "an empty page where there are items";
        return Err(Rejection::new(
            RejectionReason::WrongShape,
            Some("data"),
            seen,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_comes_first_after_it_stood_in_three_times_and_the_api_is_tried_again() {
        let way = SecondWay::default();
        assert!(!way.comes_first());
        assert!(!way.page_stood_in());
        assert!(!way.page_stood_in());
        assert!(way.page_stood_in());
        let asked: Vec<bool> = (0..100).map(|_| way.comes_first()).collect();
        assert_eq!(asked.iter().filter(|first| !**first).count(), 2);
        way.api_works();
        assert!(!way.comes_first());
    }
}
