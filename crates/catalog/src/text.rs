//! Clean text and the form of it that searches compare.
//!
//! Not here: HTML (`description`) and the ends that a field of JSON has (`json`).

use std::borrow::Cow;
use std::sync::LazyLock;

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The longest clean text, in characters. The longest name ever seen had 255.
pub const TEXT_MAX_CHARS: usize = 4_000;

/// A text for people: entities decoded once (`&amp;amp;` becomes `&amp;`), NFC, every run of
/// whitespace (no-break space included) one space, none at the ends, no control characters, at
/// most [`TEXT_MAX_CHARS`] characters.
pub fn clean(text: &str) -> String {
    tidy(&decode(text), TEXT_MAX_CHARS)
}

/// [`clean`], with `None` for a text that is blank.
pub(crate) fn clean_some(text: Option<&str>) -> Option<String> {
    text.map(clean).filter(|text| !text.is_empty())
}

/// Entities decoded once.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    html_escape::decode_html_entities(text)
}

/// [`clean`] without entities: applied twice it changes nothing more.
pub(crate) fn tidy(text: &str, max_chars: usize) -> String {
    if is_plainly_tidy(text, max_chars) {
        return text.to_owned();
    }
    tidied(text, max_chars)
}

/// [`tidy`] of any text, word by word.
fn tidied(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars.saturating_mul(4)));
    let mut left = max_chars;
    // Spaces compose with nothing, so that each word is composed alone.
    for word in text
        .split_whitespace()
        .map(composed)
        .filter(|word| !word.is_empty())
    {
        let space = usize::from(!out.is_empty());
        if left <= space {
            break;
        }
        left -= space;
        if space == 1 {
            out.push(' ');
        }
        let count = word.chars().count();
        if count > left {
            out.extend(word.chars().take(left));
            break;
        }
        left -= count;
        out.push_str(&word);
    }
    out
}

/// NFC without control characters. Almost every word is so already.
fn composed(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        // Before composing: a letter and its mark may stand on both sides of one.
        return text.chars().filter(|c| !c.is_control()).nfc().collect();
    }
    if text.chars().all(is_inert) || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    text.nfc().collect()
}

/// Whether a character is its own composition and composes with none before it: true of all
/// Vietnamese letters and common punctuation, and far cheaper than the full answer.
fn is_inert(c: char) -> bool {
    matches!(c, ..'\u{300}' | '\u{1e00}'..='\u{1eff}' | '\u{2010}'..='\u{206f}' | '₫')
}

/// Whether one look at each character tells that a text is tidy. `false`: it may be so all the same.
fn is_plainly_tidy(text: &str, max_chars: usize) -> bool {
    let (mut left, mut after_space) = (max_chars, true);
    for c in text.chars() {
        let is_space = c == ' ';
        let breaks = c.is_control() || (c.is_whitespace() && !is_space) || !is_inert(c);
        if left == 0 || breaks || (is_space && after_space) {
            return false;
        }
        left -= 1;
        after_space = is_space;
    }
    !after_space || text.is_empty()
}

/// Whether a text is as [`clean`] leaves it.
pub(crate) fn is_tidy(text: &str) -> bool {
    is_plainly_tidy(text, TEXT_MAX_CHARS) || text == tidied(text, TEXT_MAX_CHARS)
}

/// The form in which searches compare texts: clean, lower case, without marks (`Đồng` and `dong`
/// are the same).
pub fn search_key(text: &str) -> String {
    let clean = clean(text);
    if clean.chars().all(is_inert) {
        return clean.chars().map(key_of_inert).collect();
    }
    key_of(&clean)
}

/// The key of any clean text.
fn key_of(clean: &str) -> String {
    let lower = clean.to_lowercase();
    lower
        .nfd()
        .filter(|c| !is_combining_mark(*c))
        // The second is an Icelandic letter whose capital looks the same.
        .map(|c| if matches!(c, 'đ' | 'ð') { 'd' } else { c })
        .nfc()
        .collect()
}

