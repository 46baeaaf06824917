//! `cargo xtask bench warehouse`: staging and loading a day, beside ceilings and peers.
//!
//! Not here: the benchmark itself (`crates/warehouse/benches/load`), for SQL stands in `warehouse` alone.

use crate::test::cargo;
use crate::{Failure, Outcome, root, setup};

pub(super) fn run(arguments: &[String]) -> Outcome {
    // The peers are Python's.
    setup::run()?;
    let mut command = cargo(&root());
    command.args(["bench", "-p", "warehouse", "--bench", "load", "--"]);
    command.args(arguments);
    let status = command.status();
    let status = status.map_err(|error| Failure::Work(format!("cannot run cargo: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Work(
        "the warehouse is outside its bounds".to_owned(),
    ))
}
