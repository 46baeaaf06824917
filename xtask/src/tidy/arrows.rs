//! Which crate may use which: arrows point down only.

use super::{File, Violation};
use toml::{Table, Value};

/// What each crate of the workspace may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "tiki",
        &[
            "dashboard",
            "pipeline",
            "storefront",
            "crawl",
            "warehouse",
            "catalog",
        ],
    ),
    ("pipeline", &["crawl", "warehouse", "catalog"]),
    ("dashboard", &["warehouse", "catalog"]),
    ("crawl", &["catalog"]),
    ("warehouse", &["catalog"]),
    ("storefront", &[]),
    ("catalog", &[]),
    ("testkit", &[]),
    ("xtask", &["testkit"]),
];

/// What every crate's tests may use besides.
const FOR_TESTS: [&str; 2] = ["testkit", "storefront"];

/// What would let `catalog` wait or do I/O.
const IMPURE: [&str; 8] = [
    "tokio",
    "async-std",
    "smol",
    "futures-util",
    "reqwest",
    "rusqlite",
    "tokio-postgres",
    "redis",
];

pub(super) fn check(files: &[File], violations: &mut Vec<Violation>) {
    for file in files {
        let parts: Vec<_> = file.path.split('/').collect();
        let owner = match parts[..] {
            ["crates", owner, "Cargo.toml"] => owner,
            ["xtask", "Cargo.toml"] => "xtask",
            _ => continue,
        };
        if let Err(violation) = check_crate(file, owner, violations) {
            violations.push(violation);
        }
    }
}

fn check_crate(file: &File, owner: &str, violations: &mut Vec<Violation>) -> Result<(), Violation> {
    let refusal = |line, message| Violation {
        path: file.path.clone(),
        line,
        rule: "arrow",
        message,
    };
    let manifest: Table = file.text.parse().map_err(|error: toml::de::Error| {
        refusal(1, format!("cannot be read: {}", error.message()))
    })?;
    let (_, allowed) = ARROWS
        .iter()
        .find(|(name, _)| *name == owner)
        .ok_or_else(|| {
            refusal(
                1,
                format!("no arrows are known for {owner}: add it in xtask/src/tidy/arrows.rs"),
            )
        })?;
    for Dependency { key, package, kind } in dependencies(&manifest) {
        let line = line_of(&file.text, key);
        let ours = ARROWS.iter().any(|(name, _)| *name == package);
        let may = allowed.contains(&package)
            || (kind == DEV && package != owner && FOR_TESTS.contains(&package));
        if ours && !may {
            let list = if allowed.is_empty() {
                "nothing of ours".into()
            } else {
                allowed.join(", ")
            };
            let what = format!("{owner} may not use {package} ({kind}): it may use {list}");
            violations.push(refusal(line, what));
        }
        if owner == "catalog" && kind != DEV && IMPURE.contains(&package) {
            let message = format!("catalog may not use {package}: it does no I/O and never waits");
            let path = file.path.clone();
            violations.push(Violation {
                path,
                line,
                rule: "pure-catalog",
                message,
            });
        }
    }
    Ok(())
}

const DEV: &str = "dev-dependencies";

struct Dependency<'a> {
    /// As the manifest calls it.
    key: &'a str,
    package: &'a str,
    kind: &'static str,
}

/// Of all kinds, and for all targets.
fn dependencies(manifest: &Table) -> Vec<Dependency<'_>> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in std::iter::once(manifest).chain(targets) {
        for kind in ["dependencies", "build-dependencies", DEV] {
            let list = table.get(kind).and_then(Value::as_table);
            for (key, value) in list.into_iter().flatten() {
                let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                found.push(Dependency { key, package, kind });
            }
        }
    }
    found
}

/// The line that begins with the key; 1 if none does.
fn line_of(text: &str, key: &str) -> usize {
    let begins = |line: &str| {
        let rest = line.trim_start().trim_start_matches('"').strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with([' ', '=', '.', '"']))
            || line.trim_end().ends_with(&format!("dependencies.{key}]"))
    };
    text.lines().position(begins).map_or(1, |index| index + 1)
}
