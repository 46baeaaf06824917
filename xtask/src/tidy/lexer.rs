//! Rust text cut into tokens, as far as the rules need them: what is code, what
//! is a string, what is a comment. It never fails; text that is not Rust gives
//! nonsense tokens.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or keyword; a raw identifier without `r#`.
    Word,
    /// A string of any sort; its text is what stands between the quotes.
    Str,
    /// A character, byte or number.
    Literal,
    Lifetime,
    /// A comment of any sort, with its marks.
    Comment,
    /// One character of anything else.
    Punct,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }

    pub(super) fn is_punct(&self, punct: &str) -> bool {
        self.kind == Kind::Punct && self.text == punct
    }
}

/// All tokens of a text, comments included.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0 };
    let (mut found, mut line, mut counted) = (Vec::new(), 1, 0);
    loop {
        lexer.skip_while(char::is_whitespace);
        let start = lexer.at;
        let Some((kind, begin, end)) = lexer.next() else {
            return found;
        };
        line += text[counted..start].matches('\n').count();
        counted = start;
        found.push(Token {
            kind,
            text: &text[begin..end],
            line,
        });
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A token's kind and where its text begins and ends.
type Span = (Kind, usize, usize);

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.at += found.len_utf8();
        Some(found)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn next(&mut self) -> Option<Span> {
        let start = self.at;
        let first = self.peek()?;
        if self.rest().starts_with("//") {
            self.skip_while(|found| found != '\n');
            return Some((Kind::Comment, start, self.at));
        }
        if self.rest().starts_with("/*") {
            self.block_comment();
            return Some((Kind::Comment, start, self.at));
        }
        if let Some(span) = self.prefixed_string() {
            return Some(span);
        }
        match first {
            '"' => Some(self.string()),
            '\'' => Some(self.quote()),
            _ if first.is_alphabetic() || first == '_' => {
                self.skip_while(is_word);
                Some((Kind::Word, start, self.at))
            }
            _ if first.is_ascii_digit() => {
                self.number();
                Some((Kind::Literal, start, self.at))
            }
            _ => {
                self.bump();
                Some((Kind::Punct, start, self.at))
            }
        }
    }

    /// Comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while !self.rest().is_empty() {
            if self.rest().starts_with("/*") {
                (depth, self.at) = (depth + 1, self.at + 2);
            } else if self.rest().starts_with("*/") {
                (depth, self.at) = (depth - 1, self.at + 2);
            } else {
                self.bump();
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, `cr"…"`, `b'…'` and `r#name`.
    fn prefixed_string(&mut self) -> Option<Span> {
        let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
            let rest = self.rest().strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(['"', '#', '\'']))
        })?;
        let start = self.at;
        let raw = prefix.ends_with('r');
        let hashes = self.rest()[prefix.len()..]
            .chars()
            .take_while(|&found| found == '#')
            .count();
        let mark = self.rest()[prefix.len() + hashes..].chars().next();
        match mark {
            Some('"') if raw => {
                let begin = start + prefix.len() + hashes + 1;
                let close = format!("\"{}", "#".repeat(hashes));
                let length = self.text[begin..].find(&close);
                let end = length.map_or(self.text.len(), |length| begin + length);
                self.at = (end + close.len()).min(self.text.len());
                Some((Kind::Str, begin, end))
            }
            Some('"') if hashes == 0 => {
                self.at += prefix.len();
                Some(self.string())
            }
            Some('\'') if prefix == "b" && hashes == 0 => {
                self.at += 1;
                Some(self.quote())
            }
            Some(found) if prefix == "r" && hashes == 1 && is_word(found) => {
                self.at += 2;
                let begin = self.at;
                self.skip_while(is_word);
                Some((Kind::Word, begin, self.at))
            }
            _ => None,
        }
    }

    fn string(&mut self) -> Span {
        self.bump();
        let begin = self.at;
        while let Some(found) = self.peek() {
            if found == '"' {
                break;
            }
            self.bump();
            if found == '\\' {
                self.bump();
            }
        }
        let end = self.at;
        self.bump();
        (Kind::Str, begin, end)
    }

    /// A character or a lifetime.
    fn quote(&mut self) -> Span {
        let start = self.at;
        self.bump();
        let first = self.bump();
        if first == Some('\\') {
            self.bump();
            self.skip_while(|found| found != '\'' && found != '\n');
            self.bump();
        } else if self.peek() == Some('\'') {
            self.bump();
        } else {
            self.skip_while(is_word);
            return (Kind::Lifetime, start, self.at);
        }
        (Kind::Literal, start, self.at)
    }

    /// `1`, `0x1f`, `1_000u64`, `1.5`; of `1..2` and `1.max(2)` only the `1`.
    fn number(&mut self) {
        self.skip_while(is_word);
        let fraction = self
            .rest()
            .strip_prefix('.')
            .and_then(|rest| rest.chars().next());
        if fraction.is_some_and(|found| found.is_ascii_digit()) {
            self.bump();
            self.skip_while(is_word);
        }
    }
}

