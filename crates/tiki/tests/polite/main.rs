//! How politely several processes ask one site, as the site counts it.
//!
//! Not here: one process and its manners (`crawl`), what a run brings home (`program`).

mod crowd;
mod faults;
mod rates;
mod stalls;
#[path = "../program/tiki.rs"]
#[expect(dead_code, reason = "shared with the tests of the program")]
mod tiki;
