//! Faults again and again, then the same command: the digest of an undisturbed run.
//!
//! `kill -9` in each of the nine steps (`steps`) and at random moments of whole runs (`kills`), and a fault at
//! every call of the database (`calls`): of PostgreSQL on the wire (`wire`), of SQLite on the disk
//! (`disk`). Beside them what a large day holds in memory (`large`).
//!
//! The storefront's clock and the run's stand still, so the digests are of the same instant.
//! `cargo xtask torture` does all of it, in release; the tests of every day do a shorter form. Both
//! print how many trials there were and how many differed.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "clears the environment of the program under test and tells of its trials"
)]

mod calls;
mod disk;
mod home;
mod kills;
mod large;
mod steps;
mod trials;
mod wire;
