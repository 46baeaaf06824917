//! The programs that are measured, built as they are shipped.
//!
//! Not here: running them (`process`).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::Failure;
use crate::test::cargo;

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) tiki: PathBuf,
    pub(super) bare_client: PathBuf,
}

/// Builds them together, so that both have the same libraries with the same features.
pub(super) fn release(root: &Path) -> Result<Programs, Failure> {
    let (tiki, bare_client) = with_example(root, "crawl", "bare_client")?;
    Ok(Programs { tiki, bare_client })
}

/// Builds the program together with an example of another package.
pub(super) fn with_example(
    root: &Path,
    package: &str,
    example: &str,
) -> Result<(PathBuf, PathBuf), Failure> {
    let mut command = cargo(root);
    command.args(["build", "--release", "--message-format=json"]);
    command.args(["-p", "tiki", "--bin", "tiki"]);
    command.args(["-p", package, "--example", example]);
    let built = command.stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| Failure::Work(format!("cannot run cargo: {error}")))?;
    if !built.status.success() {
        return Err(Failure::Told);
    }
    let told = String::from_utf8_lossy(&built.stdout);
    let find = |name: &str| {
        executable(&told, name)
            .ok_or_else(|| Failure::Work(format!("cargo does not say where {name} is")))
    };
    Ok((find("tiki")?, find(example)?))
}

/// The program of a target in what cargo says of its work, a JSON object a line.
fn executable(told: &str, name: &str) -> Option<PathBuf> {
    told.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == name).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_the_name_of_its_target() {
        let told = "not JSON\n\
            {\"target\":{\"name\":\"tiki\"},\"executable\":null}\n\
            {\"target\":{\"name\":\"other\"},\"executable\":\"o\"}\n\
            {\"target\":{\"name\":\"tiki\"},\"executable\":\"t\"}\n";
        assert_eq!(executable(told, "tiki"), Some(PathBuf::from("t")));
        assert_eq!(executable(told, "absent"), None);
    }
}
