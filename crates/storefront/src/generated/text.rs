//! Names and descriptions, with the traps of the real ones.

use unicode_normalization::UnicodeNormalization;

use crate::draw::{Draw, Topic};
use crate::generated::words::{
    BOILERPLATE, FAMILY_NAMES, FEATURES, GIVEN_NAMES, SENTENCES, TITLE_BEGINNINGS, TITLE_ENDINGS,
};

/// Shortest and longest name, in characters, as on the site.
const MIN_NAME_CHARS: usize = 6;
const MAX_NAME_CHARS: usize = 255;

/// A person who does not exist.
pub(crate) fn person(draw: Draw) -> String {
    format!(
        "{} {}",
        draw.word(&FAMILY_NAMES),
        draw.at(1).word(&GIVEN_NAMES)
    )
}

/// The title of a book that was never written.
pub(crate) fn title(product: Draw) -> String {
    let draw = product.of(Topic::Name);
    let mut name = format!(
        "{} {}",
        draw.at(1).word(&TITLE_BEGINNINGS),
        draw.word(&TITLE_ENDINGS)
    );
    match draw.at(2).below(10) {
        0 => name.push_str(" (Tái Bản 2025)"),
        1 => name.push_str(" - Tập 2"),
        2 => name.push_str(" (Bìa Cứng)"),
        _ => {}
    }
    trapped(draw, &name)
}

/// The name of a thing.
pub(crate) fn name(product: Draw, noun: &str, brand: &str) -> String {
    let draw = product.of(Topic::Name);
    let mut name = noun.to_owned();
    if brand != "OEM" {
        name = format!("{name} {brand}");
    }
    let model = draw.of(Topic::Model);
    if model.chance(60) {
        let letters = model
            .at(1)
            .word(&["EL", "KX", "SN", "TB", "PRO-", "M", "HD", "V"]);
        name = format!("{name} {letters}{}", model.at(2).between(10, 9_899));
    }
    // Most names are long: sellers write into them what people search for.
    let features = match draw.at(3).below(1_000) {
        0 => 14,
        n => n % 5,
    };
    for at in 0..features {
        let joint = if at == 0 { " " } else { ", " };
        name = format!("{name}{joint}{}", draw.at(10 + at).word(&FEATURES));
    }
    if draw.at(4).chance(30) || name.chars().count() < MIN_NAME_CHARS {
        name.push_str(" - Hàng Chính Hãng");
    }
    trapped(draw, &name)
}

/// What spoils real names: 1.9 % are not NFC, 4.8 % have spaces at an edge (public corpus);
/// entities and no-break spaces in about 1 % each.
fn trapped(draw: Draw, name: &str) -> String {
    let draw = draw.of(Topic::Trap);
    let mut name: String = name.chars().take(MAX_NAME_CHARS - 8).collect();
    match draw.below(1_000) {
        0..19 => name = name.nfd().take(MAX_NAME_CHARS - 8).collect(),
        19..29 => name = name.replacen(' ', "\u{a0}", 1),
        29..39 => name = format!("{name} &amp; quà"),
        _ => {}
    }
    match draw.at(1).below(1_000) {
        0..20 => name.insert(0, ' '),
        20..48 => name.push(' '),
        _ => {}
    }
    name
}

/// The first sentences of the description, as plain text.
pub(crate) fn short_description(product: Draw) -> String {
    let draw = product.of(Topic::Text);
    format!(
        "{} {}...",
        draw.at(100).word(&SENTENCES),
        draw.at(101).word(&SENTENCES)
    )
}

/// HTML of 1 to 25 kB, so that a whole detail has about 12 kB as on the site; one in 200 is empty but for the notice at the end.
pub(crate) fn description(product: Draw, name: &str, image: &str) -> String {
    let draw = product.of(Topic::Text);
    let paragraphs = match draw.below(200) {
        0 => 0,
        1..=9 => draw.at(1).between(40, 70),
        _ => draw.at(1).between(4, 36),
    };
    let mut parts = Vec::new();
    if paragraphs > 0 {
        parts.push(format!("<h3>{}</h3>\n", name.trim()));
    }
    parts.extend((0..paragraphs.unsigned_abs()).map(|at| paragraph(draw.at(100 + at), image)));
    parts.push(BOILERPLATE.to_owned());
    parts.concat()
}

fn paragraph(draw: Draw, image: &str) -> String {
    let words = format!("{} {}", draw.word(&SENTENCES), draw.at(1).word(&SENTENCES));
    match draw.at(2).below(8) {
        0 => {
            let more = draw.at(3).word(&SENTENCES);
            format!("<ul>\n<li>{words}</li>\n<li>{more}</li>\n</ul>\n")
        }
        1 => format!("<p><img src=\"{image}\" alt=\"\" />{words}</p>\n"),
        2 => format!("{words}<br />\n"),
        3 => format!("<p><strong>Lưu &yacute;:</strong>&nbsp;{words}</p>\n"),
        _ => format!("<p>{words}</p>\n"),
    }
}

/// `Đã bán 208`, `Đã bán 3.7k`; with `coarse` the detail's form, `Đã bán 3k`.
pub(crate) fn sold_text(sold: i64, coarse: bool) -> String {
    match sold {
        ..1_000 => format!("Đã bán {sold}"),
        1_000.. if coarse || sold / 100 % 10 == 0 => format!("Đã bán {}k", sold / 1_000),
        _ => format!("Đã bán {}.{}k", sold / 1_000, sold / 100 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_traps_of_the_real_ones() {
        let names: Vec<String> = (0..20_000)
            .map(|at| name(Draw::new(at), "Bình giữ nhiệt", "Sunora"))
            .collect();
        let share = |count: usize| count * 1_000 / names.len();
        let edges = names
            .iter()
            .filter(|name| name.trim() != name.as_str())
            .count();
        let marks = names
            .iter()
            .filter(|name| name.nfc().ne(name.chars()))
            .count();
        assert!((35..60).contains(&share(edges)), "{edges}");
        assert!((14..24).contains(&share(marks)), "{marks}");
        assert!(names.iter().any(|name| name.contains("&amp;")));
        assert!(names.iter().any(|name| name.contains('\u{a0}')));
        assert!(
            names
                .iter()
                .all(|name| (6..=255).contains(&name.chars().count()))
        );
    }

    #[test]
    fn sales_are_rounded_as_the_site_rounds_them() {
        for (sold, fine, coarse) in [
            (208, "Đã bán 208", "Đã bán 208"),
            (2_326, "Đã bán 2.3k", "Đã bán 2k"),
            (3_715, "Đã bán 3.7k", "Đã bán 3k"),
            (5_000, "Đã bán 5k", "Đã bán 5k"),
        ] {
            assert_eq!(sold_text(sold, false), fine);
            assert_eq!(sold_text(sold, true), coarse);
        }
    }
}
