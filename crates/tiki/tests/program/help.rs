//! Every command explains itself, and every mistake in typing is told.

use crate::tiki::Tiki;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["run"],
    &["step"],
    &["plan"],
    &["runs"],
    &["runs", "list"],
    &["runs", "show"],
    &["runs", "resume"],
    &["runs", "close"],
    &["categories"],
    &["categories", "tree"],
    &["categories", "search"],
    &["products"],
    &["products", "search"],
    &["products", "show"],
    &["products", "history"],
    &["rejections"],
    &["rejections", "list"],
    &["rejections", "show"],
    &["alerts"],
    &["alerts", "list"],
    &["alerts", "test"],
    &["alerts", "retry"],
    &["cleanup"],
    &["rollback"],
    &["rollback", "airflow"],
    &["rollback", "data"],
    &["errors"],
    &["export"],
    &["health"],
    &["preflight"],
    &["serve"],
    &["schema"],
    &["sql"],
    &["migrate"],
    &["config"],
    &["config", "show"],
    &["storefront"],
    &["digest"],
    &["completions"],
];

#[test]
fn every_command_has_a_help() {
    let tiki = Tiki::new();
    for command in COMMANDS {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let done = tiki.ends(0, &arguments);
        assert!(
            done.out.contains("Usage: tiki"),
            "{command:?}: {}",
            done.out
        );
        let longest = done.out.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(110), "{command:?}: {longest:?}");
    }
    assert!(!tiki.path("data").exists(), "a help makes nothing");
}

#[test]
fn a_mistake_in_typing_is_told_with_what_was_meant() {
    let tiki = Tiki::new();
    for (arguments, said) in [
        (&["rnu"] as &[&str], "run"),
        (&["run", "--dmeo"], "--demo"),
        (&["run", "--demo-days", "0", "--demo"], "1..=3650"),
        (&["run", "--demo-days", "3"], "--demo"),
        (&["run", "--from", "load-products"], "--run"),
        (
            &["step", "load_products", "--run", "x"],
            "did you mean load-products?",
        ),
        (&["step", "load-products"], "--run"),
        (&["run", "--owner", "me"], "write cli, serve or airflow"),
        (&["products", "show", "abc"], "invalid"),
        (&["export", "x.csv", "--format", "xml"], "csv"),
        (&["sql", "x", "--timeout", "5"], "with its unit"),
        (&[], "Usage"),
    ] {
        let done = tiki.ends(2, arguments);
        assert!(done.err.contains(said), "{arguments:?}: {}", done.err);
        assert!(done.out.is_empty());
    }
}

#[test]
fn completions_are_printed_for_a_shell() {
    let tiki = Tiki::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(tiki.out(&["completions", shell]).contains("storefront"));
    }
}
