//! Counts and prices that are written for people.
//!
//! ```text
//! quantity = [ "đã bán" | "sold" ] amount [ "sản phẩm" | "sp" | "đánh giá" | "lượt mua" ]
//! price    = amount [ "₫" | "đ" | "vnđ" | "vnd" | "đồng" ]
//! amount   = number [ unit [ digits ] ] [ "+" ]
//! number   = digits                              1234
//!          | 1 to 3 digits { sep 3 digits }      1.234   1,234,000   (one kind of sep; no leading 0)
//!          | digits sep 1 to 3 digits            1,2     only before a unit
//! unit     = "k" | "nghìn" | "ngàn"  | "tr" | "triệu"  | "tỷ" | "tỉ"
//! ```
//!
//! The digits after a unit are its decimals (`1tr2` is 1,200,000). Before a unit one separator is
//! always the decimal one. Spaces stand only around words. Anything else is `None`: two numbers are
//! never made one.
//!
//! Not here: numbers that JSON gives as numbers (`json`).

use unicode_normalization::UnicodeNormalization;

/// The longest text that is read, in bytes.
const MAX_BYTES: usize = 80;

const UNITS: [(&str, u32); 7] = [
    ("nghìn", 3),
    ("ngàn", 3),
    ("k", 3),
    ("triệu", 6),
    ("tr", 6),
    ("tỷ", 9),
    ("tỉ", 9),
];

/// A count as the site writes it, such as `Đã bán 2k`; the words are optional.
pub fn parse_quantity(text: &str) -> Option<i64> {
    let text = lowered(text)?;
    let mut rest = text.trim();
    for word in ["đã bán", "sold"] {
        rest = rest.strip_prefix(word).map_or(rest, str::trim_start);
    }
    for word in ["sản phẩm", "sp", "đánh giá", "lượt mua"] {
        rest = rest.strip_suffix(word).map_or(rest, str::trim_end);
    }
    amount(rest)
}

/// A price in đồng as the site writes it, such as `147.000₫`; the currency is optional.
pub fn parse_price(text: &str) -> Option<i64> {
    let text = lowered(text)?;
    let text = text.trim();
    let bare = ["₫", "vnđ", "vnd", "đồng", "đ"]
        .iter()
        .find_map(|word| text.strip_suffix(word));
    amount(bare.map_or(text, str::trim_end))
}

fn lowered(text: &str) -> Option<String> {
    let fits = text.len() <= MAX_BYTES;
    fits.then(|| {
        text.to_lowercase()
            .nfc()
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .collect()
    })
}

fn amount(text: &str) -> Option<i64> {
    let text = text.strip_suffix('+').unwrap_or(text);
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
    let (number, after) = text.split_at(end.unwrap_or(text.len()));
    let after = after.trim_start();
    if after.is_empty() {
        // A gap after the number must have led to a word.
        return (number.len() == text.len())
            .then(|| whole(number))
            .flatten();
    }
    let (power, decimals) = UNITS
        .iter()
        .find_map(|(unit, power)| Some((*power, after.strip_prefix(unit)?)))?;
    if decimals.is_empty() {
        let (units, decimals) = number.split_once(['.', ',']).unwrap_or((number, ""));
        let decimal = number.len() == units.len() || !decimals.is_empty();
        return decimal.then(|| scaled(units, decimals, power)).flatten();
    }
    scaled(number, decimals, power)
}

/// `units` and `decimals` of a unit of ten to the `power`.
fn scaled(units: &str, decimals: &str, power: u32) -> Option<i64> {
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let places = u32::try_from(decimals.len()).ok()?;
    let below = if decimals.is_empty() {
        0
    } else {
        digits(decimals)?
    };
    let above = digits(units)?.checked_mul(10_i64.checked_pow(power)?)?;
    above.checked_add(below * 10_i64.checked_pow(power.checked_sub(places)?)?)
}

/// Digits, plain or in groups of three.
fn whole(number: &str) -> Option<i64> {
    let Some(at) = number.find(['.', ',']) else {
        return digits(number);
    };
    let mark = if number.get(at..)?.starts_with('.') {
        '.'
    } else {
        ','
    };
    let mut groups = number.split(mark);
    let first = groups.next()?;
    if first.is_empty() || first.len() > 3 || first.starts_with('0') {
        return None;
    }
    let mut joined = first.to_owned();
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        joined.push_str(group);
    }
    digits(&joined)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_read_as_it_is_meant() {
        for (text, expected) in [
            ("Đã bán 2k", Some(2_000)),
            ("Đa\u{303} ba\u{301}n 208", Some(208)),
            ("Đã bán 15155", Some(15_155)),
            ("Đã bán 5000+", Some(5_000)),
            ("1.234", Some(1_234)),
            ("1,234,000", Some(1_234_000)),
            ("1,2k", Some(1_200)),
            ("1.5k", Some(1_500)),
            ("1.234k", Some(1_234)),
            ("1tr2", Some(1_200_000)),
            ("1tr25", Some(1_250_000)),
            ("5.5tr+", Some(5_500_000)),
            ("2k5", Some(2_500)),
            ("10.000+", Some(10_000)),
            ("2tr", Some(2_000_000)),
            ("3 triệu", Some(3_000_000)),
            ("1,5 tỷ", Some(1_500_000_000)),
            ("20 nghìn", Some(20_000)),
            ("12 sản phẩm", Some(12)),
            ("0", Some(0)),
            ("", None),
            ("Đã bán", None),
            ("k", None),
            ("1.5", None),
            ("1.23", None),
            ("0.500", None),
            ("1.234,567", None),
            ("1.234.5", None),
            ("1,2,3k", None),
            ("1.k", None),
            (".5k", None),
            ("1,2tr3", None),
            ("1 234", None),
            ("2k 5", None),
            ("4.7 (5.5tr+ đánh giá)", None),
            ("-5", None),
            ("1e5", None),
            ("٣", None),
            ("99999999999999999999", None),
            ("9999999999999tỷ", None),
        ] {
            assert_eq!(parse_quantity(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_price_is_one_number() {
        for (text, expected) in [
            ("147.000₫", Some(147_000)),
            ("147.000 đ", Some(147_000)),
            ("1,350,000 VND", Some(1_350_000)),
            ("147000", Some(147_000)),
            ("99k", Some(99_000)),
            ("1tr2đ", Some(1_200_000)),
            ("147.000₫-62%389.000₫", None),
            ("147.000₫ 389.000₫", None),
            ("147000.5", None),
            ("₫", None),
        ] {
            assert_eq!(parse_price(text), expected, "{text:?}");
        }
    }
}
