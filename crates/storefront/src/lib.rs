//! A Tiki-shaped site on loopback: generated or recorded catalogue.
//!
//! It exists so that a demo, a test or a benchmark can crawl something that behaves like the real
//! site without asking the real site: the same routes, the same shapes and type traps, the same
//! paging window, a clock that can be moved by days, and faults on request. What is known of the
//! site comes from public captures and public crawler code; what nobody has recorded (bodies of
//! errors, response headers, the text of robots.txt and of the sitemaps) is invented here and
//! says so where it is made.
//!
//! Not in here: anything that crawls, and any text of the real site. The generated catalogue is
//! made of words of our own; recorded bodies are read from a folder that the user brings.
//!
//! ```no_run
//! # async fn demo() -> Result<(), storefront::StartError> {
//! use storefront::{Clock, Content, Generated, Settings, Storefront};
//!
//! let clock = Clock::frozen_at_day(20_500);
//! let shop = Storefront::start(Settings {
//!     content: Content::Generated(Generated { seed: 7, products: 700, ..Generated::default() }),
//!     clock: clock.clone(),
//!     ..Settings::default()
//! })
//! .await?;
//! let address = shop.base_url();
//! clock.set_day(20_501); // the next day: other prices, some products gone
//! # drop(address);
//! shop.stop().await;
//! # Ok(()) }
//! ```

mod answers;
mod clock;
mod counts;
mod draw;
mod faults;
mod generated;
mod listener;
mod query;
mod recorded;
mod reply;
mod route;
mod server;
mod settings;
mod site;
mod slug;
mod spoil;
mod stream;
mod throttle;
mod tree;
mod verdict;

pub use clock::Clock;
pub use counts::{Counts, Seconds};
pub use faults::{Fault, Faults, Misbehaviour, Only, RouteClass, Throttle, When};
pub use recorded::{FolderError, FolderErrorKind};
pub use server::Storefront;
pub use settings::{Content, Generated, Pace, Prices, Settings, StartError};
