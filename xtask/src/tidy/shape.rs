//! Sizes, names without a subject, and unfinished work in Rust files.

use super::lexer::{Kind, Token};
use super::source::{Source, block_end};
use super::{EMPTY_NAMES, Violation, texts};

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

pub(super) fn check(source: &Source<'_>, text: &str, violations: &mut Vec<Violation>) {
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES {
        let message = format!("{lines} lines, at most {MAX_FILE_LINES}: split it by subject");
        violations.push(source.violation(1, "file-length", message));
    }
    for function in functions(&source.code) {
        if function.lines > MAX_FUNCTION_LINES {
            let Function { name, line, lines } = function;
            let message = format!(
                "fn {name} has {lines} lines, at most {MAX_FUNCTION_LINES}: give its parts names of their own"
            );
            violations.push(source.violation(line, "function-length", message));
        }
    }
    for pair in source.code.windows(2) {
        if pair[0].is_word("mod") && EMPTY_NAMES.contains(&pair[1].text) {
            violations.push(empty_name(source.path, pair[1].line, pair[1].text));
        }
    }
    for comment in &source.comments {
        for (offset, line) in comment.text.lines().enumerate() {
            if let Some(mark) = texts::unfinished(line) {
                violations.push(texts::unfinished_mark(
                    source.path,
                    comment.line + offset,
                    mark,
                ));
            }
        }
    }
    for (name, bang) in source.code.iter().zip(source.code.iter().skip(1)) {
        if name.is_word("todo") && bang.is_punct("!") {
            violations.push(texts::unfinished_mark(source.path, name.line, "todo!"));
        }
    }
}

pub(super) fn empty_name(path: &str, line: usize, name: &str) -> Violation {
    let message = format!("'{name}' has no subject: name it after what it holds");
    Violation {
        path: path.to_owned(),
        line,
        rule: "name",
        message,
    }
}

#[derive(Debug, PartialEq)]
struct Function<'a> {
    name: &'a str,
    line: usize,
    /// From `fn` to the closing brace.
    lines: usize,
}

/// Every function with a body, also those inside others.
fn functions<'a>(code: &[Token<'a>]) -> Vec<Function<'a>> {
    let mut found = Vec::new();
    for (index, pair) in code.windows(2).enumerate() {
        if !pair[0].is_word("fn") || pair[1].kind != Kind::Word {
            continue;
        }
        let Some(end) = body(code, index + 2).map(|begin| block_end(code, begin)) else {
            continue;
        };
        let last = code
            .get(end)
            .or(code.last())
            .map_or(pair[0].line, |token| token.line);
        let (name, line) = (pair[1].text, pair[0].line);
        found.push(Function {
            name,
            line,
            lines: last - line + 1,
        });
    }
    found
}

/// The index of the brace that opens the body; none if the signature ends without.
fn body(code: &[Token<'_>], mut index: usize) -> Option<usize> {
    while let Some(token) = code.get(index) {
        match (token.kind, token.text) {
            (Kind::Punct, "{") => return Some(index),
            (Kind::Punct, ";") => return None,
            (Kind::Punct, "(" | "[") => index = block_end(code, index) + 1,
            _ => index += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::functions;
    use crate::tidy::lexer::tokens;

    fn check(text: &str, expected: &[(&str, usize, usize)]) {
        let code = tokens(text);
        let found: Vec<_> = functions(&code)
            .iter()
            .map(|found| (found.name, found.line, found.lines))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_function_ends_with_its_own_brace() {
        check("fn a() {}", &[("a", 1, 1)]);
        check("\nfn a() {\n  \"}\";\n  '}';\n}\n}", &[("a", 2, 4)]);
        check(
            "fn a() {\n r#\"}\"}\"#;\n 'x: loop { break 'x; }\n}",
            &[("a", 1, 4)],
        );
        check(
            "fn a(x: [u8; 2])\nwhere X: Fn() -> u8,\n{\n}",
            &[("a", 1, 4)],
        );
        check("fn a() {\n  fn b() {\n  }\n}", &[("a", 1, 4), ("b", 2, 2)]);
        check(
            "impl<'a> X<'a> { const fn a(&'a self) -> &'a str {\n} }",
            &[("a", 1, 2)],
        );
    }

    #[test]
    fn what_has_no_body_is_no_function() {
        check("trait A { fn a(&self) -> [u8; 3]; fn b();\n}", &[]);
        check("type A = fn(u8) -> u8; let r#fn = { 1 };", &[]);
        check("macro_rules! a { ($n:ident) => { fn $n() {} } }", &[]);
        check("fn never_closed() {", &[("never_closed", 1, 1)]);
    }
}