/// The same of one inert character, whose neighbours do not matter. Names by the long way were a tenth of a first
/// day's load.
fn key_of_inert(c: char) -> char {
    /// From U+0000 to U+02FF, then from U+1E00 to U+1EFF.
    static KEYS: LazyLock<Vec<char>> = LazyLock::new(|| {
        let letters = ('\0'..'\u{300}').chain('\u{1e00}'..='\u{1eff}');
        let key = |c: char| key_of(c.encode_utf8(&mut [0; 4])).chars().next();
        letters.map(|c| key(c).unwrap_or(c)).collect()
    });
    let at = match c {
        ..'\u{300}' => c as usize,
        '\u{1e00}'..='\u{1eff}' => c as usize - 0x1e00 + 0x300,
        _ => return c,
    };
    KEYS.get(at).copied().unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::char::canonical_combining_class;

    use super::*;

    #[test]
    fn a_text_is_cleaned_once() {
        for (raw, expected) in [
            ("  Lock&amp;Lock \t 5\u{a0}kg ", "Lock&Lock 5 kg"),
            ("&amp;amp;", "&amp;"),
            ("a&nbsp;&nbsp;b", "a b"),
            ("a\0b\u{1}c", "abc"),
            ("Bi\u{300}nh giu\u{31b}\u{303}", "Bình giữ"),
            ("\u{3000}\u{2003}", ""),
            ("&#43;84 &#x2B; &unknown; &", "+84 + &unknown; &"),
            ("x\u{fffd}", "x\u{fffd}"),
        ] {
            assert_eq!(clean(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn a_text_has_a_longest_length() {
        assert_eq!(
            clean(&"ậ ".repeat(9_000)).chars().count(),
            TEXT_MAX_CHARS - 1
        );
        assert_eq!(clean(&"ậ".repeat(9_000)).chars().count(), TEXT_MAX_CHARS);
        let cut = clean(&"ậ ".repeat(9_000));
        assert!(is_tidy(&cut));
    }

    #[test]
    fn inert_characters_are_so() {
        for c in ('\0'..='\u{ffff}').filter(|c| is_inert(*c)) {
            assert_eq!(is_nfc_quick([c].into_iter()), IsNormalized::Yes, "{c:?}");
            assert_eq!(canonical_combining_class(c), 0, "{c:?}");
        }
    }

    #[test]
    fn what_is_told_at_a_look_is_what_the_whole_way_tells() {
        let inert = ('\0'..='\u{ffff}').filter(|c| is_inert(*c));
        for c in inert {
            assert_eq!(key_of_inert(c).to_string(), key_of(&c.to_string()), "{c:?}");
        }
        for text in [
            "Bình giữ  nhiệt",
            "a ",
            " a",
            "a\u{a0}b",
            "a\u{301}",
            "a\tb",
            "a\u{85}",
        ] {
            assert!(!is_plainly_tidy(text, 100), "{text:?}");
        }
        for text in ["", "a", "Bình giữ nhiệt – 1.200.000 ₫"] {
            assert!(is_plainly_tidy(text, 100), "{text:?}");
        }
        assert!(is_plainly_tidy("ba ca", 5) && !is_plainly_tidy("ba ca", 4));
        assert_eq!(tidy("ba ca", 4), "ba c");
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_and_the_long_one_agree(text in "[ a-zÀ-ỹ₫&\u{300}-\u{323}\u{a0}\u{2010}-\u{2070}Σ\t]{0,12}") {
            let long = tidied(&text, 10);
            assert_eq!(tidy(&text, 10), long);
            assert_eq!(is_plainly_tidy(&long, 10), long.chars().all(is_inert));
            assert_eq!(search_key(&text), key_of(&clean(&text)));
        }
    }

    #[test]
    fn searches_ignore_case_and_marks() {
        assert_eq!(search_key("ĐỒNG  HỒ Nữ"), "dong ho nu");
        assert_eq!(search_key("Bình giữ nhiệt"), search_key("binh giu nhiet"));
        assert_eq!(search_key("\u{d0}ồng hồ"), "dong ho");
    }
}
