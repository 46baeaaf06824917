//! The chores through the door their user uses: the program and its exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout);
    format!("{printed}{}", String::from_utf8_lossy(&output.stderr))
}

/// A small workspace that breaks no rule.
fn clean_workspace(root: &Path) {
    for (path, text) in [
        ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n"),
        (
            "README.md",
            "It is done with the ladder; see docs/work/plan.md. TODO is a word here.\n",
        ),
        (
            "crates/catalog/Cargo.toml",
            "[package]\nname = \"catalog\"\n[dependencies]\n",
        ),
        (
            "crates/catalog/src/lib.rs",
            "//! Decides.\npub fn twice(x: i64) -> i64 {\n    x * 2\n}\n",
        ),
        (
            "crates/warehouse/Cargo.toml",
            "[package]\nname = \"warehouse\"\n[dependencies]\ncatalog.workspace = true\n\
             [dev-dependencies]\ntestkit.workspace = true\nstorefront = \"1\"\n",
        ),
        (
            "crates/warehouse/src/lib.rs",
            "const ALL: &str = \"select id from products\";\n",
        ),
        (
            "crates/crawl/Cargo.toml",
            "[dependencies]\ncatalog = { path = \"../catalog\" }\n",
        ),
        ("crates/crawl/src/lib.rs", CLEAN_CRAWL),
        (
            "crates/crawl/tests/robots.rs",
            "fn main() { println!(\"{:?}\", std::env::args()); }\n",
        ),
        (
            "crates/tiki/Cargo.toml",
            "[dependencies]\ncrawl = \"1\"\ncatalog = \"1\"\n",
        ),
        ("crates/tiki/src/main.rs", CLEAN_TIKI),
    ] {
        write(root, path, text);
    }
}

const CLEAN_CRAWL: &str = r#"//! Example: `println!("select id from products")`.
/* std::process::exit(1) */
const VERSION: &str = env!("CARGO_PKG_VERSION");
const TEXT: &str = "println!(\"x\") env::var dbg!() { fn mod utils;";
#[cfg(test)]
mod tests {
    fn shows() { println!("select id from products"); std::process::exit(1) }
}
"#;

