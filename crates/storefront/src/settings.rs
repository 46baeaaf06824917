//! What a storefront is made of and how it behaves.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::faults::Faults;
use crate::recorded::FolderError;

/// Settings of a storefront.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is for sale.
    pub content: Content,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The site's time. The generated catalogue and the `Date` header follow it.
    pub clock: Clock,
    /// Added to each answer, at most [`Settings::MAX_LATENCY`].
    pub latency: Duration,
    /// Misbehaviour to begin with; none by default.
    pub faults: Faults,
}

impl Settings {
    /// The longest latency that is honoured.
    pub const MAX_LATENCY: Duration = Duration::from_mins(1);
}

impl Default for Settings {
    /// The default generated catalogue on a free port, frozen at 2026-01-01 (day 20,454).
    fn default() -> Self {
        Self {
            content: Content::Generated(Generated::default()),
            port: 0,
            clock: Clock::frozen_at_day(20_454),
            latency: Duration::ZERO,
            faults: Faults::default(),
        }
    }
}

/// Where the catalogue comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Invented, from a seed.
    Generated(Generated),
    /// Bodies that the real site once sent, from a folder (`detail/*.json`, `listing_*.json`,
    /// `category_tree_*.json`).
    Recorded(PathBuf),
}

/// An invented catalogue. A product is a pure function of these values, its number and the day,
/// so the size costs no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The same seed gives the same catalogue.
    pub seed: u64,
    /// Places for products, [`Generated::MIN_PRODUCTS`] to [`Generated::MAX_PRODUCTS`]. On a day
    /// about 97 % of them are taken: the others were delisted or wait for their next product.
    pub products: u64,
    /// Leaf categories, 1 to 3,000 and at most one a product; derived from `products` when
    /// absent.
    pub leaf_categories: Option<u32>,
    /// How fast the market moves.
    pub pace: Pace,
    /// Which prices it likes.
    pub prices: Prices,
}

impl Generated {
    /// The smallest catalogue.
    pub const MIN_PRODUCTS: u64 = 10;
    /// The largest catalogue.
    pub const MAX_PRODUCTS: u64 = 10_000_000;
    /// The most leaf categories (the real tree had about 2,300 of them in 2023-07).
    pub const MAX_LEAF_CATEGORIES: u32 = 3_000;
}

impl Default for Generated {
    /// Seed 7, 700 products, the leafs that follow from it, the real pace, spread prices.
    fn default() -> Self {
        Self {
            seed: 7,
            products: 700,
            leaf_categories: None,
            pace: Pace::Real,
            prices: Prices::Spread,
        }
    }
}

/// How fast prices and sellers change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// About 0.15 % of the products change their price in a day, the order of what public
    /// crawls saw (0.9 % in six weeks to 6.9 % in seven months of slowly moving items, more in
    /// the busy ones).
    #[default]
    Real,
    /// About 8 % of the products change their price in a day: invented, so that a month of a
    /// small demo shows something.
    Lively,
}

/// Which prices a market likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prices {
    /// Any thousand: few products of a category share a price.
    #[default]
    Spread,
    /// Three products in five keep to a few popular prices (99,000, 149,000, 199,000 …), so that
    /// one price may hold more products than a listing shows: of 50,000 in one leaf the most
    /// popular prices hold 2,000 to 5,000 each. The shares are invented.
    Round,
}

/// A storefront could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The catalogue is outside its bounds.
    #[error("a generated catalogue of {products} products in {leafs} leaf categories: {why}")]
    OutOfBounds {
        /// Products asked for.
        products: u64,
        /// Leaf categories asked for; 0 means derived.
        leafs: u32,
        /// The bound that was broken.
        why: &'static str,
    },
    /// The recorded folder cannot be served.
    #[error("cannot serve the recorded folder")]
    Folder(#[from] FolderError),
    /// The faults are outside their bounds.
    #[error("cannot misbehave as asked: {0}")]
    Faults(&'static str),
    /// The port cannot be bound.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// Why not.
        source: std::io::Error,
    },
}
