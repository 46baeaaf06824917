//! Whole runs against the storefront, in both warehouses.

mod cache;
mod clock;
mod days;
mod doubts;
mod less;
mod one_product;
mod rate;
mod recorded;
mod refusals;
mod second_way;
mod shapes;
mod whole;
mod world;
