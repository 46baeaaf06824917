//! What a person sees of the pipeline in a browser, and a machine under `/api/v1`.
//!
//! It is handed everything that it shows ([`Sources`]) and opens nothing itself, so it goes on serving
//! while the warehouse is away, and says so.
//!
//! Not here: what is well and what is not (`pipeline`, by way of `tiki`), opening the warehouse, when to
//! run (`tiki`). It changes nothing, knows no users and has no login: whoever reaches it may read it.

mod door;
mod fresh;
mod page;
mod routes;
mod server;
mod sources;
mod style;

pub use server::{DRAIN, MAX_CONNECTIONS, serve};
pub use sources::{
    Answer, Asking, Health, Line, LineState, Listed, Planned, Sources, Trouble, When,
};