const CLEAN_TIKI: &str = r#"fn main() {
    println!("{:?}", std::env::var("HOME"));
    // tidy: sample SQL
    println!("select name from products limit 3");
    std::process::exit(0);
}
"#;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Writes one file into a clean workspace, and expects exactly these complaints (`path:line: rule`,
/// then words of the message); none of them: clean.
fn check(path: &str, content: &str, expected: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    clean_workspace(folder.path());
    write(folder.path(), path, content);
    let output = xtask(&["tidy", folder.path().to_str().unwrap()]);
    let said = text(&output);
    assert_eq!(
        output.status.code(),
        Some(i32::from(!expected.is_empty())),
        "{content}\n{said}"
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    if expected.is_empty() {
        assert!(printed.contains("nothing to mend"), "{said}");
        return;
    }
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{content}\n{said}");
    for (line, (begins, contains)) in lines.iter().zip(expected) {
        assert!(
            line.starts_with(begins) && line.contains(contains),
            "{line}\n{begins} {contains}"
        );
    }
}

#[test]
fn a_clean_workspace_passes() {
    check("docs/NOTES.md", "Nothing.\n", &[]);
}

#[test]
fn a_forbidden_arrow_is_refused() {
    let catalog = "crates/catalog/Cargo.toml";
    check(
        catalog,
        "[dependencies]\nserde = \"1\"\nwarehouse.workspace = true\n",
        &[(
            "crates/catalog/Cargo.toml:3: arrow:",
            "catalog may not use warehouse (dependencies): it may use nothing of ours",
        )],
    );
    check(
        "crates/crawl/Cargo.toml",
        "[dependencies]\nstore = { package = \"warehouse\" }\n",
        &[("crates/crawl/Cargo.toml:2: arrow:", "it may use catalog")],
    );
    check(
        "crates/warehouse/Cargo.toml",
        "[target.'cfg(unix)'.dependencies]\ntestkit = \"1\"\n",
        &[(
            "crates/warehouse/Cargo.toml:2: arrow:",
            "warehouse may not use testkit",
        )],
    );
    check(
        "crates/warehouse/Cargo.toml",
        "[dev-dependencies.pipeline]\npath = \"x\"\n",
        &[(
            "crates/warehouse/Cargo.toml:1: arrow:",
            "pipeline (dev-dependencies)",
        )],
    );
    check(
        "crates/extra/Cargo.toml",
        "[package]\n",
        &[(
            "crates/extra/Cargo.toml:1: arrow:",
            "no arrows are known for extra",
        )],
    );
    check(
        "crates/crawl/Cargo.toml",
        "[dependencies\n",
        &[("crates/crawl/Cargo.toml:1: arrow:", "cannot be read")],
    );
}

#[test]
fn long_files_and_functions_are_refused() {
    let path = "crates/crawl/src/long.rs";
    check(path, &"// a line\n".repeat(500), &[]);
    let expected = (
        &*format!("{path}:1: file-length:"),
        "501 lines, at most 500",
    );
    check(path, &"// a line\n".repeat(501), &[expected]);
    let function = |lines: usize| format!("\nfn long() {{\n{}}}\n", "    // }\n".repeat(lines - 2));
    check(path, &function(70), &[]);
    check(
        path,
        &function(71),
        &[(
            &format!("{path}:2: function-length:"),
            "fn long has 71 lines",
        )],
    );
}

#[test]
fn effects_outside_the_program_are_refused() {
    let path = "crates/crawl/src/lib.rs";
    for (line, rule, what) in [
        ("let a = std::env::var(\"A\");", "environment", "env::var"),
        ("use std::env::{self, args};", "environment", "env::args"),
        (
            "const A: &str = env!(\"HOME\");",
            "environment",
            "env! of HOME",
        ),
        (
            "const A: Option<&str> = option_env!(\"CI\");",
            "environment",
            "env! of CI",
        ),
        ("println!(\"a\");", "print", "println!"),
        ("eprint!(\"a\");", "print", "eprint!"),
        ("dbg!(a);", "print", "dbg!"),
        ("let out = std::io::stdout();", "print", "io::stdout"),
        ("use std::io::{Write, stderr};", "print", "io::stderr"),
        ("std::process::exit(1);", "exit", "process::exit"),
    ] {
        let text = format!("// first\n{line}\n");
        check(path, &text, &[(&format!("{path}:2: {rule}:"), what)]);
        check("crates/tiki/src/world.rs", &text, &[]);
        check("crates/crawl/tests/world.rs", &text, &[]);
        check("crates/crawl/src/world/tests.rs", &text, &[]);
        check(
            path,
            &format!("#[cfg(test)]\nmod tests {{\n{line}\n}}\n"),
            &[],
        );
    }
}

#[test]
fn a_shell_is_refused() {
    for shell in ["sh", "/bin/bash"] {
        let text = format!("let c = std::process::Command::new(\"{shell}\");\n");
        for path in ["crates/tiki/src/a.rs", "crates/warehouse/src/a.rs"] {
            check(path, &text, &[(&format!("{path}:1: shell:"), shell)]);
        }
        check("crates/testkit/src/a.rs", &text, &[]);
        check("crates/tiki/tests/a.rs", &text, &[]);
    }
    let text = "let c = Command::new(\"pg_dump\").arg(\"sh\");\n";
    check("crates/tiki/src/a.rs", text, &[]);
}

#[test]
fn sql_outside_the_warehouse_is_refused() {
    let path = "crates/pipeline/src/steps.rs";
    let code = "let q = r#\"\n  select id from products\n\"#;\n";
    check(
        path,
        code,
        &[(&format!("{path}:1: sql:"), "move the statement there")],
    );
    check("crates/warehouse/src/steps.rs", code, &[]);
    check("crates/pipeline/tests/steps.rs", code, &[]);
    check(
        "crates/tiki/src/steps.rs",
        code,
        &[("crates/tiki/src/steps.rs:1: sql:", "sample")],
    );
    check(path, &format!("// tidy: sample SQL\n{code}"), &[]);
    check(
        path,
        "/// select id from products\nlet q = \"select a category from the tree\";\n",
        &[],
    );
}

#[test]
fn names_without_a_subject_are_refused() {
    let expected = (
        "crates/crawl/src/lib.rs:2: name:",
        "'helpers' has no subject",
    );
    check(
        "crates/crawl/src/lib.rs",
        "//! A\npub mod helpers;\n",
        &[expected],
    );
    let path = "crates/crawl/tests/common/mod.rs";
    check(
        path,
        "//! A\n",
        &[(&format!("{path}:1: name:"), "'common'")],
    );
}

#[test]
fn unfinished_work_is_refused() {
    let path = "crates/crawl/src/lib.rs";
    check(
        path,
        "/* a\n FIXME b */\nfn f() { todo!() }\n",
        &[
            (&format!("{path}:2: unfinished:"), "FIXME"),
            (&format!("{path}:3: unfinished:"), "todo!"),
        ],
    );
    check(path, "const A: &str = \"TODO\"; // XXXL\n", &[]);
    check(
        "deploy/run.sh",
        "ls # TODO\n",
        &[("deploy/run.sh:1: unfinished:", "TODO")],
    );
}

#[test]
fn folders_of_some_machine_are_refused() {
    for folder in ["root", "work"] {
        let line = format!("See\n`/{folder}/a`\n");
        check(
            "docs/A.md",
            &line,
            &[("docs/A.md:2: machine-path:", folder)],
        );
        check(
            "docs/A.md",
            &format!("https://a.example/{folder}/b {{}}/{folder}/c\n"),
            &[],
        );
    }
}

#[test]
fn an_impure_catalog_is_refused() {
    let path = "crates/catalog/src/lib.rs";
    for (line, what) in [
        ("use std::fs;", "std::fs"),
        ("use std::{fmt, net::IpAddr};", "std::net"),
        ("let now = std::time::SystemTime::now();", "SystemTime::now"),
        ("let now = Instant::now();", "Instant::now"),
        ("async fn a() {}", "async"),
        ("fn a(x: tokio::sync::Mutex<u8>) {}", "tokio"),
    ] {
        check(
            path,
            &format!("{line}\n"),
            &[(&format!("{path}:1: pure-catalog:"), what)],
        );
        check("crates/crawl/src/clock.rs", &format!("{line}\n"), &[]);
    }
    let path = "crates/catalog/Cargo.toml";
    let expected = (&*format!("{path}:2: pure-catalog:"), "may not use tokio");
    check(
        path,
        "[dependencies]\ntokio.workspace = true\n",
        &[expected],
    );
    check(path, "[dev-dependencies]\ntokio.workspace = true\n", &[]);
}

#[test]
fn this_project_is_read_from_git() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder.path()).args(arguments);
        assert!(command.output().unwrap().status.success());
    };
    git(&["init", "-q"]);
    clean_workspace(folder.path());
    write(folder.path(), ".gitignore", "/built\n");
    write(folder.path(), "built/utils.rs", "fn a() { todo!() }\n");
    let output = xtask(&["tidy", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(
        text(&output).contains("tidy: 12 files checked"),
        "{}",
        text(&output)
    );
}

#[test]
fn what_may_not_be_built_in_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml");
    let mut rules = fs::read_to_string(rules).unwrap();
    // Of our own crates neither is there.
    let (begin, end) = (
        rules.find("skip = [").unwrap(),
        rules.find("[sources]").unwrap(),
    );
    rules.replace_range(begin..end, "");
    rules = rules.replace(
        "unused-allowed-license = \"deny\"",
        "unused-allowed-license = \"allow\"",
    );
    write(folder.path(), "deny.toml", &rules);
    write(
        folder.path(),
        "Cargo.toml",
        "[workspace]\nmembers = [\"a\", \"b\"]\nresolver = \"3\"\n",
    );
    let lock = "version = 4\n[[package]]\nname = \"NAME\"\nversion = \"1.0.0\"\n[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\n";
    for (name, licence, refused) in [
        ("plain", "MIT", None),
        ("plain", "GPL-3.0-only", Some("GPL-3.0-only")),
        ("openssl", "MIT", Some("TLS is rustls")),
    ] {
        for (folder_name, name) in [("a", name), ("b", "serde")] {
            let manifest = format!(
                "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\nlicense = \"{licence}\"\n"
            );
            write(
                folder.path(),
                &format!("{folder_name}/Cargo.toml"),
                &manifest,
            );
            write(
                folder.path(),
                &format!("{folder_name}/src/lib.rs"),
                "//! Nothing.\n",
            );
        }
        write(folder.path(), "Cargo.lock", &lock.replace("NAME", name));
        let output = xtask(&["dependencies", folder.path().to_str().unwrap()]);
        let said = text(&output);
        assert_eq!(
            output.status.code(),
            Some(i32::from(refused.is_some())),
            "{said}"
        );
        assert!(
            said.contains(refused.unwrap_or("bans ok, licenses ok, sources ok")),
            "{said}"
        );
    }
}

#[test]
fn wrong_arguments_end_with_2_and_help_with_0() {
    for (arguments, code, contains) in [
        (&["--help"][..], 0, "usage: cargo xtask"),
        (&["test", "--help"], 0, "--quick"),
        (&[], 2, "which chore?"),
        (&["fly"], 2, "there is no chore 'fly'"),
        (&["setup", "now"], 2, "setup takes no arguments, not 'now'"),
        (&["test", "--fast"], 2, "not '--fast'"),
        (&["bench"], 2, "crawl"),
        (&["bench", "nothing"], 2, "no benchmark 'nothing'"),
        (&["tidy", "a", "b"], 2, "one folder at most"),
        (&["dependencies", "a", "b"], 2, "one folder at most"),
    ] {
        let output = xtask(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(
            text(&output).contains(contains),
            "{arguments:?}: {}",
            text(&output)
        );
    }
}
