//! What a record is, and every decision about it. Pure: no I/O, no clock, no async, and no panic,
//! whatever the bytes.
//!
//! Not here: fetching (`crawl`), storing (`warehouse`), the order of the steps (`pipeline`).

mod address;
mod attributes;
mod body;
mod category;
mod columns;
mod computed;
mod description;
mod detail;
mod drift;
mod due;
mod facets;
mod fields;
mod fold;
mod harmless;
mod instant;
mod json;
mod listing;
mod look;
mod next_data;
mod outline;
mod product;
mod quantity;
mod rejection;
mod shape;
mod slice;
mod split;
mod staged;
mod text;

pub use address::{SITE, canonical_url, category_id_from_url, product_id_from_url};
pub use body::{BodyError, BodyLimits, Encoding, HTML_PAGE, looks_like_challenge, read_body};
pub use category::{Category, CategoryAnswer, UNKNOWN_COUNT, parse_categories, parse_menu};
pub use columns::PRICE_MAX;
pub use computed::{Computed, compute};
pub use description::{DESCRIPTION_MAX_CHARS, description_text};
pub use detail::{Detail, judge_detail, parse_detail};
pub use drift::{FieldShapes, Finding, FindingKind, MIN_SAMPLE, drift};
pub use due::{Candidate, DetailPolicy, Reason, due, rank};
pub use facets::{FACETS_MAX, Facet, Facets};
pub use fold::{Change, ChangeKind, Known, fold, step};
pub use harmless::{harmless, is_harmful, one_line};
pub use instant::{Day, Instant, InstantError};
pub use listing::{Listing, ListingAnswer, ListingItem, Paging, parse_listing};
pub use look::{Look, Source, Values};
pub use next_data::{Reduced, reduce_categories, reduce_html};
pub use product::{Details, Identity, Product, Seen};
pub use quantity::{parse_price, parse_quantity};
pub use rejection::{Rejection, RejectionReason, SEEN_MAX_CHARS};
pub use shape::{FieldShape, ROOTS_MAX, ShapeKey, Shapes};
pub use slice::{Order, Slice, SliceError};
pub use split::{PRICE_TOP, Split, WINDOW, crowded_more, split};
pub use staged::staged_looks;
pub use text::{TEXT_MAX_CHARS, clean, search_key};

/// The number of the rules that derive records from pages. It grows by one whenever the same page
/// would give another record; deriving stored pages again with a higher number replaces what the
/// lower one made.
pub const DERIVATION: i64 = 2;