fn is_word(found: char) -> bool {
    found.is_alphanumeric() || found == '_'
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    /// Kinds and texts, without lines.
    fn check(text: &str, expected: &[(Kind, &str)]) {
        let found: Vec<_> = tokens(text)
            .iter()
            .map(|token| (token.kind, token.text))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn strings_of_every_sort_are_one_token() {
        check(r#""a \" } b""#, &[(Kind::Str, r#"a \" } b"#)]);
        check(
            r#"b"a" c"b" br"c\" cr"d""#,
            &[
                (Kind::Str, "a"),
                (Kind::Str, "b"),
                (Kind::Str, r"c\"),
                (Kind::Str, "d"),
            ],
        );
        check(
            "r#\"a \"quoted\" {\"# x",
            &[(Kind::Str, "a \"quoted\" {"), (Kind::Word, "x")],
        );
        check(
            "r##\"a\"#b\"## x",
            &[(Kind::Str, "a\"#b"), (Kind::Word, "x")],
        );
        check(r#""\\" x"#, &[(Kind::Str, r"\\"), (Kind::Word, "x")]);
        check("\"never closed", &[(Kind::Str, "never closed")]);
    }

    #[test]
    fn characters_are_no_lifetimes() {
        check(
            "'{' '\\'' '\\u{7d}' b'\"' 'é'",
            &[
                (Kind::Literal, "'{'"),
                (Kind::Literal, "'\\''"),
                (Kind::Literal, "'\\u{7d}'"),
                (Kind::Literal, "'\"'"),
                (Kind::Literal, "'é'"),
            ],
        );
        check(
            "&'a str 'outer: loop",
            &[
                (Kind::Punct, "&"),
                (Kind::Lifetime, "'a"),
                (Kind::Word, "str"),
                (Kind::Lifetime, "'outer"),
                (Kind::Punct, ":"),
                (Kind::Word, "loop"),
            ],
        );
    }

    #[test]
    fn comments_hide_what_is_in_them() {
        check(
            "/* { /* \" */ } */ x // fn }\ny",
            &[
                (Kind::Comment, "/* { /* \" */ } */"),
                (Kind::Word, "x"),
                (Kind::Comment, "// fn }"),
                (Kind::Word, "y"),
            ],
        );
    }

    #[test]
    fn words_numbers_and_raw_names_are_told_apart() {
        check(
            "r#fn bread 1..2 1.5e3 0x1f brr",
            &[
                (Kind::Word, "fn"),
                (Kind::Word, "bread"),
                (Kind::Literal, "1"),
                (Kind::Punct, "."),
                (Kind::Punct, "."),
                (Kind::Literal, "2"),
                (Kind::Literal, "1.5e3"),
                (Kind::Literal, "0x1f"),
                (Kind::Word, "brr"),
            ],
        );
    }

    #[test]
    fn a_token_knows_the_line_it_begins_on() {
        let text = "a\n\"b\nc\" d\n/* e\nf */ g";
        let lines: Vec<_> = tokens(text)
            .iter()
            .map(|token| (token.text, token.line))
            .collect();
        assert_eq!(
            lines,
            [("a", 1), ("b\nc", 2), ("d", 3), ("/* e\nf */", 4), ("g", 5)]
        );
    }
}
