//! docs/OPTIMIZATIONS.md measures nothing itself: its figures stand where they were measured.

use super::{page, root};

/// Numbers with a digit that is no part of a word, a unit or a path.
fn numbers(text: &str) -> Vec<&str> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || ".,".contains(c)));
    let bare = parts.map(|part| part.trim_matches(['.', ',']));
    bare.filter(|part| part.starts_with(|first: char| first.is_ascii_digit()))
        .collect()
}

fn links(text: &str) -> Vec<&str> {
    let rests = text.split("](").skip(1);
    rests
        .filter_map(|rest| rest.split([')', '#']).next())
        .collect()
}

#[test]
fn every_figure_is_where_its_link_leads() {
    let optimizations = page("docs/OPTIMIZATIONS.md");
    let rows = optimizations
        .lines()
        .filter(|line| line.starts_with("| **"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, figure, from] = cells.as_slice() else {
            panic!("three cells: {row}");
        };
        let sources: String = links(from)
            .iter()
            .map(|link| {
                let path = root().join("docs").join(link);
                std::fs::read_to_string(&path).expect(link)
            })
            .collect();
        let measured = numbers(&sources);
        for number in numbers(figure) {
            assert!(
                measured.contains(&number),
                "{number} is not where its row says: {row}"
            );
            count += 1;
        }
    }
    assert!(count >= 20, "{count} figures");
}
