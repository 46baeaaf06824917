//! Who may touch the world: only `tiki` reads the environment, prints or exits,
//! `catalog` does nothing but decide, and nobody builds a line for a shell.

use super::Violation;
use super::lexer::Kind;
use super::source::Source;

const ENVIRONMENT: &[&str] = &[
    "var",
    "var_os",
    "vars",
    "vars_os",
    "args",
    "args_os",
    "set_var",
    "remove_var",
    "home_dir",
    "temp_dir",
    "current_dir",
    "set_current_dir",
];
const PRINTS: &[&str] = &["println", "eprintln", "print", "eprint", "dbg"];

/// Programs that take a line apart again.
const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "cmd", "powershell", "pwsh"];

/// What ships with the program and is not the program itself.
fn is_bound(owner: &str) -> bool {
    !["tiki", "testkit", "xtask"].contains(&owner)
}

pub(super) fn check(source: &Source<'_>, violations: &mut Vec<Violation>) {
    for (index, token) in source.code.iter().enumerate() {
        if !source.ships(index) {
            continue;
        }
        let mut refuse = |rule, message: String| {
            violations.push(source.violation(token.line, rule, message));
        };
        if is_bound(source.owner)
            && let Some((rule, what, instead)) = effect(source, index)
        {
            refuse(rule, format!("{what} outside crates/tiki: {instead}"));
        }
        if !["testkit", "xtask"].contains(&source.owner)
            && let Some(shell) = shell(source, index)
        {
            let what = format!("Command::new of {shell}: run the program itself, with arguments");
            refuse("shell", what);
        }
        if source.owner == "catalog"
            && let Some(what) = impurity(source, index)
        {
            refuse(
                "pure-catalog",
                format!("{what} in crates/catalog: take the result as an argument"),
            );
        }
    }
}

/// The rule that the token breaks, what it is, and what to do instead.
fn effect(source: &Source<'_>, index: usize) -> Option<(&'static str, String, &'static str)> {
    let environment = source
        .takes(index, "env", ENVIRONMENT)
        .map(|name| format!("env::{name}"));
    if let Some(what) = environment.or_else(|| built_in(source, index)) {
        return Some(("environment", what, "take the setting as an argument"));
    }
    if let Some(name) = source.takes(index, "process", &["exit", "abort"]) {
        return Some(("exit", format!("process::{name}"), "return an error"));
    }
    let token = source.code[index];
    let calls = source
        .code
        .get(index + 1)
        .is_some_and(|next| next.is_punct("!"));
    let macros = (calls && PRINTS.iter().any(|name| token.is_word(name)))
        .then(|| format!("{}!", token.text));
    let streams = || {
        let name = source.takes(index, "io", &["stdout", "stderr", "stdin"])?;
        (name != "*").then(|| format!("io::{name}"))
    };
    let what = macros.or_else(streams)?;
    Some((
        "print",
        what,
        "return a value, or write it as a tracing event",
    ))
}

/// The shell that the token begins to run.
fn shell<'a>(source: &Source<'a>, index: usize) -> Option<&'a str> {
    source.takes(index, "Command", &["new"])?;
    let program = source.code.get(index + 5)?;
    let name = program.text.rsplit('/').next()?;
    (program.kind == Kind::Str && SHELLS.contains(&name)).then_some(program.text)
}

/// `env!` and `option_env!`, but for what cargo says about the crate.
fn built_in(source: &Source<'_>, index: usize) -> Option<String> {
    let at = |offset: usize| source.code.get(index + offset);
    let is_macro = ["env", "option_env"]
        .iter()
        .any(|name| source.code[index].is_word(name));
    let argument = (is_macro && at(1)?.is_punct("!"))
        .then(|| at(3))
        .flatten()?;
    (!argument.text.starts_with("CARGO_")).then(|| format!("env! of {}", argument.text))
}

/// What the token does that `catalog` may not.
fn impurity(source: &Source<'_>, index: usize) -> Option<String> {
    let modules = &["fs", "net", "process", "thread", "env"];
    if let Some(name) = source.takes(index, "std", modules) {
        return Some(format!("std::{name}"));
    }
    let token = source.code[index];
    for clock in ["SystemTime", "Instant", "Timestamp", "Zoned"] {
        if source.takes(index, clock, &["now"]).is_some() {
            return Some(format!("{clock}::now"));
        }
    }
    let waits = token.is_word("async") || token.is_word("await");
    (waits || token.is_word("tokio")).then(|| token.text.to_owned())
}
