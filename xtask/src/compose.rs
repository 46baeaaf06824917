//! `cargo xtask compose check`: the images and Compose files in a Docker engine of its own.

use crate::test::{cargo, finish};
use crate::{Failure, Outcome, setup};
use std::path::Path;

pub(crate) fn run(arguments: &[String], root: &Path) -> Outcome {
    if arguments != ["check"] && arguments != ["check", "builder"] {
        let what = "compose takes the word check, and after it builder".to_owned();
        return Err(Failure::Usage(what));
    }
    setup::docker()?;
    let mut command = cargo(root);
    // In release: the program is put into the images as it is.
    command.args(["test", "--release", "-p", "tiki", "--test", "compose", "--"]);
    command.args(arguments);
    finish(&mut command)
}
