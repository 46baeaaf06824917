//! Whole runs against the storefront, in both warehouses.

mod days;
mod rate;
mod recorded;
mod refusals;
mod world;
