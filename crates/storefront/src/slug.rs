//! The ASCII form of a Vietnamese name, as it stands in URLs.

use unicode_normalization::UnicodeNormalization;

/// Longest slug, in bytes; real ones reach about 150.
const MAX_BYTES: usize = 120;

/// Lower-case letters and digits joined by single hyphens; marks are dropped and `đ` becomes `d`.
/// Empty when the name holds no such character.
pub(crate) fn slug(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.nfd() {
        match c {
            'đ' | 'Đ' => out.push('d'),
            c if c.is_ascii_alphanumeric() => out.push(c.to_ascii_lowercase()),
            '\u{0300}'..='\u{036f}' => {}
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
        if out.len() >= MAX_BYTES {
            break;
        }
    }
    while out.ends_with('-') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_plain_ascii() {
        for (name, expected) in [
            ("Đồ Chơi - Mẹ & Bé", "do-choi-me-be"),
            ("  Bình giữ nhiệt 500ml ", "binh-giu-nhiet-500ml"),
            ("Ma\u{0301}y a\u{0309}nh", "may-anh"),
            ("***", ""),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }
}
