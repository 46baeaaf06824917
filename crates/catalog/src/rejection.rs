//! Why a record, or a body that should hold one, is not believed.
//!
//! Not here: the rules themselves; each stands where its record is made.

use std::fmt;

/// The longest `seen` of a [`Rejection`], in characters.
pub const SEEN_MAX_CHARS: usize = 200;

/// The rule that a record or body broke.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RejectionReason {
    /// The id is missing or not positive.
    BadId,
    /// The name is missing or blank.
    NoName,
    /// The price is missing or no whole number.
    NoPrice,
    /// The price is below 0.
    NegativePrice,
    /// The price is over [`PRICE_MAX`](crate::PRICE_MAX).
    PriceTooHigh,
    /// The body, or one half of a record, is of another id.
    ForeignBody,
    /// The body is not JSON (or, where HTML was asked, not the page that was expected).
    NotJson,
    /// It is JSON, but not the object that was expected.
    WrongShape,
    /// Nested deeper than the limit.
    TooDeep,
    /// `{"error": {…}}` in an answer that said 200.
    ErrorObject,
    /// Larger than a limit, as received or unpacked.
    TooLarge,
    /// The body ended early.
    Truncated,
    /// The body does not unpack.
    Corrupt,
    /// Neither a listing nor a detail to make a record of.
    Nothing,
    /// A staged record that no version of this crate printed.
    BadStaged,
    /// The warehouse refuses the record.
    Unstorable,
}

impl RejectionReason {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::BadId,
        Self::NoName,
        Self::NoPrice,
        Self::NegativePrice,
        Self::PriceTooHigh,
        Self::ForeignBody,
        Self::NotJson,
        Self::WrongShape,
        Self::TooDeep,
        Self::ErrorObject,
        Self::TooLarge,
        Self::Truncated,
        Self::Corrupt,
        Self::Nothing,
        Self::BadStaged,
        Self::Unstorable,
    ];

    /// The word stored in `rejections.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadId => "bad-id",
            Self::NoName => "no-name",
            Self::NoPrice => "no-price",
            Self::NegativePrice => "negative-price",
            Self::PriceTooHigh => "price-too-high",
            Self::ForeignBody => "foreign-body",
            Self::NotJson => "not-json",
            Self::WrongShape => "wrong-shape",
            Self::TooDeep => "too-deep",
            Self::ErrorObject => "error-object",
            Self::TooLarge => "too-large",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
            Self::Nothing => "nothing",
            Self::BadStaged => "bad-staged",
            Self::Unstorable => "unstorable",
        }
    }

    /// The reason of a stored word; `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record or body that is not believed: counted, kept, replayable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}{}, saw {seen:?}", .field.as_ref().map(|name| format!(" in {name}")).unwrap_or_default())]
pub struct Rejection {
    /// The rule it broke.
    pub reason: RejectionReason,
    /// The site's name of the field, if one is to blame.
    pub field: Option<String>,
    /// What stood there, without control characters, at most [`SEEN_MAX_CHARS`] characters.
    pub seen: String,
}

impl Rejection {
    /// `seen` is cut to its limit and freed of control characters.
    pub fn new(reason: RejectionReason, field: Option<&str>, seen: impl fmt::Display) -> Self {
        let seen = seen.to_string();
        let seen = seen
            .chars()
            .take(SEEN_MAX_CHARS)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Self {
            reason,
            field: field.map(str::to_owned),
            seen,
        }
    }

    /// A rejection that shows the beginning of a body.
    pub(crate) fn of_body(reason: RejectionReason, field: Option<&str>, body: &[u8]) -> Self {
        let head = body.get(..SEEN_MAX_CHARS).unwrap_or(body);
        Self::new(reason, field, String::from_utf8_lossy(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_word() {
        for reason in RejectionReason::ALL {
            assert_eq!(RejectionReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(RejectionReason::parse("no price"), None);
    }

    #[test]
    fn a_rejection_says_what_it_saw_within_its_limit() {
        let rejection = Rejection::new(RejectionReason::NegativePrice, Some("price"), -5);
        assert_eq!(rejection.to_string(), "negative-price in price, saw \"-5\"");
        let long = Rejection::new(RejectionReason::NotJson, None, "đ\0".repeat(1000));
        assert_eq!(long.seen.chars().count(), SEEN_MAX_CHARS);
        assert!(!long.seen.contains('\0'));
    }
}
