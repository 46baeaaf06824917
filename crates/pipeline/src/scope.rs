//! What a run crawls: frozen when it begins.
//!
//! Not here: how it does so (rate, workers, budget), which is read live (`settings`).

use catalog::DetailPolicy;
use serde::{Deserialize, Serialize};

use crate::SourceChoice;

/// What a run crawls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The site, or which simulated one.
    pub origin: String,
    /// Categories to take instead of the first of the tree.
    pub categories: Vec<i64>,
    /// Categories never to take.
    pub exclude: Vec<i64>,
    /// Leaf categories with products that the run takes (0: all).
    pub max_categories: i64,
    /// Distinct organic products that a category gives (0: all).
    pub max_products: i64,
    /// `auto`, `always` or `never`.
    pub details: String,
    /// `api`, `html` or `auto`.
    pub source: String,
}

impl Scope {
    /// The scope as it is stored.
    pub fn to_json(&self) -> String {
        // Strings and numbers only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The scope of a stored text.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Where the run takes its pages from.
    pub fn source(&self) -> SourceChoice {
        SourceChoice::parse(&self.source).unwrap_or(SourceChoice::Auto)
    }

    /// Which details the run asks.
    pub fn policy(&self) -> DetailPolicy {
        DetailPolicy::parse(&self.details).unwrap_or_default()
    }
}
