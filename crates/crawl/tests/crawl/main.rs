//! The crate through its own door: real loopback HTTP, a real Redis.

mod answers;
mod bodies;
mod breaker;
mod cache;
mod html;
mod manners;
mod permits;
mod proxy;
mod schedule;
mod shop;
mod site;
