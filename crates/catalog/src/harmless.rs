//! Texts from outside made harmless where they are shown: in a terminal, a table, a log, a chat, a mail, a page.
//!
//! Not here: what is kept of a text (`text`). Data, exports and JSON have it as it is.

use std::borrow::Cow;

/// What stands in place of a harmful character.
const REPLACED: char = '\u{fffd}';

/// A text of which nothing can hide, turn or command anything: control, invisible and direction-changing
/// characters are replaced. Lines and tabs stay.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| is_harmful(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| if is_bad(c) { REPLACED } else { c });
    shown.collect()
}

/// The same in one line, which is cut at a number of characters.
pub fn one_line(text: &str, chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(chars.saturating_mul(4)));
    for (count, c) in text.chars().enumerate() {
        if count == chars {
            out.push('…');
            break;
        }
        out.push(match c {
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            c if is_harmful(c) => REPLACED,
            c => c,
        });
    }
    out
}

/// Control characters, those of no width, those that end lines and those that change the direction of what
/// follows.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that could do something: C0 and C1, marks and overrides of direction, isolates, line separators.
    fn all_harmful() -> impl Iterator<Item = char> {
        let ranges = [
            '\0'..='\u{1f}',
            '\u{7f}'..='\u{9f}',
            '\u{200e}'..='\u{200f}',
            '\u{2028}'..='\u{202e}',
            '\u{2066}'..='\u{2069}',
        ];
        ranges.into_iter().flatten().chain(['\u{61c}'])
    }

    #[test]
    fn nothing_of_a_text_hides_turns_or_breaks_anything() {
        for (text, shown) in [
            ("Bình giữ nhiệt 500ml", "Bình giữ nhiệt 500ml"),
            ("a\r\nBcc: b@c", "a  Bcc: b@c"),
            (
                "a\u{202e}b\u{200b}c\u{2066}d",
                "a\u{fffd}b\u{fffd}c\u{fffd}d",
            ),
            ("\u{1b}[31mred\0", "\u{fffd}[31mred\u{fffd}"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("\u{e0041}", "\u{fffd}"),
        ] {
            assert_eq!(one_line(text, 100), shown, "{text:?}");
        }
        assert_eq!(one_line("ăăăă", 3), "ăăă…");
        assert_eq!(one_line("ăăă", 3), "ăăă");
    }

    #[test]
    fn lines_and_tabs_may_stay_and_nothing_else() {
        assert_eq!(
            harmless("một\thai\nba\u{2029}\r"),
            "một\thai\nba\u{fffd}\u{fffd}"
        );
        for c in all_harmful() {
            let text = format!("a{c}b");
            assert!(!one_line(&text, 9).contains(c), "{c:?}");
            assert_eq!(
                harmless(&text).contains(c),
                matches!(c, '\n' | '\t'),
                "{c:?}"
            );
        }
    }
}
