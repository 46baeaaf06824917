//! A Rust file: whose it is, its tokens, and which of them are only for tests.

use super::Violation;
use super::lexer::{Kind, Token, tokens};
use std::ops::Range;

pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    /// The crate's folder name, or "xtask".
    pub(super) owner: &'a str,
    pub(super) comments: Vec<Token<'a>>,
    /// Everything but comments.
    pub(super) code: Vec<Token<'a>>,
    /// Ranges of `code` that only tests see.
    test_ranges: Vec<Range<usize>>,
}

impl<'a> Source<'a> {
    pub(super) fn read(path: &'a str, text: &'a str) -> Self {
        let (comments, code): (Vec<_>, Vec<_>) = tokens(text)
            .into_iter()
            .partition(|token| token.kind == Kind::Comment);
        let mut parts = path.split('/');
        let first = parts.next().unwrap_or_default();
        let owner = if first == "crates" {
            parts.next().unwrap_or_default()
        } else {
            first
        };
        let test_ranges = if is_test_path(path) {
            whole(&code)
        } else {
            test_ranges(&code)
        };
        Self {
            path,
            owner,
            comments,
            code,
            test_ranges,
        }
    }

    /// Whether the token with this index ships: it is in none of the tests.
    pub(super) fn ships(&self, index: usize) -> bool {
        !self.test_ranges.iter().any(|range| range.contains(&index))
    }

    pub(super) fn violation(
        &self,
        line: usize,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Violation {
        Violation {
            path: self.path.to_owned(),
            line,
            rule,
            message: message.into(),
        }
    }

    /// The first of `names` that is taken from `module` at this index: `module::name`,
    /// `module::{…, name, …}`; a `module::*` takes `*`.
    pub(super) fn takes(&self, index: usize, module: &str, names: &[&str]) -> Option<&'a str> {
        let at = |offset: usize| self.code.get(index + offset);
        let path = at(0)?.is_word(module) && at(1)?.is_punct(":") && at(2)?.is_punct(":");
        let next = path.then(|| at(3)).flatten()?;
        if next.is_punct("{") {
            let end = block_end(&self.code, index + 3);
            let group = &self.code[index + 4..end.min(self.code.len())];
            return group
                .iter()
                .find(|token| is_one_of(token, names))
                .map(|token| token.text);
        }
        (next.is_punct("*") || is_one_of(next, names)).then_some(next.text)
    }
}

fn is_one_of(token: &Token<'_>, names: &[&str]) -> bool {
    token.kind == Kind::Word && names.contains(&token.text)
}

/// Files that are compiled for tests only; `tests.rs` and `tests/` inside `src` by convention.
fn is_test_path(path: &str) -> bool {
    let mut folders: Vec<_> = path.split('/').collect();
    let file = folders.pop();
    file == Some("tests.rs")
        || folders
            .iter()
            .any(|folder| ["tests", "benches", "examples"].contains(folder))
}

fn whole(code: &[Token<'_>]) -> Vec<Range<usize>> {
    std::iter::once(0..code.len()).collect()
}

/// Items under `#[cfg(test)]` and the like; the whole file under `#![cfg(test)]`.
fn test_ranges(code: &[Token<'_>]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut index = 0;
    while index < code.len() {
        let Some(end) = attribute_end(code, index) else {
            index += 1;
            continue;
        };
        let inner = code[index + 1].is_punct("!");
        let words = &code[index..end];
        let has = |word: &str| words.iter().any(|token| token.is_word(word));
        let first = words.iter().find(|token| token.kind == Kind::Word);
        let is_test = first.is_some_and(|token| token.text == "cfg") && has("test") && !has("not");
        if is_test && inner {
            return whole(code);
        }
        if is_test {
            let item_end = item_end(code, end);
            ranges.push(index..item_end);
            index = item_end;
        } else {
            index = end;
        }
    }
    ranges
}

/// If an attribute begins here, the index behind its `]`.
fn attribute_end(code: &[Token<'_>], index: usize) -> Option<usize> {
    let bang = usize::from(code.get(index + 1)?.is_punct("!"));
    let opens = code[index].is_punct("#") && code.get(index + 1 + bang)?.is_punct("[");
    opens.then(|| block_end(code, index + 1 + bang) + 1)
}

/// The index behind the item that begins here, its attributes included.
fn item_end(code: &[Token<'_>], mut index: usize) -> usize {
    while index < code.len() {
        if let Some(end) = attribute_end(code, index) {
            index = end;
            continue;
        }
        match code[index].text {
            ";" => return index + 1,
            "{" => return (block_end(code, index) + 1).min(code.len()),
            "(" | "[" => index = block_end(code, index) + 1,
            _ => index += 1,
        }
    }
    code.len()
}

/// The index of the bracket that closes the one at `index`; the number of tokens if none does.
pub(super) fn block_end(code: &[Token<'_>], index: usize) -> usize {
    let mut depth = 0;
    for (at, token) in code.iter().enumerate().skip(index) {
        if token.kind != Kind::Punct {
            continue;
        }
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::Source;

    /// The words of `text` that ship.
    fn shipped(path: &str, text: &str) -> String {
        let source = Source::read(path, text);
        let kept = source
            .code
            .iter()
            .enumerate()
            .filter(|(index, _)| source.ships(*index));
        kept.map(|(_, token)| token.text)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_only_tests_see_does_not_ship() {
        for (text, expected) in [
            ("a #[cfg(test)] mod tests { x { } } b", "a b"),
            ("a #[cfg(test)] mod tests; b", "a b"),
            (
                "a #[cfg(test)] #[allow(z)] fn f(x: [u8; 3]) -> u8 { y } b",
                "a b",
            ),
            ("#![cfg(test)] a", ""),
            ("#[cfg(all(test, unix))] fn f() {} b", "b"),
            ("#[cfg(not(test))] a", "# [ cfg ( not ( test ) ) ] a"),
            ("#[derive(test)] a", "# [ derive ( test ) ] a"),
        ] {
            assert_eq!(shipped("crates/a/src/lib.rs", text), expected, "{text}");
        }
        for path in [
            "crates/a/tests/x.rs",
            "crates/a/src/b/tests.rs",
            "crates/a/benches/x.rs",
        ] {
            assert_eq!(shipped(path, "a"), "", "{path}");
        }
    }

    #[test]
    fn an_import_is_seen_alone_and_in_a_group() {
        for (text, expected) in [
            ("env::var", Some("var")),
            ("env::{args, var}", Some("var")),
            ("env::*", Some("*")),
            ("env::consts", None),
            ("env.var", None),
            ("environment::var", None),
        ] {
            let source = Source::read("crates/a/src/lib.rs", text);
            assert_eq!(source.takes(0, "env", &["var"]), expected, "{text}");
        }
    }
}
