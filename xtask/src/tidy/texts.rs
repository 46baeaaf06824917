//! What no file of the project may say.

use super::{File, Violation};

/// Files whose every line is source; in prose the marks may be spoken of.
const SOURCE_ENDINGS: [&str; 9] = [
    ".sql",
    ".sh",
    ".py",
    ".toml",
    ".yml",
    ".yaml",
    ".js",
    ".css",
    "Dockerfile",
];

/// Folders of the machines this is written on.
fn machine_folders() -> [String; 2] {
    ["root", "work"].map(|name| format!("/{name}/"))
}

pub(super) fn check(file: &File, is_rust: bool, violations: &mut Vec<Violation>) {
    let is_source = SOURCE_ENDINGS
        .iter()
        .any(|ending| file.path.ends_with(ending));
    let folders = machine_folders();
    for (index, line) in file.text.lines().enumerate() {
        if let Some(folder) = folders.iter().find(|folder| names_folder(line, folder)) {
            let message = format!("names the folder {folder} of some machine: use a relative path");
            let path = file.path.clone();
            violations.push(Violation {
                path,
                line: index + 1,
                rule: "machine-path",
                message,
            });
        }
        if is_source
            && !is_rust
            && let Some(mark) = unfinished(line)
        {
            violations.push(unfinished_mark(&file.path, index + 1, mark));
        }
    }
}

/// Whether an absolute path that begins with `folder` stands in the line.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"_-./}~)*".contains(before))
    })
}

/// The mark of unfinished work in a line of source, as a word of its own.
pub(super) fn unfinished(line: &str) -> Option<&'static str> {
    let mut words = line.split(|found: char| !found.is_alphanumeric() && found != '_');
    words.find_map(|word| {
        ["TODO", "FIXME", "XXX"]
            .into_iter()
            .find(|mark| *mark == word)
    })
}

pub(super) fn unfinished_mark(path: &str, line: usize, mark: &str) -> Violation {
    let message = format!("{mark}: do it now, or file an issue and remove the mark");
    Violation {
        path: path.to_owned(),
        line,
        rule: "unfinished",
        message,
    }
}
