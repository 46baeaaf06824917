//! The `tiki` program.
fn main() {}
